//! Applications that are built before they are served: links to routes by name, inherited policies.

use std::sync::mpsc::channel;

use sansws_mio::app::IntoService;
use sansws_mio::{ConnectionPolicy, OriginPolicy, Route, Router, Server, ServerOptions};
use sansws_std::{ConnectOptions, connect};

use crate::support::{Running, echo};

#[test]
fn a_built_application_links_to_its_routes_and_is_served_under_the_policy_of_the_server() {
    let list = OriginPolicy::list(["https://here.example"]).unwrap();
    let policy = ConnectionPolicy::default().origin(list);
    let (tell, told) = channel();
    let server = Running::with(ServerOptions::default().policy(policy), move || {
        let room = Route::new("/rooms/{room}", echo).named("room");
        let app = Router::new().add(room).build().unwrap();
        tell.send(app.url_for("room", &[("room", &"a b")])).unwrap();
        app
    });
    let path = told.recv().unwrap().unwrap();
    assert_eq!(path, "/rooms/a%20b");
    for (origin, admitted) in [
        ("https://here.example", true),
        ("https://elsewhere.example", false),
    ] {
        let options = ConnectOptions::default().header("Origin", origin);
        let socket = connect(format!("ws://{}{path}", server.address), options);
        assert_eq!(socket.is_ok(), admitted, "{origin}");
    }
}

#[test]
fn several_loops_serve_what_one_does() {
    fn check<S: IntoService>(make: impl Fn() -> S + Sync) {
        let list = OriginPolicy::list(["https://here.example"]).unwrap();
        let policy = ConnectionPolicy::default().origin(list);
        let options = ServerOptions::default().policy(policy);
        let mut server = Server::bind("127.0.0.1:0").unwrap().options(options);
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| server.serve_on_threads(2, |_| make()));
            let dial = |origin: &str| {
                let options = ConnectOptions::default().header("Origin", origin);
                connect(format!("ws://{address}/"), options).is_ok()
            };
            let admitted = ["https://here.example", "https://elsewhere.example"].map(dial);
            handle.close();
            serving.join().unwrap().unwrap();
            assert_eq!(admitted, [true, false]);
        });
    }
    check(|| Router::new().route("/", echo));
    check(|| Router::new().route("/", echo).build().unwrap());
    check(|| echo);
}
