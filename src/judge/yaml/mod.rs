//! YAML that people write: where each value stands, and what is wrong with it, so that a mistake is shown in its place.

mod mistake;
pub(crate) mod position;
mod text;
pub(crate) mod words;

pub use mistake::Mistake;
pub(crate) use text::text;
