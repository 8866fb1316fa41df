//! What is allowed, and spoils the result or is probably not what was meant.

use super::{Cluster, ServiceKind, Topology};
use crate::services::service;

impl Topology {
    /// What the reader of a report must know about this topology before believing its findings. Empty for a sound
    /// one.
    pub fn warnings(&self) -> Vec<String> {
        let is_off = |name: &str| self.settings.postgresql.is_off(name);
        let mut warnings = Vec::new();
        if is_off("fsync") {
            warnings.push("fsync is off: durability results are worthless".to_owned());
        }
        if is_off("full_page_writes") {
            warnings.push("full_page_writes is off: a crash can corrupt pages".to_owned());
        }
        if is_off("synchronous_commit") {
            let message =
                "synchronous_commit is off: a write is acknowledged before it is on disk, so a crash may lose it";
            warnings.push(message.to_owned());
        }
        let patroni = &self.settings.patroni;
        if patroni.synchronous_mode_strict && !patroni.synchronous_mode {
            warnings.push("synchronous_mode_strict does nothing without synchronous_mode".to_owned());
        }
        for cluster in self.all_clusters() {
            self.warn_of_cluster(&cluster, &mut warnings);
        }
        if self.names.is_empty() && self.hosts_with(ServiceKind::Powerdns).next().is_some() {
            warnings.push("powerdns answers no name: the topology has no `names`".to_owned());
        }
        warnings
    }

    fn warn_of_cluster(&self, cluster: &Cluster, warnings: &mut Vec<String>) {
        // Where there is one, nobody needs its name.
        let whose = if self.clusters.len() > 1 { format!("{}: ", cluster.name) } else { String::new() };
        if cluster.nodes.len() == 1 {
            warnings.push(format!("{whose}there is one PostgreSQL node: nothing can take over"));
        }
        let members = cluster.dcs.len();
        if members > 0 && members.is_multiple_of(2) {
            let (tolerated, fewer) = ((members - 1) / 2, members - 1);
            let first = self.hosts().find(|host| cluster.dcs.contains(&host.name));
            let kind = first.and_then(|host| host.kinds().find(|kind| service(*kind).dcs().is_some()));
            let kind = kind.map_or("DCS", ServiceKind::name);
            warnings.push(format!(
                "{whose}{members} {kind} members tolerate the loss of {tolerated}, no more than {fewer} would"
            ));
        }
        // What is taken from an archive needs no slot.
        let Some(follows) = cluster.follows.as_ref().filter(|_| !cluster.is_shipped()) else { return };
        match &follows.slot {
            None => warnings
                .push(format!("{whose}without a slot, WAL that it still needs may be removed at {}", follows.cluster)),
            Some(slot) if !follows.slot_is_permanent => {
                warnings.push(format!(
                    "{whose}nobody makes the slot `{slot}`, and Patroni removes slots that it does not know"
                ));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::load;

    fn documented() -> Topology {
        load("single-region", &[]).expect("a built-in topology")
    }

    #[test]
    fn a_sound_topology_has_none() {
        assert_eq!(documented().warnings(), Vec::<String>::new());
    }

    #[test]
    fn fsync_off_is_told_however_it_is_written() {
        for value in ["off", "OF", "false", "f", "no", "n", "0"] {
            let mut topology = documented();
            topology.settings.postgresql.parameters.insert("fsync".to_owned(), value.to_owned());
            assert_eq!(topology.warnings().len(), 1, "fsync = {value}");
        }
        for value in ["on", "o", "true", "1", ""] {
            let mut topology = documented();
            topology.settings.postgresql.parameters.insert("fsync".to_owned(), value.to_owned());
            assert_eq!(topology.warnings(), Vec::<String>::new(), "fsync = {value}");
        }
    }

    #[test]
    fn an_even_number_of_members_is_told() {
        let mut topology = documented();
        topology.regions[0].hosts[0].services.retain(|placed| placed.kind != ServiceKind::Etcd);
        assert_eq!(topology.warnings(), ["2 etcd members tolerate the loss of 0, no more than 1 would"]);
    }
}
