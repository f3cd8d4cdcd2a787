//! Rules of routers, layers, pages and endpoints, one in each test.
//! RFC 6455 sections 4.2.2 and 7.4.1; RFC 9110 section 15.

use crate::support;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sansws_async::app::{Endpoint, Route};
use sansws_async::test_kit::{MemoryTransport, TestSocket};
use sansws_async::{ConnectOptions, Error, Json, Result, Scope, ServerOptions, WebSocket};
use sansws_core::close::{CloseCode, Closed};
use sansws_core::config::{Config, Timeouts};
use sansws_core::http::{Headers, RequestHead, Response};
use support::app::{Routes, Up, echo, run, serve, serve_with};

fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let host = [("Host", "test")];
    RequestHead {
        method: method.into(),
        target: target.into(),
        fields: host.iter().chain(fields).copied().collect::<Headers>(),
    }
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

/// A list that layers and endpoints write to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn layer(
        &self,
        name: &'static str,
    ) -> impl Fn(&mut Scope) -> Result<(), Response> + Send + Sync + 'static {
        let log = self.clone();
        move |_| {
            log.note(name);
            Ok(())
        }
    }
}

#[test]
fn parameters_come_typed_and_decoded_also_those_of_prefixes() {
    async fn tell(upgrade: Up) -> Result {
        let (team, id): (String, i64) = (upgrade.param("team")?, upgrade.param("id")?);
        let name = upgrade.query_value("name").unwrap_or_default().into_owned();
        let mut socket = upgrade.accept().await?;
        Ok(socket.send_text(format!("{team} {id} {name}")).await?)
    }
    run(async {
        let users = Routes::with_prefix("/users").route("/{id:int}", tell);
        let server = serve(Routes::with_prefix("/teams/{team}").merge(users));
        let mut socket = server
            .connect("/teams/r%20d/users/-7?name=Ada+L%26co")
            .await?;
        socket.expect_text("r d -7 Ada L&co").await;
        socket.expect_close(1000).await;
        server.expect_reject("/teams/red/users/seven", 404).await;
        server.expect_reject("/teams/%ff/users/7", 400).await;
        server.expect_reject("/teams/red/users/7/", 404).await;
        Ok(())
    });
}

#[test]
fn a_parameter_that_does_not_fit_is_400_and_one_that_is_not_there_500() {
    async fn unfit(upgrade: Up) -> Result {
        let _: u8 = upgrade.param("n")?;
        Ok(())
    }
    async fn unknown(upgrade: Up) -> Result {
        let _: String = upgrade.param("nope")?;
        Ok(())
    }
    run(async {
        let server = serve(
            Routes::new()
                .route("/unfit/{n:uint}", unfit)
                .route("/unknown", unknown),
        );
        server.expect_reject("/unfit/300", 400).await;
        server.expect_reject("/unfit/3", 500).await;
        server.expect_reject("/unknown", 500).await;
        Ok(())
    });
}

#[test]
fn a_mount_replaces_the_prefix_and_a_merge_keeps_it() {
    run(async {
        let chat = || Routes::with_prefix("/ws").route("/chat", echo);
        let server = serve(
            Routes::new()
                .merge(chat())
                .mount("/ws-override", chat())
                .merge(Routes::with_prefix("/api").mount("/v2", chat())),
        );
        for path in ["/ws/chat", "/ws-override/chat", "/api/v2/chat"] {
            server.connect(path).await?.close(1000, "").await?;
        }
        for path in ["/chat", "/ws-override/ws/chat", "/apix/v2/chat", "/v2/chat"] {
            server.expect_reject(path, 404).await;
        }
        Ok(())
    });
}

#[test]
fn layers_run_at_all_three_places_from_the_outside_in() {
    run(async {
        let log = Log::default();
        let inner = Routes::with_prefix("/inner")
            .add(
                Route::new("/x", echo)
                    .layer(log.layer("route 1"))
                    .layer(log.layer("route 2")),
            )
            .layer(log.layer("inner 1"))
            .layer(log.layer("inner 2"));
        let middle = Routes::with_prefix("/middle")
            .layer(log.layer("middle"))
            .merge(inner);
        let server = serve(Routes::new().merge(middle).layer(log.layer("app")));
        let mut socket = server.connect("/middle/inner/x").await?;
        let want = ["app", "middle", "inner 1", "inner 2", "route 1", "route 2"];
        assert_eq!(log.take(), want);
        socket.close(1000, "").await?;
        // The outermost ones see what leads nowhere, too.
        server.expect_reject("/nowhere", 404).await;
        assert_eq!(log.take(), ["app"]);
        Ok(())
    });
}

#[test]
fn a_layer_rejects_with_status_fields_and_body_and_what_is_behind_it_does_not_run() {
    run(async {
        let log = Log::default();
        let closed = |_: &mut Scope| {
            Err(Response::text(451, "not here\n").with("Link", "<https://example.org>"))
        };
        let route = Route::new("/x", echo)
            .layer(closed)
            .layer(log.layer("never"));
        let server = serve(Routes::new().add(route));
        let response = server.expect_reject("/x", 451).await;
        assert_eq!(body(&response), "not here\n");
        assert_eq!(
            response.fields.get_str("link"),
            Some("<https://example.org>")
        );
        assert!(log.take().is_empty());
        Ok(())
    });
}

#[test]
fn states_of_layers_hide_those_of_routers_the_inner_the_outer() {
    #[derive(Debug)]
    struct Name(&'static str);
    async fn tell(upgrade: Up) -> Result {
        let name = upgrade.state::<Name>()?;
        Ok(upgrade.accept().await?.send_text(name.0).await?)
    }
    run(async {
        let attach = |scope: &mut Scope| {
            scope.attach(Name("layer"));
            Ok(())
        };
        let inner = Routes::with_prefix("/inner")
            .state(Name("inner"))
            .route("/a", tell)
            .add(Route::new("/b", tell).state(Name("route")))
            .add(Route::new("/c", tell).layer(attach));
        let server = serve(
            Routes::new()
                .route("/app", tell)
                .merge(inner)
                .state(Name("app")),
        );
        for (path, want) in [
            ("/app", "app"),
            ("/inner/a", "inner"),
            ("/inner/b", "route"),
            ("/inner/c", "layer"),
        ] {
            server.connect(path).await?.expect_text(want).await;
        }
        let server = serve(Routes::new().route("/none", tell));
        server.expect_reject("/none", 500).await;
        Ok(())
    });
}

#[test]
fn pages_and_websockets_share_paths_and_the_rest_is_told_apart() {
    run(async {
        let page = async |scope: Scope| format!("{} {}", scope.method, scope.path());
        let server = serve(
            Routes::new()
                .get("/both", page)
                .route("/both", echo)
                .route("/socket", echo)
                .get("/page/{name}", page)
                .get("/static", Response::html(200, "<p>hi")),
        );
        server.connect("/both").await?.close(1000, "").await?;
        assert_eq!(body(&server.get("/both").await?), "GET /both");
        assert_eq!(body(&server.get("/page/a?b").await?), "GET /page/a");
        let page = server.get("/static").await?;
        assert_eq!(
            (body(&page).as_str(), page.fields.get_str("content-type")),
            ("<p>hi", Some("text/html; charset=utf-8"))
        );
        server.expect_reject("/static", 404).await;
        let cases: &[(&str, &str, &[(&str, &str)], u16, Option<&str>)] = &[
            ("HEAD", "/static", &[], 200, None),
            ("POST", "/static", &[], 405, Some("GET, HEAD")),
            ("POST", "/both", &[], 405, Some("GET, HEAD")),
            ("GET", "/socket", &[], 426, None),
            ("POST", "/socket", &[], 405, Some("GET")),
            ("WEBSOCKET", "/socket", &[], 426, None),
            ("GET", "/nowhere", &[], 404, None),
            ("GET", "/static", &[("Content-Length", "3")], 408, None),
            (
                "GET",
                "/static",
                &[("Transfer-Encoding", "chunked")],
                408,
                None,
            ),
            ("GET", "static", &[], 400, None),
            ("GET", "/socket", &[("Upgrade", "websocket")], 400, None),
            (
                "GET",
                "/socket",
                &[("Sec-WebSocket-Version", "13")],
                426,
                None,
            ),
        ];
        for (method, target, fields, status, allow) in cases {
            let response = server.request(&head(method, target, fields)).await?;
            assert_eq!(response.status, *status, "{method} {target} {fields:?}");
            assert_eq!(
                response.fields.get_str("allow"),
                *allow,
                "{method} {target}"
            );
        }
        Ok(())
    });
}

#[test]
fn pages_are_answered_in_order_on_one_connection() {
    run(async {
        let server = serve(Routes::new().get("/{n}", async |scope: Scope| {
            scope.param::<String>("n").unwrap()
        }));
        let get = |n: &str, more: &str| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n{more}\r\n");
        let bytes = [
            get("one", ""),
            get("two", "").replace("GET", "HEAD"),
            get("three", "Connection: close\r\n"),
            get("four", ""),
        ];
        let answer = String::from_utf8(server.exchange(bytes.concat().as_bytes()).await?).unwrap();
        let answers: Vec<&str> = answer.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        assert_eq!(answers.len(), 3, "{answer}");
        assert!(answers[0].ends_with("\r\n\r\none"));
        assert!(answers[1].ends_with("Content-Length: 3\r\n\r\n"));
        assert!(answers[2].ends_with("Connection: close\r\n\r\nthree"));
        // One that says nothing more is left.
        let before = server.clock().now();
        let answer = server.exchange(get("one", "").as_bytes()).await?;
        assert!(answer.ends_with(b"one"));
        let waited = server.clock().now().since(before);
        assert!(
            (Duration::from_secs(15)..Duration::from_secs(16)).contains(&waited),
            "{waited:?}"
        );
        Ok(())
    });
}

#[test]
fn an_error_of_a_handler_ends_its_connection_with_its_code_and_one_close() {
    async fn fail(upgrade: Up) -> Result {
        let how: String = upgrade.param("how")?;
        let mut socket = upgrade.accept().await?;
        match how.as_str() {
            "text" => Ok(socket.receive_text().await.map(drop)?),
            "bytes" => Ok(socket.receive_bytes().await.map(drop)?),
            "json" => Ok(socket.receive_json::<Vec<u8>>().await.map(drop)?),
            "policy" => Err(Error::close(CloseCode::POLICY, "no shouting")),
            "own" => Err(Error::close(CloseCode::try_from(4001)?, "é".repeat(100))),
            "other" => Err("a secret of ours".into()),
            "panic" => panic!("a secret of ours"),
            "late" => Err(Error::reject(Response::new(404))),
            "closed" => {
                socket.close(4002, "by hand").await?;
                Err("after the end".into())
            }
            _ => Ok(()),
        }
    }
    run(async {
        let server = serve(Routes::new().route("/{how}", fail));
        let cases: &[(&str, u16, &str)] = &[
            ("text", 1003, "expected text, received binary"),
            ("bytes", 1003, "expected binary, received text"),
            ("policy", 1008, "no shouting"),
            ("other", 1011, ""),
            ("panic", 1011, ""),
            ("late", 1011, ""),
            ("closed", 4002, "by hand"),
            ("fine", 1000, ""),
        ];
        for (how, code, reason) in cases {
            let mut socket = server.connect(&format!("/{how}")).await?;
            match *how {
                "text" => socket.send_bytes("octets").await?,
                "bytes" => socket.send_text("text").await?,
                _ => {}
            }
            assert_eq!(socket.expect_close(*code).await, *reason, "{how}");
        }
        let mut socket = server.connect("/json").await?;
        socket.send_text("[1, 2").await?;
        assert!(socket.expect_close(1007).await.contains("JSON"));
        // Cut between characters.
        let mut socket = server.connect("/own").await?;
        assert_eq!(socket.expect_close(4001).await, "é".repeat(61));
        Ok(())
    });
}

#[test]
fn a_handler_that_does_not_accept_is_answered_for() {
    async fn fail(upgrade: Up) -> Result {
        match upgrade.param::<String>("how")?.as_str() {
            "reject" => Ok(upgrade.reject(Response::text(402, "pay\n")).await?),
            "error" => Err(Error::reject(Response::text(402, "pay\n"))),
            "panic" => panic!(),
            "other" => Err("ours".into()),
            _ => Ok(()),
        }
    }
    run(async {
        let server = serve(Routes::new().route("/{how}", fail));
        for (how, status) in [
            ("reject", 402),
            ("error", 402),
            ("panic", 500),
            ("other", 500),
            ("forgets", 500),
        ] {
            server.expect_reject(&format!("/{how}"), status).await;
        }
        server.pass(Duration::from_millis(1)).await;
        assert_eq!(server.handle().open(), 0);
        Ok(())
    });
}

#[test]
fn layers_and_pages_that_panic_or_hang_are_answered_for() {
    struct Hang;
    impl sansws_async::app::Layer for Hang {
        async fn check(&self, _: &mut Scope) -> Result<(), Response> {
            std::future::pending().await
        }
    }
    run(async {
        let panics = |_: &mut Scope| -> Result<(), Response> { panic!() };
        let server = serve(
            Routes::new()
                .add(Route::new("/layer", echo).layer(panics))
                .add(Route::new("/hangs", echo).layer(Hang))
                .add(Route::get("/page-hangs", "never").layer(Hang))
                .get("/page", async |_: Scope| -> &'static str { panic!() })
                .get("/error", async |_: Scope| -> Result<&'static str> {
                    Err("ours".into())
                }),
        );
        server.expect_reject("/layer", 500).await;
        let patient = Config {
            timeouts: Timeouts {
                handshake: None,
                ..Timeouts::default()
            },
            ..Config::default()
        };
        let dial = ConnectOptions::default().config(patient);
        server.expect_reject_with("/hangs", dial, 503).await;
        let late = server.get("/page-hangs").await?;
        assert_eq!(
            (late.status, body(&late)),
            (503, "the request was not handled in time\n".into())
        );
        assert_eq!(server.get("/page").await?.status, 500);
        assert_eq!(server.get("/error").await?.status, 500);
        Ok(())
    });
}

/// An endpoint that says what is called.
#[derive(Clone)]
struct Spy(Log);

impl Endpoint<MemoryTransport> for Spy {
    type Message = String;

    async fn on_connect(&mut self, upgrade: Up) -> Result<WebSocket<MemoryTransport>> {
        self.0.note("connect");
        match upgrade.raw_query() {
            Some("refuse") => Err(Error::reject(Response::new(401))),
            Some("panic") => panic!(),
            _ => Ok(upgrade.accept().await?),
        }
    }

    async fn on_receive(
        &mut self,
        socket: &mut WebSocket<MemoryTransport>,
        text: String,
    ) -> Result {
        self.0.note(&text);
        match text.as_str() {
            "panic" => panic!(),
            "hang" => std::future::pending().await,
            "fail" => Err(Error::close(CloseCode::POLICY, "")),
            _ => Ok(socket.send_text(text).await?),
        }
    }

    async fn on_disconnect(&mut self, closed: Option<&Closed>) {
        let code = closed.map_or(0, Closed::code);
        self.0.note(format!("disconnect {code}"));
    }
}

#[test]
fn on_disconnect_runs_once_whenever_on_connect_began() {
    run(async {
        let log = Log::default();
        let server = serve(Routes::new().route("/spy", Spy(log.clone())));
        server.expect_reject("/spy?refuse", 401).await;
        assert_eq!(log.take(), ["connect", "disconnect 0"]);
        server.expect_reject("/spy?panic", 500).await;
        assert_eq!(log.take(), ["connect", "disconnect 0"]);

        let mut socket = server.connect("/spy").await?;
        socket.send_text("hello").await?;
        socket.expect_text("hello").await;
        socket.close(1000, "").await?;
        assert_eq!(log.take(), ["connect", "hello", "disconnect 1000"]);

        for (text, code) in [("panic", 1011), ("fail", 1008)] {
            let mut socket = server.connect("/spy").await?;
            socket.send_text(text).await?;
            socket.expect_close(code).await;
            server.pass(Duration::from_secs(1)).await;
            assert_eq!(log.take(), ["connect", text, "disconnect 0"]);
        }

        let mut socket = server.connect("/spy").await?;
        socket.send_bytes("octets").await?;
        socket.expect_close(1003).await;
        assert_eq!(log.take(), ["connect", "disconnect 0"]);

        // The peer vanishes.
        let socket = server.connect("/spy").await?;
        drop(socket);
        server.pass(Duration::from_secs(1)).await;
        assert_eq!(log.take(), ["connect", "disconnect 1006"]);

        // The server drops what hangs.
        let mut socket = server.connect("/spy").await?;
        socket.send_text("hang").await?;
        server.pass(Duration::from_secs(1)).await;
        server.handle().drop_all();
        server.pass(Duration::from_secs(1)).await;
        assert_eq!(log.take()[2..], ["disconnect 0"]);
        Ok(())
    });
}

#[test]
fn endpoints_take_json_and_each_connection_has_its_own() {
    #[derive(Clone, Default)]
    struct Sum(i64);
    impl Endpoint<MemoryTransport> for Sum {
        type Message = Json<Vec<i64>>;

        async fn on_receive(
            &mut self,
            socket: &mut WebSocket<MemoryTransport>,
            Json(numbers): Json<Vec<i64>>,
        ) -> Result {
            self.0 += numbers.iter().sum::<i64>();
            Ok(socket.send_json(&self.0).await?)
        }
    }
    run(async {
        let server = serve(Routes::new().route("/sum", Sum::default()));
        for _ in 0..2 {
            let mut socket = server.connect("/sum").await?;
            socket.send_json(&[1, 2]).await?;
            assert_eq!(socket.expect_json::<i64>().await, 3);
            socket.send_bytes("[4]").await?;
            assert_eq!(socket.expect_json::<i64>().await, 7);
            socket.send_text("{}").await?;
            socket.expect_close(1007).await;
        }
        Ok(())
    });
}

#[test]
fn messages_of_one_kind_are_iterated_over() {
    async fn texts(upgrade: Up) -> Result {
        let mut socket = upgrade.accept().await?;
        let mut count = 0;
        let mut texts = socket.messages::<String>();
        while let Some(text) = texts.next().await? {
            count += text.len();
        }
        assert_eq!(count, 3);
        Ok(())
    }
    run(async {
        let server = serve(Routes::new().route("/", texts));
        let mut socket = server.connect("/").await?;
        for text in ["a", "bc"] {
            socket.send_text(text).await?;
        }
        assert_eq!(
            socket.close(1000, "").await?.map(|closed| closed.code()),
            Some(1000)
        );
        Ok(())
    });
}

#[test]
fn guards_are_held_until_the_connection_has_ended() {
    static HELD: AtomicU32 = AtomicU32::new(0);
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            HELD.fetch_sub(1, Ordering::SeqCst);
        }
    }
    run(async {
        let hold = |scope: &mut Scope| {
            HELD.fetch_add(1, Ordering::SeqCst);
            scope.keep_alive_until_close(Guard);
            Ok(())
        };
        let refuse = |_: &mut Scope| Err(Response::new(403));
        let server = serve(
            Routes::new()
                .route("/in", echo)
                .add(Route::new("/out", echo).layer(refuse))
                .layer(hold),
        );
        server.expect_reject("/out", 403).await;
        assert_eq!(HELD.load(Ordering::SeqCst), 0);
        let mut socket = server.connect("/in").await?;
        assert_eq!(HELD.load(Ordering::SeqCst), 1);
        socket.close(1000, "").await?;
        server.pass(Duration::from_secs(1)).await;
        assert_eq!(HELD.load(Ordering::SeqCst), 0);
        Ok(())
    });
}

#[test]
fn draining_closes_all_with_1012_within_the_window_and_tells_who_comes() {
    run(async {
        let server = serve_with(Routes::new().route("/", echo), ServerOptions::default());
        let mut sockets = Vec::new();
        for _ in 0..50 {
            sockets.push(server.connect("/").await?);
        }
        server.handle().drain(Duration::from_secs(10));
        server.pass(Duration::from_secs(5)).await;
        let told = |socket: &mut TestSocket| {
            let mut receiving = pin!(socket.socket().receive());
            let mut cx = Context::from_waker(Waker::noop());
            receiving.as_mut().poll(&mut cx).is_ready()
        };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for mut socket in sockets {
            let half = if told(&mut socket) {
                &mut first
            } else {
                &mut second
            };
            half.push(socket);
        }
        assert!(
            (20..=30).contains(&first.len()),
            "{} at half-time",
            first.len()
        );
        let response = server.expect_reject("/", 503).await;
        assert!(response.fields.get_str("retry-after").is_some());
        server.pass(Duration::from_secs(5)).await;
        for socket in first.iter_mut().chain(&mut second) {
            socket.expect_close(1012).await;
        }
        drop((first, second));
        server.pass(Duration::from_millis(1)).await;
        assert_eq!(server.handle().open(), 0);
        Ok(())
    });
}

#[test]
fn routes_in_each_others_way_are_told_by_both_names_when_it_is_served() {
    let router = Routes::new().route("/a/{x}", echo).route("/a/{y}", echo);
    let error = sansws_async::test_kit::TestServer::over(
        router,
        ServerOptions::default(),
        MemoryTransport::new,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("/a/{x}") && error.contains("/a/{y}"),
        "{error}"
    );
}

#[test]
fn a_client_that_sends_and_reads_at_once_gets_any_length_through_an_echo() {
    run(async {
        let server = serve(Routes::new().route("/", echo));
        let mut socket = server.connect("/").await?;
        let text = "x".repeat(10_000);
        // Thirty times what may stand unsent at either end and lie in between.
        const COUNT: usize = 1_000;
        let before = server.clock().now();
        let (mut sent, mut received) = (0, 0);
        {
            let socket = socket.socket();
            let both = poll_fn(|cx| {
                while sent < COUNT {
                    let mut sending = pin!(socket.send_text(text.as_str()));
                    match sending.as_mut().poll(cx) {
                        Poll::Ready(done) => done?,
                        Poll::Pending => break,
                    }
                    sent += 1;
                }
                while received < COUNT {
                    let mut receiving = pin!(socket.receive_text());
                    match receiving.as_mut().poll(cx) {
                        Poll::Ready(got) => assert_eq!(got?.as_deref(), Some(text.as_str())),
                        Poll::Pending => return Poll::Pending,
                    }
                    received += 1;
                }
                Poll::Ready(Ok::<_, Error>(()))
            });
            server
                .run(Duration::from_secs(1_000), both)
                .await
                .unwrap()?;
        }
        let took = server.clock().now().since(before);
        assert!(took < Duration::from_secs(1), "{took:?}");
        Ok(())
    });
}

#[test]
fn failures_are_logged_with_their_route_and_acts_of_peers_are_not() {
    /// Where the log goes.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Said {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn panics(upgrade: Up) -> Result {
        let _socket = upgrade.accept().await?;
        panic!("as it should")
    }
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    // With one subscriber alive, another thread that is first at an event would decide for all that nobody wants it.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(subscriber, || {
        run(async {
            let server = serve(
                Routes::new()
                    .route("/rooms/{room}", panics)
                    .route("/echo", echo),
            );
            drop(server.connect("/echo").await?);
            server.expect_reject("/nowhere", 404).await;
            let mut socket = server.connect("/rooms/7").await?;
            socket.expect_close(1011).await;
            drop(socket);
            server.pass(Duration::from_secs(10)).await;
            Ok(())
        });
    });
    let said = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in [
        "ERROR",
        "a handler failed",
        "http.route=\"/rooms/{room}\"",
        "the handler panicked",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
