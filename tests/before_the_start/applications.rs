//! Applications that a scenario names.

use crate::{refused_steps, told};

const FAULT: &str = "When the host of the primary dies";
const WRITES_AGAIN: &str = "Then every client of the application \"web\" writes again";

#[test]
fn more_clients_of_applications_than_postgresql_takes_are_refused() {
    let many = "And the application \"web\" with 90 clients writing 1 rows per second each";
    let load = "And 8 clients writing 1 rows per second each";
    let most = "And the PostgreSQL parameter \"max_connections\" is \"100\"";
    let part = "own.feature:4:5: PostgreSQL takes 97 clients, and not 98 (90 of applications)";
    refused_steps(&[load, many, most, FAULT], &[part]);
    let others = "And the application \"others\" with 8 clients writing 1 rows per second each";
    let part = "own.feature:6:5: PostgreSQL takes 97 clients, and not 98 (98 of applications)";
    refused_steps(&[many, most, others, FAULT], &[part]);
}

#[test]
fn a_mistake_in_an_application_is_told_once() {
    let web =
        |clients: &str| format!("And the application \"web\" with {clients} clients writing 1 rows per second each");
    for (clients, row) in [("0", ""), ("2", "  | clients | 3 |"), ("2", "  | endpoint | proxy |"), ("99999999999", "")]
    {
        let steps = [web(clients), row.to_owned(), FAULT.to_owned(), WRITES_AGAIN.to_owned()];
        let feature = format!(
            "Feature: Ours\n  Scenario: One\n    Given the topology \"single-region\"\n    {}\n",
            steps.join("\n    ")
        );
        let (_folder, said) = told(&feature, &["features", "--list"], 2);
        assert!(said.contains("own.feature:4:") || said.contains("own.feature:5:"), "{clients} {row}: {said}");
        assert!(!said.contains("no application is called"), "{clients} {row}: {said}");
    }
    // Another name is another mistake.
    let other = "Then every client of the application \"wbe\" writes again";
    refused_steps(&[&web("0"), FAULT, other], &["no application is called `wbe`"]);
}
