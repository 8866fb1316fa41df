//! ZooKeeper, by its own protocol, and by the words of four letters that a server answers without a session.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use zookeeper_client::{
    Acls, AddWatchMode, Client as Session, CreateMode, Error, EventType, PersistentWatcher, WatchedEvent,
};

use super::{Client, DcsError, DcsLogin, Leader, MemberAt, MemberId, Seen, Status};

/// The time between two attempts to watch again.
const RETRY: Duration = Duration::from_millis(250);
/// How long a server keeps a session of the harness's of which it hears nothing, and thereby how soon a connection on which
/// nothing answers is given up: after two fifths of it.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// A topology with TLS has none.
pub(super) fn client(members: &[MemberAt], _: DcsLogin<'_>, answer_within: Duration) -> Box<dyn Client> {
    Box::new(ZookeeperClient { members: members.iter().map(|(_, at)| *at).collect(), answer_within, session: None })
}

struct ZookeeperClient {
    members: Vec<SocketAddr>,
    answer_within: Duration,
    /// `None` before the first request and after one that failed.
    session: Option<Session>,
}

impl ZookeeperClient {
    /// Sends one request, and forgets the session in which it failed.
    async fn ask<T>(&mut self, request: impl AsyncFnOnce(&Session) -> Result<T, Error>) -> Result<T, DcsError> {
        let asked = async {
            let session = match &mut self.session {
                Some(session) => session,
                none => none.insert(connect(&self.members, false).await?),
            };
            Ok(request(session).await?)
        };
        let answer = timeout(self.answer_within, asked).await.unwrap_or(Err(DcsError::NoAnswer));
        if answer.is_err() {
            self.session = None;
        }
        answer
    }
}

impl From<Error> for DcsError {
    fn from(error: Error) -> Self {
        DcsError::Failed(Box::new(error))
    }
}

/// Opens a session at one of these members. One that `may_be_cut_off` reads from a member that has lost the others, too.
async fn connect(members: &[SocketAddr], may_be_cut_off: bool) -> Result<Session, Error> {
    let members = members.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
    Session::connector()
        .with_session_timeout(SESSION_TIMEOUT)
        .with_readonly(may_be_cut_off)
        .with_fail_eagerly()
        .connect(&members)
        .await
}

#[async_trait]
impl Client for ZookeeperClient {
    async fn put(&mut self, key: &str, value: &str) -> Result<(), DcsError> {
        self.ask(async |session| match session.set_data(key, value.as_bytes(), None).await {
            Err(Error::NoNode) => create(session, key, value).await,
            set => set.map(drop),
        })
        .await
    }

    /// A member answers reads from what it knows itself, and `sync` asks the leader, which may have lost the others without
    /// knowing it. A transaction needs a majority, and what is read behind it in one session is as new as it.
    async fn read(&mut self, key: &str) -> Result<Option<String>, DcsError> {
        self.ask(async |session| {
            let mut transaction = session.new_multi_writer();
            transaction.add_check_version("/", ANY_VERSION)?;
            transaction.commit().await.map_err(|_| Error::ConnectionLoss)?;
            match session.get_data(key).await {
                Ok((value, _)) => Ok(Some(text(&value))),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn status(&mut self) -> Result<Status, DcsError> {
        let member = *self.members.first().ok_or(DcsError::Incomplete("member"))?;
        let answer = timeout(self.answer_within, word(member, b"srvr")).await.map_err(|_| DcsError::NoAnswer)?;
        Ok(status(member, &answer.map_err(|error| DcsError::Failed(Box::new(error)))?))
    }

    async fn hand_over(&mut self, _to: &MemberId) -> Result<(), DcsError> {
        Err(DcsError::Refused("ZooKeeper has no request that hands the leadership to a member"))
    }

    fn watch(self: Box<Self>, key: &str) -> BoxStream<'static, Seen> {
        let mut due = interval(RETRY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch = Watch {
            members: self.members,
            answer_within: self.answer_within,
            key: key.to_owned(),
            due,
            changes: None,
            unshown: VecDeque::new(),
        };
        stream::unfold(watch, |mut watch| async { Some((watch.next().await, watch)) }).boxed()
    }
}

/// Any version, where a transaction checks one.
const ANY_VERSION: i32 = -1;

async fn create(session: &Session, key: &str, value: &str) -> Result<(), Error> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    if let Some((above, _)) = key.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        session.mkdir(above, &options).await?;
    }
    session.create(key, value.as_bytes(), &options).await.map(drop)
}

/// Asks a member one of the words of four letters. It answers and closes the connection.
async fn word(member: SocketAddr, word: &[u8; 4]) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(member).await?;
    connection.write_all(word).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// What a member's answer to `srvr` says. A follower does not say whom it follows, and a member that has no leader says
/// nothing but that it does not serve. A member is known by its address.
fn status(member: SocketAddr, answer: &str) -> Status {
    let field = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let own_id = MemberId(member.to_string());
    let leader = match field("Mode:") {
        Some("leader") => Leader::Member(own_id.clone()),
        Some("follower") => Leader::Unnamed,
        _ => Leader::Nobody,
    };
    let transaction = field("Zxid: 0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    // The upper half of a transaction's id counts the leaders.
    Status { own_id, leader, term: transaction.unwrap_or_default() >> 32, version: None }
}

/// A key that is watched at one member, in one session after the other.
struct Watch {
    members: Vec<SocketAddr>,
    answer_within: Duration,
    key: String,
    /// When the next attempt to connect may begin.
    due: Interval,
    changes: Option<Changes>,
    /// What the stream has still to show.
    unshown: VecDeque<Seen>,
}

/// The changes of a key, as the watch of one session reports them.
struct Changes {
    session: Session,
    events: PersistentWatcher,
    /// The transaction up to which changes are known.
    known: i64,
}

/// The session is gone, or what it told has a gap. The next one shows the state again.
struct Broken;

impl From<Error> for Broken {
    fn from(_: Error) -> Self {
        Broken
    }
}

impl Watch {
    async fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.unshown.pop_front() {
                return seen;
            }
            if self.go_on().await.is_err() {
                self.changes = None;
            }
        }
    }

    /// Takes the next step: it opens a session and reads the state, then waits for changes.
    async fn go_on(&mut self) -> Result<(), Broken> {
        if let Some(changes) = &mut self.changes {
            let event = changes.events.changed().await;
            let seen = timeout(self.answer_within, changes.take(&event, &self.key)).await.map_err(|_| Broken)??;
            self.unshown.extend(seen);
            return Ok(());
        }
        self.due.tick().await;
        let begun = async {
            let session = connect(&self.members, true).await?;
            // Changes between this and the read are reported twice; their transactions show that they are the same.
            let events = session.watch(&self.key, AddWatchMode::Persistent).await?;
            let state = Seen { is_initial: true, ..look(&session, &self.key).await? };
            Ok::<_, Error>((Changes { session, events, known: state.version }, state))
        };
        let (changes, state) = timeout(self.answer_within, begun).await.map_err(|_| Broken)??;
        self.changes = Some(changes);
        self.unshown.push_back(state);
        Ok(())
    }
}

impl Changes {
    /// What an event shows, if it shows anything new. An event tells that a key was changed and in which transaction, not to
    /// what; where the key has been changed again meanwhile, that change's own event shows it.
    async fn take(&mut self, event: &WatchedEvent, key: &str) -> Result<Option<Seen>, Broken> {
        let value = match event.event_type {
            EventType::NodeDeleted => None,
            EventType::NodeCreated | EventType::NodeDataChanged => {
                let found = look(&self.session, key).await?;
                if found.value.is_none() || found.version != event.zxid {
                    return Ok(None);
                }
                found.value
            }
            EventType::NodeChildrenChanged => return Ok(None),
            // Any change of the session's state: what happened meanwhile was told to nobody.
            _ => return Err(Broken),
        };
        if event.zxid <= self.known {
            return Ok(None);
        }
        self.known = event.zxid;
        Ok(Some(Seen { value, version: event.zxid, is_initial: false }))
    }
}

/// A key as it is now. Where there is none, what was last changed above it tells the version.
async fn look(session: &Session, key: &str) -> Result<Seen, Error> {
    let is_initial = false;
    match session.get_data(key).await {
        Ok((value, stat)) => Ok(Seen { value: Some(text(&value)), version: stat.mzxid, is_initial }),
        Err(Error::NoNode) => {
            let mut version = 0;
            let mut above = key;
            while let Some((parent, _)) = above.rsplit_once('/') {
                above = parent;
                let name = if parent.is_empty() { "/" } else { parent };
                if let Some(stat) = session.check_stat(name).await? {
                    version = stat.pzxid;
                    break;
                }
            }
            Ok(Seen { value: None, version, is_initial })
        }
        Err(error) => Err(error),
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_says_what_it_is_and_a_follower_does_not_say_whom_it_follows() {
        let member: SocketAddr = "127.0.0.1:2181".parse().unwrap();
        let said = |mode: &str| status(member, &format!("Zookeeper version: 3.9\nZxid: 0x500000003\nMode: {mode}\n"));
        assert!(said("leader").leads());
        assert_eq!((said("follower").leader, said("follower").term), (Leader::Unnamed, 5));
        let silent = status(member, "This ZooKeeper instance is not currently serving requests\n");
        assert_eq!((silent.leader, silent.term), (Leader::Nobody, 0));
    }
}
