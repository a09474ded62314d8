//! Plugins that come as files: what is new in one, and what one that is gone leaves behind.

use super::deploy::rejected;
use super::report::{Done, Outcome};
use super::{Action, Artifact, Deployments, Error};
use crate::plugin::{self, Digest, Plugin};
use std::path::Path;
use std::sync::Arc;

/// What a plugin's file holds.
pub(super) enum Found {
    /// What was taken up from it before.
    Before(Outcome),
    /// A plugin that is to be deployed.
    New(Arc<Plugin>),
}

impl Deployments {
    /// A plugin's file is there, or is another than before: deploys it, unless this very content was taken
    /// up from this path already (somebody may have rolled it back since).
    ///
    /// # Errors
    /// As [`Deployments::deploy`].
    pub async fn file(&self, path: &Path) -> Result<Outcome, Error> {
        let (this, path) = (self.clone(), path.to_owned());
        self.to_its_end(async move { this.place_found(this.find(&path).await?).await }).await
    }

    /// Looks at a file, and loads what is new in it.
    pub(super) async fn find(&self, path: &Path) -> Result<Found, Error> {
        let origin = path.display().to_string();
        let read = path.to_owned();
        let bytes = match self.blocking(move |_| Ok(plugin::read(&read)?)).await {
            Ok(bytes) => bytes,
            Err(error) => {
                self.inner.record(&rejected("", "", 0), &origin, Some(&error.to_string()))?;
                return Err(error);
            }
        };
        let digest = Digest::of(&bytes).to_string();
        if let Some((taken, name)) = self.inner.catalog.file(&origin)?
            && taken == digest
            && let Some(generation) = self.inner.generation(&name)
        {
            let result = Done::Unchanged;
            return Ok(Found::Before(Outcome { name, digest, result, generation, pause_us: None }));
        }
        Ok(Found::New(self.load(Artifact { bytes, origin }, &digest, None).await?))
    }

    /// Puts what a file holds in its place.
    pub(super) async fn place_found(&self, found: Found) -> Result<Outcome, Error> {
        match found {
            Found::Before(outcome) => Ok(outcome),
            Found::New(plugin) => self.place(&plugin, false, Some(&plugin.origin)).await,
        }
    }

    /// Refuses a second file with a plugin of the same name, which would be in the place of the first.
    pub(super) fn refuse_twins(&self, plugin: &Plugin, is_running: bool) -> Result<(), Error> {
        let origin = Path::new(&plugin.origin);
        if !is_running || !origin.exists() {
            return Ok(());
        }
        for (other, name) in self.inner.catalog.files()? {
            if name != plugin.name || other == plugin.origin || !Path::new(&other).exists() {
                continue;
            }
            // The same content twice is no contradiction.
            let taken = self.inner.catalog.file(&other)?.map(|(digest, _)| digest);
            if taken != Some(plugin.digest.to_string()) {
                return Err(Error::Twice { origin: plugin.origin.clone(), name, other });
            }
        }
        Ok(())
    }

    /// A plugin's file was taken out of the plugins folder: its projection stops, its read model stays.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub async fn file_removed(&self, path: &Path) -> Result<(), Error> {
        let origin = path.display().to_string();
        let Some((_, name)) = self.inner.catalog.file(&origin)? else { return Ok(()) };
        self.inner.catalog.set_file(&origin, None)?;
        let others = self.inner.catalog.files()?;
        if others.iter().any(|(other, named)| *named == name && Path::new(other).exists()) {
            return Ok(());
        }
        match self.act(&name, Action::Remove { purge: false }, &format!("{origin} was removed")).await {
            Ok(_) | Err(Error::Unknown { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
