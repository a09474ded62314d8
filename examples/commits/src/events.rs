//! The events of version histories: topic `commits`, JSON with its type in the field `type`, keyed by `author`.

use serde::Deserialize;
use std::borrow::Cow;

/// The topic.
pub const TOPIC: &str = "commits";
/// The types, as the field `type` has them.
pub const TYPES: [&str; 2] = ["CommitLanded", "CommitMerged"];

/// An event of a history, by its type.
#[derive(Debug, Deserialize)]
pub enum Commit<'a> {
    /// A commit with one parent or none.
    #[serde(borrow)]
    CommitLanded(CommitData<'a>),
    /// A commit with two parents or more. It changes no file of its own.
    CommitMerged(CommitData<'a>),
}

/// `{"type":"CommitLanded","repo":"wasmtime","sha":"a63222cd240d9b54","author":"ac23602d8","time_ms":1513884345000,
/// "files":[{"path":"README.md","added":3,"deleted":1}]}`
#[derive(Debug, Deserialize)]
pub struct CommitData<'a> {
    /// The repository.
    #[serde(borrow)]
    pub repo: Cow<'a, str>,
    /// A pseudonym of the author.
    #[serde(borrow)]
    pub author: Cow<'a, str>,
    /// When it was committed, in Unix milliseconds. Not monotonic.
    pub time_ms: i64,
    /// What it changed.
    #[serde(borrow)]
    pub files: Vec<FileChange<'a>>,
}

/// What a commit changed in a file.
#[derive(Debug, Deserialize)]
pub struct FileChange<'a> {
    /// Where the file is in its repository.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    /// Lines added; none for a binary file.
    pub added: Option<u32>,
    /// Lines deleted; none for a binary file.
    pub deleted: Option<u32>,
}
