//! The Rust of `docs/from-tungstenite.md`: each snippet talks to a peer over a socket.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sansws_std::{
    AcceptOptions, ConnectOptions, Error, Response, Result, Server, Stream, Upgrade, accept,
    connect, connect_over,
};

use crate::page::shows_what_runs;

#[test]
fn the_page_shows_what_runs() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/from-tungstenite.md");
    shows_what_runs(page, &[include_str!("from_tungstenite.rs")]);
}

/// Serves while the test runs; the process ends it.
fn serve(handler: impl Fn(Upgrade) -> Result + Send + Sync + 'static) -> String {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", server.local_addr().unwrap());
    thread::spawn(move || server.serve(handler));
    url
}

fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept()?;
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

#[test]
fn a_client() -> Result {
    let url = serve(|upgrade| {
        let mut socket = upgrade.accept()?;
        socket.receive()?;
        Ok(socket.send_text("Hello yourself")?)
    });
    let mut printed = Vec::new();
    let mut println = |text: String| printed.push(text);
    // ours: client
    let mut socket = connect(&url, ConnectOptions::default())?;
    for (name, value) in socket
        .response_fields()
        .into_iter()
        .flat_map(|all| all.iter())
    {
        println(format!("* {name}: {}", value.escape_ascii()));
    }
    socket.send_text("Hello WebSocket")?;
    for message in &mut socket {
        println(format!("Received: {:?}", message?));
    }
    // end
    assert!(
        printed.iter().any(|line| line.contains("Hello yourself")),
        "{printed:?}"
    );
    assert_eq!(socket.closed().map(|closed| closed.code()), Some(1000));
    Ok(())
}

#[test]
fn a_server_of_streams() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/", listener.local_addr()?);
    let (give, path) = channel();
    thread::spawn(move || -> Result {
        let println = |text: String| drop(give.send(text));
        // ours: server
        for stream in listener.incoming() {
            let upgrade = accept(Stream::tcp(stream?)?, Default::default())?;
            println(format!("The request's path is: {}", upgrade.path()));
            let mut socket =
                upgrade.accept_with(AcceptOptions::default().header("MyCustomHeader", ":)"))?;
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
        }
        // end
        Ok(())
    });
    let mut socket = connect(&url, ConnectOptions::default())?;
    assert_eq!(path.recv()?, "The request's path is: /");
    let fields = socket.response_fields().unwrap();
    assert_eq!(fields.get_str("mycustomheader"), Some(":)"));
    socket.send_text("a")?;
    assert_eq!(socket.receive_text()?.as_deref(), Some("a"));
    Ok(())
}

#[test]
fn a_thread_for_each_connection() -> Result {
    let (give, handle) = channel();
    let serving = thread::spawn(move || -> Result {
        // ours: threads
        let mut server = Server::bind("127.0.0.1:0")?;
        let address = server.local_addr()?;
        let handle = server.handle(); // drains, closes, counts
        // end
        give.send((address, handle))?;
        // ours: threads-serve
        server.serve(|upgrade: Upgrade| {
            let mut socket = upgrade.accept()?;
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok(()) // closes with 1000
        })?;
        // end
        Ok(())
    });
    let (address, handle) = handle.recv()?;
    let mut socket = connect(format!("ws://{address}/"), ConnectOptions::default())?;
    socket.send_text("a")?;
    assert_eq!(socket.receive_text()?.as_deref(), Some("a"));
    socket.close(1000, "")?;
    handle.close();
    serving.join().unwrap()
}

#[test]
fn a_refusal() -> Result {
    let url = serve(|upgrade| {
        // ours: refuse
        upgrade.reject(Response::text(403, "Access denied"))?;
        // end
        Ok(())
    });
    let refused = connect(&url, ConnectOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::Refused(response) if response.body == b"Access denied"));
    Ok(())
}

#[test]
fn timeouts_and_threads() -> Result {
    let url = serve(echo);
    let mut waits = 0;
    let mut socket = connect(&url, ConnectOptions::default())?;
    // ours: timeout
    let message = loop {
        match socket.receive_timeout(Duration::from_millis(10)) {
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
                socket.send_text("anyone?")?; // the time for something else
                waits += 1;
            }
            received => break received?,
        }
    };
    // end
    assert!(waits > 0 && message == Some("anyone?".into()));
    let (give, received) = channel();
    // ours: split
    let (mut read, mut write) = socket.split();
    let reader = thread::spawn(move || -> Result<_> {
        for message in read.by_ref() {
            give.send(message)?;
        }
        Ok(read)
    });
    write.send_text("from the other thread")?;
    // end
    while received.recv()?? != "from the other thread".into() {}
    write.close(1000, "")?;
    assert!(reader.join().unwrap()?.reunite(write).is_ok());
    Ok(())
}

#[test]
fn a_stream_that_does_not_block() -> Result {
    let url = serve(echo);
    let address: SocketAddr = url.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
    let mut elsewhere = 0;
    // ours: nonblocking
    let stream = TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    let mut connecting = sansws_std::Connecting::new(stream, &url, ConnectOptions::default())?;
    let mut socket = loop {
        match connecting.resume()? {
            Some(socket) => break socket,
            None => elsewhere += 1, // the stream would block
        }
    };
    // end
    assert!(elsewhere > 0);
    socket.send_text("a")?;
    loop {
        match socket.receive() {
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            received => {
                assert_eq!(received?, Some("a".into()));
                return Ok(());
            }
        }
    }
}

#[test]
fn a_stream_of_your_own() -> Result {
    let url = serve(echo);
    let address: SocketAddr = url.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
    // ours: over
    let stream = TcpStream::connect(address)?; // or any `Read + Write`
    let mut socket = connect_over(stream, &url, ConnectOptions::default())?;
    // end
    socket.send_text("a")?;
    assert_eq!(socket.receive_text()?.as_deref(), Some("a"));
    Ok(())
}

mod on_tokio {
    use sansws_tokio::{ConnectOptions, Hub, Result, Router, Server, Upgrade, accept, connect};
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_server_of_streams() -> Result {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}/", listener.local_addr()?);
        tokio::spawn(async move {
            // ours: tokio-accept
            async fn echo(stream: TcpStream) -> Result {
                let mut socket = accept(stream, Default::default()).await?.accept().await?;
                while let Some(message) = socket.receive().await? {
                    socket.send(message).await?;
                }
                Ok(())
            }

            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
            // end
        });
        let mut socket = connect(&url, ConnectOptions::default()).await?;
        socket.send_text("a").await?;
        assert_eq!(socket.receive_text().await?.as_deref(), Some("a"));
        Ok(())
    }

    #[tokio::test]
    async fn an_interval() -> Result {
        // ours: tokio-interval
        async fn tick(upgrade: Upgrade) -> Result {
            let mut socket = upgrade.accept().await?;
            let mut interval = tokio::time::interval(Duration::from_millis(10));
            loop {
                tokio::select! {
                    message = socket.receive() => match message? {
                        Some(message) => socket.send(message).await?,
                        None => return Ok(()),
                    },
                    _ = interval.tick() => socket.send_text("tick").await?,
                }
            }
        }
        // end
        let server = Server::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}/", server.local_addr()?);
        tokio::spawn(server.serve(tick));
        let mut socket = connect(&url, ConnectOptions::default()).await?;
        socket.send_text("tock").await?;
        let mut heard = Vec::new();
        while !(heard.contains(&Some("tick".into())) && heard.contains(&Some("tock".into()))) {
            heard.push(socket.receive_text().await?);
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_chat() -> Result {
        // ours: tokio-chat
        async fn chat(upgrade: Upgrade) -> Result {
            let mut socket = upgrade.accept().await?;
            socket.join("all").await?;
            while let Some(message) = socket.receive().await? {
                socket.publish("all", message).await?;
            }
            Ok(())
        }

        let app = Router::new().route("/", chat).hub(Hub::new());
        // end
        let server = Server::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}/", server.local_addr()?);
        tokio::spawn(server.serve(app));
        let mut one = connect(&url, ConnectOptions::default()).await?;
        let mut two = connect(&url, ConnectOptions::default()).await?;
        // Both have joined once each has seen its own message.
        for socket in [&mut one, &mut two] {
            socket.send_text("here").await?;
            socket.receive_text().await?;
        }
        one.send_text("hello").await?;
        while two.receive_text().await?.as_deref() != Some("hello") {}
        Ok(())
    }
}
