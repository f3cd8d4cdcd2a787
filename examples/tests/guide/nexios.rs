//! Beside the guide of Nexios.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Outcome, end, refused, run, serve, text, value, visit, visit_with};
use crate::sansws::{
    AcceptOptions, CloseCode, Closed, Config, ConnectOptions, ConnectionPolicy, Endpoint, Error,
    Json, Response, Result, Route, Router, Scope, Server, Timeouts, Upgrade, WebSocket, Wire,
    connect,
};

async fn one(upgrade: Upgrade) -> Result {
    Ok(upgrade.accept().await?.send_text("one").await?)
}

async fn two(upgrade: Upgrade) -> Result {
    Ok(upgrade.accept().await?.send_text("two").await?)
}

/// Each path leads to what it says; `None` to nothing.
async fn leads(app: Router, cases: &[(&str, Option<&str>)]) -> Outcome {
    let url = serve(app).await?;
    for (path, want) in cases {
        let url = format!("{url}{path}");
        match want {
            Some(want) => {
                let mut socket = connect(&url, ConnectOptions::default()).await?;
                assert_eq!(text(&mut socket).await, *want, "{path}");
            }
            None => assert_eq!(
                refused(&url, ConnectOptions::default()).await,
                404,
                "{path}"
            ),
        }
    }
    Ok(())
}

#[test]
fn a_handler() {
    // ours: handler
    async fn hello(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        Ok(socket.send_text("hello").await?)
    }

    let app = Router::new().route("/ws", hello);
    // end
    run(leads(app, &[("/ws", Some("hello")), ("/", None)]));
}

#[test]
fn a_server() {
    let app = Router::new().route("/ws", one);
    run(async {
        // ours: serve
        let server = Server::bind("127.0.0.1:0").await?;
        let address = server.local_addr()?;
        let server = server.drain_on_signal(Duration::from_secs(10)); // closes with 1012, spread over 10 s
        let serving = server.serve(app); // runs while it is awaited
        // end
        crate::spawn(serving);
        let mut client = connect(&format!("ws://{address}/ws"), ConnectOptions::default()).await?;
        assert_eq!(text(&mut client).await, "one");
        Ok(())
    });
}

#[test]
fn a_route_as_a_value() {
    // ours: route
    let route = Route::new("/ws", one).named("ws");
    let app = Router::new().add(route);
    // end
    run(leads(app, &[("/ws", Some("one"))]));
}

#[test]
fn a_router_mounted() {
    // ours: mount
    let router = Router::new().route("/ws", one);
    let app = Router::new().mount("/ws", router);
    // end
    run(leads(app, &[("/ws/ws", Some("one")), ("/ws", None)]));
}

#[test]
fn a_router_from_a_list() {
    // ours: list
    let router = Router::from([Route::new("/ws", one), Route::new("/ws2", two)]);
    // end
    run(leads(
        router,
        &[("/ws", Some("one")), ("/ws2", Some("two"))],
    ));
}

fn prefixed() -> Router {
    Router::with_prefix("/ws")
        .route("/ws", one)
        .route("/ws2", two)
}

#[test]
fn a_prefix_and_a_mount_that_overrides_it() {
    // ours: override
    let router = Router::with_prefix("/ws")
        .route("/ws", one)
        .route("/ws2", two);
    let app = Router::new().mount("/ws-override", router);
    // end
    let over = [
        ("/ws-override/ws", Some("one")),
        ("/ws-override/ws2", Some("two")),
        ("/ws/ws", None),
        ("/ws-override/ws/ws", None),
    ];
    run(leads(app, &over));
    let router = prefixed();
    // ours: merge
    let app = Router::new().merge(router); // at /ws/ws and /ws/ws2
    // end
    run(leads(
        app,
        &[("/ws/ws", Some("one")), ("/ws/ws2", Some("two"))],
    ));
    let v1 = Router::with_prefix("/v1").route("/a", one);
    // ours: nested
    let app = Router::with_prefix("/api").merge(v1); // /api + /v1 + /a
    // end
    run(leads(app, &[("/api/v1/a", Some("one")), ("/v1/a", None)]));
}

#[test]
fn send_each_kind() {
    async fn handler(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        // ours: send
        socket.send_text("Hello World").await?;
        socket.send_json(&json!({"message": "Hello World"})).await?;
        socket.send_bytes(b"Hello World").await?;
        // end
        Ok(())
    }
    run(async {
        let mut client = visit(Router::new().route("/ws", handler), "/ws").await?;
        assert_eq!(text(&mut client).await, "Hello World");
        assert_eq!(text(&mut client).await, r#"{"message":"Hello World"}"#);
        assert_eq!(client.receive_bytes().await?, Some(b"Hello World".to_vec()));
        assert_eq!(end(&mut client).await.0, 1000);
        Ok(())
    });
}

#[test]
fn receive_each_kind() {
    async fn handler(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        // ours: receive
        let text: Option<String> = socket.receive_text().await?;
        let bytes: Option<Vec<u8>> = socket.receive_bytes().await?;
        let value: Option<Value> = socket.receive_json().await?; // or any type that serde reads
        // end
        Ok(socket.send_json(&json!([text, bytes, value])).await?)
    }
    run(async {
        let url = serve(Router::new().route("/ws", handler)).await? + "/ws";
        let mut client = connect(&url, ConnectOptions::default()).await?;
        client.send_text("a").await?;
        client.send_bytes([1]).await?;
        client.send_json(&json!({"b": 2})).await?;
        assert_eq!(value(&mut client).await, json!(["a", [1], {"b": 2}]));
        // The wrong kind, and what is no JSON.
        let mut client = connect(&url, ConnectOptions::default()).await?;
        client.send_bytes([1]).await?;
        assert_eq!(end(&mut client).await.0, 1003);
        let mut client = connect(&url, ConnectOptions::default()).await?;
        client.send_text("a").await?;
        client.send_bytes([1]).await?;
        client.send_text("{").await?;
        assert_eq!(end(&mut client).await.0, 1007);
        // A normal end is `None`.
        let mut client = connect(&url, ConnectOptions::default()).await?;
        let closed = client.close(1000, "").await?.expect("it has ended");
        assert!(closed.is_normal());
        Ok(())
    });
}

#[test]
fn echoes() {
    // ours: echo-text
    async fn echo_text(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(text) = socket.receive_text().await? {
            socket.send_text(format!("Received: {text}")).await?;
        }
        Ok(())
    }
    // end
    // ours: echo-bytes
    async fn echo_bytes(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(bytes) = socket.receive_bytes().await? {
            socket.send_bytes(bytes).await?;
        }
        Ok(())
    }
    // end
    // ours: echo-json
    async fn echo_json(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(data) = socket.receive_json::<Value>().await? {
            let reply = json!({"status": "success", "data": data});
            socket.send_json(&reply).await?;
        }
        Ok(())
    }
    // end
    run(async {
        let app = Router::new()
            .route("/text", echo_text)
            .route("/bytes", echo_bytes);
        let url = serve(app.route("/json", echo_json)).await?;
        let mut client = connect(&format!("{url}/text"), ConnectOptions::default()).await?;
        for said in ["a", "b"] {
            client.send_text(said).await?;
            assert_eq!(text(&mut client).await, format!("Received: {said}"));
        }
        let mut client = connect(&format!("{url}/bytes"), ConnectOptions::default()).await?;
        client.send_bytes([7, 8]).await?;
        assert_eq!(client.receive_bytes().await?, Some(vec![7, 8]));
        let mut client = connect(&format!("{url}/json"), ConnectOptions::default()).await?;
        client.send_json(&[1, 2]).await?;
        let want = json!({"status": "success", "data": [1, 2]});
        assert_eq!(value(&mut client).await, want);
        Ok(())
    });
}

#[test]
fn lifecycle() {
    // ours: lifecycle
    async fn handler(upgrade: Upgrade) -> Result {
        let accept = AcceptOptions {
            subprotocol: upgrade.select_subprotocol(["chat"]), // if the client offers it
            fields: [("X-Token", "abc")].into_iter().collect(),
        };
        let mut socket = upgrade.accept_with(accept).await?;
        loop {
            match socket.receive().await {
                Ok(Some(message)) => socket.send(message).await?,
                Ok(None) => break, // closed with 1000, 1001 or no code
                Err(error) if error.is_disconnect() => break, // another code, or a lost connection (1006)
                Err(error) => return Err(error.into()),       // closes with the code of the error
            }
        }
        println!("Client disconnected: {:?}", socket.closed());
        Ok(()) // closes with 1000, unless already closed
    }
    // end
    run(async {
        let url = serve(Router::new().route("/ws", handler)).await? + "/ws";
        let dial = || {
            ConnectOptions::default()
                .subprotocol("other")
                .subprotocol("chat")
        };
        for code in [1000, 3000] {
            let mut client = connect(&url, dial()).await?;
            assert_eq!(client.subprotocol(), Some("chat"));
            let token = client
                .response_fields()
                .and_then(|fields| fields.get_str("x-token"));
            assert_eq!(token, Some("abc"));
            client.send_text("a").await?;
            assert_eq!(text(&mut client).await, "a");
            let closed = client.close(code, "").await?.expect("it has ended");
            assert_eq!((closed.code(), closed.clean), (code, true));
        }
        Ok(())
    });
}

#[test]
fn reject_and_fail() {
    // ours: fail
    async fn handler(upgrade: Upgrade) -> Result {
        if upgrade.query_value("token").is_none() {
            return Err(Error::reject(Response::text(401, "no token\n")));
        }
        let mut socket = upgrade.accept().await?;
        match socket.receive_text().await?.as_deref() {
            Some("close") => Err(Error::close(CloseCode::try_from(4000)?, "as you wish")),
            Some("shout") => Err(Error::close(CloseCode::POLICY, "no shouting")), // 1008
            _ => Err("it broke".into()), // 1011; the text is logged, not sent to the peer
        }
    }
    // end
    run(async {
        let url = serve(Router::new().route("/ws", handler)).await? + "/ws";
        assert_eq!(refused(&url, ConnectOptions::default()).await, 401);
        let cases = [
            ("close", 4000, "as you wish"),
            ("shout", 1008, "no shouting"),
            ("else", 1011, ""),
        ];
        for (said, code, reason) in cases {
            let mut client = connect(&format!("{url}?token=1"), ConnectOptions::default()).await?;
            client.send_text(said).await?;
            assert_eq!(end(&mut client).await, (code, reason.to_owned()));
        }
        Ok(())
    });
}

#[test]
fn iterate_and_look() {
    // ours: iterate
    async fn room(upgrade: Upgrade) -> Result {
        let room: u64 = upgrade.param("room_id")?; // not a number: 400
        let name = upgrade.query_value("name").unwrap_or_default().into_owned();
        let agent = upgrade.header("user-agent").unwrap_or("unknown").to_owned();
        let client = upgrade.client_addr();
        let mut socket = upgrade.accept().await?;
        socket
            .send_json(&json!([room, name, agent, client]))
            .await?;
        let mut messages = socket.messages::<String>();
        while let Some(text) = messages.next().await? {
            if text == "bye" {
                break;
            }
        }
        if socket.closed().is_none() {
            socket.close(1001, "bye bye!").await?;
        }
        Ok(())
    }

    let app = Router::new().route("/rooms/{room_id}", room);
    // end
    run(async {
        let url = serve(app).await?;
        let dial = ConnectOptions::default().header("User-Agent", "test");
        let mut client = connect(&format!("{url}/rooms/42?name=Ada+L"), dial).await?;
        let seen = value(&mut client).await;
        assert_eq!(seen[0], 42);
        assert_eq!((&seen[1], &seen[2]), (&json!("Ada L"), &json!("test")));
        assert!(seen[3].as_str().unwrap().starts_with("127.0.0.1:"));
        client.send_text("hello").await?;
        client.send_text("bye").await?;
        assert_eq!(end(&mut client).await, (1001, "bye bye!".into()));
        let wrong = refused(&format!("{url}/rooms/x"), ConnectOptions::default()).await;
        assert_eq!(wrong, 400);
        Ok(())
    });
}

#[test]
fn idle_connections_end() {
    // ours: idle
    let config = Config {
        timeouts: Timeouts {
            idle: Some(Duration::from_secs(2)), // no message in either direction: 1001
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let route = Route::new("/ws", one_and_wait).policy(ConnectionPolicy::default().config(config));
    // end
    async fn one_and_wait(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok(())
    }
    run(async {
        let mut client = visit(Router::new().add(route), "/ws").await?;
        for _ in 0..6 {
            // The application's heartbeat renews it.
            crate::sansws::sleep(Duration::from_millis(500)).await;
            client.send_text("heartbeat").await?;
            text(&mut client).await;
        }
        assert_eq!(end(&mut client).await.0, 1001);
        Ok(())
    });
}

#[test]
fn a_consumer() {
    // ours: endpoint
    #[derive(Clone, Default)]
    struct Counter {
        received: u64, // each connection has a clone of its own
    }

    impl Endpoint<Wire> for Counter {
        type Message = Json<Value>; // or String, Vec<u8>, Message

        async fn on_connect(&mut self, upgrade: Upgrade) -> Result<WebSocket> {
            Ok(upgrade.accept().await?)
        }

        async fn on_receive(&mut self, socket: &mut WebSocket, Json(data): Json<Value>) -> Result {
            self.received += 1;
            socket
                .send_json(&json!({"n": self.received, "data": data}))
                .await?;
            Ok(())
        }

        async fn on_disconnect(&mut self, closed: Option<&Closed>) {
            println!("{} messages, then {closed:?}", self.received);
        }
    }

    let app = Router::new().route("/chat", Counter::default());
    // end
    run(async {
        let url = serve(app).await? + "/chat";
        for _ in 0..2 {
            let mut client = connect(&url, ConnectOptions::default()).await?;
            for n in 1..3 {
                client.send_text(r#""a""#).await?;
                assert_eq!(value(&mut client).await, json!({"n": n, "data": "a"}));
            }
            client.send_text("{").await?;
            assert_eq!(end(&mut client).await.0, 1007);
        }
        Ok(())
    });
}

#[test]
fn users_from_a_layer() {
    // ours: layer
    struct User {
        name: String,
    }

    fn authenticate(scope: &mut Scope) -> Result<(), Response> {
        match scope.cookie("user") {
            Some(name) => {
                let name = name.to_owned();
                scope.attach(User { name });
                Ok(())
            }
            None => Err(Response::text(401, "log in first\n")),
        }
    }

    async fn chat(upgrade: Upgrade) -> Result {
        let user = upgrade.state::<User>()?;
        let mut socket = upgrade.accept().await?;
        Ok(socket.send_text(format!("Hello, {}", user.name)).await?)
    }

    let app = Router::new().route("/chat", chat).layer(authenticate);
    // end
    run(async {
        let dial = ConnectOptions::default().header("Cookie", "a=b; user=ada");
        let mut client = visit_with(app, "/chat", dial).await?;
        assert_eq!(text(&mut client).await, "Hello, ada");
        let app = Router::new().route("/chat", chat).layer(authenticate);
        let url = serve(app).await? + "/chat";
        assert_eq!(refused(&url, ConnectOptions::default()).await, 401);
        Ok(())
    });
}
