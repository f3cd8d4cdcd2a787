//! Plain TCP echo on smol.

use std::net::TcpListener;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

use super::TCP_BUFFER;
use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

pub(super) fn serve(listener: TcpListener, _: Mode) -> ServeResult {
    runtime::smol(listener, echo)
}

async fn echo(mut stream: TcpStream) -> ServeResult {
    let mut buffer = vec![0; TCP_BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
