//! Logs of every container, saved as they are written.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use bollard::query_parameters::LogsOptionsBuilder;
use futures::{Stream, StreamExt};
use tokio::task::JoinHandle;

use super::Engine;

/// Lines of a log that an error shows.
const LAST_LINES: usize = 12;

/// The folder of a system's logs: one file a service.
#[derive(Clone)]
pub struct LogFolder {
    folder: PathBuf,
    /// Passwords of the run: a program that prints one must not bring it into a saved log.
    secrets: Arc<[String]>,
}

impl LogFolder {
    pub fn new(folder: PathBuf, secrets: Vec<String>) -> Self {
        Self { folder, secrets: secrets.into() }
    }

    /// Where the log of a service lies.
    pub fn file(&self, host: &str, service: &str) -> PathBuf {
        self.folder.join(format!("{host}-{service}.log"))
    }

    /// Follows the log of a container until it ends. Called again after each start of the container: what was
    /// saved already is not saved twice.
    pub fn follow(&self, engine: &Engine, container: &str, host: &str, service: &str) -> JoinHandle<()> {
        let docker = engine.docker.clone();
        let (container, path) = (container.to_owned(), self.file(host, service));
        let secrets = self.secrets.clone();
        tokio::spawn(async move {
            let known = std::fs::read(&path).map(|bytes| lines_in(&bytes)).unwrap_or(0);
            let Ok(mut file) = open(&path) else {
                tracing::warn!("failed to open the log {}", path.display());
                return;
            };
            let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(true).timestamps(true).build();
            let mut logs = docker.logs(&container, Some(options));
            let mut seen = 0;
            while let Some(Ok(chunk)) = logs.next().await {
                seen += 1;
                if seen <= known {
                    continue;
                }
                let line = without(&String::from_utf8_lossy(&chunk.into_bytes()), &secrets);
                if file.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    /// The last lines of a service's log, for an error to show.
    pub fn last_lines(&self, host: &str, service: &str) -> String {
        let text = std::fs::read_to_string(self.file(host, service)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Engine {
    /// The lines of a container's log, from its beginning and until it ends.
    pub fn lines(&self, container: &str) -> impl Stream<Item = String> + use<> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(true).build();
        let chunks = self.docker.logs(container, Some(options));
        chunks
            .take_while(|chunk| std::future::ready(chunk.is_ok()))
            .filter_map(|chunk| std::future::ready(chunk.ok()))
            .map(|chunk| String::from_utf8_lossy(&chunk.into_bytes()).into_owned())
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn lines_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn without(line: &str, secrets: &[String]) -> String {
    secrets.iter().fold(line.to_owned(), |line, secret| line.replace(secret.as_str(), "(hidden)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_reach_a_saved_log() {
        let line = without("conninfo password=hunter2 host=node1\n", &["hunter2".to_owned()]);
        assert_eq!(line, "conninfo password=(hidden) host=node1\n");
    }

    #[test]
    fn an_error_shows_only_the_end_of_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogFolder::new(folder.path().to_owned(), Vec::new());
        let text: String = (1..=30).map(|line| format!("line {line}\n")).collect();
        std::fs::write(logs.file("node1", "etcd"), text).unwrap();
        let shown = logs.last_lines("node1", "etcd");
        assert!(shown.starts_with("line 19\n") && shown.ends_with("line 30"), "{shown}");
    }
}
