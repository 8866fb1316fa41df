//! A further database with vectors: what is written there is read back, and what is wrong with it is seen.

use std::collections::BTreeSet;

use pgquake::{
    history::{
        Occurrence,
        event::{AttemptOutcome, DatabaseContents, DatabaseFound},
        rows::Rows,
    },
    services::postgresql::databases::{DatabaseSettings, Extension, filled},
};

use crate::writes::Drill;

const DATABASE: &str = "shared";

/// What each node's database held when it was read last, the first node first.
async fn contents(drill: &Drill) -> Vec<DatabaseContents> {
    drill.counted_ledger("node1").await;
    let recorded = drill.recorded();
    let of = |node: &str| {
        let found = recorded.iter().rev().find_map(|what| match what {
            Occurrence::DatabaseRead(read) if read.node == node && read.database == DATABASE => Some(&read.found),
            _ => None,
        });
        match found {
            Some(DatabaseFound::Read(contents)) => contents.clone(),
            other => panic!("{node}: {other:?}"),
        }
    };
    vec![of("node1"), of("node2")]
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_written_and_a_damaged_index_or_a_missing_vector_is_seen() {
    let own = DatabaseSettings { extensions: vec![Extension::Vector], unlogged: false };
    let drill = Drill::with_database(DATABASE, own.clone()).await;
    drill.postgres.sql(&format!("CREATE DATABASE {DATABASE} OWNER pgquake")).await;
    drill.postgres.sql_in(DATABASE, &filled(&own)).await;
    drill.postgres.sql_in(DATABASE, "CREATE EXTENSION pg_buffercache").await;
    drill.load().await.stop().await.unwrap();

    let mut acknowledged = BTreeSet::new();
    for what in drill.recorded() {
        let Occurrence::DatabaseWrite(into) = what else { continue };
        assert!(matches!(into.write.outcome, AttemptOutcome::Acknowledged { .. }), "{into:?}");
        assert!(acknowledged.insert((into.write.client, into.write.sequence)));
    }
    let caught_up = "SELECT 1 FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
    drill.postgres.until("a standby that has replayed everything", caught_up).await;
    for node in contents(&drill).await {
        let (rows, vectors) = (Rows::new(&node.ledger), node.vectors.expect("vectors"));
        assert_eq!(rows.count(), acknowledged.len() as u64);
        assert!(acknowledged.iter().all(|(client, sequence)| rows.contains(*client, *sequence)));
        assert_eq!((Rows::new(&vectors.found), vectors.changed_rows, vectors.index_failed), (rows, 0, None));
        assert!(vectors.answers.iter().all(|answer| answer.by_index.len() == 10 && answer.exact.len() == 10));
    }
    let [first, second] = &contents(&drill).await[..] else { panic!("two nodes") };
    assert_eq!(first.vectors, second.vectors);

    // A page of the standby's index, found only by who reads it from the file.
    let path =
        drill.postgres.sql_in(DATABASE, "SELECT pg_relation_filepath('pgquake.vectors_embedding')").await.remove(0);
    drill.postgres.sql("CHECKPOINT").await;
    drill.postgres.until("a standby that has replayed the checkpoint", caught_up).await;
    let damage =
        format!("dd if=/dev/urandom of=/var/lib/postgresql/standby/{path} bs=8192 seek=1 count=1 conv=notrunc");
    drill.postgres.on_standby(DATABASE, "CHECKPOINT").await;
    drill.postgres.run(&damage).await;
    let forget = "SELECT count(pg_buffercache_evict(bufferid)) FROM pg_buffercache \
                  WHERE relfilenode = pg_relation_filenode('pgquake.vectors_embedding')";
    drill.postgres.on_standby(DATABASE, forget).await;
    let [first, second] = &contents(&drill).await[..] else { panic!("two nodes") };
    let failed = |own: &DatabaseContents| own.vectors.as_ref().and_then(|vectors| vectors.index_failed.clone());
    assert_eq!(failed(first), None);
    assert!(failed(second).is_some_and(|reason| reason.contains("invalid page in block 1")), "{:?}", failed(second));

    drill.postgres.sql_in(DATABASE, "DELETE FROM pgquake.vectors WHERE sequence = 3").await;
    drill
        .postgres
        .sql_in(DATABASE, "UPDATE pgquake.vectors SET embedding = '[0,0,0,0,0,0,0,0]' WHERE sequence = 4")
        .await;
    let [first, _] = &contents(&drill).await[..] else { panic!("two nodes") };
    let vectors = first.vectors.as_ref().expect("vectors");
    assert_eq!(Rows::new(&first.ledger).missing_in(&Rows::new(&vectors.found)), 2, "one of each of two writers");
    assert_eq!(vectors.changed_rows, 2);
}
