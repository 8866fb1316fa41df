//! Without which checks a trial proves nothing, neither for a claim nor against it.

use crate::checks::{faults_took_effect, harness_was_sound, load_was_real};

const SOUND: &[&str] = &[faults_took_effect::CHECK.name, harness_was_sound::CHECK.name, load_was_real::CHECK.name];

/// Whether a trial proves nothing where this check could not decide.
pub(super) fn decides(check: &str) -> bool {
    SOUND.contains(&check)
}
