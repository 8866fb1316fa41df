//! Docker's events: when containers start, die, are killed or paused, as the engine reports it.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    models::EventMessage,
    query_parameters::{EventsOptions, EventsOptionsBuilder},
};
use futures::StreamExt;
use tokio::time::Instant;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    engine::labels::{HOST, RUN, RunLabels, SCENARIO, SERVICE},
    history::{Occurrence, Recorder},
};

pub(super) const OBSERVER: Observer =
    Observer { name: "docker_events", watches: "the engine's events of this run's containers", watch };

/// The time between two attempts to listen again.
const RETRY: Duration = Duration::from_millis(500);
/// An engine that cannot be listened to for this long is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let pulse = Pulse::new(OBSERVER.name, "engine", scene.recorder);
    let listening = listen(scene.engine.docker().clone(), scene.labels.clone(), scene.recorder.clone());
    let watching = async {
        tokio::select! {
            reason = listening => reason,
            reason = pulse.beat_on() => reason,
        }
    };
    Ok(vec![Watch::new("engine", watching)])
}

async fn listen(docker: Docker, labels: RunLabels, recorder: Recorder) -> String {
    let mut due = every(RETRY);
    let mut since_ns = None;
    let mut last_heard = Instant::now();
    loop {
        due.tick().await;
        let mut events = std::pin::pin!(docker.events(Some(options(&labels, since_ns))));
        let mut reason = "the engine ended the stream of events".to_owned();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    since_ns = event.time_nano.or(since_ns);
                    if let Some(event) = occurrence(event) {
                        recorder.record(event);
                    }
                }
                Err(error) => reason = error.to_string(),
            }
            last_heard = Instant::now();
        }
        if last_heard.elapsed() > GIVE_UP_AFTER {
            return reason;
        }
    }
}

/// Events of this system's containers; after a break those that came since the last one that was heard.
fn options(labels: &RunLabels, since_ns: Option<i64>) -> EventsOptions {
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("label", vec![format!("{RUN}={}", labels.run), format!("{SCENARIO}={}", labels.scenario)]),
    ]);
    let options = EventsOptionsBuilder::default().filters(&filters);
    match since_ns.map(|heard| heard + 1) {
        Some(next) => options.since(&format!("{}.{:09}", next / 1_000_000_000, next % 1_000_000_000)).build(),
        None => options.build(),
    }
}

/// What an event says. Commands that the harness itself runs in containers are not recorded.
fn occurrence(event: EventMessage) -> Option<Occurrence> {
    let action = event.action?;
    if action.starts_with("exec_") {
        return None;
    }
    let mut attributes = event.actor?.attributes?;
    Some(Occurrence::ContainerEvent {
        host: attributes.remove(HOST)?,
        service: attributes.remove(SERVICE)?,
        exit_status: attributes.remove("exitCode").and_then(|status| status.parse().ok()),
        action,
        engine_time_ns: event.time_nano?,
    })
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn event(action: &str, labelled: bool) -> EventMessage {
        let labels = [(HOST, "node1"), (SERVICE, "patroni"), ("exitCode", "137")];
        let attributes = labelled.then(|| labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(EventActor { attributes, ..Default::default() }),
            time_nano: Some(1_700_000_000_000_000_123),
            ..Default::default()
        }
    }

    #[test]
    fn a_death_is_told_with_host_and_service() {
        let told = Occurrence::ContainerEvent {
            host: "node1".to_owned(),
            service: "patroni".to_owned(),
            action: "die".to_owned(),
            engine_time_ns: 1_700_000_000_000_000_123,
            exit_status: Some(137),
        };
        assert_eq!(occurrence(event("die", true)), Some(told));
    }

    #[test]
    fn commands_and_strangers_are_not_told() {
        assert_eq!(occurrence(event("exec_create: sh -c true", true)), None);
        assert_eq!(occurrence(event("die", false)), None);
    }
}
