//! Did commits wait for the standbys that `synchronous_standby_names` asks for, when one of them was slow?
//!
//! PostgreSQL's rule (documentation, "synchronous_standby_names"): `FIRST n (a, b, c)` waits for the first n of the list that
//! stream, `ANY n (a, b, c)` for any n of them. Judged while a fault makes every round trip of WAL between the primary and one
//! standby of the list longer, and every other standby of the list is left alone: a commit has to wait for the slow one if it
//! is among the first n, or if fewer than n others are in the list; otherwise it must not. A fault of another link of the
//! standby's, of other ports than PostgreSQL's, of a share of the connections or with jitter shows no rule: by it no commit
//! is surely slower.
//!
//! - A write that has to wait takes at least [`WAITED_TENTHS`] tenths of the round trip that was added, as delays are not exact;
//!   one that must not, less. Writes that begin after the fault was proven and end before it is changed, suspended, over or
//!   healed count. Each that is otherwise is a commit **against the rule**, and fails.
//! - Fewer than [`WRITES_AT_LEAST`] writes are in doubt, and so is a commit that took too long on a machine whose timers
//!   were late by as much as half of that round trip.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{
        phases::milliseconds,
        record::{FaultRecord, Tried},
    },
    harness_was_sound::latest_timer,
};
use crate::{
    history::{Event, Occurrence, event::ClientKind},
    plan::Plan,
    quantity::{duration, ports, share, written::value},
    topology::Cluster,
};

const NAME: &str = "commit_wait";
pub const COMMITS_AGAINST_RULE: &str = "commits_against_rule";
const SHORTEST_COMMIT_MS: &str = "shortest_commit_ms";
const LONGEST_COMMIT_MS: &str = "longest_commit_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did commits wait for the standbys that synchronous_standby_names asks for, when one of them was slow?",
    measures: &[COMMITS_AGAINST_RULE, SHORTEST_COMMIT_MS, LONGEST_COMMIT_MS],
    over: Over::Cluster,
    judge,
};

/// The fault that makes a round trip longer.
const SLOW_LINK: &str = "link_latency";
/// A commit that took this many tenths of the added round trip waited for the slow standby.
const WAITED_TENTHS: u64 = 9;
/// Fewer writes than these show no rule: one that waits half a second comes twice a second.
const WRITES_AT_LEAST: usize = 10;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let slowed: Vec<Slowed<'_>> = slowed(evidence);
    let findings: Vec<Finding> = slowed.iter().map(|own| own.finding(evidence)).collect();
    let doubt = "no standby of synchronous_standby_names was slowed by itself, so no commit shows whom it waits for";
    evidence.held(NAME, findings, doubt)
}

/// Whether a standby that commits may wait for was slowed by itself.
pub fn was_slowed(evidence: &Evidence<'_>) -> bool {
    !slowed(evidence).is_empty()
}

/// What `synchronous_standby_names` asks for.
#[derive(Debug, PartialEq, Eq)]
struct Rule<'a> {
    /// Any of the list, and not the first of them.
    any: bool,
    count: usize,
    names: Vec<&'a str>,
}

impl<'a> Rule<'a> {
    /// `None`: nobody is waited for, or by a list that stands for more than it names (`*`).
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (how, list) = match text.split_once('(') {
            Some((how, rest)) => (how.trim(), rest.trim().strip_suffix(')')?),
            None => ("FIRST 1", text),
        };
        let (word, number) = how.split_once(char::is_whitespace).unwrap_or(("FIRST", how));
        let any = word.eq_ignore_ascii_case("ANY");
        let known = any || word.eq_ignore_ascii_case("FIRST");
        let names: Vec<&str> = list.split(',').map(|name| name.trim().trim_matches('"')).collect();
        let count = number.trim().parse().ok()?;
        (known && count > 0 && !names.iter().any(|name| name.is_empty() || *name == "*")).then_some(Self {
            any,
            count,
            names,
        })
    }

    /// Whether a commit waits for this standby while it is slow and the others are not.
    fn waits_for(&self, slow: &str) -> bool {
        match self.any {
            true => self.names.iter().filter(|name| **name != slow).count() < self.count,
            false => self.names.iter().take(self.count).any(|name| *name == slow),
        }
    }

    fn words(&self) -> String {
        let how = if self.any { "ANY" } else { "FIRST" };
        format!("{how} {} ({})", self.count, self.names.join(", "))
    }
}

/// A standby that was slow by itself.
struct Slowed<'a> {
    rule: Rule<'a>,
    standby: &'a str,
    round_trip_us: u64,
    from_us: u64,
    until_us: u64,
    seq: u64,
    writes: Vec<Tried<'a>>,
}

fn slowed<'a>(evidence: &Evidence<'a>) -> Vec<Slowed<'a>> {
    evidence.plan.clusters.iter().filter_map(|cluster| slowed_in(evidence, cluster)).collect()
}

/// The rule of a cluster; `None`: it has none, or an agent writes it.
fn rule<'a>(plan: &'a Plan, cluster: &Cluster) -> Option<Rule<'a>> {
    let settings = plan.settings_of(plan.cluster(&cluster.name)?);
    let own = |(name, _): &(&String, &String)| name.eq_ignore_ascii_case("synchronous_standby_names");
    let (_, value) = settings.postgresql.parameters.iter().find(own)?;
    Rule::parse(value).filter(|_| !settings.patroni.synchronous_mode)
}

fn slowed_in<'a>(evidence: &Evidence<'a>, cluster: &Cluster) -> Option<Slowed<'a>> {
    let rule = rule(evidence.plan, cluster)?;
    // Two faults at once, and it is not known which of them a commit waited for.
    let [fault] = evidence.faults() else { return None };
    let effect = fault.effect.filter(|_| fault.injecting.name == SLOW_LINK)?;
    let until_us = lasted_until_us(evidence.events, fault);
    let is_within = |tried: &&Tried<'_>| tried.started_us() >= effect.confirmed_us && tried.ended_us < until_us;
    // A write of an application takes as long as it waits for its session, too.
    let is_timed = |tried: &&Tried<'_>| tried.attempt.client_kind != ClientKind::Application;
    let writes = evidence.attempts().iter().filter(|tried| tried.is_write() && tried.acknowledged()).filter(is_timed);
    let writes: Vec<Tried<'a>> = writes.filter(is_within).copied().collect();
    let wrote = writes.iter().find_map(Tried::answered_by).map(|(node, _)| node);
    let primary = wrote.or(fault.injecting.primary_before.as_deref())?;
    let (standby, round_trip_us) = slow_standby(evidence.plan, fault, &rule, primary)?;
    let standby = *rule.names.iter().find(|name| **name == standby)?;
    Some(Slowed { rule, standby, round_trip_us, from_us: effect.confirmed_us, until_us, seq: fault.seq, writes })
}

/// Until when a fault was on as it was injected.
fn lasted_until_us(events: &[Event], fault: &FaultRecord<'_>) -> u64 {
    let number = fault.injecting.fault;
    let is_other = |event: &&Event| match &event.what {
        Occurrence::FaultChanged { fault, .. }
        | Occurrence::FaultSuspended { fault, .. }
        | Occurrence::FaultUnconfirmed { fault, .. } => *fault == number,
        _ => false,
    };
    let other_us = events.iter().find(is_other).map(|event| event.at_us);
    [fault.healing_us, fault.healed_us, other_us].into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// The only standby of the list of which a fault slows all WAL from the primary, and by how much.
fn slow_standby<'f>(
    plan: &Plan,
    fault: &'f FaultRecord<'_>,
    rule: &Rule<'_>,
    primary: &'f str,
) -> Option<(&'f str, u64)> {
    let given = |name: &str| fault.injecting.parameters.get(name);
    let port = plan.endpoint(primary)?.at.port;
    let is_all = given("ports").is_none_or(|own| ports(own).is_some_and(|ports| ports.contains(&port)))
        && given("share").is_none_or(|own| share(own) == Some(1.0))
        && given("jitter").is_none_or(|own| duration(own).is_some_and(|jitter| jitter.is_zero()));
    let ends = given("to").into_iter().flat_map(|to| to.split(',')).flat_map(|to| to.split(" and ")).map(str::trim);
    let ends = ends.map(|end| if end.starts_with("the primary") { primary } else { end });
    let ends: Vec<&str> = fault.injecting.hosts.iter().map(String::as_str).chain(ends).collect();
    let mut slow = ends.iter().copied().filter(|end| *end != primary && rule.names.contains(end));
    let only = slow.next().filter(|_| is_all && ends.contains(&primary))?;
    let round_trip_us = u64::try_from(duration(given("round_trip")?)?.as_micros()).ok()?;
    slow.all(|other| other == only).then_some((only, round_trip_us))
}

impl Slowed<'_> {
    fn finding(&self, evidence: &Evidence<'_>) -> Finding {
        let took = |tried: &Tried<'_>| tried.ended_us.saturating_sub(tried.started_us());
        let must_wait = self.rule.waits_for(self.standby);
        let waited_us = self.round_trip_us.saturating_mul(WAITED_TENTHS) / 10;
        let is_against = |tried: &&Tried<'_>| (took(tried) >= waited_us) != must_wait;
        let against: Vec<&Tried<'_>> = self.writes.iter().filter(is_against).collect();
        let (shortest, longest) = (self.writes.iter().map(took).min(), self.writes.iter().map(took).max());
        let (rule, standby) = (self.rule.words(), self.standby);
        let added = value(LONGEST_COMMIT_MS, milliseconds(self.round_trip_us));
        let span = value(LONGEST_COMMIT_MS, milliseconds(self.until_us.saturating_sub(self.from_us)));
        let took_words = |us: Option<u64>| value(LONGEST_COMMIT_MS, milliseconds(us.unwrap_or(0)));
        let must = if must_wait { "commits have to wait for it" } else { "no commit has to wait for it" };
        let told = format!(
            "by {rule}, with {standby} slower by {added}, {must}: {} took {} to {}",
            self.writes.len(),
            took_words(shortest),
            took_words(longest)
        );
        let late = latest_timer(evidence).is_some_and(|(late_us, _)| late_us.saturating_mul(2) > self.round_trip_us);
        let (outcome, summary) = match (against.len(), self.writes.len() < WRITES_AT_LEAST) {
            (0, false) => (Outcome::Pass, told),
            (0, true) => (Outcome::Inconclusive, format!("{told}; in {span} at least {WRITES_AT_LEAST} are needed")),
            (more, _) if late && !must_wait => {
                (Outcome::Inconclusive, format!("{told}; {more} took too long on a machine that was starved"))
            }
            (more, _) => (Outcome::Fail, format!("{told}; {more} of them against the rule")),
        };
        let details = [(SHORTEST_COMMIT_MS, shortest), (LONGEST_COMMIT_MS, longest)];
        let details = details.into_iter().filter_map(|(name, us)| Some(Measure::new(name, milliseconds(us?))));
        let finding = Finding::new(NAME, outcome, summary).with_details(details.collect());
        let finding = match self.writes.is_empty() {
            true => finding,
            false => finding.with_measure(Measure::new(COMMITS_AGAINST_RULE, against.len() as f64)),
        };
        finding.with_evidence([self.seq].into_iter().chain(against.iter().map(|tried| tried.seq).take(SHOWN_EVENTS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_postgresql_reads_it() {
        let first = Rule::parse("FIRST 1 (node2, node3)").unwrap();
        assert_eq!(first, Rule { any: false, count: 1, names: vec!["node2", "node3"] });
        assert!(first.waits_for("node2") && !first.waits_for("node3"));
        for same in ["1 (node2, node3)", "node2, node3", "first 1 ( \"node2\" ,node3 )"] {
            assert_eq!(Rule::parse(same).as_ref(), Some(&first), "{same}");
        }
        let any = Rule::parse("ANY 1 (node2, node3)").unwrap();
        assert!(!any.waits_for("node2") && !any.waits_for("node3"));
        assert!(Rule::parse("any 2 (node2, node3)").unwrap().waits_for("node3"));
        for none in ["", "*", "ANY 1 (*)", "FIRST 0 (node2)", "SOME 1 (node2)", "FIRST 1 (node2"] {
            assert_eq!(Rule::parse(none), None, "{none}");
        }
    }
}
