//! Faults of the network: directed cuts, lost packets, names that nobody answers; and the probes that prove them.

mod cut;
pub(super) mod name_service_loss;
mod names;
mod nft;
pub(super) mod packet_loss;
pub(super) mod partition;
pub(super) mod partition_shape;
pub(super) mod probe;
mod reach;
