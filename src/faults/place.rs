//! What faults stand on, and what they take away from one another: hosts, networks, services, processes.

use std::fmt;

use super::Process;
use crate::topology::Instance;

/// A part of a running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Host(String),
    /// A host's way to its peers.
    Network(String),
    /// What passes between two hosts, either way.
    Path(String, String),
    Service(String, Instance),
    Process(String, Process),
    /// What a host shows to whoever connects over TLS.
    Certificate(String),
}

impl Place {
    /// Whether it is lost when another place is: all of a host with the host, a process with its service, and
    /// PostgreSQL's own processes with the first one of them.
    pub fn is_lost_with(&self, lost: &Place) -> bool {
        match (lost, self) {
            (Place::Host(host), _) => self.is_on(host),
            (Place::Network(host), Place::Network(own)) => host == own,
            (Place::Network(host), Place::Path(one, other)) => host == one || host == other,
            (Place::Path(..), Place::Path(one, other)) => {
                let back = Place::Path(other.clone(), one.clone());
                lost == self || *lost == back
            }
            (Place::Service(host, service), Place::Process(on, process)) => {
                host == on && process.service() == service.kind
            }
            (Place::Process(host, first), Place::Process(on, process)) if *first == Process::POSTMASTER => {
                host == on && (process.is_backend() || *process == Process::POSTMASTER)
            }
            _ => lost == self,
        }
    }

    /// Whether it is, or touches, this host.
    fn is_on(&self, host: &str) -> bool {
        match self {
            Place::Host(own) | Place::Network(own) | Place::Certificate(own) => own == host,
            Place::Service(own, _) | Place::Process(own, _) => own == host,
            Place::Path(one, other) => one == host || other == host,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host(host) => formatter.write_str(host),
            Place::Network(host) => write!(formatter, "the network of {host}"),
            Place::Path(one, other) => write!(formatter, "the path between {one} and {other}"),
            Place::Service(host, service) => write!(formatter, "{service} on {host}"),
            Place::Process(host, process) => write!(formatter, "{} on {host}", process.word()),
            Place::Certificate(host) => write!(formatter, "the certificate of {host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::ServiceKind;

    fn on(host: &str, process: Process) -> Place {
        Place::Process(host.to_owned(), process)
    }

    #[test]
    fn a_host_takes_all_of_it_and_nothing_of_others() {
        let node1 = Place::Host("node1".to_owned());
        let path = |one: &str, other: &str| Place::Path(one.to_owned(), other.to_owned());
        for own in [node1.clone(), Place::Network("node1".to_owned()), path("node1", "node2"), path("node2", "node1")] {
            assert!(own.is_lost_with(&node1), "{own}");
        }
        assert!(Place::Service("node1".to_owned(), ServiceKind::Etcd.into()).is_lost_with(&node1));
        assert!(!path("node2", "node3").is_lost_with(&node1));
        assert!(!Place::Host("node2".to_owned()).is_lost_with(&node1));
        assert!(!node1.is_lost_with(&Place::Network("node1".to_owned())));
        assert!(path("node1", "node2").is_lost_with(&path("node2", "node1")));
        assert!(path("node1", "node2").is_lost_with(&Place::Network("node2".to_owned())));
    }

    #[test]
    fn postgresqls_processes_go_with_the_first_one_and_the_agent_does_not() {
        let patroni = Place::Service("node1".to_owned(), ServiceKind::Patroni.into());
        assert!(on("node1", Process::AGENT).is_lost_with(&patroni));
        assert!(!on("node1", Process::parse("etcd").expect("a process of etcd")).is_lost_with(&patroni));
        let postmaster = on("node1", Process::POSTMASTER);
        assert!(on("node1", Process::CHECKPOINTER).is_lost_with(&postmaster));
        assert!(postmaster.is_lost_with(&postmaster));
        assert!(!on("node1", Process::AGENT).is_lost_with(&postmaster));
        assert!(!on("node2", Process::CHECKPOINTER).is_lost_with(&postmaster));
        assert!(!postmaster.is_lost_with(&on("node1", Process::CHECKPOINTER)));
    }
}
