//! Applications that are built before they are served: links to routes by name, inherited policies, shared states.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sansws_std::{
    Config, ConnectOptions, ConnectionPolicy, Error, OriginPolicy, Response, Route, Router, Scope,
    ServerOptions, Upgrade, connect,
};

use crate::support::{Running, echo};

#[test]
fn a_built_application_links_to_its_routes_and_is_served_under_the_policy_of_the_server() {
    let any = ConnectionPolicy::default().origin(OriginPolicy::any());
    let app = Router::new()
        .add(Route::new("/rooms/{room}", echo).named("room"))
        .add(Route::new("/open", echo).policy(any))
        .build()
        .unwrap();
    assert_eq!(
        app.url_for("room", &[("room", &"a b")]).unwrap(),
        "/rooms/a%20b"
    );
    assert!(app.url_for("lobby", &[]).is_err());
    let patterns: Vec<_> = app.patterns().map(|pattern| pattern.as_str()).collect();
    assert_eq!(patterns, ["/rooms/{room}", "/open"]);

    let list = OriginPolicy::list(["https://here.example"]).unwrap();
    let policy = ConnectionPolicy::default().origin(list);
    let server = Running::with(app, ServerOptions::default().policy(policy));
    for (path, origin, admitted) in [
        ("/rooms/a", "https://here.example", true),
        ("/rooms/a", "https://elsewhere.example", false),
        ("/open", "https://elsewhere.example", true),
    ] {
        let options = ConnectOptions::default().header("Origin", origin);
        let url = format!("ws://{}{path}", server.address);
        match connect(url, options) {
            Ok(_) => assert!(admitted, "{path} {origin}"),
            Err(Error::Refused(response)) => {
                assert_eq!((response.status, admitted), (403, false), "{path} {origin}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_single_handler_has_no_route_by_name() {
    use sansws_std::IntoService;

    let app = echo.into_service(&ServerOptions::default()).unwrap();
    assert!(app.url_for("room", &[]).is_err());
    assert_eq!(app.patterns().count(), 0);
}

#[test]
fn routes_that_conflict_are_not_built() {
    let router = Router::new().route("/{a}", echo).route("/{b}", echo);
    assert!(router.build().is_err());
}

#[test]
fn a_state_can_be_shared_with_others() {
    let count = Arc::new(AtomicU32::new(0));
    let router = Router::new()
        .route("/", |upgrade: Upgrade| {
            upgrade
                .state::<AtomicU32>()?
                .fetch_add(1, Ordering::Relaxed);
            Ok(upgrade.reject(Response::text(403, "counted\n"))?)
        })
        .get("/", "a page\n")
        .shared_state(Arc::clone(&count));
    let server = Running::new(router);
    assert!(connect(server.url(), ConnectOptions::default()).is_err());
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

/// The thread of a refused connection still waits for a request then.
#[test]
fn no_page_runs_when_the_server_is_over() {
    for window in [Duration::ZERO, Duration::from_millis(1)] {
        let count = Arc::new(AtomicU32::new(0));
        let page = |scope: Scope| {
            scope.state::<AtomicU32>()?.fetch_add(1, Ordering::Relaxed);
            Ok(Response::text(200, "alive\n"))
        };
        let router = Router::new()
            .add(Route::get("/live", page).always())
            .shared_state(Arc::clone(&count));
        let mut config = Config::default();
        config.timeouts.close = Duration::from_secs(3_600);
        let options = ServerOptions::default().config(config).max_connections(0);
        let mut server = Running::with(router, options);
        let [mut silent, mut asks] = [(); 2].map(|()| TcpStream::connect(server.address).unwrap());
        let request = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n";
        let rest = |stream: &mut TcpStream| {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        asks.write_all(request).unwrap();
        assert!(rest(&mut asks).ends_with("alive\n"));
        // The one that came before has its thread, too.
        server.handle.drain(window);
        server.join();
        silent.write_all(request).unwrap();
        let answer = rest(&mut silent);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{window:?} {answer}");
        assert_eq!(count.load(Ordering::Relaxed), 1, "{window:?}");
    }
}
