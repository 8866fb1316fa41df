//! The judging half of pgquake: from a topology to its plan, and from a history to findings, verdict and report.
//!
//! Architecture invariant: pure but for the files that it reads and writes. No clock, no network, no Docker, no
//! randomness; this crate has no dependency that could bring one in.

pub mod certificate;
pub mod checks;
pub mod claims;
pub mod compare;
pub mod credentials;
pub mod history;
pub mod plan;
pub mod predict;
pub mod quantity;
pub mod report;
pub mod saved;
pub mod schema;
pub mod services;
pub mod span;
pub mod statistics;
pub mod suggestion;
pub mod topology;
pub mod verdict;
pub mod yaml;
