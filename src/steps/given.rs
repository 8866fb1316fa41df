//! `Given`: the topology and the load.

use cucumber::gherkin::StepType::Given;

use super::{StepDefinition, words::step};
use crate::{drill::ShapedLinks, workload::LoadSpec};

/// The step that names a topology.
pub(super) const TOPOLOGY: &str = "the topology {string}";

pub(super) const ALL: &[StepDefinition] = &[
    step(Given, TOPOLOGY, "builds this topology; see `pgquake list topologies`", |drill, words| {
        Box::pin(async move { Ok(drill.choose_topology(words.text(0)?)?) })
    }),
    step(
        Given,
        "the PostgreSQL parameter {string} is {string}",
        "sets it on every node, as in postgresql.conf",
        |drill, words| Box::pin(async move { Ok(drill.set_postgresql(words.text(0)?, words.text(1)?)?) }),
    ),
    step(
        Given,
        "the disks can fail",
        "puts the data of PostgreSQL and etcd on disks that can lose power, fill up, stall and fail",
        |drill, _| Box::pin(async move { Ok(drill.prepare_disks()?) }),
    ),
    step(
        Given,
        "every link is shaped",
        "leads every link through a Toxiproxy, so that it can be slowed",
        |drill, _| Box::pin(async move { Ok(drill.shape_links(ShapedLinks::All)?) }),
    ),
    step(
        Given,
        "the links between the nodes are shaped",
        "leads the links between PostgreSQL's hosts through Toxiproxies, so that they can be slowed",
        |drill, _| Box::pin(async move { Ok(drill.shape_links(ShapedLinks::BetweenNodes)?) }),
    ),
    step(
        Given,
        "the clocks of the nodes can be set",
        "Patroni and PostgreSQL ask a library for the time, so that it can be changed",
        |drill, _| Box::pin(async move { Ok(drill.prepare_clocks()?) }),
    ),
    step(
        Given,
        "the Patroni setting {string} is {string}",
        "gives a setting another value than the topology has: `failsafe_mode` is `on`, `ttl` is `20`",
        |drill, words| Box::pin(async move { Ok(drill.set_patroni(words.text(0)?, words.text(1)?)?) }),
    ),
    step(
        Given,
        "{int} clients writing {int} rows per second each",
        "the load: so many clients, each with one connection to the write endpoint",
        |drill, words| {
            Box::pin(async move {
                let (writers, rate_per_s) = (words.number(0)?, words.number(1)?);
                drill.choose_load(LoadSpec { writers, rate_per_s, endpoint: "write".to_owned() });
                Ok(())
            })
        },
    ),
];
