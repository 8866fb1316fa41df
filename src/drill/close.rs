//! The end of a drill: whatever happened, faults are healed, nodes given the time to rejoin, ledgers read, and
//! everything cleared away. Safety checks need this of every scenario, also of one whose step failed.

use std::time::{Duration, Instant};

use super::{Condition, Drill, DrillError, Running, as_ms, until};
use crate::{
    cluster::wait_until,
    history::{Occurrence, event::Milestone},
    topology::ServiceKind,
    workload::read_ledgers,
};

/// How long the observers may take to see that every node is back: some looks, of which each may take its time.
const OBSERVED_WITHIN: Duration = Duration::from_secs(5);

impl Drill {
    /// Waits until a primary leads and every other node streams from it, on its timeline. Faults must be healed.
    pub async fn rejoin(&mut self) -> Result<(), DrillError> {
        let Some(running) = self.running.as_ref().filter(|_| self.rejoined != Some(true)) else { return Ok(()) };
        let deadline = Duration::from_secs(running.plan.deadlines.rejoined_s);
        let cluster = &running.cluster;
        let waited = wait_until("every node back in the cluster", deadline, || cluster.all_follow()).await;
        self.rejoined = Some(waited.is_ok());
        waited.map_err(|missed| cluster.with_logs(missed, &[ServiceKind::Patroni]))?;
        // The checks judge by what was observed, a look later. If it never is, they say so.
        let _ = running.watch.wait(Condition::AllFollow, 0, OBSERVED_WITHIN).await;
        self.recorder.record(Occurrence::Reached { milestone: Milestone::Rejoined });
        Ok(())
    }

    /// Brings the scenario to its end. What goes wrong on the way is recorded, and the rest done all the same.
    pub async fn close(&mut self) {
        if self.running.is_some() {
            if let Err(error) = self.recover().await {
                self.note("the writes' recovery", &error);
            }
            let broken = self.running.as_ref().is_some_and(|running| running.injector.is_on());
            if let Err(error) = self.heal().await {
                self.note("the healing of the faults", &error);
            }
            // Nodes that did not come back in their time without a fault on won't do so now.
            if broken || self.rejoined.is_none() {
                match self.rejoin().await {
                    // Whether they should have come is for the checks to say.
                    Ok(()) | Err(DrillError::NotReady(_)) => {}
                    Err(error) => self.note("the nodes' return", &error),
                }
            }
        }
        if let Some(running) = self.running.take() {
            self.count_and_clear(running).await;
        }
        self.recorder.record(Occurrence::ScenarioEnded);
    }

    async fn count_and_clear(&self, mut running: Running) {
        if let Some(workload) = running.workload.take() {
            if let Err(error) = workload.stop().await {
                self.note("the load", &error.into());
            }
            self.recorder.record(Occurrence::Reached { milestone: Milestone::LoadStopped });
        }
        let deadline = Instant::now() + Duration::from_secs(running.plan.deadlines.rejoined_s);
        if self.rejoined == Some(true) {
            let what = "every standby to have replayed all WAL";
            if let Err(missed) = wait_until(what, until(deadline), || running.cluster.all_replayed()).await {
                self.note("the replay of all WAL", &missed.into());
            }
        }
        read_ledgers(&running.plan, running.cluster.access(), &self.recorder).await;
        running.observers.stop().await;
        match running.cluster.remove().await {
            Ok(took) => drop(self.recorder.record(Occurrence::ClusterRemoved { removal_ms: as_ms(took) })),
            Err(error) => self.note("the removal of the cluster", &error.into()),
        }
    }

    /// Records what went wrong outside a step; the checks take it for a step that failed.
    fn note(&self, what: &str, error: &DrillError) {
        let text = format!("({what})");
        self.recorder.record(Occurrence::StepFailed { text, line: 0, message: error.to_string() });
    }
}
