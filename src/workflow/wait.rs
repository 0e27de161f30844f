//! A wait that an event or a signal ends: on a descriptor, since a signal interrupts a read and nothing else here.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a waiting thread wakes up by itself, for signals that came just before it began to wait.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(100);

/// The side that waits.
#[derive(Debug)]
pub struct Waiter(Mutex<UnixStream>);

/// The side that wakes it.
#[derive(Debug)]
pub struct Waker(UnixStream);

/// Both sides.
pub fn wait_pair() -> io::Result<(Waiter, Waker)> {
    let (waiting, waking) = UnixStream::pair()?;
    waiting.set_read_timeout(Some(LOOK_FOR_SIGNALS))?;
    waking.set_nonblocking(true)?;
    Ok((Waiter(Mutex::new(waiting)), Waker(waking)))
}

impl Waiter {
    /// Returns when woken, when a signal came, or after 100 ms.
    pub fn wait(&self) -> io::Result<()> {
        let mut buffer = [0_u8; 256];
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match stream.read(&mut buffer) {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Waker {
    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        // A full buffer means that the waiting side has enough to wake up for.
        let _ = (&self.0).write(&[0]);
    }
}
