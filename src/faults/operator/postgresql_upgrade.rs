//! `postgresql_upgrade`: an operator has a node's PostgreSQL run in another minor version.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Process, Takes,
        operator::{self, programs},
    },
    plan::Plan,
    services::versions,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "postgresql_upgrade",
    effect: "the programs of another minor version take the place of the node's, and Patroni is asked to restart PostgreSQL: \
             it writes a checkpoint, ends every session, shuts down in order and starts with them",
    confirmed_by: "PostgreSQL on the node reports the new version in SQL, and the node leads or streams from the one that \
                   does; healing does not go back: it only sees to it that PostgreSQL takes sessions",
    limits: "two minor versions of one major one must be in the image of versions, which has 16.11 and 16.14; the topology \
             must run PostgreSQL 16; the same fault goes back to the older one",
    parameters: &[Parameter::required(programs::TO, Takes::Text, "the version, as 16.14")],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// The number alone: some packagers put a name behind it.
const VERSION: &str = "SELECT split_part(current_setting('server_version'), ' ', 1)";

struct PostgresqlUpgrade {
    aim: Aim,
    node: String,
    to: String,
    version_before: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = programs::node_with_versions(KIND.name, plan, aim, ("postgresql", "16.11"))?;
    let settings = plan.cluster_of(&node).map_or(&plan.topology.settings, |cluster| plan.settings_of(cluster));
    let runs = settings.postgresql.major_version;
    let named = aim.parameters.text(programs::TO).unwrap_or_default();
    let read = versions::read_postgresql(&named);
    let to = match read {
        Some((major, Some(minor))) if versions::minors_of(major).contains(&minor) => (major, minor),
        _ => {
            let known = format!("known with their minor versions: {}", versions::known_of("postgresql"));
            return Err(programs::unknown(aim, "PostgreSQL", known));
        }
    };
    if to.0 != runs {
        let reason = format!("PostgreSQL {runs} runs there, whose data directory {} can't take over", to.0);
        return Err(aim.refuse(KIND.name, reason));
    }
    let to = format!("{}.{}", to.0, to.1);
    Ok(Box::new(PostgresqlUpgrade { aim: aim.clone(), node, to, version_before: String::new() }))
}

#[async_trait]
impl Fault for PostgresqlUpgrade {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Process(self.node.clone(), Process::POSTMASTER)]
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let version = system.sql_value(&self.node, VERSION).await;
        let version = version.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        if version == self.to {
            return Err(self.aim.refuse(KIND.name, format!("PostgreSQL there is {version} already")));
        }
        self.version_before = version;
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        programs::choose(system, &self.node, "postgresql", &self.to).await?;
        system.restart_postgresql(&self.node).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let (node, before, to) = (&self.node, &self.version_before, &self.to);
        let version = system.sql_value(node, VERSION).await?;
        if version != *to {
            return Err(format!("PostgreSQL on {node} is {version}"));
        }
        let place = operator::place_of(system, node).await?;
        Ok(format!("PostgreSQL on {node} was {before} and is {version}, and {place}"))
    }

    /// It stays as it is: going back is an upgrade to the version before.
    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let version = system.sql_value(&self.node, VERSION).await?;
        Ok(format!("PostgreSQL {version} on {} takes sessions", self.node))
    }
}
