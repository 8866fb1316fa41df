//! What each kind of image is made of: the table of kinds, their files, and the tags that follow from them.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

/// One file of a build context. Shell scripts (`*.sh`) are executable in the image, all else is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextFile {
    /// Path inside the context.
    pub path: &'static str,
    /// Content, embedded in the binary: a crate that depends on pgquake has it without a checkout.
    pub bytes: &'static [u8],
}

impl ContextFile {
    /// Permission bits of the file in the build context.
    pub fn mode(&self) -> u32 {
        if self.path.ends_with(".sh") { 0o755 } else { 0o644 }
    }
}

/// The files of `images/<kind>/`, embedded.
macro_rules! context {
    ($kind:literal: $($file:literal),+ $(,)?) => {
        &[$(ContextFile {
            path: $file,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/images/", $kind, "/", $file)),
        }),+]
    };
}

/// What one image is built from.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Name of the kind: the folder in `images/` and the last part of the repository's name.
    pub name: &'static str,
    /// The build context.
    pub files: &'static [ContextFile],
    /// Debian packages whose versions a report shows; `${NAME}` stands for a version from `versions.env`.
    pub packages: &'static [&'static str],
}

/// The image that all kinds are built on.
pub(super) const BASE: Recipe =
    Recipe { name: "base", files: context!("base": "Dockerfile", "apt.conf", "dpkg.cfg"), packages: &[] };

/// A kind of image. A new kind is a folder in `images/`, a variant, and its row in [`ImageKind::recipe`]. Their order
/// is that of the builds: what takes longest begins first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageKind {
    /// The disk that loses power, fills up, stalls and fails: a binary for the containers of other kinds. Compiled in
    /// its image.
    Disk,
    /// What shapes links; compiled in its image.
    Toxiproxy,
    /// PostgreSQL under Patroni.
    Patroni,
    /// One etcd member.
    Etcd,
    /// The container that owns a host's namespaces.
    Holder,
    /// HAProxy.
    Haproxy,
}

impl ImageKind {
    /// Every kind there is.
    pub const ALL: &'static [ImageKind] = &[
        ImageKind::Disk,
        ImageKind::Toxiproxy,
        ImageKind::Patroni,
        ImageKind::Etcd,
        ImageKind::Holder,
        ImageKind::Haproxy,
    ];

    /// What this kind is built from.
    pub const fn recipe(self) -> Recipe {
        match self {
            // It is no Debian package: its version is that of pgquake.
            ImageKind::Disk => Recipe {
                name: "disk",
                files: context!(
                    "disk":
                    "Cargo.lock",
                    "Cargo.toml",
                    "Dockerfile",
                    "src/arguments.rs",
                    "src/control/caches.rs",
                    "src/control/command.rs",
                    "src/control/mod.rs",
                    "src/counters.rs",
                    "src/disk/data.rs",
                    "src/disk/mod.rs",
                    "src/disk/names.rs",
                    "src/error.rs",
                    "src/faults.rs",
                    "src/filesystem/listing.rs",
                    "src/filesystem/mod.rs",
                    "src/filesystem/requests.rs",
                    "src/inode/mod.rs",
                    "src/inode/table.rs",
                    "src/main.rs",
                    "src/memory.rs",
                    "src/operation.rs",
                    "src/prefix.rs",
                    "src/space.rs",
                    "src/unsynced.rs",
                    "src/workers.rs",
                    "tests/disk/faults.rs",
                    "tests/disk/main.rs",
                    "tests/disk/mounted.rs",
                    "tests/disk/power_loss.rs",
                ),
                packages: &[],
            },
            ImageKind::Etcd => {
                Recipe { name: "etcd", files: context!("etcd": "Dockerfile"), packages: &["etcd-server"] }
            }
            ImageKind::Haproxy => {
                Recipe { name: "haproxy", files: context!("haproxy": "Dockerfile"), packages: &["haproxy"] }
            }
            ImageKind::Holder => {
                Recipe { name: "holder", files: context!("holder": "Dockerfile"), packages: &["iproute2", "nftables"] }
            }
            ImageKind::Patroni => Recipe {
                name: "patroni",
                files: context!(
                    "patroni":
                    "Dockerfile", "entrypoint.sh", "first-start/sitecustomize.py", "no-main-cluster.conf", "restore-prepared.sh"
                ),
                packages: &["patroni", "postgresql-${POSTGRES_MAJOR}"],
            },
            ImageKind::Toxiproxy => {
                Recipe { name: "toxiproxy", files: context!("toxiproxy": "Dockerfile"), packages: &[] }
            }
        }
    }

    /// Name of the kind, as in `images/<name>/`.
    pub const fn name(self) -> &'static str {
        self.recipe().name
    }

    /// The image's name and tag, for example `pgquake/etcd:0c5b…` with 12 hex digits of a SHA-256 over all that the
    /// image is built from. It is the same on every machine: neither the host's CA bundle nor whether the base was
    /// pulled or made locally is part of it, because neither changes how a service behaves.
    pub fn tag(self) -> String {
        tag_of(&self.recipe(), &base_tag())
    }

    /// The versions that its Dockerfile asks for as build arguments, beside the base.
    pub fn build_args(self) -> BTreeMap<&'static str, &'static str> {
        build_args(&self.recipe())
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

/// The versions of `images/versions.env`: the Debian release, PostgreSQL's major version and others.
pub fn pinned_versions() -> BTreeMap<&'static str, &'static str> {
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/images/versions.env"))
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect()
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
        Recipe { name: "probe", files, packages: &[] }
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
        for kind in ImageKind::ALL {
            let tag = kind.tag();
            let digits = tag.strip_prefix(&format!("pgquake/{kind}:")).expect("repository");
            assert_eq!(digits.len(), 12, "{tag}");
            assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{tag}");
        }
        let tags: BTreeSet<String> = ImageKind::ALL.iter().map(|kind| kind.tag()).collect();
        assert_eq!(tags.len(), ImageKind::ALL.len());
    }

    #[test]
    fn a_dockerfile_gets_the_versions_it_declares() {
        assert!(build_args(&recipe(PLAIN)).is_empty());
        assert_eq!(build_args(&recipe(WITH_VERSION)).keys().copied().collect::<Vec<_>>(), ["POSTGRES_MAJOR"]);
        let packages = ImageKind::Patroni.packages();
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
        let recipes = ImageKind::ALL.iter().map(|kind| kind.recipe()).chain([BASE]);
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
