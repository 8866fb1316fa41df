//! Do the clients of an application write again, and how long does one of them wait?
//!
//! One finding for each application. New connections show how long a server is away; a client that holds a session finds that
//! out by its own timeouts, or never.
//!
//! - **Wait.** `application_wait_ms` is the longest time between two acknowledged writes of any one client, from the steady state to
//!   the end of the load. One that still waits then has waited for at least that long: more than a bound fails, less is in doubt.
//! - **Left behind.** `application_clients_left` had no acknowledged write for longer than [`LEFT_US`] and every timeout of their
//!   own while new connections to their endpoint were served without a break. Each is a failure, also one that wrote again later:
//!   then something else helped it, as a lost machine that came back. Where the load ended sooner it is in doubt, and so is a
//!   client that waited and was not seen to try all the time, one that has not written since the last fault, one that waited while new connections
//!   were served now and then, and whatever fails while the harness's own timers were late or its load failed.
//! - `application_errors` of their attempts failed from the first fault on, `application_read_only_errors` of those because the
//!   server was a standby (SQLSTATE 25006), and `application_connects_in_densest_s` connections were opened or tried in the densest second
//!   at least. Somebody looks once in a second; a bound that two looks together miss is in doubt.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{
        bracket::{self, Bracket, Bracketed},
        grouping::Watched,
        phases::milliseconds,
        record::{GROUND_NOTICED_WITHIN_US, Tried, watched_span},
        watched::is_read_only,
    },
    harness_was_sound::{in_doubt_if_late, latest_timer_within},
    recovery_time::{doubted_by_lateness, load_failed},
};
use crate::{
    history::{
        Occurrence,
        event::{ClientKind, Expectation, Operation},
    },
    topology::{Application, NODES},
};

const NAME: &str = "applications";
pub const WAIT_MS: &str = "application_wait_ms";
pub const CLIENTS_LEFT: &str = "application_clients_left";
pub const CONNECTS_IN_DENSEST_S: &str = "application_connects_in_densest_s";
const ERRORS: &str = "application_errors";
const READ_ONLY_ERRORS: &str = "application_read_only_errors";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Do the clients of an application write again, and how long does one of them wait?",
    measures: &[WAIT_MS, CLIENTS_LEFT, CONNECTS_IN_DENSEST_S, ERRORS, READ_ONLY_ERRORS],
    over: Over::Scenario,
    judge,
};

/// How long a client may be without a write although new connections are served, beside its own timeouts.
const LEFT_US: u64 = 5_000_000;
/// How often it is recorded how many connections an application opened, where there are more.
const LOOK_EVERY_US: u64 = 1_000_000;
/// The longest time between two connections that are tried in turn, while they are served.
const UNSERVED_US: u64 = 2_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    evidence.plan.topology.applications.iter().flat_map(|own| judge_one(evidence, own)).collect()
}

fn judge_one<'a>(evidence: &Evidence<'a>, own: &'a Application) -> Vec<Finding> {
    let (finding, measures) = match Course::of(evidence, own) {
        Ok(course) => (course.finding(), course.bracketed()),
        Err(doubt) => {
            let summary = format!("the application {}: {doubt}", own.name);
            (Finding::new(NAME, Outcome::Inconclusive, summary), Vec::new())
        }
    };
    // Clients are looked at to the end of the load, and not only until new connections write again.
    let (from_us, until_us) = watched_span(evidence.events);
    let late_us = latest_timer_within(evidence, from_us..=until_us).map_or(0, |(late_us, _)| late_us);
    let asked = |asked: &&Expectation| asked.of.as_ref().is_none_or(|of| *of == own.name);
    let asked: Vec<&Expectation> = evidence.expectations(NAME).filter(asked).collect();
    if asked.is_empty() {
        return vec![sure(evidence, finding, late_us)];
    }
    let late_ms = milliseconds(late_us);
    let held = |asked: &&Expectation| doubted_by_lateness(bracket::held(finding.clone(), &measures, asked), late_ms);
    asked.iter().map(|asked| sure(evidence, held(asked), late_us)).collect()
}

/// A failure is one only where the harness itself was well.
fn sure(evidence: &Evidence<'_>, finding: Finding, late_us: u64) -> Finding {
    let finding = in_doubt_if_late(finding, late_us);
    if finding.outcome != Outcome::Fail || !load_failed(evidence) {
        return finding;
    }
    let summary = finding.summary + "; the load itself failed, so what failed may be this machine's doing";
    Finding { outcome: Outcome::Inconclusive, summary, ..finding }
}

/// What became of the clients of one application.
struct Course<'a> {
    own: &'a Application,
    /// How many hosts a client tries, one after the other.
    hosts: usize,
    clients: BTreeMap<u32, Client>,
    /// Their attempts that failed from the first fault on.
    failed: Vec<Tried<'a>>,
    /// The connections in the densest second; `None`: nobody looked before the fault.
    connects: Option<Bracketed>,
    from_us: u64,
    until_us: u64,
    /// Until when a wait is none of the harness's own making.
    sure_until_us: u64,
    /// When the last fault took effect.
    last_fault_us: Option<u64>,
    /// The spans in which every new connection to the endpoint wrote, the earliest first; none where the ground was lost.
    served: Vec<Served>,
    ground_lost: bool,
}

/// What became of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Served,
    /// It waited for longer than its own timeouts explain, while others were served.
    Left,
    /// It waited for that long, and whether others were served is not known, or they were now and then.
    Unknown,
}

/// A span in which every new connection wrote.
#[derive(Debug, Clone, Copy)]
struct Served {
    from_us: u64,
    /// When the last of them began.
    until_us: u64,
}

/// The writes of one client, within the watched span.
#[derive(Default)]
struct Client {
    acknowledged_us: Vec<u64>,
    /// From when to when each of its attempts lasted, in the order of their start.
    attempts: Vec<(u64, u64)>,
    last_seq: Option<u64>,
}

impl Client {
    /// The times without an acknowledged write, each from one to the next.
    fn gaps(&self, from_us: u64, until_us: u64) -> Vec<(u64, u64)> {
        let mut instants = vec![from_us, until_us];
        instants.extend(&self.acknowledged_us);
        instants.sort_unstable();
        instants.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// The longest part of a time in which it had no attempt under way.
    fn idle_us(&self, from_us: u64, to_us: u64) -> u64 {
        let (mut longest_us, mut seen_us) = (0, from_us);
        for (began_us, ended_us) in self.attempts.iter().filter(|(_, ended_us)| *ended_us >= from_us) {
            longest_us = longest_us.max((*began_us).min(to_us).saturating_sub(seen_us));
            seen_us = seen_us.max(*ended_us);
        }
        longest_us.max(to_us.saturating_sub(seen_us))
    }

    fn last_us(&self, from_us: u64) -> u64 {
        self.acknowledged_us.iter().copied().max().unwrap_or(from_us)
    }
}

impl<'a> Course<'a> {
    fn of(evidence: &Evidence<'a>, own: &'a Application) -> Result<Self, String> {
        let watched = Watched::of(evidence.events);
        let from_us = watched.steady_us.ok_or("there was no steady state to compare with")?;
        let until_us = until_us(evidence, from_us).min(watched.until_us);
        let effects_us = || evidence.faults().iter().filter_map(|fault| fault.effect).map(|effect| effect.from_us);
        let fault_us = effects_us().min();
        let mut clients: BTreeMap<u32, Client> =
            numbers(evidence, own)?.map(|number| (number, Client::default())).collect();
        let mut failed = Vec::new();
        let mut wrote_before = BTreeSet::new();
        for tried in evidence.attempts().iter().filter(|tried| tried.attempt.client_kind == ClientKind::Application) {
            let Some(client) = clients.get_mut(&tried.attempt.client) else { continue };
            client.last_seq = Some(tried.seq);
            client.attempts.push((tried.started_us(), tried.ended_us));
            if tried.acknowledged() && tried.ended_us <= fault_us.unwrap_or(until_us) {
                wrote_before.insert(tried.attempt.client);
            }
            if tried.acknowledged() && (from_us..=until_us).contains(&tried.ended_us) {
                client.acknowledged_us.push(tried.ended_us);
            } else if !tried.acknowledged() && (fault_us.unwrap_or(from_us)..until_us).contains(&tried.ended_us) {
                failed.push(*tried);
            }
        }
        if let Some(number) = clients.keys().find(|number| !wrote_before.contains(number)) {
            return Err(format!("its client {number} had no write acknowledged before the fault"));
        }
        let ground_lost = watched.ground_lost;
        Ok(Self {
            own,
            hosts: if own.endpoint == NODES { evidence.plan.nodes.len() } else { 1 },
            clients,
            failed,
            connects: connects_in_densest_s(evidence, &own.name, fault_us.unwrap_or(from_us)),
            from_us,
            until_us,
            sure_until_us: until_us.saturating_sub(if ground_lost { GROUND_NOTICED_WITHIN_US } else { 0 }),
            last_fault_us: effects_us().max(),
            served: if ground_lost { Vec::new() } else { served(evidence, own, until_us) },
            ground_lost,
        })
    }

    /// The longest time between two attempts that end, or two writes, of a client that is well.
    fn usual_us(&self) -> u64 {
        1_000_000 / u64::from(self.own.rows_per_s.max(1)) + 2_000_000 + transaction_us(self.own)
    }

    /// Clients that had no write for longer than is usual when the load ended, or none since the last fault.
    fn waiting(&self) -> impl Iterator<Item = (&u32, &Client)> {
        let waits = move |client: &Client| {
            let last_us = client.last_us(self.from_us);
            let is_since = self.last_fault_us.is_none_or(|fault_us| last_us > fault_us);
            !is_since || self.until_us.saturating_sub(last_us) > self.usual_us()
        };
        self.clients.iter().filter(move |(_, client)| waits(client))
    }

    /// Whether a client was seen to try all through a time, but for its pauses: what it was at when the load ended is recorded then.
    fn is_seen(&self, client: &Client, (from_us, to_us): (u64, u64)) -> bool {
        let pauses_us = self.usual_us() + u64::from(self.own.reconnect_pause_ms) * 1000;
        to_us - from_us <= pauses_us || client.idle_us(from_us, to_us) <= pauses_us
    }

    fn is_seen_to_the_end(&self, client: &Client) -> bool {
        self.is_seen(client, (client.last_us(self.from_us), self.until_us))
    }

    fn fate(&self, client: &Client) -> Fate {
        let allowed_us = LEFT_US + patience_us(self.own, self.hosts);
        let of_gap = |(from_us, to_us): (u64, u64)| {
            let served_us = |span: &Served| span.until_us.min(to_us).saturating_sub(span.from_us.max(from_us));
            let longest_us = self.served.iter().map(served_us).max().unwrap_or(0);
            let all_us: u64 = self.served.iter().map(served_us).sum();
            // What became of one that was not seen to try is not known.
            match to_us - from_us > allowed_us {
                true if longest_us > allowed_us && self.is_seen(client, (from_us, to_us)) => Fate::Left,
                true if self.ground_lost || all_us > allowed_us => Fate::Unknown,
                _ => Fate::Served,
            }
        };
        let gaps: Vec<Fate> = client.gaps(self.from_us, self.until_us).into_iter().map(of_gap).collect();
        let worst = [Fate::Left, Fate::Unknown].into_iter().find(|fate| gaps.contains(fate));
        worst.unwrap_or(Fate::Served)
    }

    /// The clients of one fate.
    fn of_fate(&self, fate: Fate) -> Vec<(&u32, &Client)> {
        self.clients.iter().filter(|(_, client)| self.fate(client) == fate).collect()
    }

    /// The longest time without a write: at least that of a client that was seen to try, and at most that of any; and the client
    /// that had it.
    fn wait(&self) -> (Bracket, Option<&Client>) {
        let (mut known, mut longest) = (Bracket { least: 0, most: 0 }, None);
        for client in self.clients.values() {
            for gap in client.gaps(self.from_us, self.sure_until_us.max(client.last_us(self.from_us))) {
                let length_us = gap.1 - gap.0;
                if length_us > known.most {
                    (known.most, longest) = (length_us, Some(client));
                }
                if length_us > known.least && self.is_seen(client, gap) {
                    known.least = length_us;
                }
            }
        }
        (known, longest)
    }

    /// What is known between two figures.
    fn bracketed(&self) -> Vec<Bracketed> {
        self.connects.into_iter().chain([Bracketed::of_time(WAIT_MS, self.wait().0)]).collect()
    }

    /// Whether new connections were served when the load ended.
    fn is_served(&self) -> bool {
        self.served.iter().any(|span| self.until_us.saturating_sub(span.until_us) < UNSERVED_US)
    }

    fn finding(&self) -> Finding {
        let (wait, longest) = self.wait();
        let wait_ms = milliseconds(wait.least);
        let (waiting, left) = (self.waiting().count(), self.of_fate(Fate::Left));
        let unknown = self.of_fate(Fate::Unknown).len();
        let read_only: Vec<&Tried<'_>> =
            self.failed.iter().filter(|tried| is_read_only(&tried.attempt.outcome)).collect();
        let outcome = match (left.is_empty(), waiting + unknown) {
            (false, _) => Outcome::Fail,
            (true, 0) => Outcome::Pass,
            (true, _) => Outcome::Inconclusive,
        };
        let (those, end) = match (outcome, waiting) {
            (Outcome::Fail, 0) => (left.len().to_string(), "were left behind until something else helped them"),
            (Outcome::Fail, _) => (left.len().to_string(), "were left behind"),
            (_, 0) if unknown > 0 => (
                unknown.to_string(),
                "waited for long, and whether they tried and others were served throughout is not known",
            ),
            (_, 0) => ("all".to_owned(), "write again"),
            _ if self.waiting().any(|(_, client)| !self.is_seen_to_the_end(client)) => {
                (waiting.to_string(), "had no write in the end, and one of them was not seen to try")
            }
            _ if !self.is_served() => (waiting.to_string(), "still waited in the end, and nobody was served"),
            _ => (waiting.to_string(), "still waited when the load ended, too soon to say for how long"),
        };
        let summary = format!(
            "{those} of {} clients of the application {} ({}) {end}; one waited {}{:.1} s for a write, {} attempts failed{}",
            self.clients.len(),
            self.own.name,
            self.own.patience(),
            if waiting > 0 || wait.width() > 0 { "at least " } else { "" },
            wait_ms / 1000.0,
            self.failed.len(),
            match read_only.len() {
                0 => String::new(),
                count => format!(", {count} of them at a standby"),
            }
        );
        let last = |client: &Client| client.last_seq;
        let shown = left.iter().filter_map(|(_, client)| last(client)).chain(longest.and_then(last));
        let shown = shown.chain(read_only.iter().map(|tried| tried.seq)).take(SHOWN_EVENTS);
        let mut details = vec![Measure::new(CLIENTS_LEFT, left.len() as f64)];
        details.extend(self.connects.map(Bracketed::measure));
        details.push(Measure::new(ERRORS, self.failed.len() as f64));
        details.push(Measure::new(READ_ONLY_ERRORS, read_only.len() as f64));
        Finding::new(NAME, outcome, summary)
            .with_measure(Measure::new(WAIT_MS, wait_ms))
            .with_details(details)
            .with_evidence(shown)
    }
}

/// The numbers of an application's clients.
fn numbers(evidence: &Evidence<'_>, own: &Application) -> Result<Range<u32>, String> {
    let started = evidence.events.iter().find_map(|event| match &event.what {
        Occurrence::ApplicationStarted { application, first_client, clients } if *application == own.name => {
            Some((*first_client, *clients))
        }
        _ => None,
    });
    match started {
        None => Err("it was not started".to_owned()),
        Some((first, clients)) if clients == own.clients => Ok(first..first.saturating_add(clients)),
        Some((_, clients)) => Err(format!("{clients} of its clients were started, and the plan has {}", own.clients)),
    }
}

/// Until when clients are looked at: the end of the load, without what was under way then. The probers end at once.
fn until_us(evidence: &Evidence<'_>, from_us: u64) -> u64 {
    let all = evidence.attempts();
    let ended_us = all.iter().map(|tried| tried.ended_us).max().unwrap_or(from_us);
    let fresh = all.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Fresh);
    fresh.map(Tried::started_us).max().map_or(ended_us, |last_us| ended_us.min(last_us.saturating_add(1_000_000)))
}

/// The spans in which every new connection to the endpoint of an application wrote; to a node, where it knows the nodes.
fn served(evidence: &Evidence<'_>, own: &Application, until_us: u64) -> Vec<Served> {
    let of_nodes = || evidence.plan.nodes.iter().flat_map(|node| served_at(evidence, node, until_us)).collect();
    let spans: Vec<Served> = if own.endpoint == NODES { of_nodes() } else { Vec::new() };
    if !spans.is_empty() {
        return spans;
    }
    let is_known = evidence.plan.endpoint(&own.endpoint).is_some();
    served_at(evidence, if is_known { &own.endpoint } else { evidence.write_endpoint() }, until_us)
}

fn served_at(evidence: &Evidence<'_>, endpoint: &str, until_us: u64) -> Vec<Served> {
    let is_fresh = |tried: &&Tried<'_>| tried.is_fresh(endpoint, Operation::Write) && tried.started_us() < until_us;
    let mut spans: Vec<Served> = Vec::new();
    let mut is_open = false;
    for tried in evidence.attempts().iter().filter(is_fresh) {
        // One that took long shows nobody who was served meanwhile: the harness may have stood still.
        let is_quick = tried.ended_us.saturating_sub(tried.started_us()) < UNSERVED_US;
        let is_served = tried.acknowledged() && tried.ended_us <= until_us && is_quick;
        let goes_on = |span: &&mut Served| is_open && tried.started_us() < span.until_us.saturating_add(UNSERVED_US);
        match spans.last_mut().filter(goes_on) {
            Some(span) if is_served => span.until_us = tried.started_us().max(span.until_us),
            None if is_served => {
                spans.push(Served { from_us: tried.ended_us, until_us: tried.ended_us });
                is_open = true;
            }
            // What was in flight when the load ended says nothing.
            _ if tried.ended_us >= until_us => {}
            _ => is_open = false,
        }
    }
    spans
}

/// How long all of a client's own timeouts take, one after the other; it may wait for each of its hosts.
fn patience_us(own: &Application, hosts: usize) -> u64 {
    let or = |value: u32, default: u64| if value > 0 { u64::from(value) } else { default };
    let asked_s = or(own.keepalives_interval, 75) * or(own.keepalives_count, 9);
    let keepalives_s =
        if own.keepalives_idle > 0 && own.keepalives > 0 { u64::from(own.keepalives_idle) + asked_s } else { 0 };
    let hosts = u64::try_from(hosts).unwrap_or(1);
    let seconds = u64::from(own.connect_timeout) * hosts + keepalives_s;
    // The kernel gives up a connection that is not answered after that time, too.
    let connecting_ms = if own.connect_timeout == 0 { u64::from(own.tcp_user_timeout) * hosts } else { 0 };
    let milliseconds = [own.answer_timeout_ms, own.statement_timeout, own.tcp_user_timeout, own.reconnect_pause_ms];
    let milliseconds = milliseconds.into_iter().map(u64::from).sum::<u64>() + connecting_ms;
    seconds * 1_000_000 + milliseconds * 1000 + transaction_us(own)
}

fn transaction_us(own: &Application) -> u64 {
    u64::from(own.transaction_idle_ms) * 1000
}

/// The most connections that were opened or tried in a second. A look is recorded only where some were opened or tried since the
/// look a second before it. A second that lies across two looks may have had those of both. `None`: nobody looked before this instant.
fn connects_in_densest_s(evidence: &Evidence<'_>, name: &str, from_us: u64) -> Option<Bracketed> {
    let looks = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::ApplicationState(state) if state.application == name => {
            Some((event.at_us, state.opened.saturating_add(state.refused)))
        }
        _ => None,
    });
    let looks: Vec<(u64, u64)> = looks.collect();
    looks.first().filter(|(at_us, _)| *at_us <= from_us)?;
    let new = looks.windows(2).map(|pair| (pair[1].0, pair[1].1.saturating_sub(pair[0].1)));
    let new: Vec<(u64, u64)> = new.filter(|(at_us, _)| *at_us >= from_us).collect();
    let across = new.windows(2).filter(|pair| pair[1].0.saturating_sub(pair[0].0) < 2 * LOOK_EVERY_US);
    let across = across.map(|pair| pair[0].1.saturating_add(pair[1].1)).max().unwrap_or(0);
    let least = new.iter().map(|(_, count)| *count).max().unwrap_or(0);
    Some(Bracketed { name: CONNECTS_IN_DENSEST_S, least: least as f64, most: least.max(across) as f64 })
}
