//! The generations of a read model: their files, and the link to the live one, which is what people open.

use crate::data_dir::{self, DataDir};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The files that SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

/// The generations of one read model.
#[derive(Clone, Debug)]
pub struct Generations {
    data: DataDir,
    name: String,
}

impl Generations {
    /// Those of the read model of this name; its folder is made.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn of(data: &DataDir, name: &str) -> Result<Self, data_dir::Error> {
        data.create(&data.generations(name))?;
        Ok(Generations { data: data.clone(), name: name.to_owned() })
    }

    /// The file of a generation.
    pub fn path(&self, number: u32) -> PathBuf {
        self.data.generation(&self.name, number)
    }

    /// The live generation, as the link says.
    pub fn live(&self) -> Option<u32> {
        let target = fs::read_link(self.data.read_model(&self.name)).ok()?;
        target.file_stem()?.to_str()?.parse().ok()
    }

    /// Makes a generation the live one. Whoever opens the link sees the one before or this one, also after
    /// a crash; whoever has the one before open goes on reading it.
    ///
    /// # Errors
    /// When the link cannot be replaced; it is as it was then.
    pub fn set_live(&self, number: u32) -> Result<(), data_dir::Error> {
        let link = self.data.read_model(&self.name);
        let target = Path::new(&self.name).join(format!("{number}.db"));
        let replaced = replace_link(&link, &target);
        replaced.map_err(|source| data_dir::Error::Io { path: link, source })
    }

    /// The numbers of all that there are, in order.
    pub fn all(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.data.generations(&self.name)).into_iter().flatten().flatten();
        let mut numbers: Vec<u32> = entries
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".db")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// A number that no generation has.
    pub fn next(&self) -> u32 {
        self.all().last().map_or(1, |last| last + 1)
    }

    /// Deletes a generation, and not the live one.
    ///
    /// # Errors
    /// When a file of it cannot be deleted.
    pub fn delete(&self, number: u32) -> Result<(), data_dir::Error> {
        if self.live() == Some(number) {
            return Ok(());
        }
        delete(&self.path(number))
    }

    /// Deletes all but these, and never the live one.
    ///
    /// # Errors
    /// When a file cannot be deleted.
    pub fn keep(&self, kept: &[u32]) -> Result<(), data_dir::Error> {
        let all = self.all();
        all.iter().filter(|number| !kept.contains(number)).try_for_each(|number| self.delete(*number))
    }

    /// Deletes all of the read model, its link first.
    ///
    /// # Errors
    /// When a file cannot be deleted.
    pub fn purge(&self) -> Result<(), data_dir::Error> {
        let link = self.data.read_model(&self.name);
        remove(&link, "")?;
        self.keep(&[])?;
        let folder = self.data.generations(&self.name);
        fs::remove_dir_all(&folder).map_err(|source| data_dir::Error::Io { path: folder, source })
    }
}

/// Deletes a database and what SQLite keeps beside it.
///
/// # Errors
/// When a file of it cannot be deleted.
pub fn delete(database: &Path) -> Result<(), data_dir::Error> {
    COMPANIONS.iter().try_for_each(|companion| remove(database, companion))
}

fn remove(database: &Path, companion: &str) -> Result<(), data_dir::Error> {
    let mut path = database.as_os_str().to_owned();
    path.push(companion);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(data_dir::Error::Io { path: path.into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Replaces a link in one step.
fn replace_link(link: &Path, target: &Path) -> io::Result<()> {
    let folder = link.parent().unwrap_or(Path::new("."));
    let mut name = link.file_name().unwrap_or_default().to_owned();
    // No `.db` at its end, so that nobody takes it for a read model.
    name.push(".next");
    let next = folder.join(name);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, &next)?;
    fs::rename(&next, link)?;
    // The folder's entry must survive a crash of the machine, or the earlier generation is live again.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(numbers: &[u32]) -> (tempfile::TempDir, Generations) {
        let folder = tempfile::tempdir().unwrap();
        let generations = Generations::of(&DataDir::new(folder.path()), "orders").unwrap();
        for number in numbers {
            fs::write(generations.path(*number), number.to_string()).unwrap();
        }
        (folder, generations)
    }

    /// Who opens the read model must find one, before, during and after a promotion.
    #[test]
    fn the_link_leads_to_the_live_generation_and_is_replaced_in_one_step() {
        let (folder, generations) = numbered(&[1, 2]);
        assert_eq!(generations.live(), None);
        let link = folder.path().join("read-models/orders.db");
        for live in [1, 2, 1] {
            generations.set_live(live).unwrap();
            assert_eq!(generations.live(), Some(live));
            assert_eq!(fs::read_to_string(&link).unwrap(), live.to_string());
        }
        // What a crash in the middle leaves does not stop the next one.
        symlink("orders/7.db", folder.path().join("read-models/orders.db.next")).unwrap();
        generations.set_live(2).unwrap();
        assert_eq!(generations.live(), Some(2));
    }

    /// A generation that is deleted by mistake is a read model that is lost.
    #[test]
    fn the_live_generation_is_never_deleted() {
        let (_folder, generations) = numbered(&[1, 2, 3, 10]);
        generations.set_live(2).unwrap();
        assert_eq!(generations.next(), 11);
        generations.delete(2).unwrap();
        assert_eq!(generations.all(), [1, 2, 3, 10]);
        generations.keep(&[1]).unwrap();
        assert_eq!(generations.all(), [1, 2]);
        generations.purge().unwrap();
        assert_eq!((generations.live(), generations.all()), (None, vec![]));
    }
}
