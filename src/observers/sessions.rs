//! Sessions as each node shows them, encrypted or not.

use std::time::Duration;

use tokio::time::Instant;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every, kept_session::KeptSession};
use crate::{
    history::{Occurrence, Recorder, event::SessionsSeen},
    services::patroni::POSTGRESQL_PORT,
    system::{SESSIONS, rows},
};

pub(super) const OBSERVER: Observer = Observer {
    name: "sessions",
    watches: "each node's sessions, and whether they are encrypted (pg_stat_ssl), every second where PostgreSQL speaks TLS",
    watch,
};

const PERIOD: Duration = Duration::from_secs(1);
/// What does not change is recorded this often.
const TELL_AT_LEAST: Duration = Duration::from_secs(5);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    if !scene.plan.topology.tls.postgresql {
        return Ok(Vec::new());
    }
    let watch_node = |node: &String| {
        let address = scene.address(OBSERVER.name, node, POSTGRESQL_PORT)?;
        let eye = Eye { node: node.clone(), session: KeptSession::new(address, scene.access.login()) };
        Ok(Watch::new(node, eye.watch(scene.recorder.clone())))
    };
    scene.plan.nodes.iter().map(watch_node).collect()
}

struct Eye {
    node: String,
    session: KeptSession,
}

impl Eye {
    async fn watch(mut self, recorder: Recorder) -> String {
        let mut pulse = Pulse::new(OBSERVER.name, &self.node, &recorder);
        let mut due = every(PERIOD);
        let mut told: Option<(Vec<SessionsSeen>, Instant)> = None;
        loop {
            due.tick().await;
            // A node that does not answer shows none.
            if let Some(sessions) = self.look().await {
                let is_old = |(before, at): &(Vec<SessionsSeen>, Instant)| {
                    same_kinds(before, &sessions) && at.elapsed() < TELL_AT_LEAST
                };
                if !told.as_ref().is_some_and(is_old) {
                    recorder.record(Occurrence::Sessions { node: self.node.clone(), sessions: sessions.clone() });
                    told = Some((sessions, Instant::now()));
                }
            }
            pulse.beat();
        }
    }

    async fn look(&mut self) -> Option<Vec<SessionsSeen>> {
        let answers = self.session.ask(&[SESSIONS]).await?;
        serde_json::from_str(rows(answers.first()?).next()?.try_get(0).ok()??).ok()
    }
}

/// Whether sessions are alike but for how many there are of each kind.
fn same_kinds(one: &[SessionsSeen], other: &[SessionsSeen]) -> bool {
    let kinds = |all: &[SessionsSeen]| -> Vec<SessionsSeen> {
        all.iter().map(|own| SessionsSeen { count: 0, ..own.clone() }).collect()
    };
    kinds(one) == kinds(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgresql_answers_is_read_and_only_a_new_kind_is_news() {
        let text = r#"[{"purpose":"client","role":"pgquake","standby":null,"tls":"TLSv1.3","count":9},
                       {"purpose":"replication","role":"replicator","standby":"node2","tls":null,"count":1}]"#;
        let before: Vec<SessionsSeen> = serde_json::from_str(text).unwrap();
        assert_eq!(before[1].tls, None);
        let mut after = before.clone();
        after[0].count = 4;
        assert!(same_kinds(&before, &after));
        after[1].tls = Some("TLSv1.3".to_owned());
        assert!(!same_kinds(&before, &after));
    }
}
