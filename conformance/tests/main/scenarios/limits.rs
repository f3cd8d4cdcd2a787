//! Times and limits in the adapters, with real clocks: peers that fall silent, a full server, large messages.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::TcpStream;

use sansws_async::{ConnectOptions, Error, ServerOptions};
use sansws_core::config::{Config, Limits, Timeouts};
use sansws_core::error::Violation;
use sansws_core::handshake::Failure;

use super::messages::{echo, finish};
use crate::support::one_shot::{OneShot, dial};
use crate::support::ours::OurServer;
use crate::support::runtime::{Runtime, Setup};

crate::support::every_runtime!(
    keepalive,
    silent_peer,
    silent_server,
    silent_client,
    full_server,
    large_message,
);

const SHORT: Duration = Duration::from_millis(150);

fn config(timeouts: Timeouts) -> Config {
    Config {
        timeouts,
        ..Config::default()
    }
}

fn pings() -> Config {
    config(Timeouts {
        ping: Some(SHORT),
        pong: Some(4 * SHORT),
        close: SHORT,
        ..Timeouts::default()
    })
}

/// Both ends ping and answer, so a connection without messages stays.
fn keepalive<R: Runtime>() {
    let server = OurServer::start::<R>(Setup {
        options: ServerOptions::default().config(pings()),
        ..Setup::default()
    });
    R::run(async {
        let mut socket =
            R::connect(&server.url("/"), ConnectOptions::default().config(pings())).await?;
        let late = async {
            R::sleep(10 * SHORT).await;
            Ok(None)
        };
        let nothing = smol::future::or(socket.receive(), late).await?;
        assert_eq!((nothing, socket.closed()), (None, None));
        echo(&mut socket, "still here").await?;
        finish(socket).await
    });
    server.stop();
}

/// A peer that answers no ping is given up with 1006.
fn silent_peer<R: Runtime>() {
    let peer = OneShot::start(|stream| {
        let mut socket = tungstenite::accept(stream).unwrap();
        // It reads octets, but never as a WebSocket.
        drain(socket.get_mut());
    });
    R::run(async {
        let url = format!("ws://127.0.0.1:{}/", peer.port);
        let mut socket = R::connect(&url, ConnectOptions::default().config(pings())).await?;
        match socket.receive().await {
            Err(Error::Disconnect(closed)) => {
                assert_eq!((closed.code(), closed.clean), (1006, false));
            }
            other => panic!("{other:?}"),
        }
        drop(socket);
        Ok(())
    });
    peer.finish();
}

/// A server that takes the connection and never answers.
fn silent_server<R: Runtime>() {
    let peer = OneShot::start(|mut stream| drain(&mut stream));
    R::run(async {
        let url = format!("ws://127.0.0.1:{}/", peer.port);
        let dial = ConnectOptions::default().config(config(Timeouts {
            handshake: Some(SHORT),
            ..Timeouts::default()
        }));
        let late = R::connect(&url, dial).await;
        assert!(
            matches!(late, Err(Error::Handshake(Failure::Timeout))),
            "{late:?}"
        );
        Ok(())
    });
    peer.finish();
}

/// A client that never sends its request gets 408.
fn silent_client<R: Runtime>() {
    let server = OurServer::start::<R>(Setup {
        options: ServerOptions::default().config(config(Timeouts {
            handshake: Some(SHORT),
            ..Timeouts::default()
        })),
        ..Setup::default()
    });
    let mut stream = dial(server.port).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(stream);
    server.stop();
}

fn full_server<R: Runtime>() {
    let server = OurServer::start::<R>(Setup {
        options: ServerOptions::default().max_connections(1),
        ..Setup::default()
    });
    R::run(async {
        let mut first = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        echo(&mut first, "let in").await?;
        match R::connect(&server.url("/"), ConnectOptions::default()).await {
            Err(Error::Refused(response)) => assert_eq!(response.status, 503),
            other => panic!("{other:?}"),
        }
        echo(&mut first, "still in").await?;
        finish(first).await?;
        // The place is free once the server has seen the end.
        while server.handle.open() > 0 {
            R::sleep(Duration::from_millis(5)).await;
        }
        let second = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        finish(second).await
    });
    server.stop();
}

/// Too large for the server: it closes with 1009. Too large for us: we do, and say why.
fn large_message<R: Runtime>() {
    let small = || Config {
        limits: Limits {
            message: 1000,
            ..Limits::default()
        },
        ..Config::default()
    };
    let server = OurServer::start::<R>(Setup {
        options: ServerOptions::default().config(small()),
        ..Setup::default()
    });
    R::run(async {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        echo(&mut socket, vec![0; 1000]).await?;
        socket.send_bytes(vec![0; 1001]).await?;
        match socket.receive().await {
            Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 1009),
            other => panic!("{other:?}"),
        }
        Ok(())
    });
    server.stop();

    let server = OurServer::start::<R>(Setup::default());
    R::run(async {
        let mut socket =
            R::connect(&server.url("/"), ConnectOptions::default().config(small())).await?;
        echo(&mut socket, vec![0; 1000]).await?;
        socket.send_bytes(vec![0; 1001]).await?;
        let large = socket.receive().await;
        assert!(
            matches!(large, Err(Error::Violation(Violation::MessageTooLarge))),
            "{large:?}"
        );
        Ok(())
    });
    server.stop();
}

fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}
