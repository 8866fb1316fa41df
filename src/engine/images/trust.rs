//! What the host's environment says about the way to the outside: its CA bundle and its proxies.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Variables that name a CA bundle, in order of precedence: OpenSSL's own first, then those of common tools.
const CA_VARIABLES: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "AWS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];

/// Variables that name a proxy; the engine knows them as build arguments and keeps them out of the image.
const PROXY_VARIABLES: &[&str] = &["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"];

/// The CA bundle that the environment names, in PEM; empty if it names none that can be read.
///
/// The bundle is installed in the base image and recorded in a label there, not in any tag: a tag would differ
/// between machines although the services behave the same. When something has to be built and the bundle is
/// another than the base's, the base is made again under the same tag.
pub(super) fn host_ca_bundle(variable: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    for name in CA_VARIABLES {
        let Some(path) = variable(name).filter(|path| !path.is_empty()) else { continue };
        match std::fs::read(Path::new(&path)) {
            Ok(bundle) => return bundle,
            Err(error) => tracing::warn!("{name} names {path}, which cannot be read: {error}"),
        }
    }
    Vec::new()
}

/// A bundle's identity, for the label of the base image.
pub(super) fn digest_of(bundle: &[u8]) -> String {
    if bundle.is_empty() {
        return "none".to_owned();
    }
    Sha256::digest(bundle).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Build arguments for the proxies of the host's environment. A proxy on the host's loopback address is left out:
/// a container can't reach it.
pub(super) fn proxy_arguments(variable: impl Fn(&str) -> Option<String>) -> HashMap<String, String> {
    PROXY_VARIABLES
        .iter()
        .flat_map(|name| [(*name).to_owned(), name.to_uppercase()])
        .filter_map(|name| variable(&name).map(|value| (name, value)))
        .filter(|(name, value)| {
            let loopback = ["127.", "localhost", "[::1]"].iter().any(|host| value.contains(host));
            !value.is_empty() && (!loopback || name.eq_ignore_ascii_case("no_proxy"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bundle_that_can_be_read_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.pem");
        std::fs::write(&bundle, "PEM").unwrap();
        let environment = |name: &str| match name {
            "SSL_CERT_FILE" => Some(folder.path().join("absent.pem").display().to_string()),
            "AWS_CA_BUNDLE" => Some(bundle.display().to_string()),
            _ => None,
        };
        assert_eq!(host_ca_bundle(environment), b"PEM");
        assert_eq!(host_ca_bundle(|_| None), b"");
        assert_eq!(digest_of(b""), "none");
        assert_ne!(digest_of(b"PEM"), digest_of(b"PEN"));
    }

    #[test]
    fn a_proxy_on_the_hosts_loopback_is_not_passed_on() {
        let arguments = proxy_arguments(|name| match name {
            "http_proxy" => Some("http://127.0.0.1:3128".into()),
            "HTTPS_PROXY" => Some("http://proxy.corp:3128".into()),
            "no_proxy" => Some("localhost".into()),
            _ => None,
        });
        let mut names: Vec<&str> = arguments.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["HTTPS_PROXY", "no_proxy"]);
    }
}
