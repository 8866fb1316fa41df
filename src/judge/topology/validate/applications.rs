//! Applications: endpoints at which they can write, and no more attempts to connect than the machine that measures stands.

use std::collections::BTreeSet;

use super::{Problem, Topology, check_name, did_you_mean, steps};
use crate::topology::{Application, NODES};

/// The most clients of one application.
const MOST_CLIENTS: u32 = 1_000;
/// The most rows that one client writes in a second.
const MOST_ROWS_PER_S: u32 = 100;
/// The most attempts to connect in a second of clients that get no session. More would measure this machine.
const MOST_ATTEMPTS_PER_S: u64 = 500;
/// The longest transaction: beyond it no drill sees that it ends.
const LONGEST_TRANSACTION_MS: u32 = 60_000;

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for (index, own) in topology.applications.iter().enumerate() {
        let path = |field: &str| steps!["applications", index, field];
        check_name("application", &own.name, path("name"), problems);
        if !names.insert(&own.name) {
            let message = format!("two applications are called `{}`", own.name);
            problems.push(Problem::at(path("name"), message));
        }
        numbers(own, &path, problems);
        endpoint(topology, own, path("endpoint"), problems);
    }
}

fn numbers(own: &Application, path: &dyn Fn(&str) -> super::Path, problems: &mut Vec<Problem>) {
    let bounds = [
        ("clients", own.clients, 1, MOST_CLIENTS),
        ("rows_per_s", own.rows_per_s, 1, MOST_ROWS_PER_S),
        ("keepalives", own.keepalives, 0, 1),
        ("transaction_idle_ms", own.transaction_idle_ms, 0, LONGEST_TRANSACTION_MS),
        // The most that the kernel takes.
        ("keepalives_idle", own.keepalives_idle, 0, 32_767),
        ("keepalives_interval", own.keepalives_interval, 0, 32_767),
        ("keepalives_count", own.keepalives_count, 0, 127),
        ("tcp_user_timeout", own.tcp_user_timeout, 0, i32::MAX as u32),
        ("statement_timeout", own.statement_timeout, 0, i32::MAX as u32),
    ];
    for (name, value, least, most) in bounds {
        if !(least..=most).contains(&value) {
            let message = format!("the application `{}` can't have `{name}: {value}`", own.name);
            problems.push(Problem::at(path(name), message).help(format!("between {least} and {most}")));
        }
    }
    let pause_ms = u64::from(own.reconnect_pause_ms);
    if u64::from(own.clients) * 1000 > MOST_ATTEMPTS_PER_S * pause_ms {
        let message = format!(
            "{} clients that try again after {pause_ms} ms are more than {MOST_ATTEMPTS_PER_S} attempts to connect in a second",
            own.clients
        );
        let least_ms = (u64::from(own.clients) * 1000).div_ceil(MOST_ATTEMPTS_PER_S);
        let problem = Problem::at(path("reconnect_pause_ms"), message);
        problems.push(problem.help(format!("a pause of at least {least_ms} ms: more would measure this machine")));
    }
}

fn endpoint(topology: &Topology, own: &Application, path: super::Path, problems: &mut Vec<Problem>) {
    match topology.endpoints.find(&own.endpoint) {
        None if own.endpoint == NODES => {}
        None => {
            let known = topology.endpoints.iter().map(|endpoint| endpoint.name.as_str());
            let known: Vec<&str> = known.chain([NODES]).collect();
            let problem = Problem::at(path, format!("no endpoint is called `{}`", own.endpoint));
            problems.push(problem.help(did_you_mean(&own.endpoint, &known)));
        }
        Some(endpoint) if endpoint.serves.is_for_reads() => {
            let message = format!("an application can't write at the endpoint `{}`, which is for reads", own.endpoint);
            problems.push(Problem::at(path, message).help("name an endpoint of the primary, or `nodes`"));
        }
        Some(_) => {}
    }
}
