//! A team's `haproxy.cfg`. Its text stays as it is, but for the lines of [`DROPPED`] and a page of statistics that is added; what
//! observers need to know of it (which proxy serves which endpoint, and which server is which host) is read out of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Flaw, Format, Overridden, Reading, Spot, Stated, Surroundings, rendered_file};
use crate::{
    services::{Rendered, Site, haproxy::CONFIGURATION},
    suggestion::did_you_mean,
};

pub(in crate::services) const FILE: Format = Format { name: "haproxy.cfg", read, put, variables: &[] };

/// Keywords of `global` that are left out, and why.
const DROPPED: &[(&str, &str)] = &[
    ("chroot", "the container is HAProxy's own, and runs without root"),
    ("daemon", "the container ends with its first process"),
    ("group", "the container runs as HAProxy's own user"),
    ("gid", "the container runs as HAProxy's own user"),
    ("pidfile", "the container is HAProxy's own, and runs without root"),
    ("uid", "the container runs as HAProxy's own user"),
    ("user", "the container runs as HAProxy's own user"),
];

/// Keywords that begin a section.
const SECTIONS: &[&str] = &[
    "backend",
    "cache",
    "defaults",
    "frontend",
    "global",
    "http-errors",
    "listen",
    "log-forward",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "userlist",
];

/// A line that says something: its number from 1, and its words.
struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
}

/// A section with a name.
struct Section<'a> {
    keyword: &'a str,
    name: &'a str,
    number: usize,
    lines: Vec<Line<'a>>,
}

impl<'a> Section<'a> {
    fn with(&self, keyword: &str) -> impl Iterator<Item = &Line<'a>> {
        self.lines.iter().filter(move |line| line.words[0] == keyword)
    }

    /// The ports that it listens on, each with its line.
    fn binds(&self) -> Vec<(u16, usize)> {
        let bound = self.with("bind").filter_map(|line| Some((line.number, *line.words.get(1)?)));
        let each = bound.flat_map(|(number, addresses)| addresses.split(',').map(move |address| (number, address)));
        each.filter_map(|(number, address)| Some((address.rsplit(':').next()?.parse().ok()?, number))).collect()
    }

    fn says(&self, words: &[&str]) -> bool {
        self.lines.iter().any(|line| line.words.starts_with(words))
    }
}

/// The words of a line, up to a comment.
fn words(line: &str) -> Vec<&str> {
    let said = line.split_once('#').map_or(line, |(said, _)| said);
    said.split_whitespace().collect()
}

fn sections(text: &str) -> Result<Vec<Section<'_>>, Flaw> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, words) = (index + 1, words(line));
        match (words.first(), sections.last_mut()) {
            (None, _) => {}
            (Some(first), _) if SECTIONS.contains(first) => {
                let name = words.get(1).copied().unwrap_or_default();
                sections.push(Section { keyword: first, name, number, lines: Vec::new() });
            }
            (Some(_), Some(section)) => section.lines.push(Line { number, words }),
            (Some(first), None) => {
                let flaw = Flaw::new(Spot::of_line(number), format!("`{first}` stands in no section"));
                return Err(flaw.help(did_you_mean(first, SECTIONS)));
            }
        }
    }
    Ok(sections)
}

/// The backend that serves what a proxy takes: itself, or the one that it leads everything to.
fn behind<'s, 'a>(proxy: &'s Section<'a>, all: &'s [Section<'a>]) -> Option<&'s Section<'a>> {
    if proxy.keyword == "listen" {
        return Some(proxy);
    }
    let name = *proxy.with("default_backend").next()?.words.get(1)?;
    all.iter().find(|section| section.keyword == "backend" && section.name == name)
}

/// A server's host, without its port.
fn host_of<'a>(line: &Line<'a>) -> Option<&'a str> {
    let address = line.words.get(2)?;
    Some(address.rsplit_once(':').map_or(*address, |(host, _)| host))
}

fn read(text: &str, around: &Surroundings<'_>) -> Result<Reading, Vec<Flaw>> {
    let sections = sections(text).map_err(|flaw| vec![flaw])?;
    let mut flaws = Vec::new();
    let mut reading = Reading { settings: Vec::new(), overridden: overridden(&sections) };
    for section in sections.iter().filter(|section| matches!(section.keyword, "listen" | "backend")) {
        for line in section.with("server") {
            let Some(host) = host_of(line) else {
                flaws.push(Flaw::new(Spot::of_line(line.number), "a server has a name and an address"));
                continue;
            };
            if !around.hosts.contains(&host) {
                let flaw = Flaw::new(Spot::of_line(line.number), format!("no host of the topology is called `{host}`"));
                flaws.push(flaw.help(did_you_mean(host, &around.hosts)));
            }
        }
    }
    let mut serving = Vec::new();
    for (endpoint, port) in &around.endpoints {
        let proxy = sections.iter().find(|section| section.binds().iter().any(|(bound, _)| bound == port));
        match proxy.map(|proxy| (proxy, behind(proxy, &sections))) {
            None => {
                let message = format!("nothing listens on port {port}, where the endpoint `{endpoint}` is");
                flaws.push(
                    Flaw::new(Spot::of_line(1), message)
                        .help(format!("add `bind :{port}` to a proxy, or change the endpoint's port")),
                );
            }
            Some((proxy, None)) => {
                let message = format!("`{}` leads to no backend by `default_backend`", proxy.name);
                flaws.push(
                    Flaw::new(Spot::of_line(proxy.number), message)
                        .help("what decides by rules can't be predicted or observed"),
                );
            }
            Some((_, Some(backend))) => serving.push(backend),
        }
    }
    checks(&sections, &serving, &mut reading, &mut flaws);
    if flaws.is_empty() { Ok(reading) } else { Err(flaws) }
}

fn overridden(sections: &[Section<'_>]) -> Vec<Overridden> {
    let global = sections.iter().filter(|section| section.keyword == "global").flat_map(|section| &section.lines);
    let dropped = global.filter_map(|line| {
        let (key, why) = DROPPED.iter().find(|(key, _)| *key == line.words[0])?;
        Some(Overridden { key: format!("global {key}"), line: line.number, why })
    });
    dropped.collect()
}

/// What the backends that serve endpoints say of their checks, which predictions go by.
fn checks(all: &[Section<'_>], serving: &[&Section<'_>], reading: &mut Reading, flaws: &mut Vec<Flaw>) {
    let Some(first) = serving.first() else { return };
    let defaults: Vec<&Section<'_>> = all.iter().filter(|section| section.keyword == "defaults").collect();
    let state = |path: &str, value: Value, line: usize| Stated {
        path: ["haproxy", path].map(str::to_owned).into(),
        value,
        spot: Spot::of_line(line),
    };
    for (option, setting, default) in [("inter", "inter_ms", 2000), ("fall", "fall", 3), ("rise", "rise", 2)] {
        let of = |section: &Section<'_>| {
            let lines = section.with("server").chain(section.with("default-server"));
            lines.filter_map(|line| value_of(line, option).map(|value| (value.to_owned(), line.number))).next()
        };
        let told = of(first).or_else(|| defaults.iter().rev().find_map(|section| of(section)));
        let (value, line) = match &told {
            None => (Some(default), first.number),
            Some((text, line)) => (if option == "inter" { time_ms(text) } else { text.parse().ok() }, *line),
        };
        match value {
            Some(value) => reading.settings.push(state(setting, json!(value), line)),
            None => flaws.push(Flaw::new(Spot::of_line(line), format!("`{option}` takes a number"))),
        }
    }
    let closes = first.with("server").chain(first.with("default-server"));
    let closes = closes.chain(defaults.iter().flat_map(|section| section.with("default-server")));
    let closes =
        closes.into_iter().any(|line| line.words.windows(2).any(|two| two == ["on-marked-down", "shutdown-sessions"]));
    reading.settings.push(state("close_sessions_of_down_server", json!(closes), first.number));
    let asks = serving.iter().all(|backend| asks_for_role(backend, &defaults));
    // Whatever else it checks, a server that is no primary can pass it: nothing is predicted then.
    let check = if asks { "role" } else { "pgsql_check" };
    reading.settings.push(state("check", json!(check), first.number));
}

/// Whether servers are asked by HTTP for what Patroni answers by role.
fn asks_for_role(backend: &Section<'_>, defaults: &[&Section<'_>]) -> bool {
    const PATHS: [&str; 9] = [
        "/",
        "/primary",
        "/master",
        "/read-write",
        "/leader",
        "/replica",
        "/read-only",
        "/standby-leader",
        "/synchronous",
    ];
    let by_http = |section: &Section<'_>| section.says(&["option", "httpchk"]);
    let is_on = by_http(backend) || defaults.iter().any(|section| by_http(section));
    let lines = || backend.lines.iter().chain(defaults.iter().flat_map(|section| &section.lines));
    let asks = |line: &Line<'_>| {
        let checks = line.words.starts_with(&["option", "httpchk"]) || line.words.starts_with(&["http-check", "send"]);
        let path = |word: &&str| PATHS.contains(&word.split('?').next().unwrap_or(word));
        checks && line.words.iter().any(path)
    };
    is_on && lines().any(asks)
}

/// What follows an option in a line.
fn value_of<'a>(line: &Line<'a>, option: &str) -> Option<&'a str> {
    let at = line.words.iter().position(|word| *word == option)?;
    line.words.get(at + 1).copied()
}

/// A time in milliseconds: HAProxy takes them without a unit as such.
fn time_ms(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "" | "ms" => Some(number),
        "us" => Some(number / 1000),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    }
}

/// The team's text without what the container can't do, and with a page of statistics where observers look.
fn put(text: &str, site: &Site<'_>, rendered: &mut Rendered) {
    let Some(file) = rendered_file(rendered, CONFIGURATION) else { return };
    let Ok(sections) = sections(text) else { return };
    let dropped: Vec<usize> = overridden(&sections).into_iter().map(|one| one.line).collect();
    let kept = text.lines().enumerate().filter(|(index, _)| !dropped.contains(&(index + 1)));
    let mut own: String = kept.flat_map(|(_, line)| [line, "\n"]).collect();
    own.push_str(&format!(
        "\n# Added by pgquake: its observer reads here.\nlisten pgquake-statistics\n    bind :{}\n    mode http\n    \
         timeout client 10s\n    timeout server 10s\n    timeout connect 10s\n    stats enable\n    stats uri /stats\n",
        site.settings.haproxy.stats_port
    ));
    *file = own;
}

/// The names of a file's backends and servers, and what observers call them: an endpoint, and a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The endpoint that each backend serves.
    pub endpoints: BTreeMap<String, String>,
    /// The host of each server, by backend and server.
    pub hosts: BTreeMap<(String, String), String>,
}

/// What a file's backends and servers are called elsewhere.
pub fn names(text: &str, endpoints: &[(&str, u16)]) -> Names {
    let mut names = Names::default();
    let sections = sections(text).unwrap_or_default();
    for (endpoint, port) in endpoints {
        let proxy = sections.iter().find(|section| section.binds().iter().any(|(bound, _)| bound == port));
        let Some(backend) = proxy.and_then(|proxy| behind(proxy, &sections)) else { continue };
        names.endpoints.insert(backend.name.to_owned(), (*endpoint).to_owned());
        for line in backend.with("server") {
            if let (Some(server), Some(host)) = (line.words.get(1), host_of(line)) {
                names.hosts.insert((backend.name.to_owned(), (*server).to_owned()), host.to_owned());
            }
        }
    }
    names
}
