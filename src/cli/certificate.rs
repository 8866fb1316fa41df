//! `certify`, `sign` and `verify`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use miette::MietteDiagnostic;

use super::{Exit, exit::Failure, print};
use crate::{
    certificate::{
        self, CertificateError, Certified, Conclusion, Doubt, DoubtKind, Present, Request, STATEMENT, SUMMARY,
        drill::principal, signature_file,
    },
    checks,
    claims::Claims,
    run::{SavedError, SavedRun},
    signatures, topology,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  every run passed, and its claims are confirmed
  1  a claim is refuted, or a run failed
  2  usage: the drill, a run or the folder is wrong; nothing was made
  3  undecided: no claim is confirmed, or one with a share is undecided")]
pub(super) struct CertifyArguments {
    /// The folders of the runs to certify
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// What people supply: title, system, people, actions
    #[arg(long, value_name = "FILE")]
    drill: PathBuf,
    /// The folder to make [default: certificates/RUN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Why a run of the same plan is left out; it is listed with the reason. `*` is for all others
    #[arg(long, value_name = "RUN=REASON", value_parser = left_out)]
    without: Vec<(String, String)>,
}

fn left_out(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((run, reason)) if !run.is_empty() && !reason.trim().is_empty() => {
            Ok((run.to_owned(), reason.trim().to_owned()))
        }
        _ => Err("a run is left out as RUN=REASON".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(super) struct SignArguments {
    /// The certificate's folder
    folder: PathBuf,
    /// In which role
    #[arg(long, value_enum)]
    role: Role,
    /// A private key, or a public one whose private key the agent holds
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// As of this instant, for example 2027-01-31T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
}

/// In which role somebody signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Operator,
    Reviewer,
    Owner,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Reviewer => "reviewer",
            Role::Owner => "owner",
        }
    }

    /// Who the drill says that this is.
    fn person(self, certified: &Certified) -> Option<&str> {
        let people = &certified.drill.people;
        match self {
            Role::Operator => Some(people.operator()),
            Role::Reviewer => people.reviewer(),
            Role::Owner => Some(people.owner()),
        }
    }

    /// Whether a certificate without this signature is unsigned. The owner need not sign.
    fn is_needed(self, certified: &Certified) -> bool {
        self != Role::Owner && self.person(certified).is_some()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  the certificate is what it says, whatever its verdict
  1  tampered with, badly signed, not yet issued, expired, or void
  2  usage: the folder holds no certificate
  3  can't tell: unsigned, or another version of pgquake judges the same runs otherwise")]
pub(super) struct VerifyArguments {
    /// The certificate's folder
    folder: PathBuf,
    /// The keys that may sign, as OpenSSH's allowed_signers
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,
    /// A topology, or the folder of a newer run: the certificate is void if what it stands on has changed
    #[arg(long, value_name = "TOPOLOGY|RUN")]
    against: Vec<String>,
    /// Claims: the certificate is void if a target of one that it bears on has changed
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// As of this instant, for example 2027-01-31T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
}

/// Makes a certificate of saved runs.
pub(super) fn certify(arguments: CertifyArguments) -> Result<Exit, Failure> {
    let out = arguments.out.unwrap_or_else(|| {
        let name = arguments.runs.first().and_then(|run| run.file_name()).unwrap_or_default();
        Path::new("certificates").join(name)
    });
    let request = Request {
        machine_paths: machine_paths(&arguments.runs),
        runs: arguments.runs,
        drill: arguments.drill,
        out: out.clone(),
        without: arguments.without.into_iter().collect::<BTreeMap<_, _>>(),
    };
    let certified = certificate::issue(&request).map_err(failure)?;
    print(&fs::read_to_string(out.join(SUMMARY)).map_err(Failure::harness)?);
    print(&format!("\ncertificate {}: {}", out.display(), certified.conclusion().word()));
    Ok(match certified.conclusion() {
        Conclusion::Confirmed => Exit::Pass,
        Conclusion::Refuted => Exit::Fail,
        Conclusion::Undecided => Exit::Inconclusive,
    })
}

/// What the user gave is wrong; or the machine failed, which proves nothing.
fn failure(error: CertificateError) -> Failure {
    match &error {
        CertificateError::Io { .. } | CertificateError::Page(_) => Failure::harness(error),
        CertificateError::Saved(saved) if !matches!(saved, SavedError::NoRun(_)) => Failure::harness(error),
        _ => Failure::usage(error),
    }
}

/// Folders of this machine that no certificate may name. Short ones stand in containers, too.
fn machine_paths(runs: &[PathBuf]) -> Vec<String> {
    let parents =
        runs.iter().filter_map(|run| run.canonicalize().ok()).filter_map(|run| run.parent().map(Path::to_owned));
    let own = [std::env::current_dir().ok(), std::env::var_os("HOME").map(PathBuf::from)];
    let all: BTreeSet<PathBuf> = parents.chain(own.into_iter().flatten()).collect();
    all.iter().filter(|path| path.components().count() > 2).map(|path| path.display().to_string()).collect()
}

/// Signs a certificate in a role.
pub(super) fn sign(arguments: &SignArguments) -> Result<Exit, Failure> {
    let SignArguments { folder, role, key, at } = arguments;
    let examined = certificate::examine(folder, at.unwrap_or_else(Timestamp::now)).map_err(Failure::wrong)?;
    let refuse = |message: String| Err(Failure::usage(MietteDiagnostic::new(message)));
    let Some(certified) = examined.certified.filter(|_| examined.doubts.is_empty()) else {
        let doubts: Vec<String> = examined.doubts.iter().map(line).collect();
        return refuse(format!("failed to sign: the certificate does not hold: {}", doubts.join("; ")));
    };
    let Some(person) = role.person(&certified) else {
        return refuse(format!("failed to sign: drill.yaml states no {}", role.name()));
    };
    let statement = folder.join(STATEMENT);
    let place = folder.join(signature_file(role.name()));
    let signature = signatures::sign(&statement, role.name(), key).map_err(Failure::wrong)?;
    let before = fs::read(&place).ok();
    fs::write(&place, signature).map_err(Failure::harness)?;
    if let Some(text) = one_key(folder) {
        match before {
            Some(before) => fs::write(&place, before),
            None => fs::remove_file(&place),
        }
        .map_err(Failure::harness)?;
        return refuse(format!("failed to sign: {text}"));
    }
    print(&format!("signed as {} for {}: {}", principal(person), role.name(), place.display()));
    Ok(Exit::Pass)
}

/// Why operator and reviewer are not two, if both signed with one key.
fn one_key(folder: &Path) -> Option<String> {
    let key = |role: Role| {
        signatures::signed_by(&folder.join(STATEMENT), &folder.join(signature_file(role.name())), role.name()).ok()
    };
    let same = key(Role::Operator)? == key(Role::Reviewer)?;
    same.then(|| "operator and reviewer have signed with one key".to_owned())
}

/// Checks a certificate.
pub(super) fn verify(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    let mut present = present(&arguments.against)?;
    if let Some(file) = &arguments.claims {
        present.claims.extend(Claims::read(file, &checks::measures()).map_err(Failure::usage)?.all().to_vec());
    }
    if let Some(signers) = arguments.signers.as_ref().filter(|signers| !signers.is_file()) {
        return Err(Failure::usage(MietteDiagnostic::new(format!(
            "{} is no file of allowed signers",
            signers.display()
        ))));
    }
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let examined = certificate::examine(folder, now).map_err(Failure::wrong)?;
    let mut doubts = examined.doubts;
    if let Some(certified) = &examined.certified {
        doubts.extend(certificate::void(certified, &present));
        let (signed, unsigned) = signers_of(folder, certified, arguments.signers.as_deref());
        doubts.extend(unsigned);
        print(&told(certified, &signed));
    }
    doubts.sort_by_key(|doubt| std::cmp::Reverse(doubt.kind));
    for doubt in &doubts {
        print(&line(doubt));
    }
    Ok(match doubts.first() {
        None => {
            print("the certificate holds: every digest, every verdict and every signature is as it was issued");
            Exit::Pass
        }
        Some(worst) if worst.kind.is_refusal() => Exit::Fail,
        Some(_) => Exit::Inconclusive,
    })
}

fn line(doubt: &Doubt) -> String {
    format!("{}: {}", doubt.kind.word(), doubt.text)
}

fn told(certified: &Certified, signed: &[String]) -> String {
    let runs: Vec<String> = certified.runs.iter().map(SavedRun::id).collect();
    let signed = if signed.is_empty() { "nobody".to_owned() } else { signed.join(", ") };
    format!(
        "{}: {}\njudged again: {}\nsigned by: {signed}\nvalid until: {}",
        certified.drill.title(),
        certified.conclusion().word(),
        runs.join(", "),
        certified.valid_until()
    )
}

/// Who signed, and what is wrong with signatures.
fn signers_of(folder: &Path, certified: &Certified, signers: Option<&Path>) -> (Vec<String>, Vec<Doubt>) {
    let (mut signed, mut doubts) = (Vec::new(), Vec::new());
    for role in Role::value_variants() {
        let name = role.name();
        let place = folder.join(signature_file(name));
        let person = role.person(certified).map(principal);
        match (place.is_file(), person, signers) {
            (false, Some(person), _) if role.is_needed(certified) => {
                doubts.push(Doubt::new(DoubtKind::Unsigned, format!("the {name}, {person}, has not signed")));
            }
            (false, _, _) => {}
            (true, None, _) => {
                doubts.push(Doubt::new(
                    DoubtKind::BadSignature,
                    format!("somebody signed as {name}, and none is stated"),
                ));
            }
            (true, Some(_), None) => {
                let text = format!("the {name}'s signature was not checked: name the allowed signers with --signers");
                doubts.push(Doubt::new(DoubtKind::Unsigned, text));
            }
            (true, Some(person), Some(signers)) => {
                match signatures::verify(&folder.join(STATEMENT), &place, name, person, signers) {
                    Ok(key) => signed.push(format!("{person} as {name} ({key})")),
                    Err(error) => doubts.push(Doubt::new(
                        DoubtKind::BadSignature,
                        format!("the {name}'s signature is not one of {person}: {error}"),
                    )),
                }
            }
        }
    }
    doubts.extend(one_key(folder).map(|text| Doubt::new(DoubtKind::BadSignature, text)));
    (signed, doubts)
}

/// What the certificate is held against.
fn present(against: &[String]) -> Result<Present, Failure> {
    let mut present = Present::default();
    for name in against {
        if Path::new(name).is_dir() {
            let saved = SavedRun::read(Path::new(name)).map_err(Failure::wrong)?;
            present.versions.extend(saved.first().versions.clone());
            present.topologies.extend(saved.plans.into_values().map(|plan| plan.topology));
            present.claims.extend(saved.verdict.claims.into_iter().map(|verdict| verdict.claim));
        } else {
            present.topologies.push(topology::load(name, &super::topology_folders()).map_err(Failure::usage)?);
        }
    }
    Ok(present)
}
