//! One SQL session of the harness with a system, through a published port.
//!
//! It keeps what `tokio_postgres` alone would only log: the server's notices. A commit whose wait for a
//! synchronous standby was cancelled is confirmed to the client, with nothing but a WARNING beside it.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, SimpleQueryMessage, SimpleQueryRow,
    config::SslMode,
    error::{DbError, Severity},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::access::{CLIENT_ROLE, DATABASE};

/// How long [`Session::close`] and [`Session::cancel`] may take. They are courtesies, never waited for longer.
const COURTESY: Duration = Duration::from_secs(1);

/// An open session of the role `pgquake`. Dropping it cuts the connection; [`Session::close`] ends it in order.
pub struct Session {
    address: SocketAddr,
    login: Login,
    client: Client,
    driver: Driver,
    heard: Arc<Mutex<Heard>>,
}

/// What a client logs in with: a password, and TLS where PostgreSQL speaks it. Cheap to clone.
#[derive(Clone)]
pub struct Login {
    password: Arc<str>,
    tls: Option<Secured>,
}

/// TLS to servers that must be who they say.
#[derive(Clone)]
struct Secured {
    make: MakeRustlsConnect,
    /// Who is reached at each address.
    names: Arc<BTreeMap<SocketAddr, String>>,
}

impl Login {
    /// With this password, and without TLS.
    pub fn new(password: &str) -> Self {
        Self { password: password.into(), tls: None }
    }

    /// The same with another password.
    pub(crate) fn with_password(self, password: &str) -> Self {
        Self { password: password.into(), ..self }
    }

    /// The same with TLS: the certificate of who is reached at an address must have this name.
    pub(crate) fn with_tls(self, config: &Arc<ClientConfig>, names: BTreeMap<SocketAddr, String>) -> Self {
        let make = MakeRustlsConnect::new((**config).clone());
        Self { tls: Some(Secured { make, names: Arc::new(names) }), ..self }
    }
}

impl Secured {
    /// What makes TLS of a connection to an address.
    fn to(&self, address: SocketAddr) -> Connector {
        let name = self.names.get(&address).cloned().unwrap_or_else(|| address.ip().to_string());
        MakeTlsConnect::<TcpStream>::make_tls_connect(&mut self.make.clone(), &name)
            .unwrap_or_else(|never| match never {})
    }
}

type Connector = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

/// The task that moves the connection's bytes; it ends with the session.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a session has of its own, beside who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// When the kernel gives its connection up.
    pub tcp: TcpOptions,
    /// After how long the server ends a statement; `None`: as the server is set.
    pub statement_timeout: Option<Duration>,
}

/// When the kernel gives up a connection whose peer is silent. `None`: as this machine is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Whether it asks a peer that is silent.
    pub keepalives: bool,
    /// After how much silence.
    pub keepalives_idle: Option<Duration>,
    /// How long after a question without an answer it asks again.
    pub keepalives_interval: Option<Duration>,
    /// After how many questions without an answer it gives up.
    pub keepalives_count: Option<u32>,
    /// For how long what was sent may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

impl TcpOptions {
    fn set(&self, socket: &TcpSocket) -> io::Result<()> {
        let socket = SockRef::from(socket);
        if self.keepalives {
            let asked = TcpKeepalive::new();
            let asked = self.keepalives_idle.map_or(asked.clone(), |idle| asked.with_time(idle));
            let asked = self.keepalives_interval.map_or(asked.clone(), |interval| asked.with_interval(interval));
            let asked = self.keepalives_count.map_or(asked.clone(), |count| asked.with_retries(count));
            socket.set_keepalive(true)?;
            socket.set_tcp_keepalive(&asked)?;
        }
        socket.set_tcp_user_timeout(self.user_timeout)
    }
}

/// What the server said outside the answers to statements.
#[derive(Default)]
struct Heard {
    warnings: Vec<DbError>,
    /// Why the connection ended.
    ended: Option<String>,
}

/// A session could not be opened: no statement was sent.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No connection came about.
    #[error("failed to connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The server refused the session, or the connection ended before there was one.
    #[error("failed to open a session at {address}: {}", explain(source))]
    Open {
        /// Where to.
        address: SocketAddr,
        /// What the server or the connection says.
        source: tokio_postgres::Error,
    },
}

impl SessionError {
    /// PostgreSQL's SQLSTATE, when a server answered.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            SessionError::Connect { .. } => None,
            SessionError::Open { source, .. } => source.code().map(|code| code.code()),
        }
    }

    /// The operating system's error behind it, if there is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        std::iter::from_fn(|| {
            let this = cause?;
            cause = this.source();
            Some(this)
        })
        .find_map(|error| error.downcast_ref::<io::Error>().map(io::Error::kind))
    }

    /// Whether this machine had no file, port or memory left for a connection: the harness failed, not the
    /// system.
    pub fn is_exhaustion_here(&self) -> bool {
        matches!(self, SessionError::Connect { source, .. } if is_exhaustion(source))
    }
}

/// Whether this machine had no file, port or memory left: ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL and ENOBUFS of Linux.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(12 | 23 | 24 | 99 | 105))
}

impl Session {
    /// Connects and authenticates. It has no deadline of its own.
    pub async fn open(address: SocketAddr, login: &Login, application_name: &str) -> Result<Self, SessionError> {
        Self::open_in(DATABASE, address, login, application_name).await
    }

    /// The same in another database than the ledger's.
    pub async fn open_in(
        database: &str,
        address: SocketAddr,
        login: &Login,
        application_name: &str,
    ) -> Result<Self, SessionError> {
        Self::open_with(database, address, login, application_name, &SessionOptions::default()).await
    }

    /// The same with options of its own.
    pub async fn open_with(
        database: &str,
        address: SocketAddr,
        login: &Login,
        application_name: &str,
        options: &SessionOptions,
    ) -> Result<Self, SessionError> {
        let connect = |source| SessionError::Connect { address, source };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(connect)?;
        options.tcp.set(&socket).map_err(connect)?;
        let stream = socket.connect(address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let mut config = Config::new();
        if let Some(timeout) = options.statement_timeout {
            config.options(format!("-c statement_timeout={}", timeout.as_millis()));
        }
        config.user(CLIENT_ROLE).dbname(database).password(&*login.password).application_name(application_name);
        let open = |source| SessionError::Open { address, source };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (client, driving) = match &login.tls {
            Some(tls) => {
                let connected = config.ssl_mode(SslMode::Require).connect_raw(stream, tls.to(address)).await;
                let (client, connection) = connected.map_err(open)?;
                (client, tokio::spawn(drive(connection, heard.clone())))
            }
            None => {
                let connected = config.ssl_mode(SslMode::Disable).connect_raw(stream, NoTls).await;
                let (client, connection) = connected.map_err(open)?;
                (client, tokio::spawn(drive(connection, heard.clone())))
            }
        };
        Ok(Self { address, login: login.clone(), client, driver: Driver(driving), heard })
    }

    /// Runs one statement in one round trip. `Ok` means that the server answered ReadyForQuery after it, so a
    /// statement that writes is committed by then. (The extended protocol's CommandComplete comes before the
    /// commit.)
    pub async fn simple_query(&self, statement: &str) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
        self.client.simple_query(statement).await
    }

    /// The WARNINGs heard since the last call, the oldest first. Those that belong to a statement are here before
    /// its answer is.
    pub fn take_warnings(&self) -> Vec<DbError> {
        std::mem::take(&mut self.heard().warnings)
    }

    /// Why the session ended, if it has. No statement can be sent any more.
    pub fn ended(&self) -> Option<String> {
        if !self.client.is_closed() {
            return None;
        }
        Some(self.heard().ended.clone().unwrap_or_else(|| "the connection was closed".to_owned()))
    }

    /// Waits until the other end, or the network, has ended the session.
    pub async fn until_it_ends(mut self) {
        let _ = (&mut self.driver.0).await;
    }

    /// Asks the server, through the same port, to give up the statement that this session waits for, and cuts the
    /// connection. Without this, a backend that waits for a synchronous standby would outlive its client.
    pub async fn cancel(self) {
        let token = self.client.cancel_token();
        let (address, tls) = (self.address, self.login.tls.clone());
        drop(self);
        // The statement's outcome is unknown already; a request that fails changes nothing.
        let _ = timeout(COURTESY, async move {
            let stream = TcpStream::connect(address).await.ok()?;
            match &tls {
                Some(tls) => token.cancel_query_raw(stream, tls.to(address)).await.ok(),
                None => token.cancel_query_raw(stream, NoTls).await.ok(),
            }
        })
        .await;
    }

    /// Ends the session in order (Terminate, then FIN).
    pub async fn close(self) {
        let Self { client, mut driver, .. } = self;
        drop(client);
        // A connection that can't even take the goodbye is cut when the driver is dropped.
        let _ = timeout(COURTESY, &mut driver.0).await;
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn drive<T: AsyncRead + AsyncWrite + Unpin>(mut connection: Connection<TcpStream, T>, heard: Arc<Mutex<Heard>>) {
    loop {
        let message = std::future::poll_fn(|context| connection.poll_message(context)).await;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            Some(Ok(AsyncMessage::Notice(notice))) if notice.parsed_severity() == Some(Severity::Warning) => {
                heard.warnings.push(notice);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                heard.ended = Some(explain(&error));
                return;
            }
            None => return,
        }
    }
}

/// An error of `tokio_postgres` in one line: its own text says only "db error" and leaves the rest to its source.
pub fn explain(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": "),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The rows of an answer, without what else a server says.
pub fn rows(answer: &[SimpleQueryMessage]) -> impl Iterator<Item = &SimpleQueryRow> {
    answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_as_the_options_say() {
        let seconds = Duration::from_secs;
        let options = TcpOptions {
            keepalives: true,
            keepalives_idle: Some(seconds(7)),
            keepalives_interval: Some(seconds(3)),
            keepalives_count: Some(4),
            user_timeout: Some(Duration::from_millis(9500)),
        };
        let socket = TcpSocket::new_v4().unwrap();
        options.set(&socket).unwrap();
        let set = SockRef::from(&socket);
        let (idle, interval) = (set.tcp_keepalive_time().unwrap(), set.tcp_keepalive_interval().unwrap());
        assert_eq!((set.keepalive().unwrap(), idle, interval), (true, seconds(7), seconds(3)));
        assert_eq!(set.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(set.tcp_user_timeout().unwrap(), Some(Duration::from_millis(9500)));
        let plain = TcpSocket::new_v4().unwrap();
        TcpOptions::default().set(&plain).unwrap();
        assert!(!SockRef::from(&plain).keepalive().unwrap());
    }
}
