//! Clients in a loop, against our own servers and bare sockets.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use sansws_common::client::proxies::ProxyVariables;
use sansws_mio::{
    AcceptOptions, CloseCode, Closed, Config, ConnectOptions, ConnectionId, Dialer, Endpoint,
    Error, EventLoop, Failure, Hub, Incoming, Limits, Loop, Message, Result, Router, Scope, Sent,
    Socket, Timeouts,
};
use sansws_std::connect;

use crate::support::{Running, echo};

/// An event of a client.
#[derive(Debug)]
enum Told {
    Open(Option<String>),
    Message(Message),
    Closed(u16),
    Failed(Error),
}

/// Tells what happens to its connections, and stops the loop after so many ends.
struct Teller {
    tell: Sender<(usize, Told)>,
    left: usize,
}

impl Teller {
    fn ended(&mut self, within: &mut Loop) {
        self.left -= 1;
        if self.left == 0 {
            within.stop();
        }
    }
}

impl Endpoint for Teller {
    /// The number of the connection, and what it sends when it is open.
    type Data = (usize, Vec<Message>);

    fn open(&mut self, socket: &mut Socket<'_, Self::Data>) -> Result {
        let subprotocol = socket.opened().unwrap().agreement.subprotocol.clone();
        let (number, messages) = std::mem::take(socket.data());
        self.tell.send((number, Told::Open(subprotocol)))?;
        socket.data().0 = number;
        for message in &messages {
            assert!(socket.send(message).is_accepted());
        }
        socket.data().1 = messages;
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Self::Data>, message: Incoming<'_>) -> Result {
        let (number, messages) = socket.data();
        self.tell
            .send((*number, Told::Message(message.into_message())))?;
        messages.pop();
        if messages.is_empty() {
            socket.close(CloseCode::NORMAL, "");
        }
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, Self::Data>, closed: &Closed) {
        let number = socket.data().0;
        self.tell
            .send((number, Told::Closed(closed.code())))
            .unwrap();
        self.ended(socket.context());
    }

    fn failed(&mut self, within: &mut Loop, (number, _): Self::Data, error: Error) {
        self.tell.send((number, Told::Failed(error))).unwrap();
        self.ended(within);
    }
}

/// Connects to all of these in one loop, and returns what is told until all have ended.
fn dial(all: Vec<(String, ConnectOptions, Vec<Message>)>) -> Vec<Vec<Told>> {
    let (tell, told) = channel();
    let left = all.len();
    let dialer = Dialer::new(Teller { tell, left });
    let mut event_loop = EventLoop::new().unwrap();
    for (number, (url, options, messages)) in all.into_iter().enumerate() {
        dialer
            .connect(event_loop.context(), url, options, (number, messages))
            .unwrap();
    }
    event_loop.run().unwrap();
    drop((event_loop, dialer));
    let mut by_number: Vec<Vec<Told>> = (0..left).map(|_| Vec::new()).collect();
    for (number, told) in told {
        by_number[number].push(told);
    }
    by_number
}

fn failure(url: &str, options: ConnectOptions) -> Error {
    let mut told = dial(vec![(url.to_owned(), options, Vec::new())]).remove(0);
    assert_eq!(told.len(), 1, "{told:?}");
    match told.remove(0) {
        Told::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn config(change: impl FnOnce(&mut Timeouts)) -> ConnectOptions {
    let mut config = Config::default();
    change(&mut config.timeouts);
    ConnectOptions::default().config(config)
}

#[test]
fn many_clients_of_one_loop_get_their_own_echoes_and_close_in_order() {
    let server = Running::new(|| echo);
    let messages = |number: usize| {
        vec![
            Message::Text(format!("text of {number}")),
            Message::Binary(vec![u8::try_from(number).unwrap(); 100_000]),
            Message::Binary(Vec::new()),
        ]
    };
    let all = (0..200)
        .map(|number| (server.url(), ConnectOptions::default(), messages(number)))
        .collect();
    for (number, mut told) in dial(all).into_iter().enumerate() {
        assert!(matches!(told.remove(0), Told::Open(None)));
        for want in messages(number) {
            match told.remove(0) {
                Told::Message(message) => assert!(message == want),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(told[..], [Told::Closed(1000)]), "{told:?}");
    }
    server.close();
}

#[test]
fn over_tls_and_only_to_servers_that_are_trusted() {
    let certs = crate::blocking::Certs::new();
    let listener = sansws_mio::Listener::bind("127.0.0.1:0").unwrap();
    let server = sansws_mio::Server::new(listener.tls(certs.server()));
    let server = Running::of(server, || echo);
    let address = server.address;
    let url = format!("wss://localhost:{}/", address.port());
    let long = Message::Binary(vec![7; 1 << 20]);
    let options = ConnectOptions::default()
        .tls(certs.client())
        .resolve("localhost", [address]);
    let told = dial(vec![(url.clone(), options, vec![long.clone()])]).remove(0);
    match &told[..] {
        [Told::Open(None), Told::Message(echo), Told::Closed(1000)] => assert!(*echo == long),
        other => panic!("{other:?}"),
    }
    let error = failure(
        &url,
        ConnectOptions::default().resolve("localhost", [address]),
    );
    assert!(matches!(error, Error::Io(_) | Error::Other(_)), "{error:?}");
    server.close();
}

/// Answers with these bytes whatever is asked, once.
fn answers(bytes: impl Into<String>) -> SocketAddr {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        head(&mut stream);
        stream.write_all(bytes.as_bytes()).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    address
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn failures_to_connect_are_typed_errors() {
    // Nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let error = failure(&format!("ws://{nobody}/"), ConnectOptions::default());
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    // Another status, with its body.
    let address = answers("HTTP/1.1 402 Payment Required\r\nContent-Length: 4\r\n\r\npay\n");
    match failure(&format!("ws://{address}/"), ConnectOptions::default()) {
        Error::Refused(response) => {
            assert_eq!((response.status, &*response.body), (402, &b"pay\n"[..]));
        }
        other => panic!("{other:?}"),
    }
    // A body that is cut off: the status is the answer.
    let address = answers("HTTP/1.1 503 Busy\r\nContent-Length: 400\r\n\r\nshort");
    let error = failure(&format!("ws://{address}/"), ConnectOptions::default());
    assert!(matches!(&error, Error::Refused(response) if response.status == 503));
    // No HTTP; a wrong key.
    let address = answers("SSH-2.0-OpenSSH\r\n\r\n");
    let error = failure(&format!("ws://{address}/"), ConnectOptions::default());
    assert!(matches!(error, Error::Handshake(_)), "{error:?}");
    let address = answers(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
    );
    let error = failure(&format!("ws://{address}/"), ConnectOptions::default());
    assert!(matches!(error, Error::Handshake(_)), "{error:?}");
    // Silence.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    let brief = config(|timeouts| timeouts.handshake = Some(Duration::from_millis(100)));
    let error = failure(&url, brief);
    assert!(
        matches!(error, Error::Handshake(Failure::Timeout)),
        "{error:?}"
    );
    // A name that is none, and a URL that is none.
    let error = failure("ws://no-such-host.invalid/", ConnectOptions::default());
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("cannot look up no-such-host.invalid: "),
        "{text}"
    );
    let mut event_loop = EventLoop::new().unwrap();
    let dialer = Dialer::new(|_: &mut Socket<'_, ()>, _: Incoming<'_>| Ok(()));
    let wrong = dialer.connect(
        event_loop.context(),
        "nowhere",
        ConnectOptions::default(),
        (),
    );
    assert!(matches!(wrong, Err(Error::BadUrl { .. })), "{wrong:?}");
}

#[test]
fn names_are_looked_up_and_all_addresses_tried() {
    let server = Running::new(|| echo);
    let hello = || vec![Message::Text("hello".into())];
    let port = server.address.port();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let several = ConnectOptions::default().resolve("several.example", [nobody, server.address]);
    let all = vec![
        (
            format!("ws://localhost:{port}/"),
            ConnectOptions::default(),
            hello(),
        ),
        ("ws://several.example/".to_owned(), several, hello()),
    ];
    for told in dial(all) {
        let is_fine = matches!(
            told[..],
            [Told::Open(_), Told::Message(_), Told::Closed(1000)]
        );
        assert!(is_fine, "{told:?}");
    }
    server.close();
}

#[test]
fn redirects_are_followed_as_far_as_allowed_and_subprotocols_agreed() {
    struct Chat;
    impl Endpoint for Chat {
        type Data = ();
        fn upgrade(&mut self, _: &mut Scope, accept: &mut AcceptOptions) -> Result {
            accept.subprotocol = Some("chat".into());
            Ok(())
        }
        fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
            let _ = socket.send(message);
            Ok(())
        }
    }
    let server = Running::new(|| Router::new().route("/new", Chat));
    let moved = |to: &str| {
        let head = format!("HTTP/1.1 307 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        format!("ws://{}/old", answers(head))
    };
    let url = moved(&format!("ws://{}/new", server.address));
    let options = ConnectOptions::default().subprotocol("chat");
    let hello = vec![Message::Text("hello".into())];
    let told = dial(vec![(url, options.clone().redirects(1), hello)]).remove(0);
    match &told[..] {
        [Told::Open(Some(name)), Told::Message(_), Told::Closed(1000)] => assert_eq!(name, "chat"),
        other => panic!("{other:?}"),
    }
    let error = failure(&moved("/new"), options);
    assert!(
        matches!(&error, Error::Refused(response) if response.status == 307),
        "{error:?}"
    );
    server.close();
}

#[test]
fn through_a_proxy() {
    through(|proxy| ConnectOptions::default().proxy(proxy.parse().unwrap()));
}

/// The environment's proxies are proxies, too: nothing meant for the server may reach them outside a tunnel.
#[test]
fn through_a_proxy_of_the_environment() {
    through(|proxy| {
        let variable = |name: &str| (name == "http_proxy").then(|| proxy.to_owned());
        ConnectOptions {
            proxy_variables: Some(ProxyVariables::read(variable).unwrap().into()),
            ..ConnectOptions::default()
        }
    });
}

fn through(options: impl FnOnce(&str) -> ConnectOptions) {
    let server = Running::new(|| echo);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://ada:s3cret@{}", listener.local_addr().unwrap());
    let to = server.address;
    let proxying = thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let head = head(&mut near);
        assert!(
            head.starts_with("CONNECT far.example:80 HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("Proxy-Authorization: Basic "), "{head}");
        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut far = TcpStream::connect(to).unwrap();
        let (mut back, mut from) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let other = thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut back);
            let _ = back.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut near, &mut far);
        let _ = far.shutdown(Shutdown::Write);
        other.join().unwrap();
    });
    let options = options(&proxy);
    let hello = vec![Message::Text("hello".into())];
    let told = dial(vec![("ws://far.example/".to_owned(), options, hello)]).remove(0);
    assert!(matches!(
        told[..],
        [Told::Open(_), Told::Message(_), Told::Closed(1000)]
    ));
    proxying.join().unwrap();
    server.close();
}

/// Connects again after each end.
struct Stubborn {
    dialer: Dialer<Self>,
    url: String,
    tell: Sender<&'static str>,
}

impl Stubborn {
    fn again(&self, within: &mut Loop) {
        let (dialer, url) = (self.dialer.clone(), self.url.clone());
        within.after(Duration::from_millis(10), move |within| {
            let _ = dialer.connect(within, url, ConnectOptions::default(), ());
        });
    }
}

impl Endpoint for Stubborn {
    type Data = ();

    fn open(&mut self, _: &mut Socket<'_, ()>) -> Result {
        Ok(self.tell.send("open")?)
    }

    fn message(&mut self, _: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, ()>, _: &Closed) {
        let _ = self.tell.send("closed");
        self.again(socket.context());
    }

    fn failed(&mut self, within: &mut Loop, (): (), _: Error) {
        let _ = self.tell.send("failed");
        self.again(within);
    }
}

fn until(told: &Receiver<&'static str>, what: &str) {
    while told.recv_timeout(Duration::from_secs(20)).unwrap() != what {}
}

#[test]
fn an_endpoint_connects_again_after_failures_and_closes() {
    let server = Running::new(|| echo);
    let (address, (tell, told)) = (server.address, channel());
    let (give, given) = channel();
    let looping = thread::spawn(move || {
        let mut event_loop = EventLoop::new().unwrap();
        give.send(event_loop.handle()).unwrap();
        let url = format!("ws://{address}/");
        let dialer = Dialer::new_cyclic(|dialer| Stubborn { dialer, url, tell });
        let url = format!("ws://{address}/");
        dialer
            .connect(event_loop.context(), url, ConnectOptions::default(), ())
            .unwrap();
        event_loop.run().unwrap();
    });
    let handle = given.recv().unwrap();
    until(&told, "open");
    server.close();
    until(&told, "closed");
    until(&told, "failed");
    let listener = sansws_mio::Listener::bind(address).unwrap();
    let server = Running::of(sansws_mio::Server::new(listener), || echo);
    until(&told, "open");
    handle.stop();
    looping.join().unwrap();
    server.close();
}

/// Passes messages on to a server behind it, and back: both ends in one loop.
struct Gateway {
    upstreams: Dialer<Upstream>,
    url: String,
    pairs: Pairs,
}

/// The other end of each connection.
type Pairs = Rc<RefCell<std::collections::BTreeMap<ConnectionId, ConnectionId>>>;

struct Upstream(Pairs);

impl Endpoint for Gateway {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
        let id = socket.id();
        // Nothing is received before it can be passed on.
        socket.pause();
        let up =
            self.upstreams
                .connect(socket.context(), &*self.url, ConnectOptions::default(), id)?;
        self.pairs.borrow_mut().insert(id, up);
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        let up = self.pairs.borrow().get(&socket.id()).copied();
        let sent = up.map(|up| socket.context().send(up, message));
        assert!(sent.is_some_and(Sent::is_accepted), "{sent:?}");
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, ()>, _: &Closed) {
        if let Some(up) = self.pairs.borrow_mut().remove(&socket.id()) {
            socket.context().close(up, CloseCode::NORMAL, "");
        }
    }
}

impl Endpoint for Upstream {
    type Data = ConnectionId;

    fn open(&mut self, socket: &mut Socket<'_, ConnectionId>) -> Result {
        let down = *socket.data();
        if let Some(mut down) = socket.context().socket(down) {
            down.resume();
        }
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, ConnectionId>, message: Incoming<'_>) -> Result {
        let down = *socket.data();
        let _ = socket.context().send(down, message);
        Ok(())
    }

    fn failed(&mut self, within: &mut Loop, down: ConnectionId, _: Error) {
        self.0.borrow_mut().remove(&down);
        within.close(down, CloseCode::AGAIN, "no server");
    }
}

#[test]
fn a_gateway_holds_both_ends_in_one_loop_and_drains() {
    let server = Running::new(|| echo);
    let url = server.url();
    let gateway = Running::new(move || {
        let pairs = Pairs::default();
        Gateway {
            upstreams: Dialer::new(Upstream(pairs.clone())),
            url,
            pairs,
        }
    });
    let mut sockets: Vec<_> = (0..50)
        .map(|_| connect(gateway.url(), ConnectOptions::default()).unwrap())
        .collect();
    for round in 0..10 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            socket.send_text(format!("{round} of {number}")).unwrap();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            let text = socket.receive_text().unwrap().unwrap();
            assert_eq!(text, format!("{round} of {number}"));
        }
    }
    // The messages of both ends are not counted twice.
    crate::support::groups::until("all are counted", || {
        gateway.handle.metrics().messages_received >= 500
    });
    assert_eq!(gateway.handle.metrics().messages_received, 500);
    let mut last = sockets.pop().unwrap();
    drop(sockets);
    gateway.handle.close();
    assert!(last.receive().unwrap().is_none());
    gateway.close();
    crate::support::groups::until("no connection of the gateway is left", || {
        server.handle.open() == 0
    });
    server.close();
}

#[test]
fn a_client_joins_groups_of_its_own_process() {
    let server = Running::new(|| echo);
    let (hub, (tell, told)) = (Hub::new(), channel());
    /// Sends to the server what is published here.
    struct Bridge(Hub, Sender<String>);
    impl Endpoint for Bridge {
        type Data = ();
        fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
            socket.use_hub(&self.0);
            socket.join("out")?;
            self.0.publish("out", "through a group").try_publish()?;
            Ok(())
        }
        fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
            self.1.send(message.text()?.to_owned())?;
            socket.context().stop();
            Ok(())
        }
    }
    let mut event_loop = EventLoop::new().unwrap();
    let dialer = Dialer::new(Bridge(hub.clone(), tell));
    let limits = Limits::default();
    let options = ConnectOptions::default().config(Config {
        limits,
        ..Config::default()
    });
    dialer
        .connect(event_loop.context(), server.url(), options, ())
        .unwrap();
    event_loop.run().unwrap();
    assert_eq!(told.recv().unwrap(), "through a group");
    drop(event_loop);
    assert_eq!(hub.metrics().hub.gauges.channels, 0);
    server.close();
}

/// In a process of its own, whose threads would need more memory than there are addresses.
#[test]
fn a_name_that_no_thread_can_look_up_fails_at_once() {
    const NAME: &str = "clients::a_name_that_no_thread_can_look_up_fails_at_once";
    const STACK: &str = "1125899906842624";
    if std::env::var("RUST_MIN_STACK").as_deref() != Ok(STACK) {
        let own = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env("RUST_MIN_STACK", STACK)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&own.stdout);
        assert!(own.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let (tell, told) = channel();
    let dialer = Dialer::new(Teller { tell, left: 1 });
    let mut event_loop = EventLoop::new().unwrap();
    let url = "ws://nobody.test/";
    let options = ConnectOptions::default();
    dialer
        .connect(event_loop.context(), url, options, (0, Vec::new()))
        .unwrap();
    event_loop.run().unwrap();
    match told.try_recv().unwrap() {
        (0, Told::Failed(Error::Io(error))) => {
            assert!(error.to_string().contains("thread"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // One that blocks says the same.
    let error = connect(url, ConnectOptions::default()).unwrap_err();
    assert!(error.to_string().contains("thread"), "{error}");
}
