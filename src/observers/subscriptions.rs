//! Subscriptions, as their subscribers show them: whether a worker runs, and how far it has received and applied.

use std::time::Duration;

use tokio_postgres::SimpleQueryRow;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every, kept_session::KeptSession};
use crate::{
    history::{Occurrence, Recorder, event::SubscriptionState},
    services::subscriber::SUBSCRIBER_PORT,
    system::rows,
    topology::Subscription,
};

pub(super) const OBSERVER: Observer = Observer {
    name: "subscriptions",
    watches: "each subscription at its subscriber: its worker, and how far it has received and applied, five times a second",
    watch,
};

const PERIOD: Duration = Duration::from_millis(200);
/// What did not change is recorded anew after this time.
const REPEATED_AFTER: u32 = 5;

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_one = |own: &Subscription| {
        let address = scene.address(OBSERVER.name, &own.host, SUBSCRIBER_PORT)?;
        let eye = Eye { subscription: own.name.clone(), session: KeptSession::new(address, scene.access.login()) };
        Ok(Watch::new(&own.name, eye.watch(scene.recorder.clone())))
    };
    scene.plan.topology.subscriptions.iter().map(watch_one).collect()
}

struct Eye {
    subscription: String,
    session: KeptSession,
}

impl Eye {
    async fn watch(mut self, recorder: Recorder) -> String {
        let mut pulse = Pulse::new(OBSERVER.name, &self.subscription, &recorder);
        let mut due = every(PERIOD);
        let mut last: Option<SubscriptionState> = None;
        let mut repeats = 0;
        loop {
            due.tick().await;
            let unreachable = || SubscriptionState { subscription: self.subscription.clone(), ..Default::default() };
            let unseen = unreachable();
            let state = self.look().await.unwrap_or(unseen);
            repeats += 1;
            if repeats >= REPEATED_AFTER || last.as_ref() != Some(&state) {
                recorder.record(Occurrence::SubscriptionState(state.clone()));
                (last, repeats) = (Some(state), 0);
            }
            pulse.beat();
        }
    }

    /// What the subscriber shows, if it answered.
    async fn look(&mut self) -> Option<SubscriptionState> {
        let answers = self.session.ask(&[&statement(&self.subscription)]).await?;
        rows(answers.first()?).next().map(|row| state(&self.subscription, row))
    }
}

/// The worker that applies is the one without a table of its own. What it has applied, its replication origin knows.
fn statement(subscription: &str) -> String {
    format!(
        "SELECT pid IS NOT NULL, pg_replication_origin_progress('pg_' || subid, false) - '0/0'::pg_lsn, \
         received_lsn - '0/0'::pg_lsn, \
         (SELECT apply_error_count FROM pg_stat_subscription_stats AS errors WHERE errors.subid = worker.subid) \
         FROM pg_stat_subscription AS worker WHERE subname = '{subscription}' AND relid IS NULL"
    )
}

fn state(subscription: &str, row: &SimpleQueryRow) -> SubscriptionState {
    let cell = |index| row.try_get(index).ok().flatten();
    let number = |index: usize| cell(index).and_then(|text| text.parse::<u64>().ok());
    SubscriptionState {
        subscription: subscription.to_owned(),
        reachable: true,
        worker: cell(0) == Some("t"),
        applied_lsn: number(1).filter(|lsn| *lsn > 0),
        received_lsn: number(2),
        apply_errors: number(3).unwrap_or_default(),
    }
}
