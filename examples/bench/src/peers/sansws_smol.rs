//! sansws on smol, as its README shows it.

use std::net::TcpListener;
use std::rc::Rc;

use sansws_smol::IntoService;
use sansws_smol::{
    Config, Hub, Limits, Listener, Result, Router, Scope, ServerOptions, Server, Upgrade, Wire,
};

use super::MESSAGE_LIMIT;
use crate::runtime::ServeResult;

pub(super) fn serve(listener: TcpListener) -> ServeResult {
    run(listener, echo)
}

/// Serves the handler behind a router with other routes, layers and limits.
pub(super) fn serve_router(listener: TcpListener) -> ServeResult {
    run(listener, router())
}

fn run<S>(listener: TcpListener, service: S) -> ServeResult
where
    S: IntoService<Wire>,
    S::Service: 'static,
{
    let tasks = Rc::new(::smol::LocalExecutor::new());
    ::smol::block_on(tasks.run(async {
        let server = Server::new(Listener::from_std(listener)?).options(options());
        let spawn = |task| tasks.spawn(task).detach();
        server.serve_local(service, spawn).await?;
        Ok(())
    }))
}

/// A hub: what is received is published to the groups that the path says.
pub(super) fn serve_hub(listener: TcpListener) -> ServeResult {
    let router = Router::new().route("/{all:path}", fan_out);
    run(listener, router.hub(&Hub::new()))
}

async fn fan_out(upgrade: Upgrade) -> Result {
    let groups = super::groups_of(&upgrade.target);
    let mut socket = upgrade.accept().await?;
    for group in &groups {
        socket.join(group).await?;
    }
    let Some(first) = groups.first() else {
        return Ok(());
    };
    while let Some(message) = socket.receive().await? {
        socket.publish(first, message).await?;
    }
    Ok(())
}

fn router() -> Router {
    Router::new()
        .route("/", echo)
        .route("/rooms/{room}", echo)
        .get("/health", "fine\n")
        .layer(|_: &mut Scope| Ok(()))
        .state(())
}

/// Messages of any length that the load sends.
fn options() -> ServerOptions {
    let limits = Limits {
        frame: MESSAGE_LIMIT as u64,
        message: MESSAGE_LIMIT as u64,
        ..Limits::default()
    };
    ServerOptions::default().config(Config {
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
