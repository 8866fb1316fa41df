//! Each node as SQL shows it: role, timeline, WAL position, who streams from whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::LazyLock,
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_postgres::SimpleQueryRow;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    history::{
        Occurrence, Recorder,
        event::{NodeState, Role},
    },
    services::patroni::POSTGRESQL_PORT,
    system::{Login, NODE, NODE_TIMELINE, STREAMING_RECEIVER, Session, rows},
};

pub(super) const OBSERVER: Observer = Observer {
    name: "node_state",
    watches: "each node's role, timeline, WAL position and replication by SQL, every 100 ms",
    watch,
};

const PERIOD: Duration = Duration::from_millis(100);
/// How long one look may take; a node that takes longer is unreachable.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A state that does not change is recorded this often …
const TELL_AT_LEAST: Duration = Duration::from_secs(1);
/// … and a WAL position that moved this often: the lag of a standby is worked out of them.
const TELL_MOVED: Duration = Duration::from_millis(250);

/// What a look asks; the answer is one row. A standby that receives nothing is on no timeline that it could name: its last
/// restart point may be on one that it has left since.
static STATEMENT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT standby, \
             CASE WHEN standby AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver) THEN NULL ELSE {NODE_TIMELINE} END, \
             CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn, \
             (SELECT sender_host FROM {STREAMING_RECEIVER}), \
             (SELECT json_object_agg(application_name, sync_state) FROM pg_stat_replication WHERE state = 'streaming') \
         FROM {NODE}"
    )
});

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_node = |node: &String| {
        let address = scene.address(OBSERVER.name, node, POSTGRESQL_PORT)?;
        let eye = Eye { node: node.clone(), address, login: scene.access.login(), session: None };
        Ok(Watch::new(node, eye.watch(scene.recorder.clone())))
    };
    scene.plan.nodes.iter().map(watch_node).collect()
}

struct Eye {
    node: String,
    address: SocketAddr,
    login: Login,
    session: Option<Session>,
}

/// What one look brought.
enum Look {
    Seen(NodeState),
    Unreachable,
    /// The node answered, but not what was asked, as it may in the instant of its promotion.
    Unclear,
}

/// Answers that stay unclear for longer than this are recorded as they are: a damaged node goes on answering with
/// errors.
const UNCLEAR_AT_MOST: Duration = Duration::from_secs(1);

impl Eye {
    async fn watch(mut self, recorder: Recorder) -> String {
        let mut pulse = Pulse::new(OBSERVER.name, &self.node, &recorder);
        let mut due = every(PERIOD);
        let mut told: Option<(NodeState, Instant)> = None;
        let mut switches = Switches::default();
        let mut last_clear = Instant::now();
        loop {
            due.tick().await;
            let asked_us = recorder.now_us();
            let state = match self.look().await {
                Look::Seen(state) => NodeState { asked_us: Some(asked_us), ..state },
                Look::Unreachable => unreachable(&self.node),
                Look::Unclear if last_clear.elapsed() > UNCLEAR_AT_MOST => {
                    NodeState { reachable: true, ..unreachable(&self.node) }
                }
                Look::Unclear => continue,
            };
            if !state.reachable || state.role.is_some() {
                last_clear = Instant::now();
            }
            if told.as_ref().is_none_or(|(before, at)| is_news(before, at.elapsed(), &state)) {
                recorder.record(Occurrence::NodeState(state.clone()));
                told = Some((state.clone(), Instant::now()));
            }
            if let (Some(_), Some(session)) = (state.role, &self.session) {
                for switch in switches.look(&self.node, state.timeline, session).await {
                    recorder.record(switch);
                }
            }
            pulse.beat();
        }
    }

    async fn look(&mut self) -> Look {
        let session = match self.session.take() {
            Some(session) => session,
            None => match timeout(TIMEOUT, Session::open(self.address, &self.login, "pgquake-observer")).await {
                Ok(Ok(session)) => session,
                Ok(Err(_)) | Err(_) => return Look::Unreachable,
            },
        };
        let Ok(answer) = timeout(TIMEOUT, session.simple_query(&STATEMENT)).await else { return Look::Unreachable };
        if session.ended().is_some() {
            return Look::Unreachable;
        }
        self.session = Some(session);
        let Ok(messages) = answer else { return Look::Unclear };
        let state = rows(&messages).next().and_then(|row| state(&self.node, row));
        state.map_or(Look::Unclear, Look::Seen)
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
        asked_us: None,
    }
}

fn state(node: &str, row: &SimpleQueryRow) -> Option<NodeState> {
    let cell = |index| row.try_get(index).ok().flatten();
    Some(NodeState {
        node: node.to_owned(),
        reachable: true,
        role: Some(if cell(0)? == "t" { Role::Standby } else { Role::Primary }),
        timeline: cell(1).map(str::parse).transpose().ok()?,
        lsn: cell(2).and_then(|lsn| lsn.parse().ok()),
        streaming_from: cell(3).map(str::to_owned),
        standbys: cell(4).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
        asked_us: None,
    })
}

/// Whether a state is worth recording, so long after the one that was recorded last.
fn is_news(before: &NodeState, since: Duration, state: &NodeState) -> bool {
    let moved = state.lsn != before.lsn && since >= TELL_MOVED;
    moved || since >= TELL_AT_LEAST || !same_but_lsn(before, state)
}

fn same_but_lsn(one: &NodeState, other: &NodeState) -> bool {
    let rest = |state: &NodeState| NodeState { lsn: None, asked_us: None, ..state.clone() };
    rest(one) == rest(other)
}

/// Switches of timelines in a node's history files: every line of each, so that a timeline is not lost on which
/// nobody saw a primary.
#[derive(Default)]
struct Switches {
    told: BTreeSet<Switch>,
    /// The timeline that the node was on when the files were read last.
    timeline: Option<u32>,
    read: Option<Instant>,
}

/// The beginning of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Switch {
    parent: u32,
    timeline: u32,
    switch_lsn: u64,
}

/// The time between two readings of the history files while the node's timeline does not change. They change under a
/// timeline of the same number when a node is rewound or rebuilt.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The name of each history file, and what it holds.
const HISTORY_FILES: &str =
    "SELECT name, pg_read_file('pg_wal/' || name) FROM pg_ls_waldir() WHERE name LIKE '%.history'";

impl Switches {
    /// The switches that are new. A node that is on its first timeline has no file: nothing was switched.
    async fn look(&mut self, node: &str, timeline: Option<u32>, session: &Session) -> Vec<Occurrence> {
        let told = timeline.is_none_or(|timeline| timeline < 2 || self.told.iter().any(|own| own.timeline == timeline));
        let due = self.read.is_none_or(|read| read.elapsed() >= READ_AGAIN);
        if !due && (told || timeline == self.timeline) {
            return Vec::new();
        }
        (self.timeline, self.read) = (timeline, Some(Instant::now()));
        let Ok(Ok(answer)) = timeout(TIMEOUT, session.simple_query(HISTORY_FILES)).await else { return Vec::new() };
        let file = |row: &SimpleQueryRow| Some(parse_history(row.try_get(0).ok()??, row.try_get(1).ok()??));
        let files = rows(&answer).filter_map(file);
        let new: Vec<Switch> = files.flatten().filter(|switch| self.told.insert(*switch)).collect();
        let occurrence = |Switch { parent, timeline, switch_lsn }: Switch| {
            let node = node.to_owned();
            Occurrence::TimelineSwitch { node, parent, timeline, switch_lsn }
        };
        new.into_iter().map(occurrence).collect()
    }
}

/// The switches in a history file, the oldest first. Each line that is neither empty nor a comment is `parent
/// <tab> lsn <tab> reason`: where the parent was left for the timeline of the next line, and in the last line for that of
/// the file's name. Nothing of a file that can't be read in full.
fn parse_history(name: &str, file: &str) -> Vec<Switch> {
    let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let number = name.split('.').next().and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let (Some(left), Some(last)) = (lines.map(parse_line).collect::<Option<Vec<_>>>(), number) else {
        return Vec::new();
    };
    let children = left.iter().skip(1).map(|(parent, _)| *parent).chain([last]);
    let begun = left.iter().zip(children);
    begun.map(|(&(parent, switch_lsn), timeline)| Switch { parent, timeline, switch_lsn }).collect()
}

/// The timeline of a history file's line and the WAL position where it was left.
fn parse_line(line: &str) -> Option<(u32, u64)> {
    let mut fields = line.split_whitespace();
    let timeline = fields.next()?.parse().ok()?;
    let (high, low) = fields.next()?.split_once('/')?;
    let part = |hex| u64::from(u32::from_str_radix(hex, 16).ok()?).into();
    let (high, low): (Option<u64>, Option<u64>) = (part(high), part(low));
    Some((timeline, (high? << 32) | low?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_file_tells_every_switch() {
        let file = "1\t0/5000148\tno recovery target specified\n\n2\t1/A0000000\tno recovery target specified\n";
        let switch = |parent, timeline, switch_lsn| Switch { parent, timeline, switch_lsn };
        // Timeline 3 was never begun: node2 took the number 4, because it knew 3 as taken.
        assert_eq!(parse_history("00000004.history", file), [switch(1, 2, 0x500_0148), switch(2, 4, 0x1_A000_0000)]);
        assert_eq!(parse_history("0000000A.history", "# empty\n\n"), []);
        assert_eq!(parse_history("00000002.history", "1\tnonsense\n"), []);
    }

    #[test]
    fn a_new_wal_position_alone_is_told_less_often_than_a_change() {
        let before = NodeState { role: Some(Role::Primary), lsn: Some(1), ..unreachable("node1") };
        let after_ms = |ms, state: &NodeState| is_news(&before, Duration::from_millis(ms), state);
        let asked_again = NodeState { asked_us: Some(9), ..before.clone() };
        let moved = NodeState { lsn: Some(2), ..asked_again.clone() };
        assert!(!after_ms(100, &moved) && after_ms(250, &moved));
        assert!(!after_ms(900, &asked_again) && after_ms(1000, &asked_again));
        assert!(after_ms(100, &NodeState { timeline: Some(2), ..before.clone() }));
    }
}
