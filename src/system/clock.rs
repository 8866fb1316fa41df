//! The clocks of a node, compared with the harness's own, and set where they are prepared.

use std::time::{SystemTime, UNIX_EPOCH};

use super::System;
use crate::{engine::EngineError, services::patroni::CLOCK_FILE, topology::ServiceKind};

impl System {
    /// How far a node's PostgreSQL is ahead of the harness, in seconds, as it reports. The harness's time is that of
    /// the middle of the question.
    pub async fn postgresql_ahead_s(&self, node: &str) -> Result<f64, String> {
        let asked = now_s();
        let told = self.sql_value(node, "SELECT extract(epoch FROM clock_timestamp())").await?;
        let answered = now_s();
        let told: f64 = told.parse().map_err(|_| format!("{node} says that it is {told}"))?;
        Ok(told - (asked + answered) / 2.0)
    }

    /// How far a node's Patroni is ahead of the harness, in seconds, by the date of its answers: to a second.
    pub async fn agent_ahead_s(&self, node: &str) -> Result<f64, String> {
        let answer = self.patroni_answer(node, "patroni").await?;
        let date = answer.headers().get("Date").and_then(|date| date.to_str().ok());
        let date = date.ok_or_else(|| format!("Patroni on {node} gave no date"))?;
        let told = jiff::fmt::rfc2822::parse(date).map_err(|error| error.to_string())?;
        // The date has no fraction: its middle is as likely as any.
        Ok(told.timestamp().as_second() as f64 + 0.5 - now_s())
    }

    /// Sets the clocks of a node's Patroni and PostgreSQL, in the words of libfaketime.
    #[doc(hidden)]
    pub async fn set_clock(&self, node: &str, words: &str) -> Result<(), EngineError> {
        let Some(service) = self.service(node, ServiceKind::Patroni) else { return Ok(()) };
        // The library may read it at any moment, so it is replaced as a whole.
        let script = format!("echo '{words}' > {CLOCK_FILE}.new && mv {CLOCK_FILE}.new {CLOCK_FILE}");
        let done = self.engine().run_in_service(service, &script).await?;
        if done.status == 0 {
            return Ok(());
        }
        let (host, command) = (node.to_owned(), script);
        Err(EngineError::Command { host, command, status: done.status, output: done.text })
    }
}

/// Seconds since 1970.
fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
