//! Each node as SQL shows it: role, timeline, WAL position, who streams from whom.

use std::{collections::BTreeMap, net::SocketAddr, sync::LazyLock, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    cluster::{NODE, NODE_TIMELINE, Session, session::explain},
    history::{
        Occurrence, Recorder,
        event::{NodeState, Role},
    },
    services::patroni::POSTGRESQL_PORT,
};

pub(super) const OBSERVER: Observer = Observer {
    name: "node_state",
    watches: "each node's role, timeline, WAL position and replication by SQL, every 100 ms",
    watch,
};

const PERIOD: Duration = Duration::from_millis(100);
/// How long one look may take; a node that takes longer is unreachable.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A state that does not change is recorded this often, for its WAL position.
const TELL_AT_LEAST: Duration = Duration::from_secs(1);

/// What a look asks; the answer is one row.
static STATEMENT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT standby, {NODE_TIMELINE}, \
             CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn, \
             (SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
             (SELECT json_object_agg(application_name, sync_state) FROM pg_stat_replication WHERE state = 'streaming') \
         FROM {NODE}"
    )
});

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_node = |node: &String| {
        let address = scene.address(OBSERVER.name, node, POSTGRESQL_PORT)?;
        let eye = Eye {
            node: node.clone(),
            address,
            password: scene.access.credentials.client_password.clone(),
            session: None,
        };
        Ok(Watch::new(node, eye.watch(scene.recorder.clone())))
    };
    scene.plan.nodes.iter().map(watch_node).collect()
}

struct Eye {
    node: String,
    address: SocketAddr,
    password: String,
    session: Option<Session>,
}

/// What one look brought.
enum Look {
    Seen(NodeState),
    Unreachable,
    /// The node answered, but not what was asked, as it may in the instant of its promotion: why.
    Unclear(String),
}

/// A node whose answers are unclear for so long is not watched any more, whatever the reason.
const UNCLEAR_AT_MOST: Duration = Duration::from_secs(10);

impl Eye {
    async fn watch(mut self, recorder: Recorder) -> String {
        let mut pulse = Pulse::new(OBSERVER.name, &self.node, &recorder);
        let mut due = every(PERIOD);
        let mut told: Option<(NodeState, Instant)> = None;
        let mut switches = Switches::default();
        let mut last_clear = Instant::now();
        loop {
            due.tick().await;
            let state = match self.look().await {
                Look::Seen(state) => state,
                Look::Unreachable => unreachable(&self.node),
                Look::Unclear(reason) if last_clear.elapsed() > UNCLEAR_AT_MOST => return reason,
                Look::Unclear(_) => continue,
            };
            last_clear = Instant::now();
            let news =
                told.as_ref().is_none_or(|(before, at)| !same_but_lsn(before, &state) || at.elapsed() >= TELL_AT_LEAST);
            if news {
                recorder.record(Occurrence::NodeState(state.clone()));
                told = Some((state.clone(), Instant::now()));
            }
            if let (Some(timeline), Some(session)) = (state.timeline, &self.session)
                && let Some(switch) = switches.look(&self.node, timeline, session).await
            {
                recorder.record(switch);
            }
            pulse.beat();
        }
    }

    async fn look(&mut self) -> Look {
        let session = match self.session.take() {
            Some(session) => session,
            None => match timeout(TIMEOUT, Session::open(self.address, &self.password, "pgquake-observer")).await {
                Ok(Ok(session)) => session,
                Ok(Err(_)) | Err(_) => return Look::Unreachable,
            },
        };
        let Ok(answer) = timeout(TIMEOUT, session.simple_query(&STATEMENT)).await else { return Look::Unreachable };
        if session.ended().is_some() {
            return Look::Unreachable;
        }
        self.session = Some(session);
        let messages = match answer {
            Ok(messages) => messages,
            Err(error) => return Look::Unclear(format!("failed to ask for the node's state: {}", explain(&error))),
        };
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let state = row.and_then(|row| state(&self.node, row));
        state.map_or_else(|| Look::Unclear("the node's state is not the row that was asked for".to_owned()), Look::Seen)
    }
}

fn unreachable(node: &str) -> NodeState {
    NodeState {
        node: node.to_owned(),
        reachable: false,
        role: None,
        timeline: None,
        lsn: None,
        streaming_from: None,
        standbys: BTreeMap::new(),
    }
}

fn state(node: &str, row: &SimpleQueryRow) -> Option<NodeState> {
    let cell = |index| row.try_get(index).ok().flatten();
    Some(NodeState {
        node: node.to_owned(),
        reachable: true,
        role: Some(if cell(0)? == "t" { Role::Standby } else { Role::Primary }),
        timeline: Some(cell(1)?.parse().ok()?),
        lsn: cell(2).and_then(|lsn| lsn.parse().ok()),
        streaming_from: cell(3).map(str::to_owned),
        standbys: cell(4).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
    })
}

fn same_but_lsn(one: &NodeState, other: &NodeState) -> bool {
    NodeState { lsn: None, ..one.clone() } == NodeState { lsn: None, ..other.clone() }
}

/// Switches of timelines that a node's history files tell.
#[derive(Default)]
struct Switches {
    /// The timeline whose file was read.
    read: Option<u32>,
    /// When a file that was not there yet was asked for.
    asked: Option<Instant>,
}

/// The time between two attempts to read a history file that is not there yet.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Switches {
    /// The switch to this timeline, when it is new. The first timeline has no file: nothing was switched.
    async fn look(&mut self, node: &str, timeline: u32, session: &Session) -> Option<Occurrence> {
        if timeline < 2 || self.read == Some(timeline) || self.asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN) {
            return None;
        }
        self.asked = Some(Instant::now());
        let statement = format!("SELECT pg_read_file('pg_wal/{timeline:08X}.history')");
        let answer = timeout(TIMEOUT, session.simple_query(&statement)).await.ok()?.ok()?;
        let (parent, switch_lsn) = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => parse_history(row.try_get(0).ok()??),
            _ => None,
        })?;
        (self.read, self.asked) = (Some(timeline), None);
        Some(Occurrence::TimelineSwitch { node: node.to_owned(), parent, timeline, switch_lsn })
    }
}

/// The parent of a history file's timeline and the WAL position where it left it: the last line that is neither
/// empty nor a comment, `parent <tab> lsn <tab> reason`.
fn parse_history(file: &str) -> Option<(u32, u64)> {
    let last = file.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'))?;
    let mut fields = last.split_whitespace();
    let parent = fields.next()?.parse().ok()?;
    let (high, low) = fields.next()?.split_once('/')?;
    let part = |hex| u64::from(u32::from_str_radix(hex, 16).ok()?).into();
    let (high, low): (Option<u64>, Option<u64>) = (part(high), part(low));
    Some((parent, (high? << 32) | low?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_file_names_the_last_switch() {
        let file = "1\t0/5000148\tno recovery target specified\n\n2\t1/A0000000\tno recovery target specified\n";
        assert_eq!(parse_history(file), Some((2, 0x1_A000_0000)));
        assert_eq!(parse_history("# empty\n\n"), None);
        assert_eq!(parse_history("1\tnonsense\n"), None);
    }

    #[test]
    fn a_new_wal_position_alone_is_no_change() {
        let before = NodeState { role: Some(Role::Primary), lsn: Some(1), ..unreachable("node1") };
        assert!(same_but_lsn(&before, &NodeState { lsn: Some(2), ..before.clone() }));
        assert!(!same_but_lsn(&before, &NodeState { timeline: Some(2), ..before.clone() }));
    }
}
