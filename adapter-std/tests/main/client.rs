//! Clients: dialing, proxies, redirects, and a client that reconnects; one rule per test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sansws_std::core::dial::{Backoff, ReconnectOptions};
use sansws_std::{
    Client, ClientState, CloseCode, Config, ConnectOptions, Error, Message, MessageKind, Response,
    Result, Router, SendError, Server, Stop, Timeouts, Upgrade, accept, connect,
};

use socket2::SockRef;

use crate::support::{Certs, Running, echo};

/// Passes bytes on until either side ends.
fn relay(mut one: TcpStream, mut two: TcpStream) {
    let (mut one_too, mut two_too) = (one.try_clone().unwrap(), two.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut one, &mut two);
        let _ = two.shutdown(std::net::Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = std::io::copy(&mut two_too, &mut one_too);
        let _ = one_too.shutdown(std::net::Shutdown::Write);
    });
}

/// A proxy for one CONNECT, which leads to `target`; returns what it was asked.
fn proxy(target: SocketAddr, answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        if answer.contains("200") {
            relay(stream, TcpStream::connect(target).unwrap());
        }
        String::from_utf8(head).unwrap()
    });
    (address, asked)
}

fn round_trip(url: &str, options: ConnectOptions) {
    let mut socket = connect(url, options).unwrap();
    socket.send_text("through").unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("through"));
    assert!(socket.close(1000, "").unwrap().unwrap().clean);
}

#[test]
fn through_a_proxy_plain_and_secure() {
    let server = Running::new(echo);
    let (address, asked) = proxy(server.address, "HTTP/1.1 200 fine\r\n\r\n");
    let options = ConnectOptions::default().proxy(format!("http://{address}").parse().unwrap());
    round_trip("ws://nowhere.example:81/", options);
    let asked = asked.join().unwrap();
    assert!(
        asked.starts_with("CONNECT nowhere.example:81 HTTP/1.1\r\n"),
        "{asked}"
    );
    server.close();

    let certs = Certs::new();
    let listener = sansws_std::Listener::bind("127.0.0.1:0").unwrap();
    let server = Running::of(Server::new(listener.tls(certs.server())), echo);
    let (address, asked) = proxy(server.address, "HTTP/1.1 200 fine\r\n\r\n");
    let options = ConnectOptions::default()
        .proxy(format!("http://a:b@{address}").parse().unwrap())
        .tls(certs.client());
    round_trip("wss://localhost/", options);
    assert!(asked.join().unwrap().contains("Proxy-Authorization: Basic"));
    server.close();

    let (address, asked) = proxy(server_that_is_gone(), "HTTP/1.1 403 no\r\n\r\n");
    let options = ConnectOptions::default().proxy(format!("http://{address}").parse().unwrap());
    let error = connect("ws://nowhere.example/", options).unwrap_err();
    assert!(matches!(error, Error::Proxy(_)), "{error}");
    asked.join().unwrap();
}

#[test]
fn tls_inside_the_tls_of_a_proxy() {
    let (outer, inner) = (Certs::new(), Certs::new());
    let listener = sansws_std::Listener::bind("127.0.0.1:0").unwrap();
    let server = Running::of(Server::new(listener.tls(inner.server())), echo);
    // TLS ends at the proxy: behind it is the plain one.
    let (plain, asked) = proxy(server.address, "HTTP/1.1 200 fine\r\n\r\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let settings = outer.server();
    let proxying = thread::spawn(move || {
        use sansws_std::tls::rustls::{ServerConnection, StreamOwned};
        let (stream, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(settings).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        let mut behind = TcpStream::connect(plain).unwrap();
        // Both directions on one thread: short turns.
        for stream in [&tls.sock, &behind] {
            let turn = Some(Duration::from_millis(5));
            stream.set_read_timeout(turn).unwrap();
        }
        let mut buffer = vec![0; 1 << 16];
        loop {
            match tls.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => behind.write_all(&buffer[..count]).unwrap(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            match behind.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => tls.write_all(&buffer[..count]).unwrap(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    });
    let url = format!("https://localhost:{}", address.port());
    let options = ConnectOptions::default()
        .proxy(url.parse().unwrap())
        .resolve("localhost", [address])
        .proxy_tls(outer.client())
        .tls(inner.client());
    round_trip("wss://localhost/", options);
    asked.join().unwrap();
    proxying.join().unwrap();
    server.close();
}

#[test]
fn redirects_are_followed_on_request() {
    let router = Router::new()
        .route("/new", echo)
        .route("/old", |upgrade: Upgrade| {
            Ok(upgrade.reject(Response::new(307).with("Location", "/new"))?)
        })
        .route("/loop", |upgrade: Upgrade| {
            Ok(upgrade.reject(Response::new(307).with("Location", "/loop"))?)
        });
    let server = Running::new(router);
    let url = |path: &str| format!("ws://{}{path}", server.address);
    let refused = connect(url("/old"), ConnectOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::Refused(response) if response.status == 307));
    round_trip(&url("/old"), ConnectOptions::default().redirects(1));
    let endless = connect(url("/loop"), ConnectOptions::default().redirects(2)).unwrap_err();
    assert!(matches!(endless, Error::Redirect(_)), "{endless}");
    server.close();
}

/// An address that refuses.
fn server_that_is_gone() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn an_address_that_refuses_costs_nothing_and_names_are_looked_up() {
    let server = Running::new(echo);
    let options =
        ConnectOptions::default().resolve("two.example", [server_that_is_gone(), server.address]);
    round_trip("ws://two.example/", options);
    round_trip(
        &format!("ws://localhost:{}/", server.address.port()),
        ConnectOptions::default(),
    );
    let gone = server_that_is_gone();
    let error = connect(format!("ws://{gone}/"), ConnectOptions::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {gone}: ")),
        "{text}"
    );
    let error = connect("ws://no-such-host.invalid/", ConnectOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot look up no-such-host.invalid: "),
        "{text}"
    );
    let error = connect("ftp://a/", ConnectOptions::default()).unwrap_err();
    assert!(matches!(error, Error::BadUrl { .. }), "{error}");
    server.close();
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let config = Config {
        timeouts: Timeouts {
            handshake: Some(Duration::from_millis(50)),
            close: Duration::from_millis(50),
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let options = ConnectOptions::default().config(config);
    let error = connect(&url, options.clone()).unwrap_err();
    assert!(matches!(error, Error::Handshake(_)), "{error}");
    // A refusal whose body never ends is a refusal.
    let serving = thread::spawn(move || {
        let (first, _) = listener.accept().unwrap();
        let (mut second, _) = listener.accept().unwrap();
        second
            .write_all(b"HTTP/1.1 401 no\r\nContent-Length: 9\r\n\r\nabc")
            .unwrap();
        (first, second)
    });
    let error = connect(&url, options).unwrap_err();
    assert!(
        matches!(&error, Error::Refused(response) if response.status == 401 && response.body == b"abc"),
        "{error}"
    );
    drop(serving.join().unwrap());
}

fn quick() -> ReconnectOptions {
    ReconnectOptions {
        backoff: Backoff {
            base: Duration::from_millis(1),
            max: Duration::from_millis(5),
        },
        ..ReconnectOptions::default()
    }
}

#[test]
fn a_client_reconnects_and_sends_what_was_queued() {
    // Closes with 1012 after each message.
    fn once(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept()?;
        if let Some(message) = socket.receive()? {
            socket.send(message)?;
        }
        socket.close(1012, "restart")?;
        Ok(())
    }
    let server = Running::new(once);
    let (give, states) = channel();
    let mut client = Client::new(server.url(), ConnectOptions::default())
        .unwrap()
        .reconnect(quick())
        .on_change(move |state| {
            let _ = give.send(format!("{state:?}"));
        });
    let mut seen = Vec::new();
    for (round, text) in ["one", "two", "three"].into_iter().enumerate() {
        client.send_text(text).unwrap();
        assert_eq!(client.receive_text().unwrap().as_deref(), Some(text));
        // A message that is sent before the end is known would be lost with its connection.
        let is_wait = |state: &&String| state.starts_with("Waiting");
        while seen.iter().filter(is_wait).count() <= round {
            let nothing = client.receive_timeout(Duration::from_millis(1));
            assert!(nothing.is_err(), "{nothing:?}");
            seen.extend(states.try_iter());
        }
        client.ready().unwrap();
    }
    let closed = client.close(1000, "").unwrap();
    assert!(closed.is_some() && matches!(client.state(), ClientState::Stopped(Stop::Closed(_))));
    assert!(matches!(
        client.send_text("late"),
        Err(Error::NotSent(SendError::Stopped))
    ));
    seen.extend(states.try_iter());
    assert!(
        seen.iter().filter(|state| *state == "Open").count() >= 4,
        "{seen:?}"
    );
    server.close();
}

/// A peer that takes nothing more, as seen by the operating system.
#[cfg(target_os = "linux")]
#[test]
fn a_timeout_of_tcp_ends_the_connection_and_not_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    SockRef::from(&listener)
        .set_recv_buffer_size(4 << 10)
        .unwrap();
    let server = thread::spawn(move || {
        let open = |stream: TcpStream| accept(stream, Arc::default())?.accept();
        let silent = open(listener.accept().unwrap().0).unwrap();
        let mut next = open(listener.accept().unwrap().0).unwrap();
        next.send_text("again").unwrap();
        (silent, next)
    });
    let mut client = Client::new(url, ConnectOptions::default())
        .unwrap()
        .reconnect(quick())
        .on_open(|socket| {
            let stream = socket.get_ref();
            if let sansws_std::Socket::Tcp(tcp) = stream.socket() {
                let wait = Some(Duration::from_millis(1));
                SockRef::from(tcp).set_tcp_user_timeout(wait)?;
            }
            Ok(())
        });
    client.send_bytes(vec![0; 256 << 10]).unwrap();
    assert_eq!(client.receive_text().unwrap().as_deref(), Some("again"));
    drop(server.join().unwrap());
}

#[test]
fn a_message_that_a_hook_never_ends_stops_the_client() {
    let server = Running::new(echo);
    let mut client = Client::new(server.url(), ConnectOptions::default())
        .unwrap()
        .on_open(|socket| {
            let mut writer = socket.send_stream(MessageKind::Text);
            writer.write("half")?;
            std::mem::forget(writer);
            Ok(())
        });
    assert!(client.send_text("whole").is_err());
    let ClientState::Stopped(Stop::Failed(why)) = client.state() else {
        panic!("{:?}", client.state());
    };
    assert!(matches!(
        **why,
        Error::NotSent(SendError::UnfinishedMessage)
    ));
}

#[test]
fn messages_before_a_hook_met_the_end_are_received_first() {
    let server = Running::new(|upgrade: Upgrade| {
        let mut socket = upgrade.accept()?;
        for text in ["first", "second"] {
            socket.send_text(text)?;
        }
        socket.close(1000, "")?;
        Ok(())
    });
    let mut client = Client::new(server.url(), ConnectOptions::default())
        .unwrap()
        .on_open(|socket| {
            loop {
                socket.send_text("who is there?")?;
            }
        });
    for text in ["first", "second"] {
        assert_eq!(client.receive_text().unwrap().as_deref(), Some(text));
    }
    assert_eq!(client.receive_text().unwrap(), None);
    let ClientState::Stopped(Stop::Done(closed)) = client.state() else {
        panic!("{:?}", client.state());
    };
    assert_eq!(closed.code(), 1000);
}

#[test]
fn a_client_that_only_sends_connects_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (tell, told) = channel();
    let server = thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let accepted = accept(stream, Arc::default()).and_then(Upgrade::accept);
            // Some vanish as soon as they are open; what was sent to them resets the connection.
            if number >= 3 {
                let mut socket = accepted.unwrap();
                let received = socket.receive().unwrap().unwrap();
                tell.send(received).unwrap();
                return;
            }
        }
    });
    let mut client = Client::new(url, ConnectOptions::default())
        .unwrap()
        .reconnect(quick())
        .queue(8, 1 << 10);
    let received = (0..20_000).find_map(|_| {
        // It may not be accepted for want of room.
        let _ = client.send_text("anyone?");
        told.recv_timeout(Duration::from_millis(1)).ok()
    });
    assert_eq!(
        received.as_ref().and_then(Message::as_text),
        Some("anyone?")
    );
    server.join().unwrap();
}

#[test]
fn messages_wait_for_a_server_that_comes_up_later() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut client = Client::new(format!("ws://{address}/"), ConnectOptions::default())
        .unwrap()
        .reconnect(quick())
        .queue(2, 10);
    client.send_text("one").unwrap();
    client.send_text("two").unwrap();
    let full = client.send(Message::from("three")).unwrap_err();
    assert!(
        matches!(full, Error::NotSent(SendError::QueueFull)),
        "{full}"
    );
    assert_eq!(client.queued(), 2);
    let timed_out = client
        .receive_timeout(Duration::from_millis(10))
        .unwrap_err();
    assert!(matches!(&timed_out, Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut));
    let server = Running::of(Server::bind(address).unwrap(), echo);
    for text in ["one", "two"] {
        assert_eq!(client.receive_text().unwrap().as_deref(), Some(text));
    }
    client.close(1000, "").unwrap();
    server.close();
}

#[test]
fn errors_that_only_the_caller_can_fix_stop_a_client() {
    let router = Router::new().route("/401", |upgrade: Upgrade| {
        Ok(upgrade.reject(Response::text(401, "who?\n"))?)
    });
    let server = Running::new(router.route("/echo", echo));
    let url = |path: &str| format!("ws://{}{path}", server.address);
    let mut client = Client::new(url("/401"), ConnectOptions::default()).unwrap();
    assert_eq!(client.receive().unwrap(), None);
    assert!(matches!(
        client.state(),
        ClientState::Stopped(Stop::Failed(_))
    ));
    // A hook that fails on purpose; then one that logs in.
    let mut client = Client::new(url("/echo"), ConnectOptions::default())
        .unwrap()
        .on_open(|_| Err(Error::close(CloseCode::POLICY, "no token")));
    assert_eq!(client.receive().unwrap(), None);
    assert!(matches!(
        client.state(),
        ClientState::Stopped(Stop::Failed(_))
    ));
    let mut client = Client::new(url("/echo"), ConnectOptions::default())
        .unwrap()
        .on_open(|socket| Ok(socket.send_text("login")?));
    client.send_text("hello").unwrap();
    for text in ["login", "hello"] {
        assert_eq!(client.receive_text().unwrap().as_deref(), Some(text));
    }
    assert!(client.close(1000, "").unwrap().is_some());
    server.close();
}
