//! Containers that die: by a fault, by their own failure after one, or by something that is no part of the scenario.

use std::collections::BTreeMap;

use crate::history::{Event, Occurrence, event::FaultInjecting};

/// The engine reports a death a moment after it, when the fault may just be healed.
const TOLD_WITHIN_US: u64 = 5_000_000;
/// The exit status of what was killed with SIGKILL: nothing does that to itself.
const KILLED: i32 = 137;
/// Those of what ended because it was told to.
const TOLD_TO_END: [i32; 2] = [0, 143];

/// A death that no fault explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    pub reason: String,
    /// Of a holder: all services of the host die with it.
    pub is_of_a_host: bool,
}

/// What faults have done so far.
#[derive(Default)]
pub(super) struct Deaths {
    faults: BTreeMap<u32, Touched>,
}

struct Touched {
    injecting: FaultInjecting,
    healed_us: Option<u64>,
}

impl Touched {
    fn touches(&self, host: &str, service: &str) -> bool {
        let FaultInjecting { services, hosts, .. } = &self.injecting;
        match services.is_empty() {
            true => hosts.iter().any(|hit| hit == host),
            false => services.contains(&format!("{host}/{service}")),
        }
    }

    fn is_on(&self, at_us: u64) -> bool {
        self.healed_us.is_none_or(|healed_us| at_us <= healed_us + TOLD_WITHIN_US)
    }
}

impl Deaths {
    /// Takes one more event in. Returns a death that the scenario does not explain.
    pub fn unexplained(&mut self, event: &Event) -> Option<Death> {
        match &event.what {
            Occurrence::FaultInjecting(injecting) => {
                let touched = Touched { injecting: injecting.clone(), healed_us: None };
                self.faults.insert(injecting.fault, touched);
                None
            }
            Occurrence::FaultHealed { fault, .. } => {
                if let Some(touched) = self.faults.get_mut(fault) {
                    touched.healed_us = Some(event.at_us);
                }
                None
            }
            Occurrence::ContainerEvent { host, service, action, exit_status, .. } => match action.as_str() {
                "die" => self.judge_death(event.at_us, host, service, *exit_status),
                "oom" if !self.is_hit(event.at_us, host, service) => {
                    let reason = format!("the kernel killed a process of {service} on {host} for want of memory");
                    Some(Death { reason, is_of_a_host: false })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// No fault ends a holder: it is the host. A service may fail by itself after a fault that hit it, and that is what
    /// a scenario is about; but nobody is killed, or told to end, by himself.
    fn judge_death(&self, at_us: u64, host: &str, service: &str, status: Option<i32>) -> Option<Death> {
        let by_itself = status.is_some_and(|status| status != KILLED && !TOLD_TO_END.contains(&status));
        let was_hit = self.faults.values().any(|fault| fault.touches(host, service));
        let explained = self.is_hit(at_us, host, service) || (by_itself && was_hit);
        let told = status.map(|status| format!(" with status {status}")).unwrap_or_default();
        let is_of_a_host = service == "holder";
        let reason = match is_of_a_host {
            true => format!("the container of host {host} ended{told}; no fault does that"),
            false => format!("the container of {service} on {host} ended{told}, and no fault had ended it"),
        };
        (is_of_a_host || !explained).then_some(Death { reason, is_of_a_host })
    }

    fn is_hit(&self, at_us: u64, host: &str, service: &str) -> bool {
        self.faults.values().any(|fault| fault.is_on(at_us) && fault.touches(host, service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_us: u64, what: Occurrence) -> Event {
        Event { seq: 1, at_us, scenario: 1, what }
    }

    fn injecting(fault: u32, services: &[&str]) -> Event {
        let services = services.iter().map(|service| (*service).to_owned()).collect();
        event(
            10,
            Occurrence::FaultInjecting(FaultInjecting {
                fault,
                name: "service_kill".to_owned(),
                target: "node1".to_owned(),
                hosts: vec!["node1".to_owned()],
                services,
                parameters: Default::default(),
                hands_over: false,
                worst: Default::default(),
                primary_before: None,
                dcs_leader_before: None,
            }),
        )
    }

    fn told(at_us: u64, host: &str, service: &str, action: &str, exit_status: Option<i32>) -> Event {
        let (host, service, action) = (host.to_owned(), service.to_owned(), action.to_owned());
        event(at_us, Occurrence::ContainerEvent { host, service, action, engine_time_ns: 0, exit_status })
    }

    fn healed(at_us: u64, fault: u32) -> Event {
        event(at_us, Occurrence::FaultHealed { fault, evidence: String::new() })
    }

    #[test]
    fn a_death_by_a_fault_is_none_of_the_grounds_business() {
        let mut deaths = Deaths::default();
        assert_eq!(deaths.unexplained(&injecting(1, &["node1/etcd"])), None);
        assert_eq!(deaths.unexplained(&told(20, "node1", "etcd", "die", Some(137))), None);
        assert_eq!(deaths.unexplained(&healed(30, 1)), None);
        // The engine reports it late.
        assert_eq!(deaths.unexplained(&told(1_000_000, "node1", "etcd", "die", Some(137))), None);
        // Damaged, it fails by itself later.
        assert_eq!(deaths.unexplained(&told(60_000_000, "node1", "etcd", "die", Some(1))), None);
    }

    #[test]
    fn a_death_that_no_fault_explains_is_a_loss() {
        let mut deaths = Deaths::default();
        deaths.unexplained(&injecting(1, &["node1/etcd"]));
        assert!(deaths.unexplained(&told(20, "node1", "patroni", "die", Some(137))).is_some(), "its neighbour");
        assert!(deaths.unexplained(&told(20, "node2", "etcd", "die", Some(1))).is_some(), "another host");
        assert!(deaths.unexplained(&told(20, "node1", "holder", "die", None)).is_some(), "the host itself");
        deaths.unexplained(&healed(30, 1));
        let late = deaths.unexplained(&told(60_000_000, "node1", "etcd", "die", Some(137)));
        assert_eq!(
            late.unwrap().reason,
            "the container of etcd on node1 ended with status 137, and no fault had ended it"
        );
        assert!(deaths.unexplained(&told(60_000_000, "node1", "etcd", "die", Some(0))).is_some(), "told to end");
    }

    #[test]
    fn want_of_memory_is_a_loss_where_no_fault_limits_it() {
        let mut deaths = Deaths::default();
        assert!(deaths.unexplained(&told(20, "node1", "patroni", "oom", None)).is_some());
        deaths.unexplained(&injecting(1, &["node1/patroni"]));
        assert_eq!(deaths.unexplained(&told(30, "node1", "patroni", "oom", None)), None);
        assert_eq!(deaths.unexplained(&told(30, "node1", "patroni", "start", None)), None);
    }
}
