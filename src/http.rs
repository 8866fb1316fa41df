//! HTTP to published ports.

use std::sync::Once;

/// A client to be built: never through a proxy of the environment, and with ring for TLS, which rustls must be given once.
pub fn client() -> reqwest::ClientBuilder {
    static GIVEN: Once = Once::new();
    // Somebody may have given it another one, which serves as well.
    GIVEN.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().no_proxy()
}

/// An error with everything behind it, in one line.
pub fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
