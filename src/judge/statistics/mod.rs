//! What a number of trials proves of all failovers: exact bounds, and the plan by which trials go on until a share is
//! proven or refuted.
//!
//! Architecture invariant: arithmetic alone. It knows nothing of histories, checks and claims.

pub mod bounds;
pub mod level;
pub mod sampling;

pub use bounds::CONFIDENCE;
pub use level::{Level, LevelError};
pub use sampling::{Decision, SamplingPlan};
