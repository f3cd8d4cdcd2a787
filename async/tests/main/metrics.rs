//! The metrics of a server, its exposition for Prometheus, and its health.
//! RFC 6455 section 7.4; RFC 9110 section 15.

use crate::support;

use std::collections::BTreeSet;
use std::time::Duration;

use sansws_async::app::Route;
use sansws_async::metrics::{
    ClosedBy, CodeClass, HandshakeFailure, RejectReason, RequestKind, StatusClass,
};
use sansws_async::test_kit::{TestHub, TestServer};
use sansws_async::{
    ConnectionPolicy, Result, ServerHandle, ServerOptions, StreamedResponse, prometheus_response,
};
use sansws_core::config::{Config, Timeouts};
use sansws_core::http::Response;
use sansws_core::hub::HubOptions;
use sansws_core::limits::{LimitAction, Rate, TrafficLimits};
use support::app::{Routes, Up, echo, run, serve, serve_with};
use support::exposition::read;

async fn closes(upgrade: Up) -> Result {
    let code: u16 = upgrade.param("code")?;
    let mut socket = upgrade.accept().await?;
    socket.close(code, "").await?;
    Ok(())
}

async fn fails(upgrade: Up) -> Result {
    let _socket = upgrade.accept().await?;
    Err("as it should".into())
}

async fn rejects(upgrade: Up) -> Result {
    Ok(upgrade.reject(Response::text(403, "no")).await?)
}

async fn ignores(_: Up) -> Result {
    Ok(())
}

fn all() -> TestServer {
    serve(
        Routes::new()
            .route("/echo", echo)
            .route("/close/{code:int}", closes)
            .route("/fails", fails)
            .route("/rejects", rejects)
            .route("/ignores", ignores)
            .get("/page", "a page"),
    )
}

#[test]
fn connections_are_counted_by_the_code_they_were_closed_with_and_by_whom() {
    run(async {
        let server = all();
        for code in [1000, 1001, 3001, 4000, 4999] {
            server.connect("/echo").await?.close(code, "").await?;
            let mut socket = server.connect(&format!("/close/{code}")).await?;
            socket.expect_close(code).await;
        }
        server.connect("/fails").await?.expect_close(1011).await;
        drop(server.connect("/echo").await?);
        let mut vanishes = server.connect("/echo").await?;
        vanishes.send_text("fine").await?;
        drop(vanishes);
        server.pass(Duration::from_secs(30)).await;
        let metrics = server.handle().metrics();
        let by = |closer, class| metrics.closed_by(closer, class);
        for (class, count) in [
            (CodeClass::Normal, 1),
            (CodeClass::Away, 1),
            (CodeClass::Registered, 1),
            (CodeClass::Private, 2),
        ] {
            assert_eq!(by(ClosedBy::Peer, class), count, "{class:?}");
            assert_eq!(by(ClosedBy::Server, class), count, "{class:?}");
        }
        assert_eq!(by(ClosedBy::Server, CodeClass::Internal), 1);
        assert_eq!(by(ClosedBy::Peer, CodeClass::Vanished), 2);
        assert_eq!((metrics.opened, metrics.all_closed()), (13, 13));
        assert_eq!((metrics.websockets(), metrics.connections), (0, 0));
        assert_eq!(metrics.handlers_failed, 1);
        assert_eq!(metrics.accepted, 13);
        Ok(())
    });
}

#[test]
fn a_violation_counts_as_closed_by_the_server_with_its_code() {
    run(async {
        let server = all();
        let request = "GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let mut bytes = request.as_bytes().to_vec();
        // A text frame without a mask.
        bytes.extend([0x81, 0x01, b'a']);
        // It waits until the server gives up on the rest.
        let _ = server.exchange(&bytes).await;
        server.pass(Duration::from_secs(30)).await;
        let metrics = server.handle().metrics();
        assert_eq!(metrics.closed_by(ClosedBy::Server, CodeClass::Protocol), 1);
        assert_eq!(metrics.all_closed(), 1);
        Ok(())
    });
}

#[test]
fn timeouts_count_as_closed_by_the_server() {
    run(async {
        let timeouts = Timeouts {
            idle: Some(Duration::from_secs(20)),
            message: Some(Duration::from_secs(5)),
            ..Timeouts::default()
        };
        let config = Config {
            timeouts,
            ..Config::default()
        };
        let options = ServerOptions::default().config(config);
        let server = serve_with(Routes::new().route("/echo", echo), options);
        // Its answer to the Close does not make it the first.
        server.connect("/echo").await?.expect_close(1001).await;
        let mut bytes = b"GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".to_vec();
        // Half a text message.
        bytes.extend([0x81, 0x82, 0, 0, 0, 0, b'a']);
        let _ = server.exchange(&bytes).await;
        server.pass(Duration::from_secs(30)).await;
        let metrics = server.handle().metrics();
        let by = |class| metrics.closed_by(ClosedBy::Server, class);
        assert_eq!((by(CodeClass::Away), by(CodeClass::Policy)), (1, 1));
        assert_eq!(metrics.all_closed(), 2);
        Ok(())
    });
}

#[test]
fn messages_and_bytes_are_seen_while_a_connection_is_open() {
    run(async {
        let server = all();
        let mut socket = server.connect("/echo").await?;
        for n in 0..10 {
            socket.send_text(format!("message {n}")).await?;
            socket.expect_text(&format!("message {n}")).await;
        }
        let metrics = server.handle().metrics();
        assert_eq!(metrics.messages_received, 10);
        assert_eq!(metrics.messages_sent, 10);
        // Headers of 2 octets, masks of 4, payloads of 9.
        assert_eq!(metrics.bytes_received, 10 * (2 + 4 + 9));
        assert_eq!(metrics.bytes_sent, 10 * (2 + 9));
        assert_eq!((metrics.opened, metrics.websockets()), (1, 1));
        socket.close(1000, "").await?;
        server.pass(Duration::from_secs(1)).await;
        let metrics = server.handle().metrics();
        assert_eq!(metrics.bytes_received, 10 * (2 + 4 + 9) + 2 + 4 + 2);
        assert_eq!(metrics.bytes_sent, 10 * (2 + 9) + 2 + 2);
        Ok(())
    });
}

#[test]
fn connections_shut_down_at_once_are_counted() {
    run(async {
        let server = all();
        let _one = server.connect("/echo").await?;
        let _two = server.connect("/echo").await?;
        assert_eq!(server.handle().metrics().websockets(), 2);
        server.handle().drop_all();
        server.pass(Duration::from_secs(1)).await;
        let metrics = server.handle().metrics();
        assert_eq!((metrics.websockets(), metrics.all_closed()), (0, 2));
        assert_eq!(metrics.closed_by(ClosedBy::Server, CodeClass::Vanished), 2);
        Ok(())
    });
}

#[test]
fn answers_are_counted_by_what_was_asked_and_their_class() {
    run(async {
        let server = all();
        server.get("/page").await?;
        server.get("/page").await?;
        server.get("/nowhere").await?;
        server.get("/echo").await?;
        server.expect_reject("/rejects", 403).await;
        server.expect_reject("/ignores", 500).await;
        server.expect_reject("/nowhere", 404).await;
        let answer = server.exchange(b"nonsense\r\n\r\n").await?;
        assert!(answer.starts_with(b"HTTP/1.1 400 "));
        // A silent client, which is answered with 408.
        let answer = server.exchange(b"").await?;
        assert!(answer.starts_with(b"HTTP/1.1 408 "));
        server.pass(Duration::from_secs(30)).await;
        let metrics = server.handle().metrics();
        let got = |asked, class| metrics.responses(asked, class);
        assert_eq!(got(RequestKind::Page, StatusClass::Success), 2);
        assert_eq!(got(RequestKind::Page, StatusClass::ClientError), 2);
        assert_eq!(got(RequestKind::WebSocket, StatusClass::ClientError), 2);
        assert_eq!(got(RequestKind::WebSocket, StatusClass::ServerError), 1);
        assert_eq!(got(RequestKind::Invalid, StatusClass::ClientError), 2);
        assert_eq!(metrics.failed(HandshakeFailure::Invalid), 1);
        assert_eq!(metrics.failed(HandshakeFailure::Timeout), 1);
        assert_eq!((metrics.opened, metrics.accepted), (0, 9));
        Ok(())
    });
}

#[test]
fn messages_beyond_the_rate_limit_are_counted() {
    run(async {
        let limits = TrafficLimits {
            messages: Some(Rate::per_second(1).burst(2)),
            outcome: LimitAction::Drop,
            ..TrafficLimits::default()
        };
        let route = Route::new("/", echo).policy(ConnectionPolicy::default().traffic(limits));
        let server = serve(Routes::new().add(route));
        let mut socket = server.connect("/").await?;
        for _ in 0..10 {
            socket.send_text("much").await?;
        }
        server.pass(Duration::from_millis(10)).await;
        let metrics = server.handle().metrics();
        assert_eq!(
            (metrics.messages_received, metrics.messages_dropped),
            (10, 8)
        );
        Ok(())
    });
}

#[test]
fn the_text_is_what_prometheus_reads_and_says_what_the_struct_says() {
    run(async {
        let hub = TestHub::new();
        let watch = |upgrade: Up| async move {
            let mut socket = upgrade.accept().await?;
            socket.join("news").await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        };
        let server = serve(Routes::new().route("/", watch).hub(&hub));
        let mut sockets = Vec::new();
        for _ in 0..5 {
            sockets.push(server.connect("/").await?);
        }
        server.pass(Duration::from_millis(10)).await;
        hub.publish("news", "one").try_publish()?;
        hub.publish("nobody", "two").try_publish()?;
        for socket in &mut sockets {
            socket.expect_text("one").await;
        }
        sockets.pop().unwrap().close(4001, "").await?;
        server.pass(Duration::from_secs(1)).await;
        let answer = prometheus_response(&server.handle().metrics(), Some(&hub.metrics()));
        let kind = answer.fields.get_str("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        let samples = read(std::str::from_utf8(&answer.body).unwrap());
        for (id, want) in [
            ("sansws_server_connections", 4.0),
            ("sansws_server_websockets", 4.0),
            ("sansws_server_draining", 0.0),
            ("sansws_server_connections_accepted_total", 5.0),
            ("sansws_server_websockets_opened_total", 5.0),
            ("sansws_server_messages_sent_total", 5.0),
            (
                "sansws_server_websockets_closed_total{code=\"4xxx\",by=\"peer\"}",
                1.0,
            ),
            (
                "sansws_server_websockets_closed_total{code=\"1006\",by=\"peer\"}",
                0.0,
            ),
            (
                "sansws_server_connections_refused_total{reason=\"full\"}",
                0.0,
            ),
            ("sansws_hub_fan_out_total", 5.0),
            ("sansws_hub_fan_out_channels_bucket{le=\"4\"}", 0.0),
            ("sansws_hub_fan_out_channels_bucket{le=\"8\"}", 1.0),
            ("sansws_hub_fan_out_channels_sum", 5.0),
            ("sansws_hub_largest_fan_out", 5.0),
            ("sansws_hub_backplane_up", 1.0),
            ("sansws_broker_published_total", 2.0),
        ] {
            assert_eq!(samples.get(id), Some(&want), "{id}");
        }
        // Without a hub there is none of it.
        let alone = prometheus_response(&server.handle().metrics(), None);
        let samples = read(std::str::from_utf8(&alone.body).unwrap());
        assert!(samples.keys().all(|id| id.starts_with("sansws_server_")));
        Ok(())
    });
}

fn health(handle: &ServerHandle, hub: &TestHub) -> Response {
    handle.health(Some(&hub.metrics())).response()
}

#[test]
fn health_says_what_is_wrong_and_why() {
    let (hub, handle) = (TestHub::new(), ServerHandle::new(1));
    let is = |response: Response| {
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let word = |key: &str| body[key].as_str().unwrap().to_owned();
        (
            response.status,
            word("status"),
            word("reason"),
            word("backplane"),
        )
    };
    let want = |status: u16, word: &str, reason: &str, backplane: &str| {
        (status, word.into(), reason.into(), backplane.into())
    };
    let serves = "the server serves";
    assert_eq!(is(health(&handle, &hub)), want(200, "up", serves, "alone"));
    let (linked, link) = TestHub::linked(HubOptions::default());
    let down = want(503, "degraded", "the backplane is down", "down");
    assert_eq!(is(health(&handle, &linked)), down);
    link.up();
    assert_eq!(is(health(&handle, &linked)), want(200, "up", serves, "up"));
    link.down();
    assert_eq!(is(health(&handle, &linked)), down);
    assert!(
        linked
            .metrics()
            .to_prometheus()
            .contains("\nsansws_hub_backplane_up 0\n")
    );
    let ticket = handle.enter();
    let full = want(503, "degraded", "the server is full", "alone");
    assert_eq!(is(health(&handle, &hub)), full);
    drop(ticket);
    handle.drain(Duration::from_secs(1));
    let draining = want(503, "draining", "the server shuts down", "alone");
    assert_eq!(is(health(&handle, &hub)), draining);
    assert_eq!(handle.health(None).backplane, None);
}

fn guarded(options: ServerOptions) -> TestServer {
    let alive = Route::get("/live", "alive").always();
    serve_with(
        Routes::new()
            .route("/", echo)
            .get("/page", "a page")
            .add(alive),
        options,
    )
}

#[test]
fn pages_that_are_always_there_are_there_while_the_server_is_full_or_drains() {
    run(async {
        let server = guarded(ServerOptions::default().max_connections(1));
        let inside = server.connect("/").await?;
        let look = async || -> Result<()> {
            assert_eq!(server.get("/live").await?.body, b"alive");
            let head = b"HEAD /live HTTP/1.1\r\nHost: test\r\n\r\n";
            let head = server.exchange(head).await?;
            assert!(head.starts_with(b"HTTP/1.1 200 ") && head.ends_with(b"\r\n\r\n"));
            assert_eq!(server.get("/page").await?.status, 503);
            server.expect_reject("/", 503).await;
            server.expect_reject("/live", 503).await;
            // A silent client is answered in the end.
            let silent = server.exchange(b"").await?;
            assert!(silent.starts_with(b"HTTP/1.1 503 "));
            Ok(())
        };
        look().await?;
        let metrics = server.handle().metrics();
        assert_eq!(metrics.turned_away(RejectReason::Full), 4);
        assert_eq!(
            metrics.responses(RequestKind::Page, StatusClass::Success),
            2
        );
        server.handle().drain(Duration::from_secs(1_000));
        look().await?;
        let metrics = server.handle().metrics();
        assert_eq!(metrics.turned_away(RejectReason::Draining), 4);
        assert!(metrics.draining);
        drop(inside);
        Ok(())
    });
}

/// It lasts, and a refused connection gets only a short time.
#[test]
fn a_streamed_response_is_not_always_there() {
    run(async {
        let streamed = Route::streamed(["GET"], "/streamed", async |_| {
            unreachable!("it is refused") as Result<StreamedResponse>
        });
        let alive = Route::get("/live", "alive").always();
        let routes = Routes::new().add(streamed.always()).add(alive);
        let server = serve_with(routes, ServerOptions::default().max_connections(0));
        assert_eq!(server.get("/streamed").await?.status, 503);
        assert_eq!(server.get("/live").await?.body, b"alive");
        assert_eq!(server.handle().metrics().handlers_failed, 0);
        Ok(())
    });
}

#[test]
fn a_connection_that_was_let_in_before_the_server_drains_may_still_ask_for_them() {
    run(async {
        let server = guarded(ServerOptions::default());
        let mut bytes = b"GET /live HTTP/1.1\r\nHost: test\r\n\r\n".to_vec();
        bytes.extend(b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n");
        server.handle().drain(Duration::from_secs(1_000));
        let answer = String::from_utf8(server.exchange(&bytes).await?).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        // It is the only answer: nobody stays.
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        Ok(())
    });
}

#[test]
fn without_such_pages_nobody_waits_to_be_told_that_there_is_no_room() {
    run(async {
        let options = ServerOptions::default().max_connections(0).config(Config {
            timeouts: Timeouts {
                close: Duration::from_secs(3_600),
                ..Timeouts::default()
            },
            ..Config::default()
        });
        let server = serve_with(Routes::new().route("/", echo), options);
        let before = server.clock().now();
        assert!(server.exchange(b"").await.is_err() || server.clock().now() == before);
        let metrics = server.handle().metrics();
        assert_eq!(metrics.turned_away(RejectReason::Full), 1);
        Ok(())
    });
}

#[test]
fn the_guide_names_all_numbers_and_no_others() {
    let guide = include_str!("../../../docs/monitoring.md");
    let hub = TestHub::new().metrics();
    let text = ServerHandle::new(1).metrics().to_prometheus() + &hub.to_prometheus();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    let quoted = guide.split('`').skip(1).step_by(2);
    let told: BTreeSet<&str> = quoted
        .filter(|word| word.starts_with("sansws_") && !word.contains('='))
        .collect();
    assert_eq!(told, names);
}

#[test]
fn losses_of_slow_members_are_counted_by_policy() {
    let samples = read(&TestHub::new().metrics().to_prometheus());
    for policy in ["newest", "oldest", "conflated", "aged", "unfit"] {
        let name = format!("sansws_hub_dropped_{policy}_total");
        assert_eq!(samples.get(&name), Some(&0.0), "{name}");
    }
    for gauge in ["largest_fan_out", "waiting_bytes", "held_bytes", "nodes"] {
        let name = format!("sansws_hub_{gauge}");
        assert!(samples.contains_key(&name), "{name}");
    }
}
