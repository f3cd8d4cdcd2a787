//! sansws on an event loop, as its README shows it.

use std::net::TcpListener;

use sansws_mio::{
    AcceptOptions, Endpoint, Hub, Incoming, Listener, Result, Router, Scope, Server, ServerOptions,
    Socket,
};

use super::sansws_config;
use crate::runtime::ServeResult;
use crate::scenario::Mode;
use crate::tls;

pub(super) fn serve(listener: TcpListener, mode: Mode) -> ServeResult {
    let server = server(listener, mode)?;
    match mode {
        Mode::Threads => server.serve_on_threads(2, |_| Router::new().route("/", echo))?,
        _ => server.serve(echo)?,
    }
    Ok(())
}

/// Serves the handler behind a router with other routes, layers and limits.
pub(super) fn serve_router(listener: TcpListener, mode: Mode) -> ServeResult {
    let router = Router::new()
        .route("/", echo)
        .route("/rooms/{room}", echo)
        .get("/health", "fine\n")
        .layer(|_: &mut Scope| Ok(()))
        .state(());
    server(listener, mode)?.serve(router)?;
    Ok(())
}

/// A hub: what is received is published to the groups that the path says.
pub(super) fn serve_hub(listener: TcpListener, mode: Mode) -> ServeResult {
    let router = Router::new().route("/{all:path}", FanOut);
    server(listener, mode)?.serve(router.hub(Hub::new()))?;
    Ok(())
}

struct FanOut;

impl Endpoint for FanOut {
    /// The groups of the connection.
    type Data = Vec<String>;

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<Vec<String>> {
        Ok(super::groups_of(&request.target))
    }

    fn open(&mut self, socket: &mut Socket<'_, Vec<String>>) -> Result {
        for group in std::mem::take(socket.data()) {
            socket.join(&group)?;
            if socket.data().is_empty() {
                *socket.data() = vec![group];
            }
        }
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Vec<String>>, message: Incoming<'_>) -> Result {
        let Some(first) = socket.data().first().cloned() else {
            return Ok(());
        };
        Ok(socket.publish(&first, message.into_message())?)
    }
}

fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
    let _ = socket.send(message);
    Ok(())
}

/// Takes any number of connections.
fn server(listener: TcpListener, mode: Mode) -> anyhow::Result<Server> {
    let mut listener = Listener::from_std(listener)?;
    if mode == Mode::Tls {
        listener = listener.tls(tls::server()?);
    }
    let options = ServerOptions::default()
        .max_connections(65_536)
        .config(sansws_config(mode));
    Ok(Server::new(listener).options(options))
}
