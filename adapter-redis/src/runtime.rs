//! The runtimes that the connection to Redis can use.
//! The `redis` crate spawns its own tasks and detects the runtime by itself; here the caller sets it.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use sansws_core::time::Duration;

use crate::options::SetupError;

/// An async runtime. If a build has both features, all links of a process must use the same one: the `redis` crate supports only one.
///
/// For an example see the [page of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Runtime {
    /// tokio: the link must run inside its runtime.
    #[cfg(feature = "tokio")]
    Tokio,
    /// smol: its global executor runs the tasks that the `redis` crate spawns.
    #[cfg(feature = "smol")]
    Smol,
}

impl Runtime {
    /// Sets the runtime of the `redis` crate, once per process.
    #[cfg(all(feature = "tokio", feature = "smol"))]
    pub(crate) fn choose(self) -> Result<(), SetupError> {
        use std::sync::{Mutex, PoisonError};
        static CHOSEN: Mutex<Option<Runtime>> = Mutex::new(None);
        let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
        match *chosen {
            Some(before) if before == self => return Ok(()),
            Some(_) => return Err(SetupError::OtherRuntime),
            None => {}
        }
        let said = match self {
            Self::Tokio => redis::aio::prefer_tokio(),
            Self::Smol => redis::aio::prefer_smol(),
        };
        said.map_err(|_| SetupError::OtherRuntime)?;
        *chosen = Some(self);
        Ok(())
    }

    #[cfg(not(all(feature = "tokio", feature = "smol")))]
    #[expect(clippy::unnecessary_wraps, reason = "with both features it can fail")]
    pub(crate) const fn choose(self) -> Result<(), SetupError> {
        Ok(())
    }

    pub(crate) fn sleep(self, duration: Duration) -> Sleep {
        match self {
            #[cfg(feature = "tokio")]
            Self::Tokio => Sleep::Tokio(Box::pin(tokio::time::sleep(duration))),
            #[cfg(feature = "smol")]
            Self::Smol => Sleep::Smol(async_io::Timer::after(duration)),
        }
    }
}

/// A timer.
pub(crate) enum Sleep {
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<tokio::time::Sleep>>),
    #[cfg(feature = "smol")]
    Smol(async_io::Timer),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            #[cfg(feature = "tokio")]
            Self::Tokio(sleep) => sleep.as_mut().poll(cx),
            #[cfg(feature = "smol")]
            Self::Smol(timer) => Pin::new(timer).poll(cx).map(drop),
        }
    }
}
