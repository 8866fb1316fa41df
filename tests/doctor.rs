//! The doctor on a live engine: it finds it, and leaves nothing behind.

use pgquake::engine::Engine;
use pgquake::engine::doctor::{self, Ability};
use pgquake::engine::images::{self, ImageKind};
use pgquake::engine::leftovers::Sweep;

#[tokio::test]
async fn the_doctor_finds_what_a_run_needs_and_leaves_nothing() {
    let engine = Engine::connect().await.expect("a Docker engine");
    images::ensure(engine.docker(), &[ImageKind::HOLDER], &|_| {}).await.expect("holder image");
    let probes = doctor::examine().await;
    println!("{}", doctor::table(&probes));
    for name in ["Docker engine", "Docker socket", "network faults"] {
        let probe = probes.iter().find(|probe| probe.name == name).unwrap_or_else(|| panic!("no probe of {name}"));
        assert_eq!(probe.ok, Ability::Yes, "{probe:?}");
    }
    assert!(probes.iter().any(|probe| probe.name == "timers"));
    let run = format!("doctor-{}", std::process::id());
    assert_eq!(engine.containers(Sweep::Run(&run)).await.expect("containers"), []);
}
