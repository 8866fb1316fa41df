//! Did global names lead clients by their weights, and to no other host?
//!
//! Each connection that a client opened through a global name records where it was led. They are counted from the steady state
//! until a runbook points the name elsewhere, or to the end of the load.
//!
//! - A host that is none of the name's is a failure.
//! - Of a name by weight, whose clients ask for each connection, so that each is a draw of its own, a host whose share lies
//!   further from its weight than [`DEVIATIONS`] standard deviations of as many draws is a failure. Fewer than
//!   [`DRAWS_AT_LEAST`] draws are in doubt, where a scenario asks; so are a name by weight through which nobody connected,
//!   and one whose clients keep their answers.
//!
//! Source of the bound: the normal approximation of the binomial distribution; 3.5 standard deviations are passed by chance
//! once in about 2,000 times.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{
        grouping::Watched,
        record::{Tried, runbook},
    },
};
use crate::{history::event::RunbookStep, plan::PlannedEndpoint, topology::GlobalName};

const NAME: &str = "name_shares";
pub const MISDRAWN_HOSTS: &str = "misdrawn_hosts";
const SHARE_ERROR_PERCENT: &str = "share_error_percent";
const NAME_ANSWERS: &str = "name_answers";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did global names lead clients by their weights, and to no other host?",
    measures: &[MISDRAWN_HOSTS, SHARE_ERROR_PERCENT, NAME_ANSWERS],
    over: Over::Scenario,
    judge,
};

const DEVIATIONS: f64 = 3.5;
const DRAWS_AT_LEAST: u64 = 100;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let named = evidence.plan.endpoints.iter();
    let named = named.filter_map(|endpoint| Some((endpoint, evidence.plan.topology.global_name(&endpoint.at.host)?)));
    // Where nobody asked for shares, that there are too few draws for them hides nothing.
    let asked = evidence.expectations(NAME).next().is_some();
    let counts = |finding: &Finding| asked || finding.outcome != Outcome::Inconclusive;
    let mut findings: Vec<Finding> = Vec::new();
    for (endpoint, name) in named {
        let own = judge_one(evidence, endpoint, name);
        findings.extend(own.into_iter().chain(undrawn(evidence, endpoint, name)).filter(counts));
    }
    evidence.held(NAME, findings, "no client connected through a global name and told where that led it")
}

/// Why nothing is known of the shares of a name by weight, at an endpoint whose connections are no draws.
fn undrawn(evidence: &Evidence<'_>, endpoint: &PlannedEndpoint, name: &GlobalName) -> Option<Finding> {
    let (called, clients) = (&name.name, &endpoint.name);
    let why = if !asks_each_time(evidence, endpoint) {
        format!(
            "clients of {clients} keep the answer of {called}, so that their connections are no draws by its weights"
        )
    } else if led(evidence, endpoint).is_empty() {
        format!("no client of {clients} recorded where {called} led it")
    } else {
        return None;
    };
    name.is_weighted().then(|| Finding::new(NAME, Outcome::Inconclusive, why))
}

fn asks_each_time(evidence: &Evidence<'_>, endpoint: &PlannedEndpoint) -> bool {
    evidence.plan.topology.endpoints.find(&endpoint.name).is_some_and(|own| own.asks_each_time)
}

/// Where clients of an endpoint were led, each connection once.
fn led<'a>(evidence: &Evidence<'a>, endpoint: &PlannedEndpoint) -> Vec<(&'a str, Tried<'a>)> {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else { return Vec::new() };
    let repointed = runbook(evidence.events).find(|done| done.step == RunbookStep::Repointed);
    let until_us = repointed.map_or(watched.until_us, |done| done.at_us);
    let own = evidence.attempts().iter().filter(|tried| tried.attempt.endpoint == endpoint.name);
    // An answer that came after the change belongs to what was asked before it or after it.
    let own = own.filter(|tried| tried.started_us() >= steady_us && tried.ended_us < until_us);
    own.filter_map(|tried| Some((tried.attempt.led_to.as_deref()?, *tried))).collect()
}

fn judge_one(evidence: &Evidence<'_>, endpoint: &PlannedEndpoint, name: &GlobalName) -> Option<Finding> {
    let led = led(evidence, endpoint);
    if led.is_empty() {
        return None;
    }
    let mut counts: BTreeMap<&str, u64> = name.answers.iter().map(|answer| (answer.host.as_str(), 0)).collect();
    let is_known = |host: &str| name.answers.iter().any(|answer| answer.host == host);
    let strays: Vec<_> = led.iter().filter(|(host, _)| !is_known(host)).collect();
    for (host, _) in &led {
        *counts.entry(host).or_default() += 1;
    }
    let (draws, called) = (led.len() as u64, &name.name);
    let details = |error: f64| vec![Measure::new(SHARE_ERROR_PERCENT, error), Measure::new(NAME_ANSWERS, draws as f64)];
    let finding = |outcome, summary: String, hosts: usize, error: f64| {
        Finding::new(NAME, outcome, summary)
            .with_measure(Measure::new(MISDRAWN_HOSTS, hosts as f64))
            .with_details(details(error))
            .with_evidence(strays.iter().map(|(_, tried)| tried.seq).take(SHOWN_EVENTS))
    };
    if let Some((host, _)) = strays.first() {
        let summary = format!("{called} led clients to {host}, which is none of its hosts");
        return Some(finding(Outcome::Fail, summary, 1, 0.0));
    }
    if !name.is_weighted() || !asks_each_time(evidence, endpoint) {
        let hosts: Vec<&str> = counts.iter().filter(|(_, count)| **count > 0).map(|(host, _)| *host).collect();
        let hosts = hosts.join(", ");
        let summary = format!("{called} led clients of {} to {hosts} alone, in {draws} connections", endpoint.name);
        return Some(finding(Outcome::Pass, summary, 0, 0.0));
    }
    let shares = Share::of(name, &counts, draws);
    let told: Vec<String> = shares.iter().map(Share::words).collect();
    let told = format!("{called} led {draws} connections: {}", told.join(", "));
    let error = shares.iter().map(|share| share.error().abs() * 100.0).fold(0.0, f64::max);
    let wrong = shares.iter().filter(|share| share.is_wrong(draws)).count();
    Some(match (wrong, draws < DRAWS_AT_LEAST) {
        (0, false) => finding(Outcome::Pass, told, 0, error),
        (0, true) => {
            let summary = format!("{told}; {DRAWS_AT_LEAST} are needed");
            let finding = finding(Outcome::Inconclusive, summary, 0, error);
            // What so few draws say is held against nothing.
            Finding { measure: None, ..finding }
        }
        (wrong, _) => finding(Outcome::Fail, format!("{told}, which chance does not explain"), wrong, error),
    })
}

/// What a host of a name by weight got of the draws.
struct Share<'a> {
    host: &'a str,
    weight: f64,
    drawn: f64,
}

impl<'a> Share<'a> {
    fn of(name: &'a GlobalName, counts: &BTreeMap<&str, u64>, draws: u64) -> Vec<Self> {
        let weight = |host: &str| {
            let own = name.answers.iter().filter(|answer| answer.host == host);
            own.map(|answer| f64::from(answer.weight.unwrap_or(1))).sum::<f64>()
        };
        let total: f64 = name.answers.iter().map(|answer| f64::from(answer.weight.unwrap_or(1))).sum();
        let mut hosts: Vec<&str> = name.answers.iter().map(|answer| answer.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let drawn = |host: &str| counts.get(host).copied().unwrap_or(0) as f64 / draws as f64;
        hosts.into_iter().map(|host| Share { host, weight: weight(host) / total, drawn: drawn(host) }).collect()
    }

    fn error(&self) -> f64 {
        self.drawn - self.weight
    }

    fn is_wrong(&self, draws: u64) -> bool {
        let deviation = (self.weight * (1.0 - self.weight) / draws as f64).sqrt();
        // Half a draw: counts are whole.
        self.error().abs() > DEVIATIONS * deviation + 0.5 / draws as f64
    }

    fn words(&self) -> String {
        format!("{:.1} % to {} (weight {:.0} %)", self.drawn * 100.0, self.host, self.weight * 100.0)
    }
}
