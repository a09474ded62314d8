//! The read model of a version history: churn per file, work per author and month, who shares files with whom.
//!
//! Every event adds to counters, so the projection never reads, and what it adds to the same row within a batch
//! reaches the database once.

pub mod calendar;
pub mod events;

use calendar::Month;
use events::{Commit, FileChange};
use lantern_sdk::{Db, Envelope, Event, Manifest, Projection, Result, Table};

static FILES: Table = Table::new(
    "files",
    &["repo", "path"],
    &["commits", "added", "deleted", "binary_changes", "last_change_ms"],
);
static AUTHOR_MONTHS: Table =
    Table::new("author_months", &["author", "month"], &["commits", "merges", "files", "added", "deleted"]);
static REPO_MONTHS: Table = Table::new("repo_months", &["repo", "month"], &["commits", "merges"]);
static FILE_AUTHORS: Table = Table::new("file_authors", &["repo", "path", "author"], &["commits"]);

/// The projection.
#[derive(Default)]
pub struct Commits;

impl Projection for Commits {
    fn manifest() -> Manifest {
        Manifest::new("commits")
            .version(env!("CARGO_PKG_VERSION"))
            .description("Churn, work and collaboration in version histories")
            .topic(events::TOPIC)
            .types(events::TYPES)
            .envelope(Envelope::JsonField { field: "type".into() })
            .schema(
                "CREATE TABLE files (
                    repo           TEXT NOT NULL,
                    path           TEXT NOT NULL,
                    commits        INTEGER NOT NULL,
                    added          INTEGER NOT NULL DEFAULT 0,
                    deleted        INTEGER NOT NULL DEFAULT 0,
                    binary_changes INTEGER NOT NULL DEFAULT 0,
                    last_change_ms INTEGER NOT NULL,
                    PRIMARY KEY (repo, path)
                )",
            )
            .schema(
                "CREATE TABLE author_months (
                    author  TEXT NOT NULL,
                    month   TEXT NOT NULL,
                    commits INTEGER NOT NULL DEFAULT 0,
                    merges  INTEGER NOT NULL DEFAULT 0,
                    files   INTEGER NOT NULL,
                    added   INTEGER NOT NULL,
                    deleted INTEGER NOT NULL,
                    PRIMARY KEY (author, month)
                )",
            )
            .schema(
                "CREATE TABLE repo_months (
                    repo    TEXT NOT NULL,
                    month   TEXT NOT NULL,
                    commits INTEGER NOT NULL DEFAULT 0,
                    merges  INTEGER NOT NULL DEFAULT 0,
                    PRIMARY KEY (repo, month)
                )",
            )
            .schema(
                "CREATE TABLE file_authors (
                    repo    TEXT NOT NULL,
                    path    TEXT NOT NULL,
                    author  TEXT NOT NULL,
                    commits INTEGER NOT NULL,
                    PRIMARY KEY (repo, path, author)
                ) WITHOUT ROWID",
            )
            .schema("CREATE INDEX file_authors_by_author ON file_authors (author)")
            // Pairs are found when they are asked for: to keep them as rows would take a read and many writes per
            // change of a file that many people touch.
            .schema(
                "CREATE VIEW collaborators AS
                 SELECT mine.author AS author, theirs.author AS other, count(*) AS shared_files
                 FROM file_authors AS mine JOIN file_authors AS theirs USING (repo, path)
                 WHERE mine.author <> theirs.author
                 GROUP BY mine.author, theirs.author",
            )
            .query(
                "churn",
                "SELECT path, commits, added, deleted, datetime(last_change_ms / 1000, 'unixepoch') AS last_change
                 FROM files WHERE repo = :repo ORDER BY added + deleted DESC, path LIMIT 20",
                "The files of a repository that change most",
            )
            .query(
                "author",
                "SELECT month, commits, merges, files, added, deleted
                 FROM author_months WHERE author = :author ORDER BY month",
                "An author's work, month by month",
            )
            .query(
                "collaborators",
                "SELECT other, shared_files FROM collaborators
                 WHERE author = :author ORDER BY shared_files DESC, other LIMIT 20",
                "Who shares most files with an author",
            )
            .query(
                "months",
                "SELECT month, commits, merges FROM repo_months WHERE repo = :repo ORDER BY month",
                "A repository's commits, month by month",
            )
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        let (commit, kind) = match event.decode()? {
            Commit::CommitLanded(commit) => (commit, "commits"),
            Commit::CommitMerged(commit) => (commit, "merges"),
        };
        let month = Month::of(commit.time_ms).to_string();
        let (mut added, mut deleted) = (0, 0);
        for file in &commit.files {
            let FileChange { path, .. } = file;
            let row = db
                .upsert(&FILES, (&*commit.repo, path))
                .add("commits", 1)
                .max("last_change_ms", commit.time_ms);
            match (file.added, file.deleted) {
                (Some(plus), Some(minus)) => {
                    row.add("added", plus).add("deleted", minus);
                    added += i64::from(plus);
                    deleted += i64::from(minus);
                }
                _ => {
                    row.add("binary_changes", 1);
                }
            }
            db.upsert(&FILE_AUTHORS, (&*commit.repo, path, &*commit.author)).add("commits", 1);
        }
        db.upsert(&AUTHOR_MONTHS, (&*commit.author, &month))
            .add(kind, 1)
            .add("files", commit.files.len() as u32)
            .add("added", added)
            .add("deleted", deleted);
        db.upsert(&REPO_MONTHS, (&*commit.repo, &month)).add(kind, 1);
        Ok(())
    }
}

lantern_sdk::projection!(Commits);
