//! sansws on tokio, as its README shows it.

use std::net::TcpListener;

use sansws_tokio::{Hub, Listener, Result, Router, Scope, Server, ServerOptions, Upgrade, Wire};
use sansws_tokio::{IntoService, Service};

use tokio::runtime::Builder;

use super::sansws_config;
use crate::runtime::ServeResult;
use crate::scenario::Mode;
use crate::tls;

pub(super) fn serve(listener: TcpListener, mode: Mode) -> ServeResult {
    run(listener, mode, echo)
}

/// Serves a handler that is lent its messages.
pub(super) fn serve_lent(listener: TcpListener, mode: Mode) -> ServeResult {
    run(listener, mode, echo_lent)
}

/// Serves the handler behind a router with other routes, layers and limits.
pub(super) fn serve_router(listener: TcpListener, mode: Mode) -> ServeResult {
    run(listener, mode, router())
}

fn run<S>(listener: TcpListener, mode: Mode, service: S) -> ServeResult
where
    S: IntoService<Wire>,
    S::Service: Service<Wire, Handler: Send, Deciding: Send, Running: Send> + Send + Sync + 'static,
{
    let mut builder = match mode {
        Mode::Threads => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut listener = Listener::from_std(listener)?;
        if mode == Mode::Tls {
            listener = listener.tls(tls::server()?);
        }
        let options = ServerOptions::default().config(sansws_config(mode));
        Server::new(listener)
            .options(options)
            .serve(service)
            .await?;
        Ok(())
    })
}

/// A hub: what is received is published to the groups that the path says.
pub(super) fn serve_hub(listener: TcpListener, mode: Mode) -> ServeResult {
    let router = Router::new().route("/{all:path}", fan_out);
    run(listener, mode, router.hub(Hub::new()))
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

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn echo_lent(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    socket
        .receive_each(|message, out| out.send(message))
        .await?;
    Ok(())
}
