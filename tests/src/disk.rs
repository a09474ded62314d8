//! Small disks, to be full or read-only.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::report::skip;

/// A small disk of its own, in memory. Unmounted when dropped.
#[derive(Debug)]
pub struct Disk(TempDir);

impl Disk {
    /// One of this size, such as `3m`. `None` where this user may not mount; then it was said that the test is skipped.
    ///
    /// # Errors
    ///
    /// Where there is no folder for it.
    pub fn mount(size: &str) -> Result<Option<Self>> {
        let disk = Disk(TempDir::with_prefix("lantern-disk-")?);
        let options = format!("size={size}");
        let mounted = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], disk.path());
        if !mounted {
            skip("the right to mount a small disk: run the tests as root");
            return Ok(None);
        }
        Ok(Some(disk))
    }

    /// Mounts it with other options, such as `ro`.
    ///
    /// # Errors
    ///
    /// Where that is refused.
    pub fn remount(&self, options: &str) -> Result<()> {
        let options = format!("remount,{options}");
        ensure!(mount(&["-o", &options], self.path()), "cannot remount with {options}");
        Ok(())
    }

    /// Takes what is left, to the last block.
    ///
    /// # Errors
    ///
    /// Where there can be no file for it.
    pub fn fill(&self) -> Result<()> {
        let mut others = File::options().append(true).create(true).open(self.path().join("others"))?;
        while others.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // One that was never mounted is removed as a folder.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount").args(arguments).arg(at).output().is_ok_and(|output| output.status.success())
}
