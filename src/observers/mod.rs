//! Observers: they watch a system from outside and never act. One file an observer, one row in [`ALL`].
//!
//! Each target of each observer has a task of its own, so that a dead target delays nobody else. A dead target is an
//! observation; an observer that cannot watch any more says so ([`Occurrence::ObserverLost`]), because what nobody
//! watched is unknown and not unchanged.
//!
//! Architecture invariant: no observer uses another one, and none knows of faults or of the load.

mod addresses;
mod archive;
mod balancer;
mod dcs_leader;
mod docker_events;
mod envoy;
mod haproxy;
mod kept_session;
mod leader_key;
mod names;
mod node_state;
mod patroni_api;
mod pools;
mod sessions;
mod slots;
mod subscriptions;
mod timers;
mod watchdog;

use std::{net::SocketAddr, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    dcs,
    engine::{Engine, labels::RunLabels},
    history::{Occurrence, Recorder},
    http,
    plan::{Plan, PlannedDcs},
    services::service,
    system::Access,
};

/// One row of the table of observers.
pub struct Observer {
    /// Its name in histories and lists.
    pub name: &'static str,
    /// What it watches and how often, in a sentence.
    pub watches: &'static str,
    watch: fn(&Scene<'_>) -> Result<Vec<Watch>, ObserverError>,
}

/// Every observer, by name.
pub const ALL: &[Observer] = &[
    addresses::OBSERVER,
    archive::OBSERVER,
    dcs_leader::OBSERVER,
    docker_events::OBSERVER,
    envoy::OBSERVER,
    haproxy::OBSERVER,
    leader_key::OBSERVER,
    names::OBSERVER,
    node_state::OBSERVER,
    patroni_api::OBSERVER,
    pools::OBSERVER,
    sessions::OBSERVER,
    slots::OBSERVER,
    subscriptions::OBSERVER,
    timers::OBSERVER,
    watchdog::OBSERVER,
];

/// The observers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    #[error("failed to start the observer {observer}: port {port} of {host} is not published")]
    Unpublished { observer: &'static str, host: String, port: u16 },
    #[error("failed to start the observer {observer}: {reason}")]
    NoClient { observer: &'static str, reason: String },
}

/// What observers are started from.
struct Scene<'a> {
    plan: &'a Plan,
    access: &'a Access,
    recorder: &'a Recorder,
    engine: &'a Engine,
    labels: &'a RunLabels,
}

impl Scene<'_> {
    /// Where a host's port is reached.
    fn address(&self, observer: &'static str, host: &str, port: u16) -> Result<SocketAddr, ObserverError> {
        let unpublished = || ObserverError::Unpublished { observer, host: host.to_owned(), port };
        self.access.address(host, port).ok_or_else(unpublished)
    }

    /// The members of a DCS. Each request to one of them may take `answer_within`.
    fn dcs_members(
        &self,
        observer: &'static str,
        dcs: &PlannedDcs,
        answer_within: Duration,
    ) -> Result<Vec<DcsMember>, ObserverError> {
        let kind = dcs.kind;
        let Some(port) = service(kind).dcs().map(|dcs| dcs.client_port) else { return Ok(Vec::new()) };
        let login = self.access.dcs_login(self.plan.asks_for_passwords(dcs));
        let client = |member: &str| {
            let address = self.address(observer, member, port)?;
            let no_client = || ObserverError::NoClient { observer, reason: format!("{} is no DCS", kind.name()) };
            let client =
                dcs::client(kind, &[(member.to_owned(), address)], login, answer_within).ok_or_else(no_client)?;
            Ok((member.to_owned(), client))
        };
        dcs.members.iter().map(|member| client(member)).collect()
    }
}

/// A member of the DCS: its host's name, and a client of it alone.
type DcsMember = (String, Box<dyn dcs::Client>);

/// An observer of one target.
struct Watch {
    target: String,
    /// Watches for ever; it ends only when it cannot go on, with the reason.
    watching: BoxFuture<'static, String>,
}

impl Watch {
    fn new(target: &str, watching: impl Future<Output = String> + Send + 'static) -> Self {
        Self { target: target.to_owned(), watching: watching.boxed() }
    }
}

/// Running observers. Dropping them ends them too.
pub struct Observers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Observers {
    /// Starts every observer. What they see is recorded from here on. Docker's events are those of the containers
    /// with these labels.
    pub fn start(
        plan: &Plan,
        access: &Access,
        recorder: &Recorder,
        engine: &Engine,
        labels: &RunLabels,
    ) -> Result<Self, ObserverError> {
        let scene = Scene { plan, access, recorder, engine, labels };
        let mut observers = Self { stop: CancellationToken::new(), tasks: JoinSet::new() };
        for observer in ALL {
            for watch in (observer.watch)(&scene)? {
                observers.tasks.spawn(supervise(observer.name, watch, recorder.clone(), observers.stop.clone()));
            }
        }
        Ok(observers)
    }

    /// Ends every observer. Nothing is recorded by them after this.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Lets an observer watch until it is stopped, and records it when it ends before that.
async fn supervise(observer: &'static str, watch: Watch, recorder: Recorder, stop: CancellationToken) {
    let Watch { target, watching } = watch;
    let reason = tokio::select! {
        () = stop.cancelled() => return,
        ended = AssertUnwindSafe(watching).catch_unwind() => ended.unwrap_or_else(|_| "it panicked".to_owned()),
    };
    recorder.record(Occurrence::ObserverLost { observer: observer.to_owned(), target, reason });
}

/// Signs of life of one observer of one target, about once a second.
struct Pulse {
    observer: &'static str,
    target: String,
    recorder: Recorder,
    last: Option<Instant>,
}

/// The time between two signs of life.
const PULSE: Duration = Duration::from_secs(1);

impl Pulse {
    fn new(observer: &'static str, target: &str, recorder: &Recorder) -> Self {
        Self { observer, target: target.to_owned(), recorder: recorder.clone(), last: None }
    }

    /// To be called whenever the observer has just looked, whatever it saw.
    fn beat(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() < PULSE) {
            return;
        }
        self.last = Some(Instant::now());
        let alive = Occurrence::ObserverAlive { observer: self.observer.to_owned(), target: self.target.clone() };
        self.recorder.record(alive);
    }

    /// Beats for ever; for an observer that waits for news instead of asking for it.
    async fn beat_on(mut self) -> String {
        let mut due = every(PULSE);
        loop {
            due.tick().await;
            self.last = None;
            self.beat();
        }
    }
}

/// Ticks with at least this period between two of them: after a slow look there is no haste.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// An HTTP client for published ports: never through a proxy of the environment.
fn http_client(observer: &'static str, timeout: Duration) -> Result<reqwest::Client, ObserverError> {
    let built = http::client().timeout(timeout).build();
    built.map_err(|error| ObserverError::NoClient { observer, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Event, read_history};

    async fn recorded_by(watch: impl FnOnce(&Recorder) -> Watch, until: impl Fn(&Occurrence) -> bool) -> Vec<Event> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path).unwrap();
        let mut events = recorder.listen();
        let stop = CancellationToken::new();
        let task = tokio::spawn(supervise("test", watch(&recorder), recorder.clone(), stop.clone()));
        let seen = async { while !until(&events.recv().await.unwrap().what) {} };
        tokio::time::timeout(Duration::from_secs(5), seen).await.expect("the awaited event within 5 s");
        stop.cancel();
        task.await.unwrap();
        read_history(&path).unwrap()
    }

    #[tokio::test]
    async fn an_observer_that_panics_or_gives_up_is_lost() {
        for (watching, why) in [
            (async { panic!("a mistake") }.boxed(), "it panicked"),
            (async { "the engine is gone".to_owned() }.boxed(), "the engine is gone"),
        ] {
            let events = recorded_by(
                |_| Watch { target: "node1".to_owned(), watching },
                |what| matches!(what, Occurrence::ObserverLost { .. }),
            )
            .await;
            let lost = Occurrence::ObserverLost {
                observer: "test".to_owned(),
                target: "node1".to_owned(),
                reason: why.to_owned(),
            };
            assert_eq!(events[0].what, lost);
        }
    }

    #[tokio::test]
    async fn a_stopped_observer_is_not_lost() {
        let events = recorded_by(
            |recorder| Watch::new("node1", Pulse::new("test", "node1", recorder).beat_on()),
            |what| matches!(what, Occurrence::ObserverAlive { .. }),
        )
        .await;
        assert!(!events.iter().any(|event| matches!(event.what, Occurrence::ObserverLost { .. })));
    }

    #[test]
    fn names_are_in_order_and_unique() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
