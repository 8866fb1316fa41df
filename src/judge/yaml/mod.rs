//! YAML that people write: where each value stands, and what is wrong with it, so that a mistake is shown in its place.

mod mistake;
pub(crate) mod position;

pub use mistake::Mistake;
