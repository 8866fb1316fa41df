//! The walk's part of runbooks: what they name must be there, and what keeps it must not be gone past.

use super::{At, Walk};
use crate::{
    drill::{BackupOrder, MemberOrder, NodeOrder, RestorePoint, RunbookOrder},
    steps::Intent,
    suggestion::did_you_mean,
    topology::{Host, ServiceKind, Topology, postgresql},
};

impl Walk<'_> {
    /// A step of a runbook names clusters of the topology, and promotes one that follows.
    pub(super) fn runbook(&mut self, order: &RunbookOrder) {
        let Some(topology) = self.setup.topology().ok().filter(|_| !self.lost).cloned() else { return };
        match order {
            RunbookOrder::OnNode(order) => return self.on_node(&topology, order),
            RunbookOrder::WithBackups(order) => self.with_backups(&topology, order),
            RunbookOrder::AtMember(order) => return self.at_member(&topology, order),
            RunbookOrder::AtSubscriber(order) => return self.subscription(&topology, order.subscription()),
            _ => {}
        }
        let clusters = topology.all_clusters();
        let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        for name in order.clusters().into_iter().filter(|name| !known.contains(name)) {
            let text = name.to_owned();
            let at = At::Quoted { text, last: false };
            self.add(at, format!("no cluster is called `{name}`"), Some(did_you_mean(name, &known)));
        }
        let follows = |name: &str| clusters.iter().any(|cluster| cluster.name == name && cluster.follows.is_some());
        // One that was made to follow in the scenario may be promoted, too.
        let stays = order.follower().filter(|name| known.contains(name) && !follows(name) && !self.own_steps);
        if let Some(name) = stays {
            self.add(At::Step, format!("the cluster `{name}` follows none: it accepts writes already"), None);
        }
    }

    /// What a firewall does is tried where there is one.
    pub(super) fn firewall(&mut self) {
        let has = |topology: &Topology| topology.firewall.is_some();
        if self.setup.topology().is_ok_and(|topology| !has(topology)) && !self.lost {
            let help = "give its topology `networks` and a `firewall`, or take one that has them".to_owned();
            self.add(At::Step, "there is no firewall whose ports could be tried".to_owned(), Some(help));
        }
    }

    /// Backups must be kept, and there must be somewhere to restore them, and something to restore to.
    fn with_backups(&mut self, topology: &Topology, order: &BackupOrder) {
        let name = order.cluster();
        if !topology.all_clusters().iter().any(|cluster| cluster.name == name) {
            return;
        }
        match (order, topology.backups_of(name)) {
            (BackupOrder::BadChange(_), _) => self.bad_change = true,
            (_, None) => {
                let help = "name them in the topology, under `backups`".to_owned();
                self.add(At::Step, format!("the cluster `{name}` has no backups"), Some(help));
            }
            (BackupOrder::Restore(..), Some(backups)) if backups.restore_on.is_none() => {
                let help = "give them `restore_on`, with a host that has the service `restore`".to_owned();
                self.add(At::Step, format!("the backups of `{name}` name no host to restore them on"), Some(help));
            }
            _ => {}
        }
        if matches!(order, BackupOrder::Restore(_, RestorePoint::BeforeTheBadChange)) && !self.bad_change {
            self.add(At::Step, "there was no bad change yet to restore to".to_owned(), None);
        }
    }

    /// What is done at members of etcd needs such members.
    fn at_member(&mut self, topology: &Topology, order: &MemberOrder) {
        let is_member = |host: &&Host| host.services.iter().any(|own| own.kind == ServiceKind::Etcd);
        let known: Vec<&str> = topology.hosts().filter(is_member).map(|host| host.name.as_str()).collect();
        for name in order.members().into_iter().filter(|name| !known.contains(name)) {
            let at = At::Quoted { text: name.to_owned(), last: true };
            self.add(at, format!("no host called `{name}` runs etcd"), Some(did_you_mean(name, &known)));
        }
    }

    /// A subscription is changed before anything runs.
    pub(super) fn subscribe(&mut self, intent: Intent) {
        match intent {
            Intent::SlotKept { subscription, kept } => self.set(|setup| setup.set_slot_kept(&subscription, &kept)),
            Intent::SubscriptionThrough { subscription, through } => {
                self.set(|setup| setup.set_subscription_through(&subscription, &through));
            }
            _ => {}
        }
    }

    /// What is done for a subscription needs one.
    pub(super) fn subscription(&mut self, topology: &Topology, name: &str) {
        let known: Vec<&str> = topology.subscriptions.iter().map(|own| own.name.as_str()).collect();
        if !known.contains(&name) {
            let at = At::Quoted { text: name.to_owned(), last: false };
            self.add(at, format!("no subscription is called `{name}`"), Some(did_you_mean(name, &known)));
        }
    }

    /// What an operator does on a node would be undone by an agent, or mislead it.
    fn on_node(&mut self, topology: &Topology, order: &NodeOrder) {
        if let NodeOrder::SetParameter { name, value, .. } = order
            && let Err(problem) = postgresql::check(topology.settings.postgresql.major_version, name, value)
        {
            let at = At::Quoted { text: problem.text().to_owned(), last: false };
            self.add(at, problem.to_string(), Some(problem.help()));
        }
        let known = topology.nodes();
        for name in order.nodes() {
            let at = At::Quoted { text: name.to_owned(), last: false };
            let host = topology.hosts().find(|host| host.name == *name && host.node_kind().is_some());
            match host {
                None => {
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    self.add(at, format!("no PostgreSQL node is called `{name}`"), Some(did_you_mean(name, &known)));
                }
                Some(host) if host.has_agent() && order.goes_past_an_agent() => {
                    let help = "take a step that asks the agent, as `an operator switches over`".to_owned();
                    self.add(at, format!("an agent keeps `{name}`, and this would go past it"), Some(help));
                }
                Some(_) => {}
            }
        }
    }
}
