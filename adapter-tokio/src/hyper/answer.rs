//! The body of an answer, as the stack takes it.
//! RFC 9112 section 7.1 (chunked transfer coding, which the stack replaces by its own framing).

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use ::hyper::body::{Body, Bytes, Frame, SizeHint};
use sansws_core::internal::Body as Chunks;
use tokio::io::{AsyncReadExt, DuplexStream};

use super::bridge::AnswerBody;

/// Number of bytes for which there is room in a read, at least.
const FRAME: usize = 16 << 10;

/// The body of an answer: whole, or streamed while a page makes it.
#[derive(Debug, Default)]
pub struct Answer(Content);

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Streamed(Box<Streamed>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(None)
    }
}

#[derive(Debug)]
struct Streamed {
    pipe: DuplexStream,
    /// Bytes that are no whole line yet.
    unread: Vec<u8>,
    chunks: Chunks,
}

impl Answer {
    pub(super) fn of(body: AnswerBody) -> Self {
        Self(match body {
            AnswerBody::Whole(bytes) => Content::Whole((!bytes.is_empty()).then(|| bytes.into())),
            AnswerBody::Chunked(unread, pipe) => Content::Streamed(Box::new(Streamed {
                pipe,
                unread,
                chunks: Chunks::chunked(),
            })),
        })
    }
}

impl Streamed {
    /// Returns the next bytes, or the end. A page that breaks off is an error: the stack then ends the connection without the end of the body.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let Ok(taken) = self.chunks.take(&self.unread) else {
                return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
            };
            self.unread.drain(..taken);
            let bytes = self.chunks.take_bytes();
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes.into())));
            }
            if self.chunks.is_whole() {
                return Poll::Ready(None);
            }
            self.unread.reserve(FRAME);
            let read = pin!(self.pipe.read_buf(&mut self.unread));
            match ready!(read.poll(cx)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut self.0 {
            Content::Whole(bytes) => bytes.take().map(Ok),
            Content::Streamed(streamed) => ready!(streamed.poll_next(cx)),
        };
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Streamed(streamed) => streamed.chunks.is_whole(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Streamed(_) => SizeHint::default(),
        }
    }
}
