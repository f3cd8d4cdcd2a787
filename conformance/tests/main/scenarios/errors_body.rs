// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use std::time::Duration;

use anyhow::Context;
use ws::app::EventSocket;
use ws::{
    CloseCode, ConnectOptions, Endpoint, Error, Json, Message, Result, Router, Server,
    ServerHandle, Upgrade, WebSocket, Wire, connect,
};

/// Serves in the background.
async fn start(router: Router) -> (String, ServerHandle) {
    let mut server = Server::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let handle = server.handle();
    runtime::spawn(async move { server.serve(router).await.unwrap() });
    (url, handle)
}

/// The answer to a client by its path: the close code and the reason, or the status.
async fn told(url: &str, message: Option<Message>) -> (u16, String) {
    let mut socket = match connect(url, ConnectOptions::default()).await {
        Ok(socket) => socket,
        Err(Error::Refused(response)) => {
            return (response.status, String::from_utf8(response.body).unwrap());
        }
        Err(error) => panic!("{url}: {error}"),
    };
    if let Some(message) = message {
        socket.send(message).await.unwrap();
    }
    let _ = socket.receive().await;
    let closed = socket.closed().unwrap();
    (closed.code(), closed.reason)
}

/// How many handlers have failed, once all have ended.
async fn failures(handle: &ServerHandle) -> u64 {
    while handle.open() > 0 {
        ws::sleep(Duration::from_millis(1)).await;
    }
    handle.metrics().handlers_failed
}

/// The server behind a gateway: says or does what its path asks for.
async fn upstream(upgrade: Upgrade) -> Result {
    let what: String = upgrade.param("what")?;
    let mut socket = upgrade.accept().await?;
    match what.parse() {
        Ok(code) => drop(socket.close(code, "a secret of the upstream").await?),
        Err(_) if what == "binary" => socket.send_bytes("octets").await?,
        Err(_) => socket.send_text("no JSON").await?,
    }
    let _ = socket.receive().await;
    Ok(())
}

/// Where the upstream is.
struct Upstream(String);

async fn gateway(upgrade: Upgrade) -> Result {
    let what: String = upgrade.param("what")?;
    let url = upgrade.state::<Upstream>()?.0.clone();
    let mut socket = upgrade.accept().await?;
    // The error of this connection is not that of the upstream later.
    assert!(matches!(
        socket.receive_bytes().await,
        Err(Error::WrongKind(_))
    ));
    let mut behind = connect(&format!("{url}/upstream/{what}"), ConnectOptions::default()).await?;
    match what.as_str() {
        "binary" => drop(behind.receive_text().await?),
        "json" => drop(behind.receive_json::<Vec<u8>>().await?),
        "1000" => {
            assert_eq!(behind.receive().await?, None);
            behind.send_text("nobody is there").await?;
        }
        _ => drop(behind.receive().await?),
    }
    socket.send_text("not to be said").await?;
    Ok(())
}

#[derive(Debug)]
struct Failure(std::io::Error);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a secret of the application")
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Fails in the way that its path asks for, after it has accepted.
async fn fails(upgrade: Upgrade) -> Result {
    let how: String = upgrade.param("how")?;
    let late: Result<String, Error> = upgrade.param("how_");
    let mut socket = upgrade.accept().await?;
    match how.as_str() {
        "fs" => drop(std::fs::read("/a/secret/path")?),
        "row" => drop(serde_json::from_str::<Vec<u8>>(r#"{"secret": 1}"#)?),
        "source" => Err(Failure(std::io::ErrorKind::NotFound.into()))?,
        "anyhow" => Err(anyhow::anyhow!("a secret").context("more of it"))?,
        "text" => return Err("a secret".into()),
        "number" => drop("a secret".parse::<u8>()?),
        "hub" => drop(socket.join("lobby").await?),
        "param" => drop(late?),
        "reject" => return Err(Error::reject(ws::Response::text(404, "a secret\n"))),
        "misuse" => drop(socket.close(1005, "").await?),
        "json" => {
            socket
                .send_json(&std::collections::HashMap::from([((1, 2), 3)]))
                .await?
        }
        "panic" => panic!("a secret"),
        "refused" => drop(connect("ws://127.0.0.1:1", ConnectOptions::default()).await?),
        other => panic!("{other}"),
    }
    Ok(())
}

/// Likewise, before it has accepted.
async fn fails_early(upgrade: Upgrade) -> Result {
    match upgrade.param::<String>("how")?.as_str() {
        "param" => drop(upgrade.param::<String>("how_")?),
        "state" => drop(upgrade.state::<Failure>()?),
        "fs" => drop(std::fs::read("/a/secret/path")?),
        "close" => return Err(Error::close(CloseCode::POLICY, "nothing is open")),
        "panic" => panic!("a secret"),
        "forgets" => {}
        other => panic!("{other}"),
    }
    Ok(())
}

#[test]
fn faults_of_the_application_show_only_as_a_code_and_are_counted() {
    runtime::block_on(async {
        let (behind, _behind) = start(Router::new().route("/upstream/{what}", upstream)).await;
        let router = Router::new()
            .route("/gateway/{what}", gateway)
            .route("/fails/{how}", fails)
            .route("/early/{how}", fails_early)
            .state(Upstream(behind));
        let (url, handle) = start(router).await;
        let mut failed = 0;
        for what in ["1000", "1008", "1011", "1012", "4001", "binary", "json"] {
            let got = told(&format!("{url}/gateway/{what}"), Some("go".into())).await;
            assert_eq!(got, (1011, String::new()), "the upstream: {what}");
            failed += 1;
            assert_eq!(failures(&handle).await, failed, "{what}");
        }
        for how in [
            "fs", "row", "source", "anyhow", "text", "number", "hub", "param", "reject", "misuse",
            "json", "panic", "refused",
        ] {
            let got = told(&format!("{url}/fails/{how}"), None).await;
            assert_eq!(got, (1011, String::new()), "{how}");
            failed += 1;
            assert_eq!(failures(&handle).await, failed, "{how}");
        }
        for how in ["param", "state", "fs", "close", "panic", "forgets"] {
            let (status, body) = told(&format!("{url}/early/{how}"), None).await;
            assert_eq!(status, 500, "{how}");
            assert_eq!(body, "the request could not be handled\n", "{how}");
            failed += 1;
            assert_eq!(failures(&handle).await, failed, "{how}");
        }
    });
}

/// The error of an application's helpers.
async fn by_anyhow(socket: &mut WebSocket, how: &str) -> anyhow::Result<()> {
    if how.starts_with("context") {
        socket.receive_text().await.context("a question")?;
    }
    loop {
        match how {
            "anyhow-json" => drop(socket.receive_json::<Vec<u8>>().await?),
            _ => drop(socket.receive_text().await?),
        }
    }
}

async fn listens(upgrade: Upgrade) -> Result {
    let how: String = upgrade.param("how")?;
    let mut socket = upgrade.accept().await?;
    match how.as_str() {
        "json" => drop(socket.receive_json::<Vec<u8>>().await?),
        "parse" => {
            let text = socket.receive_text().await?.unwrap_or_default();
            let Json(_) = socket.parse::<Json<Vec<u8>>>(text)?;
        }
        "sends" => loop {
            socket.send_text("and on").await?;
        },
        "asks" => {
            let mut events = EventSocket::new(socket);
            let _: u8 = events.request("age", &()).await??;
        }
        "plain" => while socket.receive_text().await?.is_some() {},
        _ => by_anyhow(&mut socket, &how).await?,
    }
    Ok(())
}

#[derive(Clone)]
struct Texts;

impl Endpoint<Wire> for Texts {
    type Message = Json<Vec<u8>>;

    async fn on_receive(&mut self, _: &mut WebSocket, _: Json<Vec<u8>>) -> Result {
        Ok(())
    }
}

#[test]
fn acts_of_the_peer_are_no_failures_of_the_application() {
    runtime::block_on(async {
        let router = Router::new()
            .route("/listens/{how}", listens)
            .route("/endpoint", Texts);
        let (url, handle) = start(router).await;
        let kind = "expected text, received binary".to_string();
        let json = "the message is not the JSON that was expected".to_string();
        let bytes = || Some(Message::Binary(b"octets".into()));
        let text = || Some(Message::from("{"));
        for (path, message, want) in [
            ("listens/plain", bytes(), (1003, kind.clone())),
            ("listens/anyhow", bytes(), (1003, kind.clone())),
            ("listens/context", bytes(), (1003, kind)),
            ("listens/json", text(), (1007, json.clone())),
            ("listens/parse", text(), (1007, json.clone())),
            ("listens/anyhow-json", text(), (1007, json.clone())),
            ("endpoint", text(), (1007, json)),
        ] {
            assert_eq!(
                told(&format!("{url}/{path}"), message).await,
                want,
                "{path}"
            );
        }
        for how in ["plain", "anyhow", "context", "sends", "asks"] {
            let normal = [1000, 1001].map(Some);
            // Handlers that wait for an error would never end.
            let normal = if how == "asks" { &normal[..] } else { &[] };
            for code in [Some(4001), Some(1011), None].iter().chain(normal) {
                let mut socket =
                    connect(&format!("{url}/listens/{how}"), ConnectOptions::default())
                        .await
                        .unwrap();
                match code {
                    Some(code) => drop(socket.close(*code, "so it is").await.unwrap()),
                    None => drop(socket),
                }
            }
        }
        assert_eq!(failures(&handle).await, 0);
    });
}

/// Number of messages of a burst: one read takes them all.
const BURST: usize = 30;

#[test]
fn a_handler_that_learns_of_the_end_by_flushing_has_not_failed() {
    runtime::block_on(async {
        let (read, has_read) = async_channel::bounded(1);
        let (go, goes) = async_channel::bounded::<()>(1);
        let handler = move |upgrade: Upgrade| {
            let (read, goes) = (read.clone(), goes.clone());
            async move {
                let mut socket = upgrade.accept().await?;
                let mut received = 0;
                while let Some(message) = socket.receive().await? {
                    received += 1;
                    if received == 1 {
                        read.send(()).await?;
                        goes.recv().await?;
                    }
                    socket.send(message).await?;
                    socket.flush().await?;
                }
                Ok(())
            }
        };
        // A sender reads little ahead, so the end may be hidden behind messages.
        let mut config = ws::Config::default();
        config.limits.read_ahead = 1_000;
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        server = server.options(ws::ServerOptions::default().config(config));
        let address = server.local_addr().unwrap();
        let handle = server.handle();
        let router = Router::new().route("/", handler);
        runtime::spawn(async move { server.serve(router).await.unwrap() });

        let mut burst = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .into_bytes();
        let message = [&[0x81, 0x80 | 100, 0, 0, 0, 0], &[b'x'; 100][..]].concat();
        burst.extend(message.repeat(BURST));
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut peer, &burst).unwrap();
        has_read.recv().await.unwrap();
        let end = socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO));
        end.unwrap();
        drop(peer);
        go.send(()).await.unwrap();
        assert_eq!(failures(&handle).await, 0);
    });
}

#[test]
fn each_reply_of_a_client_precedes_a_close_behind_the_messages() {
    use std::io::{Read, Write};

    use crate::support::program::{Threads, answer_handshake};

    let (count, counted) = std::sync::mpsc::channel();
    let count = std::sync::Mutex::new(count);
    let server = Threads::serve(move |_, mut stream| {
        assert!(answer_handshake(&mut stream));
        let mut burst = b"\x81\x05hello".repeat(1_000);
        burst.extend(b"\x88\x02\x03\xe8");
        stream.write_all(&burst).unwrap();
        let mut frame = [0; 11];
        let mut replies = 0;
        while stream.read_exact(&mut frame[..1]).is_ok() && frame[0] == 0x81 {
            stream.read_exact(&mut frame[1..]).unwrap();
            replies += 1;
        }
        count.lock().unwrap().send(replies).unwrap();
        false
    });
    runtime::block_on(async {
        let options = ConnectOptions::default();
        let mut socket = connect(&server.url(), options).await.unwrap();
        while let Some(message) = socket.receive().await.unwrap() {
            socket.send(message.clone()).await.unwrap();
            socket.send(message).await.unwrap();
        }
        drop(socket);
    });
    assert_eq!(counted.recv(), Ok(2_000));
}
