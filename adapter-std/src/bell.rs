//! Wakes all threads that wait for their sockets, once.
//! Knows no socket: it is another source to wait for.

#[cfg(unix)]
pub(crate) use of_pipe::Bell;
#[cfg(not(unix))]
pub(crate) use silent::Bell;

#[cfg(unix)]
mod of_pipe {
    use std::io::{PipeReader, PipeWriter, pipe};
    use std::os::fd::AsFd;
    use std::sync::{Mutex, PoisonError};

    use crate::poll::Source;

    /// A pipe that is readable for ever once it was rung, because its other end is closed.
    #[derive(Debug)]
    pub(crate) struct Bell {
        reader: Option<PipeReader>,
        writer: Mutex<Option<PipeWriter>>,
    }

    impl Bell {
        /// Makes one. Without descriptors left, there is nothing to wait for: threads then look by themselves, from time to time.
        pub(crate) fn new() -> Self {
            let (reader, writer) = pipe().ok().unzip();
            Self {
                reader,
                writer: Mutex::new(writer),
            }
        }

        /// Wakes all who wait, now and from now on.
        pub(crate) fn ring(&self) {
            *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }

        /// Returns what to wait for, if there is something.
        pub(crate) fn source(&self) -> Option<Source<'_>> {
            self.reader.as_ref().map(AsFd::as_fd)
        }
    }
}

#[cfg(not(unix))]
mod silent {
    use crate::poll::Source;

    /// Nothing: a pipe cannot be waited for together with a socket here, so that threads look by themselves, from time to time.
    #[derive(Debug)]
    pub(crate) struct Bell;

    impl Bell {
        pub(crate) const fn new() -> Self {
            Self
        }

        pub(crate) const fn ring(&self) {}

        pub(crate) const fn source(&self) -> Option<Source<'_>> {
            None
        }
    }
}
