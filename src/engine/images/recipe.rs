//! The kinds of image, and the tags that follow from what they are made of.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    fmt,
};

use sha2::{Digest, Sha256};

pub use crate::services::recipe::{BASE, ContextFile, Recipe, pinned_versions};
use crate::services::{
    ServiceKind,
    recipe::{DISK, HOLDER},
    service,
};

/// A kind of image. A new one is a folder in `images/` and the recipe of a service's row. Their order is that of the
/// builds: what takes longest begins first.
#[derive(Clone, Copy)]
pub struct ImageKind(&'static Recipe);

impl ImageKind {
    /// The container that owns a host's namespaces.
    pub const HOLDER: ImageKind = ImageKind(&HOLDER);
    /// The disk that can be broken.
    pub const DISK: ImageKind = ImageKind(&DISK);

    /// What a kind of service runs in.
    pub fn of(kind: ServiceKind) -> Self {
        Self(&service(kind).image)
    }

    /// Every kind there is, in their order.
    pub fn all() -> Vec<ImageKind> {
        let mut all: Vec<_> =
            ServiceKind::ALL.iter().copied().map(Self::of).chain([Self::HOLDER, Self::DISK]).collect();
        all.sort();
        all
    }

    /// What this kind is built from.
    pub const fn recipe(self) -> &'static Recipe {
        self.0
    }

    /// Name of the kind, as in `images/<name>/`.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// The image's name and tag, for example `pgquake/etcd:0c5b…` with 12 hex digits of a SHA-256 over all that the
    /// image is built from. It is the same on every machine: neither the host's CA bundle nor whether the base was
    /// pulled or made locally is part of it, because neither changes how a service behaves.
    pub fn tag(self) -> String {
        tag_of(self.recipe(), &base_tag())
    }

    /// The versions that its Dockerfile asks for as build arguments, beside the base.
    pub fn build_args(self) -> BTreeMap<&'static str, &'static str> {
        build_args(self.recipe())
    }

    /// What it is built from by version and not as a Debian package: `TOXIPROXY_VERSION=2.12.0` gives `toxiproxy`,
    /// `2.12.0`.
    pub(super) fn compiled_versions(self) -> BTreeMap<String, String> {
        let compiled = |(name, version): (&str, &str)| {
            let name = name.strip_suffix("_VERSION")?;
            Some((name.to_lowercase(), version.to_owned()))
        };
        self.build_args().into_iter().filter_map(compiled).collect()
    }

    /// The packages whose versions belong in a report, with versions from `versions.env` filled in.
    pub(super) fn packages(self) -> Vec<String> {
        let versions = pinned_versions();
        self.recipe().packages.iter().map(|package| fill_in(package, &versions)).collect()
    }
}

impl fmt::Display for ImageKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl PartialEq for ImageKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for ImageKind {}

impl PartialOrd for ImageKind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ImageKind {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = |kind: &Self| (Reverse(kind.recipe().build_rank), kind.name());
        order(self).cmp(&order(other))
    }
}

impl fmt::Debug for ImageKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ImageKind({})", self.name())
    }
}

/// The Debian release that every image has, for example `trixie`.
pub(super) fn debian_release() -> &'static str {
    pinned_versions().get("DEBIAN_RELEASE").copied().unwrap_or_default()
}

/// The versions that this recipe's Dockerfile declares as `ARG`: the engine warns about any other.
pub(super) fn build_args(recipe: &Recipe) -> BTreeMap<&'static str, &'static str> {
    let dockerfile = recipe.files.iter().find(|file| file.path == "Dockerfile");
    let text = dockerfile.map(|file| String::from_utf8_lossy(file.bytes)).unwrap_or_default();
    let declared: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("ARG "))
        .map(|name| name.split('=').next().unwrap_or(name).trim())
        .collect();
    pinned_versions().into_iter().filter(|(name, _)| declared.contains(name)).collect()
}

/// Options of `mmdebstrap` for the root file system, without the output. No mirror is named: mmdebstrap then takes
/// the release's default, with its updates and security archives.
pub(super) fn mmdebstrap_arguments() -> Vec<String> {
    vec![
        "--variant=minbase".into(),
        "--include=ca-certificates".into(),
        "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg".into(),
        debian_release().into(),
        "-".into(),
    ]
}

/// Tag of the root file system that mmdebstrap makes where no registry answers.
pub(super) fn rootfs_tag() -> String {
    let mut hash = Fingerprint::new();
    mmdebstrap_arguments().iter().for_each(|argument| hash.field(argument.as_bytes()));
    format!("pgquake/rootfs:{}", hash.finish())
}

/// Tag of the image that all kinds are built on.
pub(super) fn base_tag() -> String {
    tag_of(&BASE, debian_release())
}

/// Tag of the image that `recipe` gives on `base`.
fn tag_of(recipe: &Recipe, base: &str) -> String {
    let mut hash = Fingerprint::new();
    hash.field(base.as_bytes());
    for file in recipe.files {
        hash.field(file.path.as_bytes());
        hash.field(&file.mode().to_be_bytes());
        hash.field(file.bytes);
    }
    for (name, value) in build_args(recipe) {
        hash.field(name.as_bytes());
        hash.field(value.as_bytes());
    }
    recipe.packages.iter().for_each(|package| hash.field(package.as_bytes()));
    format!("pgquake/{}:{}", recipe.name, hash.finish())
}

/// SHA-256 over fields that can't run into each other, because each is preceded by its length.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// The first 12 hex digits.
    fn finish(self) -> String {
        self.0.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn fill_in(text: &str, versions: &BTreeMap<&str, &str>) -> String {
    versions.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn recipe(files: &'static [ContextFile]) -> Recipe {
        Recipe { name: "probe", files, packages: &[], build_rank: 0 }
    }

    const PLAIN: &[ContextFile] = &[ContextFile { path: "Dockerfile", bytes: b"FROM x\n" }];
    const OTHER_BYTE: &[ContextFile] = &[ContextFile { path: "Dockerfile", bytes: b"FROM y\n" }];
    const OTHER_NAME: &[ContextFile] = &[ContextFile { path: "Dockerfile.sh", bytes: b"FROM x\n" }];
    const WITH_VERSION: &[ContextFile] = &[ContextFile { path: "Dockerfile", bytes: b"FROM x\nARG POSTGRES_MAJOR\n" }];

    #[test]
    fn a_tag_changes_with_a_byte_a_name_a_base_and_the_reported_packages() {
        let tag = tag_of(&recipe(PLAIN), "base");
        assert_eq!(tag, tag_of(&recipe(PLAIN), "base"));
        assert_ne!(tag, tag_of(&recipe(OTHER_BYTE), "base"));
        assert_ne!(tag, tag_of(&recipe(OTHER_NAME), "base"));
        assert_ne!(tag, tag_of(&recipe(PLAIN), "another base"));
        assert_ne!(tag, tag_of(&Recipe { packages: &["tini"], ..recipe(PLAIN) }, "base"));
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let fingerprint = |fields: &[&str]| {
            let mut hash = Fingerprint::new();
            fields.iter().for_each(|field| hash.field(field.as_bytes()));
            hash.finish()
        };
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }

    #[test]
    fn a_tag_is_the_repository_and_twelve_hex_digits() {
        for kind in ImageKind::all() {
            let tag = kind.tag();
            let digits = tag.strip_prefix(&format!("pgquake/{kind}:")).expect("repository");
            assert_eq!(digits.len(), 12, "{tag}");
            assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{tag}");
        }
        let tags: BTreeSet<String> = ImageKind::all().into_iter().map(ImageKind::tag).collect();
        assert_eq!(tags.len(), ImageKind::all().len());
    }

    #[test]
    fn a_dockerfile_gets_the_versions_it_declares() {
        assert!(build_args(&recipe(PLAIN)).is_empty());
        assert_eq!(build_args(&recipe(WITH_VERSION)).keys().copied().collect::<Vec<_>>(), ["POSTGRES_MAJOR"]);
        let packages = ImageKind::of(ServiceKind::Patroni).packages();
        assert!(packages.contains(&format!("postgresql-{}", pinned_versions()["POSTGRES_MAJOR"])), "{packages:?}");
        assert!(!debian_release().is_empty());
    }

    /// A file that is not in the table would be missing from the build of a crate that depends on pgquake.
    #[test]
    fn every_file_under_images_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("images");
        let mut on_disk = BTreeSet::new();
        for kind in std::fs::read_dir(&folder).expect("images").flatten().filter(|entry| entry.path().is_dir()) {
            let name = kind.file_name().into_string().unwrap();
            on_disk.extend(files_under(&kind.path()).into_iter().map(|file| (name.clone(), file)));
        }
        let recipes = ImageKind::all().into_iter().map(|kind| kind.recipe()).chain([&BASE]);
        let embedded: BTreeSet<(String, String)> = recipes
            .flat_map(|recipe| recipe.files.iter().map(move |file| (recipe.name.into(), file.path.into())))
            .collect();
        assert_eq!(on_disk, embedded);
    }

    /// Paths of all files below `folder`, relative to it, but for what a build has left there.
    fn files_under(folder: &Path) -> Vec<String> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).expect("folder").flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !entry.path().is_dir() {
                files.push(name);
            } else if name != "target" {
                files.extend(files_under(&entry.path()).iter().map(|file| format!("{name}/{file}")));
            }
        }
        files
    }
}
