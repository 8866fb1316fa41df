//! What mistakes in topologies get: a message, the place, and what was probably meant.

mod applications;
mod databases;
mod errors;
mod names;
mod storage;
mod subscriptions;
mod tls;

use pgquake_judge::topology::{TopologyError, parse};

/// A line and a column, both from 1.
type Place = (usize, usize);

/// A sound topology with one part replaced. A `^` in it marks a place.
fn marked(sound: &str, replace: &str, by: &str) -> String {
    assert!(sound.contains(replace), "the sound topology has no {replace:?}");
    sound.replacen(replace, by, 1)
}

/// The error of a marked topology, and the place of its `^`, which does not stand in the file.
fn broken(marked: &str) -> (TopologyError, Place) {
    let (before, _) = marked.split_once('^').expect("a place");
    let at = (before.lines().count(), before.lines().last().map_or(0, str::len) + 1);
    (parse("broken.yaml", &marked.replacen('^', "", 1)).expect_err(marked), at)
}

/// Holds the one mistake to its message, a part of its help (empty: there must be none), and its place.
fn is_the_one(error: &TopologyError, at: Place, message: &str, help: &str) {
    let [mistake] = error.mistakes() else { panic!("{message:?}: not one mistake: {error}") };
    assert_eq!((mistake.message.as_str(), (mistake.line, mistake.column)), (message, at));
    let told = mistake.help.as_deref().unwrap_or_default();
    assert!(told.contains(help) && told.is_empty() == help.is_empty(), "{message:?}: help: {told}");
}

/// Breaks a sound topology, and holds the one mistake to its message, a part of its help (empty: there must be none), and its
/// place, which `by` marks with a `^`.
fn check(sound: &str, replace: &str, by: &str, message: &str, help: &str) {
    let (error, at) = broken(&marked(sound, replace, by));
    is_the_one(&error, at, message, help);
}
