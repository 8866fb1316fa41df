//! Live progress: what happens, as the history records it. On a terminal with a line that moves, elsewhere as plain
//! lines.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};

use crate::{
    engine::images::{ImageProgress, Stage},
    history::{
        Event, Occurrence, Recorder,
        event::{Attempt, AttemptOutcome, ClientKind, CommandRun, Milestone},
    },
};

/// Follows a history and prints it on standard error.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    acknowledged: u64,
    failed: u64,
    fault_us: Option<u64>,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = ProgressBar::with_draw_target(
            None,
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        if terminal {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, state: Arc::default() }
    }

    /// Prints a line that stays.
    pub(super) fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Tells of image builds: their beginning, their steps on the moving line, their end.
    pub(super) fn image(&self, progress: &ImageProgress) {
        match progress.stage {
            Stage::Building { step: 0, .. } => self.say(&format!("image {}: {}", progress.image, progress.line)),
            Stage::Building { step, steps } => {
                self.bar.set_message(format!("image {} {step}/{steps}: {}", progress.image, progress.line));
            }
            Stage::Ready { built: true } => self.say(&format!("image {}: built", progress.image)),
            Stage::Ready { built: false } => {}
            _ => self.bar.set_message(format!("image {}: {}", progress.image, progress.line)),
        }
    }

    /// Follows the history until the recorder is gone or the task is aborted.
    pub(super) fn follow(&self, recorder: &Recorder) -> JoinHandle<()> {
        let mut events = recorder.listen();
        let progress = self.clone();
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => progress.tell(&event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        })
    }

    /// Ends the moving line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn tell(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Occurrence::Attempt(attempt) = &event.what {
            state.count(attempt);
            if !self.bar.is_hidden() {
                self.bar.set_message(state.line(event.at_us));
            }
            return;
        }
        if let Occurrence::FaultConfirmed { effect_to_us, .. } = &event.what {
            state.fault_us.get_or_insert(*effect_to_us);
        }
        if matches!(event.what, Occurrence::ScenarioStarted(_)) {
            *state = State::default();
        }
        let since_fault = state.fault_us.map(|fault_us| event.at_us.saturating_sub(fault_us));
        if let Some(text) = words(&event.what) {
            let at = since_fault.map_or(String::new(), |us| format!(" fault{:+.1}s", us as f64 / 1e6));
            self.say(&format!("[{:>2}] {:7.1}s{at:<13} {text}", event.scenario, event.at_us as f64 / 1e6));
        }
    }
}

impl State {
    fn count(&mut self, attempt: &Attempt) {
        if attempt.client_kind == ClientKind::Fresh && attempt.endpoint == "write" {
            match attempt.outcome {
                AttemptOutcome::Acknowledged { .. } => self.acknowledged += 1,
                _ => self.failed += 1,
            }
        }
    }

    fn line(&self, at_us: u64) -> String {
        let since = self.fault_us.map_or(String::new(), |fault_us| {
            format!(" · {:.1} s since the fault", at_us.saturating_sub(fault_us) as f64 / 1e6)
        });
        format!("probes: {} written, {} failed{since}", self.acknowledged, self.failed)
    }
}

/// What a person wants to know of an event as it happens; `None` for all else.
fn words(what: &Occurrence) -> Option<String> {
    Some(match what {
        Occurrence::ScenarioStarted(started) if started.trials > 1 => {
            format!("{} (trial {} of {})", started.name, started.trial, started.trials)
        }
        Occurrence::ScenarioStarted(started) => started.name.clone(),
        Occurrence::ClusterReady { startup_ms } => format!("system ready in {:.1} s", *startup_ms as f64 / 1e3),
        Occurrence::Reached { milestone } => match milestone {
            Milestone::SteadyState => "steady: every client writes".to_owned(),
            Milestone::Recovered => "recovered: clients write again".to_owned(),
            Milestone::Rejoined => "rejoined: every node follows the primary".to_owned(),
            Milestone::LoadStopped => "load stopped; counting what is left".to_owned(),
        },
        Occurrence::FaultConfirmed { evidence, .. } => format!("fault confirmed: {evidence}"),
        Occurrence::FaultChanged { evidence, .. } => format!("fault changed: {evidence}"),
        Occurrence::FaultSuspended { reason, .. } => format!("fault suspended: {reason}"),
        Occurrence::FaultResumed { evidence, .. } => format!("fault put back: {evidence}"),
        Occurrence::FaultUnconfirmed { reason, .. } => format!("FAULT NOT CONFIRMED: {reason}"),
        Occurrence::FaultHealed { evidence, .. } => format!("fault healed: {evidence}"),
        Occurrence::CommandRun(CommandRun { node, command, status, .. }) => {
            let ended = status.map_or("could not be run".to_owned(), |status| format!("ended with status {status}"));
            format!("`{command}` on {node} {ended}")
        }
        Occurrence::GroundLost { reason } => format!("GROUND LOST: {reason}"),
        Occurrence::StepFailed { text, message, .. } => format!("STEP FAILED: {text}: {message}"),
        Occurrence::DcsLeader { member, dcs, .. } => {
            let whose = dcs.as_ref().map(|dcs| format!(" of {dcs}")).unwrap_or_default();
            format!("DCS leader{whose}: {}", member.as_deref().unwrap_or("none"))
        }
        Occurrence::NameAnswer { name, hosts: Some(hosts) } => format!("{name} leads to {}", hosts.join(", ")),
        Occurrence::NameAnswer { name, hosts: None } => format!("nobody answers for {name}"),
        Occurrence::TimelineSwitch { node, timeline, .. } => format!("{node} is on timeline {timeline}"),
        Occurrence::ClusterRemoved { removal_ms } => format!("cleared away in {:.1} s", *removal_ms as f64 / 1e3),
        Occurrence::ObserverLost { observer, target, reason } => {
            format!("OBSERVER LOST: {observer} of {target}: {reason}")
        }
        _ => return None,
    })
}
