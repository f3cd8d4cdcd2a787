//! Pages whose responses are written while they are made: a peer receives equal bytes from each server that has them. On event loops, a
//! streamed response has the callbacks of a WebSocket instead.
//! RFC 9112 section 7.1.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use sansws_async::ServerHandle;
use sansws_async::metrics::{HandshakeFailure, RequestKind, StatusClass};
use sansws_core::http::Response;

use super::Adapter;
use super::servers::{End, PATIENCE, Peer};

const ADAPTERS: [Adapter; 3] = [Adapter::Tokio, Adapter::Smol, Adapter::Std];

fn head() -> Response {
    Response::new(200).with("Content-Type", "text/csv")
}

/// Rows that are made one at a time, one of them empty; then perhaps a panic.
fn rows(panics: bool) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
    let rows = ["1,1\n", "", "2,4\n"].into_iter().map(Vec::from);
    let end = std::iter::from_fn(move || {
        assert!(!panics, "on purpose");
        None
    });
    rows.chain(end)
}

fn panics(scope: &sansws_async::Scope) -> bool {
    scope.raw_query() == Some("panics")
}

fn serve(adapter: Adapter, tell: Sender<(SocketAddr, ServerHandle)>) {
    macro_rules! on_runtime {
        ($ws:ident) => {
            async {
                async fn report(scope: $ws::Scope) -> $ws::Result<$ws::StreamedResponse> {
                    let rows = smol::stream::iter(rows(panics(&scope)));
                    Ok($ws::StreamedResponse::new(head(), rows))
                }
                let mut server = $ws::Server::bind("127.0.0.1:0").await.unwrap();
                tell.send((server.local_addr().unwrap(), server.handle()))
                    .unwrap();
                let methods = ["GET", "HEAD", "POST"];
                let route = $ws::Route::streamed(methods, "/report", report);
                server.serve($ws::Router::new().add(route)).await.unwrap();
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let report = |scope: sansws_std::Scope| {
                let rows = rows(panics(&scope));
                Ok(sansws_std::StreamedResponse::new(head(), rows))
            };
            let mut server = sansws_std::Server::bind("127.0.0.1:0").unwrap();
            tell.send((server.local_addr().unwrap(), server.handle()))
                .unwrap();
            let route = sansws_std::app::streamed(["GET", "HEAD", "POST"], "/report", report);
            server.serve(sansws_std::Router::new().add(route)).unwrap();
        }
        Adapter::Mio => unreachable!("it has none"),
    }
}

/// What a peer receives to the end.
fn answers(address: SocketAddr, requests: &str) -> (String, End) {
    let mut peer = Peer::connect(address, None);
    peer.write_all(requests.as_bytes()).unwrap();
    let (bytes, end) = peer.rest();
    (String::from_utf8(bytes).unwrap(), end)
}

#[test]
fn streamed_pages_are_written_alike() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n";
    let rows = "4\r\n1,1\n\r\n4\r\n2,4\n\r\n";
    for adapter in ADAPTERS {
        let (tell, told) = channel();
        let thread = thread::spawn(move || serve(adapter, tell));
        let (address, handle) = told.recv_timeout(PATIENCE).unwrap();

        let requests = "GET /report HTTP/1.1\r\nHost: a\r\n\r\n\
             POST /report HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx\
             HEAD /report HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /report HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let body = format!("\r\n{rows}0\r\n\r\n");
        let want = [
            head,
            &body,
            head,
            &body,
            head,
            "\r\n",
            head,
            "Connection: close\r\n",
            &body,
        ];
        let got = answers(address, requests);
        assert_eq!(got, (want.concat(), End::Clean), "{adapter:?}");

        // No streams without chunks: HTTP/1.0 is refused as a whole.
        let (old, _) = answers(address, "GET /report HTTP/1.0\r\nHost: a\r\n\r\n");
        assert!(old.starts_with("HTTP/1.1 505 "), "{adapter:?} {old}");

        // Half a response does not look like a whole one.
        let cut = answers(address, "GET /report?panics HTTP/1.1\r\nHost: a\r\n\r\n");
        let want = [head, "\r\n", rows].concat();
        assert_eq!(cut, (want, End::Clean), "{adapter:?}");

        handle.close();
        thread.join().unwrap();
        let metrics = handle.metrics();
        assert_eq!(metrics.handlers_failed, 1, "{adapter:?}");
        assert_eq!(metrics.failed(HandshakeFailure::Left), 0, "{adapter:?}");
        let pages = metrics.responses(RequestKind::Page, StatusClass::Success);
        assert_eq!(pages, 5, "{adapter:?}");
    }
}
