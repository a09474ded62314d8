//! The files of a read model: its generations, and the link that says which one is live.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::site::Site;

/// The files of a read model as anybody sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The generation that the link leads to.
    pub live: i64,
    /// All that there are.
    pub all: BTreeSet<i64>,
}

impl Files {
    /// Those of a read model that has a live generation.
    ///
    /// # Errors
    ///
    /// Where the link is not there, or does not lead to a generation's file.
    pub fn of(site: &Site, name: &str) -> Result<Self> {
        let read_models = site.data().join("read-models");
        let link = read_models.join(format!("{name}.db"));
        let target = fs::read_link(&link).with_context(|| link.display().to_string())?;
        let file = read_models.join(&target);
        ensure!(file.is_file(), "{} leads to {}, which is no file", link.display(), file.display());
        let folder = read_models.join(name);
        ensure!(file.parent() == Some(&folder), "{} leads to {}", link.display(), file.display());
        let live = number(&file).with_context(|| format!("{} is no generation", file.display()))?;
        let entries = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        let all = entries.iter().filter_map(|entry| number(&entry.path())).collect();
        Ok(Files { live, all })
    }

    /// Checks that the files are those that the host speaks of: the live generation, the one before, which is kept, and
    /// the one that is built; and no others.
    ///
    /// # Errors
    ///
    /// Names what is missing, or is there beside them.
    pub fn check(&self, plugin: &Value) -> Result<()> {
        ensure!(plugin["generation"] == self.live, "the link leads to {self:?}, the host says {plugin:#}");
        let previous = plugin["previous"]["generation"].as_i64();
        ensure!(previous.is_none_or(|previous| self.all.contains(&previous)), "{self:?} of {plugin:#}");
        let spoken_of = [Some(self.live), previous, plugin["rebuild"]["generation"].as_i64()];
        let spoken_of: BTreeSet<i64> = spoken_of.into_iter().flatten().collect();
        ensure!(self.all.is_subset(&spoken_of), "{:?} are left over: {plugin:#}", &self.all - &spoken_of);
        Ok(())
    }
}

fn number(file: &Path) -> Option<i64> {
    file.file_name()?.to_str()?.strip_suffix(".db")?.parse().ok()
}

/// Where the generations of a read model lie.
#[must_use]
pub fn folder(site: &Site, name: &str) -> PathBuf {
    site.data().join("read-models").join(name)
}
