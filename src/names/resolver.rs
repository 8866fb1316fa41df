//! A resolver for the harness's own clients. It asks over TCP, because engines publish only TCP ports here, and on a
//! connection of its own for each question, so that no question meets what an earlier one left behind.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hickory_proto::{
    ProtoError,
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, RecordType},
    serialize::binary::DecodeError,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What a name was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// In the order of the answer; at least one.
    pub addresses: Vec<IpAddr>,
    /// How long it may be kept.
    pub ttl: Duration,
}

/// A name could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("failed to resolve {name}: it can't be asked for: {source}")]
    NoName { name: String, source: ProtoError },
    #[error("failed to resolve {name}: failed to ask {server}: {source}")]
    Connection { name: String, server: SocketAddr, source: io::Error },
    #[error("failed to resolve {name}: {server} gave no answer within {} s", ANSWER_WITHIN.as_secs())]
    Silence { name: String, server: SocketAddr },
    #[error("failed to resolve {name}: {server} answered something else than DNS: {source}")]
    Garbled { name: String, server: SocketAddr, source: DecodeError },
    #[error("failed to resolve {name}: {server} answered {code}")]
    Refused { name: String, server: SocketAddr, code: ResponseCode },
    #[error("failed to resolve {name}: {server} knows no address for it")]
    NoAddress { name: String, server: SocketAddr },
}

/// Resolves names at one server. Cheap to clone: clones share what they keep.
#[derive(Clone)]
pub struct Resolver {
    server: SocketAddr,
    /// What is kept of earlier answers; `None`: nothing.
    kept: Option<Arc<Mutex<BTreeMap<String, Kept>>>>,
}

struct Kept {
    answer: Answer,
    until: Instant,
}

impl Resolver {
    /// As a client that asks each time.
    pub fn asking_each_time(server: SocketAddr) -> Self {
        Self { server, kept: None }
    }

    /// As a client that keeps an answer as long as it may, and does not look again before.
    pub fn keeping_answers(server: SocketAddr) -> Self {
        Self { server, kept: Some(Arc::default()) }
    }

    /// The addresses of a name, given whole. Within its time, an answer that was kept is given again.
    pub async fn resolve(&self, name: &str) -> Result<Answer, ResolveError> {
        if let Some(answer) = self.kept_answer(name) {
            return Ok(answer);
        }
        let answer = self.ask(name).await?;
        if let Some(mut kept) = self.kept() {
            let until = Instant::now() + answer.ttl;
            kept.insert(name.to_owned(), Kept { answer: answer.clone(), until });
        }
        Ok(answer)
    }

    fn kept_answer(&self, name: &str) -> Option<Answer> {
        let kept = self.kept()?;
        kept.get(name).filter(|kept| Instant::now() < kept.until).map(|kept| kept.answer.clone())
    }

    fn kept(&self) -> Option<MutexGuard<'_, BTreeMap<String, Kept>>> {
        self.kept.as_ref().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn ask(&self, name: &str) -> Result<Answer, ResolveError> {
        let owned = || name.to_owned();
        let server = self.server;
        let no_name = |source| ResolveError::NoName { name: owned(), source };
        let asked = Name::from_ascii(format!("{name}.")).map_err(no_name)?;
        let mut question = Message::query();
        question.add_query(Query::query(asked, RecordType::A));
        let bytes = question.to_vec().map_err(no_name)?;
        let told = timeout(ANSWER_WITHIN, exchange(server, &bytes)).await;
        let told = told.map_err(|_| ResolveError::Silence { name: owned(), server })?;
        let told = told.map_err(|source| ResolveError::Connection { name: owned(), server, source })?;
        let message =
            Message::from_vec(&told).map_err(|source| ResolveError::Garbled { name: owned(), server, source })?;
        match message.metadata.response_code {
            ResponseCode::NoError => {}
            code => return Err(ResolveError::Refused { name: owned(), server, code }),
        }
        addresses(&message).ok_or_else(|| ResolveError::NoAddress { name: owned(), server })
    }
}

/// The addresses of a message, to be kept as long as each of them may be.
fn addresses(message: &Message) -> Option<Answer> {
    let told = message.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some((IpAddr::V4(address.0), record.ttl)),
        _ => None,
    });
    let (addresses, ttls_s): (Vec<IpAddr>, Vec<u32>) = told.unzip();
    let ttl_s = ttls_s.into_iter().min()?;
    Some(Answer { addresses, ttl: Duration::from_secs(ttl_s.into()) })
}

/// One question and its answer, each behind its length in two bytes (RFC 1035, 4.2.2).
async fn exchange(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Record, rdata::A};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers the first question with 10.0.0.1, the second with 10.0.0.2, and so on.
    async fn server(ttl_s: u32) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut last = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                last += 1;
                let mut question = vec![0; stream.read_u16().await.unwrap().into()];
                stream.read_exact(&mut question).await.unwrap();
                let mut answer = Message::from_vec(&question).unwrap().into_response();
                let name = answer.queries[0].name().clone();
                answer.add_answer(Record::from_rdata(name, ttl_s, RData::A(A::new(10, 0, 0, last))));
                let bytes = answer.to_vec().unwrap();
                stream.write_u16(bytes.len() as u16).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
        });
        address
    }

    async fn two_answers(resolver: &Resolver) -> [String; 2] {
        let first = resolver.resolve("db.pgquake.test").await.unwrap();
        let second = resolver.resolve("db.pgquake.test").await.unwrap();
        [first, second].map(|answer| answer.addresses[0].to_string())
    }

    #[tokio::test]
    async fn an_answer_is_kept_as_long_as_it_may_be_and_only_by_who_keeps_answers() {
        let keeping = Resolver::keeping_answers(server(60).await);
        assert_eq!(two_answers(&keeping).await, ["10.0.0.1", "10.0.0.1"]);
        let out_at_once = Resolver::keeping_answers(server(0).await);
        assert_eq!(two_answers(&out_at_once).await, ["10.0.0.1", "10.0.0.2"]);
        let asking = Resolver::asking_each_time(server(60).await);
        assert_eq!(two_answers(&asking).await, ["10.0.0.1", "10.0.0.2"]);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_and_a_name_that_can_not_be_are_told() {
        let nobody = Resolver::asking_each_time(SocketAddr::from(([127, 0, 0, 1], 1)));
        let refused = nobody.resolve("db.pgquake.test").await.unwrap_err().to_string();
        assert!(refused.starts_with("failed to resolve db.pgquake.test: failed to ask 127.0.0.1:1: "), "{refused}");
        let wrong = nobody.resolve(&"x".repeat(70)).await.unwrap_err();
        assert!(matches!(wrong, ResolveError::NoName { .. }), "{wrong}");
    }
}
