//! sansws on tokio, as its README shows it.

use std::net::TcpListener;

use sansws_tokio::{Config, Limits, Listener, Result, Serve, Server, Upgrade};

use super::MESSAGE_LIMIT;
use crate::runtime::ServeResult;

pub(super) fn serve(listener: TcpListener) -> ServeResult {
    let runtime = ::tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        Server::new(Listener::from_std(listener)?).options(options()).serve(echo).await?;
        Ok(())
    })
}

/// Messages of any length that the load sends.
fn options() -> Serve {
    let limits = Limits {
        frame: MESSAGE_LIMIT as u64,
        message: MESSAGE_LIMIT as u64,
        ..Limits::default()
    };
    Serve::default().config(Config {
        limits,
        ..Config::default()
    })
}

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
