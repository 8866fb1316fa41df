//! Further databases of the system: what writers write there, and how their vectors and the index over them are read.

use std::{fmt::Write, sync::Arc};

use sha2::{Digest, Sha256};
use tokio_postgres::SimpleQueryRow;

use super::{
    attempt::{self, Beside},
    ledger::{CONTENT, LedgerError, cell, explained, hash, ranges},
};
use crate::{
    history::event::{Nearest, Neighbour, Operation, Vectors},
    plan::Plan,
    services::postgresql::databases::Extension,
    system::{
        Session,
        access::{VECTOR_DIMENSIONS, VECTOR_INDEX, VECTOR_TABLE},
        rows,
        session::explain,
    },
};

/// How many vectors a question asks for.
const NEAREST: usize = 10;
/// How many questions are asked, the same on every node.
const QUESTIONS: usize = 20;

/// A scan of the table that compares every vector.
const COMPARE_ALL: &str = "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; \
    SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL max_parallel_workers_per_gather = 0";
/// The index alone: nothing is scanned and sorted in its place.
const ASK_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL enable_sort = off; SET LOCAL enable_indexscan = on";

/// A further database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    pub name: String,
    has_vectors: bool,
}

impl Database {
    /// Those that every cluster of the plan has.
    pub(super) fn all(plan: &Plan) -> Vec<Arc<Database>> {
        let all = plan.topology.settings.postgresql.databases.iter();
        all.map(|(name, own)| Arc::new(Self { name: name.clone(), has_vectors: own.has(Extension::Vector) })).collect()
    }

    /// The statement of a write: its row, and its vector in the same transaction.
    pub(super) fn statement(&self, (client, sequence): (u32, u64)) -> String {
        let write = attempt::statement(Operation::Write, (client, sequence), 0, Beside::default());
        if !self.has_vectors {
            return write;
        }
        let vector = literal(&vector(&hash(client, sequence)));
        format!(
            "WITH vector AS (INSERT INTO {VECTOR_TABLE} (client, sequence, embedding) \
             VALUES ({client}, {sequence}, {vector})) {write}"
        )
    }

    /// What its table of vectors holds, and what its index answers; `None` if it has none.
    pub(super) async fn vectors(&self, session: &Session) -> Result<Option<Vectors>, LedgerError> {
        if !self.has_vectors {
            return Ok(None);
        }
        session.simple_query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        session.simple_query(COMPARE_ALL).await?;
        let (found, changed_rows) = table(session).await?;
        let mut exact = Vec::new();
        for question in questions() {
            exact.push(nearest(session, &question).await?);
        }
        session.simple_query("COMMIT").await?;
        let answered = answers_of_index(session).await;
        // What failed has ended the transaction, and nothing is answered in it any more.
        session.simple_query("ROLLBACK").await?;
        let (by_index, index_failed) = match answered {
            Ok(answers) => (answers, None),
            Err(LedgerError::NotTheIndex { plan }) => (Vec::new(), Some(format!("it is not used: {plan}"))),
            Err(LedgerError::Query(error)) if error.as_db_error().is_some() => (Vec::new(), Some(explain(&error))),
            Err(error) => return Err(error),
        };
        let mut by_index = by_index.into_iter();
        let answers =
            exact.into_iter().map(|exact| Nearest { by_index: by_index.next().unwrap_or_default(), exact }).collect();
        Ok(Some(Vectors { found, changed_rows, answers, index_failed }))
    }
}

/// The writes whose vector is there, and how many vectors are not what their write put there.
async fn table(session: &Session) -> Result<(Vec<crate::history::event::SequenceRange>, u64), LedgerError> {
    let numbers = (0..VECTOR_DIMENSIONS).map(|index| format!("get_byte(hash, {index})")).collect::<Vec<_>>().join(", ");
    let statement = format!(
        "SELECT client, min(sequence), max(sequence), sum(changed) FROM \
           (SELECT *, sequence - row_number() OVER (PARTITION BY client ORDER BY sequence) AS island FROM \
             (SELECT client, sequence, count(*) FILTER (WHERE \
                embedding IS DISTINCT FROM ARRAY[{numbers}]::real[]::vector({VECTOR_DIMENSIONS})) AS changed \
              FROM (SELECT *, sha256(convert_to(client || '/' || sequence || '/' || {CONTENT}, 'UTF8')) AS hash \
                    FROM {VECTOR_TABLE}) AS hashed \
              GROUP BY client, sequence) AS vectors) AS islands \
         GROUP BY client, island"
    );
    let answer = session.simple_query(&statement).await?;
    let mut changed = 0;
    for row in rows(&answer) {
        changed += cell::<u64>(row, 3).ok_or(LedgerError::Answer)?;
    }
    Ok((ranges(&answer)?, changed))
}

/// The index's answer to every question, in a transaction of its own, which the caller ends: a damaged page aborts it.
async fn answers_of_index(session: &Session) -> Result<Vec<Vec<Neighbour>>, LedgerError> {
    session.simple_query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    session.simple_query(ASK_INDEX).await?;
    let mut answers = Vec::new();
    for question in questions() {
        let name = VECTOR_INDEX.rsplit('.').next().unwrap_or(VECTOR_INDEX);
        let plan = explained(session, &nearest_statement(&question)).await?;
        if !plan.contains(&format!("using {name}")) {
            return Err(LedgerError::NotTheIndex { plan });
        }
        answers.push(nearest(session, &question).await?);
    }
    Ok(answers)
}

async fn nearest(session: &Session, question: &[u8]) -> Result<Vec<Neighbour>, LedgerError> {
    let answer = session.simple_query(&nearest_statement(question)).await?;
    let neighbour = |row: &SimpleQueryRow| {
        Some(Neighbour { client: cell(row, 0)?, sequence: cell(row, 1)?, distance: cell(row, 2)? })
    };
    let mut found: Vec<Neighbour> = rows(&answer).map(neighbour).collect::<Option<_>>().ok_or(LedgerError::Answer)?;
    // Of those that are equally near, any may come first.
    found.sort_by(|one, other| {
        one.distance.total_cmp(&other.distance).then((one.client, one.sequence).cmp(&(other.client, other.sequence)))
    });
    Ok(found)
}

fn nearest_statement(question: &[u8]) -> String {
    let asked = literal(question);
    format!(
        "SELECT client, sequence, embedding <-> {asked} FROM {VECTOR_TABLE} ORDER BY embedding <-> {asked} LIMIT {NEAREST}"
    )
}

/// What the index is asked for: the same vectors on every node and in every run.
fn questions() -> impl Iterator<Item = Vec<u8>> {
    (0..QUESTIONS).map(|number| vector(&Sha256::digest(format!("question {number}"))))
}

/// The vector of a write is the beginning of the hash over its row, so that it can be worked out wherever it is found.
fn vector(hash: &[u8]) -> Vec<u8> {
    hash.iter().copied().take(VECTOR_DIMENSIONS).collect()
}

fn literal(vector: &[u8]) -> String {
    let mut text = String::new();
    for number in vector {
        let separator = if text.is_empty() { "'[" } else { "," };
        // Writing to a String can't fail.
        let _ = write!(text, "{separator}{number}");
    }
    text + "]'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_follows_from_its_write_and_is_written_with_its_row() {
        let database = |has_vectors| Database { name: "shared".to_owned(), has_vectors };
        let with = database(true).statement((7, 12));
        let plain = database(false).statement((7, 12));
        assert!(plain.starts_with("INSERT INTO pgquake.ledger"), "{plain}");
        assert!(with.starts_with("WITH vector AS (INSERT INTO pgquake.vectors"), "{with}");
        assert!(with.ends_with(&plain), "{with}");
        assert!(with.contains(&literal(&vector(&hash(7, 12)))), "{with}");
        assert_eq!(literal(&[1, 20, 255]), "'[1,20,255]'");
        assert_eq!(questions().count(), QUESTIONS);
        assert!(questions().all(|question| question.len() == VECTOR_DIMENSIONS));
    }
}
