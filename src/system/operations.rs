//! What an operator asks of Patroni: through its REST API, as `patronictl` does.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{RunningCluster, System};

/// How long a question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long Patroni may take to do what it is asked: it answers a switchover only when another node leads, or when it
/// has given up on it.
const DONE_WITHIN: Duration = Duration::from_secs(90);

/// Patroni did not carry out a request.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// It gave no answer.
    #[error("failed to reach Patroni on {node}: {reason}")]
    Unreachable {
        /// The node that was asked.
        node: String,
        /// What went wrong on the way.
        reason: String,
    },
    /// It answered that it did not.
    #[error("Patroni on {node} refused {path}: {status}: {text}")]
    Refused {
        /// The node that was asked.
        node: String,
        /// The path of the request.
        path: String,
        /// The status of the answer.
        status: u16,
        /// The answer.
        text: String,
    },
}

impl System {
    /// Hands the leader key over to a candidate, or to whom Patroni thinks best.
    pub async fn switch_over(&self, leader: &str, candidate: Option<&str>) -> Result<String, OperationError> {
        let mut order = json!({ "leader": leader });
        if let Some(candidate) = candidate {
            order["candidate"] = json!(candidate);
        }
        self.ask(leader, "POST", "switchover", &order).await
    }

    /// Makes a candidate the primary, whether there is one or not. The request goes to the candidate.
    pub async fn fail_over(&self, candidate: &str) -> Result<String, OperationError> {
        self.ask(candidate, "POST", "failover", &json!({ "candidate": candidate })).await
    }

    /// Rebuilds a standby from the primary.
    pub async fn reinitialize(&self, node: &str) -> Result<String, OperationError> {
        self.ask(node, "POST", "reinitialize", &json!({ "force": true })).await
    }

    /// Restarts PostgreSQL on a node, and leaves the agent alone.
    pub async fn restart_postgresql(&self, node: &str) -> Result<String, OperationError> {
        self.ask(node, "POST", "restart", &json!({})).await
    }

    /// Whether every node's Patroni has seen its PostgreSQL run. One that has not yet keeps a change of the
    /// configuration to itself until PostgreSQL is started the next time.
    pub async fn agents_run(&self) -> Result<(), String> {
        for (node, _) in self.plan().nodes_with_agents() {
            self.agent_runs(node).await?;
        }
        Ok(())
    }

    /// Whether a node's Patroni has seen its PostgreSQL run.
    pub async fn agent_runs(&self, node: &str) -> Result<(), String> {
        let said = self.patroni_says(node).await?;
        if said["state"] == "running" {
            return Ok(());
        }
        Err(format!("Patroni says that PostgreSQL on {node} is {}", said["state"]))
    }

    /// What a node's Patroni reports of itself.
    pub async fn patroni_says(&self, node: &str) -> Result<Value, String> {
        self.told(node, "patroni").await
    }

    /// A node's Patroni's answer to a GET, whatever its status.
    pub(super) async fn patroni_answer(&self, node: &str, path: &str) -> Result<reqwest::Response, String> {
        let at = self.access().patroni(node).ok_or_else(|| format!("{node} is not published"))?;
        let request = self.inner.http.get(format!("{at}/{path}")).timeout(ANSWER_WITHIN);
        request.send().await.map_err(|error| error.to_string())
    }

    async fn told(&self, node: &str, path: &str) -> Result<Value, String> {
        let answer = self.patroni_answer(node, path).await?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("{node} gave no JSON at /{path}: {error}"))
    }

    async fn ask(&self, node: &str, method: &str, path: &str, order: &Value) -> Result<String, OperationError> {
        let unreachable = |reason: String| OperationError::Unreachable { node: node.to_owned(), reason };
        let at = self.access().patroni(node);
        let at = at.ok_or_else(|| unreachable("it is not published".to_owned()))?;
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or(reqwest::Method::POST);
        let request = self.inner.http.request(method, format!("{at}/{path}")).timeout(DONE_WITHIN);
        let request = request.header("Content-Type", "application/json").body(order.to_string());
        let answer = request.send().await.map_err(|error| unreachable(error.to_string()))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| unreachable(error.to_string()))?;
        if status.is_success() {
            return Ok(text);
        }
        let (node, path) = (node.to_owned(), path.to_owned());
        Err(OperationError::Refused { node, path, status: status.as_u16(), text })
    }
}

impl RunningCluster<'_> {
    /// Changes the configuration that all nodes of the cluster share. A null removes a key.
    pub async fn configure(&self, change: &Value) -> Result<String, OperationError> {
        let mut last = None;
        for node in &self.cluster.nodes {
            match self.system.ask(node, "PATCH", "config", change).await {
                Err(unreachable @ OperationError::Unreachable { .. }) => last = Some(unreachable),
                answered => return answered,
            }
        }
        Err(last.unwrap_or_else(|| OperationError::Unreachable {
            node: "any node".to_owned(),
            reason: "there is none".to_owned(),
        }))
    }

    /// Has every agent that answers look at the DCS at once: one that is told of a configuration does, also where that is the
    /// one which it has.
    pub(super) async fn look_again(&self, configuration: &Value) {
        let told = self.cluster.nodes.iter().map(|node| self.system.ask(node, "PATCH", "config", configuration));
        // Who does not answer finds the leader himself when he comes.
        drop(timeout(ANSWER_WITHIN, join_all(told)).await);
    }

    /// The configuration that all nodes of the cluster share, as the first node that answers reports it.
    pub async fn configuration(&self) -> Result<Value, String> {
        self.first_report("config").await
    }

    /// The members of the cluster in its DCS, as the first node that answers reports them.
    pub async fn members(&self) -> Result<Vec<String>, String> {
        let report = self.first_report("cluster").await?;
        let members = report["members"].as_array().cloned().unwrap_or_default();
        Ok(members.iter().filter_map(|member| member["name"].as_str().map(str::to_owned)).collect())
    }

    async fn first_report(&self, path: &str) -> Result<Value, String> {
        let mut last = "there is no node".to_owned();
        for node in &self.cluster.nodes {
            match self.system.told(node, path).await {
                Ok(report) => return Ok(report),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
