//! A cluster: a plan that runs in containers.

pub mod access;

pub use access::{Access, Credentials};
