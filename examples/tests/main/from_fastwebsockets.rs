//! The Rust of `docs/from-fastwebsockets.md`: each snippet talks to a peer over a socket.

use std::convert::Infallible;

use bytes::Bytes;
use http::Extensions;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sansws_tokio::hyper::{RouterExt, Upgrade, WebSocket};
use sansws_tokio::{
    Config, ConnectOptions, Limits, Result, Router, Server, accept, connect, connect_over,
};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceBuilder;
use tower_http::add_extension::AddExtensionLayer;
use tower_http::trace::TraceLayer;

use crate::page::shows_what_runs;

#[test]
fn the_page_shows_what_runs() {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/from-fastwebsockets.md"
    );
    shows_what_runs(page, &[include_str!("from_fastwebsockets.rs")]);
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, url)
}

async fn echoes(url: &str) {
    let mut socket = connect(url, ConnectOptions::default()).await.unwrap();
    socket.send_text("hi").await.unwrap();
    let echo = socket.receive_text().await.unwrap();
    assert_eq!(echo.as_deref(), Some("hi"));
    socket.close(1000, "").await.unwrap();
}

// ours: hyper
async fn echo(mut socket: WebSocket) -> Result {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn upgrade(
    mut request: hyper::Request<hyper::body::Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    Ok(match Upgrade::from_request(&mut request) {
        Ok(upgrade) => upgrade.on_upgrade(echo),
        Err(response) => response,
    })
}
// end

#[tokio::test]
async fn in_hyper() {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(upgrade));
        connection.with_upgrades().await.unwrap();
    });
    echoes(&url).await;
}

#[tokio::test]
async fn in_axum() {
    let (listener, url) = listen().await;
    // ours: axum
    async fn handler(upgrade: Upgrade) -> axum::response::Response {
        upgrade.on_upgrade(echo)
    }

    let router = axum::Router::new().route("/", axum::routing::any(handler));
    // end
    tokio::spawn(axum::serve(listener, router).into_future());
    echoes(&url).await;
}

#[tokio::test]
async fn a_client() -> Result {
    let server = Server::bind("127.0.0.1:0").await?;
    let address = server.local_addr()?;
    tokio::spawn(server.serve(async |upgrade: sansws_tokio::Upgrade| {
        let mut socket = upgrade.accept().await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok(())
    }));
    // ours: client
    let stream = TcpStream::connect(address).await?;
    let url = format!("ws://{address}/");
    let mut socket = connect_over(stream, &url, ConnectOptions::default()).await?;
    socket.send_text("hi").await?;
    // end
    assert_eq!(socket.receive_text().await?.as_deref(), Some("hi"));
    Ok(())
}

#[tokio::test]
async fn over_a_stream() -> Result {
    let (listener, url) = listen().await;
    async fn serve(listener: TcpListener) -> Result {
        // ours: stream
        let (stream, _) = listener.accept().await?;
        let upgrade = accept(stream, Default::default()).await?;
        let mut socket = upgrade.accept().await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        // end
        Ok(())
    }
    let serving = tokio::spawn(serve(listener));
    echoes(&url).await;
    serving.await?
}

#[tokio::test]
async fn limits() -> Result {
    let server = Server::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/", server.local_addr()?);
    tokio::spawn(server.serve(async |upgrade: sansws_tokio::Upgrade| {
        upgrade.accept().await?.send_text("x".repeat(2_000)).await?;
        Ok(())
    }));
    // ours: limits
    let limits = Limits {
        message: 1 << 10,
        ..Limits::default()
    };
    let options = ConnectOptions::default().config(Config {
        limits,
        ..Config::default()
    });
    // end
    let mut socket = connect(&url, options).await?;
    assert!(socket.receive().await.is_err());
    Ok(())
}

#[tokio::test]
async fn behind_layers() -> Result {
    let (listener, url) = listen().await;
    // ours: tower
    #[derive(Clone)]
    struct Tenant(&'static str);

    async fn hello(upgrade: sansws_tokio::Upgrade) -> Result {
        let extensions = upgrade.state::<Extensions>()?;
        let Tenant(tenant) = extensions.get().ok_or("the layer is missing")?;
        upgrade.accept().await?.send_text(*tenant).await?;
        Ok(())
    }

    let ours = Router::new().route("/", hello).into_service()?;
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(AddExtensionLayer::new(Tenant("acme")));
    let router = axum::Router::new().fallback_service(ours).layer(layers);
    // end
    tokio::spawn(axum::serve(listener, router).into_future());
    let mut socket = connect(&url, ConnectOptions::default()).await?;
    assert_eq!(socket.receive_text().await?.as_deref(), Some("acme"));
    Ok(())
}
