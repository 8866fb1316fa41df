//! Poolers: how many clients they have, how many of them wait, and where their sessions with PostgreSQL lead.

use std::{collections::BTreeMap, time::Duration};

use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::{Observer, ObserverError, Pulse, Scene, Watch, every, kept_session::KeptSession};
use crate::{
    history::{Occurrence, Recorder, event::PoolState},
    plan::PlannedPooler,
    services::pgbouncer::ADMIN_DATABASE,
    system::{
        access::{CLIENT_ROLE, DATABASE},
        rows,
    },
};

pub(super) const OBSERVER: Observer = Observer {
    name: "pools",
    watches: "each PgBouncer's pools and sessions (SHOW POOLS, SHOW SERVERS), and where pools of a role lead (SHOW DATABASES), five times a second",
    watch,
};

const PERIOD: Duration = Duration::from_millis(200);
/// What did not change is recorded anew after this time.
const REPEATED_AFTER: u32 = 5;

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_one = |pooler: PlannedPooler<'_>| {
        let address = scene.address(OBSERVER.name, pooler.host, pooler.port)?;
        let eye = Eye {
            pooler: pooler.called.to_owned(),
            is_of_a_role: pooler.leads_to.is_some(),
            session: KeptSession::new(address, scene.access.login()).with_database(ADMIN_DATABASE),
        };
        Ok(Watch::new(pooler.called, eye.watch(scene.recorder.clone())))
    };
    scene.plan.poolers().map(watch_one).collect()
}

struct Eye {
    pooler: String,
    /// Whether it leads to the nodes of a role.
    is_of_a_role: bool,
    session: KeptSession,
}

impl Eye {
    async fn watch(mut self, recorder: Recorder) -> String {
        let mut pulse = Pulse::new(OBSERVER.name, &self.pooler, &recorder);
        let mut due = every(PERIOD);
        let mut last: Option<PoolState> = None;
        let mut repeats = 0;
        loop {
            due.tick().await;
            let seen = self.look().await;
            let state = seen.unwrap_or_else(|| PoolState { pooler: self.pooler.clone(), ..PoolState::default() });
            repeats += 1;
            if repeats >= REPEATED_AFTER || last.as_ref() != Some(&state) {
                recorder.record(Occurrence::PoolState(state.clone()));
                (last, repeats) = (Some(state), 0);
            }
            pulse.beat();
        }
    }

    /// What the pooler shows, if it answered.
    async fn look(&mut self) -> Option<PoolState> {
        let statements = ["SHOW POOLS", "SHOW SERVERS", "SHOW DATABASES"];
        let wanted = if self.is_of_a_role { &statements[..] } else { &statements[..2] };
        let answers = self.session.ask(wanted).await?;
        let [pools, servers, databases @ ..] = answers.as_slice() else { return None };
        let leads_to = databases.iter().flat_map(|own| leads_to(own)).collect();
        Some(PoolState { leads_to, ..state(&self.pooler, pools, servers) })
    }
}

/// The columns of PgBouncer 1.24 that count, by their names. Those of its own console's pool are left out.
fn state(pooler: &str, pools: &[SimpleQueryMessage], servers: &[SimpleQueryMessage]) -> PoolState {
    let mut state = PoolState { pooler: pooler.to_owned(), reachable: true, ..PoolState::default() };
    let is_own = |row: &&SimpleQueryRow| text(row, "user") == CLIENT_ROLE && text(row, "database") != ADMIN_DATABASE;
    for pool in rows(pools).filter(is_own) {
        state.active_clients += number(pool, "cl_active");
        state.waiting_clients += number(pool, "cl_waiting");
        let wait_us = u64::from(number(pool, "maxwait")) * 1_000_000 + u64::from(number(pool, "maxwait_us"));
        state.longest_wait_us = state.longest_wait_us.max(wait_us);
    }
    let mut sessions: BTreeMap<String, u32> = BTreeMap::new();
    for server in rows(servers).filter(is_own) {
        *sessions.entry(format!("{}:{}", text(server, "addr"), text(server, "port"))).or_default() += 1;
    }
    PoolState { sessions, ..state }
}

/// The hosts that the clients' database stands at.
fn leads_to(databases: &[SimpleQueryMessage]) -> Vec<String> {
    let own = rows(databases).find(|row| text(row, "name") == DATABASE);
    let hosts = own.iter().flat_map(|row| text(row, "host").split(','));
    hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

fn text<'a>(row: &'a SimpleQueryRow, column: &str) -> &'a str {
    row.try_get(column).ok().flatten().unwrap_or_default()
}

fn number(row: &SimpleQueryRow, column: &str) -> u32 {
    text(row, column).parse().unwrap_or_default()
}
