//! A session that an observer keeps, and opens anew once it has ended.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use crate::system::{Login, Session, access::DATABASE};

/// How long one look may take, and how long it may take to connect before it.
const TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct KeptSession {
    database: &'static str,
    address: SocketAddr,
    login: Login,
    session: Option<Session>,
}

impl KeptSession {
    /// One with the clients' database.
    pub fn new(address: SocketAddr, login: Login) -> Self {
        Self { database: DATABASE, address, login, session: None }
    }

    pub fn with_database(self, database: &'static str) -> Self {
        Self { database, ..self }
    }

    /// The answers to these statements; `None`: one of them was not answered in time, or with an error.
    pub async fn ask(&mut self, statements: &[&str]) -> Option<Vec<Vec<SimpleQueryMessage>>> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let opened = Session::open_in(self.database, self.address, &self.login, "pgquake-observer");
                timeout(TIMEOUT, opened).await.ok()?.ok()?
            }
        };
        let asked = async {
            let mut answers = Vec::with_capacity(statements.len());
            for statement in statements {
                answers.push(session.simple_query(statement).await.ok()?);
            }
            Some(answers)
        };
        let answers = timeout(TIMEOUT, asked).await.ok()?;
        if session.ended().is_none() {
            self.session = Some(session);
        }
        answers
    }
}
