//! The application's own code would be here. The drill is in `tests/drill.rs`.
