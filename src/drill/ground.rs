//! What a drill itself stands on: the engine, containers that no fault ends, this machine's memory and disks. When any of
//! it breaks, nothing that comes after proves anything about the system under test, and nothing is worth waiting for.

mod deaths;
mod machine;

use std::{path::PathBuf, time::Duration};

use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::DrillError;
use crate::{
    engine::Engine,
    history::{Occurrence, Recorder},
};
use deaths::Deaths;

/// The time between two looks at the engine.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// A living engine answers within this time, even on a busy machine.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// An engine that has refused connections for this long is gone; a restart that is over sooner does not end a drill.
const GONE_AFTER: Duration = Duration::from_secs(3);
/// An engine that has taken connections for this long without an answer is as good as gone.
const DUMB_AFTER: Duration = Duration::from_secs(10);

/// Within this time the engine reports all deaths of one cause.
const TOLD_TOGETHER: Duration = Duration::from_millis(500);

/// Whether the ground holds. Clones are the same ground.
#[derive(Clone)]
pub(super) struct Ground {
    lost: watch::Sender<Option<String>>,
}

/// Watches the ground until it is dropped.
pub(super) struct GroundWatch {
    task: JoinHandle<()>,
}

impl Drop for GroundWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ground {
    pub fn new() -> Self {
        Self { lost: watch::channel(None).0 }
    }

    /// Why it is lost, if it is.
    pub fn lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }

    /// Does something for as long as the ground holds: when it is lost, that is the error, at once.
    pub async fn hold<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, DrillError>
    where
        DrillError: From<E>,
    {
        let mut lost = self.lost.subscribe();
        let reason = async move {
            let reason = lost.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            // The sender outlives this borrow of it, so there is a reason.
            reason.unwrap_or_default()
        };
        tokio::select! {
            biased;
            reason = reason => Err(DrillError::GroundLost(reason)),
            done = work => Ok(done?),
        }
    }

    /// Watches from here on. The first loss is recorded, and ends everything that is held.
    pub fn watch(&self, engine: &Engine, recorder: &Recorder, folder: PathBuf) -> GroundWatch {
        let (lost, engine, recorder) = (self.lost.clone(), engine.clone(), recorder.clone());
        let deaths = unexplained_death(recorder.clone());
        let task = tokio::spawn(async move {
            let root = engine.root_folder().await;
            let reason = tokio::select! {
                reason = deaths => reason,
                reason = end_of_the_engine(&engine) => reason,
                reason = machine::exhausted(&folder, root.as_deref()) => reason,
                reason = end_of_the_history(&recorder) => reason,
            };
            recorder.record(Occurrence::GroundLost { reason: reason.clone() });
            lost.send_replace(Some(reason));
        });
        GroundWatch { task }
    }
}

/// Waits until a container of the scenario dies that no fault has ended.
fn unexplained_death(recorder: Recorder) -> impl Future<Output = String> {
    // Listening begins before anything else can happen.
    let mut events = recorder.listen();
    async move {
        let mut deaths = Deaths::default();
        let mut next = async || loop {
            match events.recv().await {
                Ok(event) if event.scenario == recorder.scenario() => {
                    if let Some(death) = deaths.unexplained(&event) {
                        return death;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        };
        let first = next().await;
        // With a host all its services die, and the engine reports them in any order: the host is the cause.
        let cause = async {
            loop {
                let death = next().await;
                if death.is_of_a_host {
                    return death;
                }
            }
        };
        match first.is_of_a_host {
            true => first.reason,
            false => timeout(TOLD_TOGETHER, cause).await.unwrap_or(first).reason,
        }
    }
}

async fn end_of_the_engine(engine: &Engine) -> String {
    let mut silent_since = Instant::now();
    loop {
        let (reason, after) = match timeout(ANSWERS_WITHIN, engine.ping()).await {
            Ok(Ok(())) => {
                silent_since = Instant::now();
                (String::new(), Duration::MAX)
            }
            Ok(Err(error)) => (error.to_string(), GONE_AFTER),
            Err(_) => (format!("no answer within {} s", ANSWERS_WITHIN.as_secs()), DUMB_AFTER),
        };
        if silent_since.elapsed() >= after {
            return format!("the Docker engine is gone: {reason}");
        }
        sleep(ASK_EVERY).await;
    }
}

async fn end_of_the_history(recorder: &Recorder) -> String {
    loop {
        if let Some(failure) = recorder.failure() {
            return failure;
        }
        sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_ends_at_once_when_the_ground_is_lost_and_nothing_begins_after_it() {
        let ground = Ground::new();
        let held = ground.clone();
        let waiting = tokio::spawn(async move { held.hold(std::future::pending::<Result<(), DrillError>>()).await });
        assert_eq!(ground.hold(async { Ok::<_, DrillError>(7) }).await.unwrap(), 7);
        ground.lost.send_replace(Some("the engine is gone".to_owned()));
        let ended = timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
        assert!(matches!(ended, Err(DrillError::GroundLost(reason)) if reason == "the engine is gone"));
        assert!(ground.hold(async { Ok::<_, DrillError>(7) }).await.is_err());
    }

    #[tokio::test]
    async fn a_history_that_can_not_be_written_is_a_loss() {
        let recorder = Recorder::create(std::path::Path::new("/dev/full"));
        // `create_new` refuses a device: then there is nothing to try here.
        let Ok(recorder) = recorder else { return };
        recorder.record(Occurrence::ScenarioEnded);
        assert!(end_of_the_history(&recorder).await.contains("/dev/full"));
    }
}
