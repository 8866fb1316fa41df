//! Vectors and the answers of the index over them.
//!
//! Each write puts its vector there in its own transaction, so on every node the vectors are those of the ledger's rows. What is
//! nearest to a vector is asked of the index and of the table, by the same questions on every node. An HNSW index need not find
//! all that is truly nearest, and what it finds depends on how it was built; but a standby's is the primary's own, page by page,
//! so that both must find the same.

use super::counted;
use crate::history::{
    event::{DatabaseContents, Nearest, Vectors},
    rows::Rows,
};

/// What a node's table of vectors and its index showed.
pub(super) struct Compared<'a>(pub &'a Vectors);

impl Compared<'_> {
    /// What is wrong on a node by itself, where its ledger has these rows.
    pub(super) fn harms_within(&self, node: &str, ledger: &Rows) -> Vec<String> {
        let found = Rows::new(&self.0.found);
        let wrong = [
            (ledger.missing_in(&found), "row", "without a vector"),
            (found.missing_in(ledger), "vector", "without a row"),
            (self.0.changed_rows, "vector", "other than written"),
        ];
        let mut harms: Vec<String> = wrong
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, of, what)| format!("{node} has {} {what}", counted(count, of)))
            .collect();
        let empty = |answer: &&Nearest| answer.by_index.is_empty() && !answer.exact.is_empty();
        match (&self.0.index_failed, self.0.answers.iter().filter(empty).count()) {
            (None, 0) | (Some(_), _) => {}
            (None, count) => harms.push(format!(
                "the index over the vectors on {node} found nothing for {}",
                counted(count as u64, "question")
            )),
        }
        if let Some(reason) = &self.0.index_failed {
            harms.push(format!("the index over the vectors on {node} gave no answer: {reason}"));
        }
        harms
    }

    /// In what the answers differ from those of the final primary.
    pub(super) fn differs(&self, node: &str, primary: &str, reference: &Vectors) -> Option<String> {
        // That an index gave no answer is a harm by itself.
        if self.0.index_failed.is_some() || reference.index_failed.is_some() {
            return None;
        }
        let (own, theirs) = (&self.0.answers, &reference.answers);
        let most = own.len().max(theirs.len());
        let by_index = |all: &[Nearest], number: usize| all.get(number).map(|answer| answer.by_index.clone());
        let others = (0..most).filter(|number| by_index(own, *number) != by_index(theirs, *number)).count();
        (others > 0).then(|| {
            format!("the index on {node} answers {others} of {most} questions otherwise than that on {primary}")
        })
    }

    /// The least share of the truly nearest vectors that the index found on any node, in percent. Of vectors that are equally
    /// near, any is one of the nearest.
    pub(super) fn recall_percent<'c>(read: impl Iterator<Item = &'c DatabaseContents>) -> Option<f64> {
        let of_node = |contents: &'c DatabaseContents| {
            let vectors = contents.vectors.as_ref().filter(|vectors| vectors.index_failed.is_none())?;
            let (mut found, mut wanted) = (0, 0);
            for Nearest { by_index, exact } in &vectors.answers {
                let Some(farthest) = exact.iter().map(|neighbour| neighbour.distance).reduce(f64::max) else {
                    continue;
                };
                wanted += exact.len();
                let near = by_index.iter().filter(|neighbour| neighbour.distance <= farthest).count();
                found += near.min(exact.len());
            }
            (wanted > 0).then(|| 100.0 * found as f64 / wanted as f64)
        };
        read.filter_map(of_node).reduce(f64::min)
    }
}
