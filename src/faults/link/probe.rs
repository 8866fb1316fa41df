//! Probes over a connection of a shaped link: what becomes of the data each way.
//!
//! A request is sent in two parts. The first is left open, so that the far service waits for the rest, and Toxiproxy's
//! own socket to it, which is in the opener's host, shows when all of it has gone on: that is the way there, apart from
//! the way back. Then the rest is sent, and the answer is waited for. The request's length is drawn anew for each probe,
//! so that its socket can be distinguished from others to the same port.

use std::time::Duration;

use super::Way;
use crate::{faults::hosts, links::TOXIPROXY_USER_ID, plan::Plan, services, system::System, topology::POSTGRESQL_PORT};

/// How many bytes more than asked for a request may have.
const DRAWN_BYTES: u64 = 500;
/// The longest path: etcd takes a first line of 4096 bytes.
const MOST_PATH_BYTES: u64 = 3000;
/// The longest record of TLS.
const MOST_RECORD_BYTES: u64 = 16_384;
/// Reads an answer after which the far service hangs up.
const WHOLE: &str = "cat";

/// What a probe looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// The length of the request's first part, at least.
    pub request_bytes: u64,
    pub answer: Answer,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    FirstByte,
    Whole,
    /// The end of the connection: of one that the opener closes, and of one that the far service closes.
    End,
}

/// What became of the data of one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// This many bytes passed in this time.
    Passed { took: Duration, bytes: u64 },
    /// Nothing came within the time.
    Silent,
    /// The connection was closed before anything came.
    Closed,
    /// The same, with a reset.
    Reset,
    /// Nothing was sent this way.
    Unknown,
}

/// What a probe saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The data that the opener sends.
    pub there: Course,
    /// The answer, from the request's last byte on.
    pub answer: Course,
}

/// Sends a request over a fresh connection of the way.
pub(super) async fn probe(system: &System, way: &Way, look: Look, within: Duration) -> Result<Seen, String> {
    let pod = hosts::pod(system, &way.opener).map_err(|error| error.to_string())?;
    let address = system.address_from(&way.opener, &way.far).ok_or("the far host has no address")?;
    let request = Request::drawn(system.plan(), way, look);
    let run = async |script: String| {
        let told = pod.shell.run_within(&script, 2 * within + Duration::from_secs(5)).await;
        told.map(|told| told.text).map_err(|error| error.to_string())
    };
    let seen = read(&run(request.script(&address, way.port, look, within)).await?, request.first_bytes)?;
    if look.answer != Answer::End {
        return Ok(seen);
    }
    let told = run(request.script_that_closes(&address, way.port, within)).await?;
    Ok(Seen { there: read(&told, request.first_bytes)?.there, ..seen })
}

/// A request in two parts, each a format of `printf`; the first takes the padding, twice.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    first: String,
    first_bytes: u64,
    padding_bytes: u64,
    rest: &'static str,
    /// The command that reads the answer. It leaves next to nothing: what Toxiproxy still holds of a slow connection
    /// whose client has gone would hold up its next change.
    wait: String,
}

impl Request {
    fn drawn(plan: &Plan, way: &Way, look: Look) -> Self {
        let padding_bytes = look.request_bytes + rand::random_range(0..DRAWN_BYTES);
        if speaks_postgresql(plan, way) {
            return Self::of_postgresql(padding_bytes, look.answer == Answer::End);
        }
        if speaks_tls(plan, way) {
            return Self::of_tls(padding_bytes.min(MOST_RECORD_BYTES - 1));
        }
        if way.port == services::patroni::REST_PORT {
            // Python's server of HTTP repeats a line that it does not understand.
            let (first, wait) = ("X%s%.0s".to_owned(), WHOLE.to_owned());
            return Self { first, first_bytes: 1 + padding_bytes, padding_bytes, rest: r"\r\n", wait };
        }
        // Go's server of HTTP repeats a path that it cleans; others answer that they have no such page.
        let first = format!(r"GET //%.{MOST_PATH_BYTES}s HTTP/1.0\r\nX-Padding: %s");
        let path_bytes = padding_bytes.min(MOST_PATH_BYTES);
        let first_bytes = "GET // HTTP/1.0..X-Padding: ".len() as u64 + path_bytes + padding_bytes;
        Self { first, first_bytes, padding_bytes, rest: r"\r\n\r\n", wait: WHOLE.to_owned() }
    }

    /// A record of a handshake that is none: whoever speaks TLS reads it to its end, answers with an alert, and hangs up.
    fn of_tls(padding_bytes: u64) -> Self {
        let record = u16::try_from(padding_bytes + 1).unwrap_or(u16::MAX);
        let length: String = record.to_be_bytes().iter().map(|byte| format!("\\{byte:03o}")).collect();
        // Its kind, the version, and how long it is.
        let first = format!(r"\026\003\001{length}%s%.0s");
        Self { first, first_bytes: 1 + 2 + 2 + padding_bytes, padding_bytes, rest: "x", wait: WHOLE.to_owned() }
    }

    /// A startup packet with a protocol option that PostgreSQL does not know: it repeats its name in the answer. The user
    /// does not exist, and is asked for a password all the same. A packet without a user makes the server hang up.
    fn of_postgresql(padding_bytes: u64, hang_up: bool) -> Self {
        let rest = if hang_up { r"\000" } else { r"user\000x\000\000" };
        let rest_bytes = if hang_up { 1 } else { 8 };
        let first_bytes = 4 + 4 + "_pq_.".len() as u64 + padding_bytes + 1 + 2;
        let length = u32::try_from(first_bytes + rest_bytes).unwrap_or(u32::MAX);
        let length: String = length.to_be_bytes().iter().map(|byte| format!("\\{byte:03o}")).collect();
        // The length, protocol 3.0, and the option with its value.
        let first = format!(r"{length}\000\003\000\000_pq_.%s%.0s\0001\000");
        // NegotiateProtocolVersion: kind, length, version, number of options, and the option's name.
        let answer_bytes = 1 + 4 + 4 + 4 + "_pq_.".len() as u64 + padding_bytes + 1;
        Self { first, first_bytes, padding_bytes, rest, wait: format!("head -c {answer_bytes}") }
    }

    /// Sends the first part, and waits until Toxiproxy has passed all of it on. Bash keeps time by itself, so that its own
    /// start is not measured.
    fn first_part(&self, address: &str, port: u16) -> String {
        let Self { first, first_bytes, padding_bytes, .. } = self;
        format!(
            "trap \"\" PIPE
             exec 3<>/dev/tcp/{address}/{port} || {{ echo ended; exit 0; }}
             printf -v padding %{padding_bytes}s; padding=${{padding// /x}}
             passed() {{ ss -HOtine dst {address}:{port} | grep -o \"uid:{TOXIPROXY_USER_ID} .*bytes_sent:{first_bytes} .*\"; }}
             began=$EPOCHREALTIME
             printf \"{first}\" \"$padding\" \"$padding\" >&3
             while looked=$EPOCHREALTIME; ! socket=$(passed); do
               IFS= read -r -t 0.01 -N 1 byte <&3
               [ $? -gt 128 ] || {{ echo ended; exit 0; }}
             done
             [[ $socket =~ lastsnd:([0-9]+) ]]; idle_ms=${{BASH_REMATCH[1]:-0}}
            "
        )
    }

    fn script(&self, address: &str, port: u16, look: Look, within: Duration) -> String {
        let wait = match look.answer {
            Answer::FirstByte => "head -c 1",
            Answer::Whole => &self.wait,
            Answer::End => WHOLE,
        };
        in_time(
            within,
            &format!(
                "{}
                 echo there $began $looked $idle_ms
                 asked=$EPOCHREALTIME
                 printf \"{}\" >&3
                 bytes=$({wait} <&3 | wc -c)
                 echo answer $asked $EPOCHREALTIME $bytes",
                self.first_part(address, port),
                self.rest,
            ),
        )
    }

    /// Closes the connection, and waits until Toxiproxy has closed its own.
    fn script_that_closes(&self, address: &str, port: u16, within: Duration) -> String {
        in_time(
            within,
            &format!(
                "{}
                 began=$EPOCHREALTIME
                 exec 3>&-
                 while passed >/dev/null; do sleep 0.01; done
                 echo there $began $EPOCHREALTIME 0",
                self.first_part(address, port),
            ),
        )
    }
}

fn in_time(within: Duration, script: &str) -> String {
    format!("timeout {:.3} bash -c '{script}'; [ $? = 124 ] && echo silence; true", within.as_secs_f64())
}

/// Whether who serves there takes nothing but TLS. PostgreSQL's own is asked for by a packet of its protocol.
fn speaks_tls(plan: &Plan, way: &Way) -> bool {
    let tls = plan.topology.tls;
    match way.port {
        services::minio::S3_PORT => true,
        services::patroni::REST_PORT => tls.patroni,
        services::etcd::CLIENT_PORT | services::etcd::PEER_PORT => tls.dcs,
        _ => false,
    }
}

/// Whether PostgreSQL answers at the far end: also through a proxy's endpoint.
fn speaks_postgresql(plan: &Plan, way: &Way) -> bool {
    let is_endpoint = plan.endpoints_at(&way.far).any(|endpoint| endpoint.at.port == way.port);
    is_endpoint || way.port == POSTGRESQL_PORT
}

/// What a script's lines say: `there BEGAN LOOKED IDLE_MS`, `answer ASKED ENDED BYTES`, and how it broke off.
fn read(told: &str, sent_bytes: u64) -> Result<Seen, String> {
    let numbers = |word: &str| -> Option<[f64; 3]> {
        let line = told.lines().find_map(|line| line.trim().strip_prefix(word))?;
        let numbers: Vec<f64> =
            line.split_whitespace().filter_map(|text| text.replace(',', ".").parse().ok()).collect();
        numbers.try_into().ok()
    };
    let span = |from_s: f64, to_s: f64| Duration::try_from_secs_f64(to_s - from_s).unwrap_or_default();
    let broke_off = match told {
        _ if told.contains("silence") => Course::Silent,
        _ if told.contains("reset") || told.contains("refused") => Course::Reset,
        _ => Course::Closed,
    };
    let Some([began, looked, idle_ms]) = numbers("there ") else {
        if broke_off == Course::Closed && !told.contains("ended") && !told.contains("Broken pipe") {
            return Err(format!("a probe said {told:?}"));
        }
        return Ok(Seen { there: broke_off, answer: Course::Unknown });
    };
    let there = Course::Passed { took: span(began, looked - idle_ms / 1000.0), bytes: sent_bytes };
    let answer = match numbers("answer ") {
        Some([asked, ended, bytes]) if bytes >= 1.0 => Course::Passed { took: span(asked, ended), bytes: bytes as u64 },
        _ => broke_off,
    };
    Ok(Seen { there, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_are_told_apart() {
        let seen = read("there 100.000000 100.050000 8\nanswer 100.060000 100.061500 1", 321).unwrap();
        let Course::Passed { took, bytes } = seen.there else { panic!("{seen:?}") };
        assert_eq!((took.as_millis(), bytes), (42, 321));
        let Course::Passed { took, bytes } = seen.answer else { panic!("{seen:?}") };
        assert_eq!((took.as_micros().div_ceil(100), bytes), (15, 1));
    }

    #[test]
    fn what_does_not_come_is_told_by_the_way_on_which_it_was_lost() {
        let seen = |there, answer| Ok(Seen { there, answer });
        let passed = Course::Passed { took: Duration::ZERO, bytes: 9 };
        assert_eq!(read("silence", 9), seen(Course::Silent, Course::Unknown));
        assert_eq!(read("there 1 1 0\nsilence", 9), seen(passed, Course::Silent));
        let reset = "bash: read error: 3: Connection reset by peer\nended";
        assert_eq!(read(reset, 9), seen(Course::Reset, Course::Unknown));
        assert_eq!(read("ended", 9), seen(Course::Closed, Course::Unknown));
        assert_eq!(read("there 1 1 0\nanswer 2 3 0", 9), seen(passed, Course::Closed));
        assert!(read("bash: timeout: command not found", 9).is_err());
    }

    #[test]
    fn a_startup_packet_says_its_length() {
        let request = Request::of_postgresql(8000, false);
        assert_eq!(request.first_bytes, 8016);
        assert!(request.first.starts_with(r"\000\000\037\130\000\003"), "{}", request.first);
    }

    #[test]
    fn a_record_of_tls_says_its_length() {
        let request = Request::of_tls(700);
        assert_eq!((request.first_bytes, request.first.as_str()), (705, r"\026\003\001\002\275%s%.0s"));
    }
}
