//! `Given`: the topology and the load.

use cucumber::gherkin::StepType::Given;

use super::{Intent, StepDefinition, WordError, words::step};
use crate::{drill::ShapedLinks, workload::LoadSpec};

pub(super) const ALL: &[StepDefinition] = &[
    step(Given, "the topology {string}", "builds this topology; see `pgquake list topologies`", |words| {
        Ok(Intent::Topology(words.text(0)?.to_owned()))
    }),
    step(
        Given,
        "the PostgreSQL parameter {string} is {string}",
        "sets it on every node, as in postgresql.conf",
        |words| Ok(Intent::PostgresqlParameter { name: words.text(0)?.to_owned(), value: words.text(1)?.to_owned() }),
    ),
    step(
        Given,
        "the disks can fail",
        "puts the data of PostgreSQL and etcd on disks that can lose power, fill up, stall and fail",
        |_| Ok(Intent::PrepareDisks),
    ),
    step(Given, "every link is shaped", "leads every link through a Toxiproxy, so that it can be slowed", |_| {
        Ok(Intent::ShapeLinks(ShapedLinks::All))
    }),
    step(
        Given,
        "the links between the nodes are shaped",
        "leads the links between PostgreSQL's hosts through Toxiproxies, so that they can be slowed",
        |_| Ok(Intent::ShapeLinks(ShapedLinks::BetweenNodes)),
    ),
    step(
        Given,
        "the clocks of the nodes can be set",
        "Patroni and PostgreSQL ask a library for the time, so that it can be changed",
        |_| Ok(Intent::PrepareClocks),
    ),
    step(
        Given,
        "the Patroni setting {string} is {string}",
        "gives a setting another value than the topology has: `failsafe_mode` is `on`, `ttl` is `20`",
        |words| Ok(Intent::PatroniSetting { name: words.text(0)?.to_owned(), value: words.text(1)?.to_owned() }),
    ),
    step(
        Given,
        "the version of {string} is {string}",
        "runs `postgresql` (16, or 16.11), `patroni` (4.1.5, or 4.1 for the newest of that line) or `etcd` (3.6) in another version than the packages'",
        |words| Ok(Intent::Version { program: words.text(0)?.to_owned(), version: words.text(1)?.to_owned() }),
    ),
    step(
        Given,
        "clients of {string} connect to {string}",
        "sends the clients of an endpoint to another host, or to another global name",
        |words| Ok(Intent::EndpointHost { endpoint: words.text(0)?.to_owned(), host: words.text(1)?.to_owned() }),
    ),
    step(
        Given,
        "the slot of the subscription {string} is {string}",
        "`plain`: on the primary alone; `failover`: PostgreSQL's standbys copy it; `permanent`: Patroni's do",
        |words| Ok(Intent::SlotKept { subscription: words.text(0)?.to_owned(), kept: words.text(1)?.to_owned() }),
    ),
    step(
        Given,
        "the subscription {string} connects by {string}",
        "an endpoint, as `write`; or `nodes`: to each of them in turn, until one accepts writes, which libpq sees to",
        |words| {
            let (subscription, through) = (words.text(0)?.to_owned(), words.text(1)?.to_owned());
            Ok(Intent::SubscriptionThrough { subscription, through })
        },
    ),
    step(
        Given,
        "{int} clients writing {int} rows per second each",
        "the load: this many clients, each with one connection to the write endpoint",
        |words| {
            let (writers, rate_per_s) = (words.number(0)?, words.number(1)?);
            Ok(Intent::Load(LoadSpec::of(writers, rate_per_s)))
        },
    ),
    step(
        Given,
        "{int} clients writing {int} rows per second each, with {size} of WAL beside each row",
        "the same load, which fills files of the WAL as a busier one does",
        |words| {
            let (writers, rate_per_s) = (words.number(0)?, words.number(1)?);
            let more_wal_bytes = words.bytes(2)?;
            Ok(Intent::Load(LoadSpec { more_wal_bytes, ..LoadSpec::of(writers, rate_per_s) }))
        },
    ),
    step(
        Given,
        "{int} clients writing {int} rows per second each, with {int} rows changed beside each row",
        "the same load, which changes pages all over a table: so that recovery after a crash and checkpoints have work to do",
        |words| {
            let (writers, rate_per_s, updated_rows) = (words.number(0)?, words.number(1)?, words.number(2)?);
            Ok(Intent::Load(LoadSpec { updated_rows, ..LoadSpec::of(writers, rate_per_s) }))
        },
    ),
    step(
        Given,
        "the application {string} with {int} clients writing {int} rows per second each",
        "clients beside the load that wait as an application does: the step's table gives their timeouts, by libpq's names",
        |words| {
            let mut settings = words.table()?;
            for (place, name) in [(1, "clients"), (2, "rows_per_s")] {
                if settings.insert(name.to_owned(), words.number(place)?.to_string()).is_some() {
                    return Err(WordError::Said { name: name.to_owned(), row: words.row_of(name).unwrap_or_default() });
                }
            }
            Ok(Intent::Application { name: words.text(0)?.to_owned(), settings })
        },
    ),
    step(
        Given,
        "{int} idle clients",
        "sessions at the write endpoint that say nothing, opened at most 200 a second; one that breaks is opened anew",
        |words| Ok(Intent::IdleClients(words.number(0)?)),
    ),
];
