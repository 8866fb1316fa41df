//! pgquake finds out, on real software, whether a PostgreSQL high-availability design keeps its promises.
//!
//! It reads a topology and scenarios, builds the topology in containers, puts a load on it, breaks it, and watches it from
//! outside on one clock. Pure checks then judge what was recorded, and a report sets each measured value beside its
//! target, with the events that show it. The program `pgquake` does all of that by itself. This library is for a crate that
//! drills a topology of its own from `cargo test`, perhaps with steps of its own.
//!
//! # A topology
//!
//! Hosts, the services that they run, where clients connect, and settings. It stands in a file of its name in a folder
//! of your choice, here `topologies/two-nodes.yaml`:
//!
//! ```yaml
//! name: two-nodes
//! description: Two PostgreSQL nodes behind one HAProxy, with etcd on hosts of its own.
//! follows: none; our own
//! regions:
//!   - name: office
//!     hosts:
//!       - { name: dcs1, services: [etcd] }
//!       - { name: dcs2, services: [etcd] }
//!       - { name: dcs3, services: [etcd] }
//!       - { name: node1, services: [patroni] }
//!       - { name: node2, services: [patroni] }
//!       - { name: proxy, services: [haproxy] }
//! endpoints:
//!   write: { host: proxy, port: 5432 }
//!   read: { host: proxy, port: 5433 }
//! settings:
//!   patroni: { ttl_s: 20, loop_wait_s: 5, retry_timeout_s: 5 }
//! ```
//!
//! # A feature
//!
//! What is done to it, and what must hold, in Gherkin: `features/two_nodes.feature`. `pgquake list steps` shows every step
//! that pgquake has. The step `node1 is not the primary any more` is the crate's own.
//!
//! ```gherkin
//! Feature: Our two-node cluster
//!   Scenario: A standby takes over
//!     Given the topology "two-nodes"
//!     And 2 clients writing 20 rows per second each
//!     When the host of node1 dies
//!     And clients can write again
//!     Then node1 is not the primary any more
//!     And clients can't write for at most 45 s
//! ```
//!
//! # The program
//!
//! A target of `cargo test` with `harness = false` in the crate's `Cargo.toml`. It is `tests/drill.rs`:
//!
//! ```no_run,standalone_crate
//! // cucumber's macros look for a crate of this name. pgquake has what they need, of the version that it is built with.
//! extern crate pgquake as cucumber;
//!
//! use std::process::ExitCode;
//!
//! use pgquake::{
//!     World,
//!     cucumber::{World as _, then},
//! };
//!
//! /// A step of one's own: it sees the system, and a panic fails the scenario.
//! #[then(expr = "{word} is not the primary any more")]
//! async fn not_primary(world: &mut World, host: String) {
//!     let drill = world.drill().expect("pgquake runs this step");
//!     let system = drill.system().await.expect("the system runs");
//!     assert_ne!(system.leader().await, Some(host));
//! }
//!
//! fn main() -> ExitCode {
//!     pgquake::Harness::new().features(["features"]).topologies(["topologies"]).steps(World::collection()).test_main()
//! }
//! ```
//!
//! [`Harness::run`] gives the verdict as a value, a [`RunResult`], to a program that has a `main` of its own.
//!
//! # Where to look
//!
//! [`Harness`] runs features. A step gets the [`World`], and from it the [`Drill`]: it injects faults at a [`Target`],
//! waits and heals, as pgquake's own steps do, and it has the [`System`], which answers who leads, runs SQL on a node and
//! does what an operator does. Steps assert by panicking; what pgquake itself judges is stated as an [`Expectation`].

#![warn(missing_docs)]

pub mod drill;
pub mod run;
pub mod steps;
pub mod system;

// Modules that pgquake's own binary, tests and benchmarks use. They are public because those are crates of their own, and
// hidden because nobody else should build on them: they change without notice.
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod compose;
#[doc(hidden)]
pub mod dcs;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod faults;
#[doc(hidden)]
pub mod history;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod links;
#[doc(hidden)]
pub mod names;
#[doc(hidden)]
pub mod observers;
#[doc(hidden)]
pub mod s3;
#[doc(hidden)]
pub mod secrets;
#[doc(hidden)]
pub mod signatures;
#[doc(hidden)]
pub mod trust;
#[doc(hidden)]
pub mod waiting;
#[doc(hidden)]
pub mod workload;

#[doc(hidden)]
pub use pgquake_judge::{
    certificate, checks, claims, compare, credentials, plan, predict, quantity, report, services, statistics,
    suggestion, topology, verdict,
};

pub use checks::Outcome;
pub use drill::{Drill, DrillError};
pub use faults::Target;
pub use history::event::Shard;
pub use history::event::{Bound, Expectation};
pub use plan::Plan;
pub use run::{Harness, Jobs, RunError, RunResult};
pub use statistics::Level;
pub use steps::{StepError, World};
pub use system::System;
pub use waiting::NotReady;
pub use workload::LoadSpec;

/// The version of cucumber that pgquake is built with, for steps of one's own.
pub use cucumber;
// What the code that cucumber's macros write looks for in the crate `cucumber`, which can be this one.
#[doc(hidden)]
pub use cucumber::{Parameter, codegen, step};
