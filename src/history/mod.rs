//! The history as the acting half writes it; what it holds and how it is read is the judging half's.
//!
//! Architecture invariant: the recorder is the only clock of a run.

pub mod recorder;

pub use pgquake_judge::history::*;
pub use recorder::Recorder;
