//! Every fault on real containers: it bites, it leaves the others alone, and healing restores what was.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use pgquake::{
    cluster::{Cluster, Startup, wait_until},
    drill::DrillContext,
    engine::{
        Engine,
        labels::RunLabels,
        leftovers::{Ownership, Sweep},
    },
    faults::{self, Injector, Target},
    history::{Event, Occurrence, Recorder, read_history},
    plan::Plan,
    topology::{self, ServiceKind},
};
use tokio::{net::TcpStream, time::timeout};

/// A cluster for these tests, with all that is needed to break it.
struct Bench {
    engine: Engine,
    cluster: Cluster,
    injector: Injector,
    recorder: Recorder,
    run: String,
    _folder: tempfile::TempDir,
    _ownership: Ownership,
}

impl Bench {
    async fn new() -> Self {
        let engine = Engine::connect().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run = format!("test-faults-{}", std::process::id());
        let ownership = Ownership::of(&run).unwrap();
        let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
        let plan = Plan::new(topology::load("single-region-fast", &[]).unwrap());
        let context = DrillContext {
            engine: engine.clone(),
            recorder: recorder.clone(),
            run: run.clone(),
            owner: ownership.label(),
            folder: folder.path().to_owned(),
            seed: 1,
            topology_folders: Vec::<PathBuf>::new(),
            topology_override: None,
            image_progress: Box::new(|_| {}),
            plans: Default::default(),
            versions: Default::default(),
        };
        let images = context.images(&plan).await.unwrap();
        let labels = RunLabels { run: run.clone(), scenario: 1, owner: ownership.label() };
        let startup = Startup { engine: &engine, plan, labels, images: &images, logs: context.logs(1) };
        let (cluster, _) = Cluster::start(startup).await.unwrap();
        let injector = Injector::new(cluster.clone(), recorder.clone());
        Self { engine, cluster, injector, recorder, run, _folder: folder, _ownership: ownership }
    }

    async fn inject(&mut self, fault: &str, target: &str, parameters: &[(&str, &str)]) {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.injector.inject(fault, &Target::parse(target), parameters).await.unwrap();
    }

    async fn heal(&mut self) {
        self.injector.heal_all().await.unwrap();
    }

    /// Whether a service answers at its port, from outside. docker-proxy accepts for anyone, so only bytes count.
    async fn answers(&self, host: &str, port: u16) -> bool {
        let address: SocketAddr = self.cluster.access().address(host, port).unwrap();
        let asked = async {
            let stream = TcpStream::connect(address).await.ok()?;
            stream.writable().await.ok()?;
            stream.try_write(b"GET /health HTTP/1.0\r\n\r\n").ok()?;
            stream.readable().await.ok()?;
            stream.try_read(&mut [0; 16]).ok().filter(|bytes| *bytes > 0)
        };
        timeout(Duration::from_secs(1), asked).await.ok().flatten().is_some()
    }

    async fn wait_for_answer(&self, host: &str, port: u16, wanted: bool) {
        let what = format!("{host}:{port} to {}", if wanted { "answer" } else { "be silent" });
        wait_until(&what, Duration::from_secs(30), || async {
            if self.answers(host, port).await == wanted { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await
        .unwrap();
    }

    fn events(&self) -> Vec<Event> {
        read_history(self.recorder.path()).unwrap()
    }
}

const ETCD: u16 = 2379;
const PATRONI: u16 = 8008;
const STATS: u16 = 8404;

#[tokio::test(flavor = "multi_thread")]
async fn faults_bite_leave_others_alone_and_heal() {
    let mut bench = Bench::new().await;

    // A service: its processes die, its host and its neighbours live.
    bench.inject("service_kill", "node3", &[("service", "etcd")]).await;
    assert!(!bench.answers("node3", ETCD).await);
    assert!(bench.answers("node3", PATRONI).await, "the neighbour on the host died too");
    assert!(bench.answers("node2", ETCD).await, "another host's etcd died too");
    bench.heal().await;
    bench.wait_for_answer("node3", ETCD, true).await;

    // The proxy.
    bench.inject("process_kill", "the proxy", &[("process", "HAProxy")]).await;
    bench.wait_for_answer("proxy", STATS, false).await;
    bench.heal().await;
    bench.wait_for_answer("proxy", STATS, true).await;

    // The agent alone: PostgreSQL under it lives, with the same postmaster.
    let pod = bench.cluster.pod("node2").unwrap();
    let before = faults::Process::Postmaster.pids(pod).await.unwrap();
    bench.inject("process_kill", "node2", &[("process", "the Patroni agent")]).await;
    bench.wait_for_answer("node2", PATRONI, false).await;
    let pod = bench.cluster.pod("node2").unwrap();
    assert_eq!(faults::Process::Postmaster.pids(pod).await.unwrap(), before, "PostgreSQL died with its agent");
    bench.heal().await;
    bench.wait_for_answer("node2", PATRONI, true).await;

    // Frozen, not dead: the same process runs on after it.
    let frozen = faults::Process::Agent.pids(bench.cluster.pod("node3").unwrap()).await.unwrap();
    bench.inject("process_freeze", "node3", &[("process", "the Patroni agent")]).await;
    assert!(!bench.answers("node3", PATRONI).await);
    assert!(bench.answers("node2", PATRONI).await);
    bench.heal().await;
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(faults::Process::Agent.pids(bench.cluster.pod("node3").unwrap()).await.unwrap(), frozen);

    // A host: silence, not resets; its peers hear one another; its address stays.
    let address = bench.cluster.pod("node3").unwrap().address.clone();
    bench.inject("host_crash", "node3", &[]).await;
    let peer = bench.cluster.pod("node2").unwrap();
    let connect = |to: &str| format!("timeout 0.3 bash -c '</dev/tcp/{to}/9' 2>/dev/null");
    assert_eq!(peer.shell.run(&connect(&address)).await.unwrap().status, 124, "a dead host answered");
    assert_eq!(peer.shell.run(&connect("node1")).await.unwrap().status, 1, "a living host must reset");
    bench.heal().await;
    for kind in [ServiceKind::Etcd, ServiceKind::Patroni] {
        let service = bench.cluster.service("node3", kind).unwrap();
        assert!(bench.engine.service_runs(service).await.unwrap(), "{} does not run", kind.name());
    }
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(bench.cluster.pod("node3").unwrap().address, address);

    // Refused: a target that the fault can't apply to, with the reason; and nothing was recorded of it.
    let wrong = BTreeMap::from([("service".to_owned(), "haproxy".to_owned())]);
    let refused = bench.injector.inject("service_kill", &Target::parse("node1"), wrong).await.unwrap_err();
    assert!(refused.to_string().contains("node1 does not run haproxy"), "{refused}");
    let unknown = bench.injector.inject("host_crush", &Target::Primary, BTreeMap::new()).await.unwrap_err();
    assert!(unknown.to_string().contains("host_crash"), "{unknown}");

    let events = bench.events();
    let count = |test: fn(&Occurrence) -> bool| events.iter().filter(|event| test(&event.what)).count();
    assert_eq!(count(|what| matches!(what, Occurrence::FaultInjecting(_))), 5);
    assert_eq!(count(|what| matches!(what, Occurrence::FaultConfirmed { .. })), 5);
    assert_eq!(count(|what| matches!(what, Occurrence::FaultHealed { .. })), 5);
    assert_eq!(count(|what| matches!(what, Occurrence::FaultUnconfirmed { .. })), 0);

    bench.engine.sweep(Sweep::Run(&bench.run)).await.unwrap();
}
