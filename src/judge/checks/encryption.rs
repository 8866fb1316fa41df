//! Is every session encrypted, and does whoever must not get in stay out?
//!
//! By PostgreSQL's own view: each node shows its sessions from other machines (`pg_stat_activity` joined with `pg_stat_ssl`), once a
//! second where the topology says that PostgreSQL speaks TLS, and whenever a scenario tries what must fail. `plain_sessions` counts
//! those kinds of session (node, role, purpose) of which one was not encrypted, `plain_replication_sessions` those of standbys
//! alone. One by a TLS older than 1.2 counts as not encrypted: nobody may use that any more (RFC 8996). A session that lives for
//! less than a second may be seen by no look: that none gets in is shown by the attempts.
//!
//! By attempts that must fail: `entries_admitted` counts those that got in. One that failed for another reason than the one that
//! is meant (a server that is down refuses everybody) shows nothing, and is in doubt.
//!
//! Attempts come from the harness, which is none of the hosts: what a rule allows another host alone is not tried.

use std::collections::BTreeSet;

use super::{Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS};
use crate::{
    history::{
        Event, Occurrence,
        event::{EntryAnswer, EntryTried, SessionPurpose, SessionsSeen, WayIn},
    },
    services::{
        etcd,
        patroni::{POSTGRESQL_PORT, REST_PORT},
    },
    topology::Cluster,
};

const NAME: &str = "encryption";
pub const PLAIN_SESSIONS: &str = "plain_sessions";
pub const PLAIN_REPLICATION_SESSIONS: &str = "plain_replication_sessions";
pub const ENTRIES_ADMITTED: &str = "entries_admitted";
const ENTRIES_TRIED: &str = "entries_tried";
const SESSIONS_SEEN: &str = "sessions_seen";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Is every session encrypted, and does whoever must not get in stay out?",
    measures: &[PLAIN_SESSIONS, PLAIN_REPLICATION_SESSIONS, ENTRIES_ADMITTED, ENTRIES_TRIED, SESSIONS_SEEN],
    over: Over::Scenario,
    judge,
};

/// What a refusal for the reason that is meant says, in any of these words.
fn words_of_refusal(way: WayIn) -> &'static [&'static str] {
    match way {
        // Of pg_hba; and PgBouncer's.
        WayIn::PlainSession | WayIn::PlainReplication => &["no encryption", "SSL required"],
        WayIn::WrongPassword => &["28P01", "password authentication failed"],
        WayIn::ForeignAuthority => &["UnknownIssuer"],
        WayIn::DcsWithoutCertificate => &["CertificateRequired", "BadCertificate"],
        WayIn::DcsWithoutPassword => &["user name is empty"],
        WayIn::PlainHttp => &["no answer in HTTP"],
        WayIn::OrderWithoutCertificate => &["403"],
    }
}

/// A way as words after "an attempt".
fn words(way: WayIn) -> &'static str {
    match way {
        WayIn::PlainSession => "without TLS",
        WayIn::PlainReplication => "to replicate without TLS",
        WayIn::WrongPassword => "with a wrong password",
        WayIn::ForeignAuthority => "of a client that trusts another authority",
        WayIn::DcsWithoutCertificate => "without a certificate",
        WayIn::DcsWithoutPassword => "without a password",
        WayIn::PlainHttp => "by plain HTTP",
        WayIn::OrderWithoutCertificate => "to order something without a certificate",
    }
}

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let speaks = !evidence.plan.topology.tls.is_off();
    let asked = evidence.expectations(NAME).next().is_some();
    if !speaks && !asked {
        return Vec::new();
    }
    let sessions = sessions(evidence);
    let entries = entries(evidence.events);
    let asks_for = |measures: &[&str]| evidence.expectations(NAME).any(|own| measures.contains(&own.measure.as_str()));
    let of_sessions = [PLAIN_SESSIONS, PLAIN_REPLICATION_SESSIONS, SESSIONS_SEEN];
    let of_entries = [ENTRIES_ADMITTED, ENTRIES_TRIED];
    let mut findings = Vec::new();
    if evidence.plan.topology.tls.postgresql || asks_for(&of_sessions) {
        findings.push(judge_sessions(evidence, &sessions));
    }
    if !entries.is_empty() || asks_for(&of_entries) {
        findings.push(judge_entries(evidence, &entries));
    }
    evidence.held_by_measure(NAME, findings, "nothing showed")
}

/// Sessions that a node showed.
struct Seen<'a> {
    event: &'a Event,
    node: &'a str,
    own: &'a SessionsSeen,
}

fn sessions<'a>(evidence: &Evidence<'a>) -> Vec<Seen<'a>> {
    let looks = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::Sessions { node, sessions } => Some(sessions.iter().map(move |own| Seen { event, node, own })),
        _ => None,
    });
    looks.flatten().collect()
}

/// Versions of TLS that protect nobody any more (RFC 8996), as PostgreSQL calls them.
const BROKEN_TLS: [&str; 2] = ["TLSv1", "TLSv1.1"];

fn is_plain(own: &SessionsSeen) -> bool {
    own.tls.as_deref().is_none_or(|version| BROKEN_TLS.contains(&version))
}

fn judge_sessions(evidence: &Evidence<'_>, seen: &[Seen<'_>]) -> Finding {
    let kinds = |is_own: &dyn Fn(&SessionsSeen) -> bool| -> BTreeSet<(&str, &str, SessionPurpose)> {
        let own = seen.iter().filter(|look| is_own(look.own));
        own.map(|look| (look.node, look.own.role.as_str(), look.own.purpose)).collect()
    };
    let plain = kinds(&is_plain);
    let replication = plain.iter().filter(|(_, _, purpose)| *purpose == SessionPurpose::Replication).count();
    let versions: BTreeSet<&str> = seen.iter().filter_map(|look| look.own.tls.as_deref()).collect();
    let summary = match plain.iter().next() {
        None if seen.is_empty() => "no node showed a session".to_owned(),
        None => format!(
            "every session that nodes showed was encrypted ({})",
            versions.iter().copied().collect::<Vec<_>>().join(", ")
        ),
        Some((node, role, purpose)) => format!(
            "{} not encrypted, or by a TLS older than 1.2, of standbys {replication}; the first is of {role} at {node} ({})",
            match plain.len() {
                1 => "1 kind of session was".to_owned(),
                several => format!("{several} kinds of session were"),
            },
            match purpose {
                SessionPurpose::Client => "a client's",
                SessionPurpose::Replication => "a standby's",
            }
        ),
    };
    // A plain session of a client says nothing of standbys.
    let asks_for = |measure: &str| evidence.expectations(NAME).any(|own| own.measure == measure);
    let of_standbys_alone = asks_for(PLAIN_REPLICATION_SESSIONS) && !asks_for(PLAIN_SESSIONS);
    let is_refuted = if of_standbys_alone { replication > 0 } else { !plain.is_empty() };
    let (outcome, summary) = match unseen(evidence, seen) {
        _ if !plain.is_empty() && evidence.plan.topology.tls.postgresql => (Outcome::Fail, summary),
        Some(why) if !is_refuted => (Outcome::Inconclusive, format!("{why}; {summary}")),
        _ => (Outcome::Pass, summary),
    };
    let shown: Vec<u64> = seen.iter().filter(|look| is_plain(look.own)).map(|look| look.event.seq).collect();
    Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new(PLAIN_SESSIONS, plain.len() as f64))
        .with_details(vec![
            Measure::new(PLAIN_REPLICATION_SESSIONS, replication as f64),
            Measure::new(SESSIONS_SEEN, kinds(&|_| true).len() as f64),
        ])
        .with_evidence(shown.into_iter().take(SHOWN_EVENTS))
}

/// What must have been seen for anything to be proven: sessions at each node, and those of the standbys of each cluster that has some.
/// What was seen before the last fault says nothing of the sessions that followed it.
fn unseen(evidence: &Evidence<'_>, seen: &[Seen<'_>]) -> Option<String> {
    let shows = |node: &str| seen.iter().any(|look| look.node == node);
    if let Some(node) = evidence.plan.nodes.iter().find(|node| !shows(node)) {
        return Some(format!("no session was seen at {node}"));
    }
    let after_us = evidence.faults().iter().filter_map(|fault| fault.effect).map(|effect| effect.to_us).max();
    let later = |look: &&Seen<'_>| after_us.is_none_or(|after_us| look.event.at_us > after_us);
    if let Some(node) =
        evidence.asked().into_iter().find(|node| !seen.iter().filter(later).any(|look| look.node == *node))
    {
        return Some(format!("no session was seen at {node} after the last fault"));
    }
    if let Some(primary) =
        evidence.plan.clusters.iter().filter_map(|cluster| last_writer(evidence, cluster)).find(|node| {
            let is_there = |look: &Seen<'_>| look.node == *node && look.own.purpose == SessionPurpose::Replication;
            !seen.iter().filter(later).any(is_there)
        })
    {
        return Some(format!("no standby was seen to stream from {primary}, which was primary in the end"));
    }
    let streams = |nodes: &[String]| {
        seen.iter()
            .any(|look| look.own.purpose == SessionPurpose::Replication && nodes.iter().any(|node| node == look.node))
    };
    let without = |nodes: &[String]| nodes.len() > 1 && !streams(nodes);
    let cluster = evidence.plan.clusters.iter().find(|cluster| without(&cluster.nodes));
    if let Some(cluster) = cluster {
        return Some(format!("no standby of {} was seen to stream", cluster.name));
    }
    // A cluster that follows another one streams from it, by a session that only the other one shows; or takes WAL from an archive.
    let across = evidence.plan.clusters.iter().filter(|cluster| !cluster.is_shipped()).find_map(|cluster| {
        let followed = evidence.plan.cluster(&cluster.follows.as_ref()?.cluster)?;
        let is_across = |look: &Seen<'_>| {
            let standby = look.own.standby.as_ref();
            followed.nodes.iter().any(|node| node == look.node)
                && standby.is_some_and(|standby| cluster.nodes.contains(standby))
        };
        (!seen.iter().any(is_across)).then_some((cluster, followed))
    });
    across.map(|(cluster, followed)| format!("no session of {} was seen at {}", cluster.name, followed.name))
}

/// The node of a cluster with standbys that acknowledged the last write there, if it must be there in the end.
fn last_writer<'a>(evidence: &Evidence<'a>, cluster: &Cluster) -> Option<&'a str> {
    let own = evidence.attempts().iter().filter(|tried| tried.is_write());
    let answered = own.filter_map(|tried| tried.answered_by().map(|(node, _)| (tried.ended_us, node)));
    let (_, node) = answered.filter(|(_, node)| cluster.nodes.iter().any(|own| own == node)).max()?;
    (cluster.nodes.len() > 1 && evidence.asked().contains(&node)).then_some(node)
}

fn entries(events: &[Event]) -> Vec<(&Event, &EntryTried)> {
    let tries = events.iter().filter_map(|event| match &event.what {
        Occurrence::EntriesTried { tried } => Some(tried.iter().map(move |one| (event, one))),
        _ => None,
    });
    tries.flatten().collect()
}

/// Whether connections that must fail were tried.
pub fn was_tried(events: &[Event]) -> bool {
    !entries(events).is_empty()
}

fn judge_entries(evidence: &Evidence<'_>, tried: &[(&Event, &EntryTried)]) -> Finding {
    let admitted: Vec<_> = tried.iter().filter(|(_, one)| one.answer == EntryAnswer::Admitted).collect();
    let told = |(_, one): &(&Event, &EntryTried)| {
        format!("{}:{}, an attempt {} ({})", one.host, one.port, words(one.way), one.reason)
    };
    let summary = match admitted.first() {
        None => format!("all {} attempts that must fail did, each for the reason that is meant", tried.len()),
        Some(first) => {
            format!(
                "of {} attempts that must fail {} got in, the first at {}",
                tried.len(),
                admitted.len(),
                told(first)
            )
        }
    };
    let is_meant = |one: &EntryTried| {
        one.answer == EntryAnswer::Refused && words_of_refusal(one.way).iter().any(|own| one.reason.contains(own))
    };
    let otherwise = tried.iter().find(|(_, one)| one.answer != EntryAnswer::Admitted && !is_meant(one));
    let missing = || {
        missing(evidence, tried).map(|(way, host, port)| format!("no attempt {} was made at {host}:{port}", words(way)))
    };
    let doubt = match tried {
        [] => Some("nothing was tried".to_owned()),
        _ => otherwise.map(|own| format!("one failed for another reason: {}", told(own))).or_else(missing),
    };
    let (outcome, summary) = match doubt {
        _ if !admitted.is_empty() => (Outcome::Fail, summary),
        Some(why) => (Outcome::Inconclusive, format!("what must fail is not proven to: {why}")),
        None => (Outcome::Pass, summary),
    };
    Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new(ENTRIES_ADMITTED, admitted.len() as f64))
        .with_details(vec![Measure::new(ENTRIES_TRIED, tried.len() as f64)])
        .with_evidence(admitted.iter().map(|(event, _)| event.seq).take(SHOWN_EVENTS))
}

/// An attempt that belongs to the topology's nodes, poolers or members of the DCS, and that nobody made.
fn missing<'a>(evidence: &Evidence<'a>, tried: &[(&Event, &EntryTried)]) -> Option<(WayIn, &'a str, u16)> {
    let was = |way: WayIn, host: &str, port: u16| {
        tried.iter().any(|(_, one)| (one.way, one.host.as_str(), one.port) == (way, host, port))
    };
    let of_nodes = [
        (WayIn::PlainSession, POSTGRESQL_PORT),
        (WayIn::PlainReplication, POSTGRESQL_PORT),
        (WayIn::WrongPassword, POSTGRESQL_PORT),
        (WayIn::ForeignAuthority, POSTGRESQL_PORT),
        (WayIn::PlainHttp, REST_PORT),
        (WayIn::OrderWithoutCertificate, REST_PORT),
    ];
    let nodes = evidence.plan.nodes_with_agents().map(|(node, _)| node.as_str());
    let of_nodes = nodes.flat_map(|node| of_nodes.map(|(way, port)| (way, node, port)));
    let of_poolers = evidence
        .plan
        .poolers()
        .flat_map(|pooler| [WayIn::PlainSession, WayIn::WrongPassword].map(|way| (way, pooler.host, pooler.port)));
    let members = evidence.plan.dcs_members();
    let of_members = members.map(|member| (WayIn::DcsWithoutCertificate, member, etcd::CLIENT_PORT));
    let ask = evidence.plan.dcs.iter().filter(|dcs| evidence.plan.asks_for_passwords(dcs));
    let of_those_that_ask = ask.flat_map(|dcs| &dcs.members);
    let of_those_that_ask =
        of_those_that_ask.map(|member| (WayIn::DcsWithoutPassword, member.as_str(), etcd::CLIENT_PORT));
    of_nodes
        .chain(of_poolers)
        .chain(of_members)
        .chain(of_those_that_ask)
        .find(|(way, host, port)| !was(*way, host, *port))
}
