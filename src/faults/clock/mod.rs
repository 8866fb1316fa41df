//! What faults of clocks share: which clocks can be set, and the proof of what they show.

pub(super) mod clock_jump;
pub(super) mod clock_offset;
pub(super) mod clock_rate;

use super::{Aim, FaultError, Parameter, Place, Process, Takes};
use crate::{
    plan::Plan,
    services::{Clock, service},
    system::System,
    topology::ServiceKind,
};

/// Where clocks can't be set.
pub(super) const LIMITS: &str = "clocks must be prepared (`Given the clocks of the nodes can be set`, or `prepare: { \
                                 clocks: true }` in the topology); Patroni and PostgreSQL alone: etcd is a Go program, \
                                 which asks the kernel past the C library; timeouts go by monotonic clocks and stay right";

/// The service whose clock is meant: a parameter, so that what can't be done is refused with its reason.
pub(super) const SERVICE: Parameter =
    Parameter::with_default("service", Takes::Service, "patroni", "Patroni and PostgreSQL have one clock together");
pub(super) const BY: Parameter = Parameter::required("by", Takes::ClockOffset, "how far");
pub(super) const DIRECTION: Parameter =
    Parameter::with_default("direction", Takes::OneOf(&["ahead", "behind"]), "ahead", "which way");

/// How exactly PostgreSQL's clock must show it, in seconds. The library reads its file once a second.
const POSTGRESQL_WITHIN_S: f64 = 0.5;
/// The agent reports whole seconds.
const AGENT_WITHIN_S: f64 = 1.5;

/// The node whose clock can be set.
pub(super) fn node(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<String, FaultError> {
    let host = aim.one_host(fault)?;
    let word = aim.parameters.service("service");
    let kind = ServiceKind::ALL.iter().copied().find(|kind| Some(kind.name()) == word.as_deref());
    let kind = kind.unwrap_or(ServiceKind::Patroni);
    if let Clock::Kernel(reason) = service(kind).clock {
        return Err(aim.refuse(fault, reason));
    }
    if !plan.runs(host, ServiceKind::Patroni) {
        return Err(aim.refuse(fault, format!("{host} runs no Patroni")));
    }
    if !plan.topology.prepare.clocks {
        let reason = "its clock is not prepared: write `Given the clocks of the nodes can be set` after the topology, or \
                      `prepare: { clocks: true }` into it";
        return Err(aim.refuse(fault, reason));
    }
    Ok(host.to_owned())
}

/// What shows a clock: the agent and PostgreSQL.
pub(super) fn stands_on(node: &str) -> Vec<Place> {
    [Process::AGENT, Process::POSTMASTER].map(|process| Place::Process(node.to_owned(), process)).into()
}

/// How far ahead the parameters say, in seconds; negative: behind.
pub(super) fn ahead_s(aim: &Aim) -> f64 {
    let by = aim.parameters.duration("by").unwrap_or_default().as_secs_f64();
    if aim.parameters.text("direction").as_deref() == Some("behind") { -by } else { by }
}

/// An offset and a rate in the words of libfaketime, which remembers a rate until it gets another.
pub(super) fn words(ahead_s: f64, rate: f64) -> String {
    format!("{ahead_s:+.3} x{rate}")
}

/// The proof that PostgreSQL and the agent show this offset.
pub(super) async fn shows(system: &System, node: &str, wanted_s: f64) -> Result<String, String> {
    let sql_s = system.postgresql_ahead_s(node).await?;
    let agent_s = system.agent_ahead_s(node).await?;
    let told = format!("PostgreSQL on {node} is {sql_s:+.2} s from the harness's clock, Patroni {agent_s:+.0} s");
    let right = (sql_s - wanted_s).abs() <= POSTGRESQL_WITHIN_S && (agent_s - wanted_s).abs() <= AGENT_WITHIN_S;
    if right { Ok(told) } else { Err(told) }
}
