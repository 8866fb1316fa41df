//! `When`: faults of the network and of the name service.

use std::collections::BTreeMap;

use cucumber::gherkin::StepType::When;
use futures::future::LocalBoxFuture;

use crate::{
    drill::Drill,
    services,
    steps::{StepDefinition, StepError, Words, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "{target} is/are partitioned from {target}",
        "no packet passes between the two sides, either way; `the rest` is every other host",
        |drill, words| partition(drill, words, &[]),
    ),
    step(
        When,
        "{target} is/are partitioned from {target}, name service and all",
        "as before, and the first can't look up names either: each attempt takes as long as its resolver waits",
        |drill, words| partition(drill, words, &[("names", "lose")]),
    ),
    step(
        When,
        "nothing from {target} reaches {target}",
        "one way: packets of the first are dropped, those of the second arrive",
        |drill, words| partition(drill, words, &[("direction", "out")]),
    ),
    step(
        When,
        "nothing reaches {target} from {target}",
        "one way: packets to the first are dropped, its own arrive",
        |drill, words| partition(drill, words, &[("direction", "in")]),
    ),
    step(
        When,
        "{target} loses its DCS",
        "its clients of etcd hear no member, not even one on the same host; all other packets pass",
        |drill, words| {
            let port = services::ETCD_CLIENT_PORT.to_string();
            partition(drill, words, &[("from", "the etcd members"), ("ports", &port)])
        },
    ),
    step(
        When,
        "{target} loses its standbys",
        "no replication: packets of PostgreSQL are dropped between it and the standbys, and all others pass",
        |drill, words| {
            let port = services::patroni::POSTGRESQL_PORT.to_string();
            partition(drill, words, &[("from", "the standbys"), ("ports", &port)])
        },
    ),
    step(
        When,
        "clients are cut off from {target}",
        "packets between clients and its endpoints are dropped; hosts hear each other, and observers go on watching",
        |drill, words| partition(drill, words, &[("from", "the clients")]),
    ),
    step(
        When,
        "{target} are partitioned as a majorities ring",
        "each hears a majority of them, and no two the same one; the ring begins with the primary",
        |drill, words| shape(drill, words, "majorities_ring"),
    ),
    step(
        When,
        "{target} are partitioned into halves",
        "two groups that hear only themselves; the primary is in the smaller one",
        |drill, words| shape(drill, words, "halves"),
    ),
    step(When, "{target} are partitioned as a bridge", "two groups that only the primary connects", |drill, words| {
        shape(drill, words, "bridge")
    }),
    step(When, "{target} loses its name service", "it can't look up names any more; packets pass", |drill, words| {
        Box::pin(async move { Ok(drill.inject("name_service_loss", &words.target(0)?, BTreeMap::new()).await?) })
    }),
    step(
        When,
        "{int} % of the packets from {target} to {target} are lost",
        "each packet by lot; the other direction is left alone",
        |drill, words| {
            Box::pin(async move {
                let share = format!("{} %", words.number(0)?);
                let side = [("from", words.text(2)?), ("direction", "out"), ("share", share.as_str())];
                Ok(drill.inject("packet_loss", &words.target(1)?, parameters(&side)).await?)
            })
        },
    ),
];

fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A partition of the step's first hosts from its second ones, or from those that `pairs` name.
fn partition<'a>(
    drill: &'a mut Drill,
    words: Words,
    pairs: &[(&str, &str)],
) -> LocalBoxFuture<'a, Result<(), StepError>> {
    let mut parameters = parameters(pairs);
    Box::pin(async move {
        if !parameters.contains_key("from") {
            parameters.insert("from".to_owned(), words.text(1)?.to_owned());
        }
        Ok(drill.inject("partition", &words.target(0)?, parameters).await?)
    })
}

fn shape<'a>(drill: &'a mut Drill, words: Words, shape: &str) -> LocalBoxFuture<'a, Result<(), StepError>> {
    let parameters = parameters(&[("shape", shape), ("pivot", "the primary")]);
    Box::pin(async move { Ok(drill.inject("partition_shape", &words.target(0)?, parameters).await?) })
}
