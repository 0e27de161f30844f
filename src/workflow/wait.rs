//! A wait that an event or a signal ends: on a descriptor, since a signal interrupts a poll and nothing else here.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often a waiting thread wakes up by itself, for signals that came just before it began to wait.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(100);

/// The side that waits.
#[derive(Debug)]
pub struct Waiter(UnixStream);

/// The side that wakes it.
#[derive(Debug)]
pub struct Waker(UnixStream);

/// Both sides.
pub fn wait_pair() -> io::Result<(Waiter, Waker)> {
    let (waiting, waking) = UnixStream::pair()?;
    waiting.set_nonblocking(true)?;
    waking.set_nonblocking(true)?;
    Ok((Waiter(waiting), Waker(waking)))
}

impl Waiter {
    /// Returns when woken, when a signal came, after `patience`, or after 100 ms.
    pub fn wait(&self, patience: Option<Duration>) -> io::Result<()> {
        let patience = patience.unwrap_or(LOOK_FOR_SIGNALS).min(LOOK_FOR_SIGNALS);
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.as_nanos().try_into().unwrap_or(0) };
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.drain(),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes note of all wake-ups so far.
    pub fn drain(&self) -> io::Result<()> {
        match (&self.0).read(&mut [0_u8; 256]) {
            Err(error) if !matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The descriptor that becomes readable when woken, for an event loop.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The next byte of standard input, unless there is none yet after 100 ms or a signal came; its end is an error.
pub fn next_input() -> io::Result<Option<u8>> {
    let input = io::stdin();
    let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_FOR_SIGNALS.subsec_nanos()) };
    let mut byte = [0_u8];
    let read = poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&patience))
        .and_then(|ready| if ready == 0 { Ok(None) } else { rustix::io::read(&input, &mut byte).map(Some) });
    match read {
        Ok(None) | Err(rustix::io::Errno::INTR) => Ok(None),
        Ok(Some(0)) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(Some(_)) => Ok(Some(byte[0])),
        Err(error) => Err(error.into()),
    }
}

impl Waker {
    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        // A full buffer means that the waiting side has enough to wake up for.
        let _ = (&self.0).write(&[0]);
    }
}
