//! The timeline drawing: one scenario on one time axis, as SVG.
//!
//! Colours come from CSS classes of the report, so that light and dark work; position, hatching and text tell the
//! same as the colours do.

mod attempts;
mod flags;
mod svg;
mod timeline;

pub use svg::draw;
pub use timeline::{Measured, PhaseMark, Timeline};
