//! Pages that the code writes are those that the code would write now.

#[test]
fn the_page_of_faults_is_in_step() {
    let page = std::fs::read_to_string("docs/faults.md").expect("docs/faults.md");
    assert!(page == pgquake::faults::markdown(), "write it anew: pgquake list faults --markdown > docs/faults.md");
}
