//! What was deployed, kept by digest: a rollback and a replay need it long after its file is gone.

use super::{Artifact, Error, Inner};
use crate::data_dir;
use crate::plugin::{self, Plugin};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

impl Inner {
    /// Compiles an artifact and keeps it. Blocks for as long as the compiler takes.
    pub(super) fn load(&self, artifact: &Artifact) -> Result<Arc<Plugin>, Error> {
        let Artifact { bytes, origin } = artifact;
        let plugin = Plugin::load(&self.engine, bytes, origin, &self.config.limits)?;
        self.keep(&plugin, bytes)?;
        Ok(Arc::new(plugin))
    }

    /// The plugin of a digest that was deployed before. Blocks.
    pub(super) fn load_kept(&self, digest: &str) -> Result<Arc<Plugin>, Error> {
        let path = self.data.artifacts().join(format!("{digest}.wasm"));
        let bytes = plugin::read(&path)?;
        let plugin = Plugin::load(&self.engine, &bytes, &path.display().to_string(), &self.config.limits)?;
        Ok(Arc::new(plugin))
    }

    fn keep(&self, plugin: &Plugin, bytes: &[u8]) -> Result<(), Error> {
        let folder = self.data.artifacts();
        self.data.create(&folder)?;
        let digest = plugin.digest.to_string();
        write(&folder, &digest, bytes)
            .map_err(|source| data_dir::Error::Io { path: folder.join(digest), source }.into())
    }
}

/// Keeps an artifact in a folder, if it is not there; whole or not at all.
pub(super) fn write(folder: &Path, digest: &str, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(format!("{digest}.wasm"));
    if path.exists() {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map(drop).map_err(|error| error.error)
}
