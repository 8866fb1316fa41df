//! A write is acknowledged, refused or unknown, and the ledger agrees.

use std::{collections::BTreeSet, time::Duration};

use crate::postgres::{Postgres, access, plan};
use pgquake::{
    history::{
        Occurrence, Recorder,
        event::{Attempt, AttemptOutcome, ClientKind, LedgerCounts},
        read_history,
    },
    plan::Plan,
    services::postgresql::databases::DatabaseSettings,
    system::Access,
    workload::{LoadSpec, Workload, read_ledgers},
};

/// A PostgreSQL, or two, and where what happens is recorded.
pub struct Drill {
    pub postgres: Postgres,
    plan: Plan,
    access: Access,
    recorder: Recorder,
    _folder: tempfile::TempDir,
}

impl Drill {
    pub async fn start(with_standby: bool) -> Self {
        Self::of(Postgres::start(with_standby).await)
    }

    /// A PostgreSQL with a standby, whose cluster has a further database: the test makes it.
    pub async fn with_database(name: &str, own: DatabaseSettings) -> Self {
        let mut drill = Self::of(Postgres::with_vector().await);
        drill.plan.topology.settings.postgresql.databases.insert(name.to_owned(), own);
        drill
    }

    fn of(postgres: Postgres) -> Self {
        let mut nodes = vec![("node1", postgres.port)];
        nodes.extend(postgres.standby_port.map(|port| ("node2", port)));
        let plan = plan(&nodes.iter().map(|(node, _)| *node).collect::<Vec<_>>());
        let access = access(postgres.port, &nodes);
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap().for_scenario(1);
        Self { postgres, plan, access, recorder, _folder: folder }
    }

    /// A load in its steady state.
    pub async fn load(&self) -> Workload {
        let spec = LoadSpec::of(2, 25);
        let load = Workload::start(&self.plan, &self.access, &self.recorder, spec).unwrap();
        load.wait_for_steady_state(Duration::from_secs(30)).await.unwrap();
        load
    }

    pub fn recorded(&self) -> Vec<Occurrence> {
        read_history(self.recorder.path()).unwrap().into_iter().map(|event| event.what).collect()
    }

    fn attempts(&self) -> Vec<Attempt> {
        let attempt = |what| match what {
            Occurrence::Attempt(attempt) => Some(attempt),
            _ => None,
        };
        self.recorded().into_iter().filter_map(attempt).collect()
    }

    /// Waits for an attempt as described.
    async fn until(&self, awaited: &str, wanted: impl Fn(&Attempt) -> bool) -> Attempt {
        let mut events = self.recorder.listen();
        let found = async {
            loop {
                if let Occurrence::Attempt(attempt) = &events.recv().await.unwrap().what
                    && wanted(attempt)
                {
                    return attempt.clone();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found)
            .await
            .unwrap_or_else(|_| panic!("{awaited} did not come within 20 s"))
    }

    /// Every write of a node's ledger, as the product reads it.
    async fn ledger(&self, node: &str) -> BTreeSet<(u32, u64)> {
        self.counted_ledger(node).await.0
    }

    /// Every write of a node's ledger, and what else was counted, as the product reads it.
    pub async fn counted_ledger(&self, node: &str) -> (BTreeSet<(u32, u64)>, LedgerCounts) {
        read_ledgers(&self.plan, &self.access, &self.recorder, &BTreeSet::new()).await;
        let read = self.recorded().into_iter().rev().find_map(|what| match what {
            Occurrence::LedgerRead { node: read, timeline: 1, found, counts: Some(counts), .. } if read == node => {
                Some((found, counts))
            }
            _ => None,
        });
        let (ranges, counts) = read.unwrap_or_else(|| panic!("the ledger of {node} was not read"));
        let writes = ranges.into_iter().flat_map(|range| (range.from..=range.to).map(move |own| (range.client, own)));
        (writes.collect(), counts)
    }
}

fn id(attempt: &Attempt) -> (u32, u64) {
    (attempt.client, attempt.sequence)
}

fn is_unknown(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, AttemptOutcome::Unknown { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_refuses_is_no_success_and_the_ledger_holds_what_was_acknowledged() {
    let drill = Drill::start(true).await;
    drill.load().await.stop().await.unwrap();
    let attempts = drill.attempts();

    let at_standby: Vec<_> = attempts.iter().filter(|attempt| attempt.endpoint == "node2").collect();
    for kind in [ClientKind::Fresh, ClientKind::Held] {
        assert!(at_standby.iter().any(|attempt| attempt.client_kind == kind), "no attempt of {kind:?} on the standby");
    }
    for attempt in at_standby {
        let AttemptOutcome::Refused { sqlstate, message, .. } = &attempt.outcome else { panic!("{attempt:?}") };
        assert_eq!(sqlstate.as_deref(), Some("25006"), "{message}");
    }

    let mut acknowledged = BTreeSet::new();
    for attempt in attempts.iter().filter(|attempt| attempt.endpoint != "node2") {
        let AttemptOutcome::Acknowledged { node, timeline, lsn } = &attempt.outcome else { panic!("{attempt:?}") };
        assert_eq!((node.as_str(), *timeline), ("node1", 1));
        assert!(*lsn > 0);
        assert!(acknowledged.insert(id(attempt)), "{attempt:?} has another's id");
    }
    assert_eq!(drill.ledger("node1").await, acknowledged);
    let caught_up = "SELECT 1 FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
    drill.postgres.until("a standby that has replayed everything", caught_up).await;
    assert_eq!(drill.ledger("node2").await, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_ledger_is_seen() {
    let drill = Drill::start(false).await;
    drill.load().await.stop().await.unwrap();
    let before = drill.ledger("node1").await;
    let client = before.iter().next_back().unwrap().0;
    drill.postgres.sql(&format!("DELETE FROM pgquake.ledger WHERE client = {client} AND sequence IN (3, 4)")).await;
    let after = drill.ledger("node1").await;
    let gone: Vec<_> = before.difference(&after).copied().collect();
    assert_eq!(gone, [(client, 3), (client, 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_ended_under_a_statement_leaves_it_unknown() {
    let drill = Drill::start(false).await;
    let load = drill.load().await;
    // The lock makes a writer's statement hang, so that its backend is ended in the midst of it.
    let ended = drill.postgres.sql(
        "BEGIN; LOCK TABLE pgquake.ledger; SELECT pg_sleep(0.5); \
         SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE application_name = 'pgquake-writer' AND wait_event_type = 'Lock'; COMMIT",
    );
    let seen =
        drill.until("an unknown write", |attempt| attempt.client_kind == ClientKind::Writer && is_unknown(attempt));
    let (ended, unknown) = tokio::join!(ended, seen);
    assert_eq!(ended.last().map(String::as_str), Some("2"), "writers that waited for the lock");
    // It goes on, on a new connection.
    let again = |attempt: &Attempt| {
        attempt.client == unknown.client && matches!(attempt.outcome, AttemptOutcome::Acknowledged { .. })
    };
    drill.until("a write of the same writer", again).await;
    load.stop().await.unwrap();

    let held_again = drill.attempts().into_iter().filter(|attempt| attempt.client_kind == ClientKind::Held);
    let numbers: BTreeSet<_> = held_again.map(|attempt| attempt.client).collect();
    assert_eq!(numbers.len(), 2, "held sessions lived through it: {numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_session_that_breaks_is_followed_by_another_client() {
    let drill = Drill::start(false).await;
    let load = drill.load().await;
    let is_held = |attempt: &Attempt| attempt.client_kind == ClientKind::Held;
    let answered = |attempt: &Attempt| matches!(attempt.outcome, AttemptOutcome::Acknowledged { .. });
    let first = drill.until("a held session", |attempt| is_held(attempt) && answered(attempt)).await.client;
    let before: BTreeSet<u32> = drill.attempts().iter().filter(|own| is_held(own)).map(|own| own.client).collect();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgquake-held'";
    let broke = drill.until("the break of the session", |attempt| attempt.client == first && !answered(attempt));
    tokio::join!(drill.postgres.sql(end), broke);
    let next = |attempt: &Attempt| is_held(attempt) && answered(attempt) && !before.contains(&attempt.client);
    drill.until("the next held session", next).await;
    load.stop().await.unwrap();
    let after_break = drill.attempts().into_iter().filter(|attempt| attempt.client == first);
    assert!(!answered(&after_break.max_by_key(|attempt| attempt.sequence).unwrap()), "it went on after its break");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_synchronous_wait_was_cancelled_is_unknown() {
    let drill = Drill::start(false).await;
    let load = drill.load().await;
    drill.postgres.sql("ALTER SYSTEM SET synchronous_standby_names = 'missing'").await;
    drill.postgres.sql("SELECT pg_reload_conf()").await;
    let waiting = "SELECT pid FROM pg_stat_activity \
                   WHERE application_name = 'pgquake-writer' AND wait_event = 'SyncRep' LIMIT 1";
    let pid = drill.postgres.until("a writer that waits for a synchronous standby", waiting).await.remove(0);
    let cancel = format!("SELECT pg_cancel_backend({pid})");
    let cancelled = drill.postgres.sql(&cancel);
    let seen = drill.until("an unknown write", |attempt| {
        attempt.client_kind == ClientKind::Writer
            && matches!(&attempt.outcome, AttemptOutcome::Unknown { message } if message.contains("synchronous"))
    });
    let (_, unknown) = tokio::join!(cancelled, seen);
    drill.postgres.sql("ALTER SYSTEM RESET synchronous_standby_names").await;
    drill.postgres.sql("SELECT pg_reload_conf()").await;
    let over_us = drill.recorder.now_us();
    load.wait_for_recovery(over_us, Duration::from_secs(1), Duration::from_secs(20)).await.unwrap();
    load.stop().await.unwrap();
    // The commit had taken place: that is why it may not be called refused.
    let ledger = drill.ledger("node1").await;
    assert!(ledger.contains(&id(&unknown)), "{unknown:?}");
    for attempt in drill.attempts() {
        match attempt.outcome {
            AttemptOutcome::Acknowledged { .. } => assert!(ledger.contains(&id(&attempt)), "{attempt:?} is lost"),
            AttemptOutcome::Refused { .. } => assert!(!ledger.contains(&id(&attempt)), "{attempt:?} is there"),
            AttemptOutcome::Unknown { .. } => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_state_that_does_not_come_says_what_is_missing() {
    let drill = Drill::start(false).await;
    drill.postgres.sql("DROP TABLE pgquake.ledger").await;
    let spec = LoadSpec::of(2, 25);
    let load = Workload::start(&drill.plan, &drill.access, &drill.recorder, spec).unwrap();
    let missed = load.wait_for_steady_state(Duration::from_secs(2)).await.unwrap_err();
    load.stop().await.unwrap();
    let missed = missed.to_string();
    assert!(missed.contains("0 of 2 writers"), "{missed}");
    assert!(missed.contains("relation \"pgquake.ledger\" does not exist"), "{missed}");
}
