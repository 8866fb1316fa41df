//! What an operator's actions on etcd share: `etcdctl` at a member, and what it tells.

use serde_json::Value;

use crate::{
    engine::EngineError,
    faults::{Aim, FaultError},
    plan::Plan,
    services::etcd,
    system::System,
    topology::ServiceKind,
};

/// How long one command may take, in seconds: a defragmentation of a large store is the longest.
const COMMAND_WITHIN_S: u32 = 60;

/// The member that an action is aimed at.
pub(super) fn member(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<String, FaultError> {
    let host = aim.one_host(fault)?;
    match plan.runs(host, ServiceKind::Etcd) {
        true => Ok(host.to_owned()),
        false => Err(aim.refuse(fault, format!("{host} does not run etcd"))),
    }
}

/// The members beside this one, which form one etcd with it.
pub(super) fn peers(plan: &Plan, member: &str) -> Vec<String> {
    let members = plan.dcs_at(member).map(|dcs| dcs.members.clone()).unwrap_or_default();
    members.into_iter().filter(|other| other != member).collect()
}

/// Runs a script at a member, in which `etcdctl` asks this member, and returns what it printed.
pub(super) async fn at(system: &System, member: &str, script: &str) -> Result<String, FaultError> {
    let variables = etcd::etcdctl_variables(system.plan().topology.tls.dcs, member);
    let endpoint = format!("export {variables} ETCDCTL_COMMAND_TIMEOUT={COMMAND_WITHIN_S}s");
    let done = system.with_data_of(member, ServiceKind::Etcd, &format!("{endpoint}; {{ {script}\n}} 2>&1")).await?;
    if done.status == 0 {
        return Ok(done.text);
    }
    let (host, command) = (member.to_owned(), script.to_owned());
    Err(EngineError::Command { host, command, status: done.status, output: done.text }.into())
}

/// The same as a look: what fails is what stands in the way.
pub(super) async fn look(system: &System, member: &str, script: &str) -> Result<String, String> {
    at(system, member, script).await.map_err(|error| match error {
        FaultError::Engine(EngineError::Command { output, .. }) => output,
        other => other.to_string(),
    })
}

/// A number of a member's status, by its place below that.
pub(super) async fn status(system: &System, member: &str, pointer: &str) -> Result<u64, String> {
    let told = look(system, member, "etcdctl endpoint status -w json").await?;
    let told: Value = serde_json::from_str(&told).map_err(|error| format!("{error}: {told}"))?;
    let value = told.pointer("/0/Status").and_then(|status| status.pointer(pointer)).and_then(Value::as_u64);
    value.ok_or_else(|| format!("the status of {member} has no {pointer}"))
}

/// The revision that a member is at.
pub(super) const REVISION: &str = "/header/revision";
/// How large its store is on disk, in bytes.
pub(super) const STORE_BYTES: &str = "/dbSize";

/// A refusal with the reason that a look gave.
pub(super) fn refusing(aim: &Aim, fault: &'static str) -> impl FnOnce(String) -> FaultError {
    let aim = aim.clone();
    move |reason| aim.refuse(fault, reason)
}
