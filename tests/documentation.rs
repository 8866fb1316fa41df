//! What is written twice is the same: pages that the code writes, and names that both halves know.

#[test]
fn the_page_of_faults_is_in_step() {
    let page = std::fs::read_to_string("docs/faults.md").expect("docs/faults.md");
    assert!(page == pgquake::faults::markdown(), "write it anew: pgquake list faults --markdown > docs/faults.md");
}

#[test]
fn what_the_checks_take_for_a_proof_of_death_are_faults_that_last() {
    use pgquake::{
        checks::course::watched::{ENDS_POSTGRESQL, ENDS_POSTGRESQL_FOR_A_TIME},
        faults::{Lasts, find},
    };
    for name in ENDS_POSTGRESQL {
        assert!(find(name).is_some_and(|kind| matches!(kind.lasts, Lasts::UntilHealed)), "{name}");
    }
    for name in ENDS_POSTGRESQL_FOR_A_TIME {
        assert!(find(name).is_some_and(|kind| matches!(kind.lasts, Lasts::Once)), "{name}");
    }
}
