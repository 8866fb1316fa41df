//! The verdict on trials while their run goes on: by the run's own history, as far as it has been written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::PoisonError,
};

use super::schedule::Verdicts;
use crate::{
    claims::Claims,
    history::Event,
    plan::Plan,
    verdict::{Judge, ScenarioVerdict},
};

/// Judges each trial when it has ended, by the same functions and the same file as the whole run afterwards.
pub(super) struct UnderWay {
    history: PathBuf,
    /// How much of the history has been read, in bytes: whole lines.
    read_to: u64,
    judge: Judge<'static>,
}

impl UnderWay {
    /// The verdicts are put into `verdicts`.
    pub(super) fn new(history: &Path, claims: Claims, verdicts: Verdicts) -> Self {
        let shown = move |verdict: &ScenarioVerdict, _: &[Event]| {
            let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            verdicts.insert(verdict.number, verdict.clone());
        };
        Self { history: history.to_owned(), read_to: 0, judge: Judge::of_a_run_under_way(claims, shown) }
    }

    /// Reads what has been written since, and judges the trials that ended in it. `plans` are those of all that have begun.
    pub(super) fn catch_up(&mut self, plans: BTreeMap<u32, Plan>) -> std::io::Result<()> {
        plans.into_iter().for_each(|(number, plan)| self.judge.learn(number, plan));
        let mut file = File::open(&self.history)?;
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // Another trial may be in the middle of its line.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // What can't be read is named by the verdict on the whole run.
            if let Ok(event) = serde_json::from_slice::<Event>(line) {
                self.judge.take(event);
            }
        }
        self.read_to += whole as u64;
        Ok(())
    }
}
