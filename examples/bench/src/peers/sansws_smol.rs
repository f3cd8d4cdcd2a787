//! sansws on smol, as its README shows it.

use std::net::TcpListener;
use std::rc::Rc;

use sansws_smol::{Config, Limits, Listener, Result, Serve, Server, Upgrade};

use super::MESSAGE_LIMIT;
use crate::runtime::ServeResult;

pub(super) fn serve(listener: TcpListener) -> ServeResult {
    let tasks = Rc::new(::smol::LocalExecutor::new());
    ::smol::block_on(tasks.run(async {
        let server = Server::new(Listener::from_std(listener)?).options(options());
        let spawn = |task| tasks.spawn(task).detach();
        server.serve_local(echo, spawn).await?;
        Ok(())
    }))
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
