//! Faults: things done to hosts, services, links, disks or clocks. A folder a plane, one file a fault, one row in [`ALL`].
//!
//! A fault only acts and looks. [`Injector`] owns what all faults share: their instants, their deadlines, their
//! confirmation and their healing, whatever becomes of the scenario.
//!
//! Architecture invariant: a fault never records and never judges, and faults know nothing of one another.

mod certificate;
mod clock;
mod container;
mod data;
mod disk;
mod documentation;
mod each_host;
mod fault;
mod foresight;
mod host;
mod hosts;
mod injector;
mod link;
mod network;
mod operator;
mod parameter;
mod place;
mod process;
mod starvation;
mod storage;
mod target;

pub use documentation::markdown;
pub use fault::{Aim, AimFault, Fault, FaultError, FaultKind, Hosts, Lasts};
pub use foresight::{Foreseen, foresee};
pub use injector::{Injected, Injector, InjectorError, Order};
pub use operator::configuration_change::change_of;
pub use parameter::{Parameter, ParameterError, Parameters, Takes};
pub use place::Place;
pub use process::Process;
pub use target::{CLIENTS, Roles, Target};

/// Every fault, by name.
pub const ALL: &[FaultKind] = &[
    storage::archive_push_killed::KIND,
    storage::bucket_full::KIND,
    storage::certificate_expired::KIND,
    certificate::certificate_foreign::KIND,
    certificate::certificate_misnamed::KIND,
    certificate::certificate_revoked::KIND,
    clock::clock_jump::KIND,
    clock::clock_offset::KIND,
    clock::clock_rate::KIND,
    operator::configuration_change::KIND,
    starvation::connections_exhausted::KIND,
    container::container_pause::KIND,
    container::container_restart::KIND,
    container::container_stop::KIND,
    starvation::cpu_quota::KIND,
    data::data_directory_wiped::KIND,
    disk::disk_error::KIND,
    disk::disk_full::KIND,
    disk::disk_slow::KIND,
    disk::disk_stall::KIND,
    storage::drive_gone::KIND,
    operator::etcd_compaction::KIND,
    operator::etcd_defragmentation::KIND,
    data::etcd_member_lost::KIND,
    operator::etcd_member_replaced::KIND,
    operator::etcd_no_space::KIND,
    operator::etcd_upgrade::KIND,
    operator::failover::KIND,
    host::host_crash::KIND,
    host::host_freeze::KIND,
    host::host_reboot::KIND,
    host::host_shutdown::KIND,
    link::link_bandwidth::KIND,
    link::link_latency::KIND,
    link::link_limit_data::KIND,
    link::link_reset_peer::KIND,
    link::link_slicer::KIND,
    link::link_slow_close::KIND,
    link::link_timeout::KIND,
    operator::member_removed::KIND,
    starvation::memory_limit::KIND,
    network::name_service_loss::KIND,
    container::network_disconnect::KIND,
    network::packet_loss::KIND,
    data::page_corrupted::KIND,
    network::partition::KIND,
    network::partition_shape::KIND,
    operator::patroni_upgrade::KIND,
    operator::pause::KIND,
    operator::postgresql_restart::KIND,
    operator::postgresql_upgrade::KIND,
    disk::power_loss::KIND,
    process::process_crash_loop::KIND,
    process::process_freeze::KIND,
    process::process_kill::KIND,
    process::process_terminate::KIND,
    operator::read_only::KIND,
    operator::reinitialize::KIND,
    process::service_freeze::KIND,
    process::service_kill::KIND,
    operator::switchover::KIND,
];

/// What no scenario asks for: the reset of a host by its own watchdog.
pub const RESET_BY_WATCHDOG: FaultKind = host::watchdog_reset::KIND;

/// The row of this name.
pub fn find(name: &str) -> Option<&'static FaultKind> {
    ALL.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_rows_are_whole() {
        assert!(ALL.is_sorted_by_key(|kind| kind.name));
        for kind in ALL {
            assert!(
                !kind.effect.is_empty() && !kind.confirmed_by.is_empty() && !kind.limits.is_empty(),
                "{}",
                kind.name
            );
        }
    }
}
