//! Our routes in a stack of tower's layers, and pages that are streamed through it.
//! RFC 9112 section 7.1; RFC 9113 section 8.2.2 (no transfer coding over HTTP/2).

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::Stream;
use http::Extensions;
use http::header::{HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sansws_tokio::hyper::RouterExt;
use sansws_tokio::{
    ConnectOptions, Error, Response, Result, Route, Router, Scope, ServerHandle, StreamedResponse,
    Upgrade, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::add_extension::AddExtensionLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tracing_subscriber::util::SubscriberInitExt;

use super::axum::ask;

/// Serves routes of axum; returns their URL.
async fn serve(router: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

#[derive(Clone)]
struct Tenant(&'static str);

async fn room(upgrade: Upgrade) -> Result {
    let extensions = upgrade.state::<Extensions>()?;
    let Tenant(tenant) = extensions.get().ok_or("no tenant")?;
    let id: &RequestId = extensions.get().ok_or("no request id")?;
    let same = upgrade.header("x-request-id") == id.header_value().to_str().ok();
    let mut socket = upgrade.accept().await?;
    socket.send_text(format!("{tenant} {same}")).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn tenant(scope: Scope) -> Result<Response> {
    let extensions = scope.state::<Extensions>()?;
    let Tenant(tenant) = extensions.get().ok_or("no tenant")?;
    Ok(Response::text(200, tenant.repeat(1_000)))
}

#[tokio::test]
async fn layers_of_tower_wrap_websockets_and_pages_and_their_extensions_reach_handlers() {
    let ours = Router::new()
        .route("/rooms/{room}", room)
        .get("/tenant", tenant)
        .into_service()
        .unwrap();
    let id = HeaderName::from_static("x-request-id");
    let served_by = HeaderName::from_static("x-served-by");
    #[expect(deprecated, reason = "a fixed token is enough here")]
    let bearer = ValidateRequestHeaderLayer::bearer("secret");
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(id.clone(), MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(id))
        .layer(TraceLayer::new_for_http())
        .layer(SetResponseHeaderLayer::overriding(
            served_by,
            HeaderValue::from_static("tower"),
        ))
        .layer(TimeoutLayer::with_status_code(
            http::StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(2),
        ))
        .layer(bearer)
        .layer(AddExtensionLayer::new(Tenant("acme")))
        .layer(CompressionLayer::new());
    let url = serve(axum::Router::new().fallback_service(ours).layer(layers)).await;

    let room = format!("{url}/rooms/lobby");
    let refused = connect(&room, ConnectOptions::default()).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 401));
    let options = ConnectOptions::default().header("Authorization", "Bearer secret");
    let mut socket = connect(&room, options).await.unwrap();
    let fields = socket.response_fields().unwrap();
    assert_eq!(fields.get_str("x-served-by"), Some("tower"));
    assert_eq!(fields.get_str("x-request-id").map(str::len), Some(36));
    let hello = socket.receive_text().await.unwrap();
    assert_eq!(hello.as_deref(), Some("acme true"));
    // The time of a request is not that of the connection that it opens.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    socket.send_text("behind layers").await.unwrap();
    let echo = socket.receive_text().await.unwrap();
    assert_eq!(echo.as_deref(), Some("behind layers"));
    socket.close(1000, "").await.unwrap();

    let get = "GET /tenant HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
        Authorization: Bearer secret\r\n";
    let page = ask(&url, &format!("{get}\r\n")).await;
    assert!(page.ends_with(&"acme".repeat(1_000)), "{page}");
    let mut tcp = dial(&url).await;
    let packed = format!("{get}Accept-Encoding: gzip\r\n\r\n");
    tcp.write_all(packed.as_bytes()).await.unwrap();
    let mut page = Vec::new();
    tcp.read_to_end(&mut page).await.unwrap();
    let text = String::from_utf8_lossy(&page).to_lowercase();
    assert!(text.contains("content-encoding: gzip"), "{text}");
    assert!(page.len() < 1_000);
}

/// Chunks that are counted; dropped, it counts that too.
struct Rows {
    left: usize,
    panics: bool,
    made: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Stream for Rows {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if self.left == 0 {
            assert!(!self.panics, "the last row does not exist");
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.made.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Some(vec![b'r'; 1_000]))
    }
}

/// A page of rows behind axum.
struct Streaming {
    url: String,
    handle: ServerHandle,
    made: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

async fn streaming(left: usize, panics: bool) -> Streaming {
    let (made, dropped) = (Arc::default(), Arc::default());
    let (making, dropping) = (Arc::clone(&made), Arc::clone(&dropped));
    let page = move |_: Scope| {
        let body = Rows {
            left,
            panics,
            made: Arc::clone(&making),
            dropped: Arc::clone(&dropping),
        };
        async move {
            let head = Response::new(200).with("Content-Type", "text/csv");
            Ok(StreamedResponse::new(head, body))
        }
    };
    let router = Router::new().add(Route::streamed(["GET"], "/rows", page));
    let service = router.into_service().unwrap();
    let handle = service.handle();
    let url = serve(axum::Router::new().fallback_service(service)).await;
    Streaming {
        url,
        handle,
        made,
        dropped,
    }
}

async fn dial(url: &str) -> TcpStream {
    let address = url.strip_prefix("ws://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

async fn request(url: &str) -> TcpStream {
    let mut tcp = dial(url).await;
    let get = b"GET /rows HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    tcp.write_all(get).await.unwrap();
    tcp
}

/// Waits until a count has this value.
async fn reaches(count: &AtomicUsize, value: usize) {
    while count.load(Ordering::SeqCst) != value {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_streamed_page_passes_through_in_chunks_over_http_1() {
    let page = streaming(3_000, false).await;
    let mut tcp = request(&page.url).await;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("transfer-encoding: chunked") && head.contains("text/csv"));
    assert!(body.ends_with("0\r\n\r\n"));
    assert_eq!(body.matches('r').count(), 3_000_000);
    reaches(&page.dropped, 1).await;
}

#[tokio::test]
async fn a_streamed_page_passes_through_in_frames_over_http_2() {
    let page = streaming(3_000, false).await;
    let tcp = dial(&page.url).await;
    let (mut requests, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let uri = page.url.replacen("ws", "http", 1) + "/rows";
    let request = http::Request::get(uri).body(()).unwrap();
    let (response, _) = requests.send_request(request, true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    assert!(!head.headers.contains_key("transfer-encoding"));
    let mut received = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        assert!(data.iter().all(|byte| *byte == b'r'));
        body.flow_control().release_capacity(data.len()).unwrap();
        received += data.len();
    }
    assert_eq!(received, 3_000_000);
    reaches(&page.dropped, 1).await;
}

#[tokio::test]
async fn the_head_of_a_streamed_page_has_no_body_behind_it_over_http_2() {
    let router = Router::new().add(Route::streamed(["HEAD"], "/rows", async |_: Scope| {
        let head = Response::new(200).with("Content-Type", "text/csv");
        Ok(StreamedResponse::new(head, futures_lite::stream::pending()))
    }));
    let service = router.into_service().unwrap();
    let handle = service.handle();
    // Axum would drop the body before hyper sees it.
    let service = hyper_util::service::TowerToHyperService::new(service);
    let (ours, theirs) = tokio::io::duplex(1 << 10);
    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(theirs), service);
    tokio::spawn(async move { drop(serving.await) });
    let (mut requests, connection) = h2::client::handshake(ours).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let request = http::Request::head("http://test/rows").body(()).unwrap();
    let (response, _) = requests.send_request(request, true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["content-type"], "text/csv");
    assert!(body.data().await.is_none());
    std::future::poll_fn(|cx| handle.poll_empty(cx)).await;
}

/// A layer that makes a request anew must take its extensions over.
#[tokio::test]
async fn a_request_without_the_stacks_upgrade_is_not_accepted() {
    let (tell, told) = oneshot::channel();
    let once = Arc::new(Mutex::new(Some(tell)));
    let handler = move |upgrade: Upgrade| {
        let tell = once.lock().unwrap().take();
        async move {
            let tell = tell.ok_or("it is asked once")?;
            let _ = tell.send(upgrade.accept().await.map(drop));
            Ok(())
        }
    };
    let service = Router::new().route("/", handler).into_service().unwrap();
    let request = http::Request::get("/")
        .header("Host", "test")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new());
    let response = service.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 500);
    let accepted = told.await.unwrap();
    assert!(matches!(accepted, Err(Error::Io(_))), "{accepted:?}");
}

#[tokio::test]
async fn a_handler_that_accepts_after_a_layer_has_answered_learns_that_it_is_too_late() {
    let (open, gate) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let once = Arc::new(Mutex::new(Some((gate, tell))));
    let late = move |upgrade: Upgrade| {
        let once = once.lock().unwrap().take();
        async move {
            let (gate, tell) = once.ok_or("it is asked once")?;
            gate.await?;
            let _ = tell.send(upgrade.accept().await.map(drop));
            Ok(())
        }
    };
    let service = Router::new().route("/late", late).into_service().unwrap();
    let handle = service.handle();
    let impatient = TimeoutLayer::with_status_code(
        http::StatusCode::REQUEST_TIMEOUT,
        Duration::from_millis(20),
    );
    let url = serve(
        axum::Router::new()
            .fallback_service(service)
            .layer(impatient),
    )
    .await;
    let refused = connect(format!("{url}/late"), ConnectOptions::default()).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 408));
    open.send(()).unwrap();
    let accepted = told.await.unwrap();
    assert!(matches!(accepted, Err(Error::Io(_))), "{accepted:?}");
    std::future::poll_fn(|cx| handle.poll_empty(cx)).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_a_streamed_page_and_its_end_ends_the_page() {
    let page = streaming(usize::MAX, false).await;
    let mut tcp = request(&page.url).await;
    let mut head = [0; 17];
    tcp.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK\r\n");
    // It stands still once all buffers are full.
    let mut before = usize::MAX;
    while before != page.made.load(Ordering::SeqCst) {
        before = page.made.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // Buffers of sockets over loopback hold megabytes.
    assert!(before < 100_000, "{before} rows");
    assert_eq!(page.dropped.load(Ordering::SeqCst), 0);
    drop(tcp);
    reaches(&page.dropped, 1).await;
}

#[tokio::test]
async fn a_page_that_panics_ends_without_the_end_of_its_body() {
    let page = streaming(5_000, true).await;
    let mut tcp = request(&page.url).await;
    let mut answer = String::new();
    let _ = tcp.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    reaches(&page.dropped, 1).await;
}

#[tokio::test]
async fn a_streamed_page_ends_when_the_server_drains() {
    let page = streaming(usize::MAX, false).await;
    let mut tcp = request(&page.url).await;
    while page.made.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    page.handle.drain(Duration::ZERO);
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"0\r\n\r\n"));
    reaches(&page.dropped, 1).await;
}

#[tokio::test]
async fn a_page_that_never_answers_ends_with_its_client_or_with_the_layer_that_answers_for_it() {
    /// Counts pages that have ended.
    struct Ends(Arc<AtomicUsize>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let [begun, ended] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (begins, of_page) = (Arc::clone(&begun), Arc::clone(&ended));
    let page = move |_: Scope| {
        begins.fetch_add(1, Ordering::SeqCst);
        let ends = Ends(Arc::clone(&of_page));
        async move {
            let _ends = ends;
            std::future::pending::<Response>().await
        }
    };
    let ours = Router::new().get("/rows", page).into_service().unwrap();
    let plain = axum::Router::new().fallback_service(ours);
    let url = serve(plain.clone()).await;
    let client = request(&url).await;
    reaches(&begun, 1).await;
    drop(client);
    reaches(&ended, 1).await;
    let late = TimeoutLayer::with_status_code(
        http::StatusCode::REQUEST_TIMEOUT,
        Duration::from_millis(20),
    );
    let url = serve(plain.layer(late)).await;
    let _waits = request(&url).await;
    reaches(&ended, 2).await;
}

/// The output of a subscriber.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_span_of_an_extracted_websocket_names_its_peer_and_has_each_field_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("sansws=debug")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With one subscriber alive, another thread that is first at an event would decide for all that nobody wants it.
    let _second = tracing_subscriber::registry().set_default();
    let _guard = subscriber.set_default();
    let echo = async |upgrade: sansws_tokio::hyper::Upgrade| -> axum::response::Response {
        upgrade.on_upgrade(async |mut socket: sansws_tokio::hyper::WebSocket| {
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            Ok(())
        })
    };
    let router = axum::Router::new().route("/echo", axum::routing::any(echo));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/echo", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());
    let mut socket = connect(&url, ConnectOptions::default()).await.unwrap();
    socket.close(4001, "enough").await.unwrap();
    let ended = async {
        loop {
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            match text
                .lines()
                .find(|line| line.contains("a connection ended"))
            {
                Some(line) => return String::from(line),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(60), ended).await;
    let line = line.expect("the end is logged");
    for field in [
        "network.transport=\"tcp\"",
        "network.peer.address=127.0.0.1",
        "network.peer.port=",
        "http.route=\"/echo\"",
        "http.response.status_code=101",
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    assert_eq!(line.matches("network.transport=").count(), 1, "{line}");
}
