//! The nftables rules that lead a host's connections into its Toxiproxy.

use std::fmt::Write;

use super::{POWERDNS_USER_ID, TOXIPROXY_USER_ID, listener_port};
use crate::plan::ShapedLink;

/// A script for the holder of the host at which these links begin; each comes with the far host's addresses.
///
/// The rules stand in the output hook's NAT, so they see a connection once, when it begins. What cuts a link drops
/// packets at a lower priority and sees the far host's address whether the link is shaped or not.
pub fn redirect_script(links: &[(&ShapedLink, Vec<String>)]) -> String {
    let mut rules = String::from("nft -f - <<'RULES'\ntable ip pgquake_links {\n  chain out {\n");
    rules.push_str("    type nat hook output priority -100;\n");
    for (link, addresses) in links {
        for port in &link.ports {
            // Writing to a String can't fail.
            let _ = writeln!(
                rules,
                "    meta skuid != {{ {TOXIPROXY_USER_ID}, {POWERDNS_USER_ID} }} ip daddr {{ {} }} tcp dport {port} counter \
                 dnat to {}:{}",
                addresses.join(", "),
                link.listen,
                listener_port(*port),
            );
        }
    }
    rules.push_str("  }\n}\nRULES");
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_its_rule_and_toxiproxy_and_powerdns_are_spared() {
        let link = ShapedLink {
            from: "node1".to_owned(),
            to: "node2".to_owned(),
            ports: vec![5432, 8008],
            listen: "127.0.1.2".to_owned(),
            delay: None,
        };
        let script = redirect_script(&[(&link, vec!["172.18.0.3".to_owned(), "172.19.0.3".to_owned()])]);
        let rule = "meta skuid != { 7474, 5353 } ip daddr { 172.18.0.3, 172.19.0.3 } tcp dport 8008 counter dnat to 127.0.1.2:40776";
        assert!(script.contains(rule), "{script}");
        assert_eq!(script.matches("dnat to").count(), 2);
    }
}
