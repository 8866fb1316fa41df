//! Global names: what each is answered with.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    history::{Occurrence, Recorder},
    names::Resolver,
    services::powerdns::DNS_PORT,
    system::Access,
    topology::GlobalName,
};

pub(super) const OBSERVER: Observer =
    Observer { name: "names", watches: "what each global name is answered with, every 500 ms", watch };

const PERIOD: Duration = Duration::from_millis(500);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let names = &scene.plan.topology.names;
    let Some(server) = scene.plan.name_server().filter(|_| !names.is_empty()) else { return Ok(Vec::new()) };
    let resolver = Resolver::asking_each_time(scene.address(OBSERVER.name, server, DNS_PORT)?);
    let watched = names.iter().map(|name| Watched { name: name.clone(), told: None }).collect();
    let watching = watch_names(server.to_owned(), watched, resolver, scene.access.clone(), scene.recorder.clone());
    Ok(vec![Watch::new(server, watching)])
}

/// A name, and what was recorded of it last.
struct Watched {
    name: GlobalName,
    /// `None`: nothing yet. `Some(None)`: that no answer came.
    told: Option<Option<BTreeSet<String>>>,
}

async fn watch_names(
    server: String,
    mut watched: Vec<Watched>,
    resolver: Resolver,
    access: Access,
    recorder: Recorder,
) -> String {
    let mut pulse = Pulse::new(OBSERVER.name, &server, &recorder);
    let mut due = every(PERIOD);
    loop {
        due.tick().await;
        // A server that is gone keeps each question waiting, so all are asked at the same time.
        let whole: Vec<String> = watched.iter().map(|watched| watched.name.in_zone()).collect();
        let answers = join_all(whole.iter().map(|name| resolver.resolve(name))).await;
        for (watched, answer) in watched.iter_mut().zip(answers) {
            let hosts = answer.ok().map(|answer| access.hosts_at(&answer.addresses));
            if let Some(hosts) = watched.change(hosts) {
                recorder.record(Occurrence::NameAnswer { name: watched.name.name.clone(), hosts });
            }
        }
        pulse.beat();
    }
}

impl Watched {
    /// What there is to record of an answer, if it tells something new.
    fn change(&mut self, hosts: Option<Vec<String>>) -> Option<Option<Vec<String>>> {
        let mut hosts: Option<BTreeSet<String>> = hosts.map(|hosts| hosts.into_iter().collect());
        // Of a name by weight another host is drawn for each question. Each is recorded once.
        if let (true, Some(hosts), Some(Some(told))) = (self.name.is_weighted(), &mut hosts, &self.told) {
            hosts.extend(told.iter().cloned());
        }
        if self.told.as_ref() == Some(&hosts) {
            return None;
        }
        self.told = Some(hosts.clone());
        Some(hosts.map(|hosts| hosts.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Answer;

    fn watched(weight: Option<u32>) -> Watched {
        let answer = |host: &str| Answer { host: host.to_owned(), weight };
        let answers = vec![answer("east"), answer("west")];
        let name = GlobalName { name: "db".to_owned(), ttl_s: None, health_checked: false, answers };
        Watched { name, told: None }
    }

    fn hosts(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_change_and_a_silence_are_told_once() {
        let mut watched = watched(None);
        assert_eq!(watched.change(hosts(&["east"])), Some(hosts(&["east"])));
        assert_eq!(watched.change(hosts(&["east"])), None);
        assert_eq!(watched.change(None), Some(None));
        assert_eq!(watched.change(None), None);
        assert_eq!(watched.change(hosts(&["east"])), Some(hosts(&["east"])));
        assert_eq!(watched.change(hosts(&["west"])), Some(hosts(&["west"])));
    }

    #[test]
    fn of_a_name_by_weight_each_host_is_told_once() {
        let mut watched = watched(Some(1));
        assert_eq!(watched.change(hosts(&["west"])), Some(hosts(&["west"])));
        assert_eq!(watched.change(hosts(&["east"])), Some(hosts(&["east", "west"])));
        assert_eq!(watched.change(hosts(&["west"])), None);
    }
}
