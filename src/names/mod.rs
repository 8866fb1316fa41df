//! Global names: the records that PowerDNS answers from, a client of its HTTP API, and a resolver for the harness's own
//! clients.
//!
//! A name leads to hosts. What kind of record does that follows from the topology: an address record for a plain name,
//! and a Lua record for one that is drawn by weight or follows the hosts' health.
//!
//! Architecture invariant: every change is read back, and the resolver asks the one server that it is given, whatever
//! this machine's own resolver is set to.

mod powerdns;
mod record;
mod resolver;

pub use powerdns::{PowerDns, PowerDnsError};
pub use record::{Leads, RecordSet, record_set};
pub use resolver::{Answer, ResolveError, Resolver};
