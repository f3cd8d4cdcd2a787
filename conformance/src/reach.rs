//! A first look at a server: whether it is there, and speaks WebSocket, and what it is otherwise.
//! Judges nothing: that is for the cases.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::Head;
use crate::http2::{Carried, Options, Session};
use crate::record::Record;
use crate::script::Peer;
use crate::target::{Stream, Target};

/// Maximum number of bytes that are read of an answer.
const MOST: usize = 64 << 10;

/// Connects, and completes a handshake.
///
/// # Errors
/// A description of what is there instead of a WebSocket server.
pub(crate) async fn reach(
    target: &Target,
    tls: Option<&Arc<ClientConfig>>,
    request: &Head,
    patience: Duration,
) -> Result<(), String> {
    let mut stream = target
        .connect(tls, patience)
        .await
        .map_err(|error| match tls {
            Some(_) if is_plain(&error) => {
                "the server does not speak TLS there; does ws:// in place of wss:// work?".into()
            }
            Some(_) if is_untrusted(&error) => format!(
                "the server's certificate is not trusted: {error}; `--ca` trusts it, `--insecure` any"
            ),
            _ => format!("cannot reach the server: {error}"),
        })?;
    stream
        .write_all(&request.write())
        .await
        .map_err(|error| format!("the server took no request: {error}"))?;
    let late = async {
        Timer::after(patience).await;
        Answer::Silence
    };
    match answer(&mut stream).or(late).await {
        Answer::Head(head) if head.status() == Some(101) => Ok(()),
        Answer::Head(head) => Err(format!(
            "the server answers a WebSocket handshake with `{}`: does it serve WebSocket at this path?",
            head.first
        )),
        // RFC 8446 5.1: an alert.
        Answer::Other(bytes) if bytes.starts_with(&[0x15, 3]) => {
            Err("the server speaks TLS there; does wss:// in place of ws:// work?".into())
        }
        Answer::Other(bytes) if bytes.is_empty() => {
            Err("the server ends the connection, and answers no handshake".into())
        }
        Answer::Other(_) => {
            Err("the server answers a handshake with something that is not HTTP".into())
        }
        Answer::Silence => Err(format!(
            "the server accepts the connection, and answers no handshake within {patience:?}"
        )),
    }
}

/// Connects, and looks whether the server speaks HTTP/2 and takes WebSockets over it. TLS settings must offer `h2` alone.
///
/// # Errors
/// A description of what is there instead.
pub(crate) async fn reach_http2(
    target: &Target,
    tls: Option<&Arc<ClientConfig>>,
    patience: Duration,
) -> Result<(), String> {
    let connecting = target.connect(tls, patience).await;
    let mut stream = connecting.map_err(|error| format!("no connection for HTTP/2: {error}"))?;
    let late = async {
        Timer::after(patience).await;
        Err(format!(
            "the server does not answer the preface of HTTP/2 within {patience:?}"
        ))
    };
    settings(&mut stream).or(late).await
}

async fn settings(stream: &mut Box<dyn Stream>) -> Result<(), String> {
    let mut session = Session::new(Peer::Server, &Options::toward(Peer::Server));
    let (mut part, mut record) = ([0; 4096], Record::default());
    let preface = session.output().unwrap_or_default();
    stream.write_all(preface).await.map_err(|_| gone())?;
    loop {
        let count = stream.read(&mut part).await.map_err(|_| gone())?;
        let mut input = part.get(..count).unwrap_or_default();
        if input.is_empty() {
            return Err(gone());
        }
        if !session.is_settled() && input.starts_with(b"HTTP/1.") {
            return Err("the server speaks HTTP/1.1 only".into());
        }
        let carried = session.next(Duration::ZERO, &mut input, &mut record);
        match (session.is_settled(), session.connect_protocol(), carried) {
            // The cases report faults in its settings.
            (true, Some(1), _) | (true, None, Some(Carried::Breach(_))) => return Ok(()),
            (true, ..) => {
                return Err(
                    "the server speaks HTTP/2, and its SETTINGS do not enable extended CONNECT (RFC 8441 3)"
                        .into(),
                );
            }
            (false, _, Some(_)) => return Err("the server does not speak HTTP/2".into()),
            (false, _, None) => {}
        }
    }
}

fn gone() -> String {
    "the server ends the connection at the preface of HTTP/2".into()
}

enum Answer {
    Head(Head),
    /// It ended, or cannot be the head of a response.
    Other(Vec<u8>),
    Silence,
}

async fn answer(stream: &mut Box<dyn Stream>) -> Answer {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while all.len() < MOST {
        if let Some((head, _)) = Head::read(&all) {
            return Answer::Head(head);
        }
        match stream.read(&mut part).await {
            Ok(count) if count > 0 => all.extend_from_slice(part.get(..count).unwrap_or_default()),
            _ => break,
        }
        if !b"HTTP/".starts_with(all.get(..5).unwrap_or(&all)) {
            break;
        }
    }
    Answer::Other(all)
}

/// Returns whether a TLS handshake failed because the other side does not speak TLS.
fn is_plain(error: &std::io::Error) -> bool {
    matches!(of_tls(error), Some(rustls::Error::InvalidMessage(_)))
}

/// Returns whether a TLS handshake failed because of the other side's certificate.
fn is_untrusted(error: &std::io::Error) -> bool {
    matches!(of_tls(error), Some(rustls::Error::InvalidCertificate(_)))
}

fn of_tls(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
