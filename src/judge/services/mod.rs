//! Services: what each kind of service is, what it runs with, and what its settings predict. One file a service, one row
//! in the table below.
//!
//! Architecture invariant: rendering is pure. The same site gives the same files but for the run's passwords, and the
//! Compose file of a topology is made by the same functions. A service knows no plan: what it may know of its
//! surroundings is its [`Site`].

pub mod archive;
pub mod consul;
pub mod dynamic;
pub mod envoy;
pub mod etcd;
pub mod haproxy;
mod instance;
pub mod keepalived;
pub mod minio;
mod named;
pub mod own;
pub mod patroni;
pub mod pgbouncer;
pub mod postgresql;
pub mod powerdns;
pub mod recipe;
pub mod restore;
mod row;
mod site;
pub mod subscriber;
mod tags;
pub mod tls;
pub mod toxiproxy;
pub mod versions;
pub mod watchdog;
pub mod zookeeper;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use instance::Instance;
pub use own::Own;
pub use pgbouncer::PoolOf;
use recipe::context;
pub use recipe::{ContextFile, Recipe};
pub use row::{
    Agent, Balancer, Broken, Clock, Dcs, Instances, Leadership, Node, Pooler, Port, Process, Rendered, RevivedBy, Role,
    RunsOn, Service, Starts, Storage, Volume,
};
pub use site::{Front, PoolAt, Serves, SharedAddress, Site, Upstream};
pub use tags::Tags;
pub use tls::Tls;
pub use watchdog::{WatchdogMode, WatchdogSettings};

/// The table: each kind with the file of its row, and its settings by their section. The first section of a kind is called
/// as the kind: it is what one service may have otherwise than the others of its kind.
macro_rules! services {
    ($($(#[$about:meta])* $kind:ident: $file:ident {
        $($own:ident: $own_settings:ident $(, $section:ident: $settings:ident)*)?
    })+) => {
        /// A kind of service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ServiceKind { $($(#[$about])* $kind),+ }

        /// Every service, in the order of the table.
        pub const ALL: &[Service] = &[$($file::SERVICE),+];

        impl ServiceKind {
            /// Every kind, in the order of the table.
            pub const ALL: &[ServiceKind] = &[$(ServiceKind::$kind),+];

            /// The name in topology files, container names and the history.
            pub fn name(self) -> &'static str {
                match self { $(ServiceKind::$kind => stringify!($file)),+ }
            }
        }

        /// The row of a kind.
        pub fn service(kind: ServiceKind) -> &'static Service {
            match kind { $(ServiceKind::$kind => const { &$file::SERVICE }),+ }
        }

        $($(pub use $file::{$own_settings $(, $settings)*};)?)+

        /// Settings of each kind of service. Defaults are those of document 002, which the first topology follows.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Settings { $($(pub $own: $own_settings, $(pub $section: $settings,)*)?)+ }

        /// The section of the settings of which one service of this kind may have fields of its own.
        pub(crate) fn own_section(kind: ServiceKind) -> Option<&'static str> {
            let sections: &[&str] = match kind { $(ServiceKind::$kind => &[$(stringify!($own))?]),+ };
            sections.first().copied()
        }

        /// Reads the fields of that section that one service has, and keeps those that are there.
        pub(crate) fn read_own<'de, D: serde::Deserializer<'de>>(
            kind: ServiceKind,
            deserializer: D,
        ) -> Result<named::Fields, D::Error> {
            match kind {
                $(ServiceKind::$kind => {
                    $(return named::read::<$own_settings, D>(deserializer);)?
                    #[allow(unreachable_code)]
                    named::read::<named::Nothing, D>(deserializer)
                })+
            }
        }

        /// The schema of these fields, for the kinds that have any.
        pub(crate) fn own_schema(
            kind: ServiceKind,
            generator: &mut schemars::SchemaGenerator,
        ) -> Option<schemars::Schema> {
            let schemas: &[fn(&mut schemars::SchemaGenerator) -> schemars::Schema] = match kind {
                $(ServiceKind::$kind => &[$(|generator| generator.subschema_for::<$own_settings>())?]),+
            };
            schemas.first().map(|schema| schema(generator))
        }
    };
}

services! {
    /// A member of the DCS.
    Etcd: etcd { etcd: EtcdSettings }
    /// PostgreSQL under a Patroni agent.
    Patroni: patroni { patroni: PatroniSettings, postgresql: PostgresqlSettings }
    /// The proxy in front of the nodes.
    Haproxy: haproxy { haproxy: HaproxySettings }
    /// The proxy in front of the nodes, in place of HAProxy.
    Envoy: envoy { envoy: EnvoySettings }
    /// What shapes the connections that its host opens. The plan places it where a topology names links.
    #[schemars(skip)]
    Toxiproxy: toxiproxy {}
    /// What answers global names.
    Powerdns: powerdns { powerdns: PowerdnsSettings }
    /// PostgreSQL that no agent keeps.
    Postgresql: postgresql {}
    /// An S3 server.
    Minio: minio {}
    /// A machine on which backups are restored.
    Restore: restore {}
    /// What pools clients' sessions with nodes.
    Pgbouncer: pgbouncer { pgbouncer: PgbouncerSettings }
    /// What holds a virtual address.
    Keepalived: keepalived { keepalived: KeepalivedSettings }
    /// A member of the DCS, in place of etcd.
    Zookeeper: zookeeper { zookeeper: ZookeeperSettings }
    /// A server of the DCS, in place of etcd.
    Consul: consul { consul: ConsulSettings }
    /// PostgreSQL outside of every cluster, which subscribes to one.
    Subscriber: subscriber {}
}

impl ServiceKind {
    /// Whether it is a PostgreSQL node.
    pub fn is_node(self) -> bool {
        service(self).is_node()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_row_and_its_name_in_files() {
        for kind in ServiceKind::ALL {
            assert_eq!(service(*kind).kind, *kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    /// A host has one kind of node at most: they share PostgreSQL's port and its processes.
    #[test]
    fn no_two_services_of_a_host_share_a_port_a_process_or_a_place_in_the_order_of_a_shutdown() {
        for node in ALL.iter().filter(|row| row.is_node()) {
            share_nothing(ALL.iter().filter(|row| !row.is_node() || row.kind == node.kind));
        }
    }

    fn share_nothing<'a>(rows: impl Iterator<Item = &'a Service>) {
        let mut ports = BTreeSet::new();
        let mut words = BTreeSet::new();
        let mut ranks = BTreeSet::new();
        for row in rows {
            assert!(
                row.ports.iter().all(|port| ports.insert(port.number(&Settings::default()))),
                "{}",
                row.kind.name()
            );
            assert!(row.processes.iter().all(|process| words.insert(process.word)), "{}", row.kind.name());
            assert!(ranks.insert(row.stop_rank), "{}", row.kind.name());
        }
    }
}
