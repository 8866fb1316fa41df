//! Subscribers outside of the clusters: what an operator does at them and for them, and what they hold in the end.

use std::time::Duration;

use super::{Drill, DrillError, Running, runbook::RunbookError};
use crate::{
    history::{
        Occurrence, Recorder,
        event::{SubscriberRead, SubscriberSchema},
    },
    services::{patroni::POSTGRESQL_PORT, subscriber::SUBSCRIBER_PORT},
    system::access::{LEDGER_TABLE, SEQUENCE},
    topology::Subscription,
    waiting::wait_until,
    workload::{RestoredLedger, read_restored},
};

/// How long a subscriber may take to have what its publisher has, once nobody writes any more. A worker that failed is
/// started again after five seconds.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(30);
/// How long a subscriber may take to meet a column that it has not.
const MET_WITHIN: Duration = Duration::from_secs(30);
/// The column that an operator adds.
const COLUMN: &str = "note";

/// What an operator does where somebody subscribes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriberOrder {
    /// Add a column to the ledger, at the publisher.
    AddColumn(String),
    /// Add the same column at the subscriber, once that has met it.
    AddColumnThere(String),
    /// Draw numbers from the sequence, at the publisher.
    DrawNumbers(String, u32),
    /// Make the slot anew, on the primary of now.
    MakeSlot(String),
}

impl SubscriberOrder {
    /// The subscription that it names.
    pub fn subscription(&self) -> &str {
        match self {
            SubscriberOrder::AddColumn(name)
            | SubscriberOrder::AddColumnThere(name)
            | SubscriberOrder::DrawNumbers(name, _)
            | SubscriberOrder::MakeSlot(name) => name,
        }
    }
}

impl Drill {
    /// Takes an operator's step where somebody subscribes. A command that fails is no failure of the step: what came of it is
    /// for the checks to say.
    pub(super) async fn at_subscriber(&mut self, order: &SubscriberOrder) -> Result<(), DrillError> {
        self.begin_load().await?;
        let (ground, recorder) = (self.ground.clone(), self.recorder.clone());
        let running = self.running().await?;
        let name = order.subscription();
        let missing = || RunbookError::NoSubscription(name.to_owned());
        let own = running.plan.topology.subscription(name).ok_or_else(missing)?.clone();
        let primary = publisher(running, &own)
            .await
            .map_err(|reason| RunbookError::Database { node: name.to_owned(), reason })?;
        let add = format!("psql -qXAtc 'ALTER TABLE {LEDGER_TABLE} ADD COLUMN {COLUMN} text'");
        let (node, command) = match order {
            SubscriberOrder::AddColumn(_) => (primary, add),
            SubscriberOrder::AddColumnThere(_) => {
                // What is seen before this is not the operator's.
                let met = async {
                    meet_the_column(running, &own, &primary, &recorder).await;
                    Ok::<_, DrillError>(())
                };
                ground.hold(met).await?;
                (own.host.clone(), add.replace("psql ", &format!("psql -p {SUBSCRIBER_PORT} ")))
            }
            SubscriberOrder::DrawNumbers(_, count) => {
                let draw = format!("SELECT count(nextval($${SEQUENCE}$$)) FROM generate_series(1, {count})");
                (primary, format!("psql -qXAtc '{draw}'"))
            }
            SubscriberOrder::MakeSlot(_) => {
                let make = format!("SELECT pg_create_logical_replication_slot($${}$$, $$pgoutput$$)", own.slot());
                (primary, format!("psql -qXAtc '{make}'"))
            }
        };
        let ran = async { Ok::<_, DrillError>(running.system.as_postgres(&node, &command).await) };
        let ran = ground.hold(ran).await?;
        self.record_command(&node, &command, ran).await
    }

    /// Reads what every subscriber holds, once it has what its publisher has, or had the time for that.
    pub(super) async fn read_subscribers(&self, running: &Running) {
        for own in &running.plan.topology.subscriptions {
            let subscription = own.name.clone();
            self.recorder.record(match read(running, own, &self.recorder).await {
                Ok(RestoredLedger { found, counts, .. }) => {
                    Occurrence::SubscriberRead(SubscriberRead { subscription, found, counts })
                }
                Err(reason) => Occurrence::SubscriberUnread { subscription, reason },
            });
        }
    }
}

/// The primary of the cluster that publishes.
async fn publisher(running: &Running, own: &Subscription) -> Result<String, String> {
    let cluster = own.publisher(&running.plan.clusters).ok_or("there is no publisher")?;
    let cluster = running.system.cluster(&cluster.name).ok_or("there is no publisher")?;
    cluster.leader().await.ok_or_else(|| "no node of the publisher leads".to_owned())
}

async fn read(running: &Running, own: &Subscription, recorder: &Recorder) -> Result<RestoredLedger, String> {
    let access = running.system.access();
    let has_all = || async {
        let primary = publisher(running, own).await?;
        let published = read_restored(&primary, POSTGRESQL_PORT, access).await?;
        let subscribed = read_restored(&own.host, SUBSCRIBER_PORT, access).await?;
        if published.found == subscribed.found {
            Ok(primary)
        } else {
            Err(format!("{} differs from {primary}", own.name))
        }
    };
    // Whether it should have is for the checks to say.
    let primary =
        match wait_until(&format!("{} to have what it subscribes to", own.name), CAUGHT_UP_WITHIN, has_all).await {
            Ok(primary) => Ok(primary),
            Err(missed) => {
                tracing::debug!("{missed}");
                publisher(running, own).await
            }
        };
    if let Ok(primary) = primary {
        look_at_schema(running, own, &primary, recorder).await;
    }
    read_restored(&own.host, SUBSCRIBER_PORT, access).await
}

/// Records the columns and the sequence at both ends. What can't be seen now may be seen at another look.
async fn look_at_schema(running: &Running, own: &Subscription, primary: &str, recorder: &Recorder) {
    let system = &running.system;
    let ends = async {
        let published = system.ledger_at(primary, POSTGRESQL_PORT).await?;
        Ok::<_, String>((published, system.ledger_at(&own.host, SUBSCRIBER_PORT).await?))
    };
    match ends.await {
        Ok(((published_columns, published_sequence), (subscribed_columns, subscribed_sequence))) => {
            recorder.record(Occurrence::SubscriberSchema(SubscriberSchema {
                subscription: own.name.clone(),
                published_columns,
                subscribed_columns,
                published_sequence,
                subscribed_sequence,
            }));
        }
        Err(reason) => tracing::debug!("the schema of {} was not seen: {reason}", own.name),
    }
}

/// Waits until a subscriber has met the column that its table lacks, or has it, and looks.
async fn meet_the_column(running: &Running, own: &Subscription, primary: &str, recorder: &Recorder) {
    let name = &own.name;
    let met = format!(
        "SELECT apply_error_count FROM pg_stat_subscription_stats WHERE subname = '{name}' AND apply_error_count > 0 \
         UNION ALL SELECT 1 FROM pg_attribute WHERE attrelid = '{LEDGER_TABLE}'::regclass AND attname = '{COLUMN}'"
    );
    let look = || async {
        let rows = running.system.query(&own.host, SUBSCRIBER_PORT, &met).await?;
        if rows.is_empty() { Err(format!("{name} applies as before")) } else { Ok(()) }
    };
    if let Err(missed) = wait_until(&format!("{name} to meet the new column"), MET_WITHIN, look).await {
        tracing::debug!("{missed}");
    }
    look_at_schema(running, own, primary, recorder).await;
}
