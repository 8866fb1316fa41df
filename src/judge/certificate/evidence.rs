//! The runs that a certificate rests on, as they are kept in its folder: everything that is needed to judge them again.
//!
//! A history is kept as it was recorded, byte for byte, but for paths from the root of a machine in the command line and in the
//! names of feature files: of these the last part stays. It is compressed without a name and a time, so that the same history
//! gives the same bytes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder, read::MultiGzDecoder};
use sha2::{Digest, Sha256};

use crate::history::{Event, Occurrence, history_in};
pub(super) use crate::saved::digest_of;

/// The history in a folder of evidence.
pub const COMPRESSED: &str = "history.jsonl.gz";

/// Folders that a run may have and that are kept with it.
const KEPT_FOLDERS: &[&str] = &["inputs"];

/// Keeps a run in the folder `to`, which is made.
///
/// # Errors
///
/// A file can't be read or written.
pub(super) fn keep(run: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let history = history_in(run).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let file = BufWriter::new(File::create(to.join(COMPRESSED))?);
    let mut compressed = GzBuilder::new().mtime(0).operating_system(255).write(file, Compression::best());
    let mut lines = open(&history)?;
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        compressed.write_all(&without_paths(&line).unwrap_or_else(|| line.clone()))?;
        line.clear();
    }
    compressed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    let plans = run.join("plan.json");
    if plans.is_file() {
        fs::copy(plans, to.join("plan.json"))?;
    }
    for folder in KEPT_FOLDERS {
        for file in files_below(&run.join(folder))? {
            let place = to.join(folder).join(&file);
            fs::create_dir_all(place.parent().unwrap_or(to))?;
            fs::copy(run.join(folder).join(&file), place)?;
        }
    }
    Ok(())
}

/// Reads a history, compressed or not.
fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(256 * 1024, File::open(path)?);
    Ok(match path.extension().is_some_and(|ending| ending == "gz") {
        true => Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(file))),
        false => Box::new(file),
    })
}

/// The first of these texts that a file holds, compressed or not.
pub(super) fn first_held<'t>(path: &Path, texts: &'t [String]) -> io::Result<Option<&'t String>> {
    let (mut lines, mut line) = (open(path)?, Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        let shown = String::from_utf8_lossy(&line);
        if let Some(found) = texts.iter().find(|text| shown.contains(text.as_str())) {
            return Ok(Some(found));
        }
        line.clear();
    }
    Ok(None)
}

/// The line without paths of the machine; `None`: it is to stay as it is.
fn without_paths(line: &[u8]) -> Option<Vec<u8>> {
    // Only these two kinds hold what a user typed. Most lines need not be understood to know that they are none.
    let head = &line[..line.len().min(200)];
    let is_kind = |kind: &str| head.windows(kind.len()).any(|window| window == kind.as_bytes());
    if !is_kind("\"run_started\"") && !is_kind("\"scenario_started\"") {
        return None;
    }
    let recorded: Event = serde_json::from_slice(line).ok()?;
    let mut event = recorded.clone();
    match &mut event.what {
        Occurrence::RunStarted(run) => run.arguments.iter_mut().for_each(|word| *word = last_part(word)),
        Occurrence::ScenarioStarted(scenario) => scenario.file = last_part(&scenario.file),
        _ => return None,
    }
    if event == recorded {
        return None;
    }
    let mut own = serde_json::to_vec(&event).ok()?;
    own.extend_from_slice(b"\n");
    Some(own)
}

/// A path from the root, also as the value of an option, cut down to its last part. Anything else as it is.
fn last_part(word: &str) -> String {
    let (option, path) = match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (format!("{option}="), value),
        _ => (String::new(), word),
    };
    let cut = if path.starts_with(['/', '~']) { path.rsplit('/').find(|part| !part.is_empty()) } else { None };
    format!("{option}{}", cut.unwrap_or(path))
}

/// Every file below a folder, by its path from there, in order; none if there is no such folder.
pub(super) fn files_below(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(inner) = open.pop() {
        let entries = match fs::read_dir(&inner) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && inner == folder => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            // A link may lead out of the folder.
            if fs::symlink_metadata(&path)?.is_dir() {
                open.push(path);
            } else {
                let own = path.strip_prefix(folder).unwrap_or(&path);
                found.push(
                    own.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"),
                );
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a history says of itself beside its verdict.
pub(super) struct HistoryFacts {
    /// SHA-256 of the events, uncompressed.
    pub digest: String,
    /// When the last whole event was recorded, in microseconds from the run's start.
    pub ended_us: u64,
}

/// Reads through a history, compressed or not.
pub(super) fn facts(path: &Path) -> io::Result<HistoryFacts> {
    #[derive(serde::Deserialize)]
    struct Timed {
        at_us: u64,
    }
    let mut lines = open(path)?;
    let (mut hash, mut line, mut last) = (Sha256::new(), Vec::new(), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        hash.update(&line);
        if line.ends_with(b"}\n") {
            std::mem::swap(&mut line, &mut last);
        }
        line.clear();
    }
    let ended_us = serde_json::from_slice::<Timed>(&last).map_or(0, |timed| timed.at_us);
    Ok(HistoryFacts { digest: hex(&hash.finalize()), ended_us })
}

/// The SHA-256 of each file of these, by its path; of a compressed history that of its events, so that it does not hang on how
/// they were compressed.
pub(super) fn digests(folder: &Path, files: &[String]) -> io::Result<BTreeMap<String, String>> {
    let digest = |file: &String| match file.strip_suffix(".gz") {
        Some(bare) if file.ends_with(COMPRESSED) => Ok((bare.to_owned(), facts(&folder.join(file))?.digest)),
        _ => Ok((file.clone(), digest_of_file(&folder.join(file))?)),
    };
    files.iter().map(digest).collect()
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(super) fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut bytes = vec![0; 256 * 1024];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&bytes[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_path_of_the_machine_the_last_part_stays() {
        for (word, kept) in [
            ("/home/ann/drills/orders.feature:12", "orders.feature:12"),
            ("--out=/srv/reports/", "--out=reports"),
            ("~/drills", "drills"),
            ("features/own.feature", "features/own.feature"),
            ("--tags=@quick", "--tags=@quick"),
            ("/", "/"),
        ] {
            assert_eq!(last_part(word), kept);
        }
    }

    #[test]
    fn a_history_is_kept_as_it_is_but_for_paths() {
        let folder = tempfile::tempdir().unwrap();
        let (run, kept) = (folder.path().join("run"), folder.path().join("kept"));
        fs::create_dir_all(&run).unwrap();
        let started = r#"{"seq":1,"at_us":0,"scenario":0,"kind":"run_started","run":"r","version":"1","seed":1,"started_at":"","machine":{},"versions":{},"arguments":["run","/home/ann/own.feature"]}"#;
        let late = r#"{"seq":2,"at_us":5,"scenario":1,"kind":"timer_late","late_us":7}"#;
        fs::write(run.join("history.jsonl"), format!("{started}\n{late}\n{{\"seq\":3,\"at")).unwrap();
        keep(&run, &kept).unwrap();
        let first = fs::read(kept.join(COMPRESSED)).unwrap();
        keep(&run, &kept).unwrap();
        assert_eq!(fs::read(kept.join(COMPRESSED)).unwrap(), first);
        let mut text = String::new();
        open(&kept.join(COMPRESSED)).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.contains(r#""arguments":["run","own.feature"]"#) && !text.contains("/home"), "{text}");
        assert!(text.ends_with(&format!("{late}\n{{\"seq\":3,\"at")), "{text}");
        assert_eq!(facts(&kept.join(COMPRESSED)).unwrap().ended_us, 5);
    }
}
