//! Ports of 127.0.0.1 for hosts to be reached at.
//!
//! They are chosen here and not by the engine, which would choose others each time a host is connected anew.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

use rand::Rng;

/// Below the ports that kernels hand out to outgoing connections, of which a prober makes hundreds a second.
const CHOICE: std::ops::Range<u16> = 20_000..32_768;

/// How many ports are tried.
const TRIED: usize = 200;

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port on which nothing listens, and that this process has not been given before. Another process may still take
/// it before it is used.
pub(super) fn free_port() -> Option<u16> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let drawn = (0..TRIED).map(|_| rand::rng().random_range(CHOICE));
    let free = |port: &u16| !handed_out.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = drawn.into_iter().find(free)?;
    handed_out.insert(port);
    Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_and_not_given_twice() {
        let ports: BTreeSet<u16> = (0..20).filter_map(|_| free_port()).collect();
        assert_eq!(ports.len(), 20);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!ports.contains(&taken.local_addr().unwrap().port()));
    }
}
