//! What is written twice is the same: pages that the code writes, and names that both halves know.

#[test]
fn the_page_of_faults_is_in_step() {
    let page = std::fs::read_to_string("docs/faults.md").expect("docs/faults.md");
    assert!(page == pgquake::faults::markdown(), "write it anew: pgquake list faults --markdown > docs/faults.md");
}

/// The library's page shows the files of the example crate, so that what stands there runs.
#[test]
fn the_library_page_shows_the_example_crate() {
    let library = std::fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    let page: String = library
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    for (fence, file) in [
        ("yaml", "topologies/two-nodes.yaml"),
        ("gherkin", "features/two_nodes.feature"),
        ("no_run,standalone_crate", "tests/drill.rs"),
    ] {
        let (_, rest) = page.split_once(&format!("```{fence}\n")).unwrap_or_else(|| panic!("no {fence} in src/lib.rs"));
        let (shown, _) = rest.split_once("```").expect("the end of the block");
        let example = std::fs::read_to_string(format!("examples/own-drill/{file}")).expect(file);
        assert!(example.ends_with(shown), "{file} differs from what src/lib.rs shows");
    }
}

#[test]
fn what_the_checks_take_for_a_proof_of_death_are_faults_that_last() {
    use pgquake::{
        checks::course::watched::{ENDS_POSTGRESQL, ENDS_POSTGRESQL_FOR_A_TIME},
        faults::{Lasts, RESET_BY_WATCHDOG, find},
    };
    // What no scenario asks for stands in no table.
    let own = |name: &str| (name == RESET_BY_WATCHDOG.name).then_some(&RESET_BY_WATCHDOG);
    for name in ENDS_POSTGRESQL {
        assert!(find(name).or(own(name)).is_some_and(|kind| matches!(kind.lasts, Lasts::UntilHealed)), "{name}");
    }
    for name in ENDS_POSTGRESQL_FOR_A_TIME {
        assert!(find(name).is_some_and(|kind| matches!(kind.lasts, Lasts::Once)), "{name}");
    }
}
