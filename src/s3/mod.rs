//! A client of S3 servers: buckets, and what they hold with every version of it. Requests are signed by rusty-s3.
//!
//! Architecture invariant: it changes nothing but the buckets that it makes and one object of its own ([`TRIED`]), by which
//! the faults of storage are proven. What an observer asks changes nothing.

mod listing;

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, StatusCode, Url};

pub use listing::{Listing, Stored};

/// How long an answer may take. An observer that asks shows a sign of life with each, at least every five seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// The object that is stored to see whether a bucket takes one. No tool looks for anything under this name.
const TRIED: &str = "pgquake-tried";
/// How long a signed request is good for.
const GOOD_FOR_S: u64 = 60;

/// An S3 server, as the harness reaches it.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    /// Its host, which its certificate names.
    pub host: &'a str,
    pub at: At,
    /// The region that requests are signed for.
    pub region: &'a str,
    pub key_id: &'a str,
    pub secret: &'a str,
    /// The certificate of the authority that it is certified by, as PEM.
    pub authority: &'a str,
}

/// Where a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At an address, whatever its name resolves to.
    Address(SocketAddr),
    /// At its name, on this port.
    Name(u16),
}

/// What a server did not do, by what the reader can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    /// The authority's certificate can't be read.
    #[error("failed to read the authority's certificate for {host}: {reason}")]
    Authority {
        /// The server's host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer came.
    #[error(
        "failed to {doing} at {host}: no S3 server answers: {reason}; is its service running, and its host's link whole?"
    )]
    Unreachable {
        /// The server's host.
        host: String,
        /// What was asked for.
        doing: String,
        /// What went wrong on the way.
        reason: String,
    },
    /// The server's certificate is not one of the authority's, not for this host, or not of this time.
    #[error(
        "failed to {doing} at {host}: its certificate is not accepted: {reason}; compare the authority that clients are \
         given with the one that certified the server, and the names and the time in the certificate"
    )]
    Certificate {
        /// The server's host.
        host: String,
        /// What was asked for.
        doing: String,
        /// What the certificate lacks.
        reason: String,
    },
    /// The server knows no such key, or the request was signed by another one.
    #[error("failed to {doing} at {host}: it refuses the key ({code}); compare the key and its name with the server's")]
    Keys {
        /// The server's host.
        host: String,
        /// What was asked for.
        doing: String,
        /// The server's code for it.
        code: String,
    },
    /// The bucket is not there.
    #[error("failed to {doing} at {host}: there is no bucket of this name")]
    NoBucket {
        /// The server's host.
        host: String,
        /// What was asked for.
        doing: String,
    },
    /// It refused for another reason.
    #[error("failed to {doing} at {host}: it answered {status} ({code})")]
    Refused {
        /// The server's host.
        host: String,
        /// What was asked for.
        doing: String,
        /// The status of the answer.
        status: u16,
        /// The server's code for it.
        code: String,
    },
}

/// A client of one server.
#[derive(Clone)]
pub struct S3 {
    host: String,
    base: Url,
    region: String,
    key_id: String,
    secret: String,
    http: reqwest::Client,
}

impl S3 {
    /// A client. Nothing is asked yet.
    pub fn new(server: &Server<'_>) -> Result<Self, S3Error> {
        let unread = |reason: String| S3Error::Authority { host: server.host.to_owned(), reason };
        let tls = crate::trust::trusting(server.authority, None).map_err(unread)?;
        // The name is what the certificate is for; the address is where the harness finds it.
        let http = crate::http::client().timeout(ANSWER_WITHIN).tls_backend_preconfigured(tls);
        let (http, port) = match server.at {
            At::Address(address) => (http.resolve(server.host, address), address.port()),
            At::Name(port) => (http, port),
        };
        let http = http.build().map_err(|error| unread(error.to_string()))?;
        let base = Url::parse(&format!("https://{}:{port}/", server.host));
        Ok(Self {
            host: server.host.to_owned(),
            base: base.map_err(|error| unread(error.to_string()))?,
            region: server.region.to_owned(),
            key_id: server.key_id.to_owned(),
            secret: server.secret.to_owned(),
            http,
        })
    }

    /// Whether it answers and takes the key.
    pub async fn answers(&self) -> Result<(), S3Error> {
        self.ask(Method::GET, "", &[], None, "list the buckets").await.map(|_| ())
    }

    /// Makes a bucket; leaves one alone that is there. A versioned one keeps what is overwritten or deleted.
    pub async fn make_bucket(&self, name: &str, versioned: bool) -> Result<(), S3Error> {
        let doing = format!("make the bucket {name}");
        match self.ask(Method::PUT, name, &[], None, &doing).await {
            Err(S3Error::Refused { code, .. }) if code == "BucketAlreadyOwnedByYou" => {}
            made => drop(made?),
        }
        if versioned {
            let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
            self.ask(Method::PUT, name, &[("versioning", "")], Some(body), &doing).await?;
        }
        Ok(())
    }

    /// Whether a bucket takes an object: stores a small one.
    pub async fn try_to_store(&self, bucket: &str) -> Result<(), S3Error> {
        let doing = format!("store an object in the bucket {bucket}");
        self.ask(Method::PUT, &format!("{bucket}/{TRIED}"), &[], Some("tried"), &doing).await.map(|_| ())
    }

    /// Every version of every object below a prefix, in the order of their names.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Stored>, S3Error> {
        let doing = format!("list {prefix} in the bucket {bucket}");
        let mut all = Vec::new();
        let mut from = (String::new(), String::new());
        loop {
            // Sorted by name, as signatures want them.
            let mut query = vec![("prefix", prefix), ("versions", "")];
            if !from.0.is_empty() {
                query =
                    vec![("key-marker", &from.0), ("prefix", prefix), ("version-id-marker", &from.1), ("versions", "")];
            }
            let text = self.ask(Method::GET, bucket, &query, None, &doing).await?;
            let refused =
                |code: String| S3Error::Refused { host: self.host.clone(), doing: doing.clone(), status: 200, code };
            let Listing { stored, next } = Listing::parse(&text).map_err(refused)?;
            all.extend(stored);
            match next {
                Some(next) => from = next,
                None => return Ok(all),
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&str>,
        doing: &str,
    ) -> Result<String, S3Error> {
        let mut url = self.base.clone();
        url.set_path(path);
        let signed_for = if method == Method::PUT { rusty_s3::Method::Put } else { rusty_s3::Method::Get };
        let signed = rusty_s3::signing::sign(
            &jiff::Timestamp::now(),
            signed_for,
            url,
            &self.key_id,
            &self.secret,
            None,
            &self.region,
            GOOD_FOR_S,
            query.iter().copied(),
            std::iter::empty(),
        );
        let mut request = self.http.request(method, signed);
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        // A signed URL is as good as a key for a while: no error shows it.
        let answer = request.send().await.map_err(|error| self.no_answer(doing, error.without_url()))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.no_answer(doing, error.without_url()))?;
        if status.is_success() { Ok(text) } else { Err(self.refused(doing, status, &text)) }
    }

    fn no_answer(&self, doing: &str, error: reqwest::Error) -> S3Error {
        let causes: Vec<String> = std::iter::successors(std::error::Error::source(&error), |cause| cause.source())
            .map(ToString::to_string)
            .collect();
        let reason = causes.last().cloned().unwrap_or_else(|| error.to_string());
        let (host, doing) = (self.host.clone(), doing.to_owned());
        match causes.iter().any(|cause| cause.contains("certificate")) {
            true => S3Error::Certificate { host, doing, reason },
            false => S3Error::Unreachable { host, doing, reason },
        }
    }

    fn refused(&self, doing: &str, status: StatusCode, text: &str) -> S3Error {
        let code = listing::error_code(text).unwrap_or_else(|| "no code".to_owned());
        let (host, doing) = (self.host.clone(), doing.to_owned());
        match code.as_str() {
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AccessDenied" => S3Error::Keys { host, doing, code },
            "NoSuchBucket" => S3Error::NoBucket { host, doing },
            _ => S3Error::Refused { host, doing, status: status.as_u16(), code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(authority: &str) -> Server<'_> {
        let at = At::Address(SocketAddr::from(([127, 0, 0, 1], 1)));
        Server { host: "storage", at, region: "us-east-1", key_id: "name", secret: "key", authority }
    }

    #[test]
    fn an_authority_that_is_none_is_told() {
        for text in ["", "no certificate"] {
            let Err(error) = S3::new(&server(text)) else { panic!("{text:?} was taken") };
            assert!(error.to_string().contains("authority's certificate for storage"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_and_nothing_of_the_key_is_shown() {
        let authority = rcgen::generate_simple_self_signed(["storage".to_owned()]).unwrap().cert.pem();
        let error = S3::new(&server(&authority)).unwrap().answers().await.unwrap_err();
        assert!(matches!(error, S3Error::Unreachable { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("storage") && !text.contains("X-Amz"), "{text}");
    }
}
