//! The Debian base of every image: pulled where a registry answers, else made with mmdebstrap.

use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{CreateImageOptions, TagImageOptions};
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio_util::io::ReaderStream;

use super::error::{ImageError, innermost};
use super::{ImageProgress, KIND_LABEL, Progress, Stage, build, context, inspect, recipe, trust};

/// Label of the base image: which of the host's CA bundles it trusts.
const CA_LABEL: &str = "pgquake.host-ca";
/// A registry that says nothing for this long is taken as absent: on an air-gapped machine packets may vanish.
const REGISTRY_ANSWERS_WITHIN: Duration = Duration::from_secs(8);
/// A pull that has begun may pause this long between two messages.
const PULL_SILENCE: Duration = Duration::from_secs(60);
/// mmdebstrap takes 13 s with a near mirror.
const BOOTSTRAP_WITHIN: Duration = Duration::from_secs(15 * 60);
const TAIL_LINES: usize = 20;

/// Makes sure of the base image and gives its tag. It is made again when the host's CA bundle has changed: only
/// builds need that, so this is called only when there is something to build.
pub(super) async fn ensure(docker: &Docker, progress: Progress<'_>) -> Result<String, ImageError> {
    let bundle = trust::host_ca_bundle(|name| std::env::var(name).ok());
    let digest = trust::digest_of(&bundle);
    let tag = recipe::base_tag();
    if inspect(docker, &tag).await?.is_some_and(|labels| labels.get(CA_LABEL) == Some(&digest)) {
        return Ok(tag);
    }
    let rootfs = rootfs(docker, progress).await?;
    let archive = context::archive(&recipe::BASE, &[("host-ca.crt", &bundle)]).map_err(|error| ImageError::Engine {
        action: "pack the base image's context".into(),
        cause: error.to_string(),
    })?;
    let mut arguments = trust::proxy_arguments(|name| std::env::var(name).ok());
    arguments.insert("ROOTFS".into(), rootfs);
    let labels = HashMap::from([(KIND_LABEL.into(), recipe::BASE.name.into()), (CA_LABEL.into(), digest)]);
    let order = build::Order {
        image: recipe::BASE.name.into(),
        tag: Some(tag.clone()),
        archive,
        arguments,
        labels,
        ..Default::default()
    };
    build::run(docker, order, progress).await?;
    progress(ImageProgress { image: recipe::BASE.name.into(), stage: Stage::Ready { built: true }, line: tag.clone() });
    Ok(tag)
}

/// A root file system of Debian in the engine: one that is there, or a pulled one, or one made here.
async fn rootfs(docker: &Docker, progress: Progress<'_>) -> Result<String, ImageError> {
    let pulled = format!("debian:{}-slim", recipe::debian_release());
    let made = recipe::rootfs_tag();
    for tag in [&pulled, &made] {
        if inspect(docker, tag).await?.is_some() {
            return Ok(tag.clone());
        }
    }
    match pull(docker, recipe::BASE.name, &pulled, progress).await {
        Ok(()) => Ok(pulled),
        Err(cause) => {
            tracing::debug!("{pulled} was not pulled: {cause}");
            bootstrap(docker, &pulled, &cause, progress).await?;
            Ok(made)
        }
    }
}

fn tell(progress: Progress<'_>, stage: Stage, line: impl Into<String>) {
    progress(ImageProgress { image: recipe::BASE.name.into(), stage, line: line.into() });
}

/// Pulls an image for another one; the error is the reason in words.
pub(super) async fn pull(docker: &Docker, image: &str, reference: &str, progress: Progress<'_>) -> Result<(), String> {
    let options = CreateImageOptions { from_image: Some(reference.to_owned()), ..Default::default() };
    let tell = |line: String| progress(ImageProgress { image: image.into(), stage: Stage::Pulling, line });
    tell(format!("asking for {reference}"));
    let mut answers = docker.create_image(Some(options), None, None);
    let mut patience = REGISTRY_ANSWERS_WITHIN;
    loop {
        match tokio::time::timeout(patience, answers.next()).await {
            Err(_) => return Err(format!("no answer within {} s", patience.as_secs())),
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => return Err(innermost(&error)),
            Ok(Some(Ok(info))) => tell(info.status.unwrap_or_default()),
        }
        patience = PULL_SILENCE;
    }
}

/// Runs mmdebstrap and streams what it makes into the engine. `pull` is why nothing was pulled.
async fn bootstrap(docker: &Docker, reference: &str, pull: &str, progress: Progress<'_>) -> Result<(), ImageError> {
    let mut child = match start_mmdebstrap() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ImageError::NoBase { reference: reference.to_owned(), pull: pull.to_owned() });
        }
        Err(error) => return Err(failed_to_bootstrap(error.to_string(), &[])),
    };
    let (Some(output), Some(messages)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed_to_bootstrap("its output could not be read".to_owned(), &[]));
    };
    let both = async { tokio::join!(import(docker, ReaderStream::new(output)), follow(messages, progress)) };
    let Ok((imported, tail)) = tokio::time::timeout(BOOTSTRAP_WITHIN, both).await else {
        // Without its output it ends by itself; this is for one that hangs before it writes any.
        child.start_kill().ok();
        return Err(failed_to_bootstrap(format!("not done within {} s", BOOTSTRAP_WITHIN.as_secs()), &[]));
    };
    // Its own words come first: an import of nothing fails too, and says less.
    let status = child.wait().await.map_err(|error| failed_to_bootstrap(error.to_string(), &tail))?;
    if let Err(error @ ImageError::DiskFull { .. }) = imported {
        return Err(error);
    }
    if !status.success() {
        return Err(failed_to_bootstrap(status.to_string(), &tail));
    }
    let (repository, tag) = recipe::rootfs_tag().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unzip();
    let id = imported?;
    // Tagged only now: an archive that broke off looks like a complete one to the engine.
    docker
        .tag_image(&id, Some(TagImageOptions { repo: repository, tag }))
        .await
        .map_err(|error| ImageError::from_engine("tag the root file system", &error))
}

fn start_mmdebstrap() -> io::Result<Child> {
    Command::new("mmdebstrap")
        .args(recipe::mmdebstrap_arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Imports a tar archive and gives the image's id.
async fn import(docker: &Docker, archive: ReaderStream<tokio::process::ChildStdout>) -> Result<String, ImageError> {
    // The engine answers only when it has everything.
    let docker = docker.clone().with_timeout(BOOTSTRAP_WITHIN);
    let options = CreateImageOptions { from_src: Some("-".into()), ..Default::default() };
    let mut answers = docker.create_image(Some(options), Some(bollard::body_try_stream(archive)), None);
    let mut id = None;
    while let Some(answer) = answers.next().await {
        let info = answer.map_err(|error| match ImageError::from_build("rootfs", &innermost(&error), &[]) {
            full @ ImageError::DiskFull { .. } => full,
            _ => ImageError::from_engine("import the root file system", &error),
        })?;
        id = info.status.filter(|status| status.starts_with("sha256:")).or(id);
    }
    id.ok_or_else(|| ImageError::Engine {
        action: "import the root file system".into(),
        cause: "the engine named no image".into(),
    })
}

/// Passes on what mmdebstrap says and keeps the end of it.
async fn follow(messages: ChildStderr, progress: Progress<'_>) -> Vec<String> {
    let mut lines = BufReader::new(messages).lines();
    let mut tail = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line.trim().to_owned();
        if line.is_empty() {
            continue;
        }
        tell(progress, Stage::Bootstrapping, line.as_str());
        if tail.len() == TAIL_LINES {
            tail.remove(0);
        }
        tail.push(line);
    }
    tail
}

fn failed_to_bootstrap(cause: String, tail: &[String]) -> ImageError {
    ImageError::Bootstrap { cause, tail: tail.join("\n") }
}
