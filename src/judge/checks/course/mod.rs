//! The course of a scenario, worked out of its events: what several checks, the verdict and reports share.
//!
//! [`record`] pairs what belongs together: attempts with their ends, faults with their proofs, changes of the leader key.
//! From it come outages ([`outage`], [`onset`]), the faults that each follows ([`grouping`]) and their phases ([`phases`]);
//! who wrote and led ([`reigns`], [`primaries`]), and who was seen to ([`watched`], [`watchers`]); and the rows and
//! histories of nodes ([`ledgers`], [`ancestry`]). Beside them stand the versions that ran ([`versions`]), when a fault met the lease
//! ([`lease`]), the times in which a cluster follows another one ([`following`]), the writes that count in the end ([`kept`]), and figures that are known between two others ([`bracket`]).
//!
//! Architecture invariant: it judges nothing, and knows no check.

pub mod ancestry;
pub mod bracket;
pub mod following;
pub mod grouping;
pub mod kept;
pub mod lease;
pub mod led;
pub mod ledgers;
pub mod onset;
pub mod outage;
pub mod phases;
pub mod primaries;
pub mod record;
pub mod reigns;
pub mod versions;
pub mod watched;
pub mod watchers;
