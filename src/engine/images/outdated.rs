//! Images that this version of pgquake has no use for: each change of `images/` leaves one behind.

use std::collections::{BTreeSet, HashMap};

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{ListImagesOptions, RemoveImageOptions},
};

use super::{ImageError, ImageKind, KIND_LABEL, lock, recipe};

/// What was removed, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedImages {
    /// Tags that are gone.
    pub tags: Vec<String>,
    /// Tags that a container still uses.
    pub in_use: Vec<String>,
}

/// Removes every image that pgquake has made, but those of this version. Images that a container uses stay.
///
/// # Errors
/// [`ImageError`] if the engine can't be asked, or refuses for another reason.
pub async fn remove_outdated(docker: &Docker) -> Result<RemovedImages, ImageError> {
    // A build in progress must keep its base layers.
    let _lock = lock::acquire(&lock::default_path(), || {}).await?;
    let failed = |action: &str, error: &Error| ImageError::Engine { action: action.into(), cause: error.to_string() };
    let filters = HashMap::from([("label".to_owned(), vec![KIND_LABEL.to_owned()])]);
    let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
    let made = docker.list_images(Some(options)).await.map_err(|error| failed("list images", &error))?;
    let mut removed = RemovedImages::default();
    for tag in outdated(made.into_iter().flat_map(|image| image.repo_tags)) {
        match docker.remove_image(&tag, None::<RemoveImageOptions>, None).await {
            Ok(_) => removed.tags.push(tag),
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => removed.in_use.push(tag),
            // Somebody else was faster.
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(failed(&format!("remove the image {tag}"), &error)),
        }
    }
    Ok(removed)
}

/// Those of pgquake's tags that this version would not make.
fn outdated(tags: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut current: BTreeSet<String> = ImageKind::all().into_iter().map(ImageKind::tag).collect();
    current.extend([recipe::base_tag(), recipe::rootfs_tag()]);
    tags.filter(|tag| tag.starts_with("pgquake/") && !current.contains(tag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::ServiceKind;

    #[test]
    fn only_pgquake_s_own_tags_of_other_versions_are_outdated() {
        let tags = [
            ImageKind::of(ServiceKind::Patroni).tag(),
            "pgquake/patroni:0123".to_owned(),
            "debian:trixie-slim".to_owned(),
        ];
        let found: Vec<String> = outdated(tags.into_iter()).into_iter().collect();
        assert_eq!(found, ["pgquake/patroni:0123"]);
        assert!(outdated([recipe::base_tag(), recipe::rootfs_tag()].into_iter()).is_empty());
    }
}
