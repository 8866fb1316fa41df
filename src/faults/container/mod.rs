//! Faults of containers: what the engine does to them, and their network.

pub(super) mod container_pause;
pub(super) mod container_restart;
pub(super) mod container_stop;
pub(super) mod network_disconnect;
