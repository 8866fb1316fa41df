//! The history: everything that happened in a run, in one append-only log on one monotonic clock.
//!
//! The acting half of pgquake (faults, workload, observers) writes it, the judging half (checks, verdict,
//! report) reads it; they meet nowhere else. That is why a saved run can be judged again, offline.

mod archive;
mod attempt;
mod connections;
mod database;
mod encryption;
pub mod event;
mod expectation;
mod lease;
mod line;
mod pool;
pub mod reader;
pub mod rows;
mod run;
mod runbook;
mod subscription;

pub use event::{Event, Occurrence};
pub(crate) use reader::without_place;
pub use reader::{BrokenLine, HistoryError, HistoryReader, history_in, read_history};
