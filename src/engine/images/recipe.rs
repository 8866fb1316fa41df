//! The kinds of image, and the tags that follow from what they are made of.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sha2::{Digest, Sha256};

pub use crate::services::recipe::{BASE, ContextFile, ON_OWN_IMAGE, Recipe, pinned_versions};
use crate::services::{
    ServiceKind,
    recipe::{DISK, HOLDER, WATCHDOG},
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
    /// The watchdog of a node's host.
    pub const WATCHDOG: ImageKind = ImageKind(&WATCHDOG);

    /// What a kind of service runs in, where nothing else is asked of it.
    pub fn of(kind: ServiceKind) -> Self {
        Self(&service(kind).image)
    }

    /// What a recipe gives.
    pub const fn made_by(recipe: &'static Recipe) -> Self {
        Self(recipe)
    }

    /// Every kind there is, in their order.
    pub fn all() -> Vec<ImageKind> {
        let on_top = |kind: &ServiceKind| {
            let row = service(*kind);
            let with_backups = row.node().and_then(|node| node.with_backups);
            let with_both = row.node().and_then(|node| node.with_versions_and_backups);
            let with_vector = row.node().and_then(|node| node.with_vector);
            [with_backups, row.with_versions(), with_both, with_vector].into_iter().flatten().map(Self::made_by)
        };
        let of_services = ServiceKind::ALL.iter().copied().map(Self::of);
        let all = of_services.chain(ServiceKind::ALL.iter().flat_map(on_top));
        all.chain([Self::HOLDER, Self::DISK, Self::WATCHDOG]).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether it has several versions of a program, of which those run that a topology names.
    pub fn has_versions(self) -> bool {
        let mut with_versions = ServiceKind::ALL.iter().filter_map(|kind| service(*kind).with_versions());
        with_versions.any(|recipe| std::iter::once(self).chain(self.all_below()).any(|kind| kind == Self(recipe)))
    }

    /// The kind that it is built on; `None`: the base.
    pub fn below(self) -> Option<Self> {
        self.recipe().on.map(Self)
    }

    /// The kinds below it, the nearest first.
    pub fn all_below(self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.below(), |kind| kind.below())
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
        let below = self.below().map_or_else(base_tag, Self::tag);
        tag_of(self.recipe(), &below)
    }

    /// The versions that its Dockerfile asks for as build arguments, beside the base.
    pub fn build_args(self) -> BTreeMap<&'static str, &'static str> {
        build_args(self.recipe(), BUILT)
    }

    /// What it is made of by version and not as a Debian package: `TOXIPROXY_VERSION=2.12.0` gives `toxiproxy`, `2.12.0`,
    /// and an image that was pulled gives its tag.
    pub(super) fn other_versions(self, dockerfile: &str) -> BTreeMap<String, String> {
        let known = |(name, value): (&str, &str)| {
            let of_image = || Some((name.strip_suffix("_IMAGE")?, value.rsplit_once(':')?.1));
            let (name, version) = name.strip_suffix("_VERSION").map(|name| (name, value)).or_else(of_image)?;
            Some((name.to_lowercase(), version.to_owned()))
        };
        build_args(self.recipe(), dockerfile).into_iter().filter_map(known).collect()
    }

    /// The image that has its program already, for those who can pull it.
    pub(super) fn pulled(self) -> Option<&'static str> {
        pinned_versions().get(self.recipe().pulled?).copied()
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

/// The file that builds an image, and the one that takes its program from an image that was pulled.
pub(super) const BUILT: &str = "Dockerfile";
pub(super) const PULLED: &str = "Dockerfile.pulled";

/// The versions that one of this recipe's Dockerfiles declares as `ARG`: the engine warns about any other.
pub(super) fn build_args(recipe: &Recipe, dockerfile: &str) -> BTreeMap<&'static str, &'static str> {
    let dockerfile = recipe.files.iter().find(|file| file.path == dockerfile);
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
    for file in recipe.files.iter().filter(|file| !file.is_for_own_images()) {
        hash.field(file.path.as_bytes());
        hash.field(&file.mode().to_be_bytes());
        hash.field(file.bytes);
    }
    for (name, value) in [BUILT, PULLED].into_iter().flat_map(|dockerfile| build_args(recipe, dockerfile)) {
        hash.field(name.as_bytes());
        hash.field(value.as_bytes());
    }
    recipe.packages.iter().for_each(|package| hash.field(package.as_bytes()));
    format!("pgquake/{}:{}", recipe.name, hash.finish())
}

/// SHA-256 over fields that can't run into each other, because each is preceded by its length.
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    pub fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// The first 12 hex digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn fill_in(text: &str, versions: &BTreeMap<&str, &str>) -> String {
    versions.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn recipe(files: &'static [ContextFile]) -> Recipe {
        Recipe { name: "probe", files, pulled: None, on: None, packages: &[], build_rank: 0 }
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
    fn an_image_that_is_pulled_tells_its_tag_and_one_that_is_built_its_version() {
        let minio = ImageKind::of(ServiceKind::Minio);
        let pinned = pinned_versions();
        assert_eq!(minio.other_versions(BUILT)["minio"], pinned["MINIO_VERSION"]);
        let (_, release) = pinned["MINIO_IMAGE"].split_once(':').expect("a tag");
        assert_eq!(minio.other_versions(PULLED)["minio"], release);
        assert_eq!(minio.pulled(), Some(pinned["MINIO_IMAGE"]));
    }

    #[test]
    fn what_is_built_on_another_kind_changes_with_it() {
        let with_backups = ImageKind::all().into_iter().find(|kind| kind.below().is_some()).expect("one");
        assert_eq!(with_backups.below(), Some(ImageKind::of(ServiceKind::Patroni)));
        assert_ne!(with_backups.tag(), tag_of(with_backups.recipe(), &base_tag()));
    }

    #[test]
    fn images_of_versions_and_what_is_on_top_of_them_have_several() {
        let all = ImageKind::all().into_iter().filter(|kind| kind.has_versions());
        let names: BTreeSet<&str> = all.map(ImageKind::name).collect();
        assert_eq!(names, ["etcd-versions", "patroni-versions", "patroni-versions-backups"].into());
    }

    #[test]
    fn a_dockerfile_gets_the_versions_it_declares() {
        assert!(build_args(&recipe(PLAIN), BUILT).is_empty());
        assert_eq!(build_args(&recipe(WITH_VERSION), BUILT).keys().copied().collect::<Vec<_>>(), ["POSTGRES_MAJOR"]);
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
        let recipes: Vec<_> = ImageKind::all().into_iter().map(|kind| kind.recipe()).chain([&BASE]).collect();
        // One without a folder has the files of another one, on top of something else.
        let (recipes, others): (Vec<&Recipe>, Vec<&Recipe>) =
            recipes.into_iter().partition(|recipe| folder.join(recipe.name).is_dir());
        assert!(others.iter().all(|other| recipes.iter().any(|recipe| recipe.files == other.files)));
        let embedded: BTreeSet<(String, String)> = recipes
            .iter()
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
