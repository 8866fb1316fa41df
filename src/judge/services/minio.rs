//! MinIO: an S3 server. Its buckets are made through its API, when it answers.

use super::{Clock, Instances, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Site, Starts, context};
use crate::credentials::Credentials;

/// Where it serves S3, with TLS alone.
pub const S3_PORT: u16 = 9000;
/// Where its data is, in the service's container.
pub const DATA: &str = "/var/lib/minio/data";
/// Where it looks for its certificate and its key.
pub const CERTIFICATES: &str = "/etc/minio/certificates";

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Minio,
    summary: "keeps objects in buckets, as S3 does",
    placed_by_topologies: true,
    image: Recipe {
        name: "minio",
        files: context!("minio": "Dockerfile", "Dockerfile.pulled", "entrypoint.sh"),
        pulled: Some("MINIO_IMAGE"),
        packages: &[],
        on: None,
        build_rank: 9,
    },
    ports: &[Port::watched(S3_PORT, "S3")],
    processes: &[Process::main("MinIO", "^/usr/local/bin/minio server ")],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of minio is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 9,
    health: None,
    role: Role::Buckets,
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("there is one on a host, and it has no settings"),
    rules: |_, _| Vec::new(),
    render,
};

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let certificate = credentials.certificates.get(site.host).cloned().unwrap_or_default();
    let environment = format!(
        "MINIO_ROOT_USER={}\nMINIO_ROOT_PASSWORD={}\nMINIO_BROWSER=off\n",
        credentials.bucket_key_id, credentials.bucket_secret
    );
    let file = |name: &str, content: String| (format!("{CERTIFICATES}/{name}"), content);
    Rendered {
        command: ["--certs-dir", CERTIFICATES, "--address", &format!(":{S3_PORT}"), DATA].map(str::to_owned).into(),
        files: vec![
            ("/etc/minio/environment".to_owned(), environment),
            file("public.crt", certificate.certificate),
            file("private.key", certificate.key),
            // By it a server trusts another one that it replicates to.
            file("CAs/ca.crt", credentials.authority.certificate.clone()),
        ],
        ..Rendered::default()
    }
}
