//! A request that another stack has parsed, as the stream on which it would have arrived, so that the loop that serves sockets serves it too.
//! RFC 9112 for the bytes of both heads; RFC 8441 section 5 for the differences of HTTP/2.
//! Once the request is accepted, it becomes the connection that the stack has released.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::hyper::body::{Body, Bytes};
use ::hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sansws_core::config::Limits;
use sansws_core::http::Headers;
use sansws_core::internal::{ResponseHead, parse_response};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::oneshot;

use super::NOT_UPGRADABLE;

/// The body of a request, with its type erased.
pub(super) type AnyBody =
    Pin<Box<dyn Body<Data = Bytes, Error = Box<dyn StdError + Send + Sync>> + Send>>;

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) fields: Headers,
    pub(super) body: AnswerBody,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    Whole(Vec<u8>),
    /// In chunks: those that are there already, and the pipe for the rest. Once the pipe is dropped, the answer is not made further.
    Chunked(Vec<u8>, DuplexStream),
}

/// Number of bytes of a streamed answer that are made before the stack takes them.
const AHEAD: usize = 64 << 10;

/// See the [module](self).
pub struct Bridge {
    /// The unread rest of the request, and the position in it.
    request: Vec<u8>,
    read: usize,
    body: Option<AnyBody>,
    phase: Phase,
}

enum Phase {
    /// The answer is not there yet.
    Asked {
        answer: Vec<u8>,
        tell: oneshot::Sender<Answered>,
        on_upgrade: Option<OnUpgrade>,
    },
    /// The head of a streamed answer was reported; its chunks go into the pipe.
    Streaming(DuplexStream),
    /// The request was accepted, and the stack has not yet released the connection.
    Accepted(OnUpgrade),
    Open(TokioIo<Upgraded>),
    /// The answer was reported, or nobody waits for it any more.
    Over,
}

impl Bridge {
    /// Creates one from the bytes of a head, and a body, which is sent in chunks. The answer is reported once.
    pub(super) const fn new(
        head: Vec<u8>,
        body: Option<AnyBody>,
        on_upgrade: Option<OnUpgrade>,
        tell: oneshot::Sender<Answered>,
    ) -> Self {
        Self {
            request: head,
            read: 0,
            body,
            phase: Phase::Asked {
                answer: Vec::new(),
                tell,
                on_upgrade,
            },
        }
    }

    /// Returns the connection once it is there; `None` while the request is being answered.
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<&mut TokioIo<Upgraded>>>> {
        if let Phase::Accepted(on_upgrade) = &mut self.phase {
            match ready!(Pin::new(on_upgrade).poll(cx)) {
                Ok(upgraded) => self.phase = Phase::Open(TokioIo::new(upgraded)),
                Err(error) => {
                    self.phase = Phase::Over;
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::NotConnected, error)));
                }
            }
        }
        Poll::Ready(Ok(match &mut self.phase {
            Phase::Open(upgraded) => Some(upgraded),
            Phase::Asked { .. } | Phase::Streaming(_) | Phase::Accepted(_) | Phase::Over => None,
        }))
    }

    /// Reads more of the request; 0 when all of it was read and nobody waits for the answer any more.
    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.read == self.request.len() {
            self.request.clear();
            self.read = 0;
            let tell = match &mut self.phase {
                Phase::Asked { tell, .. } => tell,
                // It ends once the stack has dropped the answer.
                Phase::Streaming(pipe) => return Pin::new(pipe).poll_read(cx, into),
                Phase::Accepted(_) | Phase::Open(_) | Phase::Over => return Poll::Ready(Ok(())),
            };
            let Some(body) = &mut self.body else {
                return tell.poll_closed(cx).map(Ok);
            };
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    // An empty chunk would end it.
                    if !data.is_empty() {
                        let size = format!("{:x}\r\n", data.len());
                        for part in [size.as_bytes(), &data, b"\r\n"] {
                            self.request.extend_from_slice(part);
                        }
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => {
                    self.request.extend_from_slice(b"0\r\n\r\n");
                    self.body = None;
                }
            }
        }
        let rest = self.request.get(self.read..).unwrap_or_default();
        let part = rest.get(..into.remaining()).unwrap_or(rest);
        into.put_slice(part);
        self.read += part.len();
        Poll::Ready(Ok(()))
    }

    /// Takes bytes of the answer. An acceptance and the head of a streamed answer are reported as soon as they are complete.
    /// Returns how many bytes it took: those behind an acceptance are not part of the answer.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let Phase::Asked { answer, .. } = &mut self.phase else {
            return bytes.len();
        };
        answer.extend_from_slice(bytes);
        let mut behind = 0;
        let is_streamed =
            split(answer).is_some_and(|(head, _)| head.fields.get("transfer-encoding").is_some());
        let accepted = head_end(answer).filter(|_| answer.starts_with(b"HTTP/1.1 101 "));
        if let Some(end) = accepted {
            behind = answer.len() - end;
            answer.truncate(end);
        }
        if is_streamed || accepted.is_some() {
            self.tell();
        }
        bytes.len() - behind
    }

    /// Reports the answer.
    fn tell(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Asked {
            answer,
            tell,
            on_upgrade,
        } = phase
        else {
            self.phase = phase;
            return;
        };
        let Some((ResponseHead { status, fields }, body)) = split(&answer) else {
            return;
        };
        let mut answered = Answered {
            status,
            body: AnswerBody::Whole(body.to_vec()),
            fields,
        };
        if let (101, Some(on_upgrade)) = (status, on_upgrade) {
            self.phase = Phase::Accepted(on_upgrade);
        } else if status == 101 {
            answered = Answered {
                status: 500,
                body: AnswerBody::Whole(NOT_UPGRADABLE.into()),
                fields: Headers::default(),
            };
        } else if let (Some(_), AnswerBody::Whole(begun)) =
            (answered.fields.get("transfer-encoding"), &mut answered.body)
        {
            let (ours, theirs) = tokio::io::duplex(AHEAD);
            self.phase = Phase::Streaming(ours);
            answered.body = AnswerBody::Chunked(std::mem::take(begun), theirs);
        }
        if tell.send(answered).is_err() {
            // The stack will neither send it nor release the connection: it has answered otherwise, or the client is gone.
            self.phase = Phase::Over;
        }
    }

    /// Returns an error if nothing can be written any more.
    fn check(&self) -> io::Result<()> {
        match self.phase {
            Phase::Over => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(()),
        }
    }
}

/// Returns the length of a head, once it is complete.
fn head_end(answer: &[u8]) -> Option<usize> {
    let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    Some(at + 4)
}

/// Parses the head and the body of our own response.
fn split(answer: &[u8]) -> Option<(ResponseHead, &[u8])> {
    let (head, body) = answer.split_at_checked(head_end(answer)?)?;
    let limits = Limits {
        headers: 1 << 10,
        ..Limits::default()
    };
    Some((parse_response(head, &limits).ok()?, body))
}

impl AsyncRead for Bridge {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match ready!(this.poll_open(cx))? {
            Some(open) => Pin::new(open).poll_read(cx, into),
            None => this.poll_request(cx, into),
        }
    }
}

impl AsyncWrite for Bridge {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(open) = ready!(this.poll_open(cx))? {
            return Pin::new(open).poll_write(cx, from);
        }
        if let Phase::Streaming(pipe) = &mut this.phase {
            return Pin::new(pipe).poll_write(cx, from);
        }
        let taken = this.put(from);
        Poll::Ready(this.check().map(|()| taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(open) = ready!(this.poll_open(cx))? {
            return Pin::new(open).poll_write_vectored(cx, from);
        }
        if let Phase::Streaming(pipe) = &mut this.phase {
            return Pin::new(pipe).poll_write_vectored(cx, from);
        }
        let mut taken = 0;
        for slice in from {
            let count = this.put(slice);
            taken += count;
            // Bytes that follow are not part of the head: they are written where the phase says.
            if count < slice.len() || !matches!(this.phase, Phase::Asked { .. }) {
                break;
            }
        }
        Poll::Ready(this.check().map(|()| taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end of the answer is flushed before the stack releases the connection.
        match &mut self.get_mut().phase {
            Phase::Open(open) => Pin::new(open).poll_flush(cx),
            Phase::Streaming(pipe) => Pin::new(pipe).poll_flush(cx),
            Phase::Asked { .. } | Phase::Accepted(_) | Phase::Over => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(open) = ready!(this.poll_open(cx))? {
            return Pin::new(open).poll_shutdown(cx);
        }
        if let Phase::Streaming(pipe) = &mut this.phase {
            return Pin::new(pipe).poll_shutdown(cx);
        }
        this.tell();
        Poll::Ready(Ok(()))
    }
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    const STREAMED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Writes slices to a new bridge; returns how many bytes it took, and the answer.
    fn write(from: &[&[u8]]) -> (usize, Option<Answered>) {
        let (tell, mut told) = oneshot::channel();
        let on_upgrade = ::hyper::upgrade::on(http::Request::new(()));
        let mut bridge = Bridge::new(Vec::new(), None, Some(on_upgrade), tell);
        let slices: Vec<_> = from.iter().map(|bytes| io::IoSlice::new(bytes)).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut bridge).poll_write_vectored(&mut cx, &slices);
        let Poll::Ready(Ok(count)) = written else {
            panic!("{written:?}");
        };
        (count, told.try_recv().ok())
    }

    #[test]
    fn a_frame_behind_an_acceptance_is_not_part_of_the_answer() {
        let together = [ACCEPTED, b"\x81\x02hi"].concat();
        for from in [&[ACCEPTED, b"\x81\x02hi"][..], &[&together]] {
            let (count, answered) = write(from);
            assert_eq!(count, ACCEPTED.len());
            assert_eq!(answered.unwrap().status, 101);
        }
        let (first, second) = ACCEPTED.split_at(40);
        let (count, answered) = write(&[first, second]);
        assert_eq!((count, answered.unwrap().status), (ACCEPTED.len(), 101));
    }

    #[test]
    fn bytes_behind_the_head_of_a_stream_are_part_of_it() {
        let together = [STREAMED, b"2\r\nhi"].concat();
        let (count, answered) = write(&[&together]);
        assert_eq!(count, together.len());
        let body = answered.unwrap().body;
        assert!(matches!(body, AnswerBody::Chunked(begun, _) if begun == b"2\r\nhi"));
        // The next slice goes into the pipe.
        assert_eq!(write(&[STREAMED, b"2\r\nhi"]).0, STREAMED.len());
    }
}
