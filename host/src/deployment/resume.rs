//! After a start: takes up what the catalog, the links and the files say. The link is right about what is
//! live, whatever moment the process was killed at.

use super::deploy::rejected;
use super::file::Found;
use super::slot::{Slot, State};
use super::{Deployments, Error};
use crate::catalog::{self, Wanted};
use crate::plugin::Kind;
use crate::projection::{self, Author, Status};
use crate::read_model::Reader;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// The files that plugins were taken up from, and those that there are now.
pub(super) struct Files {
    sources: Vec<(String, String)>,
    there: Vec<String>,
}

impl Files {
    /// Whether a plugin came from files, and none of them is there.
    pub fn is_gone(&self, name: &str) -> bool {
        let mut from = self.sources.iter().filter(|(_, named)| named == name).peekable();
        from.peek().is_some() && !from.any(|(path, _)| self.there.contains(path))
    }
}

impl Deployments {
    /// Runs what ran before, then what these files hold, as [`Deployments::file`] does. What came from a file
    /// that is not among them stays stopped. Answers the files that were refused, and why.
    ///
    /// # Errors
    /// When the catalog cannot be used.
    pub async fn resume(&self, files: &[PathBuf]) -> Result<Vec<(PathBuf, Error)>, Error> {
        let there = files.iter().map(|path| path.display().to_string()).collect();
        let known_files = Files { sources: self.inner.catalog.files()?, there };
        // First: they have a log to catch up with before they answer anybody.
        self.resume_upcasters(&known_files)?;
        self.resume_handlers(&known_files).await?;
        for known in self.inner.catalog.plugins()? {
            let is_gone = known_files.is_gone(&known.name);
            let slot = self.inner.slot(&known.name)?;
            let mut state = slot.state.lock().await;
            let digest = known.digest.clone();
            if let Err(error) = self.resume_plugin(&slot, &mut state, known, is_gone).await {
                tracing::error!("{}: not running: {error}", slot.name);
                let halted = Status {
                    state: projection::State::Halted,
                    error: Some(error.to_string()),
                    ..Status::starting(&slot.name, &digest)
                };
                self.show_still(&slot, &mut state, halted)?;
            }
        }
        // So that nothing is built twice: whoever reads their topics comes after them.
        self.settle_upcasters().await?;
        let mut refused = Vec::new();
        for (path, found) in self.find_all(files).await {
            let taken = match found {
                Ok(found) => self.place_found(found).await,
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                refused.push((path, error));
            }
        }
        refused.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(refused)
    }

    /// Looks at files, as many at once as there are processors to compile them. Upcasters come first in what is answered: who reads
    /// their topics is built once then. All else stays in order: of two plugins of one name the first file's is taken, and
    /// it must be the same one at every start.
    async fn find_all(&self, files: &[PathBuf]) -> Vec<(PathBuf, Result<Found, Error>)> {
        let at_once = thread::available_parallelism().map_or(1, NonZero::get);
        let turns = Arc::new(Semaphore::new(at_once));
        let find = |path: &PathBuf| {
            let (this, turns, path) = (self.clone(), Arc::clone(&turns), path.clone());
            tokio::spawn(async move {
                let _turn = turns.acquire_owned().await;
                this.find(&path).await
            })
        };
        let finding: Vec<JoinHandle<_>> = files.iter().map(find).collect();
        let mut all = Vec::new();
        for (path, found) in files.iter().zip(finding) {
            all.push((path.clone(), found.await.unwrap_or(Err(Error::Stopping))));
        }
        all.sort_by_key(
            |(_, found)| !matches!(found, Ok(Found::New(plugin)) if plugin.kind == Kind::Upcaster),
        );
        all
    }

    async fn resume_plugin(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        mut known: catalog::Plugin,
        is_gone: bool,
    ) -> Result<(), Error> {
        let live = match state.generations.live() {
            Some(live) => live,
            None if known.wanted == Wanted::Removed => return Ok(()),
            // Its read model was moved away: it is built anew from the log.
            None => {
                let next = self.inner.next_generation(&slot.name, &state.generations)?;
                state.generations.set_live(next)?;
                known = catalog::Plugin { generation: next, fallback: None, previous: None, ..known };
                self.inner.catalog.put(&known)?;
                self.inner.catalog.set_build(&slot.name, None)?;
                next
            }
        };
        let mut build = self.inner.catalog.build(&slot.name)?;
        if known.generation != live {
            // Killed between the link and the catalog: its plugin is the one that wrote it.
            let path = state.generations.path(live);
            // One that is empty was made for the plugin that is known.
            let wrote = self.blocking(move |_| Ok(Reader::open(&path).and_then(|it| it.digest()))).await?;
            known = catalog::Plugin {
                previous: Some((known.digest.clone(), known.generation)),
                digest: wrote.ok().flatten().unwrap_or(known.digest),
                generation: live,
                fallback: None,
                ..known
            };
            self.inner.catalog.put(&known)?;
        }
        if build.as_ref().is_some_and(|build| build.generation == live) {
            self.inner.catalog.set_build(&slot.name, None)?;
            build = None;
        }
        let previous = known.previous.as_ref().map_or(0, |(_, generation)| *generation);
        let building = build.as_ref().map_or(0, |build| build.generation);
        state.generations.keep(&[live, previous, building])?;
        if is_gone {
            known.wanted = Wanted::Removed;
            self.inner.catalog.put(&known)?;
            self.inner.catalog.forget_files(&slot.name)?;
        }
        let still = watch::channel(Status::starting(&slot.name, &known.digest)).1;
        slot.change_view(|view| view.status = still);
        match known.wanted {
            Wanted::Removed => {
                let status = Status {
                    state: projection::State::Stopped,
                    ..Status::starting(&slot.name, &known.digest)
                };
                return self.show_still(slot, state, status);
            }
            Wanted::Paused => self.show_paused(slot, state)?,
            Wanted::Running => {
                let author = self.author_of(&known.digest, state.generations.path(live)).await?;
                let fallback = match known.fallback.clone() {
                    Some(digest) => self.blocking(move |inner| inner.load_kept(&digest)).await.map(Some),
                    None => Ok(None),
                };
                let fallback = fallback.unwrap_or_else(|error| {
                    tracing::error!("{}: it halts where it would be put back: {error}", slot.name);
                    None
                });
                let upcasters = author.upcasters.clone();
                let fallback = fallback.map(|plugin| Author { plugin, upcasters });
                self.run(slot, state, &author, fallback)?;
            }
        }
        if let Some(build) = build
            && let Err(error) = self.resume_build(slot, state, &build).await
        {
            // The live one runs; the catalog has it for the next start.
            tracing::error!("{}: the rebuild does not go on before the next start: {error}", slot.name);
        }
        Ok(())
    }

    /// Goes on with what was being built. Without its plugin it is given up, and the live projection is none the worse.
    async fn resume_build(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        build: &catalog::Build,
    ) -> Result<(), Error> {
        let digest = build.digest.clone();
        let plugin = match self.blocking(move |inner| inner.load_kept(&digest)).await {
            Ok(plugin) => plugin,
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                self.inner.catalog.set_build(&slot.name, None)?;
                state.generations.delete(build.generation)?;
                let given_up = rejected(&slot.name, &build.digest, build.generation);
                return self.inner.record(&given_up, "its rebuild", Some(&error.to_string()));
            }
        };
        let author = self.inner.author(&plugin);
        let path = state.generations.path(build.generation);
        // Begun with other upcasters: what is there is of no use.
        if !author.blueprint().fits(&path).unwrap_or(false) {
            state.generations.delete(build.generation)?;
        }
        self.spawn_rebuild(slot, state, &author, build).await
    }

    /// Takes note when a plugin on trial is put back, or has passed.
    pub(super) async fn watch_trial(self, slot: Arc<Slot>, mut status: watch::Receiver<Status>) {
        let mut before = Status { put_back: None, ..status.borrow().clone() };
        loop {
            let now = status.borrow_and_update().clone();
            // A whole trial may lie between two looks.
            let ended = !now.on_trial
                && (before.on_trial || before.digest != now.digest || before.put_back != now.put_back);
            before = now;
            if ended && let Err(error) = self.end_trial(&slot, &before).await {
                tracing::error!("{}: {error}", slot.name);
            }
            if status.changed().await.is_err() {
                return;
            }
        }
    }

    async fn end_trial(&self, slot: &Arc<Slot>, now: &Status) -> Result<(), Error> {
        let mut state = slot.state.lock().await;
        let Some(known) = self.inner.catalog.plugin(&slot.name)? else { return Ok(()) };
        let Some(put_back) = now.put_back.as_ref() else {
            if known.digest == now.digest && known.fallback.is_some() {
                let previous = known.before();
                self.inner.catalog.put(&catalog::Plugin { fallback: None, previous, ..known })?;
            }
            return Ok(());
        };
        // One that was put back before its deployment was answered is not in the catalog.
        if known.digest != put_back.digest {
            return Ok(());
        }
        let Some(fallback) = known.fallback.clone() else { return Ok(()) };
        let live = state.generations.live().unwrap_or(0);
        state.author = Some(self.author_of(&fallback, state.generations.path(live)).await?);
        self.inner.catalog.put(&catalog::Plugin { digest: fallback, fallback: None, ..known })?;
        self.show(slot)?;
        let outcome = rejected(&slot.name, &put_back.digest, state.generations.live().unwrap_or(0));
        self.inner.record(&outcome, "its trial", Some(&put_back.reason))
    }
}
