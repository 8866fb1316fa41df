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
            "databases" => database(entry, around, &mut flaws),
            SECTION => setting(entry, &mut reading, &mut flaws),
            _ => {}
        }
    }
    if !entries.iter().any(serves_the_run) {
        let flaw = Flaw::new(
            Spot::of_line(1),
            format!("it leads to no database `{DATABASE}`, where clients of the run write"),
        );
        flaws.push(flaw.help(format!("add `{DATABASE} = host=…` or `* = host=…` under [databases]")));
    }
    for (field, value) in DEFAULTS {
        let path: Vec<String> = vec![SECTION.to_owned(), (*field).to_owned()];
        if !reading.settings.iter().any(|stated| stated.path == path) {
            reading.settings.push(Stated { path, value: value(), spot: Spot::of_line(1), is_default: true });
        }
    }
    if flaws.is_empty() { Ok(reading) } else { Err(flaws) }
}

/// A database leads to hosts of the topology, or to the pooler's own; and clients of the run come to theirs as themselves.
fn database(entry: &Entry<'_>, around: &Surroundings<'_>, flaws: &mut Vec<Flaw>) {
    let spot = Spot::of_line(entry.line);
    let words = connection_words(&entry.value);
    let of = |key: &str| words.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let port = of("port").and_then(|port| port.parse().ok());
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
    if !serves_the_run(entry) {
        return;
    }
    for key in ["user", "password", "auth_user", "auth_query"] {
        if of(key).is_some() {
            let flaw = Flaw::new(spot, format!("by `{key}` clients of the run would log in as somebody else"));
            flaws.push(flaw.help("leave it out: accounts and passwords are those of the run"));
        }
    }
    if of("dbname").is_some_and(|name| name != DATABASE) {
        let flaw = Flaw::new(spot, format!("clients of the run would come to another database than `{DATABASE}`"));
        flaws.push(flaw.help(format!("leave `dbname` out, or add a line for `{DATABASE}`")));
    }
}

/// Whether clients of the run are led by a line.
fn serves_the_run(entry: &Entry<'_>) -> bool {
    entry.section == "databases" && (entry.key == "*" || entry.key == DATABASE)
}

/// The keys and values of a connection string: spaces may stand around the equals sign, and a value in quotes.
fn connection_words(text: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap_or((quoted, "")),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        words.push((key.trim().to_lowercase(), value.to_owned()));
        rest = left.trim_start();
    }
    words
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
