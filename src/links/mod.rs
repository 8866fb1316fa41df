//! Shaped links: those that leave a host through a Toxiproxy, so that a scenario can slow them.
//!
//! Each host at which a shaped link begins runs a Toxiproxy, with one listener for each far host and port on a
//! loopback address of its own. An nftables rule sends connections to the far host's address there, so every program
//! goes through it, whatever name or address it uses; those of Toxiproxy itself and of PowerDNS are spared by their user
//! ids.
//!
//! Architecture invariant: this folder only renders rules and speaks Toxiproxy's API. What to do with a link is
//! decided by faults.

mod redirect;
mod toxic;
mod toxiproxy;

pub use redirect::redirect_script;
pub use toxic::{Stream, Toxic, ToxicKind};
pub use toxiproxy::{Listener, Toxiproxy, ToxiproxyError};

/// The user as whom Toxiproxy runs; `images/toxiproxy/Dockerfile` sets it.
pub const TOXIPROXY_USER_ID: u32 = 7474;

/// The user as whom PowerDNS runs; `images/powerdns/Dockerfile` sets it. No link takes its connections: a Toxiproxy accepts
/// them for a host that is dead, and a check of the host's health would be told that it lives.
pub const POWERDNS_USER_ID: u32 = 5353;

/// The port of the listener for a port of a far host. It is another one, because the services of the near host listen
/// on all its addresses, at the same ports as the far one's.
pub fn listener_port(port: u16) -> u16 {
    port ^ 0x8000
}

/// The name of the listener for one port of a far host.
pub fn listener_name(to: &str, port: u16) -> String {
    format!("{to}:{port}")
}
