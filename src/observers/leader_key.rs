//! Patroni's leader key, as each etcd member tells it.

use std::{net::SocketAddr, time::Duration};

use etcd_client::{Client, ConnectOptions, EventType, GetOptions, KeyValue, WatchOptions, WatchResponse};
use tokio::time::timeout;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    history::{Occurrence, Recorder},
    services::{etcd, patroni::SCOPE},
    topology::ServiceKind,
};

pub(super) const OBSERVER: Observer =
    Observer { name: "leader_key", watches: "the leader key's changes, on each etcd member by itself", watch };

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The time between two attempts to watch again.
const RETRY: Duration = Duration::from_millis(250);
/// A connection on which nothing answers for this long (a host that died silently) is given up.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_member = |member: &str| {
        let address = scene.address(OBSERVER.name, member, etcd::CLIENT_PORT)?;
        let pulse = Pulse::new(OBSERVER.name, member, scene.recorder);
        let eye = Eye {
            member: member.to_owned(),
            address,
            key: format!("/service/{SCOPE}/leader"),
            recorder: scene.recorder.clone(),
            told: Told::default(),
        };
        Ok(Watch::new(member, async {
            tokio::select! {
                reason = eye.watch() => reason,
                reason = pulse.beat_on() => reason,
            }
        }))
    };
    scene.plan.hosts_with(ServiceKind::Etcd).map(watch_member).collect()
}

struct Eye {
    member: String,
    address: SocketAddr,
    key: String,
    recorder: Recorder,
    told: Told,
}

/// What was recorded last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// The holder, or that there was none. `None`: nothing was recorded yet.
    holder: Option<Option<String>>,
    /// The revision up to which changes are known.
    revision: i64,
}

/// Why a watch ended, and how to go on.
#[derive(Debug)]
enum Ended {
    /// The connection is gone. The next watch goes on at the next revision, so nothing is missed.
    Broken,
    /// Revisions in between were compacted: the state must be read again.
    Compacted,
}

impl From<etcd_client::Error> for Ended {
    fn from(_: etcd_client::Error) -> Self {
        Ended::Broken
    }
}

impl From<tokio::time::error::Elapsed> for Ended {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Ended::Broken
    }
}

impl Eye {
    async fn watch(mut self) -> String {
        let mut due = every(RETRY);
        let mut must_read = true;
        loop {
            due.tick().await;
            match self.follow(&mut must_read).await {
                Ended::Broken => {}
                Ended::Compacted => must_read = true,
            }
        }
    }

    /// Watches on one connection until it ends.
    async fn follow(&mut self, must_read: &mut bool) -> Ended {
        match self.try_follow(must_read).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_follow(&mut self, must_read: &mut bool) -> Result<std::convert::Infallible, Ended> {
        let options = ConnectOptions::new()
            .with_connect_timeout(TIMEOUT)
            .with_keep_alive(PING_EVERY, PING_TIMEOUT)
            .with_keep_alive_while_idle(true);
        let mut client =
            timeout(TIMEOUT, Client::connect([format!("http://{}", self.address)], Some(options))).await??;
        // Serializable: what this member itself knows, also when it is cut off from the others.
        let here = GetOptions::new().with_serializable();
        let read = timeout(TIMEOUT, client.get(self.key.as_str(), Some(here))).await??;
        let revision = read.header().map_or(0, etcd_client::ResponseHeader::revision);
        // A member whose revision went back has lost its data: nothing of what was known holds for it.
        if *must_read || revision < self.told.revision {
            self.tell_state(read.kvs().first(), revision);
            *must_read = false;
        }
        let from = WatchOptions::new().with_start_revision(self.told.revision + 1);
        let mut changes = timeout(TIMEOUT, client.watch(self.key.as_str(), Some(from))).await??;
        while let Some(response) = changes.message().await? {
            self.tell_changes(&response)?;
        }
        Err(Ended::Broken)
    }

    /// Records the state as it was found.
    fn tell_state(&mut self, found: Option<&KeyValue>, revision: i64) {
        let holder = found.map(|pair| String::from_utf8_lossy(pair.value()).into_owned());
        let since = found.map_or(revision, KeyValue::mod_revision);
        self.tell(holder, since, true);
        self.told.revision = revision;
    }

    fn tell_changes(&mut self, response: &WatchResponse) -> Result<(), Ended> {
        for event in response.events() {
            let Some(pair) = event.kv() else { continue };
            let holder = match event.event_type() {
                EventType::Put => Some(String::from_utf8_lossy(pair.value()).into_owned()),
                EventType::Delete => None,
            };
            self.tell(holder, pair.mod_revision(), false);
        }
        if response.canceled() {
            return Err(if response.compact_revision() > 0 { Ended::Compacted } else { Ended::Broken });
        }
        Ok(())
    }

    /// Records a holder unless it is the one recorded last: Patroni may write the key again without a change.
    fn tell(&mut self, holder: Option<String>, revision: i64, initial: bool) {
        if self.told.holder.as_ref() != Some(&holder) {
            let member = self.member.clone();
            let holder = holder.clone();
            self.recorder.record(Occurrence::LeaderKey { member, holder, revision, initial, cluster: None });
        }
        self.told = Told { holder: Some(holder), revision };
    }
}
