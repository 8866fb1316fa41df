//! The observers see what happens to a real system: a switchover and the death of a node.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pgquake::{
    checks::course::watchers,
    engine::{
        Engine,
        images::{self, ImageKind},
        labels::RunLabels,
        leftovers::{Ownership, Sweep},
    },
    history::{
        Event, Occurrence, Recorder,
        event::{NodeState, Role},
    },
    observers::Observers,
    plan::Plan,
    services::{etcd, patroni::REST_PORT},
    system::{Startup, System},
    topology::{self, ServiceKind},
};
use tokio::sync::broadcast::Receiver;

/// Events as they come, with a deadline that names what did not come.
struct Events(Receiver<Arc<Event>>);

impl Events {
    /// Waits until every wanted thing was seen; `see` strikes out what an event shows.
    async fn until_all<T: Ord + std::fmt::Debug>(
        &mut self,
        wanted: impl IntoIterator<Item = T>,
        see: impl Fn(&Occurrence) -> Option<T>,
    ) {
        let mut missing: BTreeSet<T> = wanted.into_iter().collect();
        let all = async {
            while !missing.is_empty() {
                let event = self.0.recv().await.unwrap();
                if let Some(seen) = see(&event.what) {
                    missing.remove(&seen);
                }
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(60), all).await;
        assert!(came.is_ok(), "not seen within 60 s: {missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switchover_and_a_dead_node_are_seen() {
    watch("test-observers", "single-region-fast").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "Envoy comes from PyPI, which not every machine reaches; .ci/nightly runs this"]
async fn they_are_seen_behind_envoy_too() {
    watch("test-observers-envoy", "envoy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_seen_over_zookeeper_too() {
    watch("test-observers-zookeeper", "dcs-zookeeper").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "Consul is built from source, for minutes"]
async fn they_are_seen_over_consul_too() {
    watch("test-observers-consul", "dcs-consul").await;
}

async fn watch(run: &'static str, topology: &'static str) {
    let engine = Engine::connect().await.unwrap();
    let ownership = Ownership::of(run).unwrap();
    let watched = tokio::spawn(watch_a_system(engine.clone(), run, topology, ownership.label())).await;
    engine.sweep(Sweep::Run(run)).await.unwrap();
    if let Err(failed) = watched {
        std::panic::resume_unwind(failed.into_panic());
    }
}

async fn watch_a_system(engine: Engine, run: &str, topology: &str, owner: String) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(topology::load(topology, &["topologies".into()]).unwrap());
    let made = images::ensure(
        engine.docker(),
        &plan.images().map(|image| ImageKind::made_by(image.recipe)).chain([ImageKind::HOLDER]).collect::<Vec<_>>(),
        &|_| {},
    )
    .await
    .unwrap();
    let images = made.into_iter().map(|(kind, image)| (kind.name().to_owned(), image.tag)).collect();
    let labels = RunLabels { run: run.to_owned(), scenario: 1, owner };
    let logs = folder.path().join("logs");
    let startup = Startup { engine: &engine, plan: plan.clone(), labels, images: &images, logs, leading: Vec::new() };
    let (system, _) = System::start(startup).await.unwrap();

    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap().for_scenario(1);
    let mut events = Events(recorder.listen());
    let observers = Observers::start(&plan, system.access(), &recorder, &engine, system.labels()).unwrap();
    first_sight(&plan, &mut events).await;
    if plan.dcs.iter().all(|dcs| dcs.kind == ServiceKind::Etcd) {
        watches_last(&system, &mut events).await;
    }
    switchover(&system, &mut events).await;
    death_of_a_standby(&system, &mut events).await;
    observers.stop().await;

    let lost = pgquake::history::read_history(recorder.path()).unwrap();
    let lost: Vec<_> = lost.iter().filter(|event| matches!(event.what, Occurrence::ObserverLost { .. })).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// What is so from the beginning. A new cluster is on timeline 2: its first primary is promoted, as Patroni promotes
/// whoever gets the key.
/// Each fact may be told only once, so all are awaited together.
async fn first_sight(plan: &Plan, events: &mut Events) {
    let wanted = [
        "key on node1: node1, initially",
        "key on node2: node1, initially",
        "key on node3: node1, initially",
        "node1 left timeline 1 for 2",
        "node2 left timeline 1 for 2",
        "node3 left timeline 1 for 2",
        "node1 is primary on 2 with node2, node3",
        "node2 is standby on 2 of node1",
        "node3 is standby on 2 of node1",
        "agent node1 primary",
        "agent node2 replica",
        "agent node3 replica",
        "write node1 up",
        "write node2 down",
        "write node3 down",
        "read node1 down",
        "read node2 up",
        "read node3 up",
        "the DCS has a leader",
        "node1 keeps WAL for node2",
        "node1 keeps WAL for node3",
        "timers were watched",
    ];
    let wanted = wanted.map(str::to_owned);
    events.until_all(wanted, describe).await;
    let implied = watchers::ALL
        .iter()
        .flat_map(|watcher| (watcher.targets)(plan).into_iter().map(|target| format!("{} {target}", watcher.observer)));
    events.until_all(implied, sign_of_life).await;
}

/// While nothing happens, no watch is started again: a change that falls between two watches is seen late.
async fn watches_last(system: &System, events: &mut Events) {
    let before = watches_begun(system).await;
    for _ in 0..2 {
        let refreshed = |what: &Occurrence| matches!(what, Occurrence::LeaseRefreshed { .. }).then_some("a refresh");
        events.until_all(["a refresh"], refreshed).await;
    }
    assert_eq!(watches_begun(system).await, before);
}

/// How many watches each member of etcd has been asked for.
async fn watches_begun(system: &System) -> Vec<String> {
    let mut begun = Vec::new();
    for host in ["node1", "node2", "node3"] {
        let member = system.access().address(host, etcd::CLIENT_PORT).unwrap();
        let asked = pgquake::http::client().build().unwrap().get(format!("http://{member}/metrics")).send();
        let metrics = asked.await.unwrap().text().await.unwrap();
        let of_watches = |line: &&str| line.starts_with("grpc_server_started_total") && line.contains("\"Watch\"");
        begun.push(metrics.lines().find(of_watches).unwrap().to_owned());
    }
    begun
}

async fn switchover(system: &System, events: &mut Events) {
    let rest = system.access().address("node1", REST_PORT).unwrap();
    let request = pgquake::http::client().build().unwrap().post(format!("http://{rest}/switchover"));
    let asked = request.json(&serde_json::json!({ "leader": "node1", "candidate": "node2" })).send();
    let wanted = [
        "key on node1: nobody",
        "key on node2: nobody",
        "key on node3: nobody",
        "key on node1: node2",
        "key on node2: node2",
        "key on node3: node2",
        "node2 left timeline 2 for 3",
        "node2 is primary on 3 with node1, node3",
        "node1 is standby on 3 of node2",
        "agent node2 primary",
        "agent node1 replica",
        "write node1 down",
        "write node2 up",
    ];
    let (answer, ()) = tokio::join!(asked, events.until_all(wanted.map(str::to_owned), describe));
    let answer = answer.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
}

async fn death_of_a_standby(system: &System, events: &mut Events) {
    let service = system.service("node3", ServiceKind::Patroni).unwrap();
    let killed = system.engine().kill_service(service);
    let wanted = ["node3 is unreachable", "agent node3 is unreachable", "container node3/patroni: die"];
    let (killed, ()) = tokio::join!(killed, events.until_all(wanted.map(str::to_owned), describe));
    killed.unwrap();
    // Observers of what is dead are themselves alive.
    events.until_all(["node_state node3", "patroni_api node3"].map(str::to_owned), sign_of_life).await;
}

fn sign_of_life(what: &Occurrence) -> Option<String> {
    match what {
        Occurrence::ObserverAlive { observer, target } => Some(format!("{observer} {target}")),
        _ => None,
    }
}

fn describe(what: &Occurrence) -> Option<String> {
    let up_or_down = |up| if up { "up" } else { "down" };
    Some(match what {
        Occurrence::LeaderKey { member, holder, initial, .. } => {
            let initially = if *initial { ", initially" } else { "" };
            format!("key on {member}: {}{initially}", holder.as_deref().unwrap_or("nobody"))
        }
        Occurrence::ObserverLost { .. } => panic!("{what:?}"),
        Occurrence::NodeState(state) => describe_node(state)?,
        Occurrence::SlotState { node, slot, active: true, held_bytes: Some(_), wal_status: Some(_) } => {
            format!("{node} keeps WAL for {slot}")
        }
        Occurrence::AgentState { node, reachable: false, .. } => format!("agent {node} is unreachable"),
        Occurrence::AgentState { node, role, .. } => format!("agent {node} {}", role.as_deref()?),
        Occurrence::ProxyState { backend, server, up, .. } => format!("{backend} {server} {}", up_or_down(*up)),
        Occurrence::DcsLeader { member: Some(_), .. } => "the DCS has a leader".to_owned(),
        Occurrence::TimerLate { .. } => "timers were watched".to_owned(),
        Occurrence::TimelineSwitch { node, parent, timeline, switch_lsn: 1.. } => {
            format!("{node} left timeline {parent} for {timeline}")
        }
        Occurrence::ContainerEvent { host, service, action, engine_time_ns: 1.., .. } => {
            format!("container {host}/{service}: {action}")
        }
        _ => return None,
    })
}

fn describe_node(state: &NodeState) -> Option<String> {
    let NodeState { node, reachable, role, timeline, lsn, streaming_from, standbys, asked_us: _ } = state;
    if !reachable {
        return Some(format!("{node} is unreachable"));
    }
    let timeline = (*timeline)?;
    assert!(lsn.is_some_and(|lsn| lsn > 0), "{state:?}");
    match role.as_ref()? {
        Role::Primary => {
            let standbys = standbys.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Some(format!("{node} is primary on {timeline} with {standbys}"))
        }
        Role::Standby => Some(format!("{node} is standby on {timeline} of {}", streaming_from.as_deref()?)),
    }
}
