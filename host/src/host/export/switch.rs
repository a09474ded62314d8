//! Has read models, aggregates and groups go on from the copy.
//!
//! Everything is looked at before anything is changed. Then the data folder says that its log is being moved, so that nothing
//! runs on it until that is done; each database is moved in one transaction of its own, and remembers it. So a switch that was
//! killed is done again, and comes to the same.

use super::copy::client;
use super::error::{Error, SOURCE, TARGET, of};
use super::map::{self, Map};
use crate::data_dir::{DataDir, Moved};
use crate::log::{self, Assignment, Groups};
use crate::{aggregate_store, read_model};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

/// What was moved.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The cluster that is the log now.
    pub cluster: String,
    /// Its brokers, as they are configured.
    pub servers: String,
    /// Databases of read models, all generations, and of aggregates.
    pub databases: Vec<PathBuf>,
    /// Consumer groups whose offsets were taken along.
    pub groups: Vec<String>,
    /// What was left behind.
    pub remarks: Vec<String>,
}

/// Moves everything that reads the data folder's own log, at `source`, to the configured cluster, `target`. Whoever calls
/// holds the data folder's lock.
///
/// # Errors
/// See [`Error`]. Nothing was changed, unless something could not be read or written half-way: then the same again goes on.
pub fn run(data: &DataDir, source: &log::Options, target: &log::Options) -> Result<Report, Error> {
    let servers = target.servers().filter(|servers| !servers.trim().is_empty()).ok_or(Error::NoTarget)?;
    let cluster = client(target, TARGET)?.cluster_id().map_err(of(TARGET))?;
    let cluster = cluster.ok_or(Error::Nameless { which: TARGET })?;
    if let Some(moved) = data.moved()?.filter(|moved| moved.is_done) {
        return Err(Error::Switched { cluster: moved.cluster });
    }
    let servers = servers.to_owned();
    let map = Map::read(&map::path(&data.exports(), &cluster))?
        .ok_or_else(|| Error::NotExported { servers: servers.clone(), cluster: cluster.clone() })?;
    if !map.between.embedded {
        return Err(Error::NotEmbedded { cluster });
    }
    let uncovered = |what: String| Error::Uncovered { what, servers: servers.clone() };
    if !map.is_checked() {
        return Err(uncovered("the export has not come to its end".into()));
    }
    let mut remarks = Vec::new();
    for topic in client(source, SOURCE)?.topics().map_err(of(SOURCE))? {
        for held in topic.partitions.iter().filter(|held| !topic.internal && held.high > held.low) {
            let (name, id) = (&topic.name, held.id);
            match map.partitions.get(&(name.clone(), id)) {
                None => remarks.push(format!("{name}/{id} was not exported: it stays in the old log")),
                Some(known) if held.high > known.end() => {
                    let new = format!(
                        "{name}/{id} has gone on to {} since it was exported up to {}",
                        held.high,
                        known.end()
                    );
                    return Err(uncovered(new));
                }
                Some(_) => {}
            }
        }
    }
    // Where nothing was copied of a partition, nothing was read of it.
    let to =
        |topic: &str, partition: i32, offset: i64| match map.partitions.get(&(topic.to_owned(), partition)) {
            Some(known) => known.target(offset),
            None => (offset == 0).then_some(0),
        };
    let read_models = generations(data);
    let aggregates: Vec<PathBuf> = data
        .aggregate_types()
        .iter()
        .map(|name| data.aggregates(name))
        .filter(|path| path.exists())
        .collect();
    let relocate = |dry: bool| -> Result<(), Error> {
        let lacking = |path: &PathBuf, (topic, partition, offset): (String, i32, i64)| {
            uncovered(format!(
                "{} has read {topic}/{partition} up to {offset}, which is not in the copy",
                path.display()
            ))
        };
        for path in &read_models {
            if let Some(at) = read_model::relocate(path, &cluster, &to, dry)?.uncovered {
                return Err(lacking(path, at));
            }
        }
        for path in &aggregates {
            if let Some(at) = aggregate_store::relocate(path, &cluster, &to, dry)? {
                return Err(lacking(path, at));
            }
        }
        Ok(())
    };
    relocate(true)?;
    let moved = Moved::to(&cluster, &servers);
    data.set_moved(&moved)?;
    let groups = groups(source, target, &to, &mut remarks)?;
    relocate(false)?;
    data.set_moved(&Moved { is_done: true, ..moved })?;
    let databases = read_models.into_iter().chain(aggregates).collect();
    Ok(Report { cluster, servers, databases, groups, remarks })
}

/// Has the groups of the log go on where they were, in the copy.
fn groups(
    source: &log::Options,
    target: &log::Options,
    to: &dyn Fn(&str, i32, i64) -> Option<i64>,
    remarks: &mut Vec<String>,
) -> Result<Vec<String>, Error> {
    let reading = Groups::new(source).map_err(of(SOURCE))?;
    let writing = Groups::new(target).map_err(of(TARGET))?;
    let mut moved = Vec::new();
    for group in reading.list(None).map_err(of(SOURCE))? {
        let mut next = Vec::new();
        for read in reading.read(&group.name).map_err(of(SOURCE))? {
            match to(&read.topic, read.partition, read.committed) {
                Some(next_offset) => {
                    next.push(Assignment { topic: read.topic, partition: read.partition, next_offset });
                }
                None => remarks.push(format!(
                    "group {}: {}/{}@{} is not in the copy: it begins there anew",
                    group.name, read.topic, read.partition, read.committed
                )),
            }
        }
        if !next.is_empty() {
            writing.commit(&group.name, &next).map_err(of(TARGET))?;
            moved.push(group.name);
        }
    }
    Ok(moved)
}

/// Every generation of every read model: one may be gone back to.
fn generations(data: &DataDir) -> Vec<PathBuf> {
    let inside =
        |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_names = inside(data.read_model_folder()).filter(|path| path.is_dir());
    let mut paths: Vec<PathBuf> = of_names
        .flat_map(inside)
        .filter(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "db"))
        .collect();
    paths.sort();
    paths
}
