//! sansws on an event loop, as its README shows it.

use std::net::TcpListener;

use sansws_mio::{
    AcceptOptions, Config, Endpoint, Error, Hub, Incoming, Limits, Listener, Result, Router,
    Scope, Server, ServerOptions, Socket,
};

use super::MESSAGE_LIMIT;
use crate::runtime::ServeResult;

pub(super) fn serve(listener: TcpListener) -> ServeResult {
    server(listener)?.serve(echo)?;
    Ok(())
}

/// Serves the handler behind a router with other routes, layers and limits.
pub(super) fn serve_router(listener: TcpListener) -> ServeResult {
    let router = Router::new()
        .route("/", echo)
        .route("/rooms/{room}", echo)
        .get("/health", |_: Scope| Ok(sansws_mio::Response::text(200, "fine\n")))
        .layer(|_: &mut Scope| Ok(()))
        .state(());
    server(listener)?.serve(router)?;
    Ok(())
}

/// A hub: what is received is published to the groups that the path says.
pub(super) fn serve_hub(listener: TcpListener) -> ServeResult {
    let router = Router::new().route("/{all:path}", FanOut);
    server(listener)?.serve(router.hub(&Hub::new()))?;
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

/// Takes messages of any length that the load sends.
fn server(listener: TcpListener) -> Result<Server, Error> {
    let limits = Limits {
        frame: MESSAGE_LIMIT as u64,
        message: MESSAGE_LIMIT as u64,
        ..Limits::default()
    };
    let options = ServerOptions::default().max_connections(65_536).config(Config {
        limits,
        ..Config::default()
    });
    Ok(Server::new(Listener::from_std(listener)?).options(options))
}
