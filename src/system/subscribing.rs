//! Makes publications and subscriptions, once the clusters are up, and asks both ends what they have.

use std::{collections::BTreeSet, time::Duration};

use futures::future::try_join_all;

use super::{
    System,
    access::{CLIENT_ROLE, DATABASE, LEDGER_TABLE},
};
use crate::{
    credentials::{LEDGER_COLUMNS, PUBLICATION, SEQUENCE},
    engine::EngineError,
    services::{patroni::POSTGRESQL_PORT, postgresql::server::REPLICATION_ROLE, subscriber::SUBSCRIBER_PORT},
    topology::{Cluster, NODES, SlotKept, Subscription},
    waiting::{NotReady, wait_until},
};

/// How long the slot of a subscription may take to be copied to every standby that is to have it: PostgreSQL's standbys begin
/// anew after ten seconds without one, Patroni's in their next loop.
const COPIED_WITHIN: Duration = Duration::from_secs(60);
/// How long a subscriber may take to answer, and a subscription to receive.
const RECEIVES_WITHIN: Duration = Duration::from_secs(30);
/// The parts of a slot's copy on a standby by which it is known to survive.
const IS_COPIED: &str = "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary";

/// A subscription could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SubscribingError {
    /// Docker did not do what it was asked.
    #[error("failed to make the subscription {subscription}: {source}")]
    Engine {
        /// Its name.
        subscription: String,
        /// What Docker said.
        source: EngineError,
    },
    /// A server refused a statement.
    #[error("failed to make the subscription {subscription}: {host} refused `{statement}`: {output}")]
    Refused {
        /// Its name.
        subscription: String,
        /// Where the server is.
        host: String,
        /// What it was asked.
        statement: String,
        /// What it said.
        output: String,
    },
    /// Its publisher or its endpoint is not there.
    #[error("failed to make the subscription {subscription}: {reason}")]
    Nowhere {
        /// Its name.
        subscription: String,
        /// What is missing.
        reason: String,
    },
    /// It did not begin in time.
    #[error("the subscription {subscription} did not begin: {source}")]
    NotReady {
        /// Its name.
        subscription: String,
        /// What did not come.
        source: Box<NotReady>,
    },
}

impl System {
    /// Makes every subscription of the topology, and waits until each receives and its slot is where it is to be.
    pub(super) async fn subscribe(&self) -> Result<(), SubscribingError> {
        let plan = self.plan();
        for cluster in &plan.clusters {
            try_join_all(plan.subscriptions_to(cluster).map(|own| self.subscribe_to(cluster, own))).await?;
        }
        if !plan.topology.subscriptions.is_empty() {
            self.note_reached("subscribers receive");
        }
        Ok(())
    }

    async fn subscribe_to(&self, cluster: &Cluster, own: &Subscription) -> Result<(), SubscribingError> {
        let nowhere = |reason: String| SubscribingError::Nowhere { subscription: own.name.clone(), reason };
        let late = |source| SubscribingError::NotReady { subscription: own.name.clone(), source: Box::new(source) };
        let publisher =
            self.publisher_of(cluster, own).ok_or_else(|| nowhere(format!("no endpoint {}", own.through)))?;
        let running = self.cluster(&cluster.name).ok_or_else(|| nowhere(format!("no cluster {}", cluster.name)))?;
        let primary = running.leader().await.ok_or_else(|| nowhere(format!("no node of {} leads", cluster.name)))?;
        let sequence = format!(
            "CREATE SEQUENCE IF NOT EXISTS {SEQUENCE} OWNED BY NONE; ALTER SEQUENCE {SEQUENCE} OWNER TO {CLIENT_ROLE}"
        );
        for statement in [
            // The image's was made in single-user mode, by which it counts as a table of the system, and the publication would
            // pass over it in silence. Nobody has written into it yet.
            format!(
                "DROP TABLE {LEDGER_TABLE}; CREATE TABLE {LEDGER_TABLE} ({LEDGER_COLUMNS}); \
                 ALTER TABLE {LEDGER_TABLE} OWNER TO {CLIENT_ROLE}"
            ),
            format!("GRANT USAGE ON SCHEMA pgquake TO {REPLICATION_ROLE}"),
            format!("GRANT SELECT ON {LEDGER_TABLE} TO {REPLICATION_ROLE}"),
            sequence.clone(),
            format!("CREATE PUBLICATION {PUBLICATION} FOR TABLE {LEDGER_TABLE}"),
        ] {
            self.state(own, &primary, &[], &statement).await?;
        }
        let answers = || async { self.query(&own.host, SUBSCRIBER_PORT, "SELECT 1").await.map(|_| ()) };
        wait_until(&format!("the subscriber on {}", own.host), RECEIVES_WITHIN, answers).await.map_err(late)?;
        let at = ["-p", &SUBSCRIBER_PORT.to_string()].map(str::to_owned);
        self.state(own, &own.host, &at, &sequence).await?;
        if own.slot_kept == SlotKept::Permanent {
            // Patroni makes it on the primary in one of its loops.
            let made = || self.has_slot(&primary, own.slot());
            let what = format!("the permanent slot {} on {primary}", own.slot());
            wait_until(&what, COPIED_WITHIN, made).await.map_err(late)?;
        }
        let subscribe = statement(own, &publisher);
        self.state(own, &own.host, &at, &subscribe).await?;
        let receives = || async {
            let sql = format!(
                "SELECT count(*) FROM pg_stat_subscription WHERE subname = '{}' AND pid IS NOT NULL AND latest_end_lsn IS NOT NULL AND relid IS NULL",
                own.name
            );
            match self.query(&own.host, SUBSCRIBER_PORT, &sql).await?.first().map(String::as_str) {
                Some("1") => Ok(()),
                _ => Err("it receives nothing yet".to_owned()),
            }
        };
        wait_until("the subscription to receive", RECEIVES_WITHIN, receives).await.map_err(late)?;
        if own.slot_kept != SlotKept::Plain {
            for standby in cluster.nodes.iter().filter(|node| **node != primary) {
                let copied = || self.has_slot(standby, own.slot());
                let what = format!("the slot {} on {standby}", own.slot());
                wait_until(&what, COPIED_WITHIN, copied).await.map_err(late)?;
            }
        }
        Ok(())
    }

    /// Where a subscription connects, in the words of libpq.
    fn publisher_of(&self, cluster: &Cluster, own: &Subscription) -> Option<String> {
        if own.through == NODES {
            let hosts = cluster.nodes.join(",");
            return Some(format!("host={hosts} port={POSTGRESQL_PORT} target_session_attrs=read-write"));
        }
        let at = &self.plan().endpoint(&own.through)?.at;
        Some(format!("host={} port={}", at.host, at.port))
    }

    /// Whether a node has a logical slot of this name that outlives its sessions.
    async fn has_slot(&self, node: &str, slot: &str) -> Result<(), String> {
        let found = self.query(node, POSTGRESQL_PORT, IS_COPIED).await?;
        if found.iter().any(|name| name == slot) { Ok(()) } else { Err(format!("{node} has the slots {found:?}")) }
    }

    /// Runs a statement as the superuser of a server, in its own container.
    async fn state(
        &self,
        own: &Subscription,
        host: &str,
        at: &[String],
        statement: &str,
    ) -> Result<(), SubscribingError> {
        let quoted = statement.replace('\'', r"'\''");
        let command = format!("psql -qXAt -v ON_ERROR_STOP=1 {} -d {DATABASE} -c '{quoted}'", at.join(" "));
        let done = self.as_postgres(host, &command).await;
        let done = done.map_err(|source| SubscribingError::Engine { subscription: own.name.clone(), source })?;
        if done.status == 0 {
            return Ok(());
        }
        Err(SubscribingError::Refused {
            subscription: own.name.clone(),
            host: host.to_owned(),
            statement: statement.to_owned(),
            output: self.access().credentials.hide_in(&done.text),
        })
    }

    /// The columns of the ledger of a server, and the last number that was drawn from its sequence.
    pub async fn ledger_at(&self, host: &str, port: u16) -> Result<(BTreeSet<String>, u64), String> {
        let columns = format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{LEDGER_TABLE}'::regclass AND attnum > 0 AND NOT attisdropped"
        );
        let drawn = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {SEQUENCE}");
        let columns = self.query(host, port, &columns).await?;
        let drawn = self.query(host, port, &drawn).await?;
        let drawn = drawn.first().and_then(|text| text.parse().ok());
        Ok((columns.into_iter().collect(), drawn.ok_or_else(|| format!("{host} has no sequence {SEQUENCE}"))?))
    }
}

/// CREATE SUBSCRIPTION as the documents write it, but that the password stands in a file that libpq reads by itself.
fn statement(own: &Subscription, publisher: &str) -> String {
    let mut options = vec![format!("slot_name = '{}'", own.slot())];
    options.extend(match own.slot_kept {
        SlotKept::Plain => None,
        SlotKept::Failover => Some("failover = true".to_owned()),
        SlotKept::Permanent => Some("create_slot = false".to_owned()),
    });
    format!(
        "CREATE SUBSCRIPTION {} CONNECTION '{publisher} dbname={DATABASE} user={REPLICATION_ROLE}' \
         PUBLICATION {PUBLICATION} WITH ({})",
        own.name,
        options.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_names_its_slot_and_who_keeps_it_and_no_password() {
        let own = |slot_kept| Subscription {
            name: "reports".to_owned(),
            host: "warehouse".to_owned(),
            of: None,
            through: "write".to_owned(),
            slot: Some("own".to_owned()),
            slot_kept,
        };
        let made = SlotKept::ALL.map(|kept| statement(&own(kept), "host=proxy port=5432"));
        assert!(made.iter().all(|text| text.contains("host=proxy port=5432") && !text.contains("password")));
        assert!(made[0].ends_with("WITH (slot_name = 'own')"), "{}", made[0]);
        assert!(made[1].ends_with("failover = true)"), "{}", made[1]);
        assert!(made[2].ends_with("create_slot = false)"), "{}", made[2]);
    }
}
