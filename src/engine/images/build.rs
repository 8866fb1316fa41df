//! One build by the engine's classic builder: sends the context, follows the output, sorts the failure.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::BuildImageOptions;
use futures::StreamExt;

use super::error::ImageError;
use super::{ImageProgress, Progress, Stage, recipe};

/// How many lines of output an error shows.
const TAIL_LINES: usize = 20;
/// A build that prints nothing for this long hangs: the slowest silent step known, a compilation, takes 4 min.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// What to build.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Name for progress and errors.
    pub image: String,
    /// Tag that the image gets when it is complete, if any.
    pub tag: Option<String>,
    /// The context, a tar archive.
    pub archive: Vec<u8>,
    /// The file of the context that says how; empty: `Dockerfile`.
    pub dockerfile: String,
    /// Build arguments.
    pub arguments: HashMap<String, String>,
    /// Labels of the image.
    pub labels: HashMap<String, String>,
    /// Runs every step, whatever the engine remembers of an earlier build.
    pub fresh: bool,
}

/// A finished build.
#[derive(Debug)]
pub(super) struct Built {
    /// The image's id.
    pub id: String,
    /// Every line of the output.
    pub output: Vec<String>,
}

/// Builds `order`, reporting each line of output to `progress`.
pub(super) async fn run(docker: &Docker, order: Order, progress: Progress<'_>) -> Result<Built, ImageError> {
    let dockerfile = if order.dockerfile.is_empty() { recipe::BUILT.to_owned() } else { order.dockerfile };
    let options = BuildImageOptions {
        dockerfile,
        t: order.tag,
        rm: true,
        forcerm: true,
        nocache: order.fresh,
        buildargs: Some(order.arguments),
        labels: Some(order.labels),
        ..Default::default()
    };
    let image = order.image;
    let mut transcript = Transcript::default();
    let mut answers = docker.build_image(options, None, Some(bollard::body_full(order.archive.into())));
    loop {
        let answer = match tokio::time::timeout(SILENCE, answers.next()).await {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            Err(_) => {
                let cause = format!("no output for {} s", SILENCE.as_secs());
                return Err(ImageError::from_build(&image, &cause, &transcript.tail()));
            }
        };
        let info = answer.map_err(|error| failure(&image, &error, &transcript))?;
        for line in info.stream.iter().chain(&info.status).flat_map(|text| text.split(['\n', '\r'])) {
            if let Some(line) = transcript.add(line) {
                let (step, steps) = transcript.step;
                progress(ImageProgress { image: image.clone(), stage: Stage::Building { step, steps }, line });
            }
        }
    }
    match transcript.id.take() {
        Some(id) => Ok(Built { id, output: transcript.lines.into() }),
        None => Err(ImageError::from_build(&image, "the engine named no image", &transcript.tail())),
    }
}

fn failure(image: &str, error: &EngineError, transcript: &Transcript) -> ImageError {
    match error {
        EngineError::DockerStreamError { error } => ImageError::from_build(image, error, &transcript.tail()),
        EngineError::DockerResponseServerError { message, .. } => {
            ImageError::from_build(image, message, &transcript.tail())
        }
        other => ImageError::from_engine(format!("build image {image}"), other),
    }
}

/// What a build has printed so far, and what it reported of itself.
#[derive(Debug, Default)]
struct Transcript {
    lines: VecDeque<String>,
    step: (u32, u32),
    id: Option<String>,
}

impl Transcript {
    /// Takes one line; gives it back without escapes, or nothing if it is blank.
    fn add(&mut self, line: &str) -> Option<String> {
        let line = without_escapes(line);
        if line.is_empty() {
            return None;
        }
        if let Some(step) = step_of(&line) {
            self.step = step;
        }
        if let Some(id) = line.strip_prefix("Successfully built ") {
            self.id = Some(id.to_owned());
        }
        self.lines.push_back(line.clone());
        Some(line)
    }

    fn tail(&self) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(TAIL_LINES)).cloned().collect()
    }
}

/// The step in a line such as `Step 3/7 : RUN apt-get update`.
fn step_of(line: &str) -> Option<(u32, u32)> {
    let (step, steps) = line.strip_prefix("Step ")?.split_once(" : ")?.0.split_once('/')?;
    Some((step.parse().ok()?, steps.parse().ok()?))
}

/// The line without terminal escapes (the builder colours standard error) and surrounding space.
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                characters.find(char::is_ascii_alphabetic);
            }
            character if character.is_control() => {}
            character => plain.push(character),
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::query_parameters::ListContainersOptions;
    use std::time::Instant;

    #[test]
    fn steps_ids_and_escapes_are_read_from_the_output() {
        let mut transcript = Transcript::default();
        assert_eq!(transcript.add("Step 3/7 : RUN apt-get update\n").as_deref(), Some("Step 3/7 : RUN apt-get update"));
        assert_eq!(transcript.step, (3, 7));
        assert_eq!(transcript.add("\u{1b}[91mE: broken\u{1b}[0m \r").as_deref(), Some("E: broken"));
        assert_eq!(transcript.add("\u{1b}[0m"), None);
        assert_eq!(transcript.step, (3, 7));
        transcript.add("Successfully built 0123456789ab");
        assert_eq!(transcript.id.as_deref(), Some("0123456789ab"));
        assert_eq!(step_of("Step by step : no"), None);
    }

    #[test]
    fn an_error_shows_the_last_lines_only() {
        let mut transcript = Transcript::default();
        (0..100).for_each(|number| {
            transcript.add(&format!("line {number}"));
        });
        let tail = transcript.tail();
        assert_eq!(tail.len(), TAIL_LINES);
        assert_eq!(tail.last().map(String::as_str), Some("line 99"));
    }

    async fn build_of(dockerfile: &str) -> Result<Built, ImageError> {
        let docker = Docker::connect_with_defaults().unwrap();
        let archive = super::super::context::archive_of_dockerfile(dockerfile).unwrap();
        run(&docker, Order { image: "probe".into(), archive, fresh: true, ..Order::default() }, &|_| {}).await
    }

    #[tokio::test]
    async fn a_step_that_fails_ends_the_build_with_its_output() {
        let error = build_of("FROM scratch\nENV STEP=one\nRUN no-shell-here\n").await.unwrap_err();
        let ImageError::Build { image, tail, .. } = error else { panic!("{error:?}") };
        assert_eq!(image, "probe");
        assert!(tail.contains("Step 3/3 : RUN no-shell-here"), "{tail}");
    }

    #[tokio::test]
    async fn a_dockerfile_that_is_none_ends_the_build() {
        let error = build_of("FRM scratch\n").await.unwrap_err();
        assert!(matches!(error, ImageError::Build { .. }), "{error:?}");
    }

    /// Whether a container runs this command, whoever started it.
    async fn runs(docker: &Docker, command: &str) -> bool {
        let containers = docker.list_containers(None::<ListContainersOptions>).await.unwrap();
        containers.iter().any(|container| container.command.as_deref().is_some_and(|text| text.contains(command)))
    }

    #[tokio::test]
    async fn a_build_that_is_dropped_leaves_no_container() {
        let docker = Docker::connect_with_defaults().unwrap();
        let base = super::super::base::ensure(&docker, &|_| {}).await.unwrap();
        let command = format!("sleep 60.{}", std::process::id());
        let wait_until = async |wanted: bool| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while runs(&docker, &command).await != wanted {
                assert!(Instant::now() < deadline, "after 20 s it is not so that a container runs {command}: {wanted}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let dockerfile = format!("FROM {base}\nRUN {command}\n");
        tokio::select! {
            ended = build_of(&dockerfile) => panic!("the build ended: {ended:?}"),
            () = wait_until(true) => {}
        }
        wait_until(false).await;
    }
}
