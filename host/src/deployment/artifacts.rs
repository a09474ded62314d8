//! What was deployed, kept by digest: a rollback and a replay need it long after its file is gone.

use super::{Artifact, Error, Inner};
use crate::data_dir;
use crate::plugin::{self, Plugin};
use crate::read_model;
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
        let folder = self.data.artifacts();
        let bytes = plugin::read_kept(&folder, digest)?;
        let origin = folder.join(format!("{digest}.wasm")).display().to_string();
        let plugin = Plugin::load(&self.engine, &bytes, &origin, &self.config.limits)?;
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

/// Keeps an artifact in a folder, if it is not there as it should be; whole or not at all.
pub(super) fn write(folder: &Path, digest: &str, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(format!("{digest}.wasm"));
    if std::fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    // The catalog will refer to it: its entry must survive a crash of the machine too.
    read_model::sync_folder(&path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Digest;

    // Rows are proved by the plugin that wrote them: another one in its place would prove nothing, and say so of the rows.
    #[test]
    fn a_kept_plugin_that_is_damaged_is_refused_by_its_name_and_kept_again_when_it_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, digest) = (b"a plugin", Digest::of(b"a plugin").to_string());
        write(folder.path(), &digest, bytes).unwrap();
        assert_eq!(plugin::read_kept(folder.path(), &digest).unwrap(), bytes);
        let path = folder.path().join(format!("{digest}.wasm"));
        for damaged in [&b"another"[..], b"a plug", b""] {
            std::fs::write(&path, damaged).unwrap();
            let refused = plugin::read_kept(folder.path(), &digest).unwrap_err().to_string();
            assert!(refused.contains(&digest) && refused.contains("deploy it anew"), "{refused}");
            write(folder.path(), &digest, bytes).unwrap();
            assert_eq!(plugin::read_kept(folder.path(), &digest).unwrap(), bytes);
        }
    }
}
