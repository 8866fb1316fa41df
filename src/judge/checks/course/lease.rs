//! When a fault came, counted from the last refresh of the leader's lease.

use super::{phases::milliseconds, record::Effect};
use crate::{
    checks::Evidence,
    history::{Occurrence, event::Cell},
};

/// How far beside its cell a fault may come and still be in it, as a share of the agent's loop: taking effect takes as long.
const SLACK: f64 = 0.05;

/// How long before a fault's effect the leader had refreshed its lease, in milliseconds, with the event that shows it; `None`:
/// nobody saw a refresh.
pub(in crate::checks) fn lease_age(evidence: &Evidence<'_>, effect: &Effect) -> Option<(f64, u64)> {
    let leading = evidence.leading().map(|cluster| cluster.name.as_str());
    let refreshed = evidence.events.iter().filter(|event| match &event.what {
        Occurrence::LeaseRefreshed { cluster, .. } => cluster.is_none() || cluster.as_deref() == leading,
        _ => false,
    });
    let last = refreshed.take_while(|event| event.at_us <= effect.to_us).last()?;
    Some((milliseconds(effect.to_us.saturating_sub(last.at_us)), last.seq))
}

/// Where the first fault came instead of the cell that was drawn for it, in a sentence without its full stop; `None`: it came
/// there, or no fault came.
pub fn beside_its_cell(evidence: &Evidence<'_>, cell: &Cell) -> Option<String> {
    let fault = evidence.faults().first()?;
    let effect = fault.effect.as_ref()?;
    let leader = fault.injecting.dcs_leader_before.as_deref();
    if let Some(drawn) = cell.dcs_leader.as_deref().filter(|drawn| leader != Some(drawn)) {
        return Some(format!("it came while the DCS was led by {}, not by {drawn}", leader.unwrap_or("nobody")));
    }
    let Some((age_ms, _)) = lease_age(evidence, effect) else {
        return Some("nobody saw a refresh of the lease before it".to_owned());
    };
    let loop_ms = f64::from(evidence.settings().patroni.loop_wait_s) * 1000.0;
    let share = age_ms / loop_ms;
    let begins = cell.phase_from - SLACK;
    // Behind the end of a loop its first part begins again.
    let is_within = |share: f64| (begins..=cell.phase_to + SLACK).contains(&share);
    let is_met = is_within(share) || is_within(share + 1.0) || is_within(share - 1.0);
    (!is_met).then(|| format!("it came after {:.0} % of the loop", share * 100.0))
}
