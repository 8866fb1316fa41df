//! Images on a live engine: the first call makes sure of them, the second finds them and builds nothing.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bollard::Docker;
use pgquake::engine::images::{self, ImageKind, ImageProgress};
use pgquake::services::{ServiceKind, service};

#[tokio::test]
async fn an_image_is_built_once_and_then_found() {
    let docker = Docker::connect_with_defaults().expect("client of the Docker engine");
    let first = images::ensure(&docker, &[ImageKind::HOLDER], &|_| {}).await.expect("holder image");
    let holder = &first[&ImageKind::HOLDER];
    assert_eq!(holder.tag, ImageKind::HOLDER.tag());
    for package in ["debian", "iproute2", "nftables"] {
        let version = holder.versions.get(package).unwrap_or_else(|| panic!("no version of {package}"));
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{package} {version}");
    }

    let seen: Mutex<Vec<ImageProgress>> = Mutex::default();
    let began = Instant::now();
    let record = |progress| seen.lock().expect("no panic in progress").push(progress);
    let second = images::ensure(&docker, &[ImageKind::HOLDER, ImageKind::HOLDER], &record).await.expect("holder image");
    assert_eq!(second, first);
    assert!(seen.lock().expect("no panic in progress").is_empty(), "something was built: {seen:?}");
    // Bounds a build, which takes seconds, from a look-up, which takes a few milliseconds.
    assert!(began.elapsed() < Duration::from_secs(1), "took {:?}", began.elapsed());
    assert_eq!(images::find(&docker, ImageKind::HOLDER).await.expect("look-up").as_ref(), Some(holder));
}

#[tokio::test]
async fn every_kind_that_debian_has_builds_and_tells_its_versions() {
    let elsewhere = [ServiceKind::Minio, ServiceKind::Envoy, ServiceKind::Consul].map(ImageKind::of);
    let is_here = |kind: &ImageKind| !elsewhere.contains(kind) && !kind.has_versions();
    build(&ImageKind::all().into_iter().filter(is_here).collect::<Vec<_>>()).await;
}

fn etcd_versions() -> ImageKind {
    ImageKind::made_by(service(ServiceKind::Etcd).with_versions().expect("an image of versions"))
}

/// Those of nodes, in the order of their builds: the second stands on the first.
fn versions() -> [ImageKind; 2] {
    let node = service(ServiceKind::Patroni).node().expect("a node");
    [node.with_versions, node.with_versions_and_backups]
        .map(|recipe| ImageKind::made_by(recipe.expect("an image of versions")))
}

#[tokio::test]
#[ignore = "Patroni and two of PostgreSQL's versions come from PyPI, which not every machine reaches; .ci/nightly runs this"]
async fn the_images_of_versions_build_and_tell_them() {
    build(&versions()).await;
}

#[tokio::test]
#[ignore = "etcd is compiled for a minute, of a module that not every machine reaches; .ci/nightly runs this"]
async fn the_image_of_etcds_versions_builds_and_tells_them() {
    build(&[ImageKind::of(ServiceKind::Etcd), etcd_versions()]).await;
}

#[tokio::test]
#[ignore = "Consul is compiled for minutes; .ci/nightly runs this"]
async fn consul_builds_and_tells_its_versions() {
    build(&[ImageKind::of(ServiceKind::Consul)]).await;
}

#[tokio::test]
#[ignore = "Envoy comes from PyPI, which not every machine reaches; .ci/nightly runs this"]
async fn envoy_builds_and_tells_its_versions() {
    build(&[ImageKind::of(ServiceKind::Envoy)]).await;
}

#[tokio::test]
#[ignore = "MinIO is compiled for minutes where it can't be pulled; .ci/nightly runs this"]
async fn minio_builds_and_tells_its_versions() {
    build(&[ImageKind::of(ServiceKind::Minio)]).await;
}

async fn build(kinds: &[ImageKind]) {
    let docker = Docker::connect_with_defaults().expect("client of the Docker engine");
    let began = Instant::now();
    let show = |progress: ImageProgress| println!("{:6.1?} {progress:?}", began.elapsed());
    let images = images::ensure(&docker, kinds, &show).await.expect("all images");
    assert_eq!(images.keys().copied().collect::<Vec<_>>(), kinds);
    if let Some(patroni) = images.get(&ImageKind::of(ServiceKind::Patroni)) {
        let major = images::pinned_versions()["POSTGRES_MAJOR"];
        let server = &patroni.versions[&format!("postgresql-{major}")];
        assert!(server.starts_with(&format!("{major}.")), "{server}");
    }
    // The disk and the watchdog are pgquake's own: their version is pgquake's.
    let own = [ImageKind::DISK, ImageKind::WATCHDOG];
    for image in images.values().filter(|image| !own.contains(&image.kind)) {
        assert!(image.versions.len() >= 2, "{image:?} names no package beside Debian's release");
    }
}
