//! A client of PowerDNS's HTTP API. Every answer's status is checked and every change is read back.

use std::{net::SocketAddr, time::Duration};

use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};

use super::RecordSet;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The PowerDNS of one host.
#[derive(Clone)]
pub struct PowerDns {
    host: String,
    base: String,
    key: String,
    http: reqwest::Client,
}

/// PowerDNS did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PowerDnsError {
    #[error("failed to {doing} in the PowerDNS of {host}: {source}")]
    Unreachable { host: String, doing: String, source: reqwest::Error },
    #[error("failed to {doing} in the PowerDNS of {host}: it answered {status}: {answer}")]
    Refused { host: String, doing: String, status: u16, answer: String },
    #[error("failed to {doing} in the PowerDNS of {host}: it holds {held} instead")]
    Different { host: String, doing: String, held: String },
}

/// What the API says of a zone; much else is left out.
#[derive(Deserialize)]
struct Zone {
    rrsets: Vec<Value>,
}

impl PowerDns {
    /// A client for the API at this address. Nothing is asked yet.
    pub fn new(host: &str, address: SocketAddr, key: &str, http: reqwest::Client) -> Self {
        let base = format!("http://{address}/api/v1/servers/localhost/zones");
        Self { host: host.to_owned(), base, key: key.to_owned(), http }
    }

    /// Whether it answers and takes the key.
    pub async fn answers(&self) -> Result<(), PowerDnsError> {
        self.ask(self.http.get(&self.base), "list the zones").await.map(|_| ())
    }

    /// Makes a zone with these records. It must not be there yet.
    pub async fn make_zone(&self, zone: &str, records: &[RecordSet]) -> Result<(), PowerDnsError> {
        let doing = format!("make the zone {zone}");
        let body = json!({ "name": format!("{zone}."), "kind": "Native", "nameservers": [], "rrsets": records });
        self.ask(self.http.post(&self.base).json(&body), &doing).await?;
        for wanted in records {
            self.holds(zone, wanted, &doing).await?;
        }
        Ok(())
    }

    /// Puts these records in the place of all that their name has.
    pub async fn replace(&self, zone: &str, records: &RecordSet) -> Result<(), PowerDnsError> {
        let doing = format!("replace the records of {}", records.name);
        let mut replaced = serde_json::to_value(records).unwrap_or_default();
        replaced["changetype"] = json!("REPLACE");
        let deleted = json!({ "name": records.name, "type": records.kind.other(), "changetype": "DELETE" });
        let body = json!({ "rrsets": [deleted, replaced] });
        self.ask(self.http.patch(self.url(zone)).json(&body), &doing).await?;
        self.holds(zone, records, &doing).await
    }

    /// Whether a name has these records, and no other.
    async fn holds(&self, zone: &str, wanted: &RecordSet, doing: &str) -> Result<(), PowerDnsError> {
        let held = self.records(zone, &wanted.name, doing).await?;
        if is_held(&held, wanted) {
            return Ok(());
        }
        let held = held.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        Err(PowerDnsError::Different { host: self.host.clone(), doing: doing.to_owned(), held })
    }

    async fn records(&self, zone: &str, name: &str, doing: &str) -> Result<Vec<Value>, PowerDnsError> {
        // A name has only letters, digits, hyphens and dots.
        let url = format!("{}?rrset_name={name}", self.url(zone));
        let answer = self.ask(self.http.get(url), doing).await?;
        let zone: Zone = answer.json().await.map_err(|source| self.unreachable(doing, source))?;
        Ok(zone.rrsets)
    }

    fn url(&self, zone: &str) -> String {
        format!("{}/{zone}.", self.base)
    }

    async fn ask(&self, request: RequestBuilder, doing: &str) -> Result<reqwest::Response, PowerDnsError> {
        let request = request.header("X-API-Key", &self.key).timeout(ANSWER_WITHIN);
        let answer = request.send().await.map_err(|source| self.unreachable(doing, source))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let answer = answer.text().await.unwrap_or_default();
        let (host, doing) = (self.host.clone(), doing.to_owned());
        Err(PowerDnsError::Refused { host, doing, status: status.as_u16(), answer })
    }

    fn unreachable(&self, doing: &str, source: reqwest::Error) -> PowerDnsError {
        PowerDnsError::Unreachable { host: self.host.clone(), doing: doing.to_owned(), source }
    }
}

/// Whether these record sets of one name are just the wanted one. The order of records says nothing.
fn is_held(held: &[Value], wanted: &RecordSet) -> bool {
    let [only] = held else { return false };
    let Ok(mut only) = serde_json::from_value::<RecordSet>(only.clone()) else { return false };
    let mut wanted = wanted.clone();
    only.records.sort();
    wanted.records.sort();
    only == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Leads, record_set};

    #[test]
    fn records_are_held_in_any_order_and_beside_no_others() {
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        let wanted = record_set("db.pgquake.test", 60, &Leads::Plainly(addresses.into()));
        let record = |content: &str| json!({ "content": content, "disabled": false, "modified_at": 1 });
        let held = json!({
            "comments": [], "name": "db.pgquake.test.", "type": "A", "ttl": 60,
            "records": [record("10.0.0.2"), record("10.0.0.1")],
        });
        assert!(is_held(std::slice::from_ref(&held), &wanted));
        assert!(!is_held(&[held.clone(), held.clone()], &wanted));
        assert!(!is_held(&[], &wanted));
        let other = record_set("db.pgquake.test", 61, &Leads::Plainly(addresses.into()));
        assert!(!is_held(&[held], &other));
    }
}
