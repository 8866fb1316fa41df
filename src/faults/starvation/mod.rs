//! Starvation: too little CPU time, memory or connections.

pub(super) mod connections_exhausted;
pub(super) mod cpu_quota;
pub(super) mod memory_limit;
