//! Signatures of certificates: SSHSIG, made and checked by `ssh-keygen -Y`, so that keys stay where they are (files, agents,
//! hardware) and pgquake holds none.
//!
//! A signature is bound to the role of its signer by the namespace that it is made for: the operator's is not the
//! reviewer's, whatever file it is put into.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What a signature is made for, before the role.
const NAMESPACE: &str = "pgquake-certificate";

/// A signature could not be made, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("failed to run ssh-keygen, which is part of OpenSSH: {0}")]
    Start(io::Error),
    #[error("failed to read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("{0}")]
    Refused(String),
}

/// The namespace of a role's signature, which an `allowed_signers` file can limit keys to.
pub fn namespace(role: &str) -> String {
    format!("{NAMESPACE}-{role}")
}

/// Signs a file in a role, and returns the signature's text. `key` is a private key, or a public one whose private key an
/// agent holds.
///
/// # Errors
///
/// ssh-keygen is missing, or did not sign.
pub fn sign(file: &Path, role: &str, key: &Path) -> Result<String, SignatureError> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", &namespace(role), "-f"]).arg(key);
    let output = run(command, file)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(SignatureError::Refused(said(&output)))
    }
}

/// Checks a role's signature of a file against the keys that the principal may sign with, and returns the key's fingerprint.
///
/// # Errors
///
/// The signature is broken, is of other bytes or of another role, or its key is not allowed for this principal.
pub fn verify(
    file: &Path,
    signature: &Path,
    role: &str,
    principal: &str,
    signers: &Path,
) -> Result<String, SignatureError> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-n", &namespace(role), "-I", principal, "-f"]).arg(signers).arg("-s").arg(signature);
    fingerprint(run(command, file)?)
}

/// The fingerprint of the key that made a role's signature of a file, whoever it is.
///
/// # Errors
///
/// The signature is broken, or is of other bytes or of another role.
pub fn signed_by(file: &Path, signature: &Path, role: &str) -> Result<String, SignatureError> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "check-novalidate", "-n", &namespace(role), "-s"]).arg(signature);
    fingerprint(run(command, file)?)
}

/// Of the sentence that ends with the key: `Good "…" signature for … with ED25519 key SHA256:…`.
fn fingerprint(output: Output) -> Result<String, SignatureError> {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    match told.split_whitespace().next_back() {
        Some(key) if output.status.success() && key.starts_with("SHA256:") => Ok(key.to_owned()),
        _ => Err(SignatureError::Refused(said(&output))),
    }
}

fn run(mut command: Command, file: &Path) -> Result<Output, SignatureError> {
    let input = File::open(file).map_err(|cause| SignatureError::Read { path: file.to_owned(), cause })?;
    command.stdin(Stdio::from(input)).env("LC_ALL", "C").output().map_err(SignatureError::Start)
}

/// The last line that ssh-keygen said.
fn said(output: &Output) -> String {
    let both = [&output.stdout[..], b"\n", &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
