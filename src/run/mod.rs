//! A run: feature files in, a folder with evidence, verdict and report out. The only orchestrator.

mod admission;
mod as_test;
mod asked;
mod feature_files;
mod folder;
mod harness;
mod interrupt;
mod progress;
mod recipe;
mod schedule;
mod trials;
mod under_way;
mod writer;

pub use admission::Jobs;
pub use asked::AskedError;
pub use feature_files::{Axis, FeatureError, Mistake, PlannedScenario, program_twice};
pub use folder::FolderError;
#[doc(hidden)]
pub use folder::RunFolder;
pub use harness::{Harness, RunError, RunResult};
pub use interrupt::Interrupted;
pub use pgquake_judge::saved::{SavedError, SavedRun};
