//! The snippets of the page, as tests: each talks to its snippet over a socket.
//!
//! A snippet stands between `// ours: name` and `// end`. `UPDATE=1` writes them into the page.

mod axum;
mod groups;
mod nexios;
#[path = "../support/page.rs"]
mod page;
mod starlette;

use std::time::Duration;

use futures_lite::future::or;
use serde_json::Value;

use crate::sansws::{
    ConnectOptions, Error, Result, Router, Server, WebSocket, Wire, connect, sleep,
};
use crate::sansws::{IntoService, Service};

#[test]
fn the_page_shows_what_runs() {
    let tests = [
        include_str!("nexios.rs"),
        include_str!("groups.rs"),
        include_str!("starlette.rs"),
        include_str!("axum.rs"),
    ];
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/from-nexios.md");
    page::shows_what_runs(page, &tests);
}

/// The error of a test.
type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// Runs a test, which takes no longer than this.
fn run(test: impl Future<Output = Outcome>) {
    let late = async {
        sleep(Duration::from_secs(30)).await;
        Err(Error::ConnectTimeout(None).into())
    };
    crate::block_on(or(test, late)).expect("a test that ends well, in time");
}

/// Serves on a port that the system chooses; where it is.
async fn serve<S>(app: S) -> Result<String, Error>
where
    S: IntoService<Wire> + Send + 'static,
    S::Service: Service<Wire, Handler: Send, Deciding: Send, Running: Send> + Send + Sync,
    S::Service: 'static,
{
    let server = Server::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}", server.local_addr()?);
    crate::spawn(server.serve(app));
    Ok(url)
}

/// Serves, and connects to a path.
async fn visit(app: Router, path: &str) -> Result<WebSocket, Error> {
    visit_with(app, path, ConnectOptions::default()).await
}

async fn visit_with(app: Router, path: &str, dial: ConnectOptions) -> Result<WebSocket, Error> {
    let url = serve(app).await?;
    connect(&format!("{url}{path}"), dial).await
}

/// The status with which a server refuses.
async fn refused(url: &str, dial: ConnectOptions) -> u16 {
    match connect(url, dial).await {
        Err(Error::Refused(response)) => response.status,
        other => panic!("{other:?}"),
    }
}

/// The next message: text.
async fn text(socket: &mut WebSocket) -> String {
    let text = socket.receive_text().await;
    text.unwrap().expect("a message")
}

/// The next message: JSON, as text.
async fn value(socket: &mut WebSocket) -> Value {
    serde_json::from_str(&text(socket).await).unwrap()
}

/// The code and reason with which the server closes, next.
async fn end(socket: &mut WebSocket) -> (u16, String) {
    match socket.receive().await {
        Ok(None) => {}
        Err(Error::Disconnect(_)) => {}
        other => panic!("{other:?}"),
    }
    let closed = socket.closed().expect("it has ended");
    (closed.code(), closed.reason)
}
