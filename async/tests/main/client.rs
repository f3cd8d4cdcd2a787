//! A client that comes back: each rule, and each future dropped at each await, over scripted servers and virtual time.
//! RFC 6455 section 7.2.3.

use crate::support;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_async::{
    Client, ClientState, ConnectOptions, Connector, Error, HandlerError, Stop, WebSocket,
};
use sansws_core::close::CloseCode;
use sansws_core::config::{Config, Limits};
use sansws_core::dial::{Backoff, ReconnectOptions};
use sansws_core::error::{InvalidInput, SendError};
use sansws_core::handshake::{Failure, RedirectError};
use sansws_core::http::Response;
use sansws_core::message::Message;
use sansws_core::proxy::TunnelError;
use support::net::{Net, turn, until_offline};
use support::wire::{Task, Wire};

fn client(net: &Net) -> Client<Net> {
    let url = "ws://a/".parse().unwrap();
    Client::with(net.clone(), url, ConnectOptions::default()).unwrap()
}

/// Texts in the order in which servers got them.
type Log = Arc<Mutex<Vec<String>>>;

fn put(log: &Log, text: impl Into<String>) {
    log.lock().unwrap().push(text.into());
}

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// The status of the client.
fn told(log: &Log) -> impl FnMut(&ClientState) + Send + 'static {
    let log = Arc::clone(log);
    move |state| {
        put(
            &log,
            match state {
                ClientState::Connecting => "connecting".into(),
                ClientState::Open => "open".into(),
                ClientState::Waiting { why, .. } => format!("waiting: {why}"),
                ClientState::Stopped(Stop::Closed(_)) => "closed".into(),
                ClientState::Stopped(Stop::Done(_)) => "done".into(),
                ClientState::Stopped(Stop::Failed(why)) => format!("stopped: {why}"),
                other => panic!("{other:?}"),
            },
        );
    }
}

/// A server that writes down what it gets, until the client closes.
fn writes_down(net: &Net, log: &Log) {
    let log = Arc::clone(log);
    net.open(|mut socket, _| async move {
        while let Some(text) = socket.receive_text().await? {
            put(&log, text);
        }
        Ok(())
    });
}

/// A server that closes with this code.
fn closes(net: &Net, code: u16) {
    net.open(move |mut socket, _| async move {
        socket.close(code, "").await?;
        Ok(())
    });
}

fn refusal(status: u16, after: Option<&str>) -> Error {
    let mut response = Response::new(status);
    if let Some(after) = after {
        response = response.with("Retry-After", after);
    }
    Error::Refused(Box::new(response))
}

/// How long it waits after what the net has in store; `None` when it stops.
fn wait(net: &Net) -> Option<Duration> {
    let mut client = client(net);
    net.run(until_offline(&mut client));
    match client.state() {
        ClientState::Waiting { wait, .. } => Some(*wait),
        ClientState::Stopped(_) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_close_code_is_judged_by_the_policy() {
    let base = Backoff::default().base;
    for code in [1001, 1011, 1014, 3001, 4000, 4001, 4499] {
        let net = Net::new(u64::from(code));
        closes(&net, code);
        assert!(wait(&net).is_some_and(|wait| wait <= base), "{code}");
    }
    for code in [1012, 1013] {
        let net = Net::new(u64::from(code));
        closes(&net, code);
        assert!(wait(&net).is_some_and(|wait| wait >= base), "{code}");
    }
    for code in [
        1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003, 4500, 4999,
    ] {
        let net = Net::new(u64::from(code));
        closes(&net, code);
        assert_eq!(wait(&net), None, "{code}");
    }
}

#[test]
fn each_failure_of_an_attempt_is_judged_by_the_policy() {
    let back = [
        Error::Io(io::ErrorKind::ConnectionRefused.into()),
        Error::ConnectTimeout(None),
        Error::Handshake(Failure::EndOfInput),
        Error::Proxy(TunnelError::Refused(502)),
        refusal(503, None),
        refusal(429, None),
    ];
    for error in back {
        let (net, name) = (Net::new(3), format!("{error:?}"));
        net.fail(error);
        assert!(wait(&net).is_some(), "{name}");
    }
    let stop = [
        Error::Handshake(Failure::Accept),
        Error::Proxy(TunnelError::Refused(407)),
        Error::Redirect(RedirectError::TooMany),
        refusal(401, None),
        refusal(404, None),
        refusal(302, None),
    ];
    for error in stop {
        let (net, name) = (Net::new(3), format!("{error:?}"));
        net.fail(error);
        assert_eq!(wait(&net), None, "{name}");
    }
}

#[test]
fn retry_after_is_honoured() {
    let net = Net::new(1);
    net.fail(refusal(503, Some("7")));
    closes(&net, 1000);
    let mut client = client(&net);
    assert_eq!(net.run(client.receive()).unwrap(), None);
    assert!(net.now().as_micros() >= 7_000_000, "{:?}", net.now());
    assert!(net.now().as_micros() <= 7_700_000, "{:?}", net.now());
}

#[test]
fn a_server_that_breaks_the_protocol_is_left() {
    let net = Net::new(1);
    net.open(|mut socket, _| async move {
        socket.send_bytes(vec![0; 20]).await?;
        let _ = socket.receive().await;
        Ok(())
    });
    let config = Config {
        limits: Limits {
            message: 10,
            ..Limits::default()
        },
        ..Config::default()
    };
    let dial = ConnectOptions::default().config(config);
    let mut client = Client::with(net.clone(), "ws://a/".parse().unwrap(), dial).unwrap();
    assert_eq!(net.run(client.receive()).unwrap(), None);
    assert!(
        matches!(client.state(), ClientState::Stopped(Stop::Failed(why))
        if matches!(**why, Error::Violation(_)))
    );
}

#[test]
fn messages_over_several_connections_and_what_it_says_of_itself() {
    let (net, log) = (Net::new(1), Log::default());
    net.fail(io::Error::from(io::ErrorKind::ConnectionRefused));
    net.open(|mut socket, _| async move {
        socket.send_text("one").await?;
        socket.close(1012, "").await?;
        Ok(())
    });
    net.open(|mut socket, ends| async move {
        socket.send_text("two").await?;
        socket.flush().await?;
        ends.cut();
        Ok(())
    });
    net.open(|mut socket, _| async move {
        socket.send_text("three").await?;
        socket.close(1000, "that was all").await?;
        Ok(())
    });
    let mut client = client(&net).on_change(told(&log));
    for want in ["one", "two", "three"] {
        assert_eq!(
            net.run(client.receive_text()).unwrap().as_deref(),
            Some(want)
        );
    }
    assert_eq!(net.run(client.receive()).unwrap(), None);
    assert_eq!(net.run(client.receive()).unwrap(), None);
    let want = [
        "connecting",
        "waiting: connection refused",
        "connecting",
        "open",
        "waiting: the peer closed the connection with code 1012",
        "connecting",
        "open",
        "waiting: the connection was lost (1006): the peer ended the stream without a Close frame",
        "connecting",
        "open",
        "done",
    ];
    assert_eq!(take(&log), want);
    match client.state() {
        ClientState::Stopped(stop @ Stop::Done(closed)) => {
            assert!(stop.is_normal() && closed.reason == "that was all");
        }
        other => panic!("{other:?}"),
    }
    let refused = net.run(client.send_text("late"));
    assert!(matches!(refused, Err(Error::NotSent(SendError::Stopped))));
    assert!(matches!(
        net.run(client.ready()),
        Err(Error::NotSent(SendError::Stopped))
    ));
    assert_eq!((net.dials(), net.left()), (4, 0));
}

#[test]
fn queued_messages_follow_the_hook_in_order_on_each_connection() {
    let (net, log) = (Net::new(1), Log::default());
    for _ in 0..2 {
        let log = Arc::clone(&log);
        net.open(|mut socket, _| async move {
            for _ in 0..3 {
                put(&log, socket.receive_text().await?.unwrap());
            }
            socket.close(1012, "").await?;
            Ok(())
        });
    }
    writes_down(&net, &log);
    let hooked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hooked);
    let mut client = client(&net).on_open(move |mut socket: WebSocket<Wire>| {
        let count = count.fetch_add(1, Ordering::SeqCst);
        async move {
            turn().await;
            socket.send_text(format!("subscribe {count}")).await?;
            Ok(())
        }
    });
    for i in 0..4 {
        net.run(client.send_text(format!("message {i}"))).unwrap();
    }
    assert_eq!(client.queued(), 4);
    // The first server leaves after two of them: the others were in flight, or go out to the next one, but never before.
    net.run_for(Duration::from_secs(30), async {
        client.receive().await.unwrap()
    });
    let all = take(&log);
    assert_eq!(all[..3], ["subscribe 0", "message 0", "message 1"]);
    assert_eq!(hooked.load(Ordering::SeqCst), 2, "{all:?}");
    for i in 4..6 {
        net.run(client.send_text(format!("message {i}"))).unwrap();
    }
    net.run_for(Duration::from_secs(30), async {
        client.receive().await.unwrap()
    });
    assert_eq!(hooked.load(Ordering::SeqCst), 3);
    net.run(client.send_text("the last")).unwrap();
    net.run(client.close(1000, "")).unwrap();
    let rest: Vec<_> = all.into_iter().chain(take(&log)).skip(3).collect();
    assert_eq!(
        rest,
        [
            "subscribe 1",
            "message 4",
            "message 5",
            "subscribe 2",
            "the last"
        ]
    );
}

#[test]
fn a_full_queue_says_so_and_keeps_what_it_has() {
    let (net, log) = (Net::new(1), Log::default());
    net.fail(io::Error::from(io::ErrorKind::ConnectionRefused));
    writes_down(&net, &log);
    let mut client = client(&net).queue(2, 10);
    let full = |sent| matches!(sent, Err(Error::NotSent(SendError::QueueFull)));
    assert!(full(net.run(client.send_text("eleven char"))));
    net.run(client.send_text("first")).unwrap();
    assert!(full(net.run(client.send_text("second"))));
    net.run(client.send_text("2nd")).unwrap();
    assert!(full(net.run(client.send_text(""))));
    net.run(client.flush()).unwrap();
    assert_eq!(client.queued(), 0);
    // On an open connection the bounds of the queue do not count.
    net.run(client.send_text("as long as it may be")).unwrap();
    net.run(client.close(1000, "")).unwrap();
    assert_eq!(take(&log), ["first", "2nd", "as long as it may be"]);
}

#[test]
fn without_a_queue_sending_needs_a_connection() {
    let (net, log) = (Net::new(1), Log::default());
    net.fail(io::Error::from(io::ErrorKind::ConnectionRefused));
    writes_down(&net, &log);
    let mut client = client(&net).queue(0, 0);
    for _ in 0..3 {
        let sent = net.run(client.send_text("x"));
        assert!(matches!(sent, Err(Error::NotSent(SendError::QueueFull))));
    }
    net.run(client.ready()).unwrap();
    net.run(client.send_text("y")).unwrap();
    net.run(client.close(1000, "")).unwrap();
    assert_eq!(take(&log), ["y"]);
}

#[test]
fn a_client_that_only_sends_loses_no_message_over_reconnects() {
    let (net, log) = (Net::new(1), Log::default());
    net.open(|mut socket, _| async move {
        let first = socket.receive_text().await?;
        assert_eq!(first.as_deref(), Some("in flight"));
        socket.send_text("unread").await?;
        socket.close(1012, "").await?;
        Ok(())
    });
    writes_down(&net, &log);
    let mut client = client(&net);
    net.run(client.ready()).unwrap();
    net.run(client.send_text("in flight")).unwrap();
    // The connection ends while nobody receives. Who sends sees it.
    net.run_for(Duration::from_secs(1), std::future::pending::<()>());
    while !matches!(client.state(), ClientState::Waiting { .. }) {
        net.run(client.send_text("x")).unwrap();
    }
    net.run(client.send_text("queued")).unwrap();
    assert!(client.queued() >= 2);
    net.run(client.flush()).unwrap();
    assert_eq!((client.queued(), net.dials()), (0, 2));
    assert_eq!(
        net.run(client.receive_text()).unwrap().as_deref(),
        Some("unread")
    );
    net.run(client.send_text("more")).unwrap();
    net.run(client.close(1000, "")).unwrap();
    let mut got = take(&log);
    got.retain(|text| text != "x");
    assert_eq!(got, ["queued", "more"]);
}

#[test]
fn messages_sent_while_a_connection_closes_wait_for_the_next() {
    let (net, log) = (Net::new(1), Log::default());
    net.open(|mut socket, _| async move {
        socket.receive().await?;
        socket.close(1012, "").await?;
        Ok(())
    });
    writes_down(&net, &log);
    let mut client = client(&net);
    net.run(client.ready()).unwrap();
    net.run(client.send_text("close, please")).unwrap();
    // Our own Close frame finds no room, so the end can't be told yet.
    let wire = client
        .socket()
        .map(|socket| socket.with_transport(Wire::clone));
    let wire = wire.unwrap();
    wire.state().room = 0;
    let told = net.run_for(Duration::from_secs(1), client.receive());
    assert!(told.is_none() && matches!(client.state(), ClientState::Open));
    for text in ["one", "two"] {
        net.run(client.send_text(text)).unwrap();
    }
    assert_eq!((client.queued(), net.dials()), (2, 1));
    wire.drain();
    net.run(client.flush()).unwrap();
    assert_eq!((client.queued(), net.dials()), (0, 2));
    net.run(client.close(1000, "")).unwrap();
    assert_eq!(take(&log), ["one", "two"]);
}

/// Returns the result of a hook that fails with this error: the number of attempts to connect, and the messages to the first server.
fn hook_fails(net: &Net, error: fn() -> HandlerError) -> (Client<Net>, Log) {
    let log = Log::default();
    let at_server = Arc::clone(&log);
    net.open(|mut socket, _| async move {
        match socket.receive().await {
            Err(Error::Disconnect(closed)) => put(&at_server, format!("{}", closed.code())),
            other => put(&at_server, format!("{other:?}")),
        }
        Ok(())
    });
    closes(net, 1000);
    let mut failed = false;
    let client = client(net).on_open(move |_| {
        let first = !std::mem::replace(&mut failed, true);
        async move { if first { Err(error()) } else { Ok(()) } }
    });
    (client, log)
}

#[test]
fn a_hook_that_fails_ends_the_connection_and_is_judged_by_its_code() {
    let net = Net::new(1);
    let (mut client, log) = hook_fails(&net, || "no token".into());
    assert_eq!(net.run(client.receive()).unwrap(), None);
    assert_eq!((take(&log), net.dials()), (vec!["1011".into()], 2));
    assert!(matches!(
        client.state(),
        ClientState::Stopped(Stop::Done(_))
    ));

    let net = Net::new(1);
    let (mut client, log) = hook_fails(&net, || Error::close(CloseCode::POLICY, "not us"));
    assert_eq!(net.run(client.receive()).unwrap(), None);
    assert_eq!((take(&log), net.dials()), (vec!["1008".into()], 1));
    assert!(
        matches!(client.state(), ClientState::Stopped(Stop::Failed(why))
        if matches!(**why, Error::Close(_)))
    );
}

#[test]
fn a_hook_that_meets_the_end_is_judged_by_that_end() {
    for (code, dials) in [(4001, 2), (4501, 1)] {
        for receives in [false, true] {
            let net = Net::new(1);
            closes(&net, code);
            closes(&net, 1000);
            let mut client = client(&net).on_open(move |mut socket: WebSocket<Wire>| async move {
                if receives {
                    return Ok(socket.receive().await.map(drop)?);
                }
                for _ in 0..1_000 {
                    turn().await;
                    socket.send_text("subscribe").await?;
                }
                Ok(())
            });
            assert_eq!(net.run(client.receive()).unwrap(), None);
            assert_eq!(net.dials(), dials, "{code}, {receives}");
        }
    }
}

#[test]
fn a_hook_may_ask_and_what_it_leaves_is_received() {
    let net = Net::new(1);
    net.open(|mut socket, _| async move {
        let token = socket.receive_text().await?;
        assert_eq!(token.as_deref(), Some("token"));
        for text in ["welcome", "one", "two"] {
            socket.send_text(text).await?;
        }
        socket.close(1000, "").await?;
        Ok(())
    });
    let mut client = client(&net).on_open(|mut socket: WebSocket<Wire>| async move {
        socket.send_text("token").await?;
        assert_eq!(socket.receive_text().await?.as_deref(), Some("welcome"));
        Ok(())
    });
    assert_eq!(net.run(client.receive_text()).unwrap().unwrap(), "one");
    assert!(client.socket().is_some_and(|socket| !socket.is_deflated()));
    assert_eq!(net.run(client.receive_text()).unwrap().unwrap(), "two");
    assert_eq!(net.run(client.receive_text()).unwrap(), None);
    assert!(client.socket().is_none());
}

#[test]
fn attempts_are_counted_until_a_connection_has_settled() {
    let options = ReconnectOptions {
        attempts: Some(3),
        ..ReconnectOptions::default()
    };
    let net = Net::new(1);
    for _ in 0..10 {
        net.fail(io::Error::from(io::ErrorKind::ConnectionRefused));
    }
    let mut one = client(&net).reconnect(options.clone());
    assert_eq!(net.run(one.receive()).unwrap(), None);
    assert_eq!(net.dials(), 4);
    assert!(
        matches!(one.state(), ClientState::Stopped(Stop::Failed(why))
        if matches!(**why, Error::Io(_)))
    );

    // Each connection lives for more than ten seconds: it comes back for ever.
    let net = Net::new(1);
    for _ in 0..6 {
        net.open(|socket, ends| async move {
            let mut socket = socket;
            while socket.receive().await?.is_some() {}
            ends.cut();
            Ok(())
        });
    }
    let mut two = client(&net).reconnect(options);
    for dials in 1..6 {
        net.run(two.ready()).unwrap();
        assert_eq!(net.dials(), dials);
        net.run_for(Duration::from_secs(11), async {
            two.receive().await.unwrap()
        });
        net.run(two.send_text("x")).unwrap();
        cut(&net, &mut two);
    }
}

#[test]
fn a_hook_that_fails_late_has_settled_nothing() {
    let net = Net::new(1);
    for _ in 0..10 {
        net.open(|mut socket, _| async move {
            let _ = socket.receive().await;
            Ok(())
        });
    }
    let (options, clock) = (
        ReconnectOptions {
            attempts: Some(2),
            ..ReconnectOptions::default()
        },
        net.clone(),
    );
    let mut client = client(&net).reconnect(options).on_open(move |_| {
        let late = clock.sleep(Duration::from_secs(11));
        async move {
            late.await;
            Err("no token".into())
        }
    });
    assert_eq!(net.run(client.receive()).unwrap(), None);
    assert_eq!(net.dials(), 3);
}

/// Ends the open connection from our side of the wire, as if the server had vanished.
fn cut(net: &Net, client: &mut Client<Net>) {
    let socket = client.socket().expect("a connection");
    socket.with_transport(Wire::end);
    net.run(until_offline(client));
}

#[test]
fn unsendable_messages_fail_at_once() {
    let url = || "ws://a/".parse().unwrap();
    let bad = ConnectOptions::default().header("X", "a\r\nb");
    let made = Client::with(Net::new(1), url(), bad);
    assert!(matches!(made, Err(Error::BadHeader { .. })));
    let twice = ConnectOptions::default().subprotocol("a").subprotocol("a");
    let made = Client::with(Net::new(1), url(), twice);
    assert!(matches!(
        made,
        Err(Error::InvalidInput(InvalidInput::Subprotocol))
    ));
    let made = Client::<Net>::new("http//a", ConnectOptions::default());
    assert!(matches!(made, Err(Error::BadUrl { .. })));
}

#[test]
fn it_is_send() {
    fn send<T: Send>(_: &T) {}
    let mut client = client(&Net::new(1));
    send(&client);
    send(&client.receive());
    send(&client.send(Message::Text(String::new())));
    let task = Task::new(client.flush());
    drop(task);
}

#[test]
fn a_value_held_by_a_hook_may_panic_when_it_is_dropped() {
    struct Brittle;
    impl Drop for Brittle {
        fn drop(&mut self) {
            panic!("as planned");
        }
    }
    let net = Net::new(1);
    writes_down(&net, &Log::default());
    let mut client = client(&net).on_open(|_| {
        let held = Brittle;
        async move {
            let _held = held;
            std::future::pending().await
        }
    });
    assert!(
        net.run_for(Duration::from_secs(1), client.receive())
            .is_none()
    );
    let closed = net.run(client.close(1000, "")).unwrap();
    assert_eq!(closed.map(|closed| closed.code()), Some(1000));
    assert!(matches!(
        client.state(),
        ClientState::Stopped(Stop::Closed(_))
    ));
}

#[test]
fn an_error_of_a_hook_that_panics_counts_as_1011() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("as planned");
        }
    }
    impl std::error::Error for Mute {}
    let net = Net::new(1);
    net.open(|mut socket, _| async move {
        let end = socket.receive().await;
        assert!(matches!(end, Err(Error::Disconnect(closed)) if closed.code() == 1011));
        Ok(())
    });
    let mut client = client(&net).on_open(async |_| Err(Mute.into()));
    net.run(until_offline(&mut client));
    assert!(matches!(client.state(), ClientState::Waiting { .. }));
}
