//! Locks that the system releases when their holder dies: one file each, beside the journal.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A lock that is held. Dropping it releases it and removes its file.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Kept open: the lock is the file's.
    _file: File,
    process: u32,
}

/// What became of trying for a lock.
#[derive(Debug)]
pub(super) enum Tried {
    /// It is ours.
    Ours(Lock),
    /// Somebody holds it: this process, if it says which.
    Held(Option<u32>),
}

impl Lock {
    /// Takes the lock if it is free.
    pub(super) fn take(path: &Path) -> io::Result<Tried> {
        loop {
            let mut file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let _ = file.read_to_string(&mut text);
                    return Ok(Tried::Held(text.trim().parse().ok()));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if is_at(&file, path)? {
                file.set_len(0)?;
                file.rewind()?;
                // Only for people: a full disk is no reason not to lock.
                let _ = writeln!(file, "{}", std::process::id());
                return Ok(Tried::Ours(Self { path: path.to_owned(), _file: file, process: std::process::id() }));
            }
        }
    }

    /// Waits for a lock that nobody holds for long.
    pub(super) fn wait(path: &Path) -> io::Result<Self> {
        loop {
            let file = open(path)?;
            file.lock()?;
            if is_at(&file, path)? {
                return Ok(Self { path: path.to_owned(), _file: file, process: std::process::id() });
            }
        }
    }

    /// Whether somebody holds it. Must not be asked while others try to take it.
    pub(super) fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A forked child inherits the lock and must not end it.
        if self.process == std::process::id() {
            // While it is still held: who opened the file meanwhile finds, once it has the lock, that the file is gone.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Whether `path` still leads to `file`: its last holder may have removed it between our opening and our locking it, and
/// somebody else may have made a new one.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Option<Lock> {
        match Lock::take(path).expect("a lock") {
            Tried::Ours(lock) => Some(lock),
            Tried::Held(process) => {
                assert_eq!(process, Some(std::process::id()));
                None
            }
        }
    }

    #[test]
    fn a_lock_is_held_once_and_leaves_no_file() {
        let path = std::env::temp_dir().join(format!("journal-lock-test-{}", std::process::id()));
        assert!(!Lock::is_held(&path).expect("looks"));
        let first = take(&path).expect("it is free");
        assert!(take(&path).is_none());
        assert!(Lock::is_held(&path).expect("looks"));
        let opened_before = open(&path).expect("a file");
        drop(first);
        assert!(!path.exists());
        opened_before.try_lock().expect("nobody holds what is gone");
        assert!(!is_at(&opened_before, &path).expect("looks"), "it is gone");
        let second = take(&path).expect("it is free, whoever locked the file that is gone");
        assert!(!is_at(&opened_before, &path).expect("looks"), "another one is there");
        drop(second);
        drop(Lock::wait(&path).expect("a lock"));
        fs::write(&path, "99999\n").expect("a file that a dead process left");
        assert!(!Lock::is_held(&path).expect("looks"));
        drop(take(&path).expect("it is free"));
        assert!(!path.exists());
    }
}
