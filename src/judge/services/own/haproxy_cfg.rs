//! A team's `haproxy.cfg`. Its text stays as it is, but for the lines of [`DROPPED`] and a page of statistics that is added; what
//! observers need to know of it (which proxy serves which endpoint, and which server is which host) is read out of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Flaw, Format, Overridden, Reading, Served, Spot, Stated, Surroundings, rendered_file, without_lines};
use crate::{
    services::{Rendered, Serves, Site, haproxy::CONFIGURATION},
    suggestion::did_you_mean,
};

pub(in crate::services) const FILE: Format = Format { name: "haproxy.cfg", read, put };

/// Keywords of `global` that are left out, and why.
const DROPPED: &[(&str, &str)] = &[
    ("chroot", "the container is HAProxy's own, and runs without root"),
    ("daemon", "the container ends with its first process"),
    ("group", "the container runs as HAProxy's own user"),
    ("gid", "the container runs as HAProxy's own user"),
    ("pidfile", "the container is HAProxy's own, and runs without root"),
    (STATS_SOCKET, "the container is HAProxy's own, and runs without root"),
    ("uid", "the container runs as HAProxy's own user"),
    ("user", "the container runs as HAProxy's own user"),
];

const STATS_SOCKET: &str = "stats socket";

/// Keywords that begin a section.
const SECTIONS: &[&str] = &[
    "acme",
    "backend",
    "cache",
    "crt-store",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "http-errors",
    "listen",
    "log-forward",
    "log-profile",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

const BY_RULES: &str = "what decides by rules can't be predicted or observed";

/// A line that says something: its number from 1, and its words.
struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
}

/// A section with a name.
struct Section<'a> {
    keyword: &'a str,
    name: &'a str,
    /// The defaults that it names.
    from: Option<&'a str>,
    number: usize,
    lines: Vec<Line<'a>>,
}

impl<'a> Section<'a> {
    fn with(&self, keyword: &str) -> impl Iterator<Item = &Line<'a>> {
        self.lines.iter().filter(move |line| line.words[0] == keyword)
    }

    /// The ports on which clients of other hosts reach it, each with its line.
    fn binds(&self) -> Vec<(u16, &Line<'a>)> {
        let bound = self.with("bind").filter_map(|line| Some((line, *line.words.get(1)?)));
        let each = bound.flat_map(|(line, addresses)| addresses.split(',').map(move |address| (line, address)));
        let from_outside =
            each.filter(|(_, address)| !is_loopback(address.rsplit_once(':').map_or(*address, |(host, _)| host)));
        from_outside
            .flat_map(|(line, address)| {
                let ports = address.rsplit(':').next().unwrap_or_default();
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
                range.into_iter().flat_map(move |(first, last)| (first..=last).map(move |port| (port, line)))
            })
            .collect()
    }

    fn listens_on(&self, port: u16) -> bool {
        self.binds().iter().any(|(bound, _)| *bound == port)
    }

    fn says(&self, words: &[&str]) -> bool {
        self.lines.iter().any(|line| line.words.starts_with(words))
    }
}

/// The words of a line, up to a comment, without the quotes around them.
fn words(line: &str) -> Vec<&str> {
    let said = line.split_once('#').map_or(line, |(said, _)| said);
    said.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect()
}

fn sections(text: &str) -> Result<Vec<Section<'_>>, Flaw> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, words) = (index + 1, words(line));
        match (words.first(), sections.last_mut()) {
            (None, _) => {}
            (Some(&".if"), _) => {
                let flaw = Flaw::new(Spot::of_line(number), "`.if` decides what of the file counts");
                return Err(flaw.help(BY_RULES));
            }
            (Some(first), _) if SECTIONS.contains(first) => {
                let name = words.get(1).copied().unwrap_or_default();
                let from = words.iter().position(|word| *word == "from").and_then(|at| words.get(at + 1)).copied();
                sections.push(Section { keyword: first, name, from, number, lines: Vec::new() });
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

/// The backend that serves what a proxy takes: itself, or the one that it leads everything to; or why nobody can say which.
fn behind<'s, 'a>(proxy: &'s Section<'a>, all: &'s [Section<'a>]) -> Result<&'s Section<'a>, Flaw> {
    let by_rules = || {
        let message = format!("`{}` leads to no backend by `default_backend` alone", proxy.name);
        Flaw::new(Spot::of_line(proxy.number), message).help(BY_RULES)
    };
    if proxy.with("use_backend").next().is_some() {
        return Err(by_rules());
    }
    if proxy.keyword == "listen" {
        return Ok(proxy);
    }
    let said = [Some(proxy), defaults_of(proxy, all)].into_iter().flatten();
    let line = said.filter_map(|section| section.with("default_backend").last()).next().ok_or_else(by_rules)?;
    let name = line.words.get(1).copied().unwrap_or_default();
    let backends = || all.iter().filter(|section| matches!(section.keyword, "backend" | "listen"));
    backends().find(|section| section.name == name).ok_or_else(|| {
        let known: Vec<&str> = backends().map(|section| section.name).collect();
        let flaw = Flaw::new(Spot::of_line(line.number), format!("no backend is called `{name}`"));
        flaw.help(did_you_mean(name, &known))
    })
}

/// The defaults that a section has: those that it names after `from`, or the last ones before it.
fn defaults_of<'s, 'a>(section: &Section<'a>, all: &'s [Section<'a>]) -> Option<&'s Section<'a>> {
    let defaults = || all.iter().filter(|known| known.keyword == "defaults");
    match section.from {
        Some(from) => defaults().find(|known| known.name == from),
        None => defaults().take_while(|known| known.number < section.number).last(),
    }
}

/// A server's host, and its port if it has one.
fn place_of<'a>(line: &Line<'a>) -> Option<(&'a str, Option<u16>)> {
    let address = line.words.get(2)?;
    Some(address.rsplit_once(':').map_or((*address, None), |(host, port)| (host, port.parse().ok())))
}

fn read(text: &str, around: &Surroundings<'_>) -> Result<Reading, Vec<Flaw>> {
    let sections = sections(text).map_err(|flaw| vec![flaw])?;
    let mut flaws = Vec::new();
    let mut reading = Reading { settings: Vec::new(), overridden: overridden(&sections) };
    let proxies = sections.iter().filter(|section| matches!(section.keyword, "listen" | "backend"));
    for line in proxies.flat_map(|section| &section.lines) {
        match line.words[0] {
            "server" => flaws.extend(server(line, around)),
            "server-template" => {
                let flaw = Flaw::new(Spot::of_line(line.number), "which servers it makes is not in the file");
                flaws.push(flaw.help("write a `server` for each node"));
            }
            _ => {}
        }
    }
    flaws.extend(sections.iter().flat_map(|section| &section.lines).filter_map(with_tls));
    flaws.extend(sections.iter().flat_map(|section| section.with("bind")).filter_map(|line| bound(line, around)));
    let page = around.statistics_port;
    if let Some((_, line)) = sections.iter().flat_map(Section::binds).find(|(port, _)| *port == page) {
        let message = format!("pgquake adds a page of statistics on port {page}, which is taken here");
        let help = "set `settings.haproxy.stats_port` of the topology to another port";
        flaws.push(Flaw::new(Spot::of_line(line.number), message).help(help));
    }
    let mut serving = Vec::new();
    for endpoint in &around.endpoints {
        match serving_at(*endpoint, &sections) {
            Ok(backend) => serving.push(backend),
            Err(flaw) => flaws.push(flaw),
        }
    }
    checks(&sections, &serving, &mut reading, &mut flaws);
    if flaws.is_empty() { Ok(reading) } else { Err(flaws) }
}

/// The backend that serves the clients of an endpoint; or why nobody can say which.
fn serving_at<'s, 'a>(served: Served<'_>, all: &'s [Section<'a>]) -> Result<&'s Section<'a>, Flaw> {
    let Served { name: endpoint, port, serves } = served;
    let Some(proxy) = all.iter().find(|section| section.listens_on(port)) else {
        let message = format!("nothing listens on port {port}, where the endpoint `{endpoint}` is");
        let help = format!("add `bind :{port}` to a proxy, or change the endpoint's port");
        return Err(Flaw::new(Spot::of_line(1), message).help(help));
    };
    let bound = proxy.binds().into_iter().find(|(bound, _)| *bound == port);
    if let Some((_, line)) = bound.filter(|(_, line)| line.words.contains(&"ssl")) {
        let message = format!("clients of the endpoint `{endpoint}` speak without TLS");
        return Err(Flaw::new(Spot::of_line(line.number), message).help("leave `ssl` out of this `bind`"));
    }
    let backend = behind(proxy, all)?;
    if backend.with("server").next().is_none() {
        let message = format!("`{}` names no server, so nobody knows where it leads", backend.name);
        return Err(Flaw::new(Spot::of_line(backend.number), message).help("write a `server` for each node"));
    }
    let (others, meant) = if serves.is_for_reads() { (OF_LEADERS, "standbys") } else { (OF_READS, "the primary") };
    match asked(backend, defaults_of(backend, all)).filter(|path| serves != Serves::Node && others.contains(path)) {
        Some(path) => {
            let message =
                format!("`{}` is asked for `{path}`, and the endpoint `{endpoint}` serves {meant}", backend.name);
            Err(Flaw::new(Spot::of_line(backend.number), message)
                .help("change the check, or what the endpoint `serves`"))
        }
        None => Ok(backend),
    }
}

/// A server is led to where a host of the topology listens, and its checks too.
fn server(line: &Line<'_>, around: &Surroundings<'_>) -> Option<Flaw> {
    let spot = Spot::of_line(line.number);
    let Some((host, port)) = place_of(line) else { return Some(Flaw::new(spot, "a server has a name and an address")) };
    let of_check = value_of(line, "port");
    let words = [line.words.get(2).copied(), of_check, value_of(line, "addr")];
    if let Some(flaw) = words.into_iter().flatten().find_map(|word| variable(word, spot)) {
        return Some(flaw);
    }
    let checked = (value_of(line, "addr").unwrap_or(host), of_check.and_then(|port| port.parse().ok()));
    let elsewhere = [(host, port), checked].into_iter().filter(|(host, _)| !is_loopback(host));
    let refused = elsewhere.filter_map(|(host, port)| around.refuses(host, port)).next();
    refused.map(|(message, help)| Flaw::new(spot, message).help(help))
}

/// A server, or its check, that is spoken to with TLS: it would be down for ever.
fn with_tls(line: &Line<'_>) -> Option<Flaw> {
    let is_of_servers = matches!(line.words[0], "server" | "default-server");
    let is_of_checks = line.words.starts_with(&["http-check", "connect"]);
    let (word, message) = match ["check-ssl", "ssl"].into_iter().find(|word| line.words.contains(word))? {
        "ssl" if is_of_servers => ("ssl", "servers of the run take sessions without TLS around them"),
        word if is_of_servers || is_of_checks => (word, "Patroni of the run answers its checks by plain HTTP"),
        _ => return None,
    };
    Some(Flaw::new(Spot::of_line(line.number), message).help(format!("leave `{word}` out of this line")))
}

/// A proxy listens on every address of its host, or on its loopback: others are given out when hosts start.
fn bound(line: &Line<'_>, around: &Surroundings<'_>) -> Option<Flaw> {
    let spot = Spot::of_line(line.number);
    let addresses = line.words.get(1)?;
    if let Some(flaw) = variable(addresses, spot) {
        return Some(flaw);
    }
    let is_everywhere = |host: &str| matches!(host, "" | "*" | "0.0.0.0" | "::" | "[::]");
    let of_tcp = addresses.split(',').map(|address| address.trim_start_matches("ipv4@").trim_start_matches("ipv6@"));
    let hosts = of_tcp.filter(|address| !address.contains(['/', '@'])).filter_map(|address| address.rsplit_once(':'));
    let is_there =
        |host: &str| is_everywhere(host) || is_loopback(host) || around.hosts.iter().any(|(name, _)| *name == host);
    let (host, port) = hosts.into_iter().find(|(host, _)| !is_there(host))?;
    let flaw = Flaw::new(spot, format!("no host of the topology has the address `{host}`"));
    Some(flaw.help(format!("write `bind *:{port}`: addresses are given out when hosts start")))
}

/// What HAProxy takes out of its environment is not in the file.
fn variable(word: &str, spot: Spot) -> Option<Flaw> {
    let flaw = || Flaw::new(spot, format!("what `{word}` stands for is not in the file"));
    word.contains('$').then(|| flaw().help("write the host, the port or the number in the place of the variable"))
}

fn is_loopback(host: &str) -> bool {
    host.starts_with("127.") || matches!(host, "localhost" | "::1" | "[::1]")
}

fn overridden(sections: &[Section<'_>]) -> Vec<Overridden> {
    let global = sections.iter().filter(|section| section.keyword == "global").flat_map(|section| &section.lines);
    let dropped = global.filter_map(|line| {
        let begins = |key: &str| key.split(' ').zip(&line.words).all(|(part, word)| part == *word);
        let (key, why) = DROPPED.iter().find(|(key, _)| begins(key))?;
        // Its administration may listen at a port, too, which needs no folder of the image's.
        let is_at_a_port = line.words.get(2).is_some_and(|place| place.contains(':') && !place.starts_with("unix"));
        (*key != STATS_SOCKET || !is_at_a_port).then(|| Overridden {
            key: format!("global {key}"),
            line: line.number,
            why,
        })
    });
    dropped.collect()
}

/// What the backends that serve endpoints say of their checks, which predictions go by.
fn checks(all: &[Section<'_>], serving: &[&Section<'_>], reading: &mut Reading, flaws: &mut Vec<Flaw>) {
    let Some(first) = serving.first() else { return };
    let defaults = defaults_of(first, all);
    let state = |path: &str, value: Value, line: usize| Stated {
        path: ["haproxy", path].map(str::to_owned).into(),
        value,
        spot: Spot::of_line(line),
        is_default: false,
    };
    for (option, setting, default) in [("inter", "inter_ms", 2000), ("fall", "fall", 3), ("rise", "rise", 2)] {
        let of = |section: &Section<'_>| {
            let lines = section.with("server").chain(section.with("default-server"));
            lines.filter_map(|line| value_of(line, option).map(|value| (value.to_owned(), line.number))).next()
        };
        let told = of(first).or_else(|| of(defaults?));
        let (value, line) = match &told {
            None => (Some(default), first.number),
            Some((text, line)) => (if option == "inter" { time_ms(text) } else { text.parse().ok() }, *line),
        };
        match value {
            Some(value) => reading.settings.push(state(setting, json!(value), line)),
            None => {
                let (spot, text) = (Spot::of_line(line), told.map(|(text, _)| text).unwrap_or_default());
                let flaw = || Flaw::new(spot, format!("`{option}` takes a number"));
                flaws.push(variable(&text, spot).unwrap_or_else(flaw));
            }
        }
    }
    let closes = first.with("server").chain(first.with("default-server"));
    let closes = closes.chain(defaults.iter().flat_map(|section| section.with("default-server")));
    let closes =
        closes.into_iter().any(|line| line.words.windows(2).any(|two| two == ["on-marked-down", "shutdown-sessions"]));
    reading.settings.push(state("close_sessions_of_down_server", json!(closes), first.number));
    let asks = serving.iter().all(|backend| asks_for_role(backend, defaults_of(backend, all)));
    // Whatever else it checks, a server that is no primary can pass it: nothing is predicted then.
    let check = if asks { "role" } else { "pgsql_check" };
    reading.settings.push(state("check", json!(check), first.number));
}

/// What Patroni answers by role: what only the leader of a cluster answers, and what standbys answer.
const OF_LEADERS: &[&str] = &["/", "/leader", "/master", "/primary", "/read-write", "/standby-leader"];
const OF_READS: &[&str] = &[
    "/async",
    "/asynchronous",
    "/quorum",
    "/read-only",
    "/read-only-quorum",
    "/read-only-sync",
    "/replica",
    "/sync",
    "/synchronous",
];

/// Options that say how servers are checked. One of a backend's own ends the one that it has from its defaults.
const CHECKS: &[&str] =
    &["httpchk", "ldap-check", "mysql-check", "pgsql-check", "redis-check", "smtpchk", "ssl-hello-chk", "tcp-check"];

/// What every server is asked for by HTTP, without a query; `None`: some are asked nothing, or something else.
fn asked<'a>(backend: &Section<'a>, defaults: Option<&Section<'a>>) -> Option<&'a str> {
    let by_http = |section: &Section<'_>| {
        let options = section.lines.iter().filter(|line| line.words.contains(&"option"));
        let last = options.rev().find(|line| line.words.iter().any(|word| CHECKS.contains(word)));
        last.map(|line| line.words.starts_with(&["option", "httpchk"]))
    };
    let is_on = by_http(backend).or_else(|| by_http(defaults?)).unwrap_or(false);
    let is_checked = |line: &Line<'_>| line.words.contains(&"check") || backend.says(&["default-server", "check"]);
    let sent = lines_of(backend, defaults).filter(|line| {
        line.words.starts_with(&["option", "httpchk"]) || line.words.starts_with(&["http-check", "send"])
    });
    // Without a path HAProxy asks for `/`, which Patroni answers as `/primary`.
    let path = sent.flat_map(|line| &line.words).find(|word| word.starts_with('/')).copied().unwrap_or("/");
    let is_asked = is_on && backend.with("server").all(is_checked);
    is_asked.then(|| path.split('?').next().unwrap_or(path))
}

/// The lines of a section, and after them those of its defaults.
fn lines_of<'s, 'a>(
    section: &'s Section<'a>,
    defaults: Option<&'s Section<'a>>,
) -> impl Iterator<Item = &'s Line<'a>> + use<'s, 'a> {
    [Some(section), defaults].into_iter().flatten().flat_map(|own| &own.lines)
}

/// Whether every server is asked by HTTP for what Patroni answers by role, at one interval.
fn asks_for_role(backend: &Section<'_>, defaults: Option<&Section<'_>>) -> bool {
    // They change the interval while a server is neither up nor down, so the usual one predicts nothing.
    let changes = |line: &Line<'_>| ["fastinter", "downinter"].iter().any(|word| line.words.contains(word));
    let varies = lines_of(backend, defaults).any(changes);
    !varies && asked(backend, defaults).is_some_and(|path| OF_LEADERS.contains(&path) || OF_READS.contains(&path))
}

/// What follows an option in a line.
fn value_of<'a>(line: &Line<'a>, option: &str) -> Option<&'a str> {
    let at = line.words.iter().position(|word| *word == option)?;
    line.words.get(at + 1).copied()
}

/// A time in milliseconds: HAProxy takes them without a unit as such.
fn time_ms(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u32 = digits.parse().ok()?;
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
    let mut own = without_lines(text, &dropped);
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
        let proxy = sections.iter().find(|section| section.listens_on(*port));
        let Some(backend) = proxy.and_then(|proxy| behind(proxy, &sections).ok()) else { continue };
        names.endpoints.insert(backend.name.to_owned(), (*endpoint).to_owned());
        for line in backend.with("server") {
            if let (Some(server), Some((host, _))) = (line.words.get(1), place_of(line)) {
                names.hosts.insert((backend.name.to_owned(), (*server).to_owned()), host.to_owned());
            }
        }
    }
    names
}
