//! Checks a certificate's folder: its digests, then its runs, which are judged again, then everything that was made of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    ATTEMPTS, Certified, DRILL, EVIDENCE, PAGE, PREVIOUS, ROLES, STATEMENT, SUMMARY, SUMS, attempts, evidence, html,
    markdown, statement,
};
use crate::{
    claims::Claim,
    report,
    topology::{self, Topology},
};

/// The number of differences that are named.
const NAMED: usize = 5;

/// The clocks of two machines may be this far apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// The folder holds no certificate.
#[derive(Debug, thiserror::Error)]
#[error("failed to find a certificate at {}: it holds no {missing}", folder.display())]
pub struct NotACertificate {
    folder: PathBuf,
    missing: &'static str,
}

/// Why a certificate does not hold, or can't be taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoubtKind {
    /// Nobody signed it, or the signature was not checked.
    Unsigned,
    /// Another version of pgquake made it, and this one judges the same runs otherwise.
    JudgedDifferently,
    /// It was valid until before now.
    Expired,
    /// Its last event came after the instant that was asked for.
    NotYetIssued,
    /// What it stands on has changed.
    Void,
    /// A signature is not what it should be.
    BadSignature,
    /// Something in the folder is not as it was issued.
    Tampered,
}

impl DoubtKind {
    /// As a word in front of the reason.
    pub fn word(self) -> &'static str {
        match self {
            DoubtKind::Unsigned => "unsigned",
            DoubtKind::JudgedDifferently => "judged differently",
            DoubtKind::Expired => "expired",
            DoubtKind::NotYetIssued => "not yet issued",
            DoubtKind::Void => "void",
            DoubtKind::BadSignature => "bad signature",
            DoubtKind::Tampered => "tampered",
        }
    }

    /// Whether the certificate is refused. If not, it is only not known to hold.
    pub fn is_refusal(self) -> bool {
        !matches!(self, DoubtKind::Unsigned | DoubtKind::JudgedDifferently)
    }
}

/// One reason not to take a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub kind: DoubtKind,
    pub text: String,
}

impl Doubt {
    pub fn new(kind: DoubtKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// What an examination found.
pub struct Examined {
    pub doubts: Vec<Doubt>,
    /// What the certificate was made of, judged again; `None`: it can't be read.
    pub certified: Option<Certified>,
}

/// Examines the folder of a certificate; signatures are not looked at.
///
/// # Errors
///
/// [`NotACertificate`] if there is no statement or no list of digests.
pub fn examine(folder: &Path, now: Timestamp) -> Result<Examined, NotACertificate> {
    for missing in [STATEMENT, SUMS] {
        if !folder.join(missing).is_file() {
            return Err(NotACertificate { folder: folder.to_owned(), missing });
        }
    }
    let tampered = sums(folder);
    if !tampered.is_empty() {
        return Ok(Examined { doubts: tampered, certified: None });
    }
    let (issued, version) = issued(folder);
    let certified = match Certified::read(folder) {
        Ok(certified) => certified,
        Err(error) => return Ok(Examined { doubts: vec![differs(&version, error.to_string())], certified: None }),
    };
    let mut doubts = rebuilt(folder, &certified, &issued, &version);
    if now > certified.valid_until() {
        doubts.push(Doubt::new(DoubtKind::Expired, format!("it was valid until {}", certified.valid_until())));
    }
    if now.saturating_add(CLOCKS_APART).is_ok_and(|latest| latest < certified.issued_at) {
        let text = format!("its last event came at {}, and not before {now}", certified.issued_at);
        doubts.push(Doubt::new(DoubtKind::NotYetIssued, text));
    }
    Ok(Examined { doubts, certified: Some(certified) })
}

/// Files that are not what the list of digests says, are not there, are not listed, or are none of a certificate's. The list
/// is signed by nobody: what the statement does not cover is known by its name.
fn sums(folder: &Path) -> Vec<Doubt> {
    let tampered = |text: String| Doubt::new(DoubtKind::Tampered, text);
    let text = match fs::read_to_string(folder.join(SUMS)) {
        Ok(text) => text,
        Err(error) => return vec![tampered(format!("{SUMS} can't be read: {error}"))],
    };
    let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        match line.split_once("  ") {
            Some((digest, file)) if digest.len() == 64 && listed.insert(file, digest).is_none() => {}
            _ => return vec![tampered(format!("{SUMS} has a line that is none of a digest and a file: {line}"))],
        }
    }
    let there = match evidence::files_below(folder) {
        Ok(there) => there,
        Err(error) => return vec![tampered(format!("the folder can't be read: {error}"))],
    };
    let is_own = |file: &&String| file.as_str() != SUMS && !is_signature(file);
    // Its bytes are those of whatever it leads to, today.
    let links = there.iter().filter(|file| folder.join(file).is_symlink());
    let mut doubts: Vec<Doubt> = links.map(|file| tampered(format!("{file} is a link, and no file"))).collect();
    doubts.extend(
        there
            .iter()
            .filter(|file| !is_of_a_certificate(file))
            .map(|file| tampered(format!("{file} is none of the files that a certificate has"))),
    );
    if !doubts.is_empty() {
        return doubts;
    }
    let mut doubts: Vec<Doubt> = there
        .iter()
        .filter(is_own)
        .filter_map(|file| match (listed.get(file.as_str()), evidence::digest_of_file(&folder.join(file))) {
            (None, _) => Some(tampered(format!("{file} is not listed in {SUMS}"))),
            (_, Err(error)) => Some(tampered(format!("{file} can't be read: {error}"))),
            (Some(digest), Ok(found)) if found != **digest => Some(tampered(format!("{file} was changed"))),
            _ => None,
        })
        .collect();
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    let expected: BTreeSet<&str> = listed.keys().copied().chain([PAGE, SUMMARY]).collect();
    doubts
        .extend(expected.iter().filter(|file| !there.contains(**file)).map(|file| tampered(format!("{file} is gone"))));
    doubts
}

/// Whether a certificate has a file of this name: what it is made from, what is made of it, and signatures.
fn is_of_a_certificate(file: &str) -> bool {
    let of_a_run = |file: &str| {
        let is_report = report::ALL.iter().any(|format| format.file == file);
        is_report || [evidence::COMPRESSED, "plan.json"].contains(&file) || file.starts_with("inputs/")
    };
    match file.strip_prefix(EVIDENCE).and_then(|rest| rest.strip_prefix('/')).and_then(|rest| rest.split_once('/')) {
        Some((_, file)) => of_a_run(file),
        None => [STATEMENT, PAGE, SUMMARY, SUMS, DRILL, ATTEMPTS, PREVIOUS].contains(&file) || is_signature(file),
    }
}

fn is_signature(file: &str) -> bool {
    ROLES.iter().any(|role| signature_file(role) == file)
}

/// The file of a role's signature.
pub fn signature_file(role: &str) -> String {
    format!("{STATEMENT}.{role}.sig")
}

/// The statement as it was issued, and the version of pgquake that did.
fn issued(folder: &Path) -> (String, String) {
    let text = fs::read_to_string(folder.join(STATEMENT)).unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let version = value["predicate"]["pgquake"]["judged_by"]["version"].as_str().unwrap_or_default().to_owned();
    (text, version)
}

/// Only another version may come to another result.
fn differs(version: &str, what: String) -> Doubt {
    let own = env!("CARGO_PKG_VERSION");
    match version {
        version if version == own || version.is_empty() => Doubt::new(DoubtKind::Tampered, what),
        other => {
            Doubt::new(DoubtKind::JudgedDifferently, format!("issued by pgquake {other}, judged now by {own}: {what}"))
        }
    }
}

/// What the folder gives now, against what it holds.
fn rebuilt(folder: &Path, certified: &Certified, issued: &str, version: &str) -> Vec<Doubt> {
    let text = statement(certified);
    if text != issued {
        let mut named = differences(issued, &text);
        let left = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        if left > 0 {
            named.push(format!("and {left} more"));
        }
        let what = format!("{STATEMENT} is not what the evidence gives: {}", named.join("; "));
        return vec![differs(version, what)];
    }
    let page = html::render(certified, &text).unwrap_or_default();
    let made = [(PAGE, page), (SUMMARY, markdown::render(certified, &text))];
    let is_other = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|own| own != *text);
    let other = made.iter().filter(|(file, text)| is_other(&folder.join(file), text));
    let mut doubts: Vec<Doubt> =
        other.map(|(file, _)| differs(version, format!("{file} is not what the statement gives"))).collect();
    // People look at these, too.
    for saved in &certified.runs {
        let [own] = &saved.folders[..] else { continue };
        for format in report::ALL {
            let text = (format.render)(&saved.input()).unwrap_or_default();
            if is_other(&own.join(format.file), &text) {
                doubts.push(differs(
                    version,
                    format!("{} of the run {} is not what its history gives", format.file, saved.id()),
                ));
            }
        }
    }
    doubts.extend(attempts::contradictions(certified).into_iter().map(|what| differs(version, what)));
    doubts
}

/// In what two statements differ: verdicts by their names, then other fields by their paths.
fn differences(old: &str, new: &str) -> Vec<String> {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (old, new) = (parsed(old), parsed(new));
    let states = |value: &Value, list: &str, name: &str, state: &str| -> BTreeMap<String, String> {
        let rows = value["predicate"]["pgquake"][list].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rows.iter().map(|row| (format!("{} of {}", text(&row[name]), text(&row["run"])), text(&row[state]))).collect()
    };
    let mut found = Vec::new();
    for (list, name, state) in [("claims", "id", "state"), ("scenarios", "name", "outcome")] {
        let (before, now) = (states(&old, list, name, state), states(&new, list, name, state));
        let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        for name in names.into_iter().filter(|name| before.get(*name) != now.get(*name)) {
            let of = |side: &BTreeMap<String, String>| side.get(name).map_or("not there", String::as_str).to_owned();
            found.push(format!("{name}: issued as {}, now {}", of(&before), of(&now)));
        }
    }
    if found.is_empty() {
        paths("", &old, &new, &mut found);
    }
    found
}

/// The paths at which two values differ.
fn paths(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(before), Value::Object(now)) => {
            let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
            for name in names {
                paths(&format!("{path}.{name}"), &old[name], &new[name], found);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (place, (old, new)) in before.iter().zip(now).enumerate() {
                paths(&format!("{path}[{place}]"), old, new, found);
            }
        }
        _ if old != new => found.push(path.trim_start_matches('.').to_owned()),
        _ => {}
    }
}

/// What a certificate is held against, to see whether it still speaks of it.
#[derive(Debug, Clone, Default)]
pub struct Present {
    pub topologies: Vec<Topology>,
    /// Versions by package.
    pub versions: BTreeMap<String, String>,
    pub claims: Vec<Claim>,
}

impl Present {
    /// The version of a package that has the place of one that is not there any more: `patroni-4.1.5` that of `patroni-4.1.4`, where a
    /// topology names the line.
    fn in_place_of(&self, package: &str, tried: &BTreeSet<(String, String)>) -> Option<&String> {
        let line = |name: &str| name.rsplit_once('.').map(|(line, _)| line.to_owned());
        let own = line(package)?;
        let is_new = |name: &str| tried.iter().all(|(known, _)| known != name);
        let mut of_line = self.versions.iter().filter(|(name, _)| line(name).as_ref() == Some(&own) && is_new(name));
        of_line.next().map(|(_, version)| version)
    }
}

/// Whether what the certificate stands on has changed since: topologies, versions of packages, targets of claims.
pub fn void(certified: &Certified, present: &Present) -> Vec<Doubt> {
    let mut reasons = Vec::new();
    let tried = tried_topologies(certified);
    for topology in &present.topologies {
        let name = &topology.name;
        let own: Vec<&String> = tried.iter().filter(|(tried, _)| tried == name).map(|(_, digest)| digest).collect();
        match own.is_empty() {
            true => reasons.push(format!("the topology {name} was not tried")),
            false if own.contains(&&statement::digest_of_topology(topology)) => {}
            false => reasons.push(format!("the topology {name} is not the one that was tried")),
        }
    }
    let packages = statement::versions(certified);
    for (package, tried) in &packages {
        match present.versions.get(package).or_else(|| present.in_place_of(package, &packages)) {
            Some(version) if version != tried => reasons.push(format!("{package} was {tried} and is {version}")),
            _ => {}
        }
    }
    for claim in &present.claims {
        let is_other =
            |own: &Claim| own.id == claim.id && statement::digest_of_claim(own) != statement::digest_of_claim(claim);
        if certified.claims().any(|(_, verdict)| is_other(&verdict.claim)) {
            reasons.push(format!("the claim {} has another target", claim.id));
        }
    }
    reasons.into_iter().map(|reason| Doubt::new(DoubtKind::Void, reason)).collect()
}

/// Topologies as they were tried, and as their files are in the evidence: scenarios may have changed what they tried.
fn tried_topologies(certified: &Certified) -> BTreeSet<(String, String)> {
    let mut tried = statement::topologies(certified);
    for folder in certified.runs.iter().flat_map(|saved| &saved.folders) {
        let folder = folder.join("inputs/topologies");
        for file in evidence::files_below(&folder).unwrap_or_default() {
            let Ok(text) = fs::read_to_string(folder.join(&file)) else { continue };
            if let Ok(topology) = topology::parse(&file, &text) {
                tried.insert((topology.name.clone(), statement::digest_of_topology(&topology)));
            }
        }
    }
    tried
}
