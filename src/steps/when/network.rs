//! `When`: faults of the network and of the name service.

use cucumber::gherkin::StepType::When;

use crate::{
    services,
    steps::{Intent, StepDefinition, WordError, Words, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "every host tries the ports of the firewall",
        "each of its ports that a rule names, from every other host; what answered is recorded",
        |_| Ok(Intent::TryConnections),
    ),
    step(
        When,
        "{target} is/are partitioned from {target}",
        "no packet passes between the two sides, either way; `the rest` is every other host",
        |words| partition(words, &[]),
    ),
    step(
        When,
        "{target} is/are partitioned from {target}, name service and all",
        "as before, and the first can't look up names either: each attempt takes as long as its resolver waits",
        |words| partition(words, &[("names", "lose")]),
    ),
    step(
        When,
        "nothing from {target} reaches {target}",
        "one way: packets of the first are dropped, those of the second arrive",
        |words| partition(words, &[("direction", "out")]),
    ),
    step(
        When,
        "nothing reaches {target} from {target}",
        "one way: packets to the first are dropped, its own arrive",
        |words| partition(words, &[("direction", "in")]),
    ),
    step(
        When,
        "{target} loses its DCS",
        "its clients of the DCS hear no member, not even one on the same host; all other packets pass",
        |words| partition(words, &[("from", "the DCS members"), ("conversations", "DCS")]),
    ),
    step(
        When,
        "{target} loses its standbys",
        "no replication: packets of PostgreSQL are dropped between it and the standbys, and all others pass",
        |words| {
            let port = services::patroni::POSTGRESQL_PORT.to_string();
            partition(words, &[("from", "the standbys"), ("ports", &port)])
        },
    ),
    step(
        When,
        "clients are cut off from {target}",
        "packets between clients and its endpoints are dropped; hosts hear each other, and observers go on watching",
        |words| partition(words, &[("from", "the clients")]),
    ),
    step(
        When,
        "{target} are partitioned as a majorities ring",
        "each hears a majority of them, and no two the same one; the ring begins with the primary",
        |words| shape(words, "majorities_ring"),
    ),
    step(
        When,
        "{target} are partitioned into halves",
        "two groups that hear only themselves; the primary is in the smaller one",
        |words| shape(words, "halves"),
    ),
    step(When, "{target} are partitioned as a bridge", "two groups that only the primary connects", |words| {
        shape(words, "bridge")
    }),
    step(When, "{target} loses its name service", "it can't look up names any more; packets pass", |words| {
        words.fault("name_service_loss", 0, &[])
    }),
    step(
        When,
        "{int} % of the packets from {target} to {target} are lost",
        "each packet by lot; the other direction is left alone",
        |words| {
            let share = format!("{} %", words.number(0)?);
            words.fault("packet_loss", 1, &[("from", words.text(2)?), ("direction", "out"), ("share", &share)])
        },
    ),
];

/// A partition of the step's first hosts from its second ones, or from those that `said` names.
fn partition(words: &Words, said: &[(&str, &str)]) -> Result<Intent, WordError> {
    if said.iter().any(|(name, _)| *name == "from") {
        return words.fault("partition", 0, said);
    }
    words.fault("partition", 0, &[&[("from", words.text(1)?)], said].concat())
}

fn shape(words: &Words, shape: &str) -> Result<Intent, WordError> {
    words.fault("partition_shape", 0, &[("shape", shape), ("pivot", "the primary")])
}
