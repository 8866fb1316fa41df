//! Waiting for conditions: each with a deadline that names what did not come.

use std::{
    fmt,
    future::Future,
    time::{Duration, Instant},
};

/// How long to wait between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// A condition did not come in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotReady {
    /// What was waited for.
    pub what: String,
    /// How long it was waited for.
    pub waited_ms: u64,
    /// What stood in the way at the last look.
    pub reason: String,
    /// The last log lines of the services concerned, each headed by its name.
    pub logs: String,
}

impl NotReady {
    /// What did not come within a time, and why, without logs.
    pub fn new(what: impl Into<String>, waited: Duration, reason: impl Into<String>) -> Self {
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        Self { what: what.into(), waited_ms, reason: reason.into(), logs: String::new() }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, waited_ms, reason, logs } = self;
        write!(formatter, "{what} did not come within {} s: {reason}", waited_ms.div_ceil(1000))?;
        if !logs.is_empty() {
            write!(formatter, "\n{logs}")?;
        }
        Ok(())
    }
}

/// Looks at a condition until it holds or the deadline passes. The condition returns what it found, or the
/// reason why it does not hold yet.
pub async fn wait_until<T, Look, Looking>(what: &str, deadline: Duration, mut look: Look) -> Result<T, NotReady>
where
    Look: FnMut() -> Looking,
    Looking: Future<Output = Result<T, String>>,
{
    let begun = Instant::now();
    let mut reason = "it was never looked at".to_owned();
    loop {
        let left = deadline.saturating_sub(begun.elapsed());
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(why)) => reason = why,
            Err(_) => {}
        }
        // Not only when the timeout strikes: a look that fails at once is quicker than any.
        if begun.elapsed() >= deadline {
            return Err(NotReady::new(what, deadline, reason));
        }
        tokio::time::sleep(LOOK_EVERY.min(left)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_did_not_come_is_named() {
        let deadline = Duration::from_millis(100);
        let missed = wait_until::<(), _, _>("a leader", deadline, || async { Err("nobody leads".to_owned()) }).await;
        assert_eq!(missed.unwrap_err().to_string(), "a leader did not come within 1 s: nobody leads");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_by_the_deadline() {
        let deadline = Duration::from_millis(50);
        let missed = wait_until::<(), _, _>("an answer", deadline, std::future::pending).await;
        assert!(missed.is_err());
    }
}
