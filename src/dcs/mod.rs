//! What the harness asks of a DCS, whatever software it is. One file a kind, one row in `ALL`.
//!
//! Architecture invariant: this is the harness's own view from outside, by a member's published port. Only the file of a
//! kind knows its protocol, and nobody else uses its client library.

mod consul;
mod etcd;
mod zookeeper;

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{services::ServiceKind, trust::Trust};

/// A client of some members of one DCS. It connects with its first request, and anew after one that failed: a connection
/// to a host that died silently would never be noticed.
#[async_trait]
pub trait Client: Send {
    /// Writes a key.
    async fn put(&mut self, key: &str, value: &str) -> Result<(), DcsError>;

    /// A key's value, or `None` if there is no such key. The read is linearizable: a member that is cut off from the others
    /// does not answer it.
    async fn read(&mut self, key: &str) -> Result<Option<String>, DcsError>;

    /// What this member knows of itself and of the leader. It answers also when it is cut off from the others, but for etcd 3.6 where
    /// that asks for passwords: it checks none alone.
    async fn status(&mut self) -> Result<Status, DcsError>;

    /// Asks this member, which must lead, to hand the leadership over to another one. It answers when that is done, which
    /// takes an election: this request has no limit of its own. Refused where an election alone chooses the leader.
    async fn hand_over(&mut self, to: &MemberId) -> Result<(), DcsError>;

    /// Makes users with these passwords, the client's own and the agents', and has members ask for them from now on. What of that is
    /// done already stays. Refused where this is not known how to be done.
    async fn protect(&mut self, _password: &str, _agent_password: &str) -> Result<(), DcsError> {
        Err(DcsError::Refused("pgquake does not know how to have this kind of DCS ask for passwords"))
    }

    /// A key as this member alone sees it, also when it is cut off from the others: first its state, then each change. The
    /// stream never ends. Where passwords are asked for, it begins only at a member that is not cut off. When the connection breaks, it goes on behind the last change that it showed; where that can't
    /// be done, or the member has lost its data, it shows the state again.
    fn watch(self: Box<Self>, key: &str) -> BoxStream<'static, Seen>;
}

/// By what the members of a DCS name one another, as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub String);

/// What a member knows of the leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The member that answered.
    pub own_id: MemberId,
    pub leader: Leader,
    /// The term of the election that the member knows of. Of two answers, the one with the higher term is newer.
    pub term: u64,
    /// The member's own version; `None`: it does not tell it here.
    pub version: Option<String>,
}

/// Who leads a DCS, as a member knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leader {
    /// The member knows of no leader.
    Nobody,
    /// Another member leads, and this one does not say which.
    Unnamed,
    /// This one.
    Member(MemberId),
}

impl Status {
    /// Whether the member that answered is the leader, as far as it knows.
    pub fn leads(&self) -> bool {
        matches!(&self.leader, Leader::Member(id) if *id == self.own_id)
    }
}

/// A key at one member: its state, or a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The value; `None`: there is no such key.
    pub value: Option<String>,
    /// The version of the DCS with which the key became so. It only grows, and is equal on all members. Where no key was
    /// found there was no change to have a version: then it is the version at which that was seen.
    pub version: i64,
    /// Whether this is the state as it was found, and not a change that was seen.
    pub is_initial: bool,
}

/// A member did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum DcsError {
    /// It did not answer in time.
    #[error("no answer")]
    NoAnswer,
    /// It answered, and something is missing.
    #[error("the answer has no {0}")]
    Incomplete(&'static str),
    /// This kind of DCS can't do it.
    #[error("{0}")]
    Refused(&'static str),
    /// It refused, or the connection failed.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// What a client of a DCS shows its members, and whom it trusts. Default: nothing, and everybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct DcsLogin<'a> {
    /// Whose certificates it accepts, and its own; `None`: the members don't speak TLS.
    pub trust: Option<&'a Trust>,
    /// The password by which it may do everything; `None`: the members ask for none.
    pub password: Option<&'a str>,
}

/// Makes a client of the members at these addresses. Each request may take that long.
type MakeClient = fn(&[MemberAt], DcsLogin<'_>, Duration) -> Box<dyn Client>;

/// A member: its host, and where that is reached.
pub type MemberAt = (String, SocketAddr);

/// Every kind of DCS, with its client.
const ALL: &[(ServiceKind, MakeClient)] = &[
    (ServiceKind::Etcd, etcd::client),
    (ServiceKind::Zookeeper, zookeeper::client),
    (ServiceKind::Consul, consul::client),
];

/// A client of a DCS of this kind, by its members' addresses: with one address it asks that member alone, with several
/// any of them. Each request may take `answer_within`. Where it speaks TLS, its members are those that the run's authority
/// certifies. `None`: the kind is no DCS.
pub fn client(
    kind: ServiceKind,
    members: &[MemberAt],
    login: DcsLogin<'_>,
    answer_within: Duration,
) -> Option<Box<dyn Client>> {
    let (_, make) = ALL.iter().find(|(of, _)| *of == kind)?;
    Some(make(members, login, answer_within))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services;

    #[test]
    fn every_service_that_is_a_dcs_has_a_client() {
        for row in services::ALL {
            let client = client(row.kind, &[], DcsLogin::default(), Duration::ZERO);
            assert_eq!(client.is_some(), row.dcs().is_some(), "{}", row.kind.name());
        }
    }
}
