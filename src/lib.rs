//! pgquake finds out, on real software, whether a PostgreSQL high-availability design keeps its promises.
//!
//! The flow, and with it the order of imports: topology → plan → system → (faults, workload, observers) →
//! history → checks → verdict → report. `ARCHITECTURE.md` is the map.

pub mod cli;
pub mod compose;
pub mod credentials;
pub mod dcs;
pub mod drill;
pub mod engine;
pub mod faults;
pub mod history;
pub mod links;
pub mod observers;
pub mod run;
pub mod steps;
pub mod system;
pub mod waiting;
pub mod workload;

pub use pgquake_judge::{checks, claims, plan, quantity, report, services, suggestion, topology, verdict};
pub use run::Harness;
pub use steps::World;
