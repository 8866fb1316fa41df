//! A topology by hand (`up`, `down`, `status`, `clean`), and what helps around it (`doctor`, `compose`).

use std::collections::BTreeMap;

use super::{Exit, exit::Failure, print};
use crate::{
    compose::{self, ComposeError},
    credentials::{CLIENT_ROLE, DATABASE},
    drill::DrillContext,
    engine::{Engine, doctor, images, leftovers::Sweep},
    history::Recorder,
    plan::{Plan, PlannedEndpoint},
    run::RunFolder,
    services::powerdns::ZONE,
    system::System,
    topology,
};

/// Starts a topology that stays until `down`. Its containers have no owner, so that no run takes them away.
pub(super) async fn up(name: &str) -> Result<Exit, Failure> {
    let topology = topology::load(name, &super::topology_folders()).map_err(Failure::usage)?;
    for warning in topology.warnings() {
        eprintln!("warning: {warning}");
    }
    for line in topology.overridden() {
        eprintln!("{line}");
    }
    let plan = Plan::new(topology);
    let engine = Engine::connect().await.map_err(Failure::harness)?;
    let folder = RunFolder::create(&std::env::temp_dir().join("pgquake")).map_err(Failure::harness)?;
    let recorder = Recorder::create(&folder.history()).map_err(Failure::harness)?;
    let context = DrillContext {
        image_progress: Box::new(|progress| eprintln!("image {}: {}", progress.image, progress.line)),
        ..DrillContext::new(engine.clone(), recorder, &folder.run, String::new(), &folder.path)
    };
    let started = context.start(&plan, 0).await;
    let (system, took) = match started {
        Ok(started) => started,
        Err(error) => {
            engine.sweep(Sweep::Run(&folder.run)).await.map_err(Failure::harness)?;
            return Err(Failure::harness(error));
        }
    };
    print(&format!("{name} is up after {:.1} s; `pgquake down` removes it\n", took.as_secs_f64()));
    for endpoint in &plan.endpoints {
        let (host, through) = way(&system, endpoint).await;
        if let Some(address) = system.access().published(&host, endpoint.at.port) {
            let password = &system.access().credentials.client_password;
            let url = format!("postgres://{CLIENT_ROLE}:{password}@{address}/{DATABASE}");
            print(&format!("{:<8} {url}{through}", endpoint.name));
        }
    }
    if let Some(server) = system.name_server() {
        print(&format!("\nglobal names are answered at {server}, as `NAME.{ZONE}`"));
    }
    Ok(Exit::Pass)
}

/// The host that clients of an endpoint reach now, and the name that leads them there.
async fn way(system: &System, endpoint: &PlannedEndpoint) -> (String, String) {
    let at = &endpoint.at.host;
    let Some(name) = system.plan().topology.global_name(at) else { return (at.clone(), String::new()) };
    match system.hosts_of_name(name).await {
        Ok(hosts) => {
            let host = hosts.into_iter().next().unwrap_or_default();
            let through = format!("   {at} leads to {host} now");
            (host, through)
        }
        Err(error) => (String::new(), format!("   {error}")),
    }
}

/// Removes what `up` has started.
pub(super) async fn down() -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(Failure::harness)?;
    remove(&engine, Sweep::Kept).await
}

/// Removes whatever no living process owns, and, where asked, the images of other versions.
pub(super) async fn clean(outdated_images: bool) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(Failure::harness)?;
    let exit = remove(&engine, Sweep::Unowned).await?;
    if outdated_images {
        let removed = images::remove_outdated(engine.docker()).await.map_err(Failure::harness)?;
        print(&format!("removed {} images of other versions", removed.tags.len()));
        for tag in removed.in_use {
            print(&format!("{tag} stays: a container uses it"));
        }
    }
    Ok(exit)
}

async fn remove(engine: &Engine, sweep: Sweep<'_>) -> Result<Exit, Failure> {
    let removed = engine.sweep(sweep).await.map_err(Failure::harness)?;
    let runs: Vec<String> = removed.runs.into_iter().collect();
    let of = if runs.is_empty() { String::new() } else { format!(" of {}", runs.join(", ")) };
    print(&format!("removed {} containers and {} networks{of}", removed.containers, removed.networks));
    Ok(Exit::Pass)
}

/// Shows every container of pgquake's, by run.
pub(super) async fn status() -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(Failure::harness)?;
    let mut by_run: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in engine.containers(Sweep::All).await.map_err(Failure::harness)? {
        let line =
            format!("  {:<10} {:<10} {:<24} {}", found.host, found.service, found.status, found.ports.join(", "));
        by_run.entry(found.run).or_default().push(line);
    }
    if by_run.is_empty() {
        print("nothing runs");
    }
    for (run, mut lines) in by_run {
        lines.sort();
        print(&format!("run {run}\n{}", lines.join("\n")));
    }
    Ok(Exit::Pass)
}

/// Tells what this machine can and can't do.
pub(super) async fn doctor() -> Result<Exit, Failure> {
    let probes = doctor::examine().await;
    print(&doctor::table(&probes));
    let able = probes.iter().all(|probe| probe.ok != doctor::Ability::No);
    Ok(if able { Exit::Pass } else { Exit::Inconclusive })
}

/// Prints a topology as a Compose file.
pub(super) fn compose(name: &str) -> Result<Exit, Failure> {
    let topology = topology::load(name, &super::topology_folders()).map_err(Failure::usage)?;
    for line in topology.overridden() {
        eprintln!("{line}");
    }
    let written = compose::compose(&Plan::new(topology));
    let refused =
        |error: ComposeError| if error.is_of_topology() { Failure::wrong(error) } else { Failure::harness(error) };
    print(&written.map_err(refused)?);
    Ok(Exit::Pass)
}
