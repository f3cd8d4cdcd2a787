//! Applications at the edges: late on a kept connection, with answers that cannot be written, while closing, when dropped.
//! RFC 6455 sections 4.2.1, 7.1.1 and 10.4; RFC 9112 section 6.

use crate::support;

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use sansws_async::app::{Endpoint, Layer, Route};
use sansws_async::metrics::{RequestKind, StatusClass};
use sansws_async::test_kit::{Clock, MemoryTransport, TestServer};
use sansws_async::{
    ConnectOptions, ConnectionPolicy, Error, Result, Scope, ServerOptions, StreamedResponse,
    WebSocket,
};
use sansws_core::close::Closed;
use sansws_core::config::{Config, Limits, Timeouts};
use sansws_core::connection::Role;
use sansws_core::frame::MessageKind;
use sansws_core::handshake::{AcceptOptions, OriginPolicy};
use sansws_core::http::{Headers, Response};
use sansws_core::limits::{LimitAction, Rate, TrafficLimits};
use support::app::{Routes, Up, echo, run, serve, serve_with};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_websocket_after_a_page_has_the_whole_time_for_its_handshake() {
    struct Slow;
    impl Layer for Slow {
        async fn check(&self, _: &mut Scope) -> Result<(), Response> {
            let clock = Clock::current().unwrap();
            clock.sleep(Duration::from_secs(5)).await;
            Ok(())
        }
    }
    async fn leave(upgrade: Up) -> Result {
        upgrade.accept().await?;
        Ok(())
    }
    run(async {
        let timeouts = Timeouts {
            keep_alive: Duration::from_secs(2),
            ..Timeouts::default()
        };
        let config = Config {
            timeouts,
            ..Config::default()
        };
        let router = Routes::new()
            .get("/", "a page")
            .add(Route::new("/ws", leave).layer(Slow));
        let server = serve_with(router, ServerOptions::default().config(config));
        let asked = format!("GET / HTTP/1.1\r\nHost: test\r\n\r\n{ASK}");
        let answer = server.exchange(asked.as_bytes()).await?;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("a pageHTTP/1.1 101 "), "{answer}");
        Ok(())
    });
}

/// A body that never comes.
struct Never;

impl Stream for Never {
    type Item = Vec<u8>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        Poll::Pending
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_500() {
    let broken = || {
        [
            Response::text(200, "x").with("Set-Cookie", "a=b\r\nX: y"),
            Response::new(101),
            Response::new(999),
        ]
    };
    run(async {
        for response in broken() {
            let rejection = response.clone();
            let layer = move |_: &mut Scope| Err::<(), _>(rejection.clone());
            let by_error = response.clone();
            let by_upgrade = response.clone();
            let by_stream = response.clone();
            let streamed = move |_: Scope| {
                let page = StreamedResponse::new(by_stream.clone(), Never);
                async { Ok(page) }
            };
            let server = serve(
                Routes::new()
                    .get("/page", response)
                    .add(Route::streamed(["GET"], "/streamed", streamed))
                    .add(Route::new("/layer", echo).layer(layer))
                    .route("/error", move |_: Up| {
                        let response = by_error.clone();
                        async move { Err(Error::reject(response)) }
                    })
                    .route("/upgrade", move |upgrade: Up| {
                        let response = by_upgrade.clone();
                        async move { Ok(upgrade.reject(response).await?) }
                    }),
            );
            for path in ["/page", "/streamed"] {
                assert_eq!(server.get(path).await?.status, 500);
            }
            for path in ["/layer", "/error", "/upgrade"] {
                server.expect_reject(path, 500).await;
            }
            // Sent bytes count.
            let metrics = server.handle().metrics();
            let failed = |asked| metrics.responses(asked, StatusClass::ServerError);
            assert_eq!(failed(RequestKind::Page), 2);
            assert_eq!(failed(RequestKind::WebSocket), 3);
        }
        Ok(())
    });
}

/// An error that cannot even say what it is.
#[derive(Debug)]
struct Mute;

impl std::fmt::Display for Mute {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("in the text of an error");
    }
}

impl std::error::Error for Mute {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        panic!("in the source of an error");
    }
}

#[test]
fn an_error_that_panics_is_one_of_the_application() {
    run(async {
        let server = serve(
            Routes::new()
                .get("/", async |_: Scope| Err::<Response, _>(Mute.into()))
                .route("/before", async |_: Up| Err(Mute.into()))
                .route("/after", async |upgrade: Up| {
                    upgrade.accept().await?;
                    Err(Mute.into())
                }),
        );
        assert_eq!(server.get("/").await?.status, 500);
        server.expect_reject("/before", 500).await;
        let mut socket = server.connect("/after").await?;
        socket.expect_close(1011).await;
        drop(socket);
        server.pass(Duration::from_secs(1)).await;
        let metrics = server.handle().metrics();
        assert_eq!((metrics.opened, metrics.websockets()), (1, 0));
        assert_eq!(metrics.handlers_failed, 3);
        Ok(())
    });
}

#[test]
fn limits_of_zero_let_one_message_after_the_other_pass() {
    run(async {
        let limits = Limits {
            write_queue: 0,
            high_water: 0,
            read_ahead: 0,
            ..Limits::default()
        };
        let config = Config {
            limits,
            ..Config::default()
        };
        let server = serve_with(
            Routes::new().route("/", echo),
            ServerOptions::default().config(config),
        );
        let mut socket = server.connect("/").await?;
        for text in ["one", "two"] {
            socket.send_text(text).await?;
            socket.expect_text(text).await;
        }
        Ok(())
    });
}

#[test]
fn a_response_has_one_length() {
    run(async {
        let page = Response::text(200, "whole")
            .with("content-length", "2")
            .with("Transfer-Encoding", "chunked");
        let server = serve(Routes::new().get("/", page));
        let asked = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2);
        let asked = asked + "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        let answer = server.exchange(asked.as_bytes()).await?;
        let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        assert_eq!(answer.matches("content-length: 5").count(), 3, "{answer}");
        assert_eq!(answer.matches("content-length").count(), 3, "{answer}");
        assert!(!answer.contains("transfer-encoding"), "{answer}");
        Ok(())
    });
}

fn limited(traffic: TrafficLimits) -> ConnectionPolicy {
    ConnectionPolicy::default().traffic(traffic)
}

#[test]
fn the_close_of_a_delayed_client_is_heard() {
    run(async {
        let traffic = TrafficLimits {
            messages: Some(Rate::per_minute(1)),
            ..TrafficLimits::default()
        };
        let server = serve(Routes::new().route("/", echo).policy(limited(traffic)));
        let mut socket = server.connect("/").await?;
        for text in ["1", "2"] {
            socket.send_text(text).await?;
            socket.expect_text(text).await;
        }
        server.handle().close();
        let begun = server.clock().now();
        socket.expect_close(1001).await;
        socket.close(1000, "").await?;
        let took = server.clock().now().since(begun);
        assert!(took < Duration::from_secs(1), "{took:?}");
        Ok(())
    });
}

#[test]
fn a_message_in_pieces_is_dropped_whole_and_counts_for_nothing() {
    async fn pieces(upgrade: Up) -> Result {
        let mut socket = upgrade.accept().await?;
        loop {
            let Some(mut reader) = socket.receive_stream().await? else {
                return Ok(());
            };
            let mut length = 0;
            while let Some(piece) = reader.next().await? {
                length += piece.len();
            }
            let dropped = socket.counters().dropped;
            socket.send_text(format!("{length} {dropped}")).await?;
        }
    }
    run(async {
        let traffic = TrafficLimits {
            bytes: Some(Rate::per_second(10)),
            outcome: LimitAction::Drop,
            ..TrafficLimits::default()
        };
        let server = serve(Routes::new().route("/", pieces).policy(limited(traffic)));
        let mut socket = server.connect("/").await?;
        {
            let mut writer = socket.socket().send_stream(MessageKind::Text);
            writer.write("x".repeat(100).as_str()).await?;
            server.pass(Duration::from_millis(1)).await;
            writer.write("x".repeat(100).as_str()).await?;
            server.pass(Duration::from_millis(1)).await;
            writer.finish().await?;
        }
        server.pass(Duration::from_millis(1)).await;
        let begun = server.clock().now();
        socket.send_text("five!").await?;
        socket.expect_text("5 1").await;
        assert!(server.clock().now().since(begun) < Duration::from_secs(1));
        Ok(())
    });
}

#[test]
fn a_clean_up_that_panics_when_all_are_dropped_harms_nobody_else() {
    #[derive(Clone)]
    struct Bad;
    impl Endpoint<MemoryTransport> for Bad {
        type Message = String;

        async fn on_receive(&mut self, _: &mut WebSocket<MemoryTransport>, _: String) -> Result {
            Ok(())
        }

        async fn on_disconnect(&mut self, _: Option<&Closed>) {
            panic!("in the clean-up");
        }
    }
    run(async {
        let server = serve(Routes::new().route("/", Bad));
        let mut socket = server.connect("/").await?;
        server.handle().drop_all();
        socket.expect_close(1006).await;
        assert_eq!(server.handle().open(), 0);
        Ok(())
    });
}

#[test]
fn a_router_that_was_built_before_inherits_the_policy_of_the_server() {
    run(async {
        let strict = ConnectionPolicy::default().origin(OriginPolicy::same_host().require());
        let lax = ConnectionPolicy::default().origin(OriginPolicy::any());
        let app = Routes::new()
            .route("/", echo)
            .add(Route::new("/lax", echo).policy(lax))
            .build()
            .unwrap();
        let options = ServerOptions::default().policy(strict);
        let server = TestServer::over(app, options, MemoryTransport::new).unwrap();
        server.expect_reject("/", 403).await;
        server.connect("/lax").await?.close(1000, "").await?;
        server.expect_reject("/nowhere", 403).await;
        Ok(())
    });
}

#[test]
fn closing_at_once_ends_a_drain_that_has_begun() {
    run(async {
        let server = serve(Routes::new().route("/", echo));
        let mut sockets = Vec::new();
        for _ in 0..8 {
            sockets.push(server.connect("/").await?);
        }
        server.handle().drain(Duration::from_secs(600));
        server.pass(Duration::from_millis(1)).await;
        server.handle().close();
        let begun = server.clock().now();
        for socket in &mut sockets {
            socket.expect_close(1001).await;
        }
        assert!(server.clock().now().since(begun) < Duration::from_secs(1));
        Ok(())
    });
}

#[test]
fn a_drain_may_last_for_ever() {
    run(async {
        let server = serve(Routes::new().route("/", echo));
        let mut socket = server.connect("/").await?;
        server.handle().drain(Duration::MAX);
        for text in ["one", "two"] {
            server.pass(Duration::from_secs(1)).await;
            socket.send_text(text).await?;
            socket.expect_text(text).await;
        }
        server.handle().close();
        socket.expect_close(1001).await;
        Ok(())
    });
}

#[test]
fn an_answer_that_outlasts_its_handler_opens_nothing() {
    type Accepting =
        Pin<Box<dyn Future<Output = Result<WebSocket<MemoryTransport>, Error>> + Send>>;
    run(async {
        let kept: Arc<Mutex<Option<Accepting>>> = Arc::default();
        let keep = Arc::clone(&kept);
        let server = serve(Routes::new().route("/ws", move |upgrade: Up| {
            let mut fields = Headers::default();
            fields.push("large", "x".repeat(100_000).as_bytes());
            let mut accepting: Accepting = Box::pin(upgrade.accept_with(AcceptOptions {
                fields,
                ..AcceptOptions::default()
            }));
            let keep = Arc::clone(&keep);
            poll_fn(move |cx| {
                // The client reads nothing before the handler returns.
                assert!(accepting.as_mut().poll(cx).is_pending());
                *keep.lock().unwrap() = Some(std::mem::replace(
                    &mut accepting,
                    Box::pin(std::future::pending()),
                ));
                Poll::Ready(Ok(()))
            })
        }));
        let mut asking = pin!(server.exchange(ASK.as_bytes()));
        let accepted = poll_fn(|cx| {
            let _ = asking.as_mut().poll(cx);
            match kept.lock().unwrap().as_mut() {
                Some(accepting) => accepting.as_mut().poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
        let kind = accepted.map_err(|error| match error {
            Error::Io(error) => error.kind(),
            error => panic!("{error}"),
        });
        assert_eq!(kind.err(), Some(ErrorKind::NotConnected));
        assert_eq!(server.handle().metrics().opened, 0);
        Ok(())
    });
}

#[test]
fn a_request_is_not_accepted_after_its_handler_returned() {
    run(async {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let router = Routes::new().route("/", move |upgrade: Up| {
            *keep.lock().unwrap() = Some(upgrade);
            async { Ok(()) }
        });
        let server = serve(router);
        let mut connecting = pin!(server.expect_reject("/", 403));
        let mut accepting = pin!(async {
            let upgrade: Up = poll_fn(|_| match kept.lock().unwrap().take() {
                Some(upgrade) => Poll::Ready(upgrade),
                None => Poll::Pending,
            })
            .await;
            assert!(upgrade.accept().await.is_err());
        });
        let mut accepted = false;
        poll_fn(|cx| {
            let connected = connecting.as_mut().poll(cx);
            accepted = accepted || accepting.as_mut().poll(cx).is_ready();
            connected
        })
        .await;
        Ok(())
    });
}

#[test]
fn answers_to_head_have_no_body_even_when_they_refuse() {
    run(async {
        let server = serve(Routes::new().get("/", "a page"));
        let asked = b"HEAD / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999\r\n\r\nx";
        let answer = server.exchange(asked).await?;
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
        Ok(())
    });
}

#[test]
fn halves_know_of_their_connection_what_the_whole_knows() {
    run(async {
        let splits = |upgrade: Up| async move {
            let options = AcceptOptions::default().subprotocol(Some("chat.v1"));
            let (mut reader, writer) = upgrade.accept_with(options).await?.split();
            let known = [reader.subprotocol(), writer.subprotocol()];
            assert_eq!(known, [Some("chat.v1"); 2]);
            assert_eq!([reader.role(), writer.role()], [Role::Server; 2]);
            while reader.receive().await?.is_some() {}
            assert!(writer.closed().is_some_and(|closed| closed.clean));
            assert_eq!(writer.counters().received, 2);
            Ok(())
        };
        let server = serve(Routes::new().route("/", splits));
        let options = ConnectOptions::default().subprotocol("chat.v1");
        let mut socket = server.connect_with("/", options).await?;
        assert_eq!(socket.socket().subprotocol(), Some("chat.v1"));
        socket.send_text("one").await?;
        socket.send_text("two").await?;
        socket.close(1000, "").await?;
        assert_eq!(server.handle().metrics().handlers_failed, 0);
        Ok(())
    });
}

#[test]
fn a_dropped_connection_is_over_for_halves_that_outlive_its_handler() {
    run(async {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let splits = move |upgrade: Up| {
            let keep = Arc::clone(&keep);
            async move {
                let (mut reader, mut writer) = upgrade.accept().await?.split();
                writer.send_text("hello").await?;
                *keep.lock().unwrap() = Some(writer);
                while reader.receive().await?.is_some() {}
                Ok(())
            }
        };
        let server = serve(Routes::new().route("/", splits));
        let mut socket = server.connect("/").await?;
        socket.expect_text("hello").await;
        server.handle().drop_all();
        server.pass(Duration::from_secs(1)).await;
        let mut writer = kept.lock().unwrap().take().ok_or("it was accepted")?;
        let sent = writer.send_text("to nobody").await;
        assert!(matches!(sent, Err(Error::Disconnect(_))), "{sent:?}");
        drop(writer);
        let received = socket.socket().receive().await;
        assert!(
            matches!(received, Err(Error::Disconnect(_))),
            "{received:?}"
        );
        Ok(())
    });
}

#[test]
fn a_dropped_request_is_over_for_a_task_that_would_accept_it_later() {
    run(async {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let keeps = move |upgrade: Up| {
            *keep.lock().unwrap() = Some(upgrade);
            std::future::pending::<Result>()
        };
        let server = serve(Routes::new().route("/", keeps));
        let mut connecting = pin!(server.connect("/"));
        poll_fn(|cx| {
            let _ = connecting.as_mut().poll(cx);
            if kept.lock().unwrap().is_none() {
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        server.handle().drop_all();
        server.pass(Duration::from_secs(1)).await;
        let upgrade = kept.lock().unwrap().take().ok_or("it was asked")?;
        let accepted = server.run(Duration::from_secs(60), upgrade.accept()).await;
        assert!(matches!(accepted, Some(Err(Error::Io(_)))), "{accepted:?}");
        assert_eq!(server.handle().open(), 0);
        Ok(())
    });
}

/// Notes when it is dropped.
struct Dropped(Arc<Mutex<Vec<&'static str>>>, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(self.1);
    }
}

#[test]
fn a_page_ends_with_its_client_and_so_does_a_layer() {
    struct Hangs(Arc<Mutex<Vec<&'static str>>>);
    impl Layer for Hangs {
        async fn check(&self, _: &mut Scope) -> Result<(), Response> {
            let _dropped = Dropped(Arc::clone(&self.0), "layer");
            std::future::pending().await
        }
    }
    run(async {
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let of_page = Arc::clone(&dropped);
        let page = move |_: Scope| {
            let dropped = Dropped(Arc::clone(&of_page), "page");
            async move {
                let _dropped = dropped;
                std::future::pending::<Response>().await
            }
        };
        let timeouts = Timeouts {
            handshake: None,
            ..Timeouts::default()
        };
        let config = Config {
            timeouts,
            ..Config::default()
        };
        let router = Routes::new()
            .get("/page", page)
            .add(Route::get("/layer", "never").layer(Hangs(Arc::clone(&dropped))));
        let server = serve_with(router, ServerOptions::default().config(config));
        for path in ["page", "layer"] {
            let request = format!("GET /{path} HTTP/1.1\r\nHost: test\r\n\r\n");
            // Two requests at once: the second is not a sign of life.
            let requests = request.repeat(2);
            // The client gives up, and is gone.
            assert!(server.exchange(requests.as_bytes()).await.is_err());
            assert!(dropped.lock().unwrap().is_empty());
            assert_eq!(server.handle().open(), 1);
            server.pass(Duration::from_millis(1)).await;
            assert_eq!(std::mem::take(&mut *dropped.lock().unwrap()), [path]);
            assert_eq!(server.handle().open(), 0);
        }
        Ok(())
    });
}
