//! Consul, by its HTTP API.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::{Client, DcsError, DcsLogin, Leader, MemberAt, MemberId, Seen, Status};

/// The time between two attempts to watch again.
const RETRY: Duration = Duration::from_millis(250);
/// How long a server may wait for a change before it answers that there was none. It adds up to a sixteenth.
const CHANGE_WITHIN: Duration = Duration::from_secs(2);
/// The server's index of what it answers with.
const INDEX: &str = "x-consul-index";

/// A topology with TLS has none.
pub(super) fn client(members: &[MemberAt], _: DcsLogin<'_>, answer_within: Duration) -> Box<dyn Client> {
    let http = crate::http::client().build().unwrap_or_default();
    Box::new(ConsulClient { members: members.iter().map(|(_, at)| *at).collect(), answer_within, http })
}

struct ConsulClient {
    members: Vec<SocketAddr>,
    answer_within: Duration,
    http: reqwest::Client,
}

impl From<reqwest::Error> for DcsError {
    fn from(error: reqwest::Error) -> Self {
        DcsError::Failed(Box::new(error))
    }
}

/// Consul answered something else than was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {body}")]
struct Unexpected {
    status: StatusCode,
    body: String,
}

impl ConsulClient {
    fn request(&self, member: SocketAddr, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{member}/v1/{path}"))
    }

    /// Sends a request to one member after the other, until one answers it.
    async fn ask(&self, method: &Method, path: &str, body: Option<&str>) -> Result<Response, DcsError> {
        let mut last = DcsError::NoAnswer;
        for member in &self.members {
            let mut request = self.request(*member, method.clone(), path);
            if let Some(body) = body {
                request = request.body(body.to_owned());
            }
            match request.send().await {
                Ok(response) if response.status().is_server_error() => last = unexpected(response).await,
                Ok(response) => return Ok(response),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn ask_in_time(&self, method: Method, path: &str, body: Option<&str>) -> Result<Response, DcsError> {
        timeout(self.answer_within, self.ask(&method, path, body)).await.unwrap_or(Err(DcsError::NoAnswer))
    }
}

async fn unexpected(response: Response) -> DcsError {
    let status = response.status();
    let body = response.text().await.unwrap_or_default();
    DcsError::Failed(Box::new(Unexpected { status, body }))
}

/// Where a key is in Consul's API: names there begin with no slash.
fn path_of(key: &str) -> String {
    format!("kv/{}", key.trim_start_matches('/'))
}

#[async_trait]
impl Client for ConsulClient {
    async fn put(&mut self, key: &str, value: &str) -> Result<(), DcsError> {
        let response = self.ask_in_time(Method::PUT, &path_of(key), Some(value)).await?;
        if response.status().is_success() { Ok(()) } else { Err(unexpected(response).await) }
    }

    async fn read(&mut self, key: &str) -> Result<Option<String>, DcsError> {
        // The leader makes sure that a majority still follows it.
        let path = format!("{}?consistent&raw", path_of(key));
        let response = self.ask_in_time(Method::GET, &path, None).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(response.text().await?)),
            _ => Err(unexpected(response).await),
        }
    }

    async fn status(&mut self) -> Result<Status, DcsError> {
        let response = self.ask_in_time(Method::GET, "agent/self", None).await?;
        if !response.status().is_success() {
            return Err(unexpected(response).await);
        }
        let of_itself: Itself = response.json().await?;
        of_itself.status()
    }

    async fn hand_over(&mut self, _to: &MemberId) -> Result<(), DcsError> {
        Err(DcsError::Refused("this version of Consul has no request that hands the leadership to a server"))
    }

    fn watch(self: Box<Self>, key: &str) -> BoxStream<'static, Seen> {
        let mut due = interval(RETRY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch = Watch { path: path_of(key), client: *self, due, known: None };
        stream::unfold(watch, |mut watch| async { Some((watch.next().await, watch)) }).boxed()
    }
}

/// What a server says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Itself {
    member: Member,
    stats: Stats,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    addr: String,
    tags: Tags,
}

#[derive(Debug, Deserialize)]
struct Tags {
    port: String,
}

#[derive(Debug, Deserialize)]
struct Stats {
    raft: Raft,
    consul: Consensus,
}

#[derive(Debug, Deserialize)]
struct Raft {
    last_log_term: String,
}

#[derive(Debug, Deserialize)]
struct Consensus {
    leader_addr: String,
}

impl Itself {
    /// Servers name each other by their addresses for consensus.
    fn status(self) -> Result<Status, DcsError> {
        let own_id = MemberId(format!("{}:{}", self.member.addr, self.member.tags.port));
        let leader = match self.stats.consul.leader_addr.as_str() {
            "" => Leader::Nobody,
            address => Leader::Member(MemberId(address.to_owned())),
        };
        // Of the last leader that it knows something of: its own term grows with each vote that a server asks for, and one that is cut
        // off asks again and again.
        let term = self.stats.raft.last_log_term.parse().map_err(|_| DcsError::Incomplete("term"))?;
        Ok(Status { own_id, leader, term, version: None })
    }
}

/// A key that is watched at one member: a question that is answered when the key has changed since the index that it names.
struct Watch {
    client: ConsulClient,
    path: String,
    /// When the next attempt may begin after one that failed.
    due: Interval,
    /// The index and the value as they were last known. `None`: the state must be read.
    known: Option<(i64, Option<String>)>,
}

impl Watch {
    async fn next(&mut self) -> Seen {
        loop {
            match self.look().await {
                Ok(Some(seen)) => return seen,
                Ok(None) => {}
                Err(_) => drop(self.due.tick().await),
            }
        }
    }

    /// What is new, once anything may be.
    async fn look(&mut self) -> Result<Option<Seen>, DcsError> {
        let index = self.known.as_ref().map_or(0, |(index, _)| *index);
        // Stale: what this server itself knows, also when it is cut off from the others.
        let path = format!("{}?stale&raw&index={index}&wait={}ms", self.path, CHANGE_WITHIN.as_millis());
        let within = CHANGE_WITHIN + CHANGE_WITHIN / 8 + self.client.answer_within;
        let asked = self.client.ask(&Method::GET, &path, None);
        let response = timeout(within, asked).await.map_err(|_| DcsError::NoAnswer)??;
        let status = response.status();
        let version = response.headers().get(INDEX).and_then(|index| index.to_str().ok()?.parse::<i64>().ok());
        let version = version.ok_or(DcsError::Incomplete("index"))?;
        let value = match status {
            StatusCode::NOT_FOUND => None,
            status if status.is_success() => Some(response.text().await?),
            _ => return Err(unexpected(response).await),
        };
        // An index that went back: the server has lost its data, and nothing of what was known holds for it.
        let known = self.known.replace((version, value.clone())).filter(|(index, _)| version >= *index);
        let seen = |is_initial| Seen { value: value.clone(), version, is_initial };
        Ok(match known {
            None => Some(seen(true)),
            // Where there is no key, any change beside it ends the wait.
            Some((index, before)) if version == index || (before.is_none() && value.is_none()) => None,
            Some(_) => Some(seen(false)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_what_it_is_and_who_leads() {
        let said = |leader: &str| {
            let text = format!(
                r#"{{"Config": {{}}, "Member": {{"Addr": "10.0.0.2", "Tags": {{"port": "8300", "id": "a-b"}}}},
                    "Stats": {{"raft": {{"term": "9", "last_log_term": "4"}}, "consul": {{"leader_addr": "{leader}"}}}}}}"#
            );
            serde_json::from_str::<Itself>(&text).unwrap().status().unwrap()
        };
        assert!(said("10.0.0.2:8300").leads());
        assert_eq!(said("10.0.0.3:8300").leader, Leader::Member(MemberId("10.0.0.3:8300".to_owned())));
        assert_eq!((said("").leader, said("").term), (Leader::Nobody, 4));
    }
}
