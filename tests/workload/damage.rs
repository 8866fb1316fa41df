//! What goes wrong within a ledger is seen in a real PostgreSQL, and what is right is not taken for wrong.

use pgquake::history::event::LedgerCounts;

use crate::writes::Drill;

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_changed_are_there_twice_or_are_not_in_the_index_are_counted() {
    let drill = Drill::start(false).await;
    drill.load().await.stop().await.unwrap();
    let (writes, counts) = drill.counted_ledger("node1").await;
    let rows = writes.len() as u64;
    assert_eq!(counts, LedgerCounts { rows, ..LedgerCounts::default() });

    // A content that changed, and one that was replaced together with its hash.
    let first = "(client, sequence) = (SELECT client, min(sequence) FROM pgquake.ledger GROUP BY client LIMIT 1)";
    drill.postgres.sql(&format!("UPDATE pgquake.ledger SET content = content || '!' WHERE {first}")).await;
    let replaced = "UPDATE pgquake.ledger SET content = 'other', \
        payload = sha256(convert_to(client || '/' || sequence || '/other', 'UTF8')) \
        WHERE (client, sequence) = (SELECT client, max(sequence) FROM pgquake.ledger GROUP BY client LIMIT 1)";
    drill.postgres.sql(replaced).await;
    let (_, counts) = drill.counted_ledger("node1").await;
    assert_eq!(counts, LedgerCounts { rows, changed_rows: 2, ..LedgerCounts::default() });

    // While the index is marked as not ready, rows come into the table alone.
    let ready =
        |ready| format!("UPDATE pg_index SET indisready = {ready} WHERE indexrelid = 'pgquake.ledger_pkey'::regclass");
    drill.postgres.sql(&ready(false)).await;
    let copy =
        "INSERT INTO pgquake.ledger SELECT client, sequence + 1000000, content, payload FROM pgquake.ledger LIMIT 1";
    drill.postgres.sql(copy).await;
    drill.postgres.sql(&ready(true)).await;
    let (writes, counts) = drill.counted_ledger("node1").await;
    assert_eq!((writes.len() as u64, counts.rows, counts.missing_in_index), (rows + 1, rows + 1, 1));

    drill.postgres.sql("ALTER TABLE pgquake.ledger DROP CONSTRAINT ledger_pkey").await;
    drill.postgres.sql("INSERT INTO pgquake.ledger SELECT * FROM pgquake.ledger LIMIT 3").await;
    let (writes, counts) = drill.counted_ledger("node1").await;
    assert_eq!((writes.len() as u64, counts.rows), (rows + 1, rows + 4));
    assert_eq!(counts.missing_in_index, rows + 1, "without an index none of the rows is in it");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_table_has_lost_are_missing_though_the_index_answers_for_them() {
    let drill = Drill::start(false).await;
    drill.load().await.stop().await.unwrap();
    let (before, _) = drill.counted_ledger("node1").await;
    // An index answers alone for pages of which every row is visible to all.
    drill.postgres.sql("VACUUM pgquake.ledger").await;
    drill.postgres.sql("CREATE EXTENSION pg_buffercache").await;
    drill.postgres.sql("CHECKPOINT").await;
    let forget = "SELECT count(pg_buffercache_evict(bufferid)) FROM pg_buffercache \
                  WHERE relfilenode = pg_relation_filenode('pgquake.ledger') AND relforknumber = 0";
    drill.postgres.sql(forget).await;
    let path = drill.postgres.sql("SELECT pg_relation_filepath('pgquake.ledger')").await.remove(0);
    let zeroes = format!(
        "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; \
         dd if=/dev/zero of=/var/lib/postgresql/data/{path} bs=8192 count=1 conv=notrunc 2> /dev/null'"
    );
    drill.postgres.sql(&zeroes).await;
    drill.postgres.sql(forget).await;
    let (after, counts) = drill.counted_ledger("node1").await;
    let gone = before.difference(&after).count() as u64;
    assert!(gone > 0 && after.is_subset(&before), "{} rows before, {} after", before.len(), after.len());
    assert_eq!((counts.missing_in_table, counts.missing_in_index), (gone, 0));
}
