// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use crate::runtimes::Door;
use ws::{
    Client, ClientState, Config, ConnectOptions, Error, Result, Router, Server, Stop, Upgrade,
};

/// The request that the server got.
async fn told(url: &str, dial: ConnectOptions) -> String {
    let mut socket = ws::connect(url, dial).await.unwrap();
    socket.receive_text().await.unwrap().unwrap()
}

/// A dial that trusts these certificates.
fn trusting(certs: &Certs) -> ConnectOptions {
    ConnectOptions::default().tls(ws::tls::client(certs.roots(), None).unwrap())
}

fn server_tls(certs: &Certs) -> Arc<ServerConfig> {
    ws::tls::server(certs.identity("server"), None).unwrap()
}

#[test]
fn a_host_of_the_caller_is_sent_and_tls_asks_for_that_of_the_url() {
    let certs = Certs::new();
    runtime::block_on(async {
        for tls in [None, Some(server_tls(&certs))] {
            let (scheme, name) = match &tls {
                None => ("ws", "no name"),
                Some(_) => ("wss", "localhost"),
            };
            let peer = Peer::tells(tls);
            let url = format!("{scheme}://localhost:{}/", peer.port);
            let dial = trusting(&certs).header("Host", "chat.example:8443");
            let text = told(&url, dial).await;
            assert!(text.contains("\r\nHost: chat.example:8443\r\n"), "{text}");
            assert!(!text.contains("Host: localhost"), "{text}");
            assert!(text.ends_with(&format!("TLS: {name}\r\n")), "{text}");
            peer.finish();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let refused = ws::connect(&url, ConnectOptions::default().header("Host", "a/b")).await;
        let Err(Error::BadHeader { name, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(name, "Host");
    });
}

#[test]
fn a_password_of_the_url_is_said_to_its_own_origin_only() {
    const BASIC: &str = "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    runtime::block_on(async {
        let peer = Peer::tells(None);
        let url = format!("ws://Aladdin:open%20sesame@127.0.0.1:{}/", peer.port);
        let text = told(&url, ConnectOptions::default()).await;
        assert!(text.contains(BASIC), "{text}");
        peer.finish();
        // It is seen in no state of a client.
        let client = Client::new(&url, ConnectOptions::default()).unwrap();
        assert!(!format!("{client:?}").contains("sesame"), "{client:?}");

        let peer = Peer::tells(None);
        let url = format!("ws://Aladdin:open%20sesame@127.0.0.1:{}/", peer.port);
        let text = told(&url, ConnectOptions::default().bearer("token").unwrap()).await;
        assert!(
            text.contains("\r\nAuthorization: Bearer token\r\n"),
            "{text}"
        );
        assert!(!text.contains("Basic"), "{text}");
        peer.finish();

        let elsewhere = Peer::tells(None);
        let location = format!("ws://127.0.0.1:{}/", elsewhere.port);
        let (tell, asked) = channel();
        let first = Peer::serve(None, move |stream, head| {
            tell.send(head.head.clone()).unwrap();
            write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            )
            .unwrap();
            until_end(stream);
        });
        let url = format!("ws://Aladdin:open%20sesame@127.0.0.1:{}/", first.port);
        let text = told(&url, ConnectOptions::default().redirects(1)).await;
        assert!(asked.recv().unwrap().contains(BASIC));
        assert!(!text.contains("Authorization"), "{text}");
        first.finish();
        elsewhere.finish();

        let bad = ws::connect("ws://me:se%same@a/", ConnectOptions::default())
            .await
            .unwrap_err();
        let text = bad.to_string();
        assert!(
            matches!(bad, Error::BadUrl { .. }) && text.contains("Basic"),
            "{text}"
        );
        assert!(!text.contains("same"), "{text}");
    });
}

#[test]
fn a_refusal_whose_body_never_comes_is_told_with_its_status() {
    let certs = Certs::new();
    let mut config = Config::default();
    config.timeouts.close = Duration::from_millis(200);
    let config = Arc::new(config);
    runtime::block_on(async {
        for head in [
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nno",
            "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nno",
            "HTTP/1.1 401 Unauthorized\r\n\r\nno",
        ] {
            for tls in [None, Some(server_tls(&certs))] {
                let scheme = if tls.is_some() { "wss" } else { "ws" };
                let peer = Peer::says(tls, head.into());
                let url = format!("{scheme}://localhost:{}/", peer.port);
                let dial = trusting(&certs).config(Arc::clone(&config));
                let refused = ws::connect(&url, dial).await;
                let Err(Error::Refused(response)) = refused else {
                    panic!("{refused:?}");
                };
                assert_eq!((response.status, &response.body[..]), (401, &b"no"[..]));
                peer.finish();
            }
        }
        // One that comes back by itself does not come back from that.
        let peer = Peer::says(None, "HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\n".into());
        let url = format!("ws://127.0.0.1:{}/", peer.port);
        let mut client = Client::new(&url, ConnectOptions::default().config(config)).unwrap();
        assert_eq!(client.receive().await.unwrap(), None);
        let ClientState::Stopped(Stop::Failed(error)) = client.state() else {
            panic!("{client:?}");
        };
        assert!(matches!(&**error, Error::Refused(response) if response.status == 401));
        peer.finish();
    });
}

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Serves an echo; its address.
async fn serves(tls: Option<Arc<ServerConfig>>) -> (Door, SocketAddr) {
    let listener = ws::Listener::bind("127.0.0.1:0").await.unwrap();
    let listener = match tls {
        Some(tls) => listener.tls(tls),
        None => listener,
    };
    let mut server = Server::new(listener);
    let address = server.local_addr().unwrap();
    let door = Door(server.handle());
    runtime::spawn(async move { server.serve(Router::new().route("/", echo)).await.unwrap() });
    (door, address)
}

/// Whether a connection is good in both directions, for more than one buffer holds.
async fn is_echoed(url: &str, dial: ConnectOptions) -> Result<(), Error> {
    let mut socket = ws::connect(url, dial).await?;
    for size in [0, 1_000, 300_000] {
        let bytes = vec![7; size];
        socket.send_bytes(bytes.clone()).await?;
        assert_eq!(socket.receive_bytes().await?, Some(bytes));
    }
    let closed = socket.close(1000, "").await?;
    assert!(closed.is_some_and(|closed| closed.clean));
    Ok(())
}

#[test]
fn an_https_proxy_leads_to_servers_without_tls_and_with() {
    let (certs, of_proxy) = (Certs::new(), Certs::new());
    runtime::block_on(async {
        for tls in [None, Some(server_tls(&certs))] {
            let scheme = if tls.is_some() { "wss" } else { "ws" };
            let (_door, server) = serves(tls).await;
            let url = format!("{scheme}://localhost:{}/", server.port());
            // The certificate of the proxy is verified by its own settings.
            for (trusted, good) in [(of_proxy.roots(), true), (certs.roots(), false)] {
                let proxy = Proxy::start(Some(server_tls(&of_proxy)));
                let through = format!("https://me:pass@localhost:{}", proxy.port);
                let dial = trusting(&certs)
                    .proxy(through.parse().unwrap())
                    .proxy_tls(ws::tls::client(trusted, None).unwrap());
                let outcome = is_echoed(&url, dial).await;
                let asked = proxy.finish();
                if !good {
                    assert!(matches!(outcome, Err(Error::Io(_))), "{outcome:?}");
                    assert_eq!(asked, None);
                    continue;
                }
                outcome.unwrap();
                let asked = asked.unwrap();
                let target = format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port());
                assert!(asked.starts_with(&target), "{asked}");
                assert!(asked.contains("\r\nProxy-Authorization: Basic bWU6cGFzcw==\r\n"));
            }
        }
    });
}

#[test]
fn an_address_that_does_not_answer_does_not_keep_from_the_next_one() {
    let certs = Certs::new();
    let hole = BlackHole::new();
    runtime::block_on(async {
        let mut config = Config::default();
        config.timeouts.connect = Some(Duration::from_millis(600));
        let alone = ConnectOptions::default()
            .config(config)
            .resolve("chat.example", [hole.address]);
        let late = ws::connect("ws://chat.example/", alone).await;
        assert!(matches!(late, Err(Error::ConnectTimeout(_))), "{late:?}");

        let (_door, server) = serves(None).await;
        let both = ConnectOptions::default().resolve("Chat.Example", [hole.address, server]);
        is_echoed("ws://chat.example/", both.clone()).await.unwrap();
        // So does a client that reconnects by itself.
        let mut client = Client::new("ws://chat.example/", both).unwrap();
        client.send_text("there?").await.unwrap();
        assert_eq!(
            client.receive_text().await.unwrap().as_deref(),
            Some("there?")
        );

        // TLS asks for the name of the URL, and an address without a port has that of the URL.
        let (_door, server) = serves(Some(server_tls(&certs))).await;
        let at = SocketAddr::new(server.ip(), 0);
        let url = format!("wss://localhost:{}/", server.port());
        let dial = trusting(&certs).resolve("localhost", [hole.address, at]);
        is_echoed(&url, dial).await.unwrap();
    });
}

#[test]
fn an_address_of_a_proxy_that_does_not_answer_does_not_keep_from_the_next_one() {
    let certs = Certs::new();
    let hole = BlackHole::new();
    runtime::block_on(async {
        let (_door, server) = serves(None).await;
        let url = format!("ws://{server}/");
        for tls in [None, Some(server_tls(&certs))] {
            let scheme = if tls.is_some() { "https" } else { "http" };
            let proxy = Proxy::start(tls);
            let at: SocketAddr = ([127, 0, 0, 1], proxy.port).into();
            let dial = ConnectOptions::default()
                .proxy(format!("{scheme}://localhost:1").parse().unwrap())
                .proxy_tls(ws::tls::client(certs.roots(), None).unwrap())
                .resolve("localhost", [hole.address, at]);
            is_echoed(&url, dial).await.unwrap();
            assert!(proxy.finish().is_some());
        }
    });
}

#[test]
fn messages_before_a_broken_record_are_received() {
    let certs = Certs::new();
    let peer = Peer::breaks_off(server_tls(&certs), b"\x81\x0alast words");
    let url = format!("wss://localhost:{}/", peer.port);
    runtime::block_on(async {
        let mut socket = ws::connect(&url, trusting(&certs)).await.unwrap();
        let text = socket.receive_text().await.unwrap();
        assert_eq!(text.as_deref(), Some("last words"));
        let error = socket.receive().await.unwrap_err();
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == ErrorKind::InvalidData),
            "{error}"
        );
    });
    peer.finish();
}

#[test]
fn a_failure_names_what_could_not_be_reached() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = format!("http://{nobody}").parse().unwrap();
    let proxied = ConnectOptions::default().proxy(proxy);
    runtime::block_on(async {
        let url = format!("ws://{nobody}/?token=s3cret");
        for (url, dial) in [
            (url.as_str(), ConnectOptions::default()),
            ("ws://example.org/", proxied),
        ] {
            let error = ws::connect(url, dial).await.unwrap_err();
            assert!(
                matches!(&error, Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused),
                "{error:?}"
            );
            let text = error.to_string();
            let want = format!("cannot connect to {nobody}: ");
            assert!(text.starts_with(&want), "{text}");
        }
        let error = ws::connect("ws://no-such-host.invalid/", ConnectOptions::default()).await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.starts_with("cannot look up no-such-host.invalid: "),
            "{text}"
        );
    });
}
