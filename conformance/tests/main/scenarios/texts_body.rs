// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use ws::{ConnectOptions, Error, Listener, Response, Result, Router, Server, Upgrade, connect};

/// The text of an error, whose sources say nothing twice.
fn text(error: &(dyn std::error::Error + 'static)) -> String {
    let text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        assert!(!text.contains(&source.to_string()), "{text}: {source}");
        next = source.source();
    }
    text
}

#[track_caller]
fn told<T>(made: Result<T, Error>, want: &[&str]) {
    let text = text(&made.err().unwrap());
    for part in want {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_error_names_what_was_tried_and_what_was_refused() {
    runtime::block_on(async {
        let first = Listener::bind("127.0.0.1:0").await.unwrap();
        let taken = first.local_addr().unwrap();
        let in_use = std::io::Error::from_raw_os_error(98).to_string();
        told(Listener::bind(taken).await, &[&taken.to_string(), &in_use]);
        told(Server::bind(taken).await, &[&taken.to_string()]);
        told(
            Server::bind(("127.0.0.1", taken.port())).await,
            &[&taken.to_string()],
        );
        told(Listener::bind_shared(taken), &[&taken.to_string()]);
        told(
            Listener::bind("nowhere.invalid:1").await,
            &["nowhere.invalid:1"],
        );
        told(
            Listener::bind_unix("/no/such/folder/socket"),
            &["/no/such/folder/socket"],
        );

        for (url, why) in [
            ("htp://a.example/", "scheme"),
            ("", "blank"),
            ("a.example", "ws://"),
            ("ws://a.example:x", "port"),
        ] {
            told(connect(url, ConnectOptions::default()).await, &[url, why]);
        }
        let secret = connect(
            "htp://me:secret@a.example/?token=secret",
            ConnectOptions::default(),
        )
        .await;
        assert!(!text(&secret.unwrap_err()).contains("secret"));
        let dial = |name: &str, value: &str| ConnectOptions::default().header(name, value);
        let url = format!("ws://{taken}");
        told(
            connect(&url, dial("X-Ok", "a\r\nb")).await,
            &["X-Ok", "value"],
        );
        told(connect(&url, dial("X Bad", "a")).await, &["X Bad", "name"]);
        told(
            connect(&url, dial("Upgrade", "a")).await,
            &["Upgrade", "handshake"],
        );
    });
}

async fn says_why(upgrade: Upgrade) -> Result {
    upgrade.accept().await?;
    Err(Error::close(ws::CloseCode::POLICY, "no shouting"))
}

async fn refuses(_: Upgrade) -> Result {
    Err(Error::reject(
        Response::text(403, "no\n").with("X-Why", "a\nb"),
    ))
}

#[test]
fn a_disconnect_says_its_reason_and_a_refused_origin_its_name() {
    runtime::block_on(async {
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        let router = Router::new()
            .route("/", says_why)
            .route("/refuses", refuses);
        runtime::spawn(async move { server.serve(router).await.unwrap() });
        let url = format!("ws://{address}/");
        let mut socket = connect(&url, ConnectOptions::default()).await.unwrap();
        told(socket.receive().await, &["1008", "no shouting"]);

        let dial = ConnectOptions::default().header("Origin", "https://evil.example");
        let Err(Error::Refused(response)) = connect(&url, dial).await else {
            panic!("it was let in");
        };
        let text = String::from_utf8(response.body).unwrap();
        assert!(text.contains("https://evil.example"), "{text}");
        assert!(text.contains(&address.to_string()), "{text}");
        told(
            connect(&format!("{url}refuses"), ConnectOptions::default()).await,
            &["500"],
        );
        handle.drop_all();
    });
}
