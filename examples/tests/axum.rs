//! WebSockets inside other stacks: the example of axum over HTTP/1.1 and HTTP/2, and a bare service of hyper.
//! RFC 6455 section 4.2, RFC 8441 section 5.

mod support;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sansws_core::connection::{Connection, Event};
use sansws_core::handshake::{Answer, ClientHandshake, ClientOptions};
use sansws_core::message::Assembly;
use sansws_core::random::Seed;
use sansws_core::time::Instant;
use sansws_tokio::hyper::drain_when;
use sansws_tokio::hyper::{Upgrade, WebSocket};
use sansws_tokio::{Dial, Error, Gate, OriginPolicy, Policy, connect};
use sansws_tokio::{Hub, Open, PresenceMode};
use support::{Client, Running, listening};
use tokio::net::{TcpListener, TcpStream};

fn axum() -> (Running, String) {
    listening(env!("CARGO_BIN_EXE_axum"), &["--listen", "127.0.0.1:0"])
}

#[tokio::test]
async fn axum_over_http_1() {
    let (_running, url) = axum();
    let room = format!("{url}/rooms/lobby");
    let dial = Dial::default()
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
    let foreign = Dial::default().header("Origin", "https://evil.example");
    let refused = connect(&room.replacen("http", "ws", 1), foreign).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 403));
    let refused = connect(&url.replacen("http", "ws", 1), Dial::default()).await;
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
    let (config, seed) = (std::sync::Arc::default(), Seed::new([9; 32]));
    let ws_url = url.replacen("http", "ws", 1).parse().unwrap();
    let options = ClientOptions::default();
    let handshake = ClientHandshake::new(&config, &ws_url, options, seed.nonce()).unwrap();
    let response = http::Response::from_parts(head, Vec::new());
    let Answer::Open(opened) = handshake.receive_http(&response).unwrap() else {
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
    let gate = Gate::new(1);
    let door = gate.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let door = door.clone();
            let service = service_fn(move |mut request| {
                let gate = door.clone();
                async move {
                    let response = match Upgrade::from_request::<_, Full<Bytes>>(&mut request) {
                        Ok(upgrade) => upgrade
                            .gate(gate)
                            .header("X-Served-By", "hyper")
                            .policy(Policy::default().origin(OriginPolicy::any()))
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
    let foreign = Dial::default().header("Origin", "https://elsewhere.example");
    let mut socket = connect(&url, foreign).await.unwrap();
    let served = socket.response_fields().unwrap().get_str("x-served-by");
    assert_eq!(served, Some("hyper"));
    socket.send_text("hello").await.unwrap();
    assert_eq!(socket.receive_text().await.unwrap().unwrap(), "hello");
    // There is room for one.
    let refused = connect(&url, Dial::default()).await;
    assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 503));
    // The handler's error decides the code, and the door closes all.
    gate.drain(Duration::from_millis(50));
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
    let gate = Gate::new(10);
    let (state, door) = (hub.clone(), gate.clone());
    let room = move |upgrade: Upgrade| {
        let upgrade = upgrade
            .gate(door.clone())
            .policy(Policy::default().hub(&state));
        let response: axum::response::Response =
            upgrade.on_upgrade(async |mut socket: WebSocket| {
                let open = Open {
                    user: Some("ada".into()),
                    ..Open::default()
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
        gate,
        Duration::from_millis(50),
    ));
    let serving = tokio::spawn(serving.into_future());

    // Who vanished is gone once the grace is over, though no server of ours drives the hub.
    let mut socket = connect(&url, Dial::default()).await.unwrap();
    assert_eq!(socket.receive_text().await.unwrap().as_deref(), Some("in"));
    assert_eq!(hub.presence("lobby").await.unwrap().count, 1);
    drop(socket);
    while hub.presence("lobby").await.unwrap().count > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let mut socket = connect(&url, Dial::default()).await.unwrap();
    assert_eq!(socket.receive_text().await.unwrap().as_deref(), Some("in"));
    stop.send(()).unwrap();
    match socket.receive().await {
        Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 1012),
        other => panic!("{other:?}"),
    }
    drop(socket);
    serving.await.unwrap().unwrap();
}

async fn echo(mut socket: WebSocket) -> sansws_tokio::Result {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
