//! A machine on which backups are restored: it has PostgreSQL's programs and waits for an operator.

use super::{
    Clock, Instances, Port, Process, Rendered, RevivedBy, Role, RunsOn, Service, ServiceKind, Site, Starts, patroni,
};
use crate::credentials::Credentials;

/// Where the restored server listens. It is no node of a cluster, and has another port than those.
pub const RESTORED_PORT: u16 = 5439;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Restore,
    summary: "a machine on which backups are restored, and nothing runs until then",
    placed_by_topologies: true,
    image: patroni::WITH_BACKUPS,
    ports: &[Port::watched(RESTORED_PORT, "the restored PostgreSQL")],
    processes: &[Process {
        word: "the restored PostgreSQL",
        // `pg_ctl` starts it by the path that links lead to: that of a minor version, where there are several.
        pattern: "^/usr/lib/postgresql(-minors)?/[0-9.]+/bin/postgres .*-p 5439",
        revived_by: RevivedBy::Engine,
        runs_on: RunsOn::Every,
    }],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of restore is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 10,
    health: None,
    role: Role::None,
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("there is one on a host, and it has no settings"),
    rules: |_, _| Vec::new(),
    render,
};

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let of_archive = site.archive.iter().flat_map(|own| (own.tool.row().files)(own, credentials, site.host));
    let files = of_archive.chain(patroni::chosen_versions(&site.settings)).collect();
    Rendered { command: vec!["restore".to_owned()], files, ..Rendered::default() }
}
