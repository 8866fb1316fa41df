//! Drills this team's own topology with its own features, and a step of its own, from `cargo test`.

// cucumber's macros look for a crate of this name. pgquake has what they need, of the version that it is built with.
extern crate pgquake as cucumber;

use std::process::ExitCode;

use pgquake::{
    World,
    cucumber::{World as _, then},
};

/// A step of one's own: it sees the system, and a panic fails the scenario.
#[then(expr = "{word} is not the primary any more")]
async fn not_primary(world: &mut World, host: String) {
    let drill = world.drill().expect("pgquake runs this step");
    let system = drill.system().await.expect("the system runs");
    assert_ne!(system.leader().await, Some(host));
}

fn main() -> ExitCode {
    pgquake::Harness::new().features(["features"]).topologies(["topologies"]).steps(World::collection()).test_main()
}
