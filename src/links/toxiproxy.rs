//! A client of Toxiproxy's HTTP API. Every answer's status is checked and every change is read back: a toxic that
//! the server took for something else is an error, not a fault that never happened.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Toxic;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The Toxiproxy of one host.
#[derive(Clone)]
pub struct Toxiproxy {
    host: String,
    base: String,
    http: reqwest::Client,
}

/// A listener and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub name: String,
    /// Address and port in the host.
    pub listen: String,
    /// Address and port of the far service.
    pub upstream: String,
    /// Whether it accepts connections.
    pub enabled: bool,
}

/// A Toxiproxy did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ToxiproxyError {
    #[error("failed to {doing} in the Toxiproxy of {host}: {source}")]
    Unreachable { host: String, doing: String, source: reqwest::Error },
    #[error("failed to {doing} in the Toxiproxy of {host}: it answered {status}: {answer}")]
    Refused { host: String, doing: String, status: u16, answer: String },
    #[error("failed to {doing} in the Toxiproxy of {host}: it holds {held} instead")]
    Different { host: String, doing: String, held: String },
}

impl Toxiproxy {
    /// A client for the API at this address. Nothing is asked yet.
    pub fn new(host: &str, address: SocketAddr, http: reqwest::Client) -> Self {
        Self { host: host.to_owned(), base: format!("http://{address}"), http }
    }

    /// Every listener, by name.
    pub async fn listeners(&self) -> Result<BTreeMap<String, Listener>, ToxiproxyError> {
        self.ask(self.http.get(self.url("/proxies")), "list the listeners").await
    }

    /// Makes these listeners; those that are there already stay as they are if they are the same.
    pub async fn populate(&self, listeners: &[Listener]) -> Result<(), ToxiproxyError> {
        let doing = "make the listeners";
        let _: serde_json::Value = self.ask(self.http.post(self.url("/populate")).json(listeners), doing).await?;
        let held = self.listeners().await?;
        match listeners.iter().find(|wanted| held.get(&wanted.name) != Some(wanted)) {
            None => Ok(()),
            Some(missing) => Err(self.different(doing, &held.get(&missing.name))),
        }
    }

    /// The toxics of a listener.
    pub async fn toxics(&self, listener: &str) -> Result<Vec<Toxic>, ToxiproxyError> {
        let doing = format!("list the toxics of {listener}");
        self.ask(self.http.get(self.url(&format!("/proxies/{listener}/toxics"))), &doing).await
    }

    /// Adds a toxic. It holds for connections that are open, too.
    pub async fn add(&self, listener: &str, toxic: &Toxic) -> Result<(), ToxiproxyError> {
        let doing = format!("add the toxic {} to {listener}", toxic.name);
        let request = self.http.post(self.url(&format!("/proxies/{listener}/toxics"))).json(toxic);
        let _: serde_json::Value = self.ask(request, &doing).await?;
        self.holds(listener, toxic, &doing).await
    }

    /// Changes the attributes and the toxicity of a toxic that is there. Its kind and stream stay.
    pub async fn change(&self, listener: &str, toxic: &Toxic) -> Result<(), ToxiproxyError> {
        let doing = format!("change the toxic {} of {listener}", toxic.name);
        let url = self.url(&format!("/proxies/{listener}/toxics/{}", toxic.name));
        let _: serde_json::Value = self.ask(self.http.post(url).json(toxic), &doing).await?;
        self.holds(listener, toxic, &doing).await
    }

    /// Removes a toxic; one that is not there is no error.
    pub async fn remove(&self, listener: &str, toxic: &Toxic) -> Result<(), ToxiproxyError> {
        let doing = format!("remove the toxic {} from {listener}", toxic.name);
        let url = self.url(&format!("/proxies/{listener}/toxics/{}", toxic.name));
        let within = ANSWER_WITHIN + toxic.kind.lets_go_within();
        let sent = self.http.delete(url).timeout(within).send().await;
        let answer = sent.map_err(|source| self.unreachable(&doing, source))?;
        match answer.status().as_u16() {
            200..300 | 404 => Ok(()),
            status => {
                let answer = answer.text().await.unwrap_or_default();
                Err(ToxiproxyError::Refused { host: self.host.clone(), doing, status, answer })
            }
        }
    }

    async fn holds(&self, listener: &str, toxic: &Toxic, doing: &str) -> Result<(), ToxiproxyError> {
        let held = self.toxics(listener).await?;
        if held.contains(toxic) { Ok(()) } else { Err(self.different(doing, &held)) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        doing: &str,
    ) -> Result<T, ToxiproxyError> {
        let unreachable = |source| self.unreachable(doing, source);
        let answer = request.timeout(ANSWER_WITHIN).send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(unreachable);
        }
        let answer = answer.text().await.unwrap_or_default();
        let (host, doing) = (self.host.clone(), doing.to_owned());
        Err(ToxiproxyError::Refused { host, doing, status: status.as_u16(), answer })
    }

    fn unreachable(&self, doing: &str, source: reqwest::Error) -> ToxiproxyError {
        ToxiproxyError::Unreachable { host: self.host.clone(), doing: doing.to_owned(), source }
    }

    fn different(&self, doing: &str, held: &impl std::fmt::Debug) -> ToxiproxyError {
        ToxiproxyError::Different { host: self.host.clone(), doing: doing.to_owned(), held: format!("{held:?}") }
    }
}
