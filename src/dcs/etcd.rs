//! etcd, by its gRPC API, version 3.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;
use etcd_client::{
    Certificate, Client as Connection, ConnectOptions, EventType, GetOptions, Identity, KeyValue, Permission,
    ResponseHeader, TlsOptions, WatchOptions, WatchResponse, WatchStream,
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::{Client, DcsError, DcsLogin, Leader, MemberAt, MemberId, Seen, Status};
use crate::services::etcd::{AGENT_KEYS, AGENT_ROLE, AGENT_USER, ROOT_USER};

/// The time between two attempts to watch again.
const RETRY: Duration = Duration::from_millis(250);
/// A member that is watched is asked for the key this often, and its watch is given up when it leaves a question unanswered (a host
/// that died silently). Pings of HTTP/2 would not do: etcd ends a connection that sends them more often than every 5 s, its watches too.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// What etcd answers to who comes without a name, where it asks for passwords.
const ASKS_FOR_NAME: &str = "etcdserver: user name is empty";
/// What it answers where a part of what protects it is there already.
const DONE_BEFORE: [&str; 3] =
    ["etcdserver: user name already exists", "etcdserver: role name already exists", ASKS_FOR_NAME];
/// What it answers to a password that it does not ask for: it was begun anew, perhaps.
const ASKS_FOR_NONE: &str = "etcdserver: authentication is not enabled";

pub(super) fn client(members: &[MemberAt], login: DcsLogin<'_>, answer_within: Duration) -> Box<dyn Client> {
    Box::new(EtcdClient { ways: Ways::to(members, login), answer_within, connection: None, is_named: false })
}

/// How members are reached.
struct Ways {
    /// The members of one way together.
    ways: VecDeque<Way>,
    password: Option<String>,
}

struct Way {
    addresses: Vec<String>,
    tls: Option<TlsOptions>,
}

impl Ways {
    /// With TLS each member by itself: a connection to several of them expects one name of all.
    fn to(members: &[MemberAt], login: DcsLogin<'_>) -> Self {
        let password = login.password.map(str::to_owned);
        let Some(trust) = login.trust else {
            let addresses = members.iter().map(|(_, address)| format!("http://{address}")).collect();
            return Self { ways: VecDeque::from([Way { addresses, tls: None }]), password };
        };
        let way = |(name, address): &MemberAt| {
            let authority = Certificate::from_pem(trust.authority.as_bytes());
            let own = Identity::from_pem(trust.own.certificate.as_bytes(), trust.own.key.as_bytes());
            let tls = TlsOptions::new().ca_certificate(authority).identity(own).domain_name(name);
            Way { addresses: vec![format!("https://{address}")], tls: Some(tls) }
        };
        Self { ways: members.iter().map(way).collect(), password }
    }

    /// `named`: by the password, where there is one. A member checks it with the others: one that is cut off from them checks none.
    async fn connect(&self, options: ConnectOptions, named: bool) -> Result<Connection, etcd_client::Error> {
        let Some(way) = self.ways.front() else { return Connection::connect([""; 0], Some(options)).await };
        let options = way.tls.iter().fold(options, |options, tls| options.with_tls(tls.clone()));
        let Some(password) = self.password.as_ref().filter(|_| named) else {
            return Connection::connect(&way.addresses, Some(options)).await;
        };
        let as_root = options.clone().with_user(ROOT_USER, password);
        match Connection::connect(&way.addresses, Some(as_root)).await {
            Err(error) if answers(&error, &[ASKS_FOR_NONE]) => Connection::connect(&way.addresses, Some(options)).await,
            connected => connected,
        }
    }

    /// Takes the next one from now on.
    fn turn(&mut self) {
        self.ways.rotate_left(1.min(self.ways.len()));
    }
}

struct EtcdClient {
    ways: Ways,
    answer_within: Duration,
    /// `None` before the first request and after one that failed.
    connection: Option<Connection>,
    /// Whether that came by the password, if there is one.
    is_named: bool,
}

impl EtcdClient {
    /// Sends one request, by the password where there is one, and forgets the connection on which it failed.
    async fn ask<T>(
        &mut self,
        request: impl AsyncFnOnce(&mut Connection) -> Result<T, etcd_client::Error>,
    ) -> Result<T, DcsError> {
        self.ask_as(true, request).await
    }

    async fn ask_as<T>(
        &mut self,
        named: bool,
        request: impl AsyncFnOnce(&mut Connection) -> Result<T, etcd_client::Error>,
    ) -> Result<T, DcsError> {
        let within = self.answer_within;
        let answer = timeout(within, self.ask_without_limit(named, request)).await.unwrap_or(Err(DcsError::NoAnswer));
        if answer.is_err() {
            self.connection = None;
            self.ways.turn();
        }
        answer
    }

    async fn ask_without_limit<T>(
        &mut self,
        named: bool,
        request: impl AsyncFnOnce(&mut Connection) -> Result<T, etcd_client::Error>,
    ) -> Result<T, DcsError> {
        let connection = match &mut self.connection {
            Some(connection) if self.is_named || !named => connection,
            other => {
                let connected = self.ways.connect(ConnectOptions::new(), named).await?;
                self.is_named = named || self.ways.password.is_none();
                other.insert(connected)
            }
        };
        Ok(request(connection).await?)
    }
}

fn unless_done<T>(answer: Result<T, etcd_client::Error>) -> Result<(), etcd_client::Error> {
    match answer {
        Err(error) if !answers(&error, &DONE_BEFORE) => Err(error),
        _ => Ok(()),
    }
}

/// Whether a member answered that it asks for passwords.
fn asks_for_name(error: &DcsError) -> bool {
    let DcsError::Failed(cause) = error else { return false };
    cause.downcast_ref().is_some_and(|error| answers(error, &[ASKS_FOR_NAME]))
}

/// Whether a request failed with one of these answers.
fn answers(error: &etcd_client::Error, told: &[&str]) -> bool {
    matches!(error, etcd_client::Error::GRpcStatus(status) if told.contains(&status.message()))
}

impl From<etcd_client::Error> for DcsError {
    fn from(error: etcd_client::Error) -> Self {
        DcsError::Failed(Box::new(error))
    }
}

#[async_trait]
impl Client for EtcdClient {
    async fn put(&mut self, key: &str, value: &str) -> Result<(), DcsError> {
        self.ask(async |connection| connection.put(key, value, None).await).await?;
        Ok(())
    }

    async fn read(&mut self, key: &str) -> Result<Option<String>, DcsError> {
        let read = self.ask(async |connection| connection.get(key, None).await).await?;
        Ok(read.kvs().first().map(KeyValue::value_str).transpose()?.map(str::to_owned))
    }

    async fn status(&mut self) -> Result<Status, DcsError> {
        // etcd 3.5 tells it to everybody, also while it is cut off and can check no password; 3.6 asks for one.
        let status = match self.ask_as(false, async |connection| connection.status().await).await {
            Err(error) if asks_for_name(&error) => self.ask(async |connection| connection.status().await).await?,
            told => told?,
        };
        let own_id = status.header().ok_or(DcsError::Incomplete("header"))?.member_id();
        // 0: it knows no leader.
        let leader = match status.leader() {
            0 => Leader::Nobody,
            id => Leader::Member(member_id(id)),
        };
        let version = Some(status.version().to_owned()).filter(|version| !version.is_empty());
        Ok(Status { own_id: member_id(own_id), leader, term: status.raft_term(), version })
    }

    async fn hand_over(&mut self, to: &MemberId) -> Result<(), DcsError> {
        let id = u64::from_str_radix(&to.0, 16).map_err(|error| DcsError::Failed(Box::new(error)))?;
        self.ask_without_limit(true, async |connection| connection.move_leader(id).await).await?;
        Ok(())
    }

    async fn protect(&mut self, password: &str, agent_password: &str) -> Result<(), DcsError> {
        let keys = Permission::read_write(AGENT_KEYS).with_prefix();
        self.ask(async |connection| {
            unless_done(connection.user_add(ROOT_USER, password, None).await)?;
            unless_done(connection.role_add(ROOT_USER).await)?;
            unless_done(connection.user_grant_role(ROOT_USER, ROOT_USER).await)?;
            unless_done(connection.role_add(AGENT_ROLE).await)?;
            unless_done(connection.role_grant_permission(AGENT_ROLE, keys).await)?;
            unless_done(connection.user_add(AGENT_USER, agent_password, None).await)?;
            unless_done(connection.user_grant_role(AGENT_USER, AGENT_ROLE).await)?;
            unless_done(connection.auth_enable().await)
        })
        .await
    }

    fn watch(self: Box<Self>, key: &str) -> BoxStream<'static, Seen> {
        let mut due = interval(RETRY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch = Watch {
            ways: self.ways,
            answer_within: self.answer_within,
            key: key.to_owned(),
            due,
            known: None,
            known_in: None,
            connection: None,
            changes: None,
            unshown: VecDeque::new(),
        };
        stream::unfold(watch, |mut watch| async { Some((watch.next().await, watch)) }).boxed()
    }
}

/// An id as etcd's own tools write it.
fn member_id(id: u64) -> MemberId {
    MemberId(format!("{id:x}"))
}

/// A key that is watched at one member, over one connection after the other.
struct Watch {
    ways: Ways,
    answer_within: Duration,
    key: String,
    /// When the next attempt to connect may begin.
    due: Interval,
    /// The revision up to which changes are known. `None`: the state must be read.
    known: Option<i64>,
    /// The etcd in which they are known, and its term then.
    known_in: Option<(u64, u64)>,
    connection: Option<Connection>,
    changes: Option<WatchStream>,
    /// What the stream has still to show.
    unshown: VecDeque<Seen>,
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

impl Watch {
    async fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.unshown.pop_front() {
                return seen;
            }
            let Err(ended) = self.go_on().await else { continue };
            (self.connection, self.changes) = (None, None);
            self.ways.turn();
            if let Ended::Compacted = ended {
                self.known = None;
            }
        }
    }

    /// Takes the next step: it connects and reads the state, then watches, then waits for changes.
    async fn go_on(&mut self) -> Result<(), Ended> {
        if let Some(changes) = &mut self.changes {
            let Some(connection) = &mut self.connection else { return Err(Ended::Broken) };
            let response = tokio::select! {
                response = changes.message() => response?.ok_or(Ended::Broken)?,
                ended = silence(connection, &self.key) => return Err(ended),
            };
            return self.take_changes(&response);
        }
        let Some(connection) = &mut self.connection else {
            self.due.tick().await;
            return self.connect().await;
        };
        let from = WatchOptions::new().with_start_revision(self.known.unwrap_or_default() + 1);
        let changes = connection.watch(self.key.as_str(), Some(from));
        self.changes = Some(timeout(self.answer_within, changes).await??);
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Ended> {
        let options = ConnectOptions::new().with_connect_timeout(self.answer_within);
        let connected = self.ways.connect(options, true);
        let connection = self.connection.insert(timeout(self.answer_within, connected).await??);
        let read = timeout(self.answer_within, connection.get(self.key.as_str(), Some(from_itself()))).await??;
        let revision = read.header().map_or(0, ResponseHeader::revision);
        let now_in = read.header().map_or((0, 0), |header| (header.cluster_id(), header.raft_term()));
        // A member whose revision or term went back, or that belongs to another etcd now, has lost its data: nothing of what
        // was known holds for it. A restored one may have passed the revision that was known before it is asked again.
        let is_another = |(id, term): (u64, u64)| id != now_in.0 || now_in.1 < term;
        let has_lost_its_data = self.known_in.replace(now_in).is_some_and(is_another);
        if has_lost_its_data || self.known.is_none_or(|known| revision < known) {
            self.unshown.push_back(state(read.kvs().first(), revision));
            self.known = Some(revision);
        }
        Ok(())
    }

    fn take_changes(&mut self, response: &WatchResponse) -> Result<(), Ended> {
        for event in response.events() {
            let Some(pair) = event.kv() else { continue };
            let value = match event.event_type() {
                EventType::Put => Some(text(pair)),
                EventType::Delete => None,
            };
            self.unshown.push_back(Seen { value, version: pair.mod_revision(), is_initial: false });
            self.known = Some(pair.mod_revision());
        }
        if response.canceled() {
            return Err(if response.compact_revision() > 0 { Ended::Compacted } else { Ended::Broken });
        }
        Ok(())
    }
}

/// Comes back once the member does not answer any more.
async fn silence(connection: &mut Connection, key: &str) -> Ended {
    loop {
        sleep(LOOK_EVERY).await;
        match timeout(LOOK_TIMEOUT, connection.get(key, Some(from_itself()))).await {
            Ok(Ok(_)) => (),
            Ok(Err(failed)) => return failed.into(),
            Err(elapsed) => return elapsed.into(),
        }
    }
}

/// What the member itself knows, also when it is cut off from the others.
fn from_itself() -> GetOptions {
    GetOptions::new().with_serializable()
}

/// A key as it was found, at a revision.
fn state(found: Option<&KeyValue>, revision: i64) -> Seen {
    Seen { value: found.map(text), version: found.map_or(revision, KeyValue::mod_revision), is_initial: true }
}

fn text(pair: &KeyValue) -> String {
    String::from_utf8_lossy(pair.value()).into_owned()
}
