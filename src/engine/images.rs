//! Makes sure that the images a plan asks for exist in the engine, and builds those that do not.
//!
//! A tag is a hash of what its image is built from ([`ImageKind::tag`]), so an image that is there is the right one
//! and is never built again. Any number of processes may call [`ensure`] at once: one builds, the others wait for it.

mod base;
mod build;
mod context;
mod error;
mod lock;
mod outdated;
mod own;
mod recipe;
mod trust;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::Docker;
use bollard::query_parameters::RemoveImageOptions;
use futures::{StreamExt, TryStreamExt};

pub use error::ImageError;
pub use outdated::{RemovedImages, remove_outdated};
pub use own::{OwnImage, ensure_own};
pub use recipe::{ContextFile, ImageKind, Recipe, pinned_versions};

/// Builds at the same time: each is bound by the network first and by a core for unpacking later.
const PARALLEL_BUILDS: usize = 2;
const KIND_LABEL: &str = "pgquake.image";
const VERSIONS_LABEL: &str = "pgquake.versions";
/// Where an image says of what it has beside Debian's packages: a name and a version a line.
const VERSIONS_FILE: &str = "/usr/share/pgquake-versions";
/// Marks a line of output that names a package and its version.
const VERSION_MARK: &str = "pgquake-version";

/// An image that is in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its kind.
    pub kind: ImageKind,
    /// Repository and tag to start containers from.
    pub tag: String,
    /// Versions of the packages that matter, by package, and of `debian`; read once from the built image.
    pub versions: BTreeMap<String, String>,
}

/// One thing that happened while images are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageProgress {
    /// The kind's name, or `base`.
    pub image: String,
    /// How far it is.
    pub stage: Stage,
    /// The last line of output, or the tag when ready.
    pub line: String,
}

/// How far an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Another pgquake on this machine is building.
    Waiting,
    /// A registry is asked for the base.
    Pulling,
    /// mmdebstrap makes the base.
    Bootstrapping,
    /// The engine is at a step of the Dockerfile, counted from 1; both are 0 before the first.
    Building {
        /// The step it is at.
        step: u32,
        /// How many there are.
        steps: u32,
    },
    /// The image is there.
    Ready {
        /// Whether this call has built it.
        built: bool,
    },
}

/// Where progress goes.
pub type Progress<'a> = &'a (dyn Fn(ImageProgress) + Send + Sync);

/// Makes sure that `kinds` exist and gives their tags and versions. Builds what is missing, two at a time.
///
/// # Errors
/// [`ImageError`] says which image failed and why, with the end of the build's output and what to do. An image that
/// was finished before the failure stays. Dropping the future stops what it had begun and leaves no container.
pub async fn ensure(
    docker: &Docker,
    kinds: &[ImageKind],
    progress: Progress<'_>,
) -> Result<BTreeMap<ImageKind, Image>, ImageError> {
    let wanted: BTreeSet<ImageKind> = kinds.iter().copied().collect();
    let (mut images, missing) = look_up(docker, &wanted).await?;
    if !missing.is_empty() {
        let waiting = || tell_waiting(&missing, progress);
        let _lock = lock::acquire(&lock::default_path(), waiting).await?;
        let (found, missing) = look_up(docker, &missing).await?;
        images.extend(found);
        images.extend(build_all(docker, missing, progress).await?);
        // What they are built on runs nothing.
        images.retain(|kind, _| wanted.contains(kind));
    }
    Ok(images)
}

/// Makes sure of the image that all others are built on, and gives its tag.
///
/// # Errors
/// [`ImageError`] if it can be neither pulled nor made.
pub async fn base(docker: &Docker) -> Result<String, ImageError> {
    base::ensure(docker, &|_| {}).await
}

/// The image of `kind` if it is in the engine; nothing is built.
///
/// # Errors
/// [`ImageError`] if the engine can't be asked.
pub async fn find(docker: &Docker, kind: ImageKind) -> Result<Option<Image>, ImageError> {
    let tag = kind.tag();
    Ok(versions_of(docker, &tag).await?.map(|versions| Image { kind, tag, versions }))
}

/// The versions that an image of pgquake's says it has; `None` if it is not in the engine.
async fn versions_of(docker: &Docker, tag: &str) -> Result<Option<BTreeMap<String, String>>, ImageError> {
    let labels = inspect(docker, tag).await?;
    Ok(labels.and_then(|labels| serde_json::from_str(labels.get(VERSIONS_LABEL)?).ok()))
}

/// Sorts `kinds` into those that are there and those that are not.
async fn look_up(
    docker: &Docker,
    kinds: &BTreeSet<ImageKind>,
) -> Result<(BTreeMap<ImageKind, Image>, BTreeSet<ImageKind>), ImageError> {
    let mut images = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for &kind in kinds {
        match find(docker, kind).await? {
            Some(image) => {
                images.insert(kind, image);
            }
            None => {
                missing.insert(kind);
            }
        }
    }
    Ok((images, missing))
}

fn tell_waiting(kinds: &BTreeSet<ImageKind>, progress: Progress<'_>) {
    for kind in kinds {
        progress(ImageProgress {
            image: kind.name().into(),
            stage: Stage::Waiting,
            line: "another pgquake is building images".into(),
        });
    }
}

async fn build_all(
    docker: &Docker,
    kinds: BTreeSet<ImageKind>,
    progress: Progress<'_>,
) -> Result<BTreeMap<ImageKind, Image>, ImageError> {
    if kinds.is_empty() {
        return Ok(BTreeMap::new());
    }
    let base = base::ensure(docker, progress).await?;
    let below = kinds.iter().flat_map(|kind| kind.all_below()).collect();
    let (_, missing) = look_up(docker, &below).await?;
    let mut images = BTreeMap::new();
    for turn in in_turns(kinds, &missing) {
        images.extend(build_side_by_side(docker, turn, &base, progress).await?);
    }
    Ok(images)
}

/// What is built side by side, one turn after the other. What others are built on comes before them, also where nothing runs in
/// it, if it is missing.
fn in_turns(kinds: BTreeSet<ImageKind>, missing_below: &BTreeSet<ImageKind>) -> Vec<BTreeSet<ImageKind>> {
    let mut turns: BTreeMap<usize, BTreeSet<ImageKind>> = BTreeMap::new();
    for kind in kinds {
        let below = kind.all_below().take_while(|below| missing_below.contains(below));
        for kind in std::iter::once(kind).chain(below) {
            turns.entry(kind.all_below().count()).or_default().insert(kind);
        }
    }
    turns.into_values().collect()
}

async fn build_side_by_side(
    docker: &Docker,
    kinds: BTreeSet<ImageKind>,
    base: &str,
    progress: Progress<'_>,
) -> Result<BTreeMap<ImageKind, Image>, ImageError> {
    futures::stream::iter(kinds)
        .map(|kind| build_one(docker, kind, base, progress))
        .buffer_unordered(PARALLEL_BUILDS)
        .map_ok(|image| (image.kind, image))
        .try_collect()
        .await
}

/// The Dockerfile by which a kind is made here: the one that takes its program from an image, if the engine has that or
/// can pull it.
async fn dockerfile_of(docker: &Docker, kind: ImageKind, progress: Progress<'_>) -> Result<&'static str, ImageError> {
    let Some(reference) = kind.pulled() else { return Ok(recipe::BUILT) };
    if inspect(docker, reference).await?.is_some() {
        return Ok(recipe::PULLED);
    }
    match base::pull(docker, kind.name(), reference, progress).await {
        Ok(()) => Ok(recipe::PULLED),
        Err(cause) => {
            tracing::debug!("{reference} was not pulled, so it is built: {cause}");
            Ok(recipe::BUILT)
        }
    }
}

/// Builds the image, reads its packages' versions, and only then gives it its tag and labels.
async fn build_one(docker: &Docker, kind: ImageKind, base: &str, progress: Progress<'_>) -> Result<Image, ImageError> {
    let recipe = kind.recipe();
    let mut arguments = trust::proxy_arguments(|name| std::env::var(name).ok());
    let dockerfile = dockerfile_of(docker, kind, progress).await?;
    arguments.insert("BASE".into(), kind.below().map_or_else(|| base.to_owned(), ImageKind::tag));
    let versions = recipe::build_args(recipe, dockerfile);
    arguments.extend(versions.into_iter().map(|(name, value)| (name.into(), value.into())));
    let order = build::Order {
        image: kind.name().into(),
        dockerfile: dockerfile.into(),
        archive: context::archive(recipe, &[]).map_err(|error| failed_to_pack(kind.name(), &error))?,
        arguments,
        ..Default::default()
    };
    let id = build::run(docker, order, progress).await?.id;
    let mut versions = read_versions(docker, kind, &id).await?;
    versions.extend(kind.other_versions(dockerfile));

    let tag = kind.tag();
    complete(docker, kind.name(), kind.name(), &id, &tag, &versions).await?;
    progress(ImageProgress { image: kind.name().into(), stage: Stage::Ready { built: true }, line: tag.clone() });
    Ok(Image { kind, tag, versions })
}

/// Gives an image that was built its tag, with labels that say what kind it is and which versions it has.
async fn complete(
    docker: &Docker,
    image: &str,
    kind: &str,
    id: &str,
    tag: &str,
    versions: &BTreeMap<String, String>,
) -> Result<(), ImageError> {
    let json = serde_json::to_string(versions).map_err(|error| ImageError::Engine {
        action: format!("record the versions in image {image}"),
        cause: error.to_string(),
    })?;
    let order = build::Order {
        image: image.into(),
        tag: Some(tag.into()),
        archive: context::archive_of_dockerfile(&format!("FROM {id}\n"))
            .map_err(|error| failed_to_pack(image, &error))?,
        labels: HashMap::from([(KIND_LABEL.into(), kind.into()), (VERSIONS_LABEL.into(), json)]),
        ..Default::default()
    };
    build::run(docker, order, &|_| {}).await.map(|_| ())
}

/// Asks the package manager inside the image.
async fn read_versions(docker: &Docker, kind: ImageKind, id: &str) -> Result<BTreeMap<String, String>, ImageError> {
    let packages = kind.packages().join(" ");
    let dockerfile = format!(
        "FROM {id}\nRUN dpkg-query --show --showformat='{VERSION_MARK} ${{Package}} ${{Version}}\\n' base-files {packages} \
         && if [ -r {VERSIONS_FILE} ]; then sed 's/^/{VERSION_MARK} /' {VERSIONS_FILE}; fi\n"
    );
    versions_told(docker, kind.name(), &dockerfile).await
}

/// The versions that a step on top of an image prints. A build step does it, and not a container of our own, because the engine
/// removes a build's containers itself when this process is killed.
async fn versions_told(docker: &Docker, image: &str, dockerfile: &str) -> Result<BTreeMap<String, String>, ImageError> {
    let order = build::Order {
        image: image.into(),
        archive: context::archive_of_dockerfile(dockerfile).map_err(|error| failed_to_pack(image, &error))?,
        fresh: true,
        ..Default::default()
    };
    let built = build::run(docker, order, &|_| {}).await?;
    // The step's own image has served its purpose; should it stay, it is an empty layer without a name. The image
    // below it has no tag yet, so the engine must be told not to remove that as well.
    let only_this = RemoveImageOptions { noprune: true, ..Default::default() };
    docker.remove_image(&built.id, Some(only_this), None).await.ok();
    Ok(parse_versions(&built.output))
}

/// Package and version from the marked lines; the package that carries the release's number is called `debian`.
fn parse_versions(output: &[String]) -> BTreeMap<String, String> {
    output
        .iter()
        .filter_map(|line| line.strip_prefix(VERSION_MARK)?.trim().split_once(' '))
        .map(|(package, version)| (if package == "base-files" { "debian" } else { package }, version))
        .map(|(package, version)| (package.to_owned(), version.to_owned()))
        .collect()
}

fn failed_to_pack(image: &str, error: &std::io::Error) -> ImageError {
    ImageError::Engine { action: format!("pack the context of image {image}"), cause: error.to_string() }
}

/// The engine's id of an image, the digest of its configuration; `None` if the engine does not have it.
///
/// # Errors
/// [`ImageError`] if the engine can't be asked.
pub async fn id(docker: &Docker, tag: &str) -> Result<Option<String>, ImageError> {
    use bollard::errors::Error::DockerResponseServerError;
    match docker.inspect_image(tag).await {
        Ok(image) => Ok(image.id),
        Err(DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(ImageError::from_engine(format!("inspect image {tag}"), &error)),
    }
}

/// The labels of an image, or nothing if the engine does not have it.
async fn inspect(docker: &Docker, tag: &str) -> Result<Option<HashMap<String, String>>, ImageError> {
    use bollard::errors::Error::DockerResponseServerError;
    match docker.inspect_image(tag).await {
        Ok(image) => Ok(Some(image.config.and_then(|config| config.labels).unwrap_or_default())),
        Err(DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(ImageError::from_engine(format!("inspect image {tag}"), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_on_top_of_others_is_built_after_all_of_them_that_are_missing() {
        let kind = |name: &str| ImageKind::all().into_iter().find(|kind| kind.name() == name).expect("a kind");
        let kinds = |names: &[&str]| names.iter().map(|name| kind(name)).collect::<BTreeSet<_>>();
        let turns = |wanted: &[&str], missing: &[&str]| {
            let turns = in_turns(kinds(wanted), &kinds(missing));
            turns.iter().map(|turn| turn.iter().map(|kind| kind.name()).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let top = "patroni-versions-backups";
        assert_eq!(turns(&[top], &["patroni", "patroni-versions"]), [["patroni"], ["patroni-versions"], [top]]);
        assert_eq!(turns(&[top, "patroni-versions"], &["patroni-versions"]), [["patroni-versions"], [top]]);
        assert_eq!(turns(&[top], &[]), [[top]]);
        // One that is missing below one that is there is not needed.
        assert_eq!(turns(&[top], &["patroni"]), [[top]]);
        assert_eq!(turns(&["etcd", "etcd-versions"], &[]), [["etcd"], ["etcd-versions"]]);
    }

    #[test]
    fn versions_are_read_from_marked_lines_only() {
        let output = [
            "Step 2/2 : RUN dpkg-query --showformat='pgquake-version ${Package}'",
            "pgquake-version base-files 13.8+deb13u2",
            "pgquake-version patroni 4.0.7-1",
            "Successfully built 0123456789ab",
        ];
        let versions = parse_versions(&output.map(str::to_owned));
        let expected = [("debian", "13.8+deb13u2"), ("patroni", "4.0.7-1")];
        assert_eq!(versions, expected.map(|(package, version)| (package.to_owned(), version.to_owned())).into());
    }

    #[tokio::test]
    async fn no_engine_is_said_plainly() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let docker = Docker::connect_with_unix(&socket.display().to_string(), 2, bollard::API_DEFAULT_VERSION).unwrap();
        drop(listener);
        let error = ensure(&docker, &[ImageKind::HOLDER], &|_| {}).await.unwrap_err();
        assert!(matches!(error, ImageError::NoEngine { .. }), "{error:?}");
        assert!(error.to_string().contains("DOCKER_HOST"), "{error}");
    }
}
