//! The endpoint and its HTTP API over sockets.

use std::io::Write;
use std::task::Poll;
use std::time::Duration;

use sansws_async::HubEnv;
use sansws_centrifuge::{Centrifuge, Connect, Disconnect, Namespace, Options, Refusal};
use sansws_core::hub::{HistoryOptions, HubOptions};
use sansws_tokio::{
    Config, ConnectOptions, ConnectionPolicy, Hub, Router, Server, ServerHandle, WebSocket, connect,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The adapter of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Runtime,
    EventLoop,
}

const BOTH: [On; 2] = [On::Runtime, On::EventLoop];

/// Maximum length of a request for a stream, or of commands beside one.
const BODY: usize = 100 << 10;

/// A server, and the clients that it told are gone.
struct Running {
    address: std::net::SocketAddr,
    handle: ServerHandle,
    gone: UnboundedReceiver<(String, Disconnect)>,
}

/// The end of a test ends its event loop.
impl Drop for Running {
    fn drop(&mut self) {
        self.handle.drop_all();
    }
}

async fn start() -> Running {
    start_with(On::Runtime, |_| ()).await
}

async fn start_with(on: On, change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::default()
        .namespace("chat", Namespace::default().subscribe())
        .namespace(
            "kept",
            Namespace::default().history(HistoryOptions::default()),
        );
    change(&mut options);
    let of_hub = options.configure(HubOptions::default());
    let (tell, gone) = unbounded_channel();
    let mut config = Config::default();
    config.limits.body = BODY;
    let policy = ConnectionPolicy::default().config(config);
    let (address, handle) = match on {
        On::Runtime => {
            let hub = Hub::with_options(of_hub);
            let centrifuge = endpoint(&hub, options, tell);
            let router = Router::new()
                .mount("/api", centrifuge.api("key"))
                .mount("/open", centrifuge.api(""))
                .merge(centrifuge.fallbacks().policy(policy))
                .route("/connection/websocket", centrifuge)
                .hub(&hub);
            let mut server = Server::bind("127.0.0.1:0").await.unwrap();
            let known = (server.local_addr().unwrap(), server.handle());
            tokio::spawn(async move { server.serve(router).await.unwrap() });
            known
        }
        On::EventLoop => {
            let hub = sansws_mio::Hub::with_options(of_hub);
            let centrifuge = endpoint(&hub, options, tell);
            let mut server = sansws_mio::Server::bind("127.0.0.1:0").unwrap();
            let known = (server.local_addr().unwrap(), server.handle());
            std::thread::spawn(move || {
                let router = sansws_mio::Router::new()
                    .mount("/api", centrifuge.loop_api("key"))
                    .mount("/open", centrifuge.loop_api(""))
                    .merge(centrifuge.loop_fallbacks().policy(policy))
                    .route("/connection/websocket", centrifuge);
                server.serve(router).unwrap();
            });
            known
        }
    };
    Running {
        address,
        handle,
        gone,
    }
}

/// The endpoint, the same on both.
fn endpoint<E: HubEnv + 'static>(
    hub: &sansws_async::hub::Hub<E>,
    options: Options,
    tell: UnboundedSender<(String, Disconnect)>,
) -> Centrifuge<E> {
    let joins = hub.clone();
    Centrifuge::new(hub, options)
        .on_rpc("join", move |client, data| {
            // The application has its users join a group of its own, which no command asked for.
            let joined = joins.join_user(&client.user, "chat:by the application");
            async move {
                assert!(joined.is_ok(), "{joined:?}");
                for _ in 0..100 {
                    later().await;
                }
                Ok(data)
            }
        })
        .on_connect(async |request| {
            if request.name == "brief" {
                let mut brief = Connect::user("ada");
                brief.expires = Some(E::now() + Duration::from_millis(50));
                return Ok(brief);
            }
            if request.token.is_empty() {
                return Ok(Connect::user("ada"));
            }
            Err(Refusal::from(Disconnect::invalid_token()))
        })
        .on_rpc("wait", async |_, _| std::future::pending().await)
        .on_rpc("soon", async |_, data| {
            later().await;
            Ok(data)
        })
        .on_rpc("echo", async |_, data| Ok(data))
        .on_rpc("panic", async |_, _| panic!("as planned"))
        .on_rpc("panic later", async |_, _| {
            later().await;
            panic!("as planned")
        })
        .on_rpc("end", async |_, _| {
            Err(Refusal::from(Disconnect {
                code: 4000,
                reason: "enough".into(),
            }))
        })
        .on_disconnect(move |client, end| {
            // The test may be over.
            let _ = tell.send((client.user, end));
            panic!("a callback that panics harms nobody");
        })
}

/// Waits for another thread.
async fn later() {
    let mut thread = None;
    std::future::poll_fn(|cx| {
        if thread.is_some() {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        // It may be polled without a waker first: whoever polls it last is woken.
        thread = Some(std::thread::spawn(move || waker.wake()));
        Poll::Pending
    })
    .await;
}

impl Running {
    async fn client(&self, connect_command: &Value) -> WebSocket {
        let url = format!("ws://{}/connection/websocket", self.address);
        let mut socket = connect(url, ConnectOptions::default()).await.unwrap();
        socket.send_json(connect_command).await.unwrap();
        socket
    }

    /// A client that is connected.
    async fn connected(&self) -> WebSocket {
        let mut socket = self.client(&json!({"id": 1, "connect": {}})).await;
        let reply: Value = socket.receive_json().await.unwrap().unwrap();
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        socket
    }

    async fn call(&self, method: &str, body: &Value) -> Value {
        let (status, body) = self
            .post(&format!("/api/{method}"), &body.to_string())
            .await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.post_with("key", path, body).await
    }

    async fn post_with(&self, key: &str, path: &str, body: &str) -> (u16, String) {
        let address = self.address;
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}

#[tokio::test]
async fn the_application_learns_once_that_a_client_is_gone_however_it_went() {
    for on in BOTH {
        let mut server = start_with(on, |_| ()).await;
        // Refused: it had not connected.
        let mut refused = server
            .client(&json!({"id": 1, "connect": {"token": "x"}}))
            .await;
        assert!(refused.receive().await.is_err());

        server.connected().await.close(1000, "bye").await.unwrap();
        drop(server.connected().await); // TCP ends without a Close frame
        let mut ends = server.connected().await;
        ends.send_json(&json!({"id": 2, "rpc": {"method": "end"}}))
            .await
            .unwrap();
        assert!(ends.receive().await.is_err());
        for method in ["panic", "panic later"] {
            let mut panics = server.connected().await;
            panics
                .send_json(&json!({"id": 2, "rpc": {"method": method}}))
                .await
                .unwrap();
            assert!(panics.receive().await.is_err());
        }
        let open = server.connected().await;
        server.handle.drop_all();
        let (mut codes, mut reasons) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            let (user, end) = server.gone.recv().await.unwrap();
            assert_eq!(user, "ada");
            codes.push(end.code);
            reasons.push(end.reason);
        }
        drop(open);
        let lost = "the peer ended the stream without a Close frame".to_owned();
        assert!(reasons.contains(&lost), "{reasons:?}");
        codes.sort_unstable();
        assert_eq!(codes, [1000, 1006, 1006, 1011, 1011, 4000]);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(server.gone.try_recv().is_err(), "each was told once");
    }
}

#[tokio::test]
async fn a_batch_calls_methods_in_order_and_one_that_fails_stops_none() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let batch = json!({"commands": [
            {"publish": {"channel": "chat:a", "data": 1}},
            {"publish": {"channel": "nowhere:a", "data": 1}},
            {"fly": {}},
            {"info": {}},
        ]});
        let replies = server.call("batch", &batch).await;
        let replies = replies["replies"].as_array().unwrap();
        assert_eq!(replies[0], json!({"publish": {}}));
        assert_eq!(replies[1]["error"]["code"], 102);
        assert_eq!(replies[2]["error"]["code"], 104);
        assert_eq!(replies[3]["info"]["nodes"][0]["num_clients"], 0);
        assert_eq!(replies.len(), 4);
    }
}

#[tokio::test]
async fn a_slow_client_is_closed_with_3008_and_nobody_waits_for_it() {
    for on in BOTH {
        let mut server = start_with(on, |_| ()).await;
        let mut slow = server.connected().await;
        let mut quick = server.connected().await;
        let subscribe = json!({"id": 2, "subscribe": {"channel": "chat:a"}});
        slow.send_json(&subscribe).await.unwrap();
        let _: Option<Value> = slow.receive_json().await.unwrap();
        quick.send_json(&subscribe).await.unwrap();
        let _: Option<Value> = quick.receive_json().await.unwrap();
        // Text that does not become shorter by compression.
        let mut number = 1_u64;
        let digits = std::iter::repeat_with(|| {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            format!("{number:016x}")
        });
        let text: String = digits.take(4_000).collect();
        let mut published = 0;
        loop {
            let publish = json!({"channel": "chat:a", "data": text});
            assert_eq!(
                server.call("publish", &publish).await,
                json!({"result": {}})
            );
            let push: Value = quick.receive_json().await.unwrap().unwrap();
            assert_eq!(push["push"]["pub"]["data"], text);
            published += 1;
            assert!(published < 2_000, "it is never slow");
            let channels = server.call("channels", &json!({})).await;
            if channels["result"]["channels"]["chat:a"]["num_clients"] == 1 {
                break;
            }
        }
        let mut received = 0;
        let error = loop {
            match slow.receive().await {
                Ok(Some(_)) => received += 1,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let closed = slow.closed().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!((closed.code(), &*closed.reason), (3008, "slow"));
        assert!(received < published);
        let (_, gone) = server.gone.recv().await.unwrap();
        assert_eq!(gone.code, 3008);
    }
}

#[tokio::test]
async fn a_user_has_so_many_connections() {
    for on in BOTH {
        let server = start_with(on, |options| options.user_connections = Some(2)).await;
        let mut one = server.connected().await;
        let _two = server.connected().await;
        let mut three = server.client(&json!({"id": 1, "connect": {}})).await;
        assert!(three.receive().await.is_err());
        assert_eq!(three.closed().unwrap().code(), 3504);
        one.close(1000, "").await.unwrap();
        server.connected().await;
    }
}

/// It comes back as soon as it is told to, while TCP of its former connection still ends.
#[tokio::test]
async fn a_client_that_was_disconnected_counts_no_more() {
    for on in BOTH {
        let mut server = start_with(on, |options| options.user_connections = Some(1)).await;
        let end = json!({"code": 3000, "reason": "elsewhere"});
        let disconnect = json!({"user": "ada", "disconnect": end});
        let mut socket = server.connected().await;
        server.call("disconnect", &disconnect).await;
        assert!(socket.receive().await.is_err());
        assert_eq!(socket.closed().unwrap().code(), 3000);
        let hello = json!({"id": 1, "connect": {}}).to_string();
        let mut former = Streamed::connect(server.address, &hello).await;
        for _ in 0..3 {
            let reply = former.line().await.unwrap();
            assert!(reply["connect"].is_object(), "{on:?} {reply}");
            server.call("disconnect", &disconnect).await;
            let push = former.line().await.unwrap();
            assert_eq!(push["push"]["disconnect"]["code"], 3000);
            assert_eq!(former.line().await, None);
            assert_eq!(server.gone.recv().await.unwrap().1.code, 3000);
            let next = Streamed::connect(server.address, &hello).await;
            // TCP of the former one goes on meanwhile.
            drop(std::mem::replace(&mut former, next));
        }
    }
}

/// A page of another origin can make a browser request a stream of events: it gets a connection, and runs no other command.
#[tokio::test]
async fn the_api_takes_empty_values_for_none() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let mut client = server.connected().await;
        let publish = json!({"channel": "chat:a", "data": 1, "idempotency_key": ""});
        for _ in 0..2 {
            assert_eq!(
                server.call("publish", &publish).await,
                json!({"result": {}})
            );
        }
        for (method, more) in [
            ("refresh", json!({})),
            ("subscribe", json!({"channel": "chat:a"})),
        ] {
            let mut body = json!({"user": "ada", "expire_at": 0});
            body.as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            assert_eq!(server.call(method, &body).await, json!({"result": {}}));
            let pushed: Value = client.receive_json().await.unwrap().unwrap();
            let pushed = &pushed["push"][method];
            assert!(
                pushed.is_object() && pushed["expires"].is_null(),
                "{on:?} {pushed}"
            );
        }
        // Neither has expired.
        client
            .send_json(&json!({"id": 2, "rpc": {"method": "echo", "data": 1}}))
            .await
            .unwrap();
        let reply: Value = client.receive_json().await.unwrap().unwrap();
        assert_eq!(reply, json!({"id": 2, "rpc": {"data": 1}}), "{on:?}");
    }
}

#[tokio::test]
async fn a_stream_of_events_begins_with_one_command() {
    let server = start().await;
    for (commands, status) in [
        ("%7B%22id%22:1,%22connect%22:%7B%7D%7D", "200"),
        ("%7B%22id%22:1,%22connect%22:%7B%7D%7D%0A", "200"),
        (
            "%7B%22id%22:1,%22connect%22:%7B%7D%7D%0A%7B%22id%22:2,%22rpc%22:%7B%7D%7D",
            "400",
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.address)
            .await
            .unwrap();
        let path = format!("/connection/sse?cf_connect={commands}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&head[9..]), status, "{commands}");
    }
}

#[tokio::test]
async fn the_api_passes_payloads_on_as_they_were_given() {
    let deep = "[".repeat(300) + &"]".repeat(300);
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let payloads = [
            deep.as_str(),
            "1e999",
            "12345678901234567890123.0",
            r#"{"b":1,"a":2,"b":3}"#,
            r#""\ud800""#,
            r#"{ "a":  1 }"#,
        ];
        for data in payloads {
            let body = format!(r#"{{"channel":"kept:a","data":{data}}}"#);
            assert_eq!(server.post("/api/publish", &body).await.0, 200);
            let body = r#"{"channel":"kept:a","limit":1,"reverse":true}"#;
            let (status, kept) = server.post("/api/history", body).await;
            let is_there = kept.contains(&format!(r#""data":{data}"#));
            assert!(status == 200 && is_there, "{on:?} {kept}");
            let body = format!(r#"{{"method":"echo","params":{data}}}"#);
            let want = format!(r#"{{"result":{{"data":{data}}}}}"#);
            assert_eq!(server.post("/api/rpc", &body).await, (200, want), "{on:?}");
        }
    }
}

#[tokio::test]
async fn the_api_names_what_is_wrong() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        for (method, body, want) in [
            ("history_remove", json!({"channel": "chat:a"}), 108),
            ("history_remove", json!({"channel": "nowhere:a"}), 102),
            ("history_remove", json!({}), 107),
            ("refresh", json!({}), 107),
            (
                "disconnect",
                json!({"user": "a", "disconnect": {"code": 1000, "reason": ""}}),
                107,
            ),
            (
                "subscribe",
                json!({"user": "a", "channel": "chat:a", "b64data": "%"}),
                107,
            ),
            ("publish", json!({"channel": "chat:a"}), 107),
            ("fly", json!({}), 104),
            ("rpc", json!({}), 104),
            ("rpc", json!({"method": "fly"}), 104),
            ("rpc", json!({"method": "end"}), 103),
        ] {
            let reply = server.call(method, &body).await;
            assert_eq!(reply["error"]["code"], want, "{method} {body}");
        }
        let removed = server
            .call("history_remove", &json!({"channel": "kept:a"}))
            .await;
        assert_eq!(removed, json!({"result": {}}));
        for params in [json!([1, {"a": "b"}]), json!("text"), json!(null)] {
            let call = json!({"method": "soon", "params": params});
            let called = server.call("rpc", &call).await;
            assert_eq!(called, json!({"result": {"data": params}}), "{on:?}");
        }
        let (status, _) = server.post("/api/rpc", r#"{"method":"panic"}"#).await;
        assert_eq!(status, 500, "{on:?}");
        // A key that was forgotten admits nobody.
        for (key, path) in [("", "/open/info"), ("key", "/open/info"), ("", "/api/info")] {
            let (status, _) = server.post_with(key, path, "{}").await;
            assert_eq!(status, 401, "{on:?} {path}");
        }
    }
}

#[tokio::test]
async fn subscriptions_that_the_hub_refuses_end_no_connection() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let mut client = server.connected().await;
        for channel in ["chat:a\nb", &format!("chat:{}", "x".repeat(251))] {
            let body = json!({"user": "ada", "channel": channel});
            let reply = server.call("subscribe", &body).await;
            assert_eq!(reply["error"]["code"], 107, "{on:?} {channel:?}");
        }
        // The client information that others would see is too long.
        for body in [
            json!({"user": "ada", "channel": "chat:a", "info": "x".repeat(9_000)}),
            json!({"user": "ada", "channel": "chat:b"}),
        ] {
            let reply = server.call("subscribe", &body).await;
            assert_eq!(reply, json!({"result": {}}), "{on:?}");
        }
        let push: Value = client.receive_json().await.unwrap().unwrap();
        assert_eq!(push["push"]["channel"], "chat:b", "{on:?} {push}");
        assert!(push["push"]["subscribe"].is_object(), "{on:?} {push}");
    }
}

/// A client over HTTP streaming: the stream, and what of it is not read yet.
struct Streamed {
    stream: tokio::net::TcpStream,
    unread: Vec<u8>,
}

impl Streamed {
    async fn connect(address: std::net::SocketAddr, body: &str) -> Self {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /connection/http_stream HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut this = Self {
            stream,
            unread: Vec::new(),
        };
        let head = this.until(b"\r\n\r\n").await.unwrap();
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
        this
    }

    /// Reads up to this; `None` if the stream ends before.
    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.unread.windows(end.len()).position(|part| part == end);
            if let Some(at) = found {
                let rest = self.unread.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.unread, rest));
            }
            if self.stream.read_buf(&mut self.unread).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// The next line of JSON, without the lengths of chunks.
    async fn line(&mut self) -> Option<Value> {
        loop {
            let line = self.until(b"\n").await?;
            if line.starts_with(b"{") {
                return serde_json::from_slice(&line).ok();
            }
            if line == b"0\r\n" {
                return None;
            }
        }
    }

    /// Reads to its end, which says that the client was slow.
    async fn ends_as_slow(mut self) {
        let mut last = Value::Null;
        while let Some(line) = self.line().await {
            last = line;
        }
        assert_eq!(last["push"]["disconnect"]["code"], 3008);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_client_with_its_session_and_with_the_server() {
    for on in BOTH {
        let mut server = start_with(on, |_| ()).await;
        let hello = json!({"id": 1, "connect": {}}).to_string();
        // Refused: the reason is the last push.
        let refused = json!({"id": 1, "connect": {"token": "x"}}).to_string();
        let mut refused = Streamed::connect(server.address, &refused).await;
        let push = refused.line().await.unwrap();
        assert_eq!(push["push"]["disconnect"]["code"], 3500);
        assert_eq!(refused.line().await, None);

        let mut left = Streamed::connect(server.address, &hello).await;
        let reply = left.line().await.unwrap();
        assert!(reply["connect"]["session"].is_string(), "{reply}");
        drop(left);
        let (_, end) = server.gone.recv().await.unwrap();
        assert_eq!(end.code, 1006);

        let mut slow = Streamed::connect(
            server.address,
            &format!(
                "{hello}\n{}",
                json!({"id": 2, "subscribe": {"channel": "chat:a"}})
            ),
        )
        .await;
        assert!(slow.line().await.unwrap()["connect"].is_object());
        assert!(slow.line().await.unwrap()["subscribe"].is_object());
        let text = "x".repeat(60_000);
        for published in 0.. {
            assert!(published < 2_000, "it is never slow");
            let publish = json!({"channel": "chat:a", "data": text});
            server.call("publish", &publish).await;
            let channels = server.call("channels", &json!({})).await;
            if channels["result"]["channels"]["chat:a"].is_null() {
                break;
            }
        }
        slow.ends_as_slow().await;
        assert_eq!(server.gone.recv().await.unwrap().1.code, 3008);

        let mut open = Streamed::connect(server.address, &hello).await;
        open.line().await.unwrap();
        server.handle.drain(Duration::ZERO);
        let code = match on {
            On::Runtime => 1006,
            On::EventLoop => {
                let push = open.line().await.unwrap();
                assert_eq!(push["push"]["disconnect"]["code"], 1001);
                1001
            }
        };
        assert_eq!(open.line().await, None);
        assert_eq!(server.gone.recv().await.unwrap().1.code, code);
    }
}

/// Posts a command for a session; returns the status.
async fn post_to(server: &Running, session: &str, command: &Value) -> u16 {
    let body = json!({"session": session, "data": command.to_string()});
    server.post("/emulation", &body.to_string()).await.0
}

#[tokio::test]
async fn a_handler_that_fails_ends_its_stream_alone() {
    for on in BOTH {
        let mut server = start_with(on, |_| ()).await;
        let hello = json!({"id": 1, "connect": {}}).to_string();
        let mut bystander = Streamed::connect(server.address, &hello).await;
        let session_of = |reply: Value| reply["connect"]["session"].as_str().unwrap().to_owned();
        let beside = session_of(bystander.line().await.unwrap());
        for (method, code) in [("panic", 1011), ("panic later", 1011), ("end", 4000)] {
            let mut client = Streamed::connect(server.address, &hello).await;
            let session = session_of(client.line().await.unwrap());
            let call = json!({"id": 2, "rpc": {"method": method}});
            assert_eq!(post_to(&server, &session, &call).await, 204);
            let last = client.line().await;
            if code == 4000 {
                assert_eq!(last.unwrap()["push"]["disconnect"]["code"], 4000);
                assert_eq!(client.line().await, None, "{on:?}");
            } else {
                assert_eq!(last, None, "{on:?} {method}");
            }
            let (_, end) = server.gone.recv().await.unwrap();
            assert_eq!(end.code, code, "{on:?} {method}");
            assert_eq!(post_to(&server, &session, &call).await, 404);
        }
        let ping = json!({"id": 3, "ping": {}});
        assert_eq!(post_to(&server, &beside, &ping).await, 204);
        assert_eq!(bystander.line().await.unwrap()["id"], 3, "{on:?}");
    }
}

#[tokio::test]
async fn commands_beside_a_stream_need_its_secret() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let hello = json!({"id": 1, "connect": {}}).to_string();
        let mut client = Streamed::connect(server.address, &hello).await;
        let reply = client.line().await.unwrap();
        let session = reply["connect"]["session"].as_str().unwrap().to_owned();
        let id = reply["connect"]["client"].as_str().unwrap().to_owned();
        let ping = |number: u32| json!({"id": number, "ping": {}}).to_string();
        let post = async |session: &str, data: &str| {
            let body = json!({"session": session, "data": data}).to_string();
            server.post("/emulation", &body).await.0
        };
        // Guesses do not reach the session, however many: they would fill its queue.
        let (_, signature) = session.rsplit_once('.').unwrap();
        for _ in 0..300 {
            let guess = format!("{id}.guess.{signature}");
            assert_eq!(post(&guess, &ping(2)).await, 404);
        }
        assert_eq!(post(&session, &ping(4)).await, 204);
        assert_eq!(client.line().await.unwrap()["id"], 4);
        for wrong in [id.as_str(), "", "x.y", "x.y.z"] {
            assert_eq!(post(wrong, &ping(5)).await, 404);
        }
        assert_eq!(server.post("/emulation", "no").await.0, 400);
        // A violation of the protocol ends it.
        assert_eq!(post(&session, "nonsense").await, 204);
        let push = client.line().await.unwrap();
        assert_eq!(push["push"]["disconnect"]["code"], 3501);
        assert_eq!(client.line().await, None);
        assert_eq!(post(&session, &ping(6)).await, 404);
    }
}

#[tokio::test]
async fn commands_beside_a_stream_are_as_long_as_its_policy_allows() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let hello = json!({"id": 1, "connect": {}}).to_string();
        let mut client = Streamed::connect(server.address, &hello).await;
        let reply = client.line().await.unwrap();
        let session = reply["connect"]["session"].as_str().unwrap().to_owned();
        for (length, status) in [(BODY - 1_000, 204), (BODY, 413)] {
            let data = "x".repeat(length);
            let call = json!({"id": 2, "rpc": {"method": "echo", "data": data}});
            assert_eq!(post_to(&server, &session, &call).await, status, "{on:?}");
        }
        let reply = client.line().await.unwrap();
        let echo = reply["rpc"]["data"].as_str().unwrap();
        assert_eq!(echo.len(), BODY - 1_000);
    }
}

/// A WebSocket would not be read any more; posted commands cannot be held back.
#[tokio::test]
async fn commands_beside_a_stream_do_not_fill_memory() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let hello = json!({"id": 1, "connect": {}}).to_string();
        let mut client = Streamed::connect(server.address, &hello).await;
        let reply = client.line().await.unwrap();
        let session = reply["connect"]["session"].as_str().unwrap().to_owned();
        let mut posted = 0;
        let long = "x".repeat(60_000);
        let command = json!({"id": 2, "rpc": {"method": "wait", "data": long}}).to_string();
        let body = json!({"session": session, "data": command}).to_string();
        while server.post("/emulation", &body).await.0 == 204 {
            posted += 1;
            assert!(posted < 100, "all are kept");
            tokio::task::yield_now().await;
        }
        assert!(posted > 16, "{posted}");
        let push = client.line().await.unwrap();
        assert_eq!(push["push"]["disconnect"]["code"], 3013);
    }
}

/// On a runtime nothing is taken of the hub while the stream is full.
#[tokio::test]
async fn replies_to_commands_beside_a_stream_do_not_fill_memory() {
    // Nobody answers pings.
    let server = start_with(On::EventLoop, |options| options.ping = Duration::ZERO).await;
    let hello = json!({"id": 1, "connect": {}});
    let subscribe = json!({"id": 2, "subscribe": {"channel": "chat:a"}});
    let mut client = Streamed::connect(server.address, &format!("{hello}\n{subscribe}")).await;
    let reply = client.line().await.unwrap();
    let session = reply["connect"]["session"].as_str().unwrap().to_owned();
    let unknown = json!({"id": 3, "publish": {"channel": "nowhere:a", "data": 1}});
    let many = vec![unknown.to_string(); 1_000].join("\n");
    let body = json!({"session": session, "data": many}).to_string();
    // Its replies are not read. Buffers of sockets over loopback hold megabytes.
    for posted in 0.. {
        assert!(posted < 1_000, "all replies are kept");
        assert_eq!(server.post("/emulation", &body).await.0, 204);
        let channels = server.call("channels", &json!({})).await;
        if channels["result"]["channels"]["chat:a"].is_null() {
            break;
        }
    }
    client.ends_as_slow().await;
}

#[tokio::test]
async fn violations_of_the_protocol_end_their_connection_alone() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let mut bystander = server.connected().await;
        for (bad, code) in [
            ("", 3501),
            ("\n", 3501),
            ("nonsense", 3501),
            ("{\"id\":1,\"connect\":{}", 3501),
            ("[]", 3501),
            ("{\"id\":2,\"rpc\":{\"method\":\"soon\"}}", 3501),
            ("{\"id\":1,\"connect\":{\"token\":\"x\"}}", 3500),
        ] {
            let url = format!("ws://{}/connection/websocket", server.address);
            let mut socket = connect(url, ConnectOptions::default()).await.unwrap();
            socket.send_text(bad).await.unwrap();
            assert!(socket.receive().await.is_err(), "{on:?} {bad}");
            assert_eq!(socket.closed().unwrap().code(), code, "{on:?} {bad}");
        }
        for bad in [
            json!({"id": 2, "connect": {}}),
            json!({"id": 2, "subscribe": {}}),
        ] {
            let mut socket = server.connected().await;
            socket.send_json(&bad).await.unwrap();
            assert!(socket.receive().await.is_err(), "{on:?} {bad}");
            assert_eq!(socket.closed().unwrap().code(), 3501, "{on:?} {bad}");
        }
        let mut binary = server.connected().await;
        binary.send(vec![0, 1, 2]).await.unwrap();
        assert!(binary.receive().await.is_err());
        assert_eq!(binary.closed().unwrap().code(), 3501, "{on:?}");
        let url = format!("ws://{}/connection/websocket", server.address);
        let silent = ConnectOptions::default();
        let mut silent = connect(url, silent).await.unwrap();
        bystander
            .send_json(&json!({"id": 9, "ping": {}}))
            .await
            .unwrap();
        let pong: Value = bystander.receive_json().await.unwrap().unwrap();
        assert_eq!(pong["id"], 9);
        silent.close(1000, "").await.unwrap();
    }
}

#[tokio::test]
async fn handlers_that_take_their_time_hold_up_only_their_client() {
    for on in BOTH {
        let mut server = start_with(on, |_| ()).await;
        let mut quick = server.connected().await;
        // More commands than wait, and more bytes than are read ahead.
        let mut slow = server.connected().await;
        let wait = json!({"id": 2, "rpc": {"method": "wait", "data": "x".repeat(1_000)}});
        for _ in 0..40 {
            slow.send_json(&wait).await.unwrap();
        }
        for id in 3..40 {
            let call = json!({"id": id, "rpc": {"method": "soon", "data": id}});
            quick.send_json(&call).await.unwrap();
        }
        for id in 3..40 {
            let reply: Value = quick.receive_json().await.unwrap().unwrap();
            assert_eq!(reply, json!({"id": id, "rpc": {"data": id}}), "{on:?}");
        }
        // It vanishes while its handler works.
        drop(slow);
        let (_, end) = server.gone.recv().await.unwrap();
        assert_eq!(end.code, 1006, "{on:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_handler_that_hangs_is_gone_however_much_it_sent() {
    for on in BOTH {
        // A ping would find that nobody is there.
        let mut server = start_with(on, |options| options.ping = Duration::ZERO).await;
        for pings in [1, 100] {
            let mut client = server.connected().await;
            let wait = json!({"id": 2, "rpc": {"method": "wait"}});
            client.send_json(&wait).await.unwrap();
            for id in 3..3 + pings {
                let ping = json!({"id": id, "ping": {}});
                client.send_json(&ping).await.unwrap();
            }
            drop(client);
            let gone = tokio::time::timeout(Duration::from_secs(30), server.gone.recv());
            let (user, _) = gone.await.expect("it is gone").unwrap();
            assert_eq!(user, "ada", "{on:?} {pings}");
        }
    }
}

#[tokio::test]
async fn a_join_by_the_application_answers_no_command() {
    for on in BOTH {
        let server = start_with(on, |_| ()).await;
        let mut client = server.connected().await;
        for (id, method) in [(2, "join"), (3, "echo")] {
            let call = json!({"id": id, "rpc": {"method": method, "data": id}});
            client.send_json(&call).await.unwrap();
        }
        for id in [2, 3] {
            let reply: Value = client.receive_json().await.unwrap().unwrap();
            assert_eq!(reply, json!({"id": id, "rpc": {"data": id}}), "{on:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_connect_in_time_is_closed_and_one_that_is_pinged_stays() {
    for on in BOTH {
        let server = start_with(on, |options| {
            options.connect_timeout = Duration::from_millis(200);
            options.ping = Duration::from_millis(100);
            options.pong = Duration::from_secs(60);
        })
        .await;
        let url = format!("ws://{}/connection/websocket", server.address);
        let open = async || connect(&*url, ConnectOptions::default()).await.unwrap();
        let mut silent = open().await;
        assert!(silent.receive().await.is_err());
        assert_eq!(silent.closed().unwrap().code(), 3502, "{on:?}");
        let Ok(mut socket) = tokio::time::timeout(Duration::from_secs(30), async {
            // It may be too late, on a machine that is busy: before it sends, or before the reply.
            loop {
                let mut socket = open().await;
                let sent = socket.send_json(&json!({"id": 1, "connect": {}})).await;
                if sent.is_ok() && matches!(socket.receive().await, Ok(Some(_))) {
                    return socket;
                }
            }
        })
        .await
        else {
            panic!("{on:?}: no connection in time");
        };
        for _ in 0..3 {
            let ping: Value = socket.receive_json().await.unwrap().unwrap();
            assert_eq!(ping, json!({}), "{on:?}");
            socket.send_text("{}").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_drain_tells_clients_to_come_again() {
    for on in BOTH {
        let mut server = start_with(on, |_| ()).await;
        let mut open = [server.connected().await, server.connected().await];
        let busy = json!({"id": 2, "rpc": {"method": "wait"}});
        open[0].send_json(&busy).await.unwrap();
        server.handle.drain(Duration::from_millis(10));
        for socket in &mut open {
            assert!(socket.receive().await.is_err());
            assert_eq!(socket.closed().unwrap().code(), 1012, "{on:?}");
        }
        for _ in 0..2 {
            let (user, end) = server.gone.recv().await.unwrap();
            assert_eq!((&*user, end.code), ("ada", 1012), "{on:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_is_never_silent_does_not_outlive_its_expiry() {
    for on in BOTH {
        let mut server = start_with(on, |options| options.grace = Duration::from_millis(50)).await;
        let address = server.address;
        // Its server has no moment without input: it floods from another thread, many messages at a time.
        let flooding = std::thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let request = "GET /connection/websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            let hello = r#"{"id":1,"connect":{"name":"brief"}}"#;
            stream.write_all(request.as_bytes()).unwrap();
            stream.write_all(&text_frame(hello)).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let reading = std::thread::spawn(move || {
                let mut byte = [0];
                // It goes once it is closed; replies have no such byte.
                while std::io::Read::read(&mut reader, &mut byte)
                    .is_ok_and(|count| count > 0 && byte != [0x88])
                {}
                let _ = reader.shutdown(std::net::Shutdown::Both);
            });
            // Answers to pings, which need no reply.
            let many = text_frame("{}").repeat(10_000);
            while stream.write_all(&many).is_ok() {}
            reading.join().unwrap();
        });
        let gone = tokio::time::timeout(Duration::from_secs(60), server.gone.recv());
        let (user, end) = gone.await.expect("it goes on and on").unwrap();
        assert_eq!((&*user, end.code), ("ada", 3005), "{on:?}");
        let flooded = tokio::task::spawn_blocking(|| flooding.join()).await;
        flooded.unwrap().unwrap();
    }
}

/// A short text message of a client, whose mask changes nothing.
fn text_frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// Its replies fill the write queue of its connection, many times over.
#[tokio::test]
async fn a_client_that_does_not_read_holds_up_its_own_commands_and_loses_no_reply() {
    const CALLS: usize = 150;
    for on in BOTH {
        let mut server = start_with(on, |_| ()).await;
        let (mut reader, mut writer) = server.connected().await.split();
        let long = "x".repeat(200_000);
        let calls = (2..CALLS + 2).map(move |id| {
            let method = if id % 2 == 0 { "echo" } else { "soon" };
            json!({"id": id, "rpc": {"method": method, "data": long}})
        });
        let sending = tokio::spawn(async move {
            for call in calls {
                writer.send_json(&call).await.unwrap();
            }
            writer
        });
        // It is stuck by now, or will be; others are not.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(server.connected().await);
            assert_eq!(server.gone.recv().await.unwrap().1.code, 1006, "{on:?}");
        }
        for id in 2..CALLS + 2 {
            let reply: Value = reader.receive_json().await.unwrap().unwrap();
            assert_eq!(reply["id"], id, "{on:?}");
            let data = reply["rpc"]["data"].as_str().map(str::len);
            assert_eq!(data, Some(200_000), "{on:?}");
        }
        drop((sending.await.unwrap(), reader));
        assert_eq!(server.gone.recv().await.unwrap().1.code, 1006, "{on:?}");
    }
}

#[tokio::test]
async fn clients_of_several_loops_are_in_one_channel() {
    let options = Options::default().namespace("chat", Namespace::default().subscribe());
    let hub = sansws_mio::Hub::with_options(options.configure(HubOptions::default()));
    let (tell, gone) = unbounded_channel();
    let centrifuge = endpoint(&hub, options, tell);
    let listener = sansws_mio::Listener::bind_shared("127.0.0.1:0").unwrap();
    let mut loops = sansws_mio::Server::new(listener);
    let server = Running {
        address: loops.local_addr().unwrap(),
        handle: loops.handle(),
        gone,
    };
    let serving = std::thread::spawn(move || {
        loops.serve_on_threads(3, |_| {
            sansws_mio::Router::new()
                .mount("/api", centrifuge.loop_api("key"))
                .route("/connection/websocket", centrifuge.clone())
        })
    });
    let mut all = Vec::new();
    for _ in 0..24 {
        let mut socket = server.connected().await;
        let subscribe = json!({"id": 2, "subscribe": {"channel": "chat:a"}});
        socket.send_json(&subscribe).await.unwrap();
        let reply: Value = socket.receive_json().await.unwrap().unwrap();
        assert!(reply["subscribe"].is_object(), "{reply}");
        all.push(socket);
    }
    for number in 0..20 {
        let publish = json!({"channel": "chat:a", "data": number});
        let published = server.call("publish", &publish).await;
        assert_eq!(published, json!({"result": {}}));
    }
    for socket in &mut all {
        for number in 0..20 {
            let push: Value = socket.receive_json().await.unwrap().unwrap();
            assert_eq!(push["push"]["pub"]["data"], number);
        }
    }
    server.handle.close();
    for mut socket in all {
        assert!(matches!(socket.receive().await, Ok(None)));
        assert_eq!(socket.closed().unwrap().code(), 1001);
    }
    serving.join().unwrap().unwrap();
}
