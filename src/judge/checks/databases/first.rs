//! The first database among those that must fail over together. Of its rows that nobody wrote, the check `data_loss` tells.

use super::{Judged, damage, differing_rows, explains};
use crate::{
    checks::course::{ledgers::Ledgers, record::Tried},
    history::{
        event::{AttemptOutcome, SequenceRange},
        rows::Rows,
    },
};

/// What it lost, what is wrong with its rows, and in what nodes differ.
pub fn judge(writes: &[Tried<'_>], ledgers: &Ledgers<'_>, took_over: bool) -> Judged {
    let acknowledged = rows_of(writes, |tried| tried.acknowledged());
    let mut judged = Judged {
        acknowledged: acknowledged.count(),
        doubts: ledgers.doubts.clone(),
        evidence: ledgers.evidence().collect(),
        ..Judged::default()
    };
    if acknowledged.count() == 0 {
        judged.doubts.push("no write was acknowledged there, so none could be lost".to_owned());
    }
    let refused = rows_of(writes, |tried| matches!(tried.attempt.outcome, AttemptOutcome::Refused { .. }));
    for (node, ledger) in ledgers.waited_for() {
        judged.harms.extend(damage((node, &ledger.rows), &refused, ledger.repeated_rows, ledger.counts));
    }
    let Some((primary, kept)) = ledgers.primary.and_then(|primary| Some((primary, ledgers.read.get(primary)?))) else {
        return judged;
    };
    let wrote = |tried: &Tried<'_>| tried.answered_by() == Some((primary, kept.timeline));
    if took_over && acknowledged.count() > 0 && !writes.iter().any(wrote) {
        judged.doubts.push(format!("{primary}, which was primary in the end, acknowledged no write there"));
    }
    judged.lost = acknowledged.missing_in(&kept.rows);
    let unanswered = rows_of(writes, |tried| matches!(tried.attempt.outcome, AttemptOutcome::Unknown { .. }));
    for (node, ledger) in ledgers.others() {
        let different = differing_rows((node, &ledger.rows), (primary, &kept.rows));
        if ledger.had_replayed(kept) && !explains(&unanswered, &ledger.rows, &kept.rows) {
            judged.harms.extend(different);
        } else {
            let open = "which may be what it had yet to replay, or writes without an answer";
            judged.doubts.extend(different.into_iter().map(|different| format!("{different}, {open}")));
        }
    }
    judged
}

fn rows_of(writes: &[Tried<'_>], is: impl Fn(&Tried<'_>) -> bool) -> Rows {
    let own = writes.iter().filter(|tried| is(tried)).map(|tried| {
        let (client, sequence) = (tried.attempt.client, tried.attempt.sequence);
        SequenceRange { client, from: sequence, to: sequence }
    });
    Rows::new(&own.collect::<Vec<_>>())
}
