//! Callbacks: their order, their errors, their panics, and what becomes of what they send.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use sansws_mio::metrics::CodeClass;
use sansws_mio::{
    AcceptOptions, CloseCode, Closed, Config, Endpoint, Error, Incoming, Limits, LossCause,
    PreparedMessage, Response, Result, Router, Scope, Sent, ServerOptions, Socket, Timeouts,
};
use sansws_std::{ConnectOptions, WebSocket, connect};

use crate::blocking::{dial, masked, raw_client, read_frame};
use crate::support::Running;
use crate::support::groups::text;

fn code(mut socket: WebSocket) -> u16 {
    match socket.receive() {
        Ok(None) => socket.closed().unwrap().code(),
        Err(Error::Disconnect(closed)) => closed.code(),
        other => panic!("{other:?}"),
    }
}

/// Reports its callbacks, and does what messages say.
struct Diary(Sender<String>);

/// Reports when it is dropped.
struct Page(Sender<String>);

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.0.send("dropped".into());
    }
}

impl Endpoint for Diary {
    type Data = Page;

    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<Page> {
        match request.path() {
            "/refuse" => return Err("no reason".into()),
            "/reject" => return Err(Error::reject(Response::text(402, "pay\n"))),
            "/panic" => panic!("before it accepted"),
            "/kinds" => accept.subprotocol = Some("never-offered".into()),
            _ => {}
        }
        self.0.send("upgrade".into())?;
        Ok(Page(self.0.clone()))
    }

    fn open(&mut self, socket: &mut Socket<'_, Page>) -> Result {
        self.0.send("open".into())?;
        let _ = socket.send("hello");
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Page>, message: Incoming<'_>) -> Result {
        match message.text()? {
            "fail" => Err("a failure".into()),
            "panic" => panic!("a callback's mistake"),
            "policy" => Err(Error::close(CloseCode::POLICY, "no")),
            "json" => {
                let _: u32 = message.json()?;
                Ok(())
            }
            "abort" => {
                socket.abort();
                Ok(())
            }
            text => {
                self.0.send(text.to_owned())?;
                Ok(())
            }
        }
    }

    fn close(&mut self, socket: &mut Socket<'_, Page>, closed: &Closed) {
        assert_eq!(socket.send("late"), Sent::Closed);
        let _ = self.0.send(match closed.cause {
            Some(LossCause::Aborted) => "aborted".into(),
            _ => format!("close {}", closed.code()),
        });
        assert_ne!(closed.code(), 4444, "a mistake of the last callback");
    }
}

fn diary() -> (Running, Receiver<String>) {
    let (tell, told) = channel();
    (Running::new(move || Diary(tell)), told)
}

/// The next entries of the diary.
fn read(diary: &Receiver<String>, count: usize) -> Vec<String> {
    let next = || diary.recv_timeout(Duration::from_secs(30)).unwrap();
    (0..count).map(|_| next()).collect()
}

#[test]
fn each_connection_is_opened_and_closed_once_and_its_data_dropped() {
    let (server, diary) = diary();
    let mut socket = dial(server.address, "/").unwrap();
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("hello"));
    socket.send_text("one").unwrap();
    socket.close(4001, "").unwrap();
    assert_eq!(
        read(&diary, 5),
        ["upgrade", "open", "one", "close 4001", "dropped"]
    );
    // Cut off in the middle of a message.
    let mut raw = raw_client(server.address);
    raw.write_all(&[0x81, 0xfe, 1]).unwrap();
    drop(raw);
    assert_eq!(
        read(&diary, 4),
        ["upgrade", "open", "close 1006", "dropped"]
    );
    drop(server);
    assert!(diary.recv().is_err());
}

/// Fails at some pings and pongs.
struct Touchy;

impl Endpoint for Touchy {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn ping(&mut self, _: &mut Socket<'_, ()>, payload: &[u8]) -> Result {
        match payload {
            b"policy" => Err(Error::close(CloseCode::POLICY, "no pings")),
            b"panic" => panic!("a ping"),
            _ => Ok(()),
        }
    }

    fn pong(&mut self, socket: &mut Socket<'_, ()>, _: &[u8]) -> Result {
        let _ = socket.send("the last word");
        Err("a pong".into())
    }
}

#[test]
fn the_error_of_a_ping_closes_behind_its_pong_and_nothing_more_is_received() {
    let config = Config {
        control_frames: true,
        ..Config::default()
    };
    let options = ServerOptions::default().config(config);
    let server = Running::with(options, || Router::new().route("/", Touchy));
    let said = |opcode: u8, payload: &[u8]| {
        let mut raw = raw_client(server.address);
        // What comes behind it is not received: it would fail again.
        let bytes = [masked(opcode, payload), masked(9, b"panic")].concat();
        raw.write_all(&bytes).unwrap();
        [read_frame(&mut raw), read_frame(&mut raw)]
    };
    let closes = |code: u16, reason: &str| (8, [&code.to_be_bytes(), reason.as_bytes()].concat());
    assert_eq!(
        said(9, b"policy"),
        [(10, b"policy".to_vec()), closes(1008, "no pings")]
    );
    assert_eq!(
        said(9, b"panic"),
        [(10, b"panic".to_vec()), closes(1011, "")]
    );
    assert_eq!(
        said(10, b""),
        [(1, b"the last word".to_vec()), closes(1011, "")]
    );
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 2);
}

#[test]
fn the_error_of_a_callback_becomes_its_code() {
    let (server, diary) = diary();
    let said = |text: &str| {
        let mut socket = dial(server.address, "/").unwrap();
        socket.receive().unwrap();
        socket.send_text(text).unwrap();
        (code(socket), read(&diary, 4)[2].clone())
    };
    assert_eq!(said("fail").0, 1011);
    assert_eq!(said("policy"), (1008, "close 1008".into()));
    assert_eq!(said("json").0, 1007);
    assert_eq!(said("panic").0, 1011);
    assert_eq!(said("abort"), (1006, "aborted".into()));
    let mut socket = dial(server.address, "/").unwrap();
    socket.receive().unwrap();
    socket.send(vec![1, 2]).unwrap();
    assert_eq!(code(socket), 1003);
    read(&diary, 4);
    // The last callback panics: the connection ends as the peer wanted.
    let mut socket = dial(server.address, "/").unwrap();
    socket.receive().unwrap();
    assert!(socket.close(4444, "").unwrap().unwrap().clean);
    assert_eq!(read(&diary, 4)[3], "dropped");
    let metrics = || server.handle.metrics();
    assert_eq!(metrics().closed(CodeClass::Internal), 2);
    // The failure, and two panics.
    assert_eq!(metrics().handlers_failed, 3);
}

#[test]
fn unaccepted_requests_are_answered() {
    let (server, diary) = diary();
    for (path, want) in [
        ("/refuse", 500),
        ("/reject", 402),
        ("/panic", 500),
        ("/kinds", 500),
    ] {
        match dial(server.address, path) {
            Err(Error::Refused(response)) => assert_eq!(response.status, want, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    // The data of a request that could not be accepted after all are gone.
    assert_eq!(read(&diary, 2), ["upgrade", "dropped"]);
    drop(server);
    assert!(diary.recv().is_err());
}

/// Sends a lot to a peer that does not read, and tells what became of it.
struct Fountain(Sender<String>);

impl Endpoint for Fountain {
    type Data = u32;

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<u32> {
        Ok(0)
    }

    fn message(&mut self, socket: &mut Socket<'_, u32>, _: Incoming<'_>) -> Result {
        self.drained(socket)
    }

    fn drained(&mut self, socket: &mut Socket<'_, u32>) -> Result {
        let drop_of_water = vec![7; 1 << 16];
        while *socket.data() < 1_000 {
            match socket.send(drop_of_water.as_slice()) {
                Sent::Sent | Sent::Queued => *socket.data() += 1,
                sent => {
                    self.0.send(format!("{sent:?}"))?;
                    return Ok(());
                }
            }
        }
        self.0.send("all".into())?;
        Ok(())
    }
}

#[test]
fn a_sender_learns_that_the_peer_is_slow_and_when_it_is_not() {
    let (tell, told) = channel();
    let limits = Limits {
        write_queue: 1 << 20,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let server = Running::with(ServerOptions::default().config(config), move || {
        Router::new().route("/", Fountain(tell))
    });
    let mut socket = dial(server.address, "/").unwrap();
    socket.send_text("go").unwrap();
    assert_eq!(read(&told, 1), ["Full"]);
    for _ in 0..1_000 {
        assert_eq!(socket.receive().unwrap().unwrap().len(), 1 << 16);
    }
    let rest: Vec<String> = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(30)).ok())
        .take_while(|entry| entry != "all")
        .collect();
    assert!(rest.iter().all(|entry| entry == "Full"), "{rest:?}");
}

#[test]
fn a_sender_that_fills_the_queue_learns_that_the_peer_is_gone() {
    let (tell, told) = channel();
    let server = Running::new(move || Router::new().route("/", Fountain(tell)));
    let mut socket = dial(server.address, "/").unwrap();
    socket.send_text("go").unwrap();
    assert_eq!(read(&told, 1), ["Full"]);
    // It has not read everything, and therefore resets TCP.
    drop(socket);
    let rest = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(30)).ok());
    let rest: Vec<String> = rest.skip_while(|entry| entry == "Full").take(1).collect();
    assert_eq!(rest, ["Closed"]);
}

#[test]
fn all_forms_of_messages_arrive_in_order() {
    let server = Running::new(|| {
        |socket: &mut Socket<'_, ()>, message: Incoming<'_>| {
            let prepared = PreparedMessage::new("prepared");
            let _ = socket.send("borrowed");
            let _ = socket.send(String::from("owned"));
            let _ = socket.send(&prepared);
            let _ = socket.send_piece("chu", false)?;
            assert_eq!(socket.send("between"), Sent::Closed);
            socket.ping("a ping may come between")?;
            assert!(socket.ping([0; 126]).is_err());
            assert!(socket.send_piece(&[1_u8][..], true).is_err());
            let _ = socket.send_piece("nks", true)?;
            let _ = socket.send_json(&[1, 2])?;
            let _ = socket.send(message);
            Ok(())
        }
    });
    let mut socket = dial(server.address, "/").unwrap();
    // One that lies in the buffer, and one that does not.
    for length in [10, 300_000] {
        let message = "x".repeat(length);
        socket.send_text(message.as_str()).unwrap();
        for want in ["borrowed", "owned", "prepared", "chunks", "[1,2]", &message] {
            assert_eq!(socket.receive_text().unwrap().as_deref(), Some(want));
        }
    }
}

#[test]
fn a_connection_tells_how_long_its_pongs_take() {
    fn tell(socket: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        let known = socket.round_trip().is_some();
        let _ = socket.send(if known { "known" } else { "unknown" });
        Ok(())
    }
    let timeouts = Timeouts {
        ping: Some(Duration::from_millis(10)),
        ..Timeouts::default()
    };
    let config = Config {
        timeouts,
        ..Config::default()
    };
    let server = Running::with(ServerOptions::default().config(config), || tell);
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    loop {
        socket.send_text("").unwrap();
        if text(&mut socket) == "known" {
            break;
        }
        // It answers pings meanwhile.
        let _ = socket.receive_timeout(Duration::from_millis(10));
    }
}
