// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use crate::runtimes::Door;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ws::{
    ConnectOptions, Error, Listener, Result, Router, Server, ServerHandle, Upgrade, WebSocket,
};

/// Serves in the background.
fn start(mut server: Server, router: Router) -> (SocketAddr, Door) {
    let address = server
        .local_addr()
        .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let door = Door(server.handle());
    runtime::spawn(async move { server.serve(router).await.unwrap() });
    (address, door)
}

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Tells the address of the client, and whether it is secure.
async fn who(upgrade: Upgrade) -> Result {
    let client = format!("{:?} {}", upgrade.client_addr(), upgrade.is_secure());
    Ok(upgrade.accept().await?.send_text(client).await?)
}

async fn talks(socket: &mut WebSocket<impl ws::Transport>) {
    socket.send_text("hello").await.unwrap();
    assert_eq!(socket.receive_text().await.unwrap().unwrap(), "hello");
}

#[test]
fn one_server_listens_on_tcp_tls_and_a_unix_socket() {
    runtime::block_on(async {
        let (certs, folder) = (Certs::new(), Folder::new());
        let tls = ws::tls::server(certs.identity("server"), None).unwrap();
        let (plain, secure) = (
            Listener::bind("127.0.0.1:0").await.unwrap(),
            Listener::bind("127.0.0.1:0").await.unwrap().tls(tls),
        );
        let (one, two) = (plain.local_addr().unwrap(), secure.local_addr().unwrap());
        let path = folder.path("socket");
        let server = Server::new(plain)
            .listen(secure)
            .listen(Listener::bind_unix(&path).unwrap());
        let (_, _door) = start(server, Router::new().route("/", echo).route("/who", who));

        let mut socket = ws::connect(&format!("ws://{one}/"), ConnectOptions::default())
            .await
            .unwrap();
        talks(&mut socket).await;
        let dial = || ConnectOptions::default().tls(ws::tls::client(certs.roots(), None).unwrap());
        let url = |path: &str| format!("wss://localhost:{}{path}", two.port());
        talks(&mut ws::connect(&url("/"), dial()).await.unwrap()).await;
        let strange = ws::tls::client(certs.strange_roots(), None).unwrap();
        assert!(
            ws::connect(&url("/"), ConnectOptions::default().tls(strange))
                .await
                .is_err()
        );
        let mut socket = ws::connect(&url("/who"), dial()).await.unwrap();
        let client = socket.receive_text().await.unwrap().unwrap();
        assert!(
            client.starts_with("Some(127.0.0.1:") && client.ends_with(" true"),
            "{client}"
        );

        let unix = runtime::Unix::connect(&path).await.unwrap();
        let url = "ws://localhost/who";
        let mut socket = ws::connect_over(unix, url, ConnectOptions::default())
            .await
            .unwrap();
        assert_eq!(socket.receive_text().await.unwrap().unwrap(), "None false");
    });
}

#[test]
fn a_certificate_is_replaced_and_nobody_is_dropped() {
    runtime::block_on(async {
        let (old, new) = (Certs::new(), Certs::new());
        let certificate = ws::tls::Certificate::new(old.identity("server")).unwrap();
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let listener = listener.tls(certificate.server(None).unwrap());
        let (address, _door) = start(Server::new(listener), Router::new().route("/", echo));
        let url = format!("wss://localhost:{}/", address.port());
        let dial = |certs: &Certs| {
            ConnectOptions::default().tls(ws::tls::client(certs.roots(), None).unwrap())
        };
        let mut before = ws::connect(&url, dial(&old)).await.unwrap();
        talks(&mut before).await;
        assert!(ws::connect(&url, dial(&new)).await.is_err());

        // A certificate with another's key changes nothing.
        let chain = std::fs::read(old.file("server.pem")).unwrap();
        let key = std::fs::read(new.file("server.key")).unwrap();
        let wrong = ws::tls::Identity::from_pem(&chain, &key).unwrap();
        assert!(certificate.replace(wrong).is_err());
        talks(&mut ws::connect(&url, dial(&old)).await.unwrap()).await;

        certificate.replace(new.identity("server")).unwrap();
        talks(&mut before).await;
        talks(&mut ws::connect(&url, dial(&new)).await.unwrap()).await;
        assert!(ws::connect(&url, dial(&old)).await.is_err());
    });
}

#[test]
fn a_proxy_tells_the_address_before_tls_and_http() {
    runtime::block_on(async {
        let certs = Certs::new();
        let tls = ws::tls::server(certs.identity("server"), None).unwrap();
        let plain = Listener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .proxy_protocol();
        let secure = Listener::bind("127.0.0.1:0").await.unwrap();
        let secure = secure.tls(tls).proxy_protocol();
        let addresses = [plain.local_addr().unwrap(), secure.local_addr().unwrap()];
        let server = Server::new(plain).listen(secure);
        let (_, _door) = start(server, Router::new().route("/who", who));
        let version_1 = b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n".to_vec();
        let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        version_2.extend([203, 0, 113, 7, 127, 0, 0, 1, 0x13, 0x88, 0, 80]);
        let url = "ws://localhost/who";
        for header in [&version_1, &version_2] {
            let mut tcp = runtime::Tcp::connect(addresses[0]).await.unwrap();
            runtime::write(&mut tcp, header).await;
            let mut socket = ws::connect_over(tcp, url, ConnectOptions::default())
                .await
                .unwrap();
            let client = socket.receive_text().await.unwrap().unwrap();
            assert_eq!(client, "Some(203.0.113.7:5000) false");
        }
        // With garbage, or with no header at all, it ends; nothing is answered.
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 x\r\n",
        ] {
            let mut tcp = runtime::Tcp::connect(addresses[0]).await.unwrap();
            runtime::write(&mut tcp, bytes).await;
            assert!(runtime::read_to_end(&mut tcp).await.is_empty());
        }
        // Behind it, TLS goes on as ever: a relay writes the header, and then passes on.
        let relay = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let through = relay.local_addr().unwrap();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut from, _) = relay.accept().unwrap();
            let mut to = std::net::TcpStream::connect(addresses[1]).unwrap();
            to.write_all(&version_2).unwrap();
            let (mut back, mut here) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back, &mut here));
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        });
        let url = format!("wss://localhost:{}/who", through.port());
        let dial = ConnectOptions::default().tls(ws::tls::client(certs.roots(), None).unwrap());
        let mut socket = ws::connect(&url, dial).await.unwrap();
        let client = socket.receive_text().await.unwrap().unwrap();
        assert_eq!(client, "Some(203.0.113.7:5000) true");
    });
}

#[test]
fn a_peer_that_never_begins_tls_delays_no_shutdown() {
    runtime::block_on(async {
        let certs = Certs::new();
        let tls = ws::tls::server(certs.identity("server"), None).unwrap();
        let listener = Listener::bind("127.0.0.1:0").await.unwrap().tls(tls);
        let mut server = Server::new(listener);
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        let (sender, ended) = std::sync::mpsc::channel();
        runtime::spawn(async move {
            server.serve(Router::new().route("/", echo)).await.unwrap();
            let _ = sender.send(());
        });
        let mut silent = runtime::Tcp::connect(address).await.unwrap();
        while handle.open() == 0 {
            ws::sleep(Duration::from_millis(5)).await;
        }
        handle.close();
        // The socket is closed at once, long before the handshake's ten seconds are over.
        assert!(runtime::read_to_end(&mut silent).await.is_empty());
        while ended.try_recv().is_err() {
            ws::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(handle.open(), 0);
    });
}

#[test]
fn threads_share_a_port() {
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&threads);
    let router = Router::new().route("/", move |upgrade: Upgrade| {
        let seen = Arc::clone(&seen);
        async move {
            seen.lock().unwrap().insert(std::thread::current().id());
            echo(upgrade).await
        }
    });
    let handle = ServerHandle::new(1_000);
    let (sender, told) = std::sync::mpsc::channel();
    let first = runtime::block_on(async { Listener::bind_shared(([127, 0, 0, 1], 0).into()) });
    let address = first.unwrap().local_addr().unwrap();
    let door = handle.clone();
    let serving = std::thread::spawn(move || {
        let server = || {
            let _ = sender.send(());
            let listener = Listener::bind_shared(address)?;
            Ok(Server::new(listener).share(door.clone()))
        };
        Server::serve_on_threads(2, server, router)
    });
    told.recv().unwrap();
    told.recv().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    runtime::block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..64 {
            let url = format!("ws://{address}/");
            sockets.push(ws::connect(&url, ConnectOptions::default()).await.unwrap());
        }
        for socket in &mut sockets {
            talks(socket).await;
        }
    });
    handle.close();
    serving.join().unwrap().unwrap();
    assert_eq!(threads.lock().unwrap().len(), 2);

    // One that cannot be made lets none serve. There is one at least.
    for threads in [2, 0] {
        let failing = Server::serve_on_threads(threads, || Err(Error::other("no")), Router::new());
        assert!(failing.is_err());
    }

    // Nor does one that panics leave the others waiting for it.
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let first = std::sync::atomic::AtomicBool::new(true);
        let server = || -> Result<Server, Error> {
            assert!(!first.swap(false, Ordering::SeqCst), "the first thread");
            let listener = Listener::bind_shared(([127, 0, 0, 1], 0).into())?;
            Ok(Server::new(listener))
        };
        let failed = Server::serve_on_threads(2, server, Router::new());
        sender.send(failed.is_err()).unwrap();
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(true));
}

#[test]
fn a_proxy_tells_the_address_on_a_unix_socket_too() {
    runtime::block_on(async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let listener = Listener::bind_unix(&path).unwrap().proxy_protocol();
        let page = async |scope: ws::Scope| format!("{:?}", scope.client_addr());
        let (_, _door) = start(Server::new(listener), Router::new().get("/", page));
        let asking = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let mut unix = std::os::unix::net::UnixStream::connect(&path).unwrap();
            let asked = "PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n\
                GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            unix.write_all(asked.as_bytes()).unwrap();
            let mut answer = String::new();
            unix.read_to_string(&mut answer).unwrap();
            answer
        });
        while !asking.is_finished() {
            ws::sleep(Duration::from_millis(5)).await;
        }
        let answer = asking.join().unwrap();
        assert!(answer.ends_with("Some(203.0.113.7:5000)"), "{answer}");
    });
}

#[test]
fn a_crowd_at_the_door_leaves_time_for_those_inside() {
    const CROWD: usize = 400;
    runtime::block_on(async {
        let listener = Listener::bind_shared(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |_| std::net::TcpStream::connect(address).unwrap();
        let _crowd: Vec<_> = (0..CROWD).map(connect).collect();
        let accepted = std::cell::Cell::new(0);
        let spawn = |_| accepted.set(accepted.get() + 1);
        let router = Router::new().route("/", echo);
        let mut serving = std::pin::pin!(Server::new(listener).serve_local(router, spawn));
        let mut most = 0;
        std::future::poll_fn(|cx| {
            let before = accepted.get();
            assert!(serving.as_mut().poll(cx).is_pending());
            most = most.max(accepted.get() - before);
            match accepted.get() {
                CROWD => std::task::Poll::Ready(()),
                _ => std::task::Poll::Pending,
            }
        })
        .await;
        assert!(most < CROWD / 2, "{most} in one turn");
    });
}

/// Sends to a client as fast as it goes, and counts what was accepted.
async fn flood(upgrade: Upgrade, accepted: Arc<AtomicU64>) -> Result {
    let mut socket = upgrade.accept().await?;
    loop {
        socket.send_text("x".repeat(1_000)).await?;
        accepted.fetch_add(1, Ordering::SeqCst);
    }
}

/// Clients of a server that is drained.
const CLIENTS: usize = 12;

#[test]
fn draining_under_load_closes_all_with_1012_and_loses_no_accepted_message() {
    runtime::block_on(async {
        let accepted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&accepted);
        // Accepted messages must also arrive within the time to close, on a slow machine too.
        let limits = ws::Limits {
            write_queue: 64 << 10,
            ..ws::Limits::default()
        };
        let config = ws::Config {
            limits,
            ..ws::Config::default()
        };
        let router = Router::new()
            .route("/", move |upgrade| flood(upgrade, Arc::clone(&count)))
            .policy(ws::ConnectionPolicy::default().config(config));
        let (address, door) = start(Server::bind("127.0.0.1:0").await.unwrap(), router);
        let received = Arc::new(AtomicU64::new(0));
        let codes = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..CLIENTS {
            let url = format!("ws://{address}/");
            let mut socket = ws::connect(&url, ConnectOptions::default()).await.unwrap();
            let (received, codes) = (Arc::clone(&received), Arc::clone(&codes));
            runtime::spawn(async move {
                let end = loop {
                    match socket.receive().await {
                        Ok(Some(_)) => received.fetch_add(1, Ordering::SeqCst),
                        Ok(None) => break 0,
                        Err(Error::Disconnect(closed)) => break closed.code(),
                        Err(_) => break 1,
                    };
                };
                codes.lock().unwrap().push(end);
            });
        }
        ws::sleep(Duration::from_millis(200)).await;
        door.0.drain(Duration::from_millis(500));
        for _ in 0..300 {
            ws::sleep(Duration::from_millis(50)).await;
            if codes.lock().unwrap().len() == CLIENTS {
                break;
            }
        }
        assert_eq!(*codes.lock().unwrap(), vec![1012; CLIENTS]);
        let (accepted, received) = (
            accepted.load(Ordering::SeqCst),
            received.load(Ordering::SeqCst),
        );
        assert!(accepted > 100, "{accepted}");
        assert_eq!(accepted, received);
    });
}

#[test]
fn a_future_of_the_application_shuts_the_server_down() {
    for panics in [false, true] {
        shut_down_by_a_future(panics);
    }
}

fn shut_down_by_a_future(panics: bool) {
    runtime::block_on(async {
        let (stop, stopped) = signal();
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        let (done, ended) = signal();
        let server = server.with_graceful_shutdown(async move {
            stopped.await;
            assert!(!panics, "on purpose");
        });
        runtime::spawn(async move {
            server.serve(echo).await.unwrap();
            done();
        });
        let url = format!("ws://{address}/");
        let mut socket = ws::connect(&url, ConnectOptions::default()).await.unwrap();
        talks(&mut socket).await;
        stop();
        let told = smol::future::or(socket.receive(), async {
            ws::sleep(Duration::from_secs(60)).await;
            panic!("the client is not told");
        });
        assert_eq!(told.await.unwrap(), None);
        assert_eq!(socket.closed().unwrap().code(), 1001);
        ended.await;
        assert!(ws::connect(&url, ConnectOptions::default()).await.is_err());
        assert_eq!(handle.metrics().handlers_failed, u64::from(panics));
    });
}

/// Returns a function, and a future that completes when it was called.
fn signal() -> (impl FnOnce() + Send, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = async_channel::bounded::<()>(1);
    (move || drop(sender), async move {
        let _ = receiver.recv().await;
    })
}

#[test]
fn handlers_that_panic_hang_or_flood_harm_nobody_else() {
    async fn panics(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        socket.receive().await?;
        panic!("one handler of many");
    }
    async fn hangs(upgrade: Upgrade) -> Result {
        let _socket = upgrade.accept().await?;
        std::future::pending().await
    }
    runtime::block_on(async {
        let router = Router::new()
            .route("/echo", echo)
            .route("/panics", panics)
            .route("/hangs", hangs)
            .route("/floods", |upgrade| flood(upgrade, Arc::default()));
        let (address, _door) = start(Server::bind("127.0.0.1:0").await.unwrap(), router);
        let connect = async |path: &str| {
            let url = format!("ws://{address}{path}");
            ws::connect(&url, ConnectOptions::default()).await.unwrap()
        };
        let mut socket = connect("/echo").await;
        let mut held: Vec<WebSocket> = Vec::new();
        for round in 0..10 {
            held.push(connect("/hangs").await);
            // One that does not read, and one that reads all.
            held.push(connect("/floods").await);
            if round % 4 == 0 {
                let mut greedy = connect("/floods").await;
                runtime::spawn(async move { while let Ok(Some(_)) = greedy.receive().await {} });
            }
            let mut victim = connect("/panics").await;
            victim.send_text("now").await.unwrap();
            match victim.receive().await {
                Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 1011),
                other => panic!("{other:?}"),
            }
            talks(&mut socket).await;
        }
        for _ in 0..20 {
            talks(&mut socket).await;
        }
        // One that hangs is still pinged and closed.
        let mut hanging = held.remove(0);
        hanging.ping("are you there").await.unwrap();
        hanging.close(1000, "").await.unwrap();
        assert!(hanging.closed().unwrap().clean);
    });
}

/// A client's view of a handler, over any connection.
#[derive(Debug, PartialEq)]
enum Seen {
    Rejected(u16, String),
    Messages(Vec<String>, u16, String),
}

async fn odd(upgrade: Upgrade) -> Result {
    match upgrade.path() {
        "/reject" => Ok(upgrade.reject(ws::Response::text(418, "teapot\n")).await?),
        "/drop" => Ok(()),
        "/panic" => panic!("as it should"),
        "/kind" => {
            let mut socket = upgrade.accept().await?;
            socket.send_text("before").await?;
            Ok(socket.receive_bytes().await.map(drop)?)
        }
        "/code" => {
            let mut socket = upgrade.accept().await?;
            socket.send_text("one").await?;
            socket.send_text("two").await?;
            socket.close(4321, "why not").await?;
            Ok(())
        }
        _ => echo(upgrade).await,
    }
}

fn odd_router() -> Router {
    let closed = |_: &mut ws::Scope| Err(ws::Response::text(403, "closed\n"));
    Router::new()
        .route("/{rest:path}", odd)
        .add(ws::Route::new("/layer", odd).layer(closed))
}

const ODD: [&str; 7] = [
    "/reject", "/drop", "/panic", "/kind", "/code", "/layer", "/",
];

#[test]
fn the_test_kit_says_what_a_real_socket_says() {
    runtime::block_on(async {
        let (address, _door) = start(Server::bind("127.0.0.1:0").await.unwrap(), odd_router());
        let kit = ws::test_kit::server(odd_router()).unwrap();
        for path in ODD {
            let real = match ws::connect(
                &format!("ws://{address}{path}"),
                ConnectOptions::default(),
            )
            .await
            {
                Err(Error::Refused(response)) => Seen::Rejected(
                    response.status,
                    String::from_utf8_lossy(&response.body).into_owned(),
                ),
                Err(error) => panic!("{path}: {error}"),
                Ok(mut socket) => {
                    // Some have closed by then, and sending says so.
                    let _ = socket.send_text("hello").await;
                    let mut texts = Vec::new();
                    while let Ok(Some(message)) = socket.receive().await {
                        texts.push(format!("{message:?}"));
                    }
                    let closed = socket.closed().unwrap();
                    Seen::Messages(texts, closed.code(), closed.reason)
                }
            };
            let kits = match kit.connect(path).await {
                Err(Error::Refused(response)) => Seen::Rejected(
                    response.status,
                    String::from_utf8_lossy(&response.body).into_owned(),
                ),
                Err(error) => panic!("{path}: {error}"),
                Ok(mut socket) => {
                    socket.send_text("hello").await.unwrap();
                    let count = match &real {
                        Seen::Messages(texts, ..) => texts.len(),
                        Seen::Rejected(..) => 0,
                    };
                    let mut texts = Vec::new();
                    for _ in 0..count {
                        texts.push(format!("{:?}", socket.expect_message().await));
                    }
                    let code = match &real {
                        Seen::Messages(_, code, _) => *code,
                        Seen::Rejected(status, _) => *status,
                    };
                    let reason = socket.expect_close(code).await;
                    Seen::Messages(texts, code, reason)
                }
            };
            assert_eq!(kits, real, "{path}");
        }
    });
}
