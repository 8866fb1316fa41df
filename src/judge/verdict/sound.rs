//! Without which checks a trial proves nothing, neither for a claim nor against it.

use crate::checks::{data_loss, faults_took_effect, harness_was_sound, load_was_real, single_writer, timelines};

const SOUND: &[&str] = &[faults_took_effect::CHECK.name, harness_was_sound::CHECK.name, load_was_real::CHECK.name];

/// What must hold in every trial, whatever the run sets out to prove: that no data is lost and no history splits.
const SAFETY: &[&str] = &[data_loss::CHECK.name, single_writer::CHECK.name, timelines::CHECK.name];

/// Whether a check is about safety.
pub(super) fn is_of_safety(check: &str) -> bool {
    SAFETY.contains(&check)
}

/// Whether a trial proves nothing where this check could not decide.
pub(super) fn decides(check: &str) -> bool {
    SOUND.contains(&check)
}
