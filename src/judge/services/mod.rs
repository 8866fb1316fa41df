//! Services: what each kind of service is, what it runs with, and what its settings predict. One file a service, one row
//! in the table below.
//!
//! Architecture invariant: rendering is pure. The same site gives the same files but for the run's passwords, and the
//! Compose file of a topology is made by the same functions. A service knows no plan: what it may know of its
//! surroundings is its [`Site`].

pub mod etcd;
pub mod haproxy;
pub mod patroni;
pub mod postgresql;
pub mod powerdns;
pub mod recipe;
mod row;
mod site;
pub mod toxiproxy;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use recipe::context;
pub use recipe::{ContextFile, Recipe};
pub use row::{
    Balancer, Broken, Clock, Dcs, Port, Process, Rendered, RevivedBy, Role, RunsOn, Service, Starts, Storage, Volume,
};
pub use site::{Front, Serves, Site, Upstream};

/// The table: each kind with the file of its row, and its settings by their section.
macro_rules! services {
    ($($(#[$about:meta])* $kind:ident: $file:ident { $($section:ident: $settings:ident),* })+) => {
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

        $($(pub use $file::$settings;)*)+

        /// Settings of each kind of service. Defaults are those of document 002, which the first topology follows.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Settings { $($(pub $section: $settings,)*)+ }
    };
}

services! {
    /// A member of the DCS.
    Etcd: etcd { etcd: EtcdSettings }
    /// PostgreSQL under a Patroni agent.
    Patroni: patroni { patroni: PatroniSettings, postgresql: PostgresqlSettings }
    /// The proxy in front of the nodes.
    Haproxy: haproxy { haproxy: HaproxySettings }
    /// What shapes the connections that its host opens. The plan places it where a topology names links.
    #[schemars(skip)]
    Toxiproxy: toxiproxy {}
    /// What answers global names.
    Powerdns: powerdns { powerdns: PowerdnsSettings }
}

/// The kind of service that the harness watches at this port of a host.
pub fn kind_at(port: u16) -> Option<ServiceKind> {
    ALL.iter().find(|service| service.watched_ports().any(|watched| watched == port)).map(|service| service.kind)
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

    #[test]
    fn no_two_services_share_a_port_a_process_or_a_place_in_the_order_of_a_shutdown() {
        let mut ports = BTreeSet::new();
        let mut words = BTreeSet::new();
        let mut ranks = BTreeSet::new();
        for row in ALL {
            assert!(row.ports.iter().all(|port| ports.insert(port.number)), "{}", row.kind.name());
            assert!(row.processes.iter().all(|process| words.insert(process.word)), "{}", row.kind.name());
            assert!(ranks.insert(row.stop_rank), "{}", row.kind.name());
        }
    }
}
