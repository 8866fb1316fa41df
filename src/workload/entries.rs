//! Attempts to get in that must fail, and what came of them.

use std::{net::SocketAddr, time::Duration};

use futures::future::{BoxFuture, FutureExt, join_all};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    history::event::{EntryAnswer, EntryTried, SessionsSeen, WayIn},
    http,
    plan::Plan,
    services::{
        ServiceKind, etcd,
        patroni::{POSTGRESQL_PORT, REST_PORT},
        postgresql::server::REPLICATION_ROLE,
    },
    system::{Access, Login, SESSIONS, Session, access::CLIENT_ROLE, rows},
    trust::{Trust, TrustError, trusting},
};

/// How long an attempt waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// [`etcd::AGENT_KEYS`], as etcd's HTTP gateway takes a key.
const KEY_AS_BASE64: &str = "L3NlcnZpY2Uv";
/// The most bytes of an answer that are read.
const MOST_BYTES: u64 = 2048;

type Answer = (EntryAnswer, String);

/// Tries every way in that must fail, at every node and member of the DCS, all at once.
///
/// # Errors
/// The run's certificates can't be used.
pub async fn try_entries(plan: &Plan, access: &Access) -> Result<Vec<EntryTried>, TrustError> {
    let tried = Entries { access, foreign: Trust::foreign()? };
    let mut attempts: Vec<BoxFuture<'_, EntryTried>> = Vec::new();
    for (node, _) in plan.nodes_with_agents() {
        attempts.extend(tried.at_postgresql(node, POSTGRESQL_PORT, &WayIn::ALL[..4]));
        attempts.extend([tried.plain_http(node), tried.order(node)]);
    }
    for pooler in plan.poolers() {
        attempts.extend(tried.at_postgresql(pooler.host, pooler.port, &[WayIn::PlainSession, WayIn::WrongPassword]));
    }
    for dcs in plan.dcs.iter().filter(|dcs| dcs.kind == ServiceKind::Etcd) {
        attempts.extend(dcs.members.iter().map(|member| tried.at_etcd(member)));
        let asks = plan.asks_for_passwords(dcs);
        attempts.extend(dcs.members.iter().filter(|_| asks).map(|member| tried.without_password(member)));
    }
    Ok(join_all(attempts).await)
}

/// The sessions that a node shows, if it answers.
pub async fn sessions_at(node: &str, access: &Access) -> Option<Vec<SessionsSeen>> {
    let (address, login) = (access.address(node, POSTGRESQL_PORT)?, access.login());
    let session = timeout(ANSWER_WITHIN, Session::open(address, &login, "pgquake-entry")).await.ok()?.ok()?;
    let answer = timeout(ANSWER_WITHIN, session.simple_query(SESSIONS)).await.ok()?.ok()?;
    session.close().await;
    serde_json::from_str(rows(&answer).next()?.try_get(0).ok()??).ok()
}

struct Entries<'a> {
    access: &'a Access,
    /// Another authority than the run's.
    foreign: Trust,
}

impl<'a> Entries<'a> {
    fn at_postgresql(&'a self, host: &'a str, port: u16, ways: &[WayIn]) -> Vec<BoxFuture<'a, EntryTried>> {
        let password = &self.access.credentials.client_password;
        let attempt = |way: &WayIn| {
            let login = match way {
                WayIn::PlainSession => Login::new(password),
                WayIn::WrongPassword => self.access.login().with_password("wrong"),
                WayIn::ForeignAuthority => self.access.login_trusting(&self.foreign),
                _ => return self.ask(*way, host, port, |at| async move { replicate(at).await }.boxed()),
            };
            self.ask(*way, host, port, move |at| async move { open(at, &login).await }.boxed())
        };
        ways.iter().map(attempt).collect()
    }

    fn plain_http(&'a self, node: &'a str) -> BoxFuture<'a, EntryTried> {
        self.ask(WayIn::PlainHttp, node, REST_PORT, |at| async move { ask_plainly(at).await }.boxed())
    }

    /// To end a switchover that nobody has planned: of no consequence where it is let through.
    fn order(&'a self, node: &'a str) -> BoxFuture<'a, EntryTried> {
        let url = self.access.patroni(node).map(|at| format!("{at}/switchover"));
        self.ask(WayIn::OrderWithoutCertificate, node, REST_PORT, move |_| {
            async move {
                let Some((url, client)) = url.zip(self.without_certificate()) else { return unanswered("no client") };
                match client.delete(url).send().await {
                    Ok(answer) if answer.status() == 403 => (EntryAnswer::Refused, answer.status().to_string()),
                    // A server that fails says nothing of who may come in.
                    Ok(answer) if answer.status().is_server_error() => unanswered(answer.status().to_string()),
                    Ok(answer) => (EntryAnswer::Admitted, answer.status().to_string()),
                    Err(error) => unanswered(http::causes(&error)),
                }
            }
            .boxed()
        })
    }

    fn at_etcd(&'a self, member: &'a str) -> BoxFuture<'a, EntryTried> {
        let is_secured = self.access.tls().dcs;
        let url = self.access.url(member, etcd::CLIENT_PORT, is_secured).map(|at| format!("{at}/version"));
        self.ask(WayIn::DcsWithoutCertificate, member, etcd::CLIENT_PORT, move |_| {
            async move {
                let Some((url, client)) = url.zip(self.without_certificate()) else { return unanswered("no client") };
                match client.get(url).send().await {
                    Ok(answer) => (EntryAnswer::Admitted, answer.status().to_string()),
                    Err(error) if error.is_timeout() => unanswered(http::causes(&error)),
                    Err(error) => (EntryAnswer::Refused, http::causes(&error)),
                }
            }
            .boxed()
        })
    }

    /// By a certificate, where one is asked for, it asks for the keys of clusters.
    fn without_password(&'a self, member: &'a str) -> BoxFuture<'a, EntryTried> {
        let is_secured = self.access.tls().dcs;
        let url = self.access.url(member, etcd::CLIENT_PORT, is_secured).map(|at| format!("{at}/v3/kv/range"));
        self.ask(WayIn::DcsWithoutPassword, member, etcd::CLIENT_PORT, move |_| {
            async move {
                let client = self.access.http(http::client().timeout(ANSWER_WITHIN)).build().ok();
                let Some((url, client)) = url.zip(client) else { return unanswered("no client") };
                match client.post(url).json(&json!({ "key": KEY_AS_BASE64 })).send().await {
                    Ok(answer) if answer.status().is_success() => (EntryAnswer::Admitted, answer.status().to_string()),
                    Ok(answer) if answer.status().is_server_error() => unanswered(answer.status().to_string()),
                    Ok(answer) => (EntryAnswer::Refused, answer.text().await.unwrap_or_default()),
                    Err(error) => unanswered(http::causes(&error)),
                }
            }
            .boxed()
        })
    }

    /// A client that trusts the run's authority, and shows nothing.
    fn without_certificate(&self) -> Option<reqwest::Client> {
        let client = self.access.http(http::client().timeout(ANSWER_WITHIN));
        let authority = &self.access.credentials.authority.certificate;
        let client = match self.access.tls().is_off() {
            true => client,
            false => client.tls_backend_preconfigured(trusting(authority, None).ok()?),
        };
        client.build().ok()
    }

    fn ask(
        &'a self,
        way: WayIn,
        host: &'a str,
        port: u16,
        attempt: impl FnOnce(SocketAddr) -> BoxFuture<'a, Answer> + Send + 'a,
    ) -> BoxFuture<'a, EntryTried> {
        async move {
            let (answer, reason) = match self.access.address(host, port) {
                Some(address) => timeout(ANSWER_WITHIN, attempt(address))
                    .await
                    .unwrap_or_else(|_| unanswered("no answer came in time")),
                None => unanswered("it is not published"),
            };
            EntryTried { way, host: host.to_owned(), port, answer, reason }
        }
        .boxed()
    }
}

fn unanswered(reason: impl Into<String>) -> Answer {
    (EntryAnswer::Unanswered, reason.into())
}

async fn open(address: SocketAddr, login: &Login) -> Answer {
    match Session::open(address, login, "pgquake-entry").await {
        Ok(session) => {
            session.close().await;
            (EntryAnswer::Admitted, format!("a session of {CLIENT_ROLE} was opened"))
        }
        Err(error)
            if error.sqlstate().is_none()
                && error.io_kind().is_some_and(|kind| kind != std::io::ErrorKind::InvalidData) =>
        {
            unanswered(error.to_string())
        }
        Err(error) => (EntryAnswer::Refused, error.to_string()),
    }
}

/// Asks for WAL without TLS, up to the question for the password: then pg_hba has let it in.
async fn replicate(address: SocketAddr) -> Answer {
    let words = format!("user\0{REPLICATION_ROLE}\0replication\0true\0application_name\0pgquake-entry\0\0");
    let length = u32::try_from(8 + words.len()).unwrap_or_default();
    let packet = [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), words.as_bytes()].concat();
    let answer = match send(address, &packet).await {
        Ok(answer) => answer,
        Err(error) => return unanswered(error.to_string()),
    };
    let text = String::from_utf8_lossy(&answer).replace('\0', " ");
    match answer.first() {
        Some(b'R') => (EntryAnswer::Admitted, "it was asked for its password".to_owned()),
        Some(b'E') => (EntryAnswer::Refused, text.trim().to_owned()),
        _ => unanswered(format!("{} bytes came", answer.len())),
    }
}

async fn ask_plainly(address: SocketAddr) -> Answer {
    match send(address, b"GET /patroni HTTP/1.0\r\n\r\n").await {
        Ok(answer) if answer.starts_with(b"HTTP/") => {
            let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
            (EntryAnswer::Admitted, line)
        }
        Ok(answer) => (EntryAnswer::Refused, format!("no answer in HTTP, {} bytes", answer.len())),
        // It hung up.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
            (EntryAnswer::Refused, format!("no answer in HTTP: {error}"))
        }
        Err(error) => unanswered(error.to_string()),
    }
}

/// Sends something, and reads what comes until the other end waits or hangs up.
async fn send(address: SocketAddr, packet: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(packet).await?;
    let mut answer = Vec::new();
    // A server that asks for a password waits after that.
    let first = stream.read_u8().await;
    match first {
        Ok(first) => answer.push(first),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(answer),
        Err(error) => return Err(error),
    }
    let rest = timeout(Duration::from_millis(500), stream.take(MOST_BYTES).read_to_end(&mut answer)).await;
    drop(rest);
    Ok(answer)
}
