use std::{fs, path::Path};

use pgquake::{compose::compose, plan::Plan, topology::load};

/// `UPDATE=1 cargo test --test compose` writes it anew.
#[test]
fn the_compose_file_at_the_top_is_that_of_the_default_topology() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-compose.yml");
    let plan = Plan::new(load("single-region", &[]).expect("it is built in"));
    let written = compose(&plan).expect("it can be written");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &written).expect("the file can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == written, "docker-compose.yml is stale: UPDATE=1 cargo test --test compose");
}
