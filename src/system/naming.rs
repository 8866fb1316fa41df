//! Global names of a running system: their records, made at the start, and pointed elsewhere later.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::System;
use crate::{
    names::{Leads, PowerDns, PowerDnsError, RecordSet, ResolveError, Resolver, record_set},
    services::powerdns::{API_PORT, DNS_PORT, ZONE},
    topology::{GlobalName, ServiceKind},
    waiting::{NotReady, wait_until},
};

/// How long a change that PowerDNS holds may take to be served.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// Global names could not be made or pointed elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum NamingError {
    /// The topology has no such name.
    #[error("the topology has no global name `{0}`")]
    NoName(String),
    /// The topology has no such host.
    #[error("the topology has no host `{0}` with an address")]
    NoHost(String),
    /// The topology has no PowerDNS.
    #[error("no host answers global names")]
    NoServer,
    /// PowerDNS did not do what it was asked for.
    #[error(transparent)]
    PowerDns(#[from] PowerDnsError),
    /// A name was not answered.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// What PowerDNS holds was not served in time.
    #[error(transparent)]
    NotReady(#[from] NotReady),
}

impl System {
    /// The PowerDNS that answers global names, if the system has one.
    #[doc(hidden)]
    pub fn powerdns(&self) -> Option<PowerDns> {
        let host = self.plan().name_server()?;
        let address = self.access().address(host, API_PORT)?;
        Some(PowerDns::new(host, address, &self.access().credentials.names_api_key, self.inner.http.clone()))
    }

    /// Where global names are asked for, if the system has any.
    #[doc(hidden)]
    pub fn name_server(&self) -> Option<SocketAddr> {
        self.access().address(self.plan().name_server()?, DNS_PORT)
    }

    /// The hosts that a name leads to at the moment, sorted: of a name by weight one, drawn for this question.
    pub async fn hosts_of_name(&self, name: &GlobalName) -> Result<Vec<String>, NamingError> {
        let server = self.name_server().ok_or(NamingError::NoServer)?;
        let answer = Resolver::asking_each_time(server).resolve(&name.in_zone()).await?;
        Ok(self.access().hosts_at(&answer.addresses))
    }

    /// Points a name at one host, with the time to live that it has. Returns when that is served.
    pub async fn repoint(&self, name: &str, host: &str) -> Result<(), NamingError> {
        let known = self.plan().topology.global_name(name).ok_or_else(|| NamingError::NoName(name.to_owned()))?;
        let powerdns = self.powerdns().ok_or(NamingError::NoServer)?;
        let leads = Leads::Plainly(vec![self.global_address(host)?]);
        powerdns.replace(ZONE, &self.records(known, &leads)).await?;
        Ok(self.is_answered(known, &[host], SERVED_WITHIN).await?)
    }

    /// Makes the records of every name, as soon as PowerDNS answers, and waits until they are served. Those of a
    /// health-checked name are served when its hosts are up: see [`System::names_follow_health`].
    pub(super) async fn make_names(&self) -> Result<(), NamingError> {
        let names = &self.plan().topology.names;
        let Some(powerdns) = self.powerdns().filter(|_| !names.is_empty()) else { return Ok(()) };
        let deadline = Duration::from_secs(self.plan().deadlines.cluster_ready_s);
        let look = || async { powerdns.answers().await.map_err(|error| error.to_string()) };
        let answers = wait_until("an answer of PowerDNS", deadline, look).await;
        answers.map_err(|missed| self.with_logs(missed, &[ServiceKind::Powerdns]))?;
        let records = names.iter().map(|name| Ok(self.records(name, &self.leads(name)?)));
        powerdns.make_zone(ZONE, &records.collect::<Result<Vec<_>, NamingError>>()?).await?;
        for name in names.iter().filter(|name| !name.health_checked) {
            let hosts: Vec<&str> = name.answers.iter().map(|answer| answer.host.as_str()).collect();
            self.is_answered(name, &hosts, SERVED_WITHIN).await?;
        }
        Ok(())
    }

    /// Waits until each health-checked name leads to the first of its hosts.
    pub(super) async fn names_follow_health(&self, within: Duration) -> Result<(), NotReady> {
        for name in self.plan().topology.names.iter().filter(|name| name.health_checked) {
            let first: Vec<&str> = name.answers.iter().map(|answer| answer.host.as_str()).take(1).collect();
            self.is_answered(name, &first, within).await?;
        }
        Ok(())
    }

    /// Waits until a name is answered with these hosts: of a name by weight, with one of them.
    async fn is_answered(&self, name: &GlobalName, hosts: &[&str], within: Duration) -> Result<(), NotReady> {
        let what = format!("{} to be answered with {}", name.name, hosts.join(", "));
        let look = || async {
            let told = self.hosts_of_name(name).await.map_err(|error| error.to_string())?;
            let known = told.iter().all(|host| hosts.contains(&host.as_str()));
            let whole = told.len() == hosts.len() || name.is_weighted();
            if known && whole { Ok(()) } else { Err(format!("it is answered with {}", told.join(", "))) }
        };
        let waited = wait_until(&what, within, look).await;
        waited.map_err(|missed| self.with_logs(missed, &[ServiceKind::Powerdns]))
    }

    fn records(&self, name: &GlobalName, leads: &Leads) -> RecordSet {
        record_set(&name.in_zone(), self.plan().topology.ttl_s(name), leads)
    }

    /// How a name leads to hosts at the start.
    fn leads(&self, name: &GlobalName) -> Result<Leads, NamingError> {
        let addresses = name.answers.iter().map(|answer| self.global_address(&answer.host));
        let addresses = addresses.collect::<Result<Vec<IpAddr>, _>>()?;
        if name.health_checked {
            return Ok(Leads::ByHealth { port: self.plan().topology.health_checked_port(name), addresses });
        }
        let weights: Option<Vec<u32>> = name.answers.iter().map(|answer| answer.weight).collect();
        Ok(match weights {
            Some(weights) => Leads::ByWeight(addresses.into_iter().zip(weights).collect()),
            None => Leads::Plainly(addresses),
        })
    }

    /// The address at which a host is reached from everywhere: in the network that joins regions, if there are several.
    fn global_address(&self, host: &str) -> Result<IpAddr, NamingError> {
        let pod = self.pod(host);
        let address = pod.map(|pod| pod.backbone_address.as_ref().unwrap_or(&pod.address));
        address.and_then(|address| address.parse().ok()).ok_or_else(|| NamingError::NoHost(host.to_owned()))
    }
}
