//! A team's `pgbouncer.ini`. Its lines stay as they are, but for the keys of [`OWNED`].

use serde_json::json;

use super::{
    Flaw, Format, Overridden, Reading, Spot, Stated, Surroundings, Unsaid,
    ini::{Entry, of_ini},
    rendered_file, without_lines,
};
use crate::{
    credentials::DATABASE,
    services::{Rendered, Site, patroni::POSTGRESQL_PORT, pgbouncer::CONFIGURATION},
    suggestion::did_you_mean,
};

pub(in crate::services) const FILE: Format = Format { name: "pgbouncer.ini", read, put };

/// Keys that the harness sets, or leaves out, and why.
const OWNED: &[(&str, &str)] = &[
    ("listen_addr", "clients reach it at its host's address"),
    ("listen_port", "`settings.pgbouncer.port` says it"),
    ("unix_socket_dir", "clients reach it at its host's address"),
    ("auth_type", "accounts and passwords are those of the run"),
    ("auth_file", "accounts and passwords are those of the run"),
    ("auth_hba_file", "accounts and passwords are those of the run"),
    ("auth_query", "accounts and passwords are those of the run"),
    ("auth_user", "accounts and passwords are those of the run"),
    ("auth_dbname", "accounts and passwords are those of the run"),
    ("admin_users", "the harness asks for its pools"),
    ("stats_users", "the harness asks for its pools"),
    ("client_tls_sslmode", "clients of the run speak without TLS"),
    ("client_tls_key_file", "clients of the run speak without TLS"),
    ("client_tls_cert_file", "clients of the run speak without TLS"),
    ("client_tls_ca_file", "clients of the run speak without TLS"),
    ("server_tls_sslmode", "PostgreSQL of the run speaks without TLS"),
    ("server_tls_ca_file", "PostgreSQL of the run speaks without TLS"),
    ("server_tls_key_file", "PostgreSQL of the run speaks without TLS"),
    ("server_tls_cert_file", "PostgreSQL of the run speaks without TLS"),
    ("logfile", "the log is saved with the run, from standard error"),
    ("syslog", "the log is saved with the run, from standard error"),
    ("pidfile", "the container ends with its first process"),
    ("user", "the container runs as PgBouncer's own user"),
    ("log_connections", "probers log in a hundred times a second"),
    ("log_disconnections", "probers log in a hundred times a second"),
];

/// What has a setting of its own: PgBouncer's key, and its name in `settings.pgbouncer`.
const SETTINGS: &[(&str, &str)] = &[
    ("pool_mode", "pool_mode"),
    ("max_client_conn", "max_client_conn"),
    ("default_pool_size", "default_pool_size"),
    ("reserve_pool_size", "reserve_pool_size"),
    ("server_login_retry", "server_login_retry_s"),
    ("server_connect_timeout", "server_connect_timeout_s"),
    ("server_round_robin", "server_round_robin"),
    ("min_pool_size", "min_pool_size"),
];

/// PgBouncer's defaults where they differ from those of document 002, which the harness takes for its own.
const DEFAULTS: &[(&str, Unsaid)] = &[
    ("pool_mode", || json!("session")),
    ("max_client_conn", || json!(100)),
    ("default_pool_size", || json!(20)),
    ("reserve_pool_size", || json!(0)),
    ("server_login_retry_s", || json!(15)),
];

const SECTION: &str = "pgbouncer";
const DATABASES: &str = "databases";
/// All that PgBouncer reads.
const SECTIONS: &[&str] = &[DATABASES, "peers", SECTION, "users"];

fn read(text: &str, around: &Surroundings<'_>) -> Result<Reading, Vec<Flaw>> {
    let unreadable = |line: usize| {
        let flaw = Flaw::new(Spot::of_line(line), "this line is neither a section nor `key = value`");
        let is_included = text.lines().nth(line - 1).is_some_and(|text| text.trim().starts_with("%include"));
        vec![if is_included { flaw.help("write the lines of the file that it includes here") } else { flaw }]
    };
    let entries = of_ini(text).map_err(unreadable)?;
    let mut flaws = Vec::new();
    let mut reading = Reading::default();
    for entry in &entries {
        match entry.section {
            DATABASES => database(entry, around, &mut flaws),
            SECTION => setting(entry, &mut reading, &mut flaws),
            known if SECTIONS.contains(&known) => {}
            unknown => flaws.push(unknown_section(entry, unknown)),
        }
    }
    for database in std::iter::once(&DATABASE).chain(&around.further_databases) {
        match serving(&entries, database) {
            Some(entry) => flaws.extend(leads_as_meant(entry, database)),
            None => {
                let message = format!("it leads to no database `{database}`, where clients of the run write");
                let help = format!("add `{database} = host=…` or `* = host=…` under [databases]");
                flaws.push(Flaw::new(Spot::of_line(1), message).help(help));
            }
        }
    }
    for (field, value) in DEFAULTS {
        let path: Vec<String> = vec![SECTION.to_owned(), (*field).to_owned()];
        if !reading.settings.iter().any(|stated| stated.path == path) {
            reading.settings.push(Stated { path, value: value(), spot: Spot::of_line(1), is_default: true });
        }
    }
    if flaws.is_empty() { Ok(reading) } else { Err(flaws) }
}

fn unknown_section(entry: &Entry<'_>, name: &str) -> Flaw {
    let flaw = match name {
        "" => Flaw::new(Spot::of_line(entry.line), format!("`{}` stands in no section", entry.key)),
        _ => Flaw::new(Spot::of_line(entry.line), format!("PgBouncer has no section `{name}`, in which this stands")),
    };
    flaw.help(did_you_mean(name, SECTIONS))
}

/// The line by which clients come to a database: its own, the last if there are several, or the one for all others.
fn serving<'e, 'a>(entries: &'e [Entry<'a>], database: &str) -> Option<&'e Entry<'a>> {
    let called =
        |name: &str| entries.iter().rfind(|entry| entry.section == DATABASES && entry.key.trim_matches('"') == name);
    called(database).or_else(|| called("*"))
}

/// A database leads to hosts of the topology, or to the pooler's own.
fn database(entry: &Entry<'_>, around: &Surroundings<'_>, flaws: &mut Vec<Flaw>) {
    let spot = Spot::of_line(entry.line);
    let words = connection_words(&entry.value);
    let of = |key: &str| words.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    if let Some(wrong) = of("port").filter(|port| port.parse::<u16>().is_err()) {
        flaws.push(Flaw::new(spot, format!("`{wrong}` is no port")));
    }
    let port = of("port").and_then(|port| port.parse().ok());
    // Without a host it looks for a socket, too.
    if of("host").is_none_or(|host| host.is_empty() || host.starts_with(['/', '@'])) {
        let flaw = Flaw::new(spot, "it leads to a socket, and PostgreSQL's is not in the container of PgBouncer");
        flaws.push(flaw.help(format!("write `host=127.0.0.1 port={POSTGRESQL_PORT}` for PostgreSQL of the same host")));
        return;
    }
    for host in of("host").unwrap_or_default().split(',').filter(|host| !host.is_empty()) {
        let is_here = matches!(host, "127.0.0.1" | "localhost" | "::1");
        let refused = if is_here {
            let is_other = port.filter(|port| *port != POSTGRESQL_PORT);
            is_other.map(|port| {
                let help = format!("PostgreSQL of the run listens on {POSTGRESQL_PORT}");
                (format!("nothing listens on port {port} of the pooler's own host"), help)
            })
        } else {
            around.refuses(host, port)
        };
        flaws.extend(refused.map(|(message, help)| Flaw::new(spot, message).help(help)));
    }
}

/// Clients of the run come to their database, and as themselves.
fn leads_as_meant(entry: &Entry<'_>, database: &str) -> Vec<Flaw> {
    let spot = Spot::of_line(entry.line);
    let words = connection_words(&entry.value);
    let of = |key: &str| words.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let of_others = ["user", "password", "auth_user", "auth_query"].into_iter().filter(|key| of(key).is_some());
    let as_others = of_others.map(|key| {
        let flaw = Flaw::new(spot, format!("by `{key}` clients of the run would log in as somebody else"));
        flaw.help("leave it out: accounts and passwords are those of the run")
    });
    let elsewhere = of("dbname").filter(|name| *name != database).map(|_| {
        let flaw = Flaw::new(spot, format!("clients of the run would come to another database than `{database}`"));
        flaw.help(format!("leave `dbname` out, or add a line for `{database}`"))
    });
    as_others.chain(elsewhere).collect()
}

/// The keys and values of a connection string: spaces may stand around the equals sign, and a value in quotes, which a quote in it
/// doubles.
fn connection_words(text: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('\'') {
            Some(quoted) => unquoted(quoted),
            None => {
                let (value, left) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
                (value.to_owned(), left)
            }
        };
        words.push((key.trim().to_lowercase(), value));
        rest = left.trim_start();
    }
    words
}

/// A value behind its first quote, and what comes after its last one.
fn unquoted(text: &str) -> (String, &str) {
    let (mut value, mut rest) = (String::new(), text);
    while let Some((part, after)) = rest.split_once('\'') {
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(within) => (value, rest) = (value + "'", within),
            None => return (value, after),
        }
    }
    (value + rest, "")
}

fn setting(entry: &Entry<'_>, reading: &mut Reading, flaws: &mut Vec<Flaw>) {
    if let Some((key, why)) = OWNED.iter().find(|(key, _)| *key == entry.key) {
        reading.overridden.push(Overridden { key: (*key).to_owned(), line: entry.line, why });
    }
    let Some((_, field)) = SETTINGS.iter().find(|(key, _)| *key == entry.key) else { return };
    let value = match *field {
        // Nothing is predicted by these, and PgBouncer takes parts of a second.
        "server_login_retry_s" | "server_connect_timeout_s" if entry.value.contains('.') => {
            match entry.value.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => return,
                _ => None,
            }
        }
        "pool_mode" => {
            let mode = entry.value.to_lowercase();
            ["session", "transaction", "statement"].contains(&mode.as_str()).then(|| json!(mode))
        }
        "server_round_robin" => entry.value.parse::<u8>().ok().filter(|flag| *flag <= 1).map(|flag| json!(flag == 1)),
        _ => entry.value.parse::<u32>().ok().map(|number| json!(number)),
    };
    match value {
        Some(value) => {
            let path = vec![SECTION.to_owned(), (*field).to_owned()];
            reading.settings.retain(|stated| stated.path != path);
            reading.settings.push(Stated { path, value, spot: Spot::of_line(entry.line), is_default: false });
        }
        None => {
            let message = format!("`{}` can't be the value of `{}`", entry.value, entry.key);
            flaws.push(Flaw::new(Spot::of_line(entry.line), message));
        }
    }
}

/// The team's lines, with the harness's keys as they are rendered at the end of their section.
fn put(text: &str, _site: &Site<'_>, rendered: &mut Rendered) {
    let Some(file) = rendered_file(rendered, CONFIGURATION) else { return };
    let (Ok(theirs), Ok(ours)) = (of_ini(text), of_ini(file)) else { return };
    let is_owned = |entry: &&Entry<'_>| entry.section == SECTION && OWNED.iter().any(|(key, _)| *key == entry.key);
    let dropped: Vec<usize> = theirs.iter().filter(is_owned).map(|entry| entry.line).collect();
    let added: String =
        ours.iter().filter(is_owned).map(|entry| format!("{} = {}\n", entry.key, entry.value)).collect();
    let mut own = without_lines(text, &dropped);
    // A section may come again; what comes last counts.
    own.push_str(&format!("\n; Set by pgquake.\n[{SECTION}]\n{added}"));
    *file = own;
}
