//! Virtual addresses: addresses that belong to no host, and that one of several holds at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Topology;
use crate::services::SharedAddress;

/// An address that one of several hosts holds. Each of them runs what moves it (`keepalived`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtualAddress {
    /// The name by which endpoints and reports call it; no host has it.
    pub name: String,
    /// The hosts that may hold it, in one region. The first does while it lives.
    pub holders: Vec<String>,
}

/// The last part of the first virtual address, as in document 002; each further one has the next.
const FIRST_OCTET: u8 = 100;
/// More would run into the addresses of hosts, and into the end of the network.
pub(super) const MOST: usize = 100;

impl Topology {
    /// The virtual address of this name.
    pub fn virtual_address(&self, name: &str) -> Option<&VirtualAddress> {
        self.virtual_addresses.iter().find(|known| known.name == name)
    }

    /// The hosts that a place may be: those that may hold a virtual address, or the host of this name.
    pub fn hosts_at<'a>(&'a self, place: &'a str) -> Vec<&'a str> {
        let shared = self.virtual_address(place);
        shared.map_or_else(|| vec![place], |shared| shared.holders.iter().map(String::as_str).collect())
    }

    /// Its last part, in the network of its holders.
    pub fn last_octet(&self, address: &VirtualAddress) -> u8 {
        let place = self.virtual_addresses.iter().position(|known| known.name == address.name).unwrap_or_default();
        FIRST_OCTET.saturating_add(u8::try_from(place).unwrap_or(u8::MAX))
    }

    /// The virtual address that a host may hold.
    pub fn shared_by(&self, host: &str) -> Option<SharedAddress<'_>> {
        let shared = self.virtual_addresses.iter().find(|known| known.holders.iter().any(|holder| holder == host))?;
        Some(SharedAddress { name: &shared.name, holders: &shared.holders, last_octet: self.last_octet(shared) })
    }
}
