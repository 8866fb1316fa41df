//! Resets of hosts by their own watchdogs, while a drill goes on.
//!
//! A host that its watchdog has reset stays off until the drill heals its faults, as one that was crashed. The reset is no
//! fault of the scenario's, but it is taken in as one as soon as it is announced: so it is proven, what it has ended is
//! explained, and the host comes back with the rest.

use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};

use crate::{
    faults::Injector,
    history::{Occurrence, Recorder, event::WatchdogState},
};

/// Takes resets in until it is dropped.
pub(super) struct Watchdogs {
    task: JoinHandle<()>,
}

impl Drop for Watchdogs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watchdogs {
    /// Listens from here on.
    pub fn listen(recorder: &Recorder, injector: &Injector) -> Self {
        let (mut events, scenario, injector) = (recorder.listen(), recorder.scenario(), injector.clone());
        let task = tokio::spawn(async move {
            loop {
                let event = match events.recv().await {
                    Ok(event) if event.scenario == scenario => event,
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                };
                if let Occurrence::Watchdog(change) = &event.what
                    && change.state == WatchdogState::Expiring
                    && let Err(error) = injector.take_reset(&change.node).await
                {
                    // The history has it that it is unproven.
                    tracing::debug!("{error}");
                }
            }
        });
        Self { task }
    }
}
