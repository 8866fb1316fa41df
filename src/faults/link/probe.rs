//! Probes through a link, from the host at which it begins.

use std::time::Duration;

use super::Way;
use crate::{cluster::Cluster, faults::host, topology::ServiceKind};

/// What a probe shall find out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    /// So many tries; the quickest answer counts, as the machine can only add to it.
    pub tries: u32,
    pub within: Duration,
    /// So many bytes are added to the request.
    pub padding_bytes: u64,
    /// Wait for the end of the connection instead of the first byte of the answer.
    pub until_end: bool,
}

/// What a probe through a link came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Probed {
    /// The far service's first byte, or the connection's end, came after this time from the request.
    Answered(Duration),
    /// The connection was reset.
    Reset,
    /// The connection was closed without an answer.
    Closed,
    /// Nothing came within the time.
    Silence,
}

/// Asks the far service over fresh connections through the link: PostgreSQL whether it speaks TLS, all others for a
/// page over HTTP.
pub(super) async fn probe(cluster: &Cluster, way: &Way, probe: Probe) -> Result<Probed, String> {
    let pod = host::pod(cluster, &way.from).map_err(|error| error.to_string())?;
    let address = cluster.address_from(&way.from, &way.to).ok_or("the far host has no address")?;
    let script = script(&address, way.port, probe);
    let mut best = Probed::Silence;
    for _ in 0..probe.tries {
        let told = pod.shell.run(&script).await.map_err(|error| error.to_string())?.text;
        best = match (best, read(&told)?) {
            (Probed::Answered(best), Probed::Answered(next)) => Probed::Answered(best.min(next)),
            (Probed::Answered(best), _) => Probed::Answered(best),
            (_, next) => next,
        };
    }
    Ok(best)
}

/// Bash keeps time by itself, so that its own start is not measured.
fn script(address: &str, port: u16, probe: Probe) -> String {
    let Probe { within, padding_bytes, until_end, .. } = probe;
    let await_answer = if until_end { "cat <&3 >/dev/null" } else { "IFS= read -r -N 1 byte <&3 || exit 0" };
    let request = request(port, padding_bytes, until_end);
    let within_s = within.as_secs_f64();
    format!(
        "timeout {within_s:.3} bash -c '
           trap \"\" PIPE
           exec 3<>/dev/tcp/{address}/{port} || exit 0
           padding=$(printf %{padding_bytes}s)
           began=$EPOCHREALTIME
           printf \"{request}\" \"$padding\" >&3
           {await_answer}
           echo took $began $EPOCHREALTIME
         '; [ $? = 124 ] && echo silence; true"
    )
}

/// A request in the far service's protocol, as a format of `printf` that takes the padding.
fn request(port: u16, padding_bytes: u64, until_end: bool) -> String {
    if port != ServiceKind::POSTGRESQL_PORT {
        return r"GET /version HTTP/1.0\r\nX-Padding: %s\r\n\r\n".to_owned();
    }
    if padding_bytes == 0 && !until_end {
        // SSLRequest: the answer is one byte.
        return r"\000\000\000\010\004\322\026\057%s".to_owned();
    }
    // A startup packet for a user that does not exist: length, protocol 3.0, `user`, its name, the end.
    let length = u32::try_from(4 + 4 + 5 + padding_bytes + 2).unwrap_or(u32::MAX);
    let length: String = length.to_be_bytes().iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!(r"{length}\000\003\000\000user\000%s\000\000")
}

fn read(told: &str) -> Result<Probed, String> {
    if let Some(times) = told.lines().find_map(|line| line.strip_prefix("took ")) {
        let times: Vec<f64> = times.split(' ').filter_map(|time| time.replace(',', ".").parse().ok()).collect();
        if let [began, ended] = times.as_slice() {
            return Ok(Probed::Answered(Duration::try_from_secs_f64(ended - began).unwrap_or_default()));
        }
    }
    match told {
        _ if told.contains("silence") => Ok(Probed::Silence),
        _ if told.contains("reset") || told.contains("refused") => Ok(Probed::Reset),
        _ if told.trim().is_empty() || told.contains("Broken pipe") => Ok(Probed::Closed),
        _ => Err(format!("a probe said {told:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_says_is_told_apart() {
        let Ok(Probed::Answered(took)) = read("took 100.000000 100.001234") else { panic!("it was answered") };
        assert!((took.as_secs_f64() - 0.001234).abs() < 1e-6);
        assert_eq!(read("silence"), Ok(Probed::Silence));
        assert_eq!(read("bash: read error: 3: Connection reset by peer"), Ok(Probed::Reset));
        assert_eq!(read(""), Ok(Probed::Closed));
        assert!(read("bash: timeout: command not found").is_err());
    }

    #[test]
    fn a_padded_startup_packet_says_its_length() {
        assert!(request(5432, 8000, false).starts_with(r"\000\000\037\117\000\003"), "{}", request(5432, 8000, false));
    }
}
