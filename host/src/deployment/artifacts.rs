//! What was deployed, kept by digest: a rollback and a replay need it long after its file is gone.

use super::{Artifact, Error, Inner};
use crate::data_dir;
use crate::plugin::{self, Plugin};
use std::io::Write as _;
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
        let path = folder.join(format!("{}.wasm", plugin.digest));
        if path.exists() {
            return Ok(());
        }
        let written = tempfile::NamedTempFile::new_in(&folder)
            .and_then(|mut file| file.write_all(bytes).map(|()| file))
            .and_then(|file| file.as_file().sync_all().map(|()| file))
            .and_then(|file| file.persist(&path).map_err(|error| error.error));
        written.map(drop).map_err(|source| data_dir::Error::Io { path, source }.into())
    }
}
