//! Where the WAL of a plan's clusters is archived, and which images its services run in.

use super::{Plan, PlannedService};
use crate::{
    services::{
        Recipe, ServiceKind,
        archive::{Archive, BucketAt},
        own, patroni,
        postgresql::databases::Extension,
        service,
    },
    topology::{Backups, Cluster, Host},
};

/// What a service runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageOf<'a> {
    /// The recipe by which pgquake makes it, or puts what it needs on top of the team's own image.
    pub recipe: &'static Recipe,
    /// The team's own image.
    pub own: Option<&'a str>,
    /// The major version of PostgreSQL that runs in it, where it is that of a node.
    pub postgresql_major: u32,
    /// A directory that is moved as a whole, so that no volume of an image may be in the way.
    pub moved: Option<&'static str>,
}

impl ImageOf<'_> {
    /// What it is called among the images of a run.
    pub fn name(&self) -> String {
        match self.own {
            Some(own) => format!("{} on {own} with PostgreSQL {}", self.recipe.name, self.postgresql_major),
            None => self.recipe.name.to_owned(),
        }
    }
}

impl Plan {
    /// The archive of the cluster of this name, if it has one.
    pub fn archive_of(&self, cluster: &str) -> Option<Archive<'_>> {
        self.archive(self.topology.backups_of(cluster)?)
    }

    /// The clusters whose WAL is archived, each with its archive.
    pub fn archives(&self) -> impl Iterator<Item = (&str, Archive<'_>)> {
        self.clusters.iter().filter_map(|cluster| Some((cluster.name.as_str(), self.archive_of(&cluster.name)?)))
    }

    /// The cluster whose backups are restored on a host.
    pub fn restored_on(&self, host: &str) -> Option<&str> {
        let on = |(_, archive): &(&str, Archive<'_>)| archive.restored_on == Some(host);
        self.archives().find(on).map(|(cluster, _)| cluster)
    }

    /// The archive that the services of a host know: that of its own cluster, or the one that is restored there.
    pub(super) fn archive_at(&self, host: &str) -> Option<Archive<'_>> {
        let cluster = self.cluster_of(host).or_else(|| self.cluster_for(host, ServiceKind::Restore));
        self.archive_of(&cluster?.name)
    }

    /// The cluster that a service of a host is there for: that whose backups it restores, whatever else is on the host, or that
    /// of the host's node.
    pub(super) fn cluster_for(&self, host: &str, kind: ServiceKind) -> Option<&Cluster> {
        match kind {
            ServiceKind::Restore => self.cluster(self.restored_on(host)?),
            _ => self.cluster_of(host),
        }
    }

    fn archive<'a>(&'a self, backups: &'a Backups) -> Option<Archive<'a>> {
        let bucket = self.topology.bucket(&backups.bucket)?;
        Some(Archive {
            tool: backups.tool,
            bucket: BucketAt {
                name: &bucket.name,
                host: &bucket.host,
                port: bucket.port,
                region: &bucket.region,
                style: bucket.style,
            },
            stanza: &backups.stanza,
            is_asynchronous: backups.archive_async,
            from_standby: backups.from_standby,
            restored_archives: backups.restored_archives,
            is_read: backups.restore_command,
            restored_on: backups.restore_on.as_deref(),
        })
    }

    /// What a service of a host runs in.
    pub fn image_of(&self, host: &str, kind: ServiceKind) -> ImageOf<'_> {
        let own = self.topology.own.get(&kind).and_then(|own| own.image.as_deref());
        let settings = self.cluster_of(host).map_or(&self.topology.settings, |cluster| self.settings_of(cluster));
        let recipe = if own.is_some() { &service(kind).image } else { self.made_image_of(host, kind) };
        let moved = service(kind).storage.filter(|_| service(kind).is_node()).map(|storage| storage.directory);
        ImageOf { recipe, own, postgresql_major: settings.postgresql.major_version, moved }
    }

    /// What the backends and servers of a balancer's own configuration are called elsewhere: as endpoints and hosts. None where the
    /// team brings none, for then they are called so.
    pub fn names_of_own_balancer(&self, balancer: &PlannedService) -> own::Names {
        let text = self.topology.own.get(&balancer.kind).and_then(|own| own.text_of("haproxy.cfg"));
        let site = self.site_of(balancer);
        let endpoints: Vec<(&str, u16)> = site.fronts.iter().map(|front| (front.name, front.port)).collect();
        text.map(|text| own::names_of_haproxy(text, &endpoints)).unwrap_or_default()
    }

    /// What a service of a host runs in that pgquake makes itself.
    fn made_image_of(&self, host: &str, kind: ServiceKind) -> &'static Recipe {
        let row = service(kind);
        let cluster = self.cluster_for(host, kind);
        let is_archived = cluster.is_some_and(|cluster| self.archive_of(&cluster.name).is_some());
        let with_backups = row.node().and_then(|node| node.with_backups).filter(|_| is_archived);
        let shared = cluster.map_or(&self.topology.settings, |cluster| self.settings_of(cluster));
        let is_as_packaged = match kind {
            ServiceKind::Etcd => self.etcd_version(host).is_none(),
            _ => patroni::is_as_packaged(shared),
        };
        if !is_as_packaged && (with_backups.is_some() || kind == ServiceKind::Restore) {
            let of_nodes = service(ServiceKind::Patroni).node();
            return of_nodes.and_then(|node| node.with_versions_and_backups).unwrap_or(&row.image);
        }
        let with_versions = row.with_versions().filter(|_| !is_as_packaged);
        let with_vector = row.node().and_then(|node| node.with_vector);
        let with_vector = with_vector.filter(|_| shared.postgresql.has_extension(Extension::Vector));
        with_versions.or(with_backups).or(with_vector).unwrap_or(&row.image)
    }

    /// The version of etcd that the settings of a member name, if they do.
    pub fn etcd_version(&self, host: &str) -> Option<String> {
        let member = self.services.iter().find(|own| own.host == host && own.kind == ServiceKind::Etcd)?;
        self.settings_for(member).etcd.version.clone()
    }

    /// The version of a program that the topology names for a host, or a line of them; `None`: it names none.
    pub fn version_named(&self, host: &str, program: &str) -> Option<String> {
        let settings = || self.cluster_of(host).map(|cluster| self.settings_of(cluster));
        match program {
            "etcd" => self.etcd_version(host),
            "patroni" => settings()?.patroni.version.clone(),
            "postgresql" => settings().map(|own| own.postgresql.version()),
            _ => None,
        }
    }

    /// Whether a service of a host runs in an image that has other versions of its program.
    pub fn has_other_versions(&self, host: &str, kind: ServiceKind) -> bool {
        let image = self.image_of(host, kind);
        let row = service(kind);
        let with_backups = row.node().and_then(|node| node.with_versions_and_backups);
        image.own.is_none() && [row.with_versions(), with_backups].contains(&Some(image.recipe))
    }

    /// Whether a package of an image is one that the plan's nodes run. An image of versions has several of each program.
    pub fn runs_package(&self, package: &str) -> bool {
        let mut all = self.clusters.iter().map(|cluster| self.settings_of(cluster)).peekable();
        all.peek().is_none() || all.any(|settings| patroni::runs_package(settings, package))
    }

    /// The images that the plan's services run in, some of them several times.
    pub fn images(&self) -> impl Iterator<Item = ImageOf<'_>> {
        self.services.iter().map(|planned| self.image_of(&planned.host, planned.kind))
    }

    /// The hosts whose servers speak TLS, each with every name that clients call it by: those of buckets, and nodes that a
    /// backup copies from elsewhere.
    pub fn speak_tls(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let is_secured = |host: &&Host| host.kinds().any(|kind| self.topology.tls.concerns(kind));
        let keeps = |host: &&Host| host.kinds().any(|kind| service(kind).keeps_buckets());
        let is_copied = |host: &&Host| {
            let cluster = self.cluster_of(&host.name);
            cluster.and_then(|cluster| self.archive_of(&cluster.name)).is_some_and(|archive| archive.from_standby)
        };
        let speaks = move |host: &&Host| keeps(host) || is_copied(host) || is_secured(host);
        self.topology.hosts().filter(speaks).map(move |host| {
            let (name, mut all) = names(host);
            if self.topology.tls.postgresql && (host.node_kind().is_some() || host.runs(ServiceKind::Pgbouncer)) {
                all.extend(self.called_by_clients());
                all.dedup();
            }
            (name, all)
        })
    }

    /// What clients call a server of PostgreSQL that they are led to: a balancer passes on what it gets, so the certificate that
    /// they see is that of a node.
    fn called_by_clients(&self) -> Vec<&str> {
        let shared = self.topology.virtual_addresses.iter().map(|shared| shared.name.as_str());
        let own = self.hosts_with_balancers().flat_map(|host| names(host).1).chain(shared);
        own.chain(["localhost", "127.0.0.1"]).collect()
    }
}

/// The host's name, and every other name of it.
fn names(host: &Host) -> (&str, Vec<&str>) {
    let aliases = host.aliases.iter().map(String::as_str);
    (&host.name, std::iter::once(host.name.as_str()).chain(aliases).collect())
}
