//! An application of all packages: a server with a hub for client libraries on tokio, a client of each adapter, and the conformance suite.

use std::sync::mpsc;
use std::thread;

use sansws_centrifuge::{Centrifuge, Options};
use sansws_conformance::{Suite, Verdict};
use sansws_core::hub::HubOptions;
use sansws_redis::{Redis, RedisOptions, hub_options};
use sansws_tokio::{ConnectOptions, Hub, Result, Router, Server, Upgrade};

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn serve(addresses: mpsc::Sender<String>) -> Result {
    let options = Options::default();
    let hub = HubOptions::default();
    let (hub, link) = Hub::linked(hub_options(options.configure(hub)));
    let redis = RedisOptions::one("redis://127.0.0.1:6379", "packages");
    let linked = Redis::new(link, sansws_redis::Runtime::Tokio, redis)?;
    drop(linked); // it would run until it is closed; no Redis is needed to compile and to start
    let router = Router::new()
        .route("/echo", echo)
        .route("/connection/websocket", Centrifuge::new(&hub, options));
    let server = Server::bind("127.0.0.1:0").await?;
    addresses.send(format!("ws://{}/echo", server.local_addr()?))?;
    server.serve(router).await?;
    Ok(())
}

async fn on_smol(url: &str) -> Result {
    let mut socket = sansws_smol::connect(url, ConnectOptions::default()).await?;
    socket.send_text("smol").await?;
    assert_eq!(socket.receive_text().await?.as_deref(), Some("smol"));
    socket.close(1000, "").await?;
    Ok(())
}

fn blocking(url: &str) -> Result {
    let mut socket = sansws_std::connect(url, sansws_std::ConnectOptions::default())?;
    socket.send_text("std")?;
    assert_eq!(socket.receive_text()?.as_deref(), Some("std"));
    socket.close(1000, "")?;
    Ok(())
}

/// Echoes text, on an event loop.
struct Echo;

impl sansws_mio::Endpoint for Echo {
    type Data = ();

    fn upgrade(
        &mut self,
        _: &mut sansws_mio::Scope,
        _: &mut sansws_mio::AcceptOptions,
    ) -> Result<()> {
        Ok(())
    }

    fn message(
        &mut self,
        socket: &mut sansws_mio::Socket<'_, ()>,
        message: sansws_mio::Incoming<'_>,
    ) -> Result {
        let _ = socket.send(message.text()?);
        Ok(())
    }
}

fn on_mio() -> Result<String> {
    let server = sansws_mio::Server::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/echo", server.local_addr()?);
    thread::spawn(|| {
        let router = sansws_mio::Router::new().route("/echo", Echo);
        server.serve(router).expect("the loop runs");
    });
    Ok(url)
}

fn main() -> Result {
    let (addresses, bound) = mpsc::channel();
    thread::spawn(|| serve(addresses).expect("the server runs"));
    let url = bound.recv()?;
    smol::block_on(on_smol(&url))?;
    blocking(&url)?;
    blocking(&on_mio()?)?;
    let results = Suite::new().only("1.*").test("packages", &url)?;
    assert_eq!(results.worst(), Verdict::Ok, "{results}");
    println!("an application of the packages runs");
    Ok(())
}
