//! What did a failover cost clients whose sessions are pooled, and did they come back by themselves?
//!
//! Judged of each endpoint that leads to a primary through poolers, from the effect of the first fault to the end of the load:
//!
//! - **Left behind** is a client of the load, or the session that is held, that was acknowledged nothing in the last [`LAST_US`] of
//!   the load, though some node acknowledged writes at its own port. One that hangs tries nothing any more. Clients connect
//!   again to the same place when their session breaks, and do nothing else.
//! - **On the wrong node** is a session on which a standby refused a write (SQLSTATE 25006) once another node had settled as
//!   primary ([`super::routing`]): a pooler keeps a client's session when PostgreSQL ends its own, so a session can stay with a
//!   node that was demoted.
//! - **Errors** are attempts of these clients that failed. The longest wait of one is the longest time between two writes
//!   that were acknowledged to it.
//! - The outage of fresh clients stands beside that at an endpoint for writes without poolers, where the topology has one. That one
//!   is tried less often: it is known to `unpooled_outage_resolution_ms`.
//! - **Idle clients** that had no session when the load ended were left behind too (`idle_clients_left`), though they try
//!   again at their own pace.
//! - Poolers show how many sessions with PostgreSQL they had, and for how long a client waited for one.
//!
//! Without a fault, a steady load, or writers there is nothing to judge.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{
        grouping::Watched,
        outage::{Window, outages},
        phases::milliseconds,
        record::Tried,
        watched::is_read_only,
    },
    routing::{can_lead_to, is_within, settled},
};
use crate::{
    history::{
        Occurrence,
        event::{ClientKind, IdleClients, Operation},
    },
    plan::PlannedEndpoint,
    topology::Serves,
};

const NAME: &str = "pool";
pub const POOLED_CLIENTS_LEFT: &str = "pooled_clients_left";
pub const SESSIONS_ON_WRONG_NODE: &str = "sessions_on_wrong_node";
pub const POOLED_WAIT_MS: &str = "pooled_wait_ms";
const POOLED_ERRORS: &str = "pooled_errors";
const POOLED_OUTAGE_MS: &str = "pooled_outage_ms";
const UNPOOLED_OUTAGE_MS: &str = "unpooled_outage_ms";
const UNPOOLED_OUTAGE_RESOLUTION_MS: &str = "unpooled_outage_resolution_ms";
pub const IDLE_CLIENTS_LEFT: &str = "idle_clients_left";
const IDLE_CLIENTS: &str = "idle_clients";
const IDLE_SESSIONS_BROKEN: &str = "idle_sessions_broken";
pub const POOL_SESSIONS_MAX: &str = "pool_sessions_max";
const POOL_WAIT_MAX_MS: &str = "pool_wait_max_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "What did a fault cost clients whose sessions are pooled, and did they come back by themselves?",
    measures: &[
        POOLED_CLIENTS_LEFT,
        SESSIONS_ON_WRONG_NODE,
        POOLED_WAIT_MS,
        POOLED_ERRORS,
        POOLED_OUTAGE_MS,
        UNPOOLED_OUTAGE_MS,
        UNPOOLED_OUTAGE_RESOLUTION_MS,
        IDLE_CLIENTS_LEFT,
        IDLE_CLIENTS,
        IDLE_SESSIONS_BROKEN,
        POOL_SESSIONS_MAX,
        POOL_WAIT_MAX_MS,
    ],
    over: Over::Lineage,
    judge,
};

/// A client that lives is acknowledged something in this time: it tries again at once, and waits for an answer for at most 10 s
/// if its session is held.
const LAST_US: u64 = 3_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let plan = evidence.plan;
    let is_pooled = |endpoint: &&PlannedEndpoint| endpoint.pooled && endpoint.serves == Serves::Primary;
    let pooled: Vec<&PlannedEndpoint> =
        plan.endpoints.iter().filter(is_pooled).filter(|endpoint| !plan.is_blocked(endpoint)).collect();
    let findings = pooled.into_iter().filter_map(|endpoint| judge_one(evidence, endpoint)).collect();
    evidence.held(NAME, findings, "no client wrote through a pooler before and after a fault")
}

/// `None`: there is nothing to judge.
fn judge_one(evidence: &Evidence<'_>, endpoint: &PlannedEndpoint) -> Option<Finding> {
    let watched = Watched::of(evidence.events);
    let steady_us = watched.steady_us?;
    // What befell another lineage alone cost these clients nothing.
    evidence.is_hit().then_some(())?;
    let from_us = evidence.faults().iter().filter_map(|fault| fault.effect).map(|effect| effect.from_us).min()?;
    let window = Window { from_us, until_us: watched.until_us, ended_by_fault: watched.ground_lost };
    let is_client = |tried: &&Tried<'_>| {
        let attempt = tried.attempt;
        attempt.endpoint == endpoint.name
            && matches!(attempt.client_kind, ClientKind::Held | ClientKind::Writer)
            && tried.is_write()
    };
    let own: Vec<&Tried<'_>> = evidence.attempts().iter().filter(is_client).collect();
    let clients = Clients { own: &own, window };
    own.iter().any(|tried| tried.attempt.client_kind == ClientKind::Writer).then_some(())?;
    let settled = settled(evidence, endpoint, steady_us);
    let served = last_direct_write_us(evidence, endpoint, window.until_us);
    let left = clients.left_behind(served);
    let (wrong, shown) = clients.on_wrong_node(&settled);
    let errors = own.iter().filter(|tried| tried.ended_us >= from_us && !tried.acknowledged()).count();
    let wait_ms = clients.longest_wait_ms();
    let outage_ms = longest_outage_ms(evidence, &endpoint.name, window);
    let mut details = vec![
        Measure::new(SESSIONS_ON_WRONG_NODE, wrong.len() as f64),
        Measure::new(POOLED_WAIT_MS, wait_ms),
        Measure::new(POOLED_ERRORS, errors as f64),
        Measure::new(POOLED_OUTAGE_MS, outage_ms),
    ];
    let unpooled = beside(evidence, endpoint, window);
    details.extend(unpooled.iter().flat_map(|(outage_ms, resolution_ms)| {
        [Measure::new(UNPOOLED_OUTAGE_MS, *outage_ms), Measure::new(UNPOOLED_OUTAGE_RESOLUTION_MS, *resolution_ms)]
    }));
    let idle = idle_clients(evidence, &endpoint.name, watched.until_us);
    details.extend(idle.iter().flat_map(|idle| {
        [
            Measure::new(IDLE_CLIENTS_LEFT, f64::from(idle.wanted.saturating_sub(idle.connected))),
            Measure::new(IDLE_CLIENTS, f64::from(idle.wanted)),
            Measure::new(IDLE_SESSIONS_BROKEN, idle.broken as f64),
        ]
    }));
    details.extend(of_pools(evidence));
    let summary = format!(
        "{} of {} pooled clients of {} were left behind, and {} of their sessions stayed with a standby; the longest wait of \
         one was {:.1} s, {errors} attempts failed; fresh clients could not write for {:.1} s{}{}",
        left.len(),
        clients.all().len(),
        endpoint.name,
        wrong.len(),
        wait_ms / 1000.0,
        outage_ms / 1000.0,
        unpooled
            .map(|(outage_ms, _)| format!(", without a pooler for {:.1} s", outage_ms / 1000.0))
            .unwrap_or_default(),
        idle.map(|idle| format!("; {} of {} idle clients had a session in the end", idle.connected, idle.wanted))
            .unwrap_or_default()
    );
    let evidence = left.values().copied().chain(shown).take(SHOWN_EVENTS);
    let finding = match served {
        Some(_) => Finding::new(NAME, Outcome::Pass, summary),
        None => Finding::new(
            NAME,
            Outcome::Inconclusive,
            format!("no node accepted writes at its own port when the load ended, so nobody could write; {summary}"),
        ),
    };
    let finding = finding.with_measure(Measure::new(POOLED_CLIENTS_LEFT, left.len() as f64));
    Some(finding.with_details(details).with_evidence(evidence))
}

/// Clients that keep a session at one endpoint.
struct Clients<'a, 'e> {
    /// Their writes, in the order in which they started.
    own: &'a [&'a Tried<'e>],
    window: Window,
}

impl Clients<'_, '_> {
    /// Writers by their number. A session that is held has a number of its own, so all of them are one client.
    fn client_of(tried: &Tried<'_>) -> Option<u32> {
        (tried.attempt.client_kind == ClientKind::Writer).then_some(tried.attempt.client)
    }

    fn all(&self) -> BTreeSet<Option<u32>> {
        self.own.iter().map(|tried| Self::client_of(tried)).collect()
    }

    /// Clients that were acknowledged nothing in the last time of the load, each with its last attempt; none where nobody
    /// could be served.
    fn left_behind(&self, served: Option<u64>) -> BTreeMap<Option<u32>, u64> {
        let mut left = BTreeMap::new();
        let Some(served_us) = served else { return left };
        let from_us = served_us.min(self.window.until_us).saturating_sub(LAST_US).max(self.window.from_us);
        let mut acknowledged = BTreeSet::new();
        for tried in self.own.iter().filter(|tried| tried.started_us() < self.window.until_us) {
            let client = Self::client_of(tried);
            if tried.acknowledged() && tried.ended_us >= from_us {
                acknowledged.insert(client);
            }
            left.insert(client, tried.seq);
        }
        left.retain(|client, _| !acknowledged.contains(client));
        left
    }

    /// Sessions on which a standby refused a write while another node was settled, and attempts that show it.
    fn on_wrong_node(&self, settled: &[(u64, u64)]) -> (BTreeSet<u32>, Vec<u64>) {
        let refused = self.own.iter().filter(|tried| {
            tried.started_us() >= self.window.from_us
                && is_read_only(&tried.attempt.outcome)
                && is_within(settled, tried)
        });
        let refused: Vec<&&Tried<'_>> = refused.collect();
        (refused.iter().map(|tried| tried.attempt.client).collect(), refused.iter().map(|tried| tried.seq).collect())
    }

    /// The longest time between two writes in a row that were acknowledged to one client, until its last attempt.
    fn longest_wait_ms(&self) -> f64 {
        let mut answers: BTreeMap<Option<u32>, Vec<u64>> = BTreeMap::new();
        let mut last: BTreeMap<Option<u32>, u64> = BTreeMap::new();
        for tried in self.own.iter().filter(|tried| tried.started_us() < self.window.until_us) {
            let client = Self::client_of(tried);
            let until_us = last.entry(client).or_default();
            *until_us = tried.ended_us.max(*until_us);
            if tried.acknowledged() {
                answers.entry(client).or_default().push(tried.ended_us);
            }
        }
        let longest = answers.into_iter().filter_map(|(client, mut instants)| {
            instants.extend(last.get(&client));
            instants.sort_unstable();
            let after = instants.windows(2).filter(|pair| pair[1] >= self.window.from_us);
            after.map(|pair| pair[1] - pair[0]).max()
        });
        milliseconds(longest.max().unwrap_or(0))
    }
}

/// When a node that an endpoint can lead to last acknowledged a write at its own port, if one did in the last time of the load.
fn last_direct_write_us(evidence: &Evidence<'_>, endpoint: &PlannedEndpoint, until_us: u64) -> Option<u64> {
    let direct = evidence.attempts().iter().filter(|tried| {
        let at_node = tried
            .answered_by()
            .is_some_and(|(node, _)| node == tried.attempt.endpoint && can_lead_to(evidence.whole, endpoint, node));
        at_node && tried.is_write() && tried.started_us() < until_us
    });
    let tried = evidence.attempts().iter().filter(|tried| tried.started_us() < until_us);
    let end_us = tried.map(|tried| tried.ended_us).max()?.min(until_us);
    let last_us = direct.map(|tried| tried.ended_us).max()?;
    (end_us.saturating_sub(last_us) < LAST_US).then_some(last_us)
}

fn longest_outage_ms(evidence: &Evidence<'_>, endpoint: &str, window: Window) -> f64 {
    let fresh = evidence.attempts().iter().filter(|tried| tried.is_fresh(endpoint, Operation::Write));
    let fresh: Vec<Tried<'_>> = fresh.copied().collect();
    let tried_us = fresh.iter().map(|tried| tried.ended_us).max().unwrap_or(window.from_us);
    let lengths = outages(&fresh, window).into_iter().map(|outage| outage.length_us(window.until_us.min(tried_us)));
    milliseconds(lengths.max().unwrap_or(0))
}

/// The longest outage at an endpoint for the same cluster that leads to its primary without poolers, and the longest time between two
/// attempts there.
fn beside(evidence: &Evidence<'_>, pooled: &PlannedEndpoint, window: Window) -> Option<(f64, f64)> {
    let plan = evidence.plan;
    let is_beside = |endpoint: &&PlannedEndpoint| {
        endpoint.serves == pooled.serves && !endpoint.pooled && endpoint.of == pooled.of && plan.is_served(endpoint)
    };
    let name = &plan.endpoints.iter().find(is_beside)?.name;
    let fresh = evidence.attempts().iter().filter(|tried| tried.is_fresh(name, Operation::Write));
    let starts: Vec<u64> = fresh.map(Tried::started_us).filter(|at_us| *at_us < window.until_us).collect();
    let resolution_us = starts.windows(2).map(|pair| pair[1] - pair[0]).max()?;
    Some((longest_outage_ms(evidence, name, window), milliseconds(resolution_us)))
}

/// How the idle clients of an endpoint fared in the end.
fn idle_clients<'a>(evidence: &Evidence<'a>, endpoint: &str, until_us: u64) -> Option<&'a IdleClients> {
    let told = evidence.events.iter().rev().filter(|event| event.at_us <= until_us);
    told.into_iter().find_map(|event| match &event.what {
        Occurrence::IdleClients(idle) if idle.endpoint == endpoint => Some(idle),
        _ => None,
    })
}

fn sum(sessions: &BTreeMap<String, u32>) -> u64 {
    sessions.values().copied().map(u64::from).sum()
}

/// What poolers showed: the most sessions that one had with PostgreSQL, and the longest that a client waited for one.
fn of_pools(evidence: &Evidence<'_>) -> Vec<Measure> {
    // A pool of a role is that of the one cluster.
    let is_own = |called: &String| {
        let pooler = evidence.whole.poolers().find(|pooler| pooler.called == called);
        pooler.is_some_and(|own| own.leads_to.is_some() || evidence.plan.nodes.iter().any(|node| node == own.host))
    };
    let states = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::PoolState(state) if state.reachable && is_own(&state.pooler) => Some(state),
        _ => None,
    });
    let seen = states.map(|state| (sum(&state.sessions), state.longest_wait_us));
    let most = seen.reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)));
    most.into_iter()
        .flat_map(|(sessions, wait_us)| {
            [Measure::new(POOL_SESSIONS_MAX, sessions as f64), Measure::new(POOL_WAIT_MAX_MS, milliseconds(wait_us))]
        })
        .collect()
}
