//! Sessions as PostgreSQL shows them, encrypted or not, and attempts to get in that must fail.

use serde::{Deserialize, Serialize};

/// Sessions of one node that are alike, of those that come from other machines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsSeen {
    pub purpose: SessionPurpose,
    /// The role that has them.
    pub role: String,
    /// What a standby calls itself; `None`: they are no replication's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
    /// The version of TLS, as `TLSv1.3`; `None`: they are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    pub count: u32,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPurpose {
    Client,
    Replication,
}

/// An attempt to get in that must fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryTried {
    pub way: WayIn,
    /// The host that was tried, and its port.
    pub host: String,
    pub port: u16,
    pub answer: EntryAnswer,
    /// What the server, or the client, says of it.
    pub reason: String,
}

/// How somebody tries to get in who must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayIn {
    /// A client of PostgreSQL without TLS, with the right password.
    PlainSession,
    /// A standby that asks for WAL without TLS.
    PlainReplication,
    /// A client of PostgreSQL with a wrong password.
    WrongPassword,
    /// A client of PostgreSQL that trusts another authority than the server's.
    ForeignAuthority,
    /// A client of the DCS that shows no certificate.
    DcsWithoutCertificate,
    /// A client of the DCS that says no name and no password, where members ask for them.
    DcsWithoutPassword,
    /// A question to Patroni's REST API without TLS.
    PlainHttp,
    /// An order to Patroni's REST API without a certificate.
    OrderWithoutCertificate,
}

impl WayIn {
    /// Every way.
    pub const ALL: [WayIn; 8] = [
        WayIn::PlainSession,
        WayIn::PlainReplication,
        WayIn::WrongPassword,
        WayIn::ForeignAuthority,
        WayIn::DcsWithoutCertificate,
        WayIn::DcsWithoutPassword,
        WayIn::PlainHttp,
        WayIn::OrderWithoutCertificate,
    ];
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryAnswer {
    /// It got in.
    Admitted,
    /// The server refused it, or the client refused the server.
    Refused,
    /// Nobody was reached who could have refused it.
    Unanswered,
}
