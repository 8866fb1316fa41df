//! What an operator does at a member of a DCS: commands beside its data, whether it runs or not.

use std::time::Duration;

use serde::Deserialize;

use super::System;
use crate::{
    engine::{EngineError, ShellOutput},
    services::{ServiceKind, etcd::CLIENT_PORT, service},
};

/// How long a command may take; one that hangs is ended.
const COMMAND_WITHIN_S: u32 = 120;

/// How long a question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What a member of etcd tells of versions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[doc(hidden)]
pub struct EtcdVersions {
    /// Its own.
    #[serde(rename = "etcdserver")]
    pub server: String,
    /// The one that all members keep to, which is that of the oldest; `not_decided` before there is one.
    #[serde(rename = "etcdcluster")]
    pub cluster: String,
}

#[doc(hidden)]
impl System {
    /// Runs a command with the data of a member of a DCS, as the user that owns it, and returns what it printed and how it
    /// ended: in the member's container, or, if that is stopped, in one beside it that has the same volumes.
    pub async fn at_member(&self, member: &str, command: &str) -> Result<ShellOutput, EngineError> {
        let failed = |output: &str| EngineError::Command {
            host: member.to_owned(),
            command: command.to_owned(),
            status: -1,
            output: output.to_owned(),
        };
        let kind = self.dcs_kind_of(member).ok_or_else(|| failed("no member of a DCS runs there"))?;
        let user = service(kind).storage.map_or("root", |storage| storage.user);
        let quoted = command.replace('\'', r"'\''");
        let script = format!("cd / && runuser -u {user} -- timeout {COMMAND_WITHIN_S} sh -c '{quoted}' 2>&1");
        self.with_data_of(member, kind, &script).await
    }

    /// Runs a script as root with the data of a service, whether it runs or not.
    pub async fn with_data_of(&self, host: &str, kind: ServiceKind, script: &str) -> Result<ShellOutput, EngineError> {
        let failed = |output: &str| EngineError::Command {
            host: host.to_owned(),
            command: script.to_owned(),
            status: -1,
            output: output.to_owned(),
        };
        let own = self.service(host, kind).ok_or_else(|| failed("the host does not run it"))?;
        if self.engine().service_runs(own).await? {
            return self.engine().run_in_service(own, script).await;
        }
        let pod = self.pod(host).ok_or_else(|| failed("the host is unknown"))?;
        self.engine().run_beside_service(&self.inner.labels, pod, own, script).await
    }

    /// Copies a file of one member of a DCS to another one, as an operator copies a snapshot. Either may be stopped.
    pub async fn copy_between_members(&self, path: &str, from: &str, to: &str) -> Result<(), EngineError> {
        let service = |host| self.dcs_kind_of(host).and_then(|kind| self.service(host, kind));
        match (service(from), service(to)) {
            (Some(from), Some(to)) => self.engine().copy_file(path, from, to).await,
            _ => Ok(()),
        }
    }

    /// The versions that a member of etcd tells at its `/version`.
    pub async fn etcd_versions(&self, member: &str) -> Result<EtcdVersions, String> {
        let at = self.access().url(member, CLIENT_PORT, self.access().tls().dcs);
        let at = at.ok_or_else(|| format!("{member} is not published"))?;
        let request = self.inner.http.get(format!("{at}/version")).timeout(ANSWER_WITHIN);
        let answer = request.send().await.map_err(|error| format!("{member} tells no version: {error}"))?;
        answer.json().await.map_err(|error| format!("{member} tells no version: {error}"))
    }

    /// The kind of the DCS that a host is a member of.
    pub fn dcs_kind_of(&self, host: &str) -> Option<ServiceKind> {
        self.plan().dcs.iter().find(|dcs| dcs.members.iter().any(|member| member == host)).map(|dcs| dcs.kind)
    }
}
