//! Images of the team's own: one that is in the engine or can be pulled is held to the contract, and gets what pgquake needs on top
//! of it. The result is tagged by the image's id, so it is made once.

use std::collections::{BTreeMap, HashMap};

use bollard::Docker;

use super::{
    ImageError, ImageProgress, Progress, Recipe, Stage, VERSION_MARK, VERSIONS_FILE, base, build, complete, context,
    failed_to_pack, lock,
    recipe::{Fingerprint, ON_OWN_IMAGE},
    versions_of, versions_told,
};

/// Marks a line in which a contract names what an image lacks.
const LACKS: &str = "pgquake-lacks:";

/// An image of the team's own, and what is put on top of it.
#[derive(Debug, Clone, Copy)]
pub struct OwnImage<'a> {
    pub recipe: &'static Recipe,
    /// As the engine finds it, `registry/our-patroni:1.2`.
    pub reference: &'a str,
    /// Which PostgreSQL of it runs, where it is that of a node.
    pub postgresql_major: u32,
    /// A directory that must be no volume of the image's, for it is moved as a whole.
    pub moved: Option<&'static str>,
}

/// Makes sure that it is there with what pgquake needs; its tag, and the versions of what it runs.
///
/// # Errors
/// It is nowhere, or it lacks something that the contract asks for, all of which is named; or the engine failed.
pub async fn ensure_own(
    docker: &Docker,
    own: OwnImage<'_>,
    progress: Progress<'_>,
) -> Result<(String, BTreeMap<String, String>), ImageError> {
    let id = found(docker, own, progress).await?;
    let tag = own.tag(&id);
    if let Some(versions) = versions_of(docker, &tag).await? {
        return Ok((tag, versions));
    }
    let _lock = lock::acquire(&lock::default_path(), || {}).await?;
    let versions = own.build(docker, &id, &tag, progress).await?;
    progress(ImageProgress { image: own.recipe.name.into(), stage: Stage::Ready { built: true }, line: tag.clone() });
    Ok((tag, versions))
}

/// Its id, once it is in the engine and no volume of it is in the way.
async fn found(docker: &Docker, own: OwnImage<'_>, progress: Progress<'_>) -> Result<String, ImageError> {
    if super::id(docker, own.reference).await?.is_none()
        && let Err(pull) = base::pull(docker, own.recipe.name, own.reference, progress).await
    {
        return Err(ImageError::NoOwn { image: own.reference.to_owned(), pull });
    }
    let failed = |error| ImageError::from_engine(format!("inspect image {}", own.reference), &error);
    let image = docker.inspect_image(own.reference).await.map_err(failed)?;
    let volumes = image.config.and_then(|config| config.volumes).unwrap_or_default();
    if let Some(volume) = own.moved.and_then(|moved| volumes.into_iter().find(|volume| overlap(volume, moved))) {
        return Err(
            own.lacks(format!("- it declares the volume {volume}, and what lies there has to be moved as a whole"))
        );
    }
    image
        .id
        .ok_or_else(|| ImageError::NoOwn { image: own.reference.to_owned(), pull: "the engine names no id".to_owned() })
}

/// Whether one path is the other, or lies below it.
fn overlap(one: &str, other: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(one, other) || below(other, one)
}

impl OwnImage<'_> {
    fn tag(&self, id: &str) -> String {
        let mut hash = Fingerprint::new();
        hash.field(id.as_bytes());
        hash.field(self.postgresql_major.to_string().as_bytes());
        for file in self.recipe.files {
            hash.field(file.path.as_bytes());
            hash.field(file.bytes);
        }
        format!("pgquake/{}-own:{}", self.recipe.name, hash.finish())
    }

    fn lacks(&self, missing: String) -> ImageError {
        ImageError::Contract { image: self.reference.to_owned(), service: self.recipe.name, missing }
    }

    async fn build(
        &self,
        docker: &Docker,
        id: &str,
        tag: &str,
        progress: Progress<'_>,
    ) -> Result<BTreeMap<String, String>, ImageError> {
        let major = self.postgresql_major.to_string();
        let mut arguments = HashMap::from([("OWN".to_owned(), id.to_owned())]);
        let dockerfile = self.recipe.files.iter().find(|file| file.path == ON_OWN_IMAGE);
        if dockerfile.is_some_and(|file| String::from_utf8_lossy(file.bytes).contains("ARG POSTGRES_MAJOR")) {
            arguments.insert("POSTGRES_MAJOR".to_owned(), major);
        }
        let order = build::Order {
            image: self.reference.to_owned(),
            dockerfile: ON_OWN_IMAGE.to_owned(),
            archive: context::archive(self.recipe, &[]).map_err(|error| failed_to_pack(self.reference, &error))?,
            arguments,
            ..Default::default()
        };
        let built = build::run(docker, order, progress).await.map_err(|error| self.explained(error))?.id;
        let read = format!("FROM {built}\nUSER 0:0\nRUN sed 's/^/{VERSION_MARK} /' {VERSIONS_FILE}\n");
        let mut versions = versions_told(docker, self.reference, &read).await?;
        versions.insert(format!("image of {}", self.recipe.name), format!("{} ({})", self.reference, short(id)));
        complete(docker, self.reference, self.recipe.name, &built, tag, &versions).await?;
        Ok(versions)
    }

    /// A build that ended at the contract, in the contract's words.
    fn explained(&self, error: ImageError) -> ImageError {
        let ImageError::Build { cause, tail, .. } = &error else { return error };
        let named: Vec<String> =
            tail.lines().filter_map(|line| Some(format!("- {}", line.strip_prefix(LACKS)?.trim()))).collect();
        let has_no_shell =
            [cause.as_str(), tail].iter().any(|text| text.contains("/bin/sh") && text.contains("no such file"));
        match named.is_empty() {
            false => self.lacks(named.join("\n")),
            true if has_no_shell => self.lacks("- a shell at /bin/sh".to_owned()),
            true => error,
        }
    }
}

/// The first digits of an id, as people write it.
fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{ServiceKind, service};

    fn own() -> OwnImage<'static> {
        let recipe = &service(ServiceKind::Patroni).image;
        OwnImage { recipe, reference: "registry/ours:1", postgresql_major: 17, moved: Some("/var/lib/postgresql/data") }
    }

    #[test]
    fn all_that_an_image_lacks_is_named_and_nothing_else() {
        let tail =
            "Step 6/14 : RUN /bin/sh contract.sh 17\npgquake-lacks: a user called postgres\npgquake-lacks: psycopg\n";
        let build = |tail: &str| ImageError::Build {
            image: "ours".to_owned(),
            cause: "it returned 1".to_owned(),
            tail: tail.to_owned(),
            remedy: "",
        };
        let told = own().explained(build(tail)).to_string();
        assert!(told.contains("registry/ours:1") && told.contains("- a user called postgres\n- psycopg"), "{told}");
        assert!(matches!(own().explained(build("initdb: error")), ImageError::Build { .. }));
        let told = own().explained(build("exec: \"/bin/sh\": stat /bin/sh: no such file or directory")).to_string();
        assert!(told.contains("a shell at /bin/sh"), "{told}");
    }

    #[test]
    fn a_volume_above_or_below_what_is_moved_is_in_the_way() {
        for (volume, is_in_the_way) in [
            ("/var/lib/postgresql/data", true),
            ("/var/lib/postgresql/", true),
            ("/var/lib/postgresql/data/pg_wal", true),
            ("/var/lib/postgresql/database", false),
            ("/backup", false),
        ] {
            assert_eq!(overlap(volume, "/var/lib/postgresql/data"), is_in_the_way, "{volume}");
        }
    }

    #[test]
    fn another_image_or_version_has_another_tag() {
        let other = OwnImage { postgresql_major: 16, ..own() };
        assert_eq!(own().tag("sha256:1"), own().tag("sha256:1"));
        assert!(own().tag("sha256:1") != own().tag("sha256:2") && own().tag("sha256:1") != other.tag("sha256:1"));
    }
}
