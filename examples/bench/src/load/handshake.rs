//! The opening handshake of a client.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use fastrand::Rng;
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Opens a WebSocket, and checks the answer.
pub(super) fn perform(stream: &mut TcpStream, target: &str, rng: &mut Rng) -> Result<()> {
    let mut nonce = [0; 16];
    rng.fill(&mut nonce);
    let key = STANDARD.encode(nonce);
    let host = stream.peer_addr()?;
    let request = format!(
        "GET {target} HTTP/1.1\r\n\
         Host: {host}\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    check(&read_head(stream)?, &key)
}

fn read_head(stream: &mut TcpStream) -> Result<String> {
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

/// What a server answers to a key.
pub(crate) fn accept_key(key: &str) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(hash)
}
