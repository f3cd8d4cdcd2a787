//! tungstenite, blocking, as client of our servers and as server of our clients.

use std::net::TcpStream;

use sansws_async::{ConnectOptions, Error};
use sansws_core::close::CloseCode;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use super::messages::{echo, finish};
use crate::support::data::{SIZES, noise, text};
use crate::support::one_shot::{OneShot, dial};
use crate::support::ours::OurServer;
use crate::support::runtime::{Runtime, Setup};

crate::support::every_runtime!(
    their_client,
    their_client_is_closed,
    their_server,
    their_server_closes
);

/// Reads until the connection is at its end; the Close frame of the peer.
fn read_to_end(socket: &mut WebSocket<TcpStream>) -> Option<CloseFrame> {
    let mut close = None;
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => close = frame,
            Ok(message) => panic!("{message:?} instead of a close"),
            Err(tungstenite::Error::ConnectionClosed) => return close,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn connect(server: &OurServer, path: &str) -> WebSocket<TcpStream> {
    let stream = dial(server.port).unwrap();
    tungstenite::client(server.url(path), stream).unwrap().0
}

fn their_client<R: Runtime>() {
    let server = OurServer::start::<R>(Setup::default());
    let mut socket = connect(&server, "/");
    for size in SIZES {
        for message in [Message::from(text(size)), Message::from(noise(size))] {
            socket.send(message.clone()).unwrap();
            assert!(socket.read().unwrap() == message, "{size}");
        }
    }
    for payload in [Vec::new(), b"payload".to_vec(), noise(125)] {
        socket.send(Message::Ping(payload.clone().into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(payload.into()));
    }
    // Many in one segment.
    let many = || (0..64).map(|n| Message::from(format!("message {n}")));
    many().for_each(|message| socket.write(message).unwrap());
    socket.flush().unwrap();
    many().for_each(|message| assert_eq!(socket.read().unwrap(), message));
    let close = CloseFrame {
        code: 4999.into(),
        reason: "bye".into(),
    };
    socket.close(Some(close)).unwrap();
    let answer = read_to_end(&mut socket);
    assert_eq!(answer.map(|close| close.code.into()), Some(4999));
    drop(socket);
    server.stop();
}

fn their_client_is_closed<R: Runtime>() {
    let server = OurServer::start::<R>(Setup::default());
    for code in [1000, 1001, 3000, 4001] {
        let mut socket = connect(&server, &format!("/close/{code}/so-long"));
        let close = CloseFrame {
            code: code.into(),
            reason: "so-long".into(),
        };
        assert_eq!(read_to_end(&mut socket), Some(close));
    }
    let mut socket = connect(&server, "/fragments");
    assert_eq!(socket.read().unwrap(), Message::from("one two three"));
    // A client that vanishes does not hold the server up.
    drop(socket);
    let mut socket = connect(&server, "/");
    server.handle.close();
    let close = read_to_end(&mut socket);
    assert_eq!(close.map(|close| close.code.into()), Some(1001));
    drop(socket);
    server.stop();
}

/// Echoes, and pings after each message.
fn echo_and_ping(stream: TcpStream) {
    let mut socket = tungstenite::accept(stream).unwrap();
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                socket.send(Message::Ping("are you there".into())).unwrap();
                assert_eq!(
                    socket.read().unwrap(),
                    Message::Pong("are you there".into())
                );
                socket.send(message).unwrap();
            }
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn their_server<R: Runtime>() {
    let peer = OneShot::start(echo_and_ping);
    R::run(async {
        let url = format!("ws://127.0.0.1:{}/", peer.port);
        let mut socket = R::connect(&url, ConnectOptions::default()).await?;
        for size in SIZES {
            echo(&mut socket, text(size)).await?;
            echo(&mut socket, noise(size)).await?;
        }
        socket.ping("hello").await?;
        echo(&mut socket, "still here").await?;
        finish(socket).await
    });
    peer.finish();
}

fn their_server_closes<R: Runtime>() {
    let peer = OneShot::start(|stream| {
        let mut socket = tungstenite::accept(stream).unwrap();
        let close = CloseFrame {
            code: 4001.into(),
            reason: "bye".into(),
        };
        socket.close(Some(close.clone())).unwrap();
        let answer = read_to_end(&mut socket);
        assert_eq!(answer.map(|answer| answer.code), Some(close.code));
    });
    R::run(async {
        let url = format!("ws://127.0.0.1:{}/", peer.port);
        let mut socket = R::connect(&url, ConnectOptions::default()).await?;
        match socket.receive().await {
            Err(Error::Disconnect(closed)) => {
                assert_eq!(closed.code, CloseCode::new(4001));
                assert_eq!(closed.reason, "bye");
            }
            other => panic!("{other:?}"),
        }
        drop(socket);
        Ok(())
    });
    peer.finish();
}
