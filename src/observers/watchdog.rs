//! What the watchdogs of the nodes' hosts say, in the logs of the services that feed them.

use std::time::Duration;

use futures::StreamExt;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    engine::Engine,
    history::{
        Occurrence, Recorder,
        event::{WatchdogChange, WatchdogState},
    },
};

pub(super) const OBSERVER: Observer = Observer {
    name: "watchdog",
    watches: "what the watchdog of each node's host says of itself, as it says it",
    watch,
};

/// What every line of the program begins with.
const PREFIX: &str = "pgquake-watchdog: ";
/// The time between two looks whether a service that has ended runs again.
const RETRY: Duration = Duration::from_millis(500);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let of_node = |node: &str| {
        let service = scene.plan.node_service(node)?;
        let container = scene.labels.container_name(node, service.instance().name());
        let pulse = Pulse::new(OBSERVER.name, node, scene.recorder);
        let listening = listen(scene.engine.clone(), container, node.to_owned(), scene.recorder.clone());
        let watching = async {
            tokio::select! {
                reason = listening => reason,
                reason = pulse.beat_on() => reason,
            }
        };
        Some(Watch::new(node, watching))
    };
    Ok(scene.plan.nodes_with_watchdogs().filter_map(of_node).collect())
}

/// Reads a log from its beginning, and goes on where it was when its service has started again.
async fn listen(engine: Engine, container: String, node: String, recorder: Recorder) -> String {
    let (mut due, mut known) = (every(RETRY), 0);
    loop {
        due.tick().await;
        if !engine.runs(&container).await {
            continue;
        }
        let mut lines = std::pin::pin!(engine.lines(&container).skip(known));
        while let Some(line) = lines.next().await {
            known += 1;
            if let Some(change) = read(&node, &line) {
                recorder.record(Occurrence::Watchdog(change));
            }
        }
    }
}

/// What a line says; `None`: it is another program's, or of no account.
fn read(node: &str, line: &str) -> Option<WatchdogChange> {
    let said = line.trim_end().strip_prefix(PREFIX)?;
    let number = |name: &str| said.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
    let state = match said.split(" timeout_ms=").next()?.split(" unfed_ms=").next()? {
        "armed" => WatchdogState::Armed,
        "disarmed" => WatchdogState::Disarmed,
        "closed and not disarmed" => WatchdogState::Abandoned,
        "expiring" => WatchdogState::Expiring,
        "fed at last" => WatchdogState::FedAtLast,
        "resetting" => WatchdogState::Resetting,
        _ => return None,
    };
    Some(WatchdogChange {
        node: node.to_owned(),
        state,
        timeout_ms: number("timeout_ms"),
        unfed_ms: number("unfed_ms"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_told_from_those_of_others() {
        let told = |line: &str| read("node1", line).map(|own| (own.state, own.timeout_ms, own.unfed_ms));
        for (line, told_as) in [
            ("pgquake-watchdog: armed timeout_ms=15000\n", Some((WatchdogState::Armed, Some(15_000), None))),
            ("pgquake-watchdog: resetting unfed_ms=15001", Some((WatchdogState::Resetting, None, Some(15_001)))),
            ("pgquake-watchdog: closed and not disarmed", Some((WatchdogState::Abandoned, None, None))),
            ("pgquake-watchdog: mounted", None),
            ("INFO: Lock owner: node1; I am node1", None),
        ] {
            assert_eq!(told(line), told_as, "{line}");
        }
    }
}
