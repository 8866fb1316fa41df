//! What images are made of: the files of their build contexts, embedded, so that a crate that depends on pgquake has them
//! without a checkout.

/// One file of a build context. Shell scripts (`*.sh`) are executable in the image, all else is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextFile {
    /// Path inside the context.
    pub path: &'static str,
    pub bytes: &'static [u8],
}

impl ContextFile {
    /// Whether it serves images of the team's own alone, and is no part of what pgquake's are made of.
    pub fn is_for_own_images(&self) -> bool {
        self.path == ON_OWN_IMAGE || self.path == "contract.sh"
    }

    /// Permission bits of the file in the build context.
    pub fn mode(&self) -> u32 {
        if self.path.ends_with(".sh") { 0o755 } else { 0o644 }
    }
}

/// The file of a context that puts what pgquake needs on top of an image of the team's own, once it has what the contract asks.
pub const ON_OWN_IMAGE: &str = "Dockerfile.own";

/// What one image is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Its name: the folder in `images/` and the last part of the repository's name. One with the files of another recipe has no
    /// folder of its own.
    pub name: &'static str,
    /// The build context.
    pub files: &'static [ContextFile],
    /// The variable of `versions.env` with an image that has the program already. Where that is in the engine, or can be
    /// pulled, `Dockerfile.pulled` takes the program from it; else `Dockerfile` builds it.
    pub pulled: Option<&'static str>,
    /// The image that it is built on; `None`: the base.
    pub on: Option<&'static Recipe>,
    /// Debian packages whose versions a report shows; `${NAME}` stands for a version from `versions.env`.
    pub packages: &'static [&'static str],
    /// Its build begins before those of a lower rank, because it takes longer.
    pub build_rank: u8,
}

/// The files of `images/NAME/`, embedded.
macro_rules! context {
    ($name:literal: $($file:literal),+ $(,)?) => {
        &[$($crate::services::recipe::ContextFile {
            path: $file,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/", $name, "/", $file)),
        }),+]
    };
}
pub(super) use context;

/// The image that all others are built on.
pub const BASE: Recipe = Recipe {
    name: "base",
    files: context!("base": "Dockerfile", "apt.conf", "dpkg.cfg"),
    pulled: None,
    on: None,
    packages: &[],
    build_rank: u8::MAX,
};

/// The container that owns a host's namespaces.
pub const HOLDER: Recipe = Recipe {
    name: "holder",
    files: context!("holder": "Dockerfile"),
    pulled: None,
    on: None,
    packages: &["iproute2", "nftables"],
    build_rank: 2,
};

/// The disk that loses power, fills up, stalls and fails: a binary for the containers of services, compiled in its image.
/// It is no Debian package: its version is that of pgquake.
pub const DISK: Recipe = Recipe {
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
    pulled: None,
    on: None,
    packages: &[],
    build_rank: 6,
};

/// The watchdog device of a kernel that has none: a binary for the containers of the services that feed it, compiled in its
/// image. It is no Debian package: its version is that of pgquake.
pub const WATCHDOG: Recipe = Recipe {
    name: "watchdog",
    files: context!(
                    "watchdog":
                    "Cargo.lock",
                    "Cargo.toml",
                    "Dockerfile",
                    "src/arguments.rs",
                    "src/device.rs",
                    "src/ioctl.rs",
                    "src/keeper.rs",
                    "src/main.rs",
                    "src/reset.rs",
                    "src/timer.rs",
                    "tests/watchdog.rs",
    ),
    pulled: None,
    on: None,
    packages: &[],
    build_rank: 6,
};

/// The versions of `images/versions.env`: the Debian release, PostgreSQL's major version and others.
pub fn pinned_versions() -> std::collections::BTreeMap<&'static str, &'static str> {
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/versions.env"))
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect()
}
