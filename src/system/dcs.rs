//! The DCSs of a running system: who leads each, and clients of their members.

use std::time::Duration;

use futures::future::join_all;

use super::System;
use crate::{
    dcs::{self, Client, DcsError, DcsLogin},
    engine::EngineError,
    plan::PlannedDcs,
    services::{Leadership, ServiceKind, service},
    waiting::{NotReady, wait_until},
};

/// How long a member may take to say what it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long the DCS may take to change its leader when it is asked to: an election, at most.
const LEADER_MOVED_WITHIN: Duration = Duration::from_secs(10);

impl System {
    /// The member that leads a DCS, as it reports itself.
    pub async fn dcs_leader(&self, dcs: &PlannedDcs) -> Option<String> {
        let asked = dcs.members.iter().map(|member| async move {
            let mut client = self.dcs_client(dcs, &[member], ANSWER_WITHIN).ok()?;
            client.status().await.ok()?.leads().then(|| member.clone())
        });
        join_all(asked).await.into_iter().flatten().next()
    }

    /// The member that leads a DCS, once one does.
    pub async fn wait_for_dcs_leader(&self, dcs: &PlannedDcs) -> Result<String, NotReady> {
        let kind = dcs.kind.name();
        let look = || async { self.dcs_leader(dcs).await.ok_or_else(|| format!("{kind} has no leader")) };
        wait_until(&format!("a leader of {kind}"), LEADER_MOVED_WITHIN, look).await
    }

    /// Makes a member the leader of its DCS, and waits until it is. Where an election alone chooses, the leader is started again,
    /// as an operator would do it: then another one wins, and of equals the one that the members' numbers favour.
    pub async fn move_dcs_leader(&self, dcs: &PlannedDcs, to: &str) -> Result<(), NotReady> {
        let kind = dcs.kind.name();
        wait_until(&format!("{kind} to be led by {to}"), LEADER_MOVED_WITHIN, || async move {
            let leader = self.dcs_leader(dcs).await.ok_or_else(|| format!("{kind} has no leader"))?;
            if leader == to {
                return Ok(());
            }
            let failed = |error: DcsError| error.to_string();
            if let Some(Leadership::Elected(_)) = service(dcs.kind).dcs().map(|row| row.leadership) {
                self.start_again(&leader, dcs.kind).await.map_err(|error| error.to_string())?;
                return Err(format!("{leader} led, and was started again"));
            }
            let target = self.dcs_client(dcs, &[to], ANSWER_WITHIN)?.status().await.map_err(failed)?;
            let mut leading = self.dcs_client(dcs, &[&leader], ANSWER_WITHIN)?;
            leading.hand_over(&target.own_id).await.map_err(failed)?;
            Err(format!("{leader} was asked to hand over"))
        })
        .await
    }

    /// Has the members of a DCS ask for passwords, if the topology says so. What of that is done already stays.
    pub(super) async fn protect_dcs(&self, dcs: &PlannedDcs, members: &[&str]) -> Result<(), String> {
        if !self.plan().asks_for_passwords(dcs) {
            return Ok(());
        }
        let credentials = &self.access().credentials;
        let login = DcsLogin { password: None, ..self.access().dcs_login(true) };
        let mut client = self.client_with(dcs, members, login, ANSWER_WITHIN)?;
        let protected = client.protect(&credentials.dcs_password, &credentials.dcs_agent_password).await;
        protected.map_err(|error| error.to_string())
    }

    async fn start_again(&self, host: &str, kind: ServiceKind) -> Result<(), EngineError> {
        let Some(service) = self.service(host, kind) else { return Ok(()) };
        self.engine().kill_service(service).await?;
        self.engine().restart_service(service).await
    }

    /// A client of these members of a DCS. Each request may take `answer_within`.
    pub(super) fn dcs_client(
        &self,
        dcs: &PlannedDcs,
        members: &[&str],
        answer_within: Duration,
    ) -> Result<Box<dyn Client>, String> {
        let login = self.access().dcs_login(self.plan().asks_for_passwords(dcs));
        self.client_with(dcs, members, login, answer_within)
    }

    fn client_with(
        &self,
        dcs: &PlannedDcs,
        members: &[&str],
        login: DcsLogin<'_>,
        answer_within: Duration,
    ) -> Result<Box<dyn Client>, String> {
        let no_dcs = || format!("{} is no DCS", dcs.kind.name());
        let port = service(dcs.kind).dcs().ok_or_else(no_dcs)?.client_port;
        let published = |member: &&str| {
            let address = self.access().address(member, port).ok_or_else(|| format!("{member} is not published"))?;
            Ok::<_, String>(((*member).to_owned(), address))
        };
        let members = members.iter().map(published).collect::<Result<Vec<_>, _>>()?;
        dcs::client(dcs.kind, &members, login, answer_within).ok_or_else(no_dcs)
    }
}
