//! keepalived: moves a virtual address between the hosts of balancers, as document 002 has it (VRRP).

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Broken, Clock, Instances, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings, SharedAddress, Site,
    Starts, context,
};
use crate::credentials::Credentials;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Keepalived,
    summary: "holds a virtual address while its host is the first that lives",
    placed_by_topologies: true,
    image: Recipe {
        name: "keepalived",
        files: context!("keepalived": "Dockerfile", "entrypoint.sh"),
        pulled: None,
        on: None,
        packages: &["keepalived"],
        build_rank: 1,
    },
    ports: &[],
    processes: &[Process::main("keepalived", "^/usr/sbin/keepalived ")],
    storage: None,
    capabilities: &["NET_ADMIN", "NET_BROADCAST", "NET_RAW"],
    clock: Clock::Kernel("the clock of keepalived is not prepared"),
    starts: Starts::BehindAPrimary,
    stop_rank: 5,
    health: None,
    role: Role::Address,
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("one holds the virtual address of its host, by the settings of the topology"),
    rules,
    render,
};

/// keepalived's VRRP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepalivedSettings {
    /// Time between two messages of the holder. The others take over after three of them and a little more.
    pub advertise_s: u32,
    /// Whether it gives the address away when the balancer is gone from its host. If not, only the loss of the host or of
    /// keepalived moves it.
    pub tracks_balancer: bool,
}

impl Default for KeepalivedSettings {
    fn default() -> Self {
        Self { advertise_s: 1, tracks_balancer: true }
    }
}

/// VRRP has its interval in eight bits (version 2).
const MOST_ADVERTISE_S: u32 = u8::MAX as u32;

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let advertise_s = settings.keepalived.advertise_s;
    let path = ["keepalived", "advertise_s"];
    match advertise_s {
        0 => vec![Broken::new(path, "advertise_s must be at least 1".to_owned())],
        _ if advertise_s > MOST_ADVERTISE_S => {
            let message = format!("advertise_s is {advertise_s}; VRRP takes at most {MOST_ADVERTISE_S}");
            vec![Broken::new(path, message)]
        }
        _ => Vec::new(),
    }
}

fn render(site: &Site<'_>, _credentials: &Credentials) -> Rendered {
    let text = site.shared_address.map_or_else(String::new, |shared| configuration(site, shared));
    Rendered {
        command: Vec::new(),
        files: vec![("/etc/keepalived/template.conf".to_owned(), text)],
        ..Rendered::default()
    }
}

/// What stands in braces is known only once the hosts run: the entry point fills it in. The first holder has the highest priority.
fn configuration(site: &Site<'_>, shared: SharedAddress<'_>) -> String {
    let KeepalivedSettings { advertise_s, tracks_balancer } = site.settings.keepalived;
    let place = shared.holders.iter().position(|holder| holder == site.host).unwrap_or(shared.holders.len());
    let priority = 200_usize.saturating_sub(10 * place).max(1);
    let last = shared.last_octet;
    let tracked: &[&str] = if tracks_balancer { &site.balancers } else { &[] };
    let mut text = "global_defs {\n    script_user root\n    enable_script_security\n}\n\n".to_owned();
    for program in tracked {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "vrrp_script {program} {{\n    script \"/usr/bin/pgrep -x {program}\"\n    interval 1\n    fall 2\n    rise 2\n}}\n\n"
        );
    }
    let _ = write!(
        text,
        "vrrp_instance {name} {{\n    state BACKUP\n    interface {{interface}}\n    virtual_router_id {last}\n    \
         priority {priority}\n    advert_int {advertise_s}\n    unicast_src_ip {{own}}\n    unicast_peer {{\n",
        name = shared.name,
    );
    for peer in shared.holders.iter().filter(|holder| *holder != site.host) {
        let _ = writeln!(text, "        {{address of {peer}}}");
    }
    let _ = write!(text, "    }}\n    virtual_ipaddress {{\n        {{network}}.{last}/24 dev {{interface}}\n    }}\n");
    if !tracked.is_empty() {
        let _ = write!(text, "    track_script {{\n        {}\n    }}\n", tracked.join("\n        "));
    }
    text.push_str("}\n");
    text
}
