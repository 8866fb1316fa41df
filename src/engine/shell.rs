//! A shell that stays open in a host's holder.
//!
//! Docker takes 100 ms and more to start a command in a container. A fault must come at its instant, and its
//! confirmation within a quarter of a second, so each host keeps one shell open and commands go through it in
//! a few milliseconds.

use std::{pin::Pin, time::Duration};

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as DockerError,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use futures::{Stream, StreamExt};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Mutex,
    time::timeout,
};

use super::EngineError;

/// How long a command in a holder may take. Those of the harness take milliseconds.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// One open shell, as root, in a holder. Commands take turns.
pub struct Shell {
    docker: Docker,
    host: String,
    container: String,
    session: Mutex<Option<Session>>,
}

struct Session {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, DockerError>> + Send>>,
    commands: u64,
}

/// What a command printed, and its exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellOutput {
    pub status: i32,
    /// Standard output and standard error, together.
    pub text: String,
}

impl Shell {
    pub(crate) fn new(docker: Docker, host: &str, container: &str) -> Self {
        Self { docker, host: host.to_owned(), container: container.to_owned(), session: Mutex::new(None) }
    }

    /// Opens the session, so that the first command does not pay for it.
    pub async fn open(&self) -> Result<(), EngineError> {
        self.run("true").await.map(|_| ())
    }

    /// Runs a script in `sh` and returns what it printed, whatever its exit status.
    pub async fn run(&self, script: &str) -> Result<ShellOutput, EngineError> {
        self.run_within(script, COMMAND_DEADLINE).await
    }

    /// The same for a script that takes longer.
    pub async fn run_within(&self, script: &str, deadline: Duration) -> Result<ShellOutput, EngineError> {
        let mut slot = self.session.lock().await;
        let mut session = match slot.take() {
            Some(session) => session,
            None => self.start().await?,
        };
        match timeout(deadline, session.run(script)).await {
            Ok(Ok(output)) => {
                *slot = Some(session);
                Ok(output)
            }
            // The session is dropped: its state is unknown, and the next command opens a new one.
            Ok(Err(reason)) => Err(self.failed(reason)),
            Err(_) => Err(self.failed(format!("no answer within {} s to `{script}`", deadline.as_secs()))),
        }
    }

    /// Runs a script that must succeed, and returns what it printed.
    pub async fn must(&self, script: &str) -> Result<String, EngineError> {
        let ShellOutput { status, text } = self.run(script).await?;
        if status == 0 {
            return Ok(text);
        }
        Err(EngineError::Command { host: self.host.clone(), command: script.to_owned(), status, output: text })
    }

    fn failed(&self, reason: String) -> EngineError {
        EngineError::Shell { host: self.host.clone(), reason }
    }

    async fn start(&self) -> Result<Session, EngineError> {
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["/bin/sh"]),
            user: Some("0"),
            ..Default::default()
        };
        let doing = || format!("open a shell on host {}", self.host);
        let exec = self.docker.create_exec(&self.container, options).await.map_err(EngineError::doing(doing()))?;
        let started =
            self.docker.start_exec(&exec.id, None::<StartExecOptions>).await.map_err(EngineError::doing(doing()))?;
        match started {
            StartExecResults::Attached { output, input } => Ok(Session { input, output, commands: 0 }),
            StartExecResults::Detached => Err(self.failed("the shell was not attached".to_owned())),
        }
    }
}

impl Session {
    async fn run(&mut self, script: &str) -> Result<ShellOutput, String> {
        self.commands += 1;
        // The marker can't be in a command's output by chance: the shell puts it together.
        let marker = format!("pgquake-{}-done:", self.commands);
        let framed =
            format!("{{ {script}\n}} 2>&1 </dev/null; printf '\\npgquake-%s-done:%s\\n' {} $?\n", self.commands);
        self.input.write_all(framed.as_bytes()).await.map_err(|error| error.to_string())?;
        self.input.flush().await.map_err(|error| error.to_string())?;
        let mut text = String::new();
        while let Some(chunk) = self.output.next().await {
            let chunk = chunk.map_err(|error| error.to_string())?;
            text.push_str(&String::from_utf8_lossy(&chunk.into_bytes()));
            if let Some(output) = finished(&text, &marker) {
                return Ok(output);
            }
        }
        Err("the shell ended".to_owned())
    }
}

/// The output of a command whose end marker has arrived whole.
fn finished(text: &str, marker: &str) -> Option<ShellOutput> {
    let at = text.rfind(marker)?;
    let rest = &text[at + marker.len()..];
    let status = rest.strip_suffix('\n')?.parse().ok()?;
    Some(ShellOutput { status, text: text[..at].trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_over_only_when_its_marker_is_whole() {
        let marker = "pgquake-3-done:";
        assert_eq!(finished("hello\n\npgquake-3-do", marker), None);
        assert_eq!(finished("hello\n\npgquake-3-done:12", marker), None);
        let whole = finished("hello\n\npgquake-3-done:12\n", marker);
        assert_eq!(whole, Some(ShellOutput { status: 12, text: "hello".to_owned() }));
        assert_eq!(finished("\npgquake-2-done:0\n", marker), None);
    }
}
