//! Writes a request or a response, and times out.
//! RFC 9112 section 9.6: how a connection ends after its last response.
//! Knows no head: bytes go out, and a poll is repeated until it is ready or late.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::error::{Error, Result};
use crate::socket::buffer::READS;
use crate::socket::buffer::Unread;
use crate::transport::Transport;
use sansws_core::config::Config;
use sansws_core::handshake::Refusal;
use sansws_core::internal::MAX_MEANWHILE;
use sansws_core::time::Instant;

/// Answers, shuts down the writing side, and reads until the peer ends its own: a reset would destroy the answer.
pub(crate) async fn answer_and_end<T: Transport>(
    transport: &mut T,
    mut unread: Unread,
    bytes: &[u8],
    config: &Config,
) -> Result<(), Error> {
    let mut write = WriteAll::new(bytes);
    let answer = |transport: &mut T, cx: &mut Context<'_>| {
        ready!(write.poll(transport, cx))?;
        ready!(transport.poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    };
    let deadline = transport.now() + config.timeouts.to_take_whole(bytes.len());
    match within(transport, Some(deadline), Refusal::Timeout, answer).await {
        Ok(()) => {}
        Err(Error::Refusal(Refusal::Timeout) | Error::Io(_)) => return Ok(()),
        Err(error) => return Err(error),
    }
    let finish = |transport: &mut T, cx: &mut Context<'_>| {
        for _ in 0..READS {
            unread.clear();
            let read = transport.poll_read(cx, unread.room());
            if read.is_pending() {
                unread.park();
            }
            if matches!(ready!(read), Ok(0) | Err(_)) {
                return Poll::Ready(Ok(()));
            }
        }
        // Input that is always ready must starve neither timers nor other tasks.
        unread.park();
        cx.waker().wake_by_ref();
        Poll::Pending
    };
    let deadline = Some(transport.now() + config.timeouts.to_end());
    match within(transport, deadline, Refusal::Timeout, finish).await {
        Ok(()) | Err(Error::Refusal(Refusal::Timeout) | Error::Io(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The behaviour of a peer while its answer is made.
pub(crate) enum Peer {
    Waits,
    /// It sends so much meanwhile that its end would not be seen.
    Floods,
    Left,
}

/// Looks whether a peer is still there. What it sends is kept for later.
pub(crate) fn look_at_peer<T: Transport>(
    transport: &mut T,
    unread: &mut Unread,
    cx: &mut Context<'_>,
) -> io::Result<Peer> {
    loop {
        let Some(most) = MAX_MEANWHILE
            .checked_sub(unread.bytes().len())
            .filter(|most| *most > 0)
        else {
            unread.park();
            return Ok(Peer::Floods);
        };
        let room = unread.room();
        let most = most.min(room.len());
        match transport.poll_read(cx, room.get_mut(..most).unwrap_or_default()) {
            Poll::Ready(Ok(0)) => return Ok(Peer::Left),
            Poll::Ready(Ok(count)) => unread.filled(count),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {
                unread.park();
                return Ok(Peer::Waits);
            }
        }
    }
}

/// Bytes that are being written.
pub(crate) struct WriteAll<'a> {
    pub(crate) left: &'a [u8],
}

impl<'a> WriteAll<'a> {
    pub(crate) const fn new(left: &'a [u8]) -> Self {
        Self { left }
    }

    pub(crate) fn poll<T: Transport>(
        &mut self,
        transport: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        while !self.left.is_empty() {
            let count = ready!(transport.poll_write(cx, &[IoSlice::new(self.left)]))?;
            if count == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.left = self.left.get(count..).unwrap_or_default();
        }
        ready!(transport.poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }
}

/// Polls until it is ready, or the time is up.
pub(crate) async fn within<T: Transport, R>(
    transport: &mut T,
    deadline: Option<Instant>,
    late: impl Into<Error>,
    mut poll: impl FnMut(&mut T, &mut Context<'_>) -> Poll<Result<R, Error>>,
) -> Result<R, Error> {
    let mut late = Some(late);
    let mut armed = false;
    poll_fn(move |cx| {
        if let Poll::Ready(done) = poll(transport, cx) {
            return Poll::Ready(done);
        }
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if !armed {
                transport.set_alarm(deadline);
                armed = true;
            }
            ready!(transport.poll_alarm(cx));
            armed = false;
            if transport.now() >= deadline
                && let Some(late) = late.take()
            {
                return Poll::Ready(Err(late.into()));
            }
        }
    })
    .await
}
