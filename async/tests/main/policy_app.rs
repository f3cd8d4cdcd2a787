//! Policies before and during a connection: origins, authentication, limits, lifetimes.
//! RFC 6455 sections 10.2, 10.4 and 10.5; RFC 9110 section 11.

use crate::support;

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use sansws_async::app::{Auth, Credential, PerAddress, Route};
use sansws_async::test_kit::TestSocket;
use sansws_async::{
    ConnectOptions, ConnectionPolicy, Result, Scope, ServerOptions, StreamedResponse,
};
use sansws_core::config::{Config, Limits, Timeouts};
use sansws_core::handshake::OriginPolicy;
use sansws_core::http::Response;
use sansws_core::http::forwarded::Trusted;
use sansws_core::limits::{AddressLimits, LimitAction, Rate, TrafficLimits};
use support::app::{Routes, Up, echo, run, serve, serve_with};

fn with(name: &str, value: &str) -> ConnectOptions {
    ConnectOptions::default().header(name, value)
}

#[test]
fn pages_of_other_hosts_are_refused_unless_they_are_listed() {
    run(async {
        let list = OriginPolicy::list(["https://app.example"]).unwrap();
        let strict = ConnectionPolicy::default().origin(OriginPolicy::same_host().require());
        let server = serve(
            Routes::new()
                .route("/default", echo)
                .add(Route::new("/list", echo).policy(ConnectionPolicy::default().origin(list)))
                .add(
                    Route::new("/any", echo)
                        .policy(ConnectionPolicy::default().origin(OriginPolicy::any())),
                )
                .add(Route::new("/strict", echo).policy(strict)),
        );
        for (path, origin, fine) in [
            ("/default", "http://test", true),
            ("/default", "https://test", true),
            ("/default", "http://test.evil.example", false),
            ("/default", "http://eviltest", false),
            ("/default", "http://test:81", false),
            ("/default", "null", false),
            ("/default", "", true),
            ("/list", "https://app.example", true),
            ("/list", "http://app.example", false),
            ("/list", "http://test", false),
            ("/any", "https://evil.example", true),
            ("/strict", "http://test", true),
            ("/strict", "", false),
        ] {
            let dial = match origin {
                "" => ConnectOptions::default(),
                origin => with("Origin", origin),
            };
            if fine {
                let mut socket = server.connect_with(path, dial).await?;
                socket.close(1000, "").await?;
            } else {
                server.expect_reject_with(path, dial, 403).await;
            }
        }
        Ok(())
    });
}

#[derive(Debug)]
struct User(String);

async fn verify(credential: Credential) -> Option<User> {
    match (credential.user, credential.secret.as_str()) {
        (None, "s3cret") => Some(User("token".into())),
        (Some(user), "open: sesame") => Some(User(user)),
        _ => None,
    }
}

async fn who(upgrade: Up) -> Result {
    let name = upgrade
        .state::<User>()
        .map_or_else(|_| "nobody".into(), |user| user.0.clone());
    Ok(upgrade.accept().await?.send_text(name).await?)
}

#[test]
fn authentication_precedes_the_upgrade() {
    run(async {
        let route = |path, layer: Auth<_>| Route::new(path, who).layer(layer);
        let server = serve(
            Routes::new()
                .add(route("/bearer", Auth::bearer(verify).or_query("token")))
                .add(route("/basic", Auth::basic(verify).realm("a\"b")))
                .add(route("/cookie", Auth::cookie("session", verify)))
                .add(route("/maybe", Auth::bearer(verify).optional())),
        );
        // `open: sesame` of `ada`, and of a name that ends at the first colon.
        let ada = "Basic YWRhOm9wZW46IHNlc2FtZQ==";
        for (path, name, value, want) in [
            ("/bearer", "Authorization", "Bearer s3cret", Ok("token")),
            ("/bearer", "Authorization", "bearer  s3cret", Ok("token")),
            ("/bearer", "Authorization", "Bearer wrong", Err(401)),
            ("/bearer", "Authorization", "Bearer ", Err(401)),
            ("/bearer", "X", "", Err(401)),
            ("/bearer?token=s3cret", "X", "", Ok("token")),
            ("/bearer?token=wrong", "X", "", Err(401)),
            ("/basic", "Authorization", ada, Ok("ada")),
            ("/basic", "Authorization", "Basic !!!", Err(401)),
            ("/basic", "Authorization", "Basic YWRh", Err(401)),
            ("/basic", "X", "", Err(401)),
            ("/cookie", "Cookie", "a=b; session=s3cret", Ok("token")),
            ("/cookie", "Cookie", "session=wrong", Err(403)),
            ("/cookie", "X", "", Err(403)),
            ("/maybe", "X", "", Ok("nobody")),
            ("/maybe", "Authorization", "Bearer wrong", Err(401)),
            ("/maybe", "Authorization", "Bearer ", Err(401)),
        ] {
            let dial = with(name, value);
            match want {
                Ok(user) => {
                    let mut socket = server.connect_with(path, dial).await?;
                    socket.expect_text(user).await;
                }
                Err(status) => {
                    let response = server.expect_reject_with(path, dial, status).await;
                    let challenge = response.fields.get_str("www-authenticate");
                    assert_eq!(challenge.is_some(), status == 401, "{path} {value}");
                }
            }
        }
        let response = server.expect_reject("/basic", 401).await;
        let want = Some("Basic realm=\"ab\", charset=\"UTF-8\"");
        assert_eq!(response.fields.get_str("www-authenticate"), want);
        Ok(())
    });
}

#[test]
fn an_address_has_so_many_connections_and_comes_so_often() {
    run(async {
        let layer = PerAddress::new(AddressLimits {
            connections: Some(2),
            handshakes: Some(Rate::per_second(1).burst(3)),
            ..AddressLimits::default()
        });
        let options = ServerOptions::default().trusted(Trusted::new(["127.0.0.1"]).unwrap());
        let server = serve_with(Routes::new().route("/", echo).layer(layer.clone()), options);
        let ada = || with("X-Forwarded-For", "198.51.100.1");
        let bob = || with("X-Forwarded-For", "198.51.100.2");
        let one = server.connect_with("/", ada()).await?;
        let mut two = server.connect_with("/", ada()).await?;
        server.expect_reject_with("/", ada(), 429).await;
        assert_eq!(layer.connections(IpAddr::from([198, 51, 100, 1])), 2);
        server
            .connect_with("/", bob())
            .await?
            .close(1000, "")
            .await?;
        two.close(1000, "").await?;
        server.pass(Duration::from_millis(1)).await;
        // There is room, and then none in time.
        let mut three = server.connect_with("/", ada()).await?;
        three.close(1000, "").await?;
        server.pass(Duration::from_millis(1)).await;
        let response = server.expect_reject_with("/", ada(), 429).await;
        assert_eq!(response.fields.get_str("retry-after"), Some("1"));
        server.pass(Duration::from_secs(1)).await;
        server
            .connect_with("/", ada())
            .await?
            .close(1000, "")
            .await?;
        drop(one);
        server.pass(Duration::from_millis(1)).await;
        assert_eq!(layer.connections(IpAddr::from([198, 51, 100, 1])), 0);
        Ok(())
    });
}

/// A body that does not end.
struct Endless;

impl Stream for Endless {
    type Item = Vec<u8>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        Poll::Pending
    }
}

#[test]
fn a_streamed_response_counts_as_long_as_it_lives() {
    run(async {
        let addresses = PerAddress::new(AddressLimits {
            connections: Some(1),
            ..AddressLimits::default()
        });
        let stream = async |scope: Scope| match scope.raw_query() {
            Some(_) => Err("it fails".into()),
            None => Ok(StreamedResponse::new(Response::new(200), Endless)),
        };
        let routes = Routes::new()
            .add(Route::streamed(["GET"], "/stream", move |scope| {
                stream(scope)
            }))
            .route("/", echo)
            .get("/page", "a page\n")
            .layer(addresses.clone());
        let options = ServerOptions::default().trusted(Trusted::new(["127.0.0.1"]).unwrap());
        let server = serve_with(routes, options);
        let here = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(server.get("/stream?fails").await?.status, 500);
        assert_eq!(addresses.connections(here), 0);
        let mut streams = pin!(server.get("/stream"));
        let waited = server.run(Duration::from_secs(1), streams.as_mut()).await;
        assert!(waited.is_none(), "it goes on");
        assert_eq!(addresses.connections(here), 1);
        assert_eq!(server.get("/stream").await?.status, 429);
        server.expect_reject("/", 429).await;
        assert_eq!(server.get("/page").await?.status, 200);
        server.handle().drain(Duration::ZERO);
        assert_eq!(streams.await?.status, 200);
        assert_eq!(addresses.connections(here), 0);
        Ok(())
    });
}

/// An echo that is lent its messages.
async fn lent(upgrade: Up) -> Result {
    let mut socket = upgrade.accept().await?;
    socket
        .receive_each(|message, out| out.send(message))
        .await?;
    Ok(())
}

/// A server that takes two messages a second, and then does this.
async fn limited(
    outcome: LimitAction,
    lends: bool,
) -> Result<(sansws_async::test_kit::TestServer, TestSocket)> {
    let traffic = TrafficLimits {
        messages: Some(Rate::per_second(2)),
        outcome,
        ..TrafficLimits::default()
    };
    let policy = ConnectionPolicy::default().traffic(traffic);
    let route = if lends {
        Route::new("/", lent)
    } else {
        Route::new("/", echo)
    };
    let server = serve(Routes::new().add(route.policy(policy)));
    let mut socket = server.connect("/").await?;
    for text in ["1", "2", "3", "4", "5"] {
        socket.send_text(text).await?;
    }
    Ok((server, socket))
}

#[test]
fn too_many_messages_are_delayed_and_none_is_lost() {
    run(async {
        for lends in [false, true] {
            let (server, mut socket) = limited(LimitAction::Delay, lends).await?;
            let begun = server.clock().now();
            for text in ["1", "2", "3", "4", "5"] {
                socket.expect_text(text).await;
            }
            let took = server.clock().now().since(begun);
            assert!(
                (Duration::from_millis(900)..Duration::from_millis(1_600)).contains(&took),
                "{took:?}"
            );
            socket.expect_nothing(Duration::from_secs(300)).await;
            socket.close(1000, "").await?;
        }
        Ok(())
    });
}

#[test]
fn too_many_messages_are_dropped_and_counted() {
    async fn count(upgrade: Up) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(text) = socket.receive_text().await? {
            let counters = socket.counters();
            let (received, dropped) = (counters.received, counters.dropped);
            socket
                .send_text(format!("{text} {received} {dropped}"))
                .await?;
        }
        Ok(())
    }
    run(async {
        let traffic = TrafficLimits {
            messages: Some(Rate::per_second(2)),
            bytes: Some(Rate::per_second(1_000)),
            outcome: LimitAction::Drop,
        };
        let policy = ConnectionPolicy::default().traffic(traffic);
        let server = serve(Routes::new().add(Route::new("/", count).policy(policy)));
        let mut socket = server.connect("/").await?;
        for text in ["1", "2", "3", "4"] {
            socket.send_text(text).await?;
        }
        socket.expect_text("1 1 0").await;
        socket.expect_text("2 2 0").await;
        socket.expect_nothing(Duration::from_secs(1)).await;
        socket.send_text("x".repeat(1_001)).await?;
        socket.send_text("5").await?;
        socket.expect_text("5 6 3").await;
        Ok(())
    });
}

#[test]
fn too_many_messages_close_with_1008() {
    run(async {
        for lends in [false, true] {
            let (_server, mut socket) = limited(LimitAction::Close, lends).await?;
            socket.expect_text("1").await;
            socket.expect_text("2").await;
            assert_eq!(
                socket.expect_close(1008).await,
                "more messages or bytes than the limit"
            );
        }
        Ok(())
    });
}

#[test]
fn a_route_has_its_own_limits_heartbeat_and_lifetime_and_inherits_the_rest() {
    run(async {
        let config = |message, idle| {
            Arc::new(Config {
                limits: Limits {
                    message,
                    ..Limits::default()
                },
                timeouts: Timeouts {
                    idle,
                    ..Timeouts::default()
                },
                ..Config::default()
            })
        };
        let short = ConnectionPolicy::default()
            .config(config(10, None))
            .lifetime(Duration::from_secs(100));
        let idle = ConnectionPolicy::default().config(config(1_000, Some(Duration::from_secs(50))));
        let server = serve(
            Routes::new()
                .add(Route::new("/short", echo).policy(short))
                .add(Route::new("/idle", echo).policy(idle))
                .route("/plain", echo)
                .policy(ConnectionPolicy::default().lifetime(Duration::from_secs(1_000))),
        );
        let mut socket = server.connect("/short").await?;
        socket.send_text("x".repeat(11)).await?;
        socket.expect_close(1009).await;
        let mut socket = server.connect("/plain").await?;
        socket.send_text("x".repeat(11)).await?;
        socket.expect_message().await;
        socket.expect_nothing(Duration::from_secs(998)).await;
        socket.expect_close(1001).await;

        let mut socket = server.connect("/short").await?;
        socket.expect_nothing(Duration::from_secs(99)).await;
        assert!(socket.expect_close(1001).await.contains("lived its time"));
        let mut socket = server.connect("/idle").await?;
        socket.expect_nothing(Duration::from_secs(49)).await;
        socket.expect_close(1001).await;
        Ok(())
    });
}
