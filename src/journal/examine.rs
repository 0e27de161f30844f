//! Looks whether a journal is sound, and puts right what can be put right without losing anything: rights, locks that
//! dead processes have left, and a damaged file, which is renamed.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::database::{APPLICATION, Database, beside};
use super::error::JournalError;
use super::lock::{Lock, Tried};
use super::stored::RunRow;
use super::{Journal, lock_path};

/// What a file beside a journal may end with.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];
/// Where the application's id stands in a file of SQLite.
const APPLICATION_AT: usize = 68;
/// How many runs that nobody has finished are read whole.
const READ_MAX: usize = 20;

/// What was found.
#[derive(Debug)]
pub struct Examined {
    /// The file's format.
    pub format: i32,
    /// Its length in bytes, without its log.
    pub bytes: u64,
    /// What others than its owner may do with it, of `rwxrwx`.
    pub open_to_others: bool,
    /// What SQLite finds wrong with it; `None` if it took too long to find out.
    pub problems: Option<Vec<String>>,
    /// Its runs, the latest first.
    pub runs: Vec<RunRow>,
    /// The ids of open runs that cannot be read, with why.
    pub unreadable: Vec<(String, JournalError)>,
    /// Lock files of runs that nobody runs.
    pub stale_locks: usize,
}

/// Looks at the journal at `path` for as long as `patience`, and makes none.
///
/// # Errors
/// Where it cannot be opened at all.
pub fn examine(path: &Path, patience: Duration) -> Result<Examined, JournalError> {
    let database = Database::open_read(path)?;
    let there = fs::metadata(&database.path);
    let there = there.map_err(|source| JournalError::Open { path: path.to_owned(), source })?;
    let problems = problems(&database, patience)?;
    let mut journal = Journal { database };
    let is_sound = problems.as_ref().is_none_or(Vec::is_empty);
    let runs = if is_sound { journal.runs()? } else { Vec::new() };
    let mut unreadable = Vec::new();
    for run in runs.iter().filter(|run| !run.ended && !run.running).take(READ_MAX) {
        if let Err(error) = journal.read(&run.id) {
            unreadable.push((run.id.clone(), error));
        }
    }
    Ok(Examined {
        format: journal.database.number("user_version")?,
        bytes: there.len(),
        open_to_others: there.permissions().mode() & 0o077 != 0,
        problems,
        runs,
        unreadable,
        stale_locks: free_locks(&mut journal.database)?.len(),
    })
}

fn problems(database: &Database, patience: Duration) -> Result<Option<Vec<String>>, JournalError> {
    let interrupt = database.connection.get_interrupt_handle();
    let (done, ended) = channel::<()>();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(patience).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let rows = database
        .connection
        .prepare("PRAGMA quick_check(5)")
        .and_then(|mut check| check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>());
    drop(done);
    // It has no result and does not panic.
    let _ = watch.join();
    match rows {
        Ok(rows) => Ok(Some(rows.into_iter().filter(|row| row != "ok").collect())),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(None),
        Err(error) => Err(database.failed(error)),
    }
}

/// The lock files that nobody holds. While they are looked at nobody takes one.
fn free_locks(database: &mut Database) -> Result<Vec<PathBuf>, JournalError> {
    let path = database.path.clone();
    let gate = match database.begin() {
        Ok(gate) => Some(gate),
        Err(JournalError::ReadOnly { .. }) => None,
        Err(error) => return Err(error),
    };
    let locks = locks(&path).unwrap_or_default();
    let free = locks.into_iter().filter(|lock| !Lock::is_held(lock).unwrap_or(true)).collect();
    drop(gate);
    Ok(free)
}

/// The lock files of runs that stand beside a journal.
fn locks(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let other = entry.file_name();
        let no = other.to_str().and_then(|other| other.strip_prefix(&name)?.strip_prefix("-run-")?.parse::<i64>().ok());
        found.extend(no.map(|no| lock_path(path, no)));
    }
    found.sort();
    Ok(found)
}

/// Removes the lock files that dead processes have left. Returns how many.
///
/// # Errors
/// Where the journal cannot be opened.
pub fn sweep(path: &Path) -> Result<usize, JournalError> {
    let mut database = Database::open_read(path)?;
    let path = database.path.clone();
    // While nobody else takes one.
    let _gate = database.begin()?;
    let mut swept = 0;
    for lock in locks(&path).unwrap_or_default() {
        // Whoever lets a lock go removes its file.
        if let Ok(Tried::Ours(_lock)) = Lock::take(&lock) {
            swept += 1;
        }
    }
    Ok(swept)
}

/// Takes the rights of others at the journal away.
///
/// # Errors
/// Where the system does not let us.
pub fn tighten(path: &Path) -> io::Result<()> {
    for file in std::iter::once(path.to_owned()).chain(COMPANIONS.map(|suffix| beside(path, suffix))) {
        match fs::set_permissions(&file, Permissions::from_mode(0o600)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

/// Gives a damaged journal and its log another name, `journal.sqlite.damaged-1` or the next that is free. Refused while a
/// run of it goes on, and for a file that was none of ours: one that `is_ours` vouches for, or whose header says so.
///
/// # Errors
/// What keeps it where it is.
pub fn set_aside(path: &Path, is_ours: bool) -> io::Result<PathBuf> {
    if !is_ours && !says_ours(path)? {
        return Err(io::Error::other("it does not say that it is a journal of this package"));
    }
    if locks(path)?.iter().any(|lock| Lock::is_held(lock).unwrap_or(true)) {
        return Err(io::Error::other("a run of it goes on"));
    }
    let named = |no: u32| {
        let mut name: OsString = path.as_os_str().to_owned();
        name.push(format!(".damaged-{no}"));
        PathBuf::from(name)
    };
    let free = (1..=999).map(named).find(|name| fs::symlink_metadata(name).is_err());
    let name = free.ok_or_else(|| io::Error::other("too many others were set aside before"))?;
    fs::rename(path, &name)?;
    for suffix in COMPANIONS {
        match fs::rename(beside(path, suffix), beside(&name, suffix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(name)
}

/// Whether the header of a file has our application's id.
fn says_ours(path: &Path) -> io::Result<bool> {
    let mut header = [0_u8; APPLICATION_AT + 4];
    match File::open(path)?.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    Ok(header[APPLICATION_AT..] == APPLICATION.to_be_bytes())
}
