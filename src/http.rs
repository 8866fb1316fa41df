//! HTTP to published ports.

use std::sync::Once;

/// A client to be built: never through a proxy of the environment, and with ring for TLS, which rustls must be given once.
pub fn client() -> reqwest::ClientBuilder {
    static GIVEN: Once = Once::new();
    // Somebody may have given it another one, which serves as well.
    GIVEN.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().no_proxy()
}
