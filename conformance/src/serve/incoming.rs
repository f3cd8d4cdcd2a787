//! The request of a client, over either version of HTTP.
//! RFC 9112 section 2; RFC 9113 section 3.3 and RFC 8441 for clients that start with HTTP/2.

use std::io;
use std::time::Duration;

use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::case::Case;
use crate::engine::{Outcome, Patience, Run};
use crate::http::Head;
use crate::http2::{Carried, Options, Session};
use crate::record::Record;
use crate::run::stream;
use crate::script::{Peer, Setting};
use crate::target::Stream;

/// Maximum length of the head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// How long the settings are held back, to see whether the client waits for them.
const HELD_BACK: Duration = Duration::from_millis(30);

/// A connection whose client has sent a request.
pub(super) struct Incoming {
    stream: Box<dyn Stream>,
    /// The request.
    pub(super) head: Head,
    /// The bytes to start a case with.
    received: Vec<u8>,
    session: Option<Session>,
}

impl Incoming {
    /// Reads the head of a request; `None` if none comes.
    pub(super) async fn read(mut stream: Box<dyn Stream>) -> Option<Self> {
        let (mut received, mut part) = (Vec::new(), [0; 4096]);
        let head = loop {
            if let Some((head, _)) = Head::read(&received) {
                break head;
            }
            let count = stream
                .read(&mut part)
                .await
                .ok()
                .filter(|count| *count > 0 && received.len() < LONGEST_HEAD)?;
            received.extend_from_slice(part.get(..count).unwrap_or_default());
        };
        if head.first == "PRI * HTTP/2.0" {
            return Self::read_http2(stream, received).await.ok().flatten();
        }
        Some(Self {
            stream,
            head,
            received,
            session: None,
        })
    }

    async fn read_http2(
        mut stream: Box<dyn Stream>,
        mut received: Vec<u8>,
    ) -> io::Result<Option<Self>> {
        let mut session = Session::new(Peer::Client, &Options::toward(Peer::Client));
        let (mut part, mut record) = ([0; 4096], Record::default());
        let held = Timer::after(HELD_BACK);
        let early = async {
            let mut first = vec![0; 4096];
            let count = stream.read(&mut first).await?;
            first.truncate(count);
            io::Result::Ok(Some(first))
        };
        let held = async {
            held.await;
            Ok(None)
        };
        if let Some(more) = early.or(held).await? {
            received.extend(more);
        }
        loop {
            let mut input = received.as_slice();
            let carried = session.next(Duration::ZERO, &mut input, &mut record);
            received = input.to_vec();
            match carried {
                Some(Carried::Head(head)) => {
                    return Ok(Some(Self {
                        stream,
                        head,
                        received,
                        session: Some(session),
                    }));
                }
                Some(_) => return Ok(None),
                None => {}
            }
            while let Some(bytes) = session.output() {
                let count = stream.write(bytes).await?;
                session.written(count);
            }
            stream.flush().await?;
            match stream.read(&mut part).await? {
                0 => return Ok(None),
                count => received.extend_from_slice(part.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Returns whether it came over HTTP/2.
    pub(super) const fn is_http2(&self) -> bool {
        self.session.is_some()
    }

    /// Returns the target of the request.
    pub(super) fn target(&self) -> String {
        match self.session {
            Some(_) => self.head.field(":path").unwrap_or_default().into(),
            None => self.head.target().into(),
        }
    }

    /// Runs a case over the connection.
    pub(super) async fn run(
        &mut self,
        case: &Case,
        setting: &Setting,
        patience: Patience,
        stop: &(dyn Fn() -> bool + Send + Sync),
    ) -> Outcome {
        let run = match self.session.take() {
            Some(session) => Run::resume(case, setting, patience, (session, self.head.clone())),
            None => Run::new(case, setting, patience),
        };
        stream::drive(run, &mut self.stream, &self.received, stop).await
    }

    /// Answers with an error, and closes.
    pub(super) async fn refuse(mut self, status: &str, body: &str) {
        let _ = self.answer(status, body).await;
        let _ = self.stream.close().await;
    }

    async fn answer(&mut self, status: &str, body: &str) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            let head = Head::new(format!("HTTP/1.1 {status}"))
                .with("Content-Type", "text/plain; charset=utf-8")
                .with("Content-Length", &body.len().to_string())
                .with("Connection", "close");
            let bytes = [head.write(), body.as_bytes().to_vec()].concat();
            return self.stream.write_all(&bytes).await;
        };
        let code = status.split(' ').next().unwrap_or_default();
        let fields = [(":status".to_owned(), code.to_owned())];
        session.head(session.main().unwrap_or(1), &fields, false);
        session.data(body.as_bytes());
        session.end_stream();
        self.stream
            .write_all(session.output().unwrap_or_default())
            .await?;
        // The client reads the answer, and ends TCP; a reset would destroy it.
        self.stream.flush().await?;
        Timer::after(HELD_BACK).await;
        Ok(())
    }
}
