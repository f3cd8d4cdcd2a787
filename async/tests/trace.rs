//! Spans and events of `tracing`: fields as OpenTelemetry names them, and those of `docs/monitoring.md`.

mod support {
    pub mod app;
}

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_async::app::Route;
use sansws_async::external::ExternalUpgrade;
use sansws_async::test_kit::{Clock, MemoryStream, MemoryTransport, TestHub, TestServer};
use sansws_async::{
    Client, Closed, ConnectOptions, Connector, Error, LossCause, Result, Scope, ServerOptions,
    WebSocket,
};
use sansws_core::handshake::{AcceptOptions, Request};
use sansws_core::http::forwarded::Trusted;
use sansws_core::http::{Response, Url};
use sansws_core::random::Seed;
use sansws_core::time::Instant;
use support::app::{Routes, Up, echo, run, serve, serve_with};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

type Fields = BTreeMap<String, String>;

/// Calls `work` with a subscriber. Another one is alive meanwhile: with one, a thread that is first at an event would decide for all that
/// nobody wants it.
fn with_subscriber<R>(
    subscriber: impl Subscriber + Send + Sync + 'static,
    work: impl FnOnce() -> R,
) -> R {
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(subscriber, work)
}

/// The fields of spans by their number, and of events.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(BTreeMap<u64, Fields>, Vec<Fields>)>>);

struct Write<'a>(&'a mut Fields);

impl Visit for Write<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Told {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut told = self.0.lock().unwrap();
        let fields = told.0.entry(id.into_u64()).or_default();
        attributes.record(&mut Write(fields));
        fields.insert("name".into(), attributes.metadata().name().into());
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut recorded = Fields::new();
        values.record(&mut Write(&mut recorded));
        let mut told = self.0.lock().unwrap();
        let fields = told.0.entry(id.into_u64()).or_default();
        for (name, value) in recorded {
            // A subscriber that writes fields as they come would write it twice.
            let before = fields.insert(name.clone(), value);
            assert_eq!(before, None, "{name} is recorded once");
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Write(&mut fields));
        fields.insert("level".into(), event.metadata().level().to_string());
        self.0.lock().unwrap().1.push(fields);
    }
}

#[derive(Debug)]
struct Failure(std::io::Error);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the row was not written")
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

async fn fails(upgrade: Up) -> Result {
    let _socket = upgrade.accept().await?;
    Err(Failure(std::io::Error::other("the disk is full")).into())
}

async fn speaks(upgrade: Up) -> Result {
    let accept = AcceptOptions {
        subprotocol: upgrade.select_subprotocol(["chat.v2"]),
        ..AcceptOptions::default()
    };
    let mut socket = upgrade.accept_with(accept).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// The spans and events while a test runs.
fn told(
    serve: impl FnOnce(Routes) -> TestServer,
    test: impl AsyncFnOnce(TestServer) -> Result,
) -> (Vec<Fields>, Vec<Fields>) {
    let told = Told::default();
    let subscriber = tracing_subscriber::registry().with(told.clone());
    with_subscriber(subscriber, || {
        run(async {
            let routes = Routes::new()
                .route("/echo", echo)
                .route("/rooms/{room}", speaks)
                .route("/fails", fails)
                .get("/page", "a page");
            test(serve(routes)).await
        });
    });
    let told = told.0.lock().unwrap();
    (told.0.values().cloned().collect(), told.1.clone())
}

#[track_caller]
fn has(fields: &Fields, want: &[(&str, &str)]) {
    for (name, value) in want {
        assert_eq!(
            fields.get(*name).map(String::as_str),
            Some(*value),
            "{name}: {fields:#?}"
        );
    }
}

fn event<'a>(events: &'a [Fields], message: &str) -> &'a Fields {
    let is = |event: &&Fields| event["message"] == message;
    events
        .iter()
        .find(is)
        .unwrap_or_else(|| panic!("{message}: {events:#?}"))
}

#[test]
fn the_span_of_a_connection_has_the_fields_that_opentelemetry_knows() {
    let behind_proxy = |routes| {
        let trusted = Trusted::new(["127.0.0.1"]).unwrap();
        serve_with(routes, ServerOptions::default().trusted(trusted))
    };
    let (spans, events) = told(behind_proxy, async |server| {
        let mut dial = ConnectOptions::default()
            .header("User-Agent", "a test")
            .header("X-Forwarded-For", "192.0.2.7");
        dial.options.subprotocols = vec!["chat.v1".into(), "chat.v2".into()];
        let mut socket = server.connect_with("/rooms/7?token=secret", dial).await?;
        socket.send_text("Hello").await?;
        socket.expect_text("Hello").await;
        socket.close(4001, "enough").await?;
        server.pass(Duration::from_secs(1)).await;
        Ok(())
    });
    let [span] = &spans[..] else {
        panic!("{spans:#?}")
    };
    has(
        span,
        &[
            ("name", "connection"),
            ("otel.kind", "server"),
            ("otel.name", "GET /rooms/{room}"),
            ("network.protocol.name", "websocket"),
            ("network.transport", "tcp"),
            ("network.peer.address", "127.0.0.1"),
            ("client.address", "192.0.2.7"),
            ("server.address", "test"),
            ("server.port", "80"),
            ("url.scheme", "http"),
            ("url.path", "/rooms/7"),
            ("http.request.method", "GET"),
            ("http.response.status_code", "101"),
            ("http.route", "/rooms/{room}"),
            ("user_agent.original", "a test"),
            ("websocket.subprotocol", "chat.v2"),
            ("websocket.close_code", "4001"),
            ("websocket.closed_by", "peer"),
            ("websocket.messages_received", "1"),
            ("websocket.messages_sent", "1"),
            ("websocket.bytes_sent", "11"),
        ],
    );
    assert!(!span.contains_key("error.type"), "{span:#?}");
    let end = event(&events, "a connection ended");
    has(
        end,
        &[
            ("level", "DEBUG"),
            ("http.route", "/rooms/{room}"),
            ("websocket.close_code", "4001"),
            ("websocket.closed_by", "peer"),
            ("websocket.close_reason", "enough"),
        ],
    );
    let guide = include_str!("../../docs/monitoring.md");
    for field in span.keys().filter(|field| *field != "name") {
        assert!(guide.contains(&format!("`{field}`")), "{field}");
    }
    let all = format!("{spans:?} {events:?}");
    assert!(!all.contains("secret"), "{all}");
}

#[test]
fn the_end_of_a_lost_connection_says_why() {
    let (spans, events) = told(serve, async |server| {
        let lost = server.connect("/echo").await?;
        drop(lost);
        server.pass(Duration::from_secs(30)).await;
        Ok(())
    });
    let cause = [(
        "websocket.loss_cause",
        "the peer ended the stream without a Close frame",
    )];
    has(&spans[0], &cause);
    has(&spans[0], &[("websocket.close_code", "1006")]);
    has(event(&events, "a connection ended"), &cause);
    let guide = include_str!("../../docs/monitoring.md");
    assert!(guide.contains("`websocket.loss_cause`"));
}

/// Fails each attempt with the next error.
struct Unreachable(RefCell<Vec<Error>>);

impl Connector for Unreachable {
    type Transport = MemoryTransport;
    type Dialing = Ready<Result<WebSocket<MemoryTransport>, Error>>;
    type Sleeping = Ready<()>;

    fn dial(&self, _: &Url, _: &ConnectOptions) -> Self::Dialing {
        ready(Err(self.0.borrow_mut().remove(0)))
    }

    fn sleep(&self, _: Duration) -> Self::Sleeping {
        ready(())
    }

    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn seed(&self) -> Result<Seed, Error> {
        Ok(Seed::new([7; 32]))
    }
}

#[test]
fn a_client_says_where_it_connects_why_it_waits_and_why_it_gave_up() {
    let lost = Closed {
        code: None,
        reason: String::new(),
        clean: false,
        cause: Some(LossCause::Reset),
    };
    let errors = vec![
        Error::Disconnect(lost.into()),
        Error::Refused(Box::new(Response::new(401))),
    ];
    let (_, events) = told(serve, async |_| {
        let url = "ws://ada:lovelace@example.org/news?token=secret".parse()?;
        let connector = Unreachable(errors.into());
        let mut client = Client::with(connector, url, ConnectOptions::default())?;
        assert_eq!(client.receive().await?, None);
        Ok(())
    });
    let told: Vec<&str> = events.iter().map(|event| &*event["message"]).collect();
    assert_eq!(
        told,
        [
            "a client connects",
            "a client waits to reconnect",
            "a client connects",
            "a client gave up"
        ]
    );
    for event in &events {
        let server = [("server.address", "example.org"), ("server.port", "80")];
        has(event, &server);
        has(event, &[("level", "DEBUG"), ("url.path", "/news")]);
    }
    has(
        &events[1],
        &[("error", "the connection was lost (1006): TCP was reset")],
    );
    let waits: f64 = events[1]["websocket.wait_seconds"].parse().unwrap();
    assert!(waits > 0.0);
    has(
        &events[3],
        &[("error", "the server answered with status 401")],
    );
    let all = format!("{events:?}");
    assert!(
        !all.contains("secret") && !all.contains("lovelace"),
        "{all}"
    );
}

#[test]
fn a_handler_that_fails_is_an_error_with_its_type() {
    let (spans, events) = told(serve, async |server| {
        server.connect("/fails").await?.expect_close(1011).await;
        server.pass(Duration::from_secs(30)).await;
        Ok(())
    });
    let closed = [
        ("error.type", "other"),
        ("websocket.close_code", "1011"),
        ("websocket.closed_by", "server"),
    ];
    has(&spans[0], &closed);
    has(&spans[0], &[("otel.status_code", "ERROR")]);
    let end = event(&events, "a handler failed");
    has(end, &closed);
    let chain = ("error", "the row was not written: the disk is full");
    has(end, &[("level", "ERROR"), ("http.route", "/fails"), chain]);
}

#[test]
fn failures_before_a_handler_are_traced_with_their_route() {
    let (_, events) = told(
        |routes| {
            let panics =
                |_: &mut Scope| -> Result<(), Response> { panic!("a layer panics in this test") };
            let fails = async |_: Scope| -> Result<&'static str> { Err("no database".into()) };
            let routes = routes
                .add(Route::get("/layer/{n}", "never").layer(panics))
                .get("/page/{n}", fails);
            serve(routes)
        },
        async |server| {
            assert_eq!(server.get("/layer/1").await?.status, 500);
            assert_eq!(server.get("/page/1").await?.status, 500);
            assert_eq!(server.handle().metrics().handlers_failed, 2);
            Ok(())
        },
    );
    let failed =
        |event: &&Fields| event.get("message").map(String::as_str) == Some("a page failed");
    let failed: Vec<&Fields> = events.iter().filter(failed).collect();
    has(
        failed[0],
        &[
            ("level", "ERROR"),
            ("http.route", "/layer/{n}"),
            ("error.type", "panic"),
        ],
    );
    has(
        failed[1],
        &[
            ("level", "ERROR"),
            ("http.route", "/page/{n}"),
            ("error", "no database"),
        ],
    );
}

#[test]
fn connections_of_another_stack_are_traced_with_their_route() {
    let request = http::Request::builder()
        .uri("/rooms/lobby?token=secret")
        .header("Host", "example.org")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", "chat.v2");
    let request = Request::from_http(&request.body(()).unwrap(), None).unwrap();
    let told = Told::default();
    let subscriber = tracing_subscriber::registry().with(told.clone());
    with_subscriber(subscriber, || {
        let foreign = ExternalUpgrade::new(request)
            .route("/rooms/{room}")
            .subprotocols(["chat.v2"])
            .peer("192.0.2.7:4000".parse().unwrap());
        let (_, admitted) = foreign.accept().unwrap();
        let (_client, server) = MemoryStream::pair();
        let transport = MemoryTransport::new(server, &Clock::default());
        let mut running = std::pin::pin!(admitted.run(transport, async |_| Err("no room".into())));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(running.as_mut().poll(&mut cx).is_pending(), "it closes");
        drop(_client);
        assert!(running.as_mut().poll(&mut cx).is_ready());
    });
    let told = told.0.lock().unwrap();
    let span = told.0.values().next().unwrap();
    has(
        span,
        &[
            ("http.route", "/rooms/{room}"),
            ("url.path", "/rooms/lobby"),
            ("network.transport", "tcp"),
            ("network.peer.address", "192.0.2.7"),
            ("network.peer.port", "4000"),
            ("http.response.status_code", "101"),
            ("websocket.subprotocol", "chat.v2"),
        ],
    );
    has(
        span,
        &[
            ("otel.name", "GET /rooms/{room}"),
            ("server.address", "example.org"),
        ],
    );
    let failed = event(&told.1, "a handler failed");
    has(
        failed,
        &[("http.route", "/rooms/{room}"), ("error", "no room")],
    );
}

#[test]
fn a_refused_origin_is_a_warning_with_both_origins() {
    let (_, events) = told(serve, async |server| {
        let dial = ConnectOptions::default().header("Origin", "https://evil.example");
        let answer = server.expect_reject_with("/echo", dial, 403).await;
        let text = String::from_utf8(answer.body).unwrap();
        assert!(
            text.contains("https://evil.example") && text.contains("`test`"),
            "{text}"
        );
        Ok(())
    });
    let refused = event(&events, "an origin was refused");
    has(
        refused,
        &[
            ("level", "WARN"),
            ("origin", "https://evil.example"),
            ("host", "test"),
        ],
    );
}

/// It panics at each event.
struct Panics;

impl<S: Subscriber> Layer<S> for Panics {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        panic!("a subscriber panics in this test");
    }
}

#[test]
fn a_subscriber_that_panics_ends_no_server() {
    let subscriber = tracing_subscriber::registry().with(Panics);
    with_subscriber(subscriber, || {
        run(async {
            let server = serve(Routes::new().route("/fails", fails).get("/page", "a page"));
            for _ in 0..2 {
                let _ = server.connect("/fails").await;
                let _ = server.get("/page").await;
                server.pass(Duration::from_secs(30)).await;
                assert_eq!(server.handle().open(), 0);
            }
            assert!(server.handle().metrics().handlers_failed >= 2);
            Ok(())
        });
    });
}

#[test]
fn refusals_are_traced_with_their_status() {
    let (spans, _) = told(serve, async |server| {
        server.expect_reject("/nowhere", 404).await;
        server.exchange(b"nonsense\r\n\r\n").await?;
        server.pass(Duration::from_secs(30)).await;
        Ok(())
    });
    has(&spans[0], &[("http.response.status_code", "404")]);
    has(
        &spans[1],
        &[
            ("http.response.status_code", "400"),
            ("error.type", "refusal"),
        ],
    );
}

#[test]
fn a_backplane_that_goes_down_is_told_once() {
    let (_, events) = told(serve, async |_| {
        let (_hub, link) = TestHub::linked(Default::default());
        link.up();
        link.down();
        link.down();
        Ok(())
    });
    let changes: Vec<&str> = events
        .iter()
        .filter_map(|event| event.get("websocket.backplane_down").map(String::as_str))
        .collect();
    assert_eq!(changes, ["false", "true"]);
}
