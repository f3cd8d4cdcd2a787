//! Through a proxy and where redirects lead, over scripted wires and virtual time.
//! RFC 9110 section 9.3.6; RFC 1928; RFC 6455 section 4.1.

use crate::support;

use std::future::{Future, ready};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sansws_async::internal::{connect, follow, receive_request, tunnel};
use sansws_async::{ConnectOptions, Error, Result, Transport, WebSocket};
use sansws_core::config::{Config, Limits, Timeouts};
use sansws_core::error::InvalidInput;
use sansws_core::handshake::RedirectError;
use sansws_core::http::{Response, Url};
use sansws_core::proxy::{SocksReply, TunnelError};
use sansws_core::random::Seed;
use support::wire::{Task, Wire};

fn asking(
    wire: &Wire,
    url: &str,
    dial: ConnectOptions,
) -> Task<impl Future<Output = Result<Wire, Error>>> {
    let (wire, url): (_, Url) = (wire.clone(), url.parse().unwrap());
    Task::new(async move { tunnel(wire, &url, &dial).await })
}

fn through(proxy: &str) -> ConnectOptions {
    ConnectOptions::default().proxy(proxy.parse().unwrap())
}

#[test]
fn without_a_proxy_nothing_is_said() {
    let wire = Wire::default();
    let mut task = asking(&wire, "ws://a/", ConnectOptions::default());
    task.run();
    assert!(task.done.unwrap().is_ok() && wire.take().is_empty());
}

/// The answers of a proxy, in turn, and its input before each.
type Talk<'a> = &'a [(&'a [u8], &'a [u8])];

const HTTP: Talk<'_> = &[(
    b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
)];

const SOCKS: Talk<'_> = &[
    (&[5, 2, 0, 2], &[5, 2]),
    (&[1, 2, b'm', b'e', 2, b'p', b'w'], &[1, 0]),
    (
        &[5, 1, 0, 3, 1, b'a', 0, 80],
        &[5, 0, 0, 3, 2, b'x', b'y', 0, 1],
    ),
];

#[test]
fn each_proxy_in_any_pieces_and_no_byte_behind_it_is_read() {
    for (proxy, talk) in [("http://me:pw@p", HTTP), ("socks5://me:pw@p", SOCKS)] {
        for (piece, room) in [(1, 1), (2, 3), (1000, usize::MAX)] {
            let wire = Wire::default();
            let mut task = asking(&wire, "ws://a/chat", through(proxy));
            for (at, (told, answer)) in talk.iter().enumerate() {
                let mut got = Vec::new();
                while got.len() < told.len() {
                    wire.drain();
                    wire.state().room = room;
                    task.run();
                    got.extend(wire.take());
                }
                assert_eq!(got, *told, "{proxy}, {piece}");
                assert!(task.done.is_none());
                let last = at + 1 == talk.len();
                for part in answer.chunks(piece) {
                    wire.push(part);
                    task.run();
                }
                assert_eq!(task.done.is_some(), last, "{proxy}, {piece}");
            }
            wire.drain();
            let mut leads = task.done.unwrap().unwrap();
            // It leads to the server: what that says is there.
            wire.push("HTTP/1.1 101");
            let mut reading = Task::new(async move {
                let mut into = [0; 4];
                std::future::poll_fn(|cx| leads.poll_read(cx, &mut into)).await
            });
            reading.run();
            assert_eq!(reading.done.unwrap().unwrap(), 4);
        }
    }
}

#[test]
fn each_way_to_fail() {
    let cases: &[(&str, &[u8], TunnelError)] = &[
        (
            "http://p",
            b"HTTP/1.1 407 No\r\n\r\n",
            TunnelError::Refused(407),
        ),
        ("http://p", b"HTTP/1.1 200 OK\r\n\r\n!", TunnelError::Early),
        ("http://p", b"\x05\0", TunnelError::Malformed),
        ("http://p", b"", TunnelError::EndOfInput),
        ("socks5://p", b"\x05\xff", TunnelError::NoMethod),
        ("socks5://p", b"", TunnelError::EndOfInput),
        ("socks5://p", b"HTTP", TunnelError::Malformed),
    ];
    for (proxy, answer, want) in cases {
        let wire = Wire::default();
        let mut task = asking(&wire, "ws://a/", through(proxy));
        task.run();
        if answer.is_empty() {
            wire.end();
        } else {
            wire.push(*answer);
        }
        task.run();
        match task.done {
            Some(Err(Error::Proxy(error))) => assert_eq!(error, *want, "{proxy}"),
            other => panic!("{proxy}: {other:?}", other = other.map(|done| done.err())),
        }
    }
    let wire = Wire::default();
    let mut task = asking(&wire, "ws://a/", through("socks5://p"));
    task.run();
    wire.push([5, 0]);
    wire.push([5, 5, 0, 1, 0]);
    task.run();
    assert!(matches!(
        task.done,
        Some(Err(Error::Proxy(TunnelError::Failed(
            SocksReply::ConnectionRefused
        ))))
    ));
    let wire = Wire::default();
    wire.fail(io::ErrorKind::ConnectionReset);
    let mut task = asking(&wire, "ws://a/", through("http://p"));
    task.run();
    assert!(matches!(task.done, Some(Err(Error::Io(_)))));
    // A request that cannot be written for the proxy is the caller's fault.
    let wire = Wire::default();
    let mut task = asking(&wire, "ws://a/", through("socks5://me@p"));
    task.run();
    assert!(matches!(
        task.done,
        Some(Err(Error::InvalidInput(InvalidInput::Credentials)))
    ));
    assert!(wire.take().is_empty());
}

#[test]
fn a_proxy_has_its_time_and_its_head_a_bound() {
    let mut dial = through("http://p");
    dial.config = Arc::new(Config {
        timeouts: Timeouts {
            connect: Some(Duration::from_secs(3)),
            ..Timeouts::default()
        },
        limits: Limits {
            head: 100,
            ..Limits::default()
        },
        ..Config::default()
    });
    let wire = Wire::default();
    let mut task = asking(&wire, "ws://a/", dial.clone());
    task.run();
    // Octets that drip in buy no time.
    for byte in b"HTTP/1.1 200 OK\r\nA: " {
        wire.push([*byte]);
        wire.pass(Duration::from_millis(100));
        task.run();
        assert!(task.done.is_none());
    }
    wire.pass(Duration::from_millis(1_000));
    task.run();
    assert!(matches!(task.done, Some(Err(Error::ConnectTimeout(_)))));

    let wire = Wire::default();
    wire.state().flood = Some(vec![b'H'; 50]);
    let mut task = asking(&wire, "ws://a/", dial);
    task.run();
    assert!(matches!(
        task.done,
        Some(Err(Error::Proxy(TunnelError::TooLarge)))
    ));
}

/// A server that answers each request by its target: a redirect to what follows `/to/`, or the connection.
async fn once(url: Url, dial: ConnectOptions) -> Result<WebSocket<Wire>, Error> {
    if let Some(location) = url.target().strip_prefix("/to/") {
        let status = if location.contains("bad") { 404 } else { 307 };
        let response = Response::new(status).with("Location", location).with(
            "X-Seen",
            dial.options.fields.get("cookie").unwrap_or(b"none"),
        );
        return Err(Error::Refused(Box::new(response)));
    }
    let (one, two) = Wire::pair(7);
    let server = async {
        let upgrade = receive_request(two, Arc::default()).await?;
        assert_eq!(upgrade.path(), "/end");
        assert_eq!(
            upgrade.fields.get("cookie"),
            dial.options.fields.get("cookie")
        );
        upgrade.accept().await
    };
    let client = connect(
        one,
        &url,
        dial.options.clone(),
        dial.config.clone(),
        Seed::new([1; 32]),
    );
    let (mut server, mut client) = (Box::pin(server), Box::pin(client));
    let mut served = None;
    std::future::poll_fn(|cx| {
        if served.is_none()
            && let Poll::Ready(done) = server.as_mut().poll(cx)
        {
            served = Some(done.unwrap());
        }
        client.as_mut().poll(cx)
    })
    .await
}

fn followed(url: &str, most: u32) -> Result<WebSocket<Wire>, Error> {
    let dial = ConnectOptions::default()
        .cookie("a", "b")
        .unwrap()
        .redirects(most);
    let mut task = Task::new(follow(url.parse().unwrap(), dial, once));
    task.run();
    task.done.unwrap()
}

#[test]
fn redirects_are_followed_as_far_as_allowed() {
    assert!(followed("ws://a/end", 0).is_ok());
    assert!(followed("ws://a/to//end", 1).is_ok());
    assert!(followed("ws://a/to//to/http://b/end", 2).is_ok());
    assert!(matches!(
        followed("ws://a/to//to//end", 1),
        Err(Error::Redirect(RedirectError::TooMany))
    ));
    match followed("ws://a/to//end", 0) {
        Err(Error::Refused(response)) => assert_eq!(response.location(), Some("/end")),
        other => panic!("{other:?}"),
    }
    match followed("ws://a/to//to/bad", 5) {
        Err(Error::Refused(response)) => assert_eq!(response.status, 404),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        followed("wss://a/to/http://a/end", 5),
        Err(Error::Redirect(RedirectError::Downgrade))
    ));
}

#[test]
fn an_attempt_that_fails_is_not_made_again() {
    let mut dials = 0;
    let dial = ConnectOptions::default().redirects(5);
    let mut task = Task::new(follow::<Wire, _>(
        "ws://a/".parse().unwrap(),
        dial,
        |_, _| {
            dials += 1;
            ready(Err(Error::ConnectTimeout(None)))
        },
    ));
    task.run();
    assert!(matches!(task.done, Some(Err(Error::ConnectTimeout(_)))));
    drop(task);
    assert_eq!(dials, 1);
}
