//! Responses whose bodies are written while they are made.
//! RFC 9112 sections 7.1 and 9.3.

use crate::support;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use sansws_async::app::Route;
use sansws_async::internal::serve as connection;
use sansws_async::metrics::HandshakeFailure;
use sansws_async::{
    Error, HandlerError, IntoService, Router, Scope, ServerHandle, StreamedResponse, Transport,
};
use sansws_core::config::Config;
use sansws_core::http::Response;
use support::app::{run, serve};
use support::wire::{Task, Wire};

/// Chunks, and what happens after them.
struct Chunks {
    chunks: VecDeque<Vec<u8>>,
    end: End,
    dropped: Arc<AtomicBool>,
}

#[derive(Clone, Copy)]
enum End {
    Done,
    Panic,
    Never,
}

impl Stream for Chunks {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        match (self.chunks.pop_front(), self.end) {
            (Some(chunk), _) => Poll::Ready(Some(chunk)),
            (None, End::Done) => Poll::Ready(None),
            (None, End::Panic) => panic!("as planned"),
            (None, End::Never) => Poll::Pending,
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

struct Seen {
    dropped: Arc<AtomicBool>,
}

fn streams<T: Transport + Send + 'static>(end: End) -> (Router<T>, Seen) {
    let seen = Seen {
        dropped: Arc::default(),
    };
    let dropped = Arc::clone(&seen.dropped);
    let page = move |scope: Scope| {
        let body = Chunks {
            chunks: ["one", "", "three\r\n"].map(|text| text.into()).into(),
            end,
            dropped: Arc::clone(&dropped),
        };
        async move {
            if scope.raw_query() == Some("refused") {
                return Err(Error::reject(Response::text(403, "no\n")));
            }
            let head = Response::new(200).with("Content-Type", "text/plain");
            Ok(StreamedResponse::new(head, body))
        }
    };
    let routes = Router::new()
        .add(Route::streamed(["GET", "HEAD", "POST"], "/stream", page))
        .get("/next", "next");
    (routes, seen)
}

fn request(method: &str, target: &str, more: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{more}\r\n")
}

const CHUNKS: &str = "3\r\none\r\n7\r\nthree\r\n\r\n";

#[test]
fn chunks_are_written_as_they_come_and_another_request_follows() {
    run(async {
        let (routes, seen) = streams(End::Done);
        let server = serve(routes);
        let bytes = [
            request("GET", "/stream", ""),
            request("POST", "/stream", "Content-Length: 1\r\n") + "x",
            request("HEAD", "/stream", ""),
            request("GET", "/stream?refused", ""),
            request("GET", "/next", "Connection: close\r\n"),
        ];
        let answer = server.exchange(bytes.concat().as_bytes()).await?;
        let answer = String::from_utf8(answer).unwrap();
        let streamed = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}0\r\n\r\n"
        );
        let rest = answer.strip_prefix(&streamed).unwrap_or(&answer);
        let rest = rest.strip_prefix(&streamed).unwrap_or(rest);
        let (head, rest) = rest.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("Transfer-Encoding: chunked"), "{answer}");
        let rest = rest.strip_prefix("HTTP/1.1 403 Forbidden\r\n").unwrap();
        assert!(rest.ends_with("Connection: close\r\n\r\nnext"), "{rest}");
        assert!(seen.dropped.load(Ordering::Relaxed));
        Ok(())
    });
}

#[test]
fn a_stream_that_panics_ends_the_connection_without_the_end_of_the_body() {
    run(async {
        let (routes, seen) = streams(End::Panic);
        let server = serve(routes);
        let answer = server
            .exchange(request("GET", "/stream", "").as_bytes())
            .await?;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.ends_with(CHUNKS), "{answer}");
        assert!(seen.dropped.load(Ordering::Relaxed));
        // It is a failure of the application, and not of its peer.
        let metrics = server.handle().metrics();
        assert_eq!(metrics.handlers_failed, 1);
        assert_eq!(metrics.failed(HandshakeFailure::Left), 0);
        Ok(())
    });
}

#[test]
fn a_server_that_drains_ends_its_streams() {
    run(async {
        let (routes, seen) = streams(End::Never);
        let server = serve(routes);
        let handle = server.handle();
        let bytes = request("GET", "/stream", "");
        let mut exchange = std::pin::pin!(server.exchange(bytes.as_bytes()));
        let waited = server.run(Duration::from_secs(1), exchange.as_mut()).await;
        assert!(waited.is_none(), "it goes on");
        assert!(!seen.dropped.load(Ordering::Relaxed));
        handle.drain(Duration::ZERO);
        let answer = String::from_utf8(exchange.await?).unwrap();
        assert!(answer.ends_with(&format!("{CHUNKS}0\r\n\r\n")), "{answer}");
        assert!(seen.dropped.load(Ordering::Relaxed));
        Ok::<_, HandlerError>(())
    });
}

#[test]
fn the_stream_of_a_peer_that_left_is_dropped() {
    run(async {
        let (routes, seen) = streams(End::Never);
        let server = serve(routes);
        let bytes = request("GET", "/stream", "");
        let exchange = server.exchange(bytes.as_bytes());
        // The exchange is dropped, and its connection with it.
        let waited = server.run(Duration::from_secs(1), exchange).await;
        assert!(waited.is_none());
        server.pass(Duration::from_secs(1)).await;
        assert!(seen.dropped.load(Ordering::Relaxed));
        Ok(())
    });
}

#[test]
fn a_peer_that_sends_much_more_meanwhile_is_left() {
    run(async {
        let (routes, seen) = streams(End::Never);
        let server = serve(routes);
        let bytes = request("GET", "/stream", "") + &" ".repeat(70_000);
        // Excess input is not read, so its write may fail.
        let _ = server.exchange(bytes.as_bytes()).await;
        assert!(seen.dropped.load(Ordering::Relaxed));
        Ok(())
    });
}

/// A stream is not polled while its peer takes bytes one by one: it must not last for as long as the peer likes.
#[test]
fn a_peer_that_trickles_is_given_up() {
    let (routes, seen) = streams::<Wire>(End::Never);
    let options = support::server::options(Config::default());
    let service = routes.into_service(&options).unwrap();
    let (wire, handle) = (Wire::default(), ServerHandle::new(8));
    let (permit, arrival) = (
        handle.enter().unwrap(),
        support::server::arrival(wire.now()),
    );
    wire.allow(0);
    let serving = connection(wire.clone(), options, service, permit, arrival);
    let mut task = Task::new(serving);
    wire.push(request("GET", "/stream", ""));
    task.run();
    let mut seconds = 0;
    while task.done.is_none() {
        assert!(seconds < 30, "it goes on and on");
        seconds += 1;
        wire.allow(1);
        wire.pass(Duration::from_secs(1));
        task.run();
    }
    assert!(seconds >= 15, "a slow peer has its time: {seconds}");
    assert!(seen.dropped.load(Ordering::Relaxed));
}
