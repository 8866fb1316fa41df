//! `connections_exhausted`: PostgreSQL has no connection left to give.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Process, Takes, hosts},
    plan::Plan,
    system::{Session, System},
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "connections_exhausted",
    effect: "idle sessions of one client are opened on the node until PostgreSQL refuses more, and kept; one that others \
             give back is taken too",
    confirmed_by: "PostgreSQL refuses five new sessions in a row with SQLSTATE 53300; healed when it takes one and those \
                   that were held are gone",
    limits: "the target must be a PostgreSQL node; superusers still get in, by the connections reserved for them",
    parameters: &[Parameter::with_default("at_most", Takes::Number, "2000", "never more sessions than this")],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// PostgreSQL's SQLSTATE `too_many_connections`.
const TOO_MANY: &str = "53300";
/// Sessions that are opened at a time: the postmaster forks a process for each.
const AT_ONCE: usize = 16;
/// What the sessions call themselves.
const CROWD: &str = "pgquake crowd";
/// This many refusals in a row are the proof.
const REFUSALS: u32 = 5;
/// How long to wait for somebody to give a connection back.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// No `max_connections` is greater.
const MOST_SESSIONS: f64 = 262_143.0;

struct ConnectionsExhausted {
    node: String,
    service: ServiceKind,
    at_most: usize,
    held: Arc<AtomicUsize>,
    /// Hold the sessions; they are closed with it.
    holders: Vec<JoinHandle<()>>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (node, service) = hosts::node(KIND.name, plan, aim)?;
    let at_most = aim.parameters.number("at_most").unwrap_or_default();
    if at_most < 1.0 {
        return Err(aim.refuse(KIND.name, "it must be allowed to open a session"));
    }
    if at_most.fract() != 0.0 || at_most > MOST_SESSIONS {
        return Err(aim.refuse(KIND.name, format!("at_most is a whole number, and at most {MOST_SESSIONS}")));
    }
    let (at_most, held) = (at_most as usize, Arc::default());
    Ok(Box::new(ConnectionsExhausted { node, service, at_most, held, holders: Vec::new() }))
}

impl Drop for ConnectionsExhausted {
    fn drop(&mut self) {
        self.holders.iter().for_each(JoinHandle::abort);
    }
}

/// Opens sessions and keeps them until it is aborted.
async fn take_sessions(system: System, node: String, at_most: usize, held: Arc<AtomicUsize>) {
    let mut sessions: Vec<Session> = Vec::new();
    loop {
        // A server that was started anew has ended those that it had.
        let before = sessions.len();
        sessions.retain(|session| session.ended().is_none());
        held.fetch_sub(before - sessions.len(), Ordering::Relaxed);
        if held.load(Ordering::Relaxed) < at_most
            && let Ok(session) = system.session(&node, CROWD).await
        {
            held.fetch_add(1, Ordering::Relaxed);
            sessions.push(session);
            continue;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

#[async_trait]
impl Fault for ConnectionsExhausted {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), self.service.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Process(self.node.clone(), Process::POSTMASTER)]
    }

    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let take = |_| {
            let sessions = take_sessions(system.clone(), self.node.clone(), self.at_most, self.held.clone());
            tokio::spawn(sessions)
        };
        self.held.store(0, Ordering::Relaxed);
        self.holders = (0..AT_ONCE).map(take).collect();
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        // A single refusal proves little while sessions are still being opened: one of those may fail and make room.
        for _ in 0..REFUSALS {
            let held = self.held.load(Ordering::Relaxed);
            match system.refuses_sessions(&self.node).await.as_deref() {
                Some(TOO_MANY) => tokio::time::sleep(AGAIN_AFTER).await,
                Some(other) => return Err(format!("{} refuses sessions with {other}", self.node)),
                None => return Err(format!("{} takes sessions; {held} are held", self.node)),
            }
        }
        let held = self.held.load(Ordering::Relaxed);
        Ok(format!("{} refused {REFUSALS} sessions in a row ({TOO_MANY}); {held} are held", self.node))
    }

    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        for holder in self.holders.drain(..) {
            holder.abort();
            // Its sessions are closed when it has ended.
            drop(holder.await);
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        // The server notices only after a while that a client has gone.
        let left = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{CROWD}'");
        match system.sql_value(&self.node, &left).await?.as_str() {
            "0" => Ok(format!("{} takes sessions, and has none of the crowd", self.node)),
            left => Err(format!("{} still has {left} sessions of the crowd", self.node)),
        }
    }
}
