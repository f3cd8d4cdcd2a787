//! Waits until a socket can be read or written, or a time has passed.
//! POSIX `poll`; `WSAPoll` on Windows.
//! Knows no bytes.

use std::io;
use std::time::Duration;

#[cfg(unix)]
pub(crate) use std::os::fd::{AsFd as AsSource, BorrowedFd as Source};
#[cfg(windows)]
pub(crate) use std::os::windows::io::{AsSocket as AsSource, BorrowedSocket as Source};

/// The events to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Input, or its end.
    pub(crate) read: bool,
    /// Room for output.
    pub(crate) write: bool,
}

impl Interest {
    pub(crate) const READ: Self = Self {
        read: true,
        write: false,
    };
    pub(crate) const WRITE: Self = Self {
        read: false,
        write: true,
    };

    const fn is_none(self) -> bool {
        !self.read && !self.write
    }
}

/// Waits until one of the sources is ready, failed or was closed, or `timeout` has passed. It may also return early for no reason.
pub(crate) fn wait(
    sources: &[(Source<'_>, Interest)],
    timeout: Option<Duration>,
) -> io::Result<()> {
    if sources.iter().all(|(_, interest)| interest.is_none()) {
        // A source that has failed is always ready, whatever was asked.
        std::thread::sleep(timeout.unwrap_or(Duration::from_secs(1)));
        return Ok(());
    }
    let waited = match sources {
        [one] => system::wait(&mut [system::entry(one)], timeout),
        all => {
            let wanted = all.iter().filter(|(_, interest)| !interest.is_none());
            let mut wanted: Vec<_> = wanted.map(system::entry).collect();
            system::wait(&mut wanted, timeout)
        }
    };
    match waited {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        waited => waited,
    }
}

#[cfg(unix)]
mod system {
    use super::{Interest, Source};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::io;
    use std::time::Duration;

    pub(super) fn entry<'a>((source, interest): &(Source<'a>, Interest)) -> PollFd<'a> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, interest.read);
        flags.set(PollFlags::POLLOUT, interest.write);
        PollFd::new(*source, flags)
    }

    pub(super) fn wait(all: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
        // Rounded up: an early return would cost another wait.
        let timeout = timeout.map_or(PollTimeout::NONE, |time| {
            let millis = time.as_micros().div_ceil(1_000);
            let millis = i32::try_from(millis).unwrap_or(i32::MAX);
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
        });
        poll(all, timeout)?;
        Ok(())
    }
}

#[cfg(windows)]
mod system {
    use super::{Interest, Source};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::io;
    use std::time::Duration;

    pub(super) fn entry<'a>((source, interest): &(Source<'a>, Interest)) -> PollFd<'a> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, interest.read);
        flags.set(PollFlags::OUT, interest.write);
        PollFd::from_borrowed_fd(*source, flags)
    }

    pub(super) fn wait(all: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        poll(all, timeout.as_ref())?;
        Ok(())
    }
}
