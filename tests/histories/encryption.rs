//! What nodes show of their sessions, and what came of attempts that must fail.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{Bound, EntryAnswer, EntryTried, SessionPurpose, SessionsSeen, WayIn},
    },
    plan::Plan,
    topology::{Cluster, Tls, load},
};

use super::{
    course::{Course, plan, run},
    edits::with,
    value,
};

const NAME: &str = "encryption";
const PLAIN: &str = "plain_sessions";
const REPLICATION: &str = "plain_replication_sessions";
const ADMITTED: &str = "entries_admitted";

const NODES: [&str; 3] = ["node1", "node2", "node3"];

fn secured() -> Plan {
    let mut topology = plan(false).topology;
    topology.tls = Tls { postgresql: true, dcs: true, patroni: true };
    topology.settings.etcd.authentication = true;
    Plan::new(topology)
}

fn session(purpose: SessionPurpose, role: &str, standby: Option<&str>, tls: Option<&str>) -> SessionsSeen {
    let [standby, tls] = [standby, tls].map(|own| own.map(str::to_owned));
    SessionsSeen { purpose, role: role.to_owned(), standby, tls, count: 1 }
}

fn client(tls: Option<&str>) -> SessionsSeen {
    session(SessionPurpose::Client, "pgquake", None, tls)
}

fn standby(name: &str, tls: Option<&str>) -> SessionsSeen {
    session(SessionPurpose::Replication, "replicator", Some(name), tls)
}

/// After the failover, when every node has rejoined.
const LATE_MS: u64 = 5_380;
const TLS: Option<&str> = Some("TLSv1.3");

/// What every node shows: clients, and at node1 its standbys.
fn shown(node: &str) -> Vec<SessionsSeen> {
    let standbys = if node == "node1" { vec![standby("node2", TLS), standby("node3", TLS)] } else { Vec::new() };
    [client(TLS)].into_iter().chain(standbys).collect()
}

/// The reason with which each way is refused where everything is as it should be.
fn refusal(way: WayIn) -> &'static str {
    match way {
        WayIn::PlainSession => "no pg_hba.conf entry for host \"10.0.0.1\", user \"pgquake\", no encryption (28000)",
        WayIn::PlainReplication => "no pg_hba.conf entry for replication connection, no encryption",
        WayIn::WrongPassword => "password authentication failed for user \"pgquake\" (28P01)",
        WayIn::ForeignAuthority => "invalid peer certificate: UnknownIssuer",
        WayIn::DcsWithoutCertificate => "received fatal alert: CertificateRequired",
        WayIn::DcsWithoutPassword => "{\"error\":\"etcdserver: user name is empty\",\"code\":3}",
        WayIn::PlainHttp => "no answer in HTTP, 0 bytes",
        WayIn::OrderWithoutCertificate => "403 Forbidden",
    }
}

/// Where it is tried.
fn port(way: WayIn) -> u16 {
    match way {
        WayIn::DcsWithoutCertificate | WayIn::DcsWithoutPassword => 2379,
        WayIn::PlainHttp | WayIn::OrderWithoutCertificate => 8008,
        _ => 5432,
    }
}

/// Every attempt at every host of its kind.
fn refused() -> Vec<EntryTried> {
    let plan = secured();
    let members: Vec<String> = plan.dcs_members().map(str::to_owned).collect();
    let of = |way: WayIn| -> Vec<EntryTried> {
        let hosts = if port(way) == 2379 { members.clone() } else { NODES.map(str::to_owned).into() };
        let answer = EntryAnswer::Refused;
        let port = port(way);
        hosts.into_iter().map(|host| EntryTried { way, host, port, answer, reason: refusal(way).to_owned() }).collect()
    };
    WayIn::ALL.into_iter().flat_map(of).collect()
}

fn judged_by(
    plan: &Plan,
    expected: &[&'static str],
    shown: impl Fn(&str) -> Vec<SessionsSeen>,
    tried: Vec<EntryTried>,
) -> Vec<Finding> {
    let expected = expected.iter().map(|measure| (NAME, *measure, Bound::Exactly(0.0))).collect();
    let mut events: Vec<Event> = run(&[Course { expected, ..Course::default() }]);
    for node in NODES {
        let sessions = shown(node);
        if !sessions.is_empty() {
            events = with(events, 900, Occurrence::Sessions { node: node.to_owned(), sessions });
        }
    }
    // In the end node2 is the primary.
    let streams = NODES.iter().any(|node| shown(node).iter().any(|own| own.purpose == SessionPurpose::Replication));
    for node in NODES.into_iter().filter(|node| !shown(node).is_empty()) {
        let standbys =
            if node == "node2" && streams { vec![standby("node1", TLS), standby("node3", TLS)] } else { vec![] };
        let sessions = [client(TLS)].into_iter().chain(standbys).collect();
        events = with(events, LATE_MS, Occurrence::Sessions { node: node.to_owned(), sessions });
    }
    if !tried.is_empty() {
        events = with(events, 950, Occurrence::EntriesTried { tried });
    }
    judged_in(plan, &events)
}

fn judged_in(plan: &Plan, events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(plan, None, events))
}

/// The one finding on a measure.
fn judged(measure: &'static str, shown: impl Fn(&str) -> Vec<SessionsSeen>, tried: Vec<EntryTried>) -> Finding {
    let found = judged_by(&secured(), &[measure], shown, tried);
    let own = found.into_iter().find(|own| own.measure.as_ref().is_some_and(|own| own.name == measure));
    own.expect("a finding on it")
}

fn of_entries(change: impl Fn(&mut EntryTried)) -> Finding {
    let mut tried = refused();
    tried.iter_mut().for_each(change);
    judged(ADMITTED, shown, tried)
}

#[test]
fn encrypted_sessions_and_refused_attempts_pass() {
    for measure in [PLAIN, REPLICATION, ADMITTED] {
        let own = judged(measure, shown, refused());
        assert_eq!((own.outcome, value(&own, measure)), (Outcome::Pass, 0.0), "{own:#?}");
    }
    let own = judged(PLAIN, shown, refused());
    assert!(own.summary.contains("TLSv1.3"), "{}", own.summary);
}

#[test]
fn a_plain_session_fails_whether_anybody_asks_or_not() {
    let plain = |node: &str| if node == "node2" { vec![client(None)] } else { shown(node) };
    let own = judged(PLAIN, plain, refused());
    assert_eq!((own.outcome, value(&own, PLAIN)), (Outcome::Fail, 1.0), "{own:#?}");
    assert!(own.summary.contains("pgquake at node2") && !own.evidence.is_empty(), "{own:#?}");
    // No standby's was.
    assert_eq!(value(&own, REPLICATION), 0.0);
    let found = judged_by(&secured(), &[], plain, refused());
    assert!(found.iter().any(|own| own.outcome == Outcome::Fail), "{found:#?}");
}

#[test]
fn a_standby_that_streams_without_tls_fails_the_replication() {
    let plain = |node: &str| match node {
        "node1" => vec![client(TLS), standby("node2", TLS), standby("node3", None)],
        _ => shown(node),
    };
    let own = judged(REPLICATION, plain, refused());
    assert_eq!((own.outcome, value(&own, REPLICATION)), (Outcome::Fail, 1.0), "{own:#?}");
}

#[test]
fn what_nobody_saw_is_in_doubt() {
    let no_node = |node: &str| if node == "node3" { Vec::new() } else { shown(node) };
    assert_eq!(judged(PLAIN, no_node, refused()).outcome, Outcome::Inconclusive);
    // Clients alone: that standbys stream over TLS was not seen.
    let own = judged(REPLICATION, |_| vec![client(TLS)], refused());
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    assert_eq!(judged(ADMITTED, shown, Vec::new()).outcome, Outcome::Inconclusive);
}

/// Sessions after a failover are others than before it.
#[test]
fn what_was_seen_before_a_failover_alone_is_in_doubt() {
    let at = |events: Vec<Event>, ms: u64, node: &str, sessions: Vec<SessionsSeen>| {
        with(events, ms, Occurrence::Sessions { node: node.to_owned(), sessions })
    };
    let before = NODES.iter().fold(run(&[Course::default()]), |events, node| at(events, 900, node, shown(node)));
    let found = judged_in(&secured(), &before);
    assert_eq!(found[0].outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found[0].summary.contains("after the last fault"), "{}", found[0].summary);
    // Clients at each node, and nobody saw how the standbys of the new primary stream.
    let clients = NODES.iter().fold(before, |events, node| at(events, LATE_MS, node, vec![client(TLS)]));
    let found = judged_in(&secured(), &clients);
    assert_eq!(found[0].outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found[0].summary.contains("no standby was seen to stream from node2"), "{}", found[0].summary);
    let all = at(clients, LATE_MS, "node2", vec![standby("node3", TLS)]);
    assert_eq!(judged_in(&secured(), &all)[0].outcome, Outcome::Pass);
}

#[test]
fn whoever_gets_in_by_any_way_fails_it() {
    for way in WayIn::ALL {
        let own = of_entries(|one| {
            if one.way == way {
                (one.answer, one.reason) = (EntryAnswer::Admitted, "it got in".to_owned());
            }
        });
        assert_eq!(own.outcome, Outcome::Fail, "{way:?}: {own:#?}");
        assert!(!own.evidence.is_empty());
    }
}

/// A server that is down refuses everybody, and a certificate that has expired is no foreign one.
#[test]
fn a_refusal_for_another_reason_is_in_doubt() {
    for way in WayIn::ALL {
        let own = of_entries(|one| {
            if one.way == way && one.host == "node2" {
                one.reason = "invalid peer certificate: Expired".to_owned();
            }
        });
        assert_eq!(own.outcome, Outcome::Inconclusive, "{way:?}: {own:#?}");
        let own = of_entries(|one| {
            if one.way == way && one.host == "node2" {
                one.answer = EntryAnswer::Unanswered;
            }
        });
        assert_eq!(own.outcome, Outcome::Inconclusive, "{way:?}: {own:#?}");
    }
}

#[test]
fn an_attempt_that_nobody_made_is_in_doubt() {
    for way in WayIn::ALL {
        let tried = refused().into_iter().filter(|one| one.way != way || one.host != "node3").collect();
        let own = judged(ADMITTED, shown, tried);
        assert_eq!(own.outcome, Outcome::Inconclusive, "{way:?}: {own:#?}");
    }
}

/// Nobody streams to a cluster that takes its WAL from an archive alone.
#[test]
fn a_cluster_that_is_shipped_to_needs_no_session_at_the_one_that_it_follows() {
    let of = |name: &str| -> Finding {
        let mut topology = load(name, &[]).expect("a built-in topology");
        topology.tls.postgresql = true;
        let plan = Plan::new(topology);
        let streams = |events: Vec<Event>, cluster: &Cluster| {
            let standbys = cluster.nodes.iter().map(|node| standby(node, TLS));
            let sessions: Vec<_> = [client(TLS)].into_iter().chain(standbys).collect();
            cluster.nodes.iter().fold(events, |events, node| {
                with(events, LATE_MS, Occurrence::Sessions { node: node.clone(), sessions: sessions.clone() })
            })
        };
        let events = plan.clusters.iter().fold(run(&[Course::default()]), streams);
        judged_in(&plan, &events).remove(0)
    };
    let shipped = of("two-region-shipping");
    assert_eq!(shipped.outcome, Outcome::Pass, "{shipped:#?}");
    let streamed = of("two-region");
    assert!(streamed.summary.contains("no session of west was seen at east"), "{}", streamed.summary);
}

/// A pooler on the same host is another server.
#[test]
fn an_attempt_at_a_pooler_is_none_at_its_node_and_the_reverse() {
    let plan = Plan::new(load("documented-ha-tls", &[]).expect("a built-in topology"));
    let at = |port: u16, way: WayIn, host: &str| EntryTried {
        way,
        host: host.to_owned(),
        port,
        answer: EntryAnswer::Refused,
        reason: refusal(way).to_owned(),
    };
    let all = |without: (WayIn, u16)| -> Finding {
        let poolers = [WayIn::PlainSession, WayIn::WrongPassword].map(|way| (way, 6432));
        let ways = WayIn::ALL.map(|way| (way, port(way))).into_iter().chain(poolers);
        let of = |(way, port)| NODES.map(|host| at(port, way, host));
        let tried = ways.filter(|own| *own != without).flat_map(of).collect();
        judged_by(&plan, &[ADMITTED], shown, tried).pop().expect("a finding")
    };
    let whole = all((WayIn::PlainSession, 1));
    assert_eq!(whole.outcome, Outcome::Pass, "{whole:#?}");
    for port in [5432, 6432] {
        let own = all((WayIn::PlainSession, port));
        assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
        assert!(own.summary.contains(&format!("no attempt without TLS was made at node1:{port}")), "{}", own.summary);
    }
}

/// No agent keeps these nodes, and no member of a DCS elects among them: there is nothing that must be tried.
#[test]
fn nothing_that_was_tried_proves_nothing() {
    let plan = Plan::new(load("async-manual", &[]).expect("a built-in topology"));
    let found = judged_by(&plan, &[ADMITTED], |_| Vec::new(), Vec::new());
    assert_eq!(found[0].outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found[0].summary.contains("nothing was tried"), "{}", found[0].summary);
}

#[test]
fn a_session_by_a_broken_tls_counts_as_plain() {
    for version in ["TLSv1", "TLSv1.1"] {
        let old = |node: &str| if node == "node3" { vec![client(Some(version))] } else { shown(node) };
        let own = judged(PLAIN, old, refused());
        assert_eq!((own.outcome, value(&own, PLAIN)), (Outcome::Fail, 1.0), "{own:#?}");
        assert!(own.summary.contains("1 kind of session was not encrypted"), "{}", own.summary);
    }
    let newer = |node: &str| if node == "node3" { vec![client(Some("TLSv1.2"))] } else { shown(node) };
    assert_eq!(judged(PLAIN, newer, refused()).outcome, Outcome::Pass);
}

/// Plain sessions of clients prove nothing of standbys that nobody saw.
#[test]
fn replication_that_nobody_saw_is_in_doubt_where_clients_come_plainly() {
    let found = judged_by(&plan(false), &[REPLICATION], |_| vec![client(None)], Vec::new());
    assert_eq!(found[0].outcome, Outcome::Inconclusive, "{found:#?}");
    let found = judged_by(&plan(false), &[PLAIN], |_| vec![client(None)], Vec::new());
    assert_eq!(found[0].outcome, Outcome::Fail, "{found:#?}");
}

#[test]
fn where_no_node_showed_a_session_none_is_called_encrypted() {
    let own = judged(PLAIN, |_| Vec::new(), refused());
    assert_eq!(own.outcome, Outcome::Inconclusive);
    assert!(!own.summary.contains("was encrypted"), "{}", own.summary);
}

/// The control: nothing speaks TLS, somebody looks, and gets in.
#[test]
fn a_plain_topology_fails_where_it_is_asked_and_says_nothing_else() {
    let plain = plan(false);
    let sessions =
        |node: &str| if node == "node1" { vec![client(None), standby("node2", None)] } else { vec![client(None)] };
    let mut tried = refused();
    tried[0].answer = EntryAnswer::Admitted;
    let found = judged_by(&plain, &[PLAIN, ADMITTED], sessions, tried);
    assert_eq!(found.iter().map(|own| own.outcome).collect::<Vec<_>>(), [Outcome::Fail; 2], "{found:#?}");
    assert_eq!(judged_by(&plain, &[], |_| Vec::new(), Vec::new()), []);
}
