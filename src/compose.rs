//! A topology as a Docker Compose file, for people who want to look around in it by hand.
//!
//! The configuration files are those of a real run, made by the same renderers. What the harness does beside the
//! containers is missing: it writes Patroni's shared configuration before the nodes start, publishes ports that are
//! free, shapes links and breaks things.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_saphyr::LitString;

use crate::{
    credentials::{CLIENT_ROLE, Credentials, DATABASE},
    engine::images::{ImageKind, pinned_versions},
    plan::{ImageOf, Plan, PlannedService},
    services::{self, Rendered, Starts},
    topology::{Host, ServiceKind},
};

/// A Compose file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("failed to write the Compose file as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
    /// A service names an image that nothing builds.
    #[error("no image is called {0}")]
    NoImage(String),
    /// What pgquake puts on top of an image of the team's own is no folder of `images/`.
    #[error("no Compose file is made of a topology with an image of your own ({0}): `pgquake up` starts it")]
    OwnImage(String),
    /// The servers of buckets have certificates that a run makes.
    #[error(
        "no Compose file is made of a topology with buckets: the certificates of their servers belong to a run; `pgquake up {0}` starts it"
    )]
    Buckets(String),
    /// What speaks TLS has certificates that a run makes.
    #[error(
        "no Compose file is made of a topology with TLS: its certificates belong to a run; `pgquake up {0}` starts it"
    )]
    Tls(String),
    /// The harness has etcd ask for passwords once that runs.
    #[error(
        "no Compose file is made of a topology whose etcd asks for passwords: pgquake has it do so once it runs; `pgquake up {0}` starts it"
    )]
    Passwords(String),
    /// Compose builds no image on top of another one of its file's.
    #[error(
        "no Compose file is made of a topology with versions or extensions: the image {image} is built on top of another one; `pgquake up {topology}` starts it"
    )]
    Layered { image: &'static str, topology: String },
}

impl ComposeError {
    /// Whether it is the topology that allows none.
    pub fn is_of_topology(&self) -> bool {
        matches!(self, Self::OwnImage(_) | Self::Buckets(_) | Self::Tls(_) | Self::Passwords(_) | Self::Layered { .. })
    }
}

/// The first port of 127.0.0.1 for endpoints, so that they are easy to remember: write 15432, read 15433.
const FIRST_ENDPOINT_PORT: u16 = 15432;
/// The network that every host is in where there are several regions. No region can have its name: theirs hold no dot.
const BETWEEN_REGIONS: &str = "between.regions";
/// The first port of 127.0.0.1 for everything else.
const FIRST_OTHER_PORT: u16 = 15440;

#[derive(Debug, Serialize)]
struct ComposeFile {
    name: String,
    services: BTreeMap<String, ComposeService>,
    configs: BTreeMap<String, Config>,
    networks: BTreeMap<String, Network>,
}

#[derive(Debug, Default, Serialize)]
struct ComposeService {
    image: String,
    build: Build,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    networks: Option<Attached>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cap_add: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    configs: Vec<ConfigMount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    depends_on: BTreeMap<String, Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_grace_period: Option<&'static str>,
}

/// The networks of a host.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Attached {
    Plain(Vec<String>),
    /// With other names of the host.
    Named(BTreeMap<String, Attachment>),
}

#[derive(Debug, Serialize)]
struct Attachment {
    aliases: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Build {
    context: String,
    args: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct ConfigMount {
    source: String,
    target: String,
    /// Where it can be executed; Compose has it readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Config {
    content: LitString,
}

#[derive(Debug, Serialize)]
struct Healthcheck {
    test: Vec<String>,
    interval: &'static str,
    timeout: &'static str,
    retries: u32,
}

#[derive(Debug, Serialize)]
struct Condition {
    condition: &'static str,
}

#[derive(Debug, Serialize)]
struct Network {}

/// A published port, for the list at the head of the file.
struct Published {
    host: String,
    port: u16,
    there: u16,
    purpose: String,
}

/// Writes the topology of a plan as a Compose file, with the image folders of the project as build contexts.
///
/// Passwords come from the environment and are required: the file holds none.
///
/// # Errors
/// The renderers' results can't be written as YAML.
pub fn compose(plan: &Plan) -> Result<String, ComposeError> {
    if !plan.topology.buckets.is_empty() {
        return Err(ComposeError::Buckets(plan.topology.name.clone()));
    }
    if !plan.topology.tls.is_off() {
        return Err(ComposeError::Tls(plan.topology.name.clone()));
    }
    if plan.dcs.iter().any(|dcs| plan.asks_for_passwords(dcs)) {
        return Err(ComposeError::Passwords(plan.topology.name.clone()));
    }
    if let Some(image) = plan.images().find(|image| image.own.is_none() && image.recipe.on.is_some()) {
        let (image, topology) = (image.recipe.name, plan.topology.name.clone());
        return Err(ComposeError::Layered { image, topology });
    }
    let published = published_ports(plan);
    let mut file = ComposeFile {
        name: format!("pgquake-{}", plan.topology.name),
        services: BTreeMap::new(),
        configs: BTreeMap::new(),
        networks: plan.topology.regions.iter().map(|region| (region.name.clone(), Network {})).collect(),
    };
    let several = plan.topology.regions.len() > 1;
    if several {
        file.networks.insert(BETWEEN_REGIONS.to_owned(), Network {});
    }
    for region in &plan.topology.regions {
        let networks: Vec<String> =
            std::iter::once(region.name.clone()).chain(several.then(|| BETWEEN_REGIONS.to_owned())).collect();
        for host in &region.hosts {
            file.services.insert(host.name.clone(), holder(host, networks.clone(), &published)?);
            for planned in plan.services.iter().filter(|planned| planned.host == host.name && is_shown(planned)) {
                let service = service(plan, planned, &mut file.configs)?;
                file.services.insert(service_name(planned), service);
            }
        }
    }
    // Commands stay on one line each, as one would type them.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut text = head(plan, &published);
    serde_saphyr::to_fmt_writer_with_options(&mut text, &file, options)?;
    Ok(text)
}

/// A dot can't be in a host's name, so services never clash with hosts.
fn service_name(planned: &PlannedService) -> String {
    format!("{}.{}", planned.host, planned.instance().name())
}

/// Whether the file has it: what shapes links is for runs alone.
fn is_shown(planned: &PlannedService) -> bool {
    services::service(planned.kind).placed_by_topologies
}

/// The container that owns the host's network and process namespaces.
fn holder(host: &Host, networks: Vec<String>, published: &[Published]) -> Result<ComposeService, ComposeError> {
    let ports = published.iter().filter(|known| known.host == host.name);
    let with_aliases = |network| (network, Attachment { aliases: host.aliases.clone() });
    let networks = match host.aliases.is_empty() {
        true => Attached::Plain(networks),
        false => Attached::Named(networks.into_iter().map(with_aliases).collect()),
    };
    Ok(ComposeService {
        hostname: Some(host.name.clone()),
        networks: Some(networks),
        cap_add: vec!["NET_ADMIN"],
        ports: ports.map(|known| format!("127.0.0.1:{}:{}", known.there, known.port)).collect(),
        // It runs nothing that must end in order.
        stop_grace_period: Some("1s"),
        ..made_image("holder")?
    })
}

fn service(
    plan: &Plan,
    planned: &PlannedService,
    configs: &mut BTreeMap<String, Config>,
) -> Result<ComposeService, ComposeError> {
    let row = services::service(planned.kind);
    let site = plan.site_of(planned);
    let rendered = plan.topology.with_own(planned.kind, &site, (row.render)(&site, &placeholders()));
    let Rendered { command, files, environment } = rendered;
    let mut mounts = Vec::new();
    for (target, content) in files {
        let file_name = target.rsplit('/').next().unwrap_or(&target);
        let by_name = format!("{}.{file_name}", service_name(planned));
        // Two files may have one name.
        let by_place = || format!("{}{}", service_name(planned), target.replace('/', "."));
        let source = if configs.contains_key(&by_name) { by_place() } else { by_name };
        let mode = content.starts_with("#!").then_some(0o755);
        configs.insert(source.clone(), Config { content: LitString(from_environment(&content)) });
        mounts.push(ConfigMount { source, target, mode });
    }
    let holder = format!("service:{}", planned.host);
    Ok(ComposeService {
        network_mode: Some(holder.clone()),
        pid: Some(holder),
        cap_add: row.capabilities.to_vec(),
        command: command.iter().map(|argument| from_environment(argument)).collect(),
        environment: environment.into_iter().map(|(name, value)| (name, from_environment(&value))).collect(),
        configs: mounts,
        healthcheck: healthcheck(planned.kind),
        depends_on: waits_for(plan, planned),
        ..image(&plan.image_of(&planned.host, planned.kind))?
    })
}

/// The image that every image is built on, where the environment names no other.
fn debian() -> String {
    let release = pinned_versions().get("DEBIAN_RELEASE").copied().unwrap_or("stable");
    format!("debian:{release}-slim")
}

fn image(image: &ImageOf<'_>) -> Result<ComposeService, ComposeError> {
    if let Some(own) = image.own {
        return Err(ComposeError::OwnImage(own.to_owned()));
    }
    made_image(image.recipe.name)
}

fn made_image(name: &str) -> Result<ComposeService, ComposeError> {
    let kind = ImageKind::all().into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| ComposeError::NoImage(name.to_owned()))?;
    let pinned = kind.build_args().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let base = format!("${{PGQUAKE_BASE:-{}}}", debian());
    let args = pinned.chain([("BASE".to_owned(), base)]).collect();
    // Not the name that the harness gives: its tags promise that an image was built on the harness's own base.
    Ok(ComposeService {
        image: format!("pgquake-compose/{name}"),
        build: Build { context: format!("images/{name}"), args },
        ..ComposeService::default()
    })
}

/// What each service is asked to know that it is up; `docker compose up --wait` waits for it.
fn healthcheck(kind: ServiceKind) -> Option<Healthcheck> {
    let test = services::service(kind).health?;
    Some(Healthcheck { test: test(), interval: "2s", timeout: "5s", retries: 30 })
}

/// Standbys wait for the first node of their cluster, which they copy or which brings the shared configuration into
/// the DCS; the first node of
/// a cluster that follows another one waits for that one's first; a balancer waits for every node of its cluster, because it
/// looks their names up once, when it starts.
fn waits_for(plan: &Plan, planned: &PlannedService) -> BTreeMap<String, Condition> {
    let Some(cluster) = plan.cluster_beside(planned) else { return BTreeMap::new() };
    let row = services::service(planned.kind);
    let upstream = cluster.follows.as_ref().and_then(|follows| plan.cluster(&follows.cluster));
    let first =
        cluster.nodes.first().filter(|first| **first != planned.host).or(upstream.and_then(|it| it.nodes.first()));
    let first = first.filter(|_| row.is_node());
    let all = cluster.nodes.iter().filter(|_| row.starts == Starts::BehindAPrimary);
    let awaited = first.into_iter().chain(all);
    let healthy = || Condition { condition: "service_healthy" };
    awaited.filter_map(|node| Some((service_name(plan.node_service(node)?), healthy()))).collect()
}

/// What the renderers get instead of passwords. A leading `@` makes every YAML writer quote the value, so that a
/// password of digits stays text.
fn placeholders() -> Credentials {
    Credentials {
        superuser_password: "@SUPERUSER".to_owned(),
        replication_password: "@REPLICATION".to_owned(),
        client_password: "@CLIENT".to_owned(),
        names_api_key: "@POWERDNS".to_owned(),
        ..Credentials::default()
    }
}

/// Whose passwords come from the environment; that of PowerDNS's API only where it runs.
const ROLES: [&str; 4] = ["SUPERUSER", "REPLICATION", "CLIENT", "POWERDNS"];

/// Escapes what Compose would take for a variable, and puts required variables in the place of passwords.
fn from_environment(text: &str) -> String {
    let mut text = text.replace('$', "$$");
    for role in ROLES {
        text = text.replace(&format!("@{role}"), &format!("${{PGQUAKE_{role}_PASSWORD:?see the head of this file}}"));
    }
    text
}

/// Which port of 127.0.0.1 leads where. They are fixed, because people type them.
fn published_ports(plan: &Plan) -> Vec<Published> {
    let topology = &plan.topology;
    let mut published: Vec<Published> = Vec::new();
    let mut next = FIRST_ENDPOINT_PORT;
    let mut publish = |host: &str, port: u16, purpose: String, next: &mut u16| match published
        .iter_mut()
        .find(|known| known.host == host && known.port == port)
    {
        Some(known) => known.purpose = format!("{}, {purpose}", known.purpose),
        None => {
            published.push(Published { host: host.to_owned(), port, there: *next, purpose });
            *next = next.saturating_add(1);
        }
    };
    for endpoint in topology.endpoints.iter().filter(|endpoint| topology.global_name(&endpoint.host).is_none()) {
        for host in topology.hosts_at(&endpoint.host) {
            publish(host, endpoint.port, format!("the endpoint `{}`", endpoint.name), &mut next);
        }
    }
    let mut next = FIRST_OTHER_PORT;
    for planned in &plan.services {
        let settings = plan.settings_for(planned);
        for port in services::service(planned.kind).ports.iter().filter(|port| port.watched) {
            let purpose = format!("{}: {}", planned.instance(), port.purpose);
            publish(&planned.host, port.number(&settings), purpose, &mut next);
        }
    }
    published
}

/// What to know before using the file.
fn head(plan: &Plan, published: &[Published]) -> String {
    let topology = &plan.topology;
    let ports: String = published
        .iter()
        .map(|known| format!("#   127.0.0.1:{}  {} {}\n", known.there, known.host, known.purpose))
        .collect();
    let shaped = !topology.links.is_empty() || topology.regions.len() > 1;
    let links = if shaped { "# Links are direct here: only a run shapes them.\n#\n" } else { "" };
    let names = match topology.names.is_empty() {
        true => "",
        false => "# Global names have no records here: only a run makes them.\n#\n",
    };
    let roles = if plan.name_server().is_some() { &ROLES[..] } else { &ROLES[..3] }.join(" ");
    let first = plan.nodes.first().and_then(|node| Some(service_name(plan.node_service(node)?)));
    let first = first.unwrap_or_default();
    let port = published.first().map_or(FIRST_ENDPOINT_PORT, |write| write.there);
    let known = |command: String, meaning: &str| format!("#   {command:<78} # {meaning}\n");
    let patronictl = format!("docker compose exec {first} patronictl -c /etc/patroni/patroni.yml list");
    let things_to_do = [
        known(
            format!("psql 'host=127.0.0.1 port={port} user={CLIENT_ROLE} dbname={DATABASE}'"),
            "its password is in .env",
        ),
        if plan.fails_over_by_itself() { known(patronictl, "who leads") } else { String::new() },
        known(
            format!("docker compose kill {first}"),
            if plan.fails_over_by_itself() { "a failover, by hand" } else { "the loss of the primary" },
        ),
        known(format!("docker compose start {first}"), "and back"),
        known("docker compose down".to_owned(), "removes everything, the data too"),
    ];
    format!(
        "# Written by `pgquake compose {name}`: do not edit it, write it anew.\n\
         #\n\
         # {name}: {description}.\n\
         # It is for looking around. Drills use containers of their own, never these.\n\
         #\n\
         # Two commands start it (Docker Compose 2.23.1 or newer); the first makes passwords, once:\n\
         #\n\
         #   for role in {roles}; do\n\
         #     echo \"PGQUAKE_${{role}}_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n')\"; done > .env\n\
         #   docker compose up --build --wait\n\
         #\n\
         # Then:\n\
         #\n\
         {things_to_do}\
         #\n\
         # Ports:\n\
         #\n\
         {ports}\
         #\n\
         {links}\
         {names}\
         # PGQUAKE_BASE names another base image than {debian}. Where no registry answers, `pgquake up {name}`\n\
         # makes one: `docker image ls pgquake/base`.\n\
         \n",
        name = topology.name,
        description = topology.description,
        things_to_do = things_to_do.concat(),
        debian = debian(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::load;

    fn documented() -> Plan {
        Plan::new(load("single-region", &[]).expect("it is built in"))
    }

    #[test]
    fn dollars_are_escaped_and_passwords_are_required() {
        assert_eq!(from_environment("a $b ${c}"), "a $$b $${c}");
        assert_eq!(from_environment("'@CLIENT'"), "'${PGQUAKE_CLIENT_PASSWORD:?see the head of this file}'");
    }

    #[test]
    fn a_password_is_text_even_if_it_is_all_digits() {
        let text = compose(&documented()).expect("it can be written");
        let passwords = text.lines().filter(|line| line.trim_start().starts_with("password:"));
        let quoted = passwords.map(|line| line.trim_start().starts_with("password: \"${PGQUAKE_"));
        assert_eq!(quoted.collect::<Vec<_>>(), [true; 9], "three roles on three nodes");
        assert!(!text.contains('@'), "a placeholder was left");
    }

    #[test]
    fn files_come_out_of_the_yaml_as_they_were_rendered() {
        let plan = documented();
        let text = compose(&plan).expect("it can be written");
        let file: serde_json::Value = serde_saphyr::from_str(&text).expect("it is YAML");
        for planned in &plan.services {
            let rendered = (services::service(planned.kind).render)(&plan.site_of(planned), &placeholders());
            for (path, content) in rendered.files {
                let name = path.rsplit('/').next().unwrap_or_default();
                let source = format!("{}.{name}", service_name(planned));
                assert_eq!(file["configs"][&source]["content"], from_environment(&content), "{source}");
            }
        }
    }

    #[test]
    fn every_port_is_published_once_and_has_its_use() {
        let plan = documented();
        let published = published_ports(&plan);
        let mut there: Vec<_> = published.iter().map(|known| known.there).collect();
        there.sort_unstable();
        there.dedup();
        assert_eq!(there.len(), published.len());
        assert_eq!((published[0].there, published[1].there), (15432, 15433));
    }

    #[test]
    fn services_live_in_their_host_and_wait_for_what_they_need() {
        let plan = documented();
        let mut configs = BTreeMap::new();
        let of = |host| plan.services.iter().rfind(|planned| planned.host == host).expect(host);
        let standby = service(&plan, of("node2"), &mut configs).expect("it can be made");
        assert_eq!(standby.network_mode.as_deref(), Some("service:node2"));
        assert_eq!(standby.pid.as_deref(), Some("service:node2"));
        assert_eq!(standby.depends_on.keys().collect::<Vec<_>>(), ["node1.patroni"]);
        let first = service(&plan, of("node1"), &mut configs).expect("it can be made");
        assert!(first.depends_on.is_empty());
        let proxy = service(&plan, of("proxy"), &mut configs).expect("it can be made");
        assert_eq!(proxy.depends_on.len(), 3);
        assert_eq!(
            configs.keys().collect::<Vec<_>>(),
            [
                "node1.patroni.first-start.sql",
                "node1.patroni.patroni.yml",
                "node2.patroni.patroni.yml",
                "proxy.haproxy.haproxy.cfg"
            ]
        );
    }
}
