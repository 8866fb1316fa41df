//! Attempts that show whether a host answers another one, or its name service answers it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::{join, join_all, try_join_all};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    faults::{CLIENTS, hosts::pod},
    system::System,
};

/// How long a peer waits for an answer to be sure that there is none. A living machine of the same network answers
/// within a millisecond.
const SILENT_AFTER: Duration = Duration::from_millis(80);
/// The request for TLS, with which a session with PostgreSQL may begin. Whoever listens says something to it.
const HELLO: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// An attempt to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::faults) struct Probe {
    /// What it shall show, by its place among the like.
    pub of: usize,
    /// A host, or the clients.
    pub by: String,
    pub to: String,
    /// The port to connect to; `None`: the name is looked up.
    pub port: Option<u16>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::faults) enum Answer {
    /// Neither an answer nor a reset.
    Silence,
    /// A reset, or an error.
    Reset,
    Accepted,
}

impl Answer {
    pub(in crate::faults) fn words(self) -> &'static str {
        match self {
            Answer::Silence => "no answer",
            Answer::Reset => "a reset",
            Answer::Accepted => "an answer",
        }
    }
}

/// Tries all at once, and returns the answers in the order of the probes.
pub(in crate::faults) async fn ask(system: &System, probes: &[Probe]) -> Result<Vec<Answer>, String> {
    let mut by_host: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, probe) in probes.iter().enumerate() {
        by_host.entry(&probe.by).or_default().push(index);
    }
    let of_clients = by_host.remove(CLIENTS).unwrap_or_default();
    let hosts = try_join_all(by_host.iter().map(|(host, own)| ask_from(system, host, probes, own)));
    let clients = join_all(of_clients.iter().map(|index| ask_from_outside(system, &probes[*index])));
    let (from_hosts, from_clients) = join(hosts, clients).await;
    let mut found: Vec<(usize, Answer)> = from_hosts?.concat();
    found.extend(of_clients.into_iter().zip(from_clients));
    found.sort_by_key(|(index, _)| *index);
    Ok(found.into_iter().map(|(_, answer)| answer).collect())
}

/// Tries the probes of one host, all at once: each in a process of its own, and whichever is not through with its
/// attempt in the end got no answer.
async fn ask_from(
    system: &System,
    host: &str,
    probes: &[Probe],
    own: &[usize],
) -> Result<Vec<(usize, Answer)>, String> {
    let mut attempts = Vec::new();
    for index in own {
        let Probe { to, port, .. } = &probes[*index];
        let address = system.address_from(host, to).ok_or_else(|| format!("{host} knows no address of {to}"))?;
        let attempt = match port {
            Some(port) => format!("exec 3<>/dev/tcp/{address}/{port}"),
            None => format!("exec getent hosts {to} >/dev/null"),
        };
        attempts.push(format!("({attempt}) 2>/dev/null & ids+=($!)"));
    }
    let look = "for id in ${ids[@]}; do \
                if kill -0 $id 2>/dev/null; then echo silence; kill $id; else wait $id && echo accepted || echo reset; \
                fi; done";
    let wait_s = SILENT_AFTER.as_secs_f32();
    let script = format!("bash -c '{}; sleep {wait_s}; {look}' 2>/dev/null", attempts.join("; "));
    let pod = pod(system, host).map_err(|error| error.to_string())?;
    let output = pod.shell.run(&script).await.map_err(|error| error.to_string())?;
    let answers = output.text.lines().map(|line| match line {
        "silence" => Answer::Silence,
        "accepted" => Answer::Accepted,
        _ => Answer::Reset,
    });
    let answers: Vec<_> = own.iter().copied().zip(answers).collect();
    if answers.len() == own.len() { Ok(answers) } else { Err(format!("the probes of {host} said `{}`", output.text)) }
}

/// What a client gets at a published port. The engine's own proxy accepts for anyone, so only a word from behind it
/// counts, or that it hangs up because nobody is there.
async fn ask_from_outside(system: &System, probe: &Probe) -> Answer {
    let published = probe.port.and_then(|port| system.access().address(&probe.to, port));
    let Some(address) = published else { return Answer::Reset };
    let begun = Instant::now();
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&HELLO).await?;
        stream.read(&mut [0; 1]).await
    };
    let answer = timeout(SILENT_AFTER, talk).await;
    // All probes take their time, so that every rule has met its packets when they are over.
    sleep(SILENT_AFTER.saturating_sub(begun.elapsed())).await;
    match answer {
        Err(_) => Answer::Silence,
        Ok(Ok(1)) => Answer::Accepted,
        Ok(_) => Answer::Reset,
    }
}
