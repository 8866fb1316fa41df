//! A system for the tests of faults, with all that is needed to break it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use pgquake::{
    drill::DrillContext,
    engine::{
        Engine,
        leftovers::{Ownership, Sweep},
    },
    faults::{Injector, InjectorError, Order, Target},
    history::{Event, Occurrence, Recorder, read_history},
    plan::Plan,
    system::{Session, System},
    topology::{self, Topology},
    waiting::wait_until,
};
use tokio::{
    net::TcpStream,
    sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit},
    time::timeout,
};

/// Three systems that wait most of the time fit on two cores.
static TURNS: Semaphore = Semaphore::const_new(3);
/// Starting a system takes all cores, so one starts at a time, and none beside a test that is timed.
static STARTS: Mutex<()> = Mutex::const_new(());

/// One test's turn.
pub struct Bench {
    pub engine: Engine,
    pub system: System,
    pub injector: Injector,
    pub recorder: Recorder,
    run: String,
    begun: Instant,
    _folder: tempfile::TempDir,
    _ownership: Ownership,
    _turn: SemaphorePermit<'static>,
    _no_starts: Option<MutexGuard<'static, ()>>,
}

impl Bench {
    /// The quick single region.
    pub async fn new(test: &str) -> Self {
        Self::of(test, topology::load("single-region-fast", &[]).unwrap()).await
    }

    pub async fn of(test: &str, topology: Topology) -> Self {
        let mut bench = Self::timed(test, topology).await;
        bench._no_starts = None;
        bench
    }

    /// For a test that holds faults to milliseconds: no other system starts while it lasts.
    pub async fn timed(test: &str, topology: Topology) -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let no_starts = STARTS.lock().await;
        let (begun, engine) = (Instant::now(), Engine::connect().await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let run = format!("test-{test}-{}", std::process::id());
        let ownership = Ownership::of(&run).unwrap();
        let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
        let context = DrillContext::new(engine.clone(), recorder.clone(), &run, ownership.label(), folder.path());
        let (system, _) = context.start(&Plan::new(topology), 1).await.unwrap();
        println!("{run} started in {:.1} s", begun.elapsed().as_secs_f64());
        wait_until("every agent to see its PostgreSQL run", Duration::from_secs(30), || system.agents_run())
            .await
            .unwrap();
        let injector = Injector::new(system.clone(), recorder.clone());
        Self {
            engine,
            system,
            injector,
            recorder,
            run,
            begun,
            _folder: folder,
            _ownership: ownership,
            _turn: turn,
            _no_starts: Some(no_starts),
        }
    }

    pub async fn inject(&mut self, fault: &str, target: &str, parameters: &[(&str, &str)]) {
        self.try_inject(fault, target, parameters).await.unwrap();
    }

    pub async fn try_inject(
        &mut self,
        fault: &str,
        target: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(), InjectorError> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let target = Target::parse(target);
        let order = Order { fault, target: &target, parameters, notes: Default::default(), worst: Default::default() };
        self.injector.inject(order).await.map(|_| ())
    }

    /// Injects a fault that must be refused, and returns the reason.
    pub async fn refused(&mut self, fault: &str, target: &str, parameters: &[(&str, &str)]) -> String {
        let refused = self.try_inject(fault, target, parameters).await;
        refused.expect_err("it must be refused").to_string()
    }

    pub async fn heal(&mut self) {
        self.injector.heal_all().await.unwrap();
    }

    /// Runs a script on a host, and returns its exit status.
    pub async fn status(&self, host: &str, script: &str) -> i32 {
        self.system.pod(host).unwrap().shell.run(script).await.unwrap().status
    }

    /// Runs a script on a host that must succeed, and returns what it printed.
    pub async fn output(&self, host: &str, script: &str) -> String {
        self.system.pod(host).unwrap().shell.must(script).await.unwrap()
    }

    /// Waits until a script on a host prints something, and something other than before.
    pub async fn wait_for_other_output(&self, host: &str, script: &str, before: &str) -> String {
        wait_until("another process", Duration::from_secs(30), || async {
            let pod = self.system.pod(host).unwrap();
            let text = pod.shell.run(script).await.unwrap().text;
            if text.is_empty() || text == before { Err(format!("{host} says {text}")) } else { Ok(text) }
        })
        .await
        .unwrap()
    }

    /// Whether a service answers at its port, from outside. docker-proxy accepts for anyone, so only bytes count.
    pub async fn answers(&self, host: &str, port: u16) -> bool {
        let address: SocketAddr = self.system.access().address(host, port).unwrap();
        let asked = async {
            let stream = TcpStream::connect(address).await.ok()?;
            stream.writable().await.ok()?;
            stream.try_write(b"GET /health HTTP/1.0\r\n\r\n").ok()?;
            stream.readable().await.ok()?;
            stream.try_read(&mut [0; 16]).ok().filter(|bytes| *bytes > 0)
        };
        timeout(Duration::from_secs(1), asked).await.ok().flatten().is_some()
    }

    pub async fn wait_for_answer(&self, host: &str, port: u16, wanted: bool) {
        let what = format!("{host}:{port} to {}", if wanted { "answer" } else { "be silent" });
        wait_until(&what, Duration::from_secs(30), || async {
            if self.answers(host, port).await == wanted { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await
        .unwrap();
    }

    /// A session with a node's PostgreSQL, as soon as it takes one.
    pub async fn session(&self, node: &str) -> Session {
        let address = self.system.access().address(node, 5432).unwrap();
        let login = &self.system.access().login();
        let open = || async { Session::open(address, login, "test").await.map_err(|error| error.to_string()) };
        wait_until(&format!("a session with {node}"), Duration::from_secs(30), open).await.unwrap()
    }

    /// Whether a host gets no answer at all, not even a reset, from a port of another one.
    pub async fn is_silent(&self, from: &str, to: &str, port: u16) -> bool {
        let address = &self.system.pod(to).unwrap().address;
        self.status(from, &format!("timeout 0.3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null")).await == 124
    }

    pub fn events(&self) -> Vec<Event> {
        read_history(self.recorder.path()).unwrap()
    }

    /// Holds the history to this number of faults, each injected, confirmed and healed, and removes the system. `quick`:
    /// each was confirmed (on a machine that is not overloaded) within 250 ms of the beginning of its injection, as the
    /// project promises for faults of networks and processes.
    pub async fn finish(self, faults: usize, quick: bool) {
        self.end(faults, |_| quick).await;
    }

    /// The same; all faults but these were confirmed within 250 ms.
    pub async fn finish_but(self, faults: usize, slow: &[&str]) {
        self.end(faults, |name| !slow.contains(&name)).await;
    }

    async fn end(self, faults: usize, quick: impl Fn(&str) -> bool) {
        let events = self.events();
        let count = |test: fn(&Occurrence) -> bool| events.iter().filter(|event| test(&event.what)).count();
        assert_eq!(count(|what| matches!(what, Occurrence::FaultInjecting(_))), faults, "injected");
        assert_eq!(count(|what| matches!(what, Occurrence::FaultConfirmed { .. })), faults, "confirmed");
        assert_eq!(count(|what| matches!(what, Occurrence::FaultHealed { .. })), faults, "healed");
        let unconfirmed = |event: &&Event| matches!(event.what, Occurrence::FaultUnconfirmed { .. });
        assert_eq!(events.iter().find(unconfirmed), None);
        let mut names = BTreeMap::new();
        let starved = is_starved();
        for event in &events {
            if let Occurrence::FaultInjecting(injecting) = &event.what {
                names.insert(injecting.fault, injecting.name.as_str());
            }
            if let Occurrence::FaultHealed { fault, evidence } = &event.what {
                println!("{:6.1} s: fault {fault} healed: {evidence}", event.at_us as f64 / 1e6);
            }
            if let Occurrence::FaultConfirmed { fault, effect_from_us, evidence, .. } = &event.what {
                let took_ms = event.at_us.saturating_sub(*effect_from_us) / 1000;
                let name = names[fault];
                let at_s = event.at_us as f64 / 1e6;
                println!("{at_s:6.1} s: fault {fault}, {name}: confirmed after {took_ms} ms: {evidence}");
                assert!(starved || !quick(name) || took_ms <= 250, "{name} was confirmed only after {took_ms} ms");
            }
        }
        self.remove().await;
    }

    /// Removes the system of a test in which not every fault came off.
    pub async fn remove(self) {
        self.engine.sweep(Sweep::Run(&self.run)).await.unwrap();
        println!("{} took {:.1} s", self.run, self.begun.elapsed().as_secs_f64());
    }
}

/// Whether so much else runs on this machine that a span of time says nothing about pgquake.
fn is_starved() -> bool {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|minute| minute.parse().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    if load > 2.0 * cores {
        println!("the machine's load is {load}: times of confirmation are not judged");
    }
    load > 2.0 * cores
}

/// Waits until a query gives a value on a node.
pub async fn sql_gives(bench: &Bench, node: &str, query: &str, wanted: &str) {
    wait_until(&format!("{wanted} on {node}"), Duration::from_secs(30), || async {
        let told = bench.system.sql_value(node, query).await?;
        if told == wanted { Ok(()) } else { Err(format!("{query} gives {told}")) }
    })
    .await
    .unwrap();
}
