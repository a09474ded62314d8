//! Connections to read models that stay open between two queries, by generation.

use super::Problem;
use crate::data_dir::DataDir;
use crate::read_model::{Error, Reader};
use axum::http::StatusCode;
use lantern_contract::manifest::check_name;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most that stay open while nobody asks.
const IDLE_MAX: usize = 16;
/// How long each of them does.
const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// How often the live generation is looked up anew when it was deleted before it could be opened.
const TRIES_MAX: usize = 3;

/// Readers that nobody uses now. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    data: Arc<DataDir>,
    value_bytes_max: usize,
    idle: Arc<Mutex<Vec<Open>>>,
}

/// A reader of one generation.
pub(super) struct Open {
    pub(super) reader: Reader,
    pub(super) generation: u32,
    name: String,
    since: Instant,
}

impl Readers {
    pub(super) fn new(data: Arc<DataDir>, value_bytes_max: usize) -> Self {
        Readers { data, value_bytes_max, idle: Arc::default() }
    }

    /// One that is open on the generation that is live now. Looked up for every query, so that a promotion is seen at
    /// once.
    pub(super) fn take(&self, name: &str) -> Option<Open> {
        let (_, generation) = self.live(name)?;
        let mut idle = self.lock();
        // The one that was used last has the most in its cache.
        let at = idle.iter().rposition(|open| open.generation == generation && open.name == name)?;
        Some(idle.remove(at))
    }

    /// Opens another one.
    pub(super) fn open(&self, name: &str) -> Result<Open, Problem> {
        let mut tried = 0;
        loop {
            let (path, generation) = self.live(name).ok_or_else(|| self.unknown(name))?;
            tried += 1;
            match Reader::open_for_strangers(&path, self.value_bytes_max) {
                Ok(reader) => {
                    return Ok(Open { reader, generation, name: name.to_owned(), since: Instant::now() });
                }
                // Promoted and cleaned up between the two steps.
                Err(_) if tried < TRIES_MAX && self.live(name).is_some_and(|(now, _)| now != path) => {}
                Err(_) if !path.exists() => return Err(self.unknown(name)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Keeps one for the next query.
    pub(super) fn put(&self, mut open: Open) {
        if open.reader.is_within() {
            return;
        }
        open.since = Instant::now();
        let mut idle = self.lock();
        let oldest = (idle.len() >= IDLE_MAX).then(|| idle.remove(0));
        idle.push(open);
        drop(idle);
        // Closed without the lock.
        drop(oldest);
    }

    /// Closes those that nobody used for a while, or whose generation is no longer live: an open file of one that was
    /// deleted keeps its space.
    pub(super) fn sweep(&self) {
        let (kept, closed) = std::mem::take(&mut *self.lock()).into_iter().partition::<Vec<_>, _>(|open| {
            let is_live = self.live(&open.name).is_some_and(|(_, live)| live == open.generation);
            is_live && open.since.elapsed() < IDLE_TIME_MAX
        });
        self.lock().splice(0..0, kept);
        drop(closed);
    }

    /// How often to [`Readers::sweep`].
    pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(5);

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file behind the link of a read model, and its generation.
    fn live(&self, name: &str) -> Option<(PathBuf, u32)> {
        // A name that is none could lead out of the folder.
        check_name(name).ok()?;
        let target = std::fs::read_link(self.data.read_model(name)).ok()?;
        let generation = target.file_stem()?.to_str()?.parse().ok()?;
        Some((self.data.generation(name, generation), generation))
    }

    fn unknown(&self, name: &str) -> Problem {
        let known = self.data.read_models();
        let known = if known.is_empty() { "there is none yet".into() } else { known.join(", ") };
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-read-model",
            "There is no such read model",
            format!("there is no read model {name:?}; known: {known}"),
        )
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Query(_) => {
                Problem::new(StatusCode::BAD_REQUEST, "query-refused", "The query is refused", detail)
            }
            Error::TooMuch(_) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "too-much",
                "The query answers too much",
                detail,
            ),
            error if error.is_transient() => Problem::busy(detail),
            _ => Problem::internal(detail),
        }
    }
}
