//! The opening handshake of a client.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use fastrand::Rng;
use sha1::{Digest, Sha1};

use crate::scenario::Mode;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Opens a WebSocket, and checks the answer.
pub(super) fn perform(
    stream: &mut (impl Read + Write),
    port: u16,
    target: &str,
    mode: Mode,
    rng: &mut Rng,
) -> Result<()> {
    let mut nonce = [0; 16];
    rng.fill(&mut nonce);
    let key = STANDARD.encode(nonce);
    let extensions = offer(mode);
    let request = format!(
        "GET {target} HTTP/1.1\r\n\
         Host: 127.0.0.1:{port}\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\n\
         {extensions}\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let head = read_head(stream)?;
    let agreed = head.contains("permessage-deflate");
    ensure!(
        agreed == mode.deflates(),
        "not the extensions that were offered"
    );
    check(&head, &key)
}

fn offer(mode: Mode) -> &'static str {
    match mode {
        Mode::Plain | Mode::Tls | Mode::Threads => "",
        Mode::Takeover => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        Mode::NoTakeover => {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        }
    }
}

fn read_head(stream: &mut impl Read) -> Result<String> {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    while !buffer[..filled].ends_with(b"\r\n\r\n") {
        ensure!(filled < buffer.len(), "the answer is too long");
        let count = stream.read(&mut buffer[filled..])?;
        ensure!(count > 0, "closed in the handshake");
        filled += count;
    }
    Ok(String::from_utf8(buffer[..filled].to_vec())?)
}

fn check(head: &str, key: &str) -> Result<()> {
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    ensure!(status.starts_with("HTTP/1.1 101"), "refused: {status}");
    let accept = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"))
        .context("no Sec-WebSocket-Accept")?
        .1;
    if accept.trim() != accept_key(key) {
        bail!("Sec-WebSocket-Accept does not match");
    }
    Ok(())
}

/// Returns the `Sec-WebSocket-Accept` that answers a key.
pub(crate) fn accept_key(key: &str) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(hash)
}
