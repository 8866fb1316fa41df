//! What can go wrong before the images are there, by what the reader can do about it.

use std::error::Error as _;
use std::io;

use thiserror::Error;

/// Why the images are not there.
#[derive(Debug, Error)]
pub enum ImageError {
    /// Nothing answers where the Docker engine should be.
    #[error(
        "failed to reach a Docker engine: {cause}; start one, or set DOCKER_HOST to where it listens \
         (`./pgquake` installs and starts one on Debian and Ubuntu when run as root)"
    )]
    NoEngine {
        /// What the connection ended with.
        cause: String,
    },
    /// The engine's socket is there and refuses this user.
    #[error(
        "failed to open the Docker engine's socket: {cause}; add this user to the docker group \
         (`sudo usermod -aG docker $USER`, then log in again), or run pgquake as root"
    )]
    NotPermitted {
        /// What the connection ended with.
        cause: String,
    },
    /// The base image can be neither pulled nor made.
    #[error(
        "failed to get a Debian base image: pulling {reference} gave \"{pull}\", and mmdebstrap is not installed; \
         install mmdebstrap and debian-archive-keyring (`apt-get install mmdebstrap debian-archive-keyring`), or \
         load {reference} into the engine with `docker load`"
    )]
    NoBase {
        /// The image that was asked for.
        reference: String,
        /// Why the pull failed.
        pull: String,
    },
    /// mmdebstrap ran and failed.
    #[error(
        "failed to make a Debian base image with mmdebstrap: {cause}; its last lines:\n{tail}\n\
         as root it needs nothing more than Debian's mirror; as another user also user namespaces and a row in /etc/subuid"
    )]
    Bootstrap {
        /// How it ended.
        cause: String,
        /// Its last lines on standard error.
        tail: String,
    },
    /// A step of a build failed.
    #[error("failed to build image {image}: {cause}; the build's last lines:\n{tail}\n{remedy}")]
    Build {
        /// The image that was being built.
        image: String,
        /// What the engine reported.
        cause: String,
        /// The last lines of the build's output.
        tail: String,
        /// What the reader can do.
        remedy: &'static str,
    },
    /// The engine's disk is full.
    #[error(
        "failed to build image {image}: no space left on the disk of the Docker engine: {cause}; \
         free some (`docker system prune` removes what no container uses) and run again"
    )]
    DiskFull {
        /// The image that was being built.
        image: String,
        /// The line that said so.
        cause: String,
    },
    /// Another pgquake holds the lock for longer than any build takes.
    #[error("failed to get hold of the lock {path}: another pgquake has been building images for {waited_s} s")]
    Locked {
        /// The lock's file.
        path: String,
        /// How long this one has waited, in seconds.
        waited_s: u64,
    },
    /// An image of the team's own is nowhere.
    #[error(
        "failed to get the image {image}: the engine does not have it, and pulling gave \"{pull}\"; build or load it \
         (`docker build -t {image} …`, `docker load`), or log in to its registry"
    )]
    NoOwn {
        /// As the topology names it.
        image: String,
        /// Why the pull failed.
        pull: String,
    },
    /// An image of the team's own lacks something.
    #[error(
        "failed to use the image {image} for {service}; it lacks what the contract asks for (README, \"Your own images\"):\n{missing}"
    )]
    Contract {
        /// As the topology names it.
        image: String,
        /// What should run in it.
        service: &'static str,
        /// What is missing, one line each.
        missing: String,
    },
    /// The engine answered something else than expected.
    #[error("failed to {action}: {cause}")]
    Engine {
        /// What was asked of the engine.
        action: String,
        /// What it answered.
        cause: String,
    },
}

impl ImageError {
    /// Sorts an error of the engine's client: no engine, no permission, no space, or something else.
    pub(super) fn from_engine(action: impl Into<String>, error: &bollard::errors::Error) -> Self {
        let cause = innermost(error);
        match connection_failure(error) {
            Some(io::ErrorKind::PermissionDenied) => ImageError::NotPermitted { cause },
            Some(_) => ImageError::NoEngine { cause },
            None => ImageError::Engine { action: action.into(), cause },
        }
    }

    /// Sorts the failure of a build by the engine's message and the output before it.
    pub(super) fn from_build(image: &str, cause: &str, tail: &[String]) -> Self {
        let image = image.to_owned();
        let lines = || tail.iter().map(String::as_str).chain([cause]);
        if let Some(line) = lines().find(|line| tells_of_a_full_disk(line)) {
            return ImageError::DiskFull { image, cause: line.to_owned() };
        }
        let remedy = if lines().any(tells_of_an_untrusted_certificate) {
            "a proxy between this machine and the server re-signs TLS: name its CA bundle in SSL_CERT_FILE"
        } else if lines().any(tells_of_a_missing_network) {
            "containers cannot reach the server: check the network, and HTTP_PROXY and HTTPS_PROXY if there is a proxy"
        } else {
            "run again if a mirror was at fault; else the Dockerfile in images/ does not fit this system"
        };
        ImageError::Build { image, cause: cause.to_owned(), tail: tail.join("\n"), remedy }
    }
}

/// How the connection to the engine failed, if that is what happened.
pub(super) fn connection_failure(error: &bollard::errors::Error) -> Option<io::ErrorKind> {
    let kind = match error {
        bollard::errors::Error::SocketNotFoundError(_) => io::ErrorKind::NotFound,
        // It hides the error it carries from `source`.
        bollard::errors::Error::IOError { err } => err.kind(),
        other => causes(other).find_map(|cause| cause.downcast_ref::<io::Error>())?.kind(),
    };
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    [ConnectionRefused, NotFound, PermissionDenied].into_iter().find(|known| *known == kind)
}

/// The message at the end of the chain: the client's own layers say only "client error".
pub(super) fn innermost(error: &bollard::errors::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The errors below `error`, outermost first.
fn causes(error: &bollard::errors::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

fn tells_of_a_full_disk(line: &str) -> bool {
    let line = line.to_lowercase();
    ["no space left on device", "enospc", "enough free space in", "disk quota exceeded"]
        .iter()
        .any(|sign| line.contains(sign))
}

fn tells_of_an_untrusted_certificate(line: &str) -> bool {
    let line = line.to_lowercase();
    ["certificate verification failed", "certificate verify failed", "unknown authority", "self-signed certificate"]
        .iter()
        .any(|sign| line.contains(sign))
}

fn tells_of_a_missing_network(line: &str) -> bool {
    let line = line.to_lowercase();
    [
        "temporary failure resolving",
        "could not resolve",
        "could not connect",
        "connection timed out",
        "unable to fetch",
        "failed to fetch",
    ]
    .iter()
    .any(|sign| line.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::errors::Error as EngineError;

    fn of_kind(kind: io::ErrorKind) -> ImageError {
        ImageError::from_engine("list images", &EngineError::IOError { err: io::Error::from(kind) })
    }

    #[test]
    fn a_missing_engine_and_a_missing_permission_are_told_apart() {
        assert!(matches!(of_kind(io::ErrorKind::ConnectionRefused), ImageError::NoEngine { .. }));
        assert!(matches!(of_kind(io::ErrorKind::NotFound), ImageError::NoEngine { .. }));
        let absent = EngineError::SocketNotFoundError("/run/none.sock".into());
        assert!(matches!(ImageError::from_engine("ping", &absent), ImageError::NoEngine { .. }));

        let refused = of_kind(io::ErrorKind::PermissionDenied);
        assert!(matches!(refused, ImageError::NotPermitted { .. }));
        assert!(refused.to_string().contains("docker group"), "{refused}");
        assert!(refused.to_string().contains("as root"), "{refused}");
    }

    #[test]
    fn an_answer_of_the_engine_is_no_missing_engine() {
        let answer = EngineError::DockerResponseServerError { status_code: 500, message: "boom".into() };
        let error = ImageError::from_engine("inspect image x", &answer);
        assert!(matches!(error, ImageError::Engine { .. }));
        assert!(error.to_string().starts_with("failed to inspect image x: "), "{error}");
        assert!(error.to_string().contains("boom"), "{error}");
    }

    #[test]
    fn a_full_disk_is_recognised_in_message_and_output() {
        let full = "write /usr/lib/x: no space left on device";
        assert!(matches!(ImageError::from_build("etcd", full, &[]), ImageError::DiskFull { .. }));
        let earlier = ["dpkg: error: failed to write (No space left on device)".to_owned(), "exit".to_owned()];
        assert!(matches!(ImageError::from_build("etcd", "code 100", &earlier), ImageError::DiskFull { .. }));
        assert!(!matches!(ImageError::from_build("etcd", "code 100", &[]), ImageError::DiskFull { .. }));
    }

    #[test]
    fn a_failed_build_shows_its_output_and_what_to_do() {
        let tail = ["Err:1 Temporary failure resolving 'deb.debian.org'".to_owned()];
        let text = ImageError::from_build("etcd", "returned a non-zero code: 100", &tail).to_string();
        assert!(text.contains("image etcd") && text.contains("code: 100"), "{text}");
        assert!(text.contains(&tail[0]) && text.contains("HTTP_PROXY"), "{text}");

        let untrusted = ["SSL: certificate verification failed".to_owned()];
        let text = ImageError::from_build("etcd", "code 100", &untrusted).to_string();
        assert!(text.contains("SSL_CERT_FILE"), "{text}");
    }
}
