//! A stream that buffers, as TLS does: it holds what was written until it is flushed, and one flush rarely sends all of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sansws_conformance::engine::Patience;
use sansws_conformance::run::memory::Subject;
use sansws_conformance::run::stream;
use sansws_conformance::script::Setting;
use sansws_conformance::subjects::Core;
use sansws_conformance::{Peer, Verdict, cases};
use smol::io::{AsyncRead, AsyncWrite};

/// Number of bytes that one flush sends.
const FLUSHED: usize = 4 << 10;

/// A subject in memory behind a buffer.
struct Buffered {
    subject: Core,
    unsent: Vec<u8>,
    unread: Vec<u8>,
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let count = self.unsent.len().min(FLUSHED);
        let sent: Vec<u8> = self.unsent.drain(..count).collect();
        self.subject.receive(Duration::ZERO, &sent);
        if self.unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.as_mut().poll_flush(cx))?;
        self.subject.end_of_input(Duration::ZERO);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let more = self.subject.output(Duration::ZERO);
        self.unread.extend(more);
        let count = self.unread.len().min(into.len());
        if count == 0 && !self.subject.has_ended() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        into[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Poll::Ready(Ok(count))
    }
}

#[test]
fn the_buffer_of_a_stream_is_flushed_until_it_is_sent() {
    for peer in [Peer::Server, Peer::Client] {
        let cases = cases::all();
        let large = cases.iter().find(|case| case.id == "26.3.1").unwrap();
        let setting = Setting::new(peer);
        let mut stream = Buffered {
            subject: Core::new(peer),
            unsent: Vec::new(),
            unread: Vec::new(),
        };
        let patience = Patience::default();
        let run = stream::run(large, &setting, patience, &mut stream, &[], &|| false);
        let outcome = smol::block_on(run);
        assert_eq!(outcome.behavior, Verdict::Informational, "{outcome:?}");
    }
}
