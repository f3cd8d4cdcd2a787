//! A first look at a server: whether it is there, and speaks WebSocket, and what it is otherwise.
//! Judges nothing: that is for the cases.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::Head;
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
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
}
