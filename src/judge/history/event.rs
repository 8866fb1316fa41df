//! What can happen in a run. Each line of `history.jsonl` is one [`Event`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use super::archive::{
    ArchiveDue, ArchiveListed, ArchiveObject, BackupTaken, RestoreOutcome, RestoreTarget, Restored,
};
pub use super::attempt::{Attempt, AttemptOutcome, ClientKind, Contact, LedgerCounts, Operation, SequenceRange};
pub use super::connections::{ConnectionAnswer, ConnectionTried};
pub use super::database::{DatabaseContents, DatabaseFound, DatabaseRead, DatabaseWrite, Nearest, Neighbour, Vectors};
pub use super::encryption::{EntryAnswer, EntryTried, SessionPurpose, SessionsSeen, WayIn};
pub use super::expectation::{Bound, Expectation};
pub use super::lease::{Cell, Worst};
pub use super::pool::{ApplicationState, IdleClients, PoolState};
pub use super::run::{Rule, RunStarted, ScenarioStarted, Shard, ShardError};
pub use super::runbook::{CommandRun, RunbookStep};
pub use super::subscription::{SubscriberRead, SubscriberSchema, SubscriptionState};
pub use crate::schema::SCHEMA;

/// One line of the history. How it is read stands in [`super::line`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Position in the history, counted from 1; the id by which findings point at their evidence.
    pub seq: u64,
    /// When it was recorded: microseconds on the run's monotonic clock, from the start of the run.
    pub at_us: u64,
    /// The scenario (one trial of one) that it belongs to, counted from 1; 0 is the run itself.
    pub scenario: u32,
    /// What happened.
    #[serde(flatten)]
    pub what: Occurrence,
}

/// Declares [`Occurrence`] and its twin, by which [`super::line`] reads it: serde takes one tag for both ways.
macro_rules! occurrences {
    ($(#[$about:meta])* pub enum Occurrence { $($variants:tt)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum Occurrence { $($variants)* }

        #[derive(Deserialize)]
        #[serde(remote = "Occurrence", rename_all = "snake_case", deny_unknown_fields)]
        pub(super) enum KnownOccurrence { $($variants)* }
    };
}

occurrences! {
/// What happened. Internally tagged: `{"kind": "leader_key", …}`.
pub enum Occurrence {
    // ---- the run and its scenarios
    RunStarted(RunStarted),
    /// Every image that the run needs exists.
    ImagesReady {
        /// Versions of what runs in the containers, by package.
        versions: BTreeMap<String, String>,
        /// The id of each image that was used, by its kind; empty in histories of schema 1 to 3.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        images: BTreeMap<String, String>,
    },
    RunEnded {
        /// Why the run ended before its scenarios did (a signal, a full disk), if it did.
        interrupted: Option<String>,
    },
    ScenarioStarted(ScenarioStarted),
    ScenarioEnded,
    /// Before the first fault the machine was starved, so that the trial would have proven nothing: it is ended, and begun
    /// again under another number.
    StarvedBeforeFault {
        /// How late the harness's own timers fired at worst since the steady state.
        late_us: u64,
    },
    /// Which cell the trial takes; recorded before its first fault, where an agent keeps a lease.
    CellDrawn(Cell),
    /// A step of the scenario began; the report shows the text beside the events.
    StepStarted {
        text: String,
        line: usize,
    },
    StepFailed {
        text: String,
        line: usize,
        message: String,
    },
    /// A step of the user's own, outside pgquake's table, failed: what it asserts does not hold.
    AssertionFailed {
        message: String,
    },
    /// An expectation that a `Then` step states. The checks judge it when the scenario is closed.
    Expected(Expectation),
    /// The scenario reached a point that checks and drawings refer to.
    Reached {
        milestone: Milestone,
    },
    /// Every service of the topology is ready.
    ClusterReady {
        /// From the start of the first container to a writable endpoint with every standby streaming.
        startup_ms: u64,
    },
    ClusterRemoved {
        removal_ms: u64,
    },

    /// What the harness itself stands on broke: the engine is gone, a container ended that no fault had ended, this
    /// machine is out of memory or disk. What comes after proves nothing.
    GroundLost {
        reason: String,
    },

    /// Hosts tried the ports that the rules of a firewall name.
    ConnectionsTried {
        tried: Vec<ConnectionTried>,
    },

    /// Somebody tried to get in who must not.
    EntriesTried { tried: Vec<EntryTried> },

    // ---- runbooks
    CommandRun(CommandRun),
    /// A step of a runbook was done. `at_us` is when that was seen.
    Runbook {
        step: RunbookStep,
        /// The cluster that it concerns.
        cluster: String,
        /// What showed that it was done.
        evidence: String,
    },

    /// A node was in recovery just before a runbook promoted it. What it accepts on its new timeline comes after
    /// `asked_us`.
    StandbySeen {
        node: String,
        /// When the node was asked. It was so at some instant from then until the event.
        asked_us: u64,
    },

    // ---- faults
    FaultInjecting(FaultInjecting),
    /// The fault is proven to bite. It took effect between the two instants.
    FaultConfirmed {
        fault: u32,
        effect_from_us: u64,
        effect_to_us: u64,
        evidence: String,
    },
    /// The fault could not be proven to bite, or ceased to by itself: the scenario is inconclusive.
    FaultUnconfirmed {
        fault: u32,
        reason: String,
    },
    /// The fault is proven to bite with other parameters.
    FaultChanged {
        fault: u32,
        /// Those that changed, as the scenario writes them.
        parameters: BTreeMap<String, String>,
        evidence: String,
    },
    /// A later fault took the host or service of this one away: it does not bite until it is put back.
    FaultSuspended {
        fault: u32,
        /// The later fault.
        by: u32,
        reason: String,
    },
    /// The fault was put back with its host or service, and is proven to bite again.
    FaultResumed {
        fault: u32,
        evidence: String,
    },
    FaultHealing {
        fault: u32,
    },
    /// The fault is proven to be gone.
    FaultHealed {
        fault: u32,
        evidence: String,
    },

    // ---- workload
    /// One attempt of a client ended. `at_us` is when its answer (or its failure) was seen.
    Attempt(Attempt),
    /// What a node's ledger table holds, read when all nodes had rejoined and replay had caught up.
    LedgerRead {
        node: String,
        timeline: u32,
        /// The rows that the table itself holds, each once, whatever its index says.
        found: Vec<SequenceRange>,
        /// What else was counted; `None` in histories of schema 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counts: Option<LedgerCounts>,
        /// What the node was when it was read; `None` in histories of schema 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
        /// The WAL position that a primary had written when its rows had been read, or that a standby had replayed
        /// before they were; `None` in histories of schema 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lsn: Option<u64>,
    },
    /// The ledger of a node could not be read: what it holds stays unknown.
    LedgerUnread {
        node: String,
        reason: String,
    },

    DatabaseWrite(DatabaseWrite),
    DatabaseRead(DatabaseRead),
    SubscriberRead(SubscriberRead),
    /// The ledger of a subscriber could not be read: what it holds stays unknown.
    SubscriberUnread {
        subscription: String,
        reason: String,
    },
    SubscriberSchema(SubscriberSchema),

    // ---- archives and backups
    /// A version of an object of an archive; recorded when it is seen for the first time.
    ArchiveObject(ArchiveObject),
    /// An archive was looked at; recorded on each change and at least once a second.
    ArchiveListed(ArchiveListed),
    ArchiveDue(ArchiveDue),
    BackupTaken(BackupTaken),
    Restored(Restored),

    // ---- observers
    /// The leader key changed, as one etcd member told it.
    LeaderKey {
        /// The etcd member that was watched.
        member: String,
        /// The holder's Patroni name; `None`: the key is gone.
        holder: Option<String>,
        /// etcd's revision of the change; equal on all members.
        revision: i64,
        /// What was already so when the watch began, not a change.
        initial: bool,
        /// The cluster whose key it is; `None`: the plan has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
    },
    /// The leader of a cluster wrote its WAL position into the DCS. Patroni's does so in each loop, right after it has
    /// refreshed the lease of its key, if the position has changed.
    LeaseRefreshed {
        /// etcd's revision of that.
        revision: i64,
        /// The cluster; `None`: the plan has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
    },
    /// The raft leader of the DCS changed, as its members tell it.
    DcsLeader {
        member: Option<String>,
        /// The DCS; `None`: the plan has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dcs: Option<String>,
        /// When the last look began that did not show this; `None`: there was none, or it is not recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before_us: Option<u64>,
    },
    /// A PostgreSQL node as SQL shows it; recorded on each change and at least once a second.
    NodeState(NodeState),
    /// A node's history file names a switch of timelines.
    TimelineSwitch {
        node: String,
        parent: u32,
        timeline: u32,
        /// The WAL position where the new timeline leaves its parent.
        switch_lsn: u64,
    },
    /// A replication slot as the node that has it shows it; recorded on each change and at least once a second.
    SlotState {
        node: String,
        slot: String,
        /// Whether a receiver uses it.
        active: bool,
        /// How much WAL the node keeps for it, from what the slot still needs to the end of the WAL; `None`: it needs none
        /// yet, or what it needs is gone.
        held_bytes: Option<u64>,
        /// PostgreSQL's `wal_status`: `reserved`, `extended`, `unreserved` or `lost`.
        wal_status: Option<String>,
    },
    /// A node answered, and has no replication slot of this name, which a follower of its cluster uses; recorded as
    /// `SlotState` is.
    SlotAbsent {
        node: String,
        slot: String,
    },
    /// Recorded on each change and at least once a second.
    SubscriptionState(SubscriptionState),
    /// A Patroni agent as its REST API shows it; recorded on each change.
    AgentState {
        node: String,
        reachable: bool,
        role: Option<String>,
        state: Option<String>,
        timeline: Option<u32>,
        /// A setting was changed that PostgreSQL takes over only when it is restarted.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pending_restart: bool,
    },
    /// An observer saw which version of a program runs on a host, as `4.1.5`; recorded at the first look, and on each change.
    VersionTold {
        host: String,
        /// `patroni`, `postgresql` or `etcd`.
        program: String,
        version: String,
    },
    /// A proxy's view of one server changed.
    ProxyState {
        /// Its own name, or else its host's.
        proxy: String,
        backend: String,
        server: String,
        up: bool,
        status: String,
    },
    /// What a node shows of its sessions with other machines; recorded on each new kind of them and at least every 5 s.
    Sessions { node: String, sessions: Vec<SessionsSeen> },
    /// What a pooler shows of its pools; recorded on each change and at least once a second.
    PoolState(PoolState),
    /// How many idle clients have a session; recorded at most once a second, on each change.
    IdleClients(IdleClients),
    /// Told once a second, where it has changed.
    ApplicationState(ApplicationState),
    /// The clients of an application begin; they keep their numbers over all their sessions.
    ApplicationStarted {
        application: String,
        /// The first of their numbers, which follow each other.
        first_client: u32,
        clients: u32,
    },
    /// What a global name is answered with changed, as the harness asks for it.
    NameAnswer {
        name: String,
        /// The hosts, sorted; an address that no host has stands for itself. Of a name by weight, all that were answered
        /// since the last silence. `None`: no answer came.
        hosts: Option<Vec<String>>,
    },
    /// The host that answers for a virtual address changed, as this machine's table of neighbours shows it.
    AddressHolder {
        address: String,
        /// `None`: nobody answers.
        holder: Option<String>,
    },
    /// What the watchdog of a host says of itself; recorded on each change.
    Watchdog(WatchdogChange),
    /// Docker told of a container: start, die, kill, pause …
    ContainerEvent {
        host: String,
        service: String,
        action: String,
        /// The engine's own time of it, in nanoseconds since 1970: data, never order.
        engine_time_ns: i64,
        /// Of a death: the exit status of the container's main process; 137 is SIGKILL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_status: Option<i32>,
    },
    /// Sign of life, about once a second: the observer of `target` is watching.
    ObserverAlive {
        observer: String,
        target: String,
    },
    /// The observer itself failed. What its target did from here on is unknown.
    ObserverLost {
        observer: String,
        target: String,
        reason: String,
    },
    /// The harness's own timer fired this late, the worst of the last second. Above a few milliseconds the
    /// machine was starved and timings are doubtful.
    TimerLate {
        late_us: u64,
    },
}
}

/// A watchdog was started, stopped, or resets its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchdogChange {
    /// The node whose agent feeds it; its host is what is reset.
    pub node: String,
    pub state: WatchdogState,
    /// How long it may go unfed, in milliseconds, where it says so: when it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long it had gone unfed, in milliseconds, where it says so: when it resets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfed_ms: Option<u64>,
}

/// What a watchdog says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchdogState {
    /// It runs.
    Armed,
    /// It was stopped, in good order.
    Disarmed,
    /// Nobody has it open any more, and it runs on.
    Abandoned,
    /// It resets its host within a moment, unless it is fed.
    Expiring,
    /// It was fed after all.
    FedAtLast,
    /// It resets its host now.
    Resetting,
}

/// Points of a scenario, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// Load runs and every client of the write endpoint succeeds without a break.
    SteadyState,
    /// After the fault, writes have succeeded without a break for the settling time.
    Recovered,
    /// Every fault is healed and every node follows the primary's timeline and has replayed its WAL.
    Rejoined,
    /// The load has ended; ledgers are read after this.
    LoadStopped,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultInjecting {
    /// Number of the fault in the scenario, counted from 1.
    pub fault: u32,
    /// Its name in the table of faults.
    pub name: String,
    /// What it was aimed at, in words, for example `host node1 (primary)`.
    pub target: String,
    /// The hosts that it touches.
    pub hosts: Vec<String>,
    /// The services that it touches, as `host/service`.
    pub services: Vec<String>,
    pub parameters: BTreeMap<String, String>,
    /// It makes a primary give its leader key up in order, so that no lease has to run out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hands_over: bool,
    /// In which circumstances it was to come.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub worst: BTreeSet<Worst>,
    /// The node that was primary (held the leader key and accepted writes) just before.
    pub primary_before: Option<String>,
    /// The etcd member that was the raft leader just before.
    pub dcs_leader_before: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Primary,
    Standby,
}

/// What SQL shows of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeState {
    pub node: String,
    /// Whether the node answered; if not, the rest is empty.
    pub reachable: bool,
    pub role: Option<Role>,
    pub timeline: Option<u32>,
    /// Current WAL position of a primary, replayed position of a standby.
    pub lsn: Option<u64>,
    /// A standby: the host that it streams from, while it streams.
    pub streaming_from: Option<String>,
    /// A primary: its standbys that stream, with their synchronous state (`sync`, `async`, `quorum`).
    pub standbys: BTreeMap<String, String>,
    /// When the node was asked: what it told was so at some instant from then until the event. `None`: not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_us: Option<u64>,
}

impl NodeState {
    /// Whether it answered as a primary.
    pub fn is_primary(&self) -> bool {
        self.reachable && self.role == Some(Role::Primary)
    }

    /// Whether it answered as a standby that streams from nobody: what it replays comes from an archive, if from anywhere.
    pub fn takes_from_an_archive(&self) -> bool {
        self.reachable && self.role == Some(Role::Standby) && self.streaming_from.is_none()
    }

    /// Whether it answered as a standby that streams this timeline.
    pub fn streams_on(&self, timeline: Option<u32>) -> bool {
        let standby = self.reachable && self.role == Some(Role::Standby);
        standby && self.streaming_from.is_some() && self.timeline.is_some() && self.timeline == timeline
    }
}
