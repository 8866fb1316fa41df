//! Virtual addresses: which host answers for each, as this machine's table of neighbours shows it.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use tokio::{fs, net::TcpStream, time::timeout};

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    history::{Occurrence, Recorder},
    topology::VirtualAddress,
};

pub(super) const OBSERVER: Observer = Observer {
    name: "addresses",
    watches: "the host that answers for each virtual address (ARP), every 200 ms",
    watch,
};

const PERIOD: Duration = Duration::from_millis(200);
/// How long a connection may take: a host that lives answers within a millisecond, also where nothing listens.
const TIMEOUT: Duration = Duration::from_millis(500);
/// This machine's table of neighbours: address, kind, flags, hardware address, mask, device.
const NEIGHBOURS: &str = "/proc/net/arp";

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let addresses = &scene.plan.topology.virtual_addresses;
    let watch_one = |shared: &VirtualAddress| {
        let endpoint = scene.plan.endpoints.iter().find(|endpoint| endpoint.at.host == shared.name);
        let port = endpoint.map_or(0, |endpoint| endpoint.at.port);
        let at = scene.address(OBSERVER.name, &shared.name, port)?;
        let holders =
            shared.holders.iter().map(|holder| Ok((holder.clone(), scene.address(OBSERVER.name, holder, port)?)));
        let holders = holders.collect::<Result<Vec<_>, ObserverError>>()?;
        Ok(Watch::new(&shared.name, watch_address(shared.name.clone(), at, holders, scene.recorder.clone())))
    };
    addresses.iter().map(watch_one).collect()
}

async fn watch_address(
    address: String,
    at: SocketAddr,
    holders: Vec<(String, SocketAddr)>,
    recorder: Recorder,
) -> String {
    let mut pulse = Pulse::new(OBSERVER.name, &address, &recorder);
    let mut due = every(PERIOD);
    let mut last = None;
    loop {
        due.tick().await;
        // So that the table has an entry of each that lives.
        let (answers, _) =
            tokio::join!(answers(at), futures::future::join_all(holders.iter().map(|(_, at)| answers(*at))));
        let table = fs::read_to_string(NEIGHBOURS).await.unwrap_or_default();
        let holder = if answers { holder(&table, at, &holders) } else { None };
        if last.as_ref() != Some(&holder) {
            recorder.record(Occurrence::AddressHolder { address: address.clone(), holder: holder.clone() });
            last = Some(holder);
        }
        pulse.beat();
    }
}

/// Whether a connection is accepted, or refused by a kernel that lives.
async fn answers(at: SocketAddr) -> bool {
    match timeout(TIMEOUT, TcpStream::connect(at)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

/// The host whose own address has the hardware address that answers for the virtual one.
fn holder(table: &str, at: SocketAddr, holders: &[(String, SocketAddr)]) -> Option<String> {
    let answering = hardware_address(table, at)?;
    let own = holders.iter().find(|(_, own)| hardware_address(table, *own) == Some(answering));
    own.map(|(host, _)| host.clone())
}

fn hardware_address(table: &str, at: SocketAddr) -> Option<&str> {
    let wanted = at.ip().to_string();
    let cells = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut entries = cells.filter(|cells| cells.first() == Some(&wanted.as_str()));
    // An entry that was never answered has no flag and no address.
    entries.find_map(|cells| (cells.get(2) != Some(&"0x0")).then(|| cells.get(3).copied()).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
198.18.7.2       0x1         0x2         02:42:c6:12:07:02     *        br-1
198.18.7.3       0x1         0x2         02:42:c6:12:07:03     *        br-1
198.18.7.100     0x1         0x2         02:42:c6:12:07:03     *        br-1
198.18.7.101     0x1         0x0         00:00:00:00:00:00     *        br-1
";

    #[test]
    fn the_holder_is_the_host_with_the_same_hardware_address() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let holders = [("proxy1".to_owned(), at("198.18.7.2:5432")), ("proxy2".to_owned(), at("198.18.7.3:5432"))];
        assert_eq!(holder(TABLE, at("198.18.7.100:5432"), &holders).as_deref(), Some("proxy2"));
        assert_eq!(holder(TABLE, at("198.18.7.101:5432"), &holders), None);
        assert_eq!(holder(TABLE, at("198.18.7.102:5432"), &holders), None);
    }
}
