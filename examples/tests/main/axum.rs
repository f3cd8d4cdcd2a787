//! WebSockets inside other stacks: the example of axum over HTTP/1.1 and HTTP/2, and a bare service of hyper.
//! RFC 6455 section 4.2, RFC 8441 section 5.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Client, Running, listening};
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sansws_core::connection::{Connection, Event};
use sansws_core::handshake::{ClientHandshake, ClientOptions, ServerAnswer};
use sansws_core::message::Assembly;
use sansws_core::random::Seed;
use sansws_core::time::Instant;
use sansws_tokio::hyper::{RouterExt, Upgrade, WebSocket, drain_when};
use sansws_tokio::{
    ChannelOptions, ConnectOptions, ConnectionPolicy, Error, Hub, OriginPolicy, PresenceMode,
    Server, ServerHandle, connect,
};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

fn axum() -> (Running, String) {
    listening(env!("CARGO_BIN_EXE_axum"), &["--listen", "127.0.0.1:0"])
}

#[tokio::test]
async fn axum_over_http_1() {
    let (_running, url) = axum();
    let room = format!("{url}/rooms/lobby");
    let dial = ConnectOptions::default()
        .subprotocol("echo.v1")
        .subprotocol("echo.v2");
    let mut client = Client::dial(&room, dial).await;
    assert_eq!(client.0.subprotocol(), Some("echo.v2"));
    client.send("hello").await;
    assert_eq!(client.text().await, "lobby: hello");
    client.send(vec![1, 2, 3]).await;
    assert!(matches!(
        client.0.receive().await,
        Err(Error::Disconnect(closed)) if closed.code() == 1003
    ));
    // A page of another host may not; nor is a plain request a WebSocket.
    let foreign = ConnectOptions::default().header("Origin", "https://evil.example");
    let refused = connect(&room.replacen("http", "ws", 1), foreign).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 403));
    let refused = connect(&url.replacen("http", "ws", 1), ConnectOptions::default()).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 200));
}

#[tokio::test]
async fn axum_over_http_2() {
    let (_running, url) = axum();
    let address = url.strip_prefix("http://").unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    // RFC 8441 3: the server says that it takes extended CONNECT.
    while !requests.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let send = |protocol: &'static str, origin: &str| {
        let request = http::Request::builder()
            .method("CONNECT")
            .version(http::Version::HTTP_2)
            .uri(format!("{url}/rooms/two"))
            .extension(h2::ext::Protocol::from_static(protocol))
            .header("sec-websocket-version", "13")
            .header("origin", origin);
        request.body(()).unwrap()
    };
    for (protocol, origin, status) in [
        ("websocket", "https://evil.example", 403),
        ("chess", &url, 501),
    ] {
        let (response, _) = requests
            .send_request(send(protocol, origin), false)
            .unwrap();
        assert_eq!(response.await.unwrap().status(), status);
    }
    let (response, mut stream) = requests
        .send_request(send("websocket", &url), false)
        .unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);

    // The octets of DATA frames are those of the connection.
    let (config, seed) = (Arc::default(), Seed::new([9; 32]));
    let ws_url = url.replacen("http", "ws", 1).parse().unwrap();
    let options = ClientOptions::default();
    let handshake = ClientHandshake::new(&config, &ws_url, options, seed.nonce()).unwrap();
    let response = http::Response::from_parts(head, Vec::new());
    let ServerAnswer::Open(opened) = handshake.receive_http(&response).unwrap() else {
        panic!("refused");
    };
    let mut client = Connection::client(config, &opened.agreement, seed, Instant::ZERO);
    client.send_text("hello").unwrap();
    let mut slices: [&[u8]; 8] = [&[]; 8];
    let filled = client.transmit(&mut slices);
    let octets = slices[..filled].concat();
    client.transmitted(octets.len());
    stream.send_data(Bytes::from(octets), false).unwrap();
    let mut octets = body.data().await.unwrap().unwrap().to_vec();
    let mut assembly = Assembly::default();
    let step = client
        .receive(Instant::ZERO, &mut octets, &mut assembly)
        .unwrap();
    assert_eq!(step.event, Some(Event::Text("two: hello")));
}

#[tokio::test]
async fn a_bare_service_of_hyper_behind_a_door() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let handle = ServerHandle::new(1);
    let door = handle.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let door = door.clone();
            let service = service_fn(move |mut request| {
                let handle = door.clone();
                async move {
                    let response = match Upgrade::from_request::<_, Full<Bytes>>(&mut request) {
                        Ok(upgrade) => upgrade
                            .handle(handle)
                            .header("X-Served-By", "hyper")
                            .policy(ConnectionPolicy::default().origin(OriginPolicy::any()))
                            .on_upgrade(echo),
                        Err(response) => response,
                    };
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service)
                .with_upgrades();
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    let foreign = ConnectOptions::default().header("Origin", "https://elsewhere.example");
    let mut socket = connect(&url, foreign).await.unwrap();
    let served = socket.response_fields().unwrap().get_str("x-served-by");
    assert_eq!(served, Some("hyper"));
    socket.send_text("hello").await.unwrap();
    assert_eq!(socket.receive_text().await.unwrap().unwrap(), "hello");
    // There is room for one.
    let refused = connect(&url, ConnectOptions::default()).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 503));
    // The handler's error decides the code, and the door closes all.
    handle.drain(Duration::from_millis(50));
    match socket.receive().await {
        Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 1012),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn in_axum_the_time_of_a_hub_passes_and_shutdown_is_1012() {
    use sansws_core::hub::{GroupOptions, HubOptions};
    let grace = Duration::from_millis(20);
    let presence = GroupOptions::default().presence(PresenceMode::Members { grace });
    let hub = Hub::with_options(HubOptions::default().groups(presence));
    let handle = ServerHandle::new(10);
    let (state, door) = (hub.clone(), handle.clone());
    let room = move |upgrade: Upgrade| {
        let upgrade = upgrade
            .handle(door.clone())
            .policy(ConnectionPolicy::default().hub(&state));
        let response: axum::response::Response =
            upgrade.on_upgrade(async |mut socket: WebSocket| {
                let open = ChannelOptions {
                    user: Some("ada".into()),
                    ..ChannelOptions::default()
                };
                socket.open_channel(open)?;
                socket.join("lobby").await?;
                socket.send_text("in").await?;
                while socket.receive().await?.is_some() {}
                Ok(())
            });
        std::future::ready(response)
    };
    let router = axum::Router::new().route("/rooms/{room}", axum::routing::any(room));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/rooms/lobby", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(drain_when(
        stopped,
        handle,
        Duration::from_millis(50),
    ));
    let serving = tokio::spawn(serving.into_future());

    // A vanished client is gone once the grace is over, though no server of ours drives the hub.
    let mut socket = connect(&url, ConnectOptions::default()).await.unwrap();
    assert_eq!(socket.receive_text().await.unwrap().as_deref(), Some("in"));
    assert_eq!(hub.presence("lobby").await.unwrap().count, 1);
    drop(socket);
    while hub.presence("lobby").await.unwrap().count > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let mut socket = connect(&url, ConnectOptions::default()).await.unwrap();
    assert_eq!(socket.receive_text().await.unwrap().as_deref(), Some("in"));
    stop.send(()).unwrap();
    match socket.receive().await {
        Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 1012),
        other => panic!("{other:?}"),
    }
    drop(socket);
    serving.await.unwrap().unwrap();
}

/// Routes of ours: a handler with parameters and states, an endpoint, groups, layers, pages.
mod ours {
    use std::sync::Arc;

    use sansws_tokio::{
        Auth, Credential, Endpoint, Hub, Json, Response, Result, Route, Router, Scope, Upgrade,
        WebSocket, Wire,
    };

    #[derive(Clone)]
    struct Sum(u64);

    impl Endpoint<Wire> for Sum {
        type Message = Json<u64>;

        async fn on_receive(&mut self, socket: &mut WebSocket, Json(n): Json<u64>) -> Result {
            self.0 += n;
            Ok(socket.send_json(&self.0).await?)
        }
    }

    async fn room(upgrade: Upgrade) -> Result {
        let room: String = upgrade.param("room")?;
        let (user, motto) = (upgrade.state::<String>()?, upgrade.state::<u32>()?);
        let mut socket = upgrade.accept().await?;
        socket.join(&room).await?;
        socket.send_text(format!("{user} {motto}")).await?;
        while let Some(text) = socket.receive_text().await? {
            socket.publish(&room, text).await?;
        }
        Ok(())
    }

    async fn announce(scope: Scope) -> Result<Response> {
        let hub = scope.state::<Hub>()?;
        hub.publish("lobby", std::str::from_utf8(scope.body())?)
            .await?;
        Ok(Response::new(204))
    }

    pub fn router() -> Router {
        let verify = async |credential: Credential| -> Option<String> { Some(credential.secret) };
        let locked = |_: &mut Scope| Err::<(), _>(Response::text(403, "locked\n"));
        let hub = Hub::new();
        Router::new()
            .add(Route::new("/rooms/{room}", room).layer(Auth::query("token", verify)))
            .route("/sum", Sum(0))
            .add(Route::new("/locked", Sum(0)).layer(locked))
            .route("/fails", async |upgrade: Upgrade| {
                upgrade.accept().await?;
                std::fs::read("/no/such/file")?;
                Ok(())
            })
            .get("/page", "a page")
            .post("/announce", announce)
            .state(7_u32)
            .state(hub.clone())
            .shared_state(Arc::new(()))
            .hub(&hub)
    }
}

async fn status(url: &str) -> u16 {
    match connect(url, ConnectOptions::default()).await {
        Err(Error::Refused(response)) => response.status,
        other => panic!("{other:?}"),
    }
}

/// Returns a server's answer to a request in octets.
pub(crate) async fn ask(url: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut tcp = TcpStream::connect(url.strip_prefix("ws://").unwrap())
        .await
        .unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

/// All that the routes say, wherever they are served.
async fn visit(url: &str, handle: &ServerHandle) {
    assert_eq!(status(&format!("{url}/rooms/lobby")).await, 401);
    assert_eq!(status(&format!("{url}/locked")).await, 403);
    let room = format!("{url}/rooms/lobby?token=ada");
    let foreign = ConnectOptions::default().header("Origin", "https://evil.example");
    let refused = connect(&room, foreign).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 403));
    let mut ada = connect(&room, ConnectOptions::default()).await.unwrap();
    assert_eq!(ada.receive_text().await.unwrap().as_deref(), Some("ada 7"));
    ada.send_text("hello").await.unwrap();
    assert_eq!(ada.receive_text().await.unwrap().as_deref(), Some("hello"));
    let long = "x".repeat(1 << 20);
    ada.send_text(long.as_str()).await.unwrap();
    assert_eq!(ada.receive_text().await.unwrap(), Some(long));

    let post = |framing: &str, body: &str| {
        format!(
            "POST /announce HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{framing}\r\n\r\n{body}"
        )
    };
    for request in [
        post("Content-Length: 4", "news"),
        post(
            "Transfer-Encoding: chunked",
            "2\r\nne\r\n2\r\nws\r\n0\r\n\r\n",
        ),
    ] {
        let answer = ask(url, &request).await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        assert_eq!(ada.receive_text().await.unwrap().as_deref(), Some("news"));
    }
    let large = post("Content-Length: 100000", &"x".repeat(100_000));
    assert!(ask(url, &large).await.starts_with("HTTP/1.1 413 "));
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let page = ask(url, &get("/page")).await;
    assert!(
        page.starts_with("HTTP/1.1 200 ") && page.ends_with("a page"),
        "{page}"
    );
    assert!(ask(url, &get("/sum")).await.starts_with("HTTP/1.1 426 "));

    let mut sum = connect(&format!("{url}/sum"), ConnectOptions::default())
        .await
        .unwrap();
    for (n, want) in [(1, 1), (2, 3)] {
        sum.send_json(&n).await.unwrap();
        assert_eq!(sum.receive_json::<u64>().await.unwrap(), Some(want));
    }
    sum.send_text("no JSON").await.unwrap();
    assert!(matches!(sum.receive().await, Err(Error::Disconnect(end)) if end.code() == 1007));
    let before = handle.metrics().handlers_failed;
    let mut fails = connect(&format!("{url}/fails"), ConnectOptions::default())
        .await
        .unwrap();
    assert!(matches!(fails.receive().await, Err(Error::Disconnect(end)) if end.code() == 1011));
    drop(fails);
    while handle.metrics().handlers_failed == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    handle.drain(Duration::from_millis(20));
    let end = loop {
        match ada.receive().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(end, Err(Error::Disconnect(end)) if end.code() == 1012));
}

#[tokio::test]
async fn one_router_serves_our_sockets_axum_and_hyper() {
    // Ours.
    let mut server = Server::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let handle = server.handle();
    tokio::spawn(server.serve(ours::router()));
    visit(&url, &handle).await;

    // In axum, beside its own pages.
    let service = ours::router().into_service().unwrap();
    let handle = service.handle();
    let router = axum::Router::new()
        .route("/theirs", axum::routing::get("theirs"))
        .fallback_service(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let get = "GET /theirs HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    assert!(ask(&url, get).await.ends_with("theirs"));
    visit(&url, &handle).await;

    // In a bare hyper.
    let service = ours::router().into_service().unwrap();
    let handle = service.handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let service = service.clone();
            let service = service_fn(move |request| service.clone().call(request));
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service)
                .with_upgrades();
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    visit(&url, &handle).await;
}

#[tokio::test]
async fn our_routes_in_axum_over_http_2() {
    let service = ours::router().into_service().unwrap();
    let handle = service.handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback_service(service);
    tokio::spawn(axum::serve(listener, router).into_future());
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    while !requests.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let url = format!("http://{address}");
    let ask = |path: &str| {
        let request = http::Request::builder()
            .method("CONNECT")
            .version(http::Version::HTTP_2)
            .uri(format!("{url}{path}"))
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("origin", &url);
        request.body(()).unwrap()
    };
    for (path, status) in [("/rooms/lobby", 401), ("/locked", 403), ("/nowhere", 404)] {
        let (response, _) = requests.send_request(ask(path), false).unwrap();
        assert_eq!(response.await.unwrap().status(), status, "{path}");
    }
    let page = http::Request::get(format!("{url}/page")).version(http::Version::HTTP_2);
    let (response, _) = requests.send_request(page.body(()).unwrap(), true).unwrap();
    let mut page = response.await.unwrap();
    assert_eq!(page.body_mut().data().await.unwrap().unwrap(), "a page");

    let (response, mut stream) = requests
        .send_request(ask("/rooms/lobby?token=ada"), false)
        .unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    assert!(!head.headers.contains_key("sec-websocket-accept"));
    let (config, seed) = (Arc::default(), Seed::new([9; 32]));
    let ws_url = format!("ws://{address}").parse().unwrap();
    let options = ClientOptions::default();
    let handshake = ClientHandshake::new(&config, &ws_url, options, seed.nonce()).unwrap();
    let response = http::Response::from_parts(head, Vec::new());
    let ServerAnswer::Open(opened) = handshake.receive_http(&response).unwrap() else {
        panic!("refused");
    };
    let mut client = Connection::client(config, &opened.agreement, seed, Instant::ZERO);
    client.send_text("hello").unwrap();
    let mut slices: [&[u8]; 8] = [&[]; 8];
    let filled = client.transmit(&mut slices);
    let octets = slices[..filled].concat();
    client.transmitted(octets.len());
    stream.send_data(Bytes::from(octets), false).unwrap();
    let (mut octets, mut assembly, mut told) = (Vec::new(), Assembly::default(), Vec::new());
    while told.len() < 3 {
        octets.extend(body.data().await.unwrap().unwrap());
        loop {
            let step = client
                .receive(Instant::ZERO, &mut octets, &mut assembly)
                .unwrap();
            match step.event {
                Some(Event::Text(text)) => told.push(text.to_owned()),
                Some(Event::Close(close)) => told.push(close.code.unwrap().to_string()),
                Some(_) => {}
                None => break,
            }
            let consumed = step.consumed;
            octets.drain(..consumed);
        }
        if told.len() == 2 {
            handle.drain(Duration::ZERO);
        }
    }
    assert_eq!(told, ["ada 7", "hello", "1001"]);
}

async fn echo(mut socket: WebSocket) -> sansws_tokio::Result {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
