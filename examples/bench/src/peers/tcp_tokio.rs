//! Plain TCP echo on tokio.

use std::net::TcpListener;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::TCP_BUFFER;
use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

pub(super) fn serve(listener: TcpListener, mode: Mode) -> ServeResult {
    match mode {
        Mode::Tls => runtime::tokio_tls(listener, echo),
        _ => runtime::tokio(listener, echo),
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> ServeResult {
    let mut buffer = vec![0; TCP_BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
