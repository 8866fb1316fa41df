//! The tar archive that carries a build context to the engine.

use std::io;

use super::recipe::Recipe;

/// Archive of a recipe's files, and of `extra` ones made at build time (path and content).
pub(super) fn archive(recipe: &Recipe, extra: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in recipe.files {
        append(&mut tar, file.path, file.mode(), file.bytes)?;
    }
    for (path, bytes) in extra {
        append(&mut tar, path, 0o644, bytes)?;
    }
    tar.into_inner()
}

/// Archive of a context that is nothing but a Dockerfile.
pub(super) fn archive_of_dockerfile(dockerfile: &str) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "Dockerfile", 0o644, dockerfile.as_bytes())?;
    tar.into_inner()
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    // A fixed time: the same context is the same archive wherever and whenever it is made.
    header.set_mtime(0);
    tar.append_data(&mut header, path, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::recipe::ImageKind;
    use super::*;
    use crate::services::ServiceKind;
    use std::collections::BTreeMap;
    use std::io::Read;

    #[test]
    fn scripts_are_executable_and_nothing_else_is() {
        let archive =
            archive(ImageKind::of(ServiceKind::Patroni).recipe(), &[("host-ca.crt", b"certificate")]).unwrap();
        let mut tar = tar::Archive::new(archive.as_slice());
        let mut modes = BTreeMap::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert!(!content.is_empty(), "{path} is empty");
            modes.insert(path, entry.header().mode().unwrap());
        }
        let expected = [
            ("Dockerfile", 0o644),
            ("Dockerfile.own", 0o644),
            ("contract.sh", 0o755),
            ("entrypoint.sh", 0o755),
            ("first-start/sitecustomize.py", 0o644),
            ("host-ca.crt", 0o644),
            ("no-main-cluster.conf", 0o644),
            ("restore-prepared.sh", 0o755),
        ];
        assert_eq!(modes, expected.map(|(path, mode)| (path.to_owned(), mode)).into());
    }

    #[test]
    fn the_same_context_gives_the_same_bytes() {
        let recipe = ImageKind::HOLDER.recipe();
        assert_eq!(archive(recipe, &[]).unwrap(), archive(recipe, &[]).unwrap());
    }
}
