//! When a fault comes, by the lease of the leader key: after a share of the agent's loop since the last refresh, or in the
//! worst circumstances.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Drill, DrillError, SETTLE};
use crate::{
    checks::course::grouping::TIMER_LATE_US,
    faults::{Roles, Target},
    history::{Occurrence, event::Worst},
    plan::{Plan, PlannedDcs},
    services::{Leadership, service},
    topology::Cluster,
    waiting::NotReady,
};

/// How many loops the agent may take for its next refresh: one of them may be held up by a request that times out.
const REFRESHED_WITHIN_LOOPS: u32 = 3;

/// How often the steady state is reached again before the first fault.
const STEADY_AGAIN_AT_MOST: u32 = 3;

/// A lease that an agent refreshes.
struct Lease {
    cluster: Cluster,
    /// The cluster's name in the history; `None`: the plan has one.
    recorded_as: Option<String>,
    loop_wait: Duration,
}

impl Lease {
    /// The lease of the cluster that leads.
    fn of(plan: &Plan) -> Option<Self> {
        let cluster = plan.leading().next().filter(|_| plan.fails_over_by_itself())?;
        plan.dcs_of(cluster)?;
        let loop_wait = Duration::from_secs(u64::from(plan.settings_of(cluster).patroni.loop_wait_s));
        let recorded_as = (plan.clusters.len() > 1).then(|| cluster.name.clone());
        Some(Self { cluster: cluster.clone(), recorded_as, loop_wait })
    }
}

impl Drill {
    /// Draws the trial's cell, and the members that are to lead the DCSs: chance must decide which do, and not the order in
    /// which hosts start. Only the DCS of the cluster that leads has a share in the cell.
    pub(super) fn draw_cell(&mut self, plan: &Plan) -> Vec<(PlannedDcs, String)> {
        let lease = Lease::of(plan);
        let own = lease.as_ref().and_then(|lease| plan.dcs_of(&lease.cluster));
        if lease.is_some() {
            let members = own.map_or(&[][..], |dcs| &dcs.members);
            let mut order = super::random(self.context.seed, "cells", self.sharing.first);
            self.cell = Some(self.sharing.cell(members, &mut order, &mut self.random));
        }
        let mut leading = Vec::new();
        for dcs in &plan.dcs {
            let shared = self.cell.as_ref().filter(|_| own.is_some_and(|own| own.name == dcs.name));
            let member = match shared {
                Some(cell) => cell.dcs_leader.clone(),
                None => self.dcs_leader_by_lot(dcs),
            };
            leading.extend(member.map(|member| (dcs.clone(), member)));
        }
        leading
    }

    /// Records the cell, and has the members that were drawn lead.
    pub(super) async fn take_up_cell(
        &mut self,
        leading: &[(PlannedDcs, String)],
        system: &crate::system::System,
    ) -> Result<(), DrillError> {
        let mut moved = Vec::new();
        for (dcs, member) in leading {
            match service(dcs.kind).dcs().map(|row| row.leadership) {
                // Chance has drawn already.
                Some(Leadership::Drawn(_)) => self.take_up_leader(system.wait_for_dcs_leader(dcs).await?, member),
                _ => moved.push((dcs, member)),
            }
        }
        if let Some(cell) = &self.cell {
            self.recorder.record(Occurrence::CellDrawn(cell.clone()));
        }
        for (dcs, member) in moved {
            system.move_dcs_leader(dcs, member).await?;
        }
        Ok(())
    }

    /// Has the cell name the member that leads in place of the one that was drawn.
    fn take_up_leader(&mut self, leads: String, drawn: &str) {
        let cell = self.cell.as_mut().filter(|cell| cell.dcs_leader.as_deref() == Some(drawn));
        if let Some(cell) = cell {
            cell.dcs_leader = Some(leads);
        }
    }

    /// The member that is to lead a DCS that has no share in the cell, drawn by lot.
    fn dcs_leader_by_lot(&mut self, dcs: &PlannedDcs) -> Option<String> {
        use rand::Rng as _;
        let members = &dcs.members;
        (members.len() > 1).then(|| members[self.random.random_range(0..members.len())].clone())
    }

    /// Waits until the fault is to come. Before the first one the steady state must still be there then: where it was lost,
    /// it is reached again, and the moment waited for anew. Where it is lost each time the fault comes all the same, and
    /// the verdict says what that leaves in doubt.
    pub(super) async fn wait_for_the_moment(
        &mut self,
        target: &Target,
        worst: &BTreeSet<Worst>,
        is_first: bool,
    ) -> Result<(), DrillError> {
        self.wait_for_the_lease(target, worst, is_first).await?;
        for _ in 0..STEADY_AGAIN_AT_MOST {
            let now_us = self.recorder.now_us();
            let lost = |running: &super::Running| running.watch.steady_state_is_lost(self.steady_us, now_us);
            if !is_first || !self.running.as_ref().is_some_and(lost) {
                break;
            }
            self.reach_steady_state().await?;
            self.wait_for_the_lease(target, worst, is_first).await?;
        }
        Ok(())
    }

    /// Waits until the fault is to come by the lease: the first one of a scenario after its share of the agent's loop, and any one in the
    /// circumstances that its step names.
    async fn wait_for_the_lease(
        &mut self,
        target: &Target,
        worst: &BTreeSet<Worst>,
        is_first: bool,
    ) -> Result<(), DrillError> {
        if worst.contains(&Worst::TogetherWithDcsLeader) {
            self.lead_the_dcs_from(target).await?;
        }
        let Some(lease) = self.running.as_ref().and_then(|running| Lease::of(&running.plan)) else { return Ok(()) };
        let share = match &self.cell {
            _ if worst.contains(&Worst::JustAfterRefresh) => Duration::ZERO,
            Some(cell) if is_first => lease.loop_wait.mul_f64(cell.phase),
            _ => return Ok(()),
        };
        let now_us = self.recorder.now_us();
        let due_us = |refreshed_us: u64| refreshed_us.saturating_add(as_us(share));
        // The loop that goes on will do, if its share of it is still to come.
        let moved = worst.contains(&Worst::TogetherWithDcsLeader);
        let after_us = if moved { now_us } else { self.settled_since_us() };
        let last_us = self.last_refresh_us(&lease, after_us).filter(|last_us| due_us(*last_us) > now_us);
        let refreshed_us = match last_us {
            Some(last_us) => last_us,
            None => self.next_refresh_us(&lease, now_us).await?,
        };
        let left = Duration::from_micros(due_us(refreshed_us).saturating_sub(self.recorder.now_us()));
        let due = Instant::now() + left;
        self.sleep(left).await?;
        let since_us = self.recorder.now_us().saturating_sub(refreshed_us);
        self.notes.insert("lease_phase_ms".to_owned(), (since_us / 1000).to_string());
        if is_first { self.held_up_before_the_fault(due.elapsed()) } else { Ok(()) }
    }

    /// From here on what happens counts for the first fault: writes were steady by then.
    fn settled_since_us(&self) -> u64 {
        self.steady_us.saturating_sub(as_us(SETTLE))
    }

    /// When the lease was last refreshed, after an instant, as the history has it.
    fn last_refresh_us(&self, lease: &Lease, after_us: u64) -> Option<u64> {
        let watch = &self.running.as_ref()?.watch;
        watch.last_refresh_us(lease.recorded_as.as_deref(), after_us)
    }

    async fn next_refresh_us(&mut self, lease: &Lease, after_us: u64) -> Result<u64, DrillError> {
        let ground = self.ground.clone();
        let within = lease.loop_wait.max(Duration::from_secs(1)) * REFRESHED_WITHIN_LOOPS;
        let running = self.running().await?;
        ground.hold(running.watch.next_refresh_us(lease.recorded_as.as_deref(), after_us, within)).await
    }

    /// Has a host of the target lead its DCS.
    async fn lead_the_dcs_from(&mut self, target: &Target) -> Result<(), DrillError> {
        let ground = self.ground.clone();
        let running = self.running().await?;
        let (plan, system) = (&running.plan, &running.system);
        let roles = ground.hold(async { Ok::<_, DrillError>(Roles::ask(system, &[target]).await) }).await?;
        let no_member = |why: String| NotReady::new("a member of the DCS on the fault's host", Duration::ZERO, why);
        let hosts = target.resolve(plan, &roles, &[]).map_err(|error| no_member(error.to_string()))?;
        let beside = |host: &String| plan.dcs_at(host).map(|dcs| (dcs.clone(), host.clone()));
        let found = hosts.iter().find_map(beside);
        let (dcs, host) = found.ok_or_else(|| no_member(format!("{} has none", hosts.join(", "))))?;
        ground.hold(system.move_dcs_leader(&dcs, &host)).await
    }

    /// Ends the trial if the machine was starved since its writes were steady: its figures would prove nothing, and nothing is
    /// known of its result yet, so that to begin again chooses among nothing. `waited_late` is how late the last wait ended:
    /// the timers of this second are recorded only at its end.
    pub(super) fn held_up_before_the_fault(&mut self, waited_late: Duration) -> Result<(), DrillError> {
        let waited_late_us = as_us(waited_late);
        if waited_late_us > TIMER_LATE_US {
            self.recorder.record(Occurrence::TimerLate { late_us: waited_late_us });
        }
        let since_us = self.settled_since_us();
        let told_us = self.running.as_ref().map_or(0, |running| running.watch.latest_timer_us(since_us));
        let late_us = told_us.max(waited_late_us);
        if late_us <= TIMER_LATE_US || !self.may_begin_again {
            return Ok(());
        }
        self.starved = true;
        self.recorder.record(Occurrence::StarvedBeforeFault { late_us });
        Err(DrillError::Starved(Duration::from_micros(late_us)))
    }
}

/// Whole microseconds.
fn as_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
