//! The daemon on real mounts. It takes root and /dev/fuse.

mod faults;
mod mounted;
mod power_loss;
