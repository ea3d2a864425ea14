//! Which program stands for which image.
use std::path::{Path, PathBuf};

/// Images and the programs that are run in their place. An image that is in no list runs nothing, and is ready.
#[derive(Clone, Debug, Default)]
pub struct Images(Vec<(String, PathBuf)>);

impl Images {
    /// Runs `program` for every image of this repository, whatever its tag or digest.
    #[must_use]
    pub fn with(mut self, repository: &str, program: &Path) -> Self {
        self.0.push((repository.to_owned(), program.to_owned()));
        self
    }

    pub(super) fn program(&self, image: &str) -> Option<PathBuf> {
        let repository = repository(image);
        self.0.iter().find(|(known, _)| known == repository).map(|(_, program)| program.clone())
    }
}

/// An image's name without tag and digest. A colon before the last slash belongs to a port.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_repository() {
        let images = ["a/b", "a/b:1.2", "a/b@sha256:00", "r:5000/b:1@sha256:00", "r:5000/b"];
        assert_eq!(images.map(repository), ["a/b", "a/b", "a/b", "r:5000/b", "r:5000/b"]);
    }
}
