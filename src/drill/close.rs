//! The end of a drill: whatever happened, writes are given the time to recover, faults are healed, nodes given the time to
//! rejoin, and writes and reads to recover from that; then the load ends, ledgers are read, and everything is cleared away. Safety
//! checks need this of every scenario, also of one whose step failed. Each wait for recovery and for return has the plan's
//! deadline for it (`recovered_s`, `rejoined_s`).

use std::time::{Duration, Instant};

use super::{
    Condition, Drill, DrillError, Running, SETTLE, as_ms,
    runbook::{due, sent},
    until,
};
use crate::{
    history::{
        Occurrence,
        event::{ArchiveListed, Milestone},
    },
    system::System,
    topology::READ,
    waiting::{NotReady, wait_until},
    workload::read_ledgers,
};

/// How long the observers may take to see that every node is back: some looks, of which each may take its time.
const OBSERVED_WITHIN: Duration = Duration::from_secs(5);

/// How long reads may take to come back once writes have: a balancer leads them to a node that is back after some looks.
const READS_BACK_WITHIN: Duration = Duration::from_secs(15);

/// How long an engine may take to come back. What it leaves is cleared away by the next run, or by `clean`.
const ENGINE_BACK_WITHIN: Duration = Duration::from_secs(30);

impl Drill {
    /// Waits until a primary leads and every other node streams from it, on its timeline. Faults must be healed.
    pub async fn rejoin(&mut self) -> Result<(), DrillError> {
        let Some(running) = self.running.as_ref().filter(|_| self.rejoined != Some(true)) else { return Ok(()) };
        let deadline = Duration::from_secs(running.plan.deadlines.rejoined_s);
        let system = &running.system;
        let waited = wait_until("every node back in the cluster", deadline, || system.all_follow());
        let missed = |missed| system.with_logs(missed, &system.plan().node_kinds());
        let waited = self.ground.hold(async { waited.await.map_err(missed) }).await;
        self.rejoined = Some(waited.is_ok());
        waited?;
        // The checks judge by what was observed, a look later. If it never is, they say so.
        let _ = running.watch.wait(Condition::AllFollow, 0, OBSERVED_WITHIN).await;
        self.recorder.record(Occurrence::Reached { milestone: Milestone::Rejoined });
        Ok(())
    }

    /// Brings the scenario to its end. What goes wrong on the way is recorded, and the rest done all the same. When the
    /// ground is lost, there is nothing left to wait for, nor to count.
    #[doc(hidden)]
    pub async fn close(&mut self) {
        if self.running.is_some() && self.ground.lost().is_none() {
            self.come_to_rest().await;
        }
        if let Some(running) = self.running.take() {
            self.count_and_clear(running).await;
        }
        self.recorder.record(Occurrence::ScenarioEnded);
    }

    /// Writes recover, faults are healed, nodes return, and writes and reads recover from that.
    async fn come_to_rest(&mut self) {
        if let Err(error) = self.recover().await {
            self.note("the writes' recovery", &error);
        }
        let broken = match &self.running {
            Some(running) => running.injector.is_on().await,
            None => false,
        };
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
            // Healing and return are watched as the fault was: an outage that they begin is not cut off by the load's end.
            self.clients_have_more_to_get_over();
            if let Err(error) = self.recover().await {
                self.note("the writes' recovery after the healing", &error);
            }
        }
        self.let_reads_come_back().await;
    }

    /// An outage of reads that the load's end cut off could not be told from one that goes on. Whether they should have
    /// come back is for the checks to say.
    async fn let_reads_come_back(&self) {
        let Some(running) = self.running.as_ref().filter(|running| running.workload.is_some()) else { return };
        if self.last_fault_us.is_some() && running.plan.endpoint(READ).is_some() {
            let _ = running.watch.wait_for_reads(&self.recorder, SETTLE, READS_BACK_WITHIN).await;
        }
    }

    async fn count_and_clear(&self, mut running: Running) {
        if let Some(workload) = running.workload.take() {
            if let Err(error) = workload.stop().await {
                self.note("the load", &error.into());
            }
            self.recorder.record(Occurrence::Reached { milestone: Milestone::LoadStopped });
        }
        if let Err(error) = self.ground.hold(self.count(&running)).await {
            self.note("the count of what is left", &error);
        }
        // From here on containers end because they are told to.
        drop((running.watchdogs, running.ground_watch));
        running.observers.stop().await;
        match clear_away(&running.system).await {
            Ok(took) => drop(self.recorder.record(Occurrence::ClusterRemoved { removal_ms: as_ms(took) })),
            Err(error) => self.note("the removal of the system", &error.into()),
        }
    }

    async fn count(&self, running: &Running) -> Result<(), DrillError> {
        let deadline = Instant::now() + Duration::from_secs(running.plan.deadlines.rejoined_s);
        if self.rejoined == Some(true) {
            let what = "every standby to have replayed all WAL";
            if let Err(missed) = wait_until(what, until(deadline), || running.system.all_replayed()).await {
                self.note("the replay of all WAL", &missed.into());
            }
        }
        self.complete_archives(running, deadline).await;
        let given_up = running.system.given_up();
        read_ledgers(&running.plan, running.system.access(), &self.recorder, &given_up).await;
        self.read_subscribers(running).await;
        // A look that timed out just now proves nothing: each node is looked at once more. If one is not in its place
        // even then, the checks say so.
        let _ = running.watch.wait(Condition::AllSeenFollowing, self.recorder.now_us(), OBSERVED_WITHIN).await;
        Ok(())
    }

    /// Has every archive take what its cluster wrote, and waits until it was looked at after that. Whether it should have
    /// taken it is for the checks to say.
    async fn complete_archives(&self, running: &Running, deadline: Instant) {
        let clusters: Vec<&str> = running.plan.archives().map(|(cluster, _)| cluster).collect();
        for name in clusters {
            let Some(cluster) = running.system.cluster(name) else { continue };
            let Some(due) = due(cluster).await else { continue };
            let lsn = due.lsn;
            self.recorder.record(Occurrence::ArchiveDue(due));
            let what = format!("the archive of {name} to have what the primary has");
            if let Err(missed) = wait_until(&what, until(deadline), || sent(running, name)).await {
                tracing::debug!("{missed}");
            }
            let what = format!("what {name} has archived to be replayed by those that take their WAL from there");
            if let Err(missed) = wait_until(&what, until(deadline), || running.system.all_shipped(name, lsn)).await {
                self.note("the replay of all archived WAL", &missed.into());
            }
            let (mut events, since_us) = (self.recorder.listen(), self.recorder.now_us());
            let seen = async {
                while let Ok(event) = events.recv().await {
                    let looked = |look: &ArchiveListed| look.cluster == name && look.asked_us >= since_us;
                    if matches!(&event.what, Occurrence::ArchiveListed(look) if looked(look) && look.versions.is_some())
                    {
                        return;
                    }
                }
            };
            // An archive that can't be looked at is recorded by its observer.
            let _ = tokio::time::timeout(OBSERVED_WITHIN, seen).await;
        }
    }

    /// Records what went wrong outside a step; the checks take it for a step that failed.
    fn note(&self, what: &str, error: &DrillError) {
        // The loss is in the history, with its reason.
        if matches!(error, DrillError::GroundLost(_)) {
            return;
        }
        let text = format!("({what})");
        self.recorder.record(Occurrence::StepFailed { text, line: 0, message: error.to_string() });
    }
}

/// Removes a system. An engine that is gone is waited for a while: it may be starting again.
async fn clear_away(system: &System) -> Result<Duration, NotReady> {
    let remove = || async { system.remove().await.map_err(|error| error.to_string()) };
    wait_until("the removal of every container", ENGINE_BACK_WITHIN, remove).await
}
