//! What upgrades of a node's programs share: which nodes have several versions of them, and how another one is chosen.

use super::node;
use crate::{
    engine::EngineError,
    faults::{Aim, FaultError, ParameterError},
    plan::Plan,
    services::versions,
    system::System,
    topology::ServiceKind,
};

/// The name of the parameter with the version that an upgrade leads to.
pub(super) const TO: &str = "to";

/// The node that an upgrade is aimed at, whose image has other versions of the program.
pub(super) fn node_with_versions(
    fault: &'static str,
    plan: &Plan,
    aim: &Aim,
    (program, example): (&str, &str),
) -> Result<String, FaultError> {
    let node = node(fault, plan, aim)?;
    if !plan.has_other_versions(&node, ServiceKind::Patroni) {
        let reason = format!(
            "{node} runs in an image without other versions: write `Given the version of \"{program}\" is \
             \"{example}\"` for the one that it begins with"
        );
        return Err(aim.refuse(fault, reason));
    }
    Ok(node)
}

/// The error of a version that the image does not have.
pub(super) fn unknown(aim: &Aim, what: &str, help: String) -> FaultError {
    let text = aim.parameters.text(TO).unwrap_or_default();
    ParameterError::Refused { name: TO, reason: format!("{what} {text} can't be had"), text, help }.into()
}

/// Has another version of a program start on a node from now on, as an upgrade of its package does. What runs goes on.
pub(super) async fn choose(system: &System, node: &str, program: &str, version: &str) -> Result<(), FaultError> {
    let Some(service) = system.postgresql_of(node) else { return Ok(()) };
    let file = versions::FILE;
    let script = format!("sed -i 's/^{program} .*/{program} {version}/' {file} && choose-versions.sh 2>&1");
    let done = system.engine().run_in_service(service, &script).await?;
    if done.status == 0 {
        return Ok(());
    }
    let (host, status) = (node.to_owned(), done.status);
    Err(EngineError::Command { host, command: script, status, output: done.text }.into())
}
