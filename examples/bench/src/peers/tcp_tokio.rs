//! Plain TCP echo on tokio.

use std::net::TcpListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::TCP_BUFFER;
use crate::runtime::{self, ServeResult};

pub(super) fn serve(listener: TcpListener) -> ServeResult {
    runtime::tokio(listener, echo)
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
