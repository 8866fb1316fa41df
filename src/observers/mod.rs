//! Observers
