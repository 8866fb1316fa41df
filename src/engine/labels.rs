//! Labels and names: how a run's containers and networks are distinguished from all others, and from those of a run at
//! the same time.

use std::collections::HashMap;

/// On everything that pgquake makes.
pub const RUN: &str = "pgquake.run";
/// The number of the scenario in the run.
pub const SCENARIO: &str = "pgquake.scenario";
/// The host's name.
pub const HOST: &str = "pgquake.host";
/// The service's name; `holder` for the container that is the host.
pub const SERVICE: &str = "pgquake.service";
/// The file that the owning process holds locked as long as it lives; empty: kept on purpose (`pgquake up`).
pub const OWNER: &str = "pgquake.owner";

/// The labels of one system of one run.
#[derive(Debug, Clone)]
pub struct RunLabels {
    pub run: String,
    pub scenario: u32,
    /// See [`OWNER`].
    pub owner: String,
}

impl RunLabels {
    fn common(&self) -> HashMap<String, String> {
        HashMap::from([
            (RUN.to_owned(), self.run.clone()),
            (SCENARIO.to_owned(), self.scenario.to_string()),
            (OWNER.to_owned(), self.owner.clone()),
        ])
    }

    pub(crate) fn of_network(&self) -> HashMap<String, String> {
        self.common()
    }

    /// Those of a container that is no service: its end is no event of the system.
    pub(crate) fn of_errand(&self) -> HashMap<String, String> {
        self.common()
    }

    pub(crate) fn of_container(&self, host: &str, service: &str) -> HashMap<String, String> {
        let mut labels = self.common();
        labels.insert(HOST.to_owned(), host.to_owned());
        labels.insert(SERVICE.to_owned(), service.to_owned());
        labels
    }

    pub(crate) fn network_name(&self, region: &str) -> String {
        format!("pgquake-{}-{}-{region}", self.run, self.scenario)
    }

    pub(crate) fn container_name(&self, host: &str, service: &str) -> String {
        format!("pgquake-{}-{}-{host}-{service}", self.run, self.scenario)
    }
}
