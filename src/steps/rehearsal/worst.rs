//! Whether a fault can come in the circumstances that its step names.

use super::Walk;
use crate::{
    faults::Roles,
    history::event::Worst,
    services::{Leadership, service},
    steps::intent::FaultOrder,
};

impl Walk<'_> {
    /// They must be possible whichever host has which role by then.
    pub(super) fn circumstances(&mut self, order: &FaultOrder) {
        let Some(plan) = self.plan().filter(|_| !self.lost && !order.worst.is_empty()) else { return };
        let keeps_a_lease = plan.fails_over_by_itself() && plan.leading().any(|cluster| plan.dcs_of(cluster).is_some());
        if !keeps_a_lease {
            self.add_here("no agent of this topology keeps a lease in a DCS, so there is no worst moment of it");
        } else if order.worst.contains(&Worst::TogetherWithDcsLeader) {
            let concerned = plan.leading().filter_map(|cluster| plan.dcs_of(cluster));
            let elected = concerned.filter_map(|dcs| match service(dcs.kind).dcs()?.leadership {
                Leadership::Elected(why) | Leadership::Drawn(why) => Some(why),
                Leadership::HandedOver => None,
            });
            for why in elected.collect::<Vec<_>>() {
                self.add_here(format!("the fault's host can't be made the leader of the DCS first: {why}"));
            }
            let has_member = |hosts: Vec<String>| hosts.iter().any(|host| plan.dcs_at(host).is_some());
            let all = Roles::possible(&plan)
                .iter()
                .all(|roles| order.target.resolve(&plan, roles, &[]).is_ok_and(has_member));
            if !all {
                let words = order.target.to_string();
                self.add_here(format!(
                    "{words} may have no member of the DCS beside it, and so can't take its leader along"
                ));
            }
        }
    }
}
