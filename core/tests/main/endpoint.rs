//! One machine from the first octet to the last, a sentence each. RFC 6455 sections 4 to 7.

use crate::support;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use sansws_core::close::CloseCode;
use sansws_core::config::{Config, Deflate};
use sansws_core::connection::endpoint::{EndpointEvent, PeerError};
use sansws_core::connection::{Endpoint, Expired, State, TransportAction};
use sansws_core::error::{InvalidInput, SendError};
use sansws_core::handshake::{AcceptOptions, ClientOptions, Failure, Refusal, Request};
use sansws_core::http::Response;
use sansws_core::message::{Assembly, Message, PreparedMessage};
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};
use support::frame;

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

const HEAD: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The events of some input, owned.
#[derive(Clone, Debug, PartialEq)]
enum Got {
    Request(String),
    Open,
    Refused(u16, Vec<u8>),
    Message(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Error(PeerError),
}

/// An endpoint with what its caller holds.
struct End {
    endpoint: Endpoint,
    assembly: Assembly,
    input: Vec<u8>,
    now: Instant,
    /// The decision on a request.
    decide: fn(&mut Endpoint, Instant, &Request),
    echo: bool,
}

fn accept(endpoint: &mut Endpoint, now: Instant, request: &Request) {
    endpoint
        .accept(now, request, AcceptOptions::default())
        .unwrap();
}

fn refuse(endpoint: &mut Endpoint, now: Instant, _: &Request) {
    let response = Response::text(403, "no\n");
    endpoint.refuse(now, &response).unwrap();
}

fn think(_: &mut Endpoint, _: Instant, _: &Request) {}

impl End {
    fn of(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            assembly: Assembly::default(),
            input: Vec::new(),
            now: Instant::ZERO,
            decide: accept,
            echo: false,
        }
    }

    fn server(config: &Arc<Config>) -> Self {
        Self::of(Endpoint::server(Arc::clone(config), Instant::ZERO))
    }

    fn client(config: &Arc<Config>) -> Self {
        let url = "ws://a/chat".parse().unwrap();
        let (options, seed) = (ClientOptions::default(), Seed::new([7; 32]));
        let client = Endpoint::client(Arc::clone(config), &url, options, seed, Instant::ZERO);
        Self::of(client.unwrap())
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Got> {
        self.input.extend_from_slice(bytes);
        self.receive()
    }

    /// Receives what is held, as far as that is wanted.
    fn receive(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        while self.endpoint.wants_input() {
            let step = self
                .endpoint
                .receive(self.now, &mut self.input, &mut self.assembly);
            let step = match step {
                Ok(step) => step,
                Err(error) => {
                    self.input.clear();
                    all.push(Got::Error(error));
                    break;
                }
            };
            let consumed = step.consumed;
            let got = match step.event {
                Some(EndpointEvent::Request(request)) => {
                    (self.decide)(&mut self.endpoint, self.now, &request);
                    Some(Got::Request(request.path().into()))
                }
                Some(EndpointEvent::Open(_)) => Some(Got::Open),
                Some(EndpointEvent::Refused(response)) => {
                    Some(Got::Refused(response.status, response.body))
                }
                Some(EndpointEvent::Text(text)) => Some(Got::Message(text.into())),
                Some(EndpointEvent::Binary(bytes)) => Some(Got::Message(bytes.into())),
                Some(EndpointEvent::Ping(bytes)) => Some(Got::Ping(bytes.into())),
                Some(EndpointEvent::Close(close)) => Some(Got::Close(
                    close.code.map(CloseCode::get),
                    close.reason.into(),
                )),
                Some(EndpointEvent::Pong(bytes)) => Some(Got::Pong(bytes.into())),
                Some(EndpointEvent::Piece(_)) => panic!("nobody asks for pieces"),
                None => None,
            };
            self.input.drain(..consumed);
            let Some(got) = got else { break };
            if self.echo
                && let Got::Message(message) = &got
            {
                self.endpoint.send(message.clone()).unwrap();
            }
            all.push(got);
        }
        all
    }

    fn end(&mut self) -> Vec<Got> {
        self.endpoint.end_of_input();
        self.receive()
    }

    /// All that is to be written.
    fn output(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut slices: [&[u8]; 3] = [&[]; 3];
            let filled = self.endpoint.transmit(&mut slices);
            let bytes = slices[..filled].concat();
            self.endpoint.transmitted(bytes.len());
            if bytes.is_empty() {
                return all;
            }
            all.extend(bytes);
        }
    }

    /// Likewise, in owned parts; each is written while the next is taken.
    fn taken(&mut self) -> Vec<u8> {
        let (mut all, mut spare) = (Vec::new(), Vec::with_capacity(100));
        loop {
            let part = self.endpoint.take_output(spare);
            if part.is_empty() {
                return all;
            }
            assert!(self.endpoint.has_output(), "it is on its way");
            all.extend_from_slice(&part);
            self.endpoint.transmitted(part.len());
            spare = part;
        }
    }
}

fn config() -> Arc<Config> {
    Arc::new(Config::default())
}

fn after(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn status(response: &[u8]) -> &str {
    core::str::from_utf8(&response[9..12]).unwrap()
}

#[test]
fn a_whole_life() {
    let config = config();
    let (mut server, mut client) = (End::server(&config), End::client(&config));
    server.echo = true;
    assert_eq!(client.endpoint.send("early"), Err(SendError::NotOpen));
    assert_eq!(
        server.feed(&client.output()),
        [Got::Request("/chat".into())]
    );
    assert_eq!(client.feed(&server.output()), [Got::Open]);
    client.endpoint.send("Hello").unwrap();
    let hello = [Got::Message("Hello".into())];
    assert_eq!(server.feed(&client.output()), hello);
    assert_eq!(client.feed(&server.output()), hello);
    let code = Some(CloseCode::NORMAL);
    client.endpoint.close(Instant::ZERO, code, "bye").unwrap();
    let bye = Got::Close(Some(1000), "bye".into());
    assert_eq!(server.feed(&client.output()), [bye]);
    assert_eq!(
        server.endpoint.transport_action(),
        TransportAction::Keep,
        "the Close is unsent"
    );
    let answer = Got::Close(Some(1000), String::new());
    assert_eq!(client.feed(&server.output()), [answer]);
    assert_eq!(server.endpoint.transport_action(), TransportAction::Close);
    assert_eq!(
        client.endpoint.transport_action(),
        TransportAction::Keep,
        "the server ends first"
    );
    assert_eq!((client.end(), server.end()), (vec![], vec![]));
    for end in [&client, &server] {
        assert_eq!(end.endpoint.transport_action(), TransportAction::Drop);
        let state = end.endpoint.connection().unwrap().state();
        assert_eq!(state, State::Closed { clean: true });
    }
}

#[test]
fn a_refused_client_gets_the_answer_and_its_input_is_ignored() {
    let wrong = String::from_utf8_lossy(HEAD).replace("13", "12");
    let cases: [(&[u8], fn(&mut Endpoint, Instant, &Request), Got, &str); 3] = [
        (
            b"\x16\x03\x01",
            accept,
            Got::Error(Refusal::Malformed.into()),
            "400",
        ),
        (
            wrong.as_bytes(),
            accept,
            Got::Error(Refusal::Version.into()),
            "426",
        ),
        (HEAD, refuse, Got::Request("/chat".into()), "403"),
    ];
    for (bytes, decide, want, answer) in cases {
        for ends_at_once in [false, true] {
            let mut server = End::server(&config());
            server.decide = decide;
            assert_eq!(server.feed(bytes), std::slice::from_ref(&want));
            if ends_at_once {
                assert_eq!(server.end(), []);
            }
            // Its further input is thrown away, and changes nothing.
            assert_eq!(server.feed(&[b'x'; 100_000]), []);
            assert_eq!(
                server.endpoint.transport_action(),
                TransportAction::Keep,
                "the answer is unsent"
            );
            assert_eq!(server.endpoint.send("x"), Err(SendError::Closing));
            assert_eq!(status(&server.output()), answer);
            if !ends_at_once {
                assert_eq!(
                    server.endpoint.transport_action(),
                    TransportAction::Shutdown
                );
                assert_eq!(server.end(), []);
            }
            assert_eq!(server.endpoint.transport_action(), TransportAction::Drop);
        }
        // A peer that does not end its side is waited for no longer than that.
        let mut server = End::server(&config());
        server.decide = decide;
        let _ = server.feed(bytes);
        let _ = server.output();
        assert_eq!(server.endpoint.deadline(), Some(after(5)));
        assert_eq!(server.endpoint.tick(after(5)), Some(Expired::Close));
        assert_eq!(server.endpoint.transport_action(), TransportAction::Drop);
    }
}

#[test]
fn a_request_comes_in_time_and_is_decided_on_in_time() {
    for (bytes, answer) in [(&HEAD[..20], "408"), (b"", "408"), (HEAD, "503")] {
        let mut server = End::server(&config());
        server.decide = think;
        let _ = server.feed(bytes);
        assert_eq!(server.endpoint.deadline(), Some(after(10)));
        assert_eq!(server.endpoint.tick(after(9)), None);
        assert_eq!(server.endpoint.tick(after(10)), Some(Expired::Handshake));
        assert_eq!(status(&server.output()), answer);
        assert_eq!(
            server.endpoint.transport_action(),
            TransportAction::Shutdown
        );
        assert_eq!(server.endpoint.deadline(), Some(after(15)));
        let late = server.endpoint.refuse(after(11), &Response::new(404));
        assert_eq!(late, Err(InvalidInput::TooLate));
    }
    let mut client = End::client(&config());
    let _ = client.output();
    assert_eq!(client.endpoint.tick(after(10)), Some(Expired::Handshake));
    assert_eq!(client.endpoint.transport_action(), TransportAction::Drop);
}

#[test]
fn bytes_behind_a_request_wait_for_the_decision() {
    let mut server = End::server(&config());
    server.decide = think;
    let mut bytes = HEAD.to_vec();
    bytes.extend(frame(0x81, b"early", KEY));
    let mut requests = Vec::new();
    server.input = bytes;
    let step = server
        .endpoint
        .receive(Instant::ZERO, &mut server.input, &mut server.assembly);
    let step = step.unwrap();
    assert_eq!(step.consumed, HEAD.len());
    if let Some(EndpointEvent::Request(request)) = step.event {
        requests.push(request);
    }
    server.input.drain(..HEAD.len());
    // It ended meanwhile: that is no reason to forget what it said.
    server.endpoint.end_of_input();
    assert!(!server.endpoint.wants_input());
    assert_eq!(server.receive(), []);
    let bad = AcceptOptions::default().header("Upgrade", "h2c");
    let accepted = server.endpoint.accept(Instant::ZERO, &requests[0], bad);
    assert_eq!(accepted, Err(InvalidInput::BadHeader), "it still waits");
    accept(&mut server.endpoint, Instant::ZERO, &requests[0]);
    assert_eq!(server.receive(), [Got::Message("early".into())]);
    assert_eq!(server.endpoint.transport_action(), TransportAction::Drop);
    assert_eq!(
        server.endpoint.connection().unwrap().state(),
        State::Closed { clean: false }
    );
}

#[test]
fn the_end_of_input_is_told_behind_what_is_held() {
    for close in [false, true] {
        let mut server = End::server(&config());
        server.echo = true;
        let mut bytes = HEAD.to_vec();
        for _ in 0..40 {
            bytes.extend(frame(0x82, &[7; 20_000], KEY));
        }
        if close {
            bytes.extend(frame(0x88, b"\x03\xe8", KEY));
        }
        let mut got = server.feed(&bytes);
        assert!(got.len() < 10, "the peer takes nothing of the echoes");
        got.extend(server.end());
        assert_ne!(server.endpoint.transport_action(), TransportAction::Drop);
        while !server.output().is_empty() {
            got.extend(server.receive());
        }
        assert_eq!(got.len(), 41 + usize::from(close));
        assert_eq!(server.endpoint.transport_action(), TransportAction::Drop);
        let state = server.endpoint.connection().unwrap().state();
        assert_eq!(state, State::Closed { clean: close });
    }
}

#[test]
fn the_last_word_is_written_though_input_has_ended() {
    let close = frame(0x88, b"\x03\xe8", KEY);
    for (bytes, clean, code) in [(&close[..], true, 1000), (b"\x01", false, 1002)] {
        for ends_first in [false, true] {
            let mut server = End::server(&config());
            let _ = server.feed(HEAD);
            let _ = server.output();
            if ends_first {
                server.endpoint.end_of_input();
            }
            // Bytes behind it are thrown away.
            let _ = server.feed(&[bytes, b"\x00"].concat());
            let _ = server.end();
            assert_eq!(
                server.endpoint.transport_action(),
                TransportAction::Keep,
                "{code}"
            );
            let said = support::frames(&server.output());
            assert_eq!(said[0].payload[..2], u16::to_be_bytes(code));
            // The peer has ended already: there is nothing to wait for.
            assert_eq!(
                server.endpoint.transport_action(),
                TransportAction::Drop,
                "{code}"
            );
            let state = server.endpoint.connection().unwrap().state();
            assert_eq!(state, State::Closed { clean });
        }
    }
}

#[test]
fn a_client_is_told_what_it_was_answered() {
    let cases: [(&[u8], Result<(u16, &[u8]), Failure>); 5] = [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n",
            Ok((404, b"no\n")),
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://b/\r\nContent-Length: 0\r\n\r\n",
            Ok((302, b"")),
        ),
        // Its body ends with the connection.
        (b"HTTP/1.1 401 Unauthorized\r\n\r\nwho?", Ok((401, b"who?"))),
        (b"HTTP/1.1 101", Err(Failure::EndOfInput)),
        (b"SSH-2.0-x\r\n\r\n", Err(Failure::HttpVersion)),
    ];
    for (bytes, want) in cases {
        let mut client = End::client(&config());
        let _ = client.output();
        let mut got = client.feed(bytes);
        got.extend(client.end());
        let want = match want {
            Ok((status, body)) => Got::Refused(status, body.into()),
            Err(failure) => Got::Error(failure.into()),
        };
        assert_eq!(got, [want]);
        assert_eq!(client.endpoint.transport_action(), TransportAction::Drop);
    }
}

#[test]
fn a_failed_write_ends_writing_alone() {
    let mut client = End::client(&config());
    client.endpoint.end_of_output(Instant::ZERO);
    assert!(!client.endpoint.has_output());
    let refused = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.feed(refused), [Got::Refused(413, vec![])]);

    let mut server = End::server(&config());
    let _ = server.feed(HEAD);
    server.endpoint.end_of_output(Instant::ZERO);
    let mut bytes = frame(0x81, b"Hello", KEY);
    bytes.extend(frame(0x88, b"\x03\xe9", KEY));
    let want = [
        Got::Message("Hello".into()),
        Got::Close(Some(1001), String::new()),
    ];
    assert_eq!(server.feed(&bytes), want);

    for bytes in [&b""[..], b"\x00"] {
        let mut server = End::server(&config());
        let _ = server.feed(bytes);
        server.endpoint.end_of_output(Instant::ZERO);
        assert_eq!(server.endpoint.transport_action(), TransportAction::Drop);
    }
}

#[test]
fn a_silent_peer_breaks_no_rule() {
    let mut server = End::server(&config());
    assert_eq!(server.end(), []);
    assert_eq!(server.endpoint.transport_action(), TransportAction::Drop);
    let mut server = End::server(&config());
    let _ = server.feed(&HEAD[..50]);
    assert_eq!(server.end(), [Got::Error(Refusal::Malformed.into())]);
    assert_eq!(server.endpoint.transport_action(), TransportAction::Drop);
}

#[test]
fn output_that_is_taken_is_owed_until_it_is_written() {
    let mut server = End::server(&config());
    let _ = server.feed(HEAD);
    assert_eq!(status(&server.taken()), "101");
    let prepared = PreparedMessage::new(&[9; 70_000][..]);
    let connection = server.endpoint.connection_mut().unwrap();
    connection.send_prepared(&prepared).unwrap();
    let spare = Vec::with_capacity(80_000);
    let before = spare.as_ptr();
    let frame = server.endpoint.take_output(spare);
    assert_eq!((frame.len(), frame.as_ptr()), (70_010, before));
    // The peer takes nothing, so nothing is read from it, and it is not pinged either.
    assert!(!server.endpoint.wants_input());
    assert!(server.endpoint.has_output());
    let mut now = after(30);
    assert_eq!(server.endpoint.tick(now), Some(Expired::Silence));
    assert_eq!(server.endpoint.take_output(Vec::new()), b"");
    server.endpoint.transmitted(frame.len() / 2);
    now = now + Duration::from_secs(20);
    assert_eq!(server.endpoint.tick(now), None, "it has taken some");
    server.endpoint.transmitted(frame.len() - frame.len() / 2);
    assert!(server.endpoint.wants_input());
    assert!(!server.endpoint.has_output());
    // An end that awaits its last write is not over.
    server
        .endpoint
        .close(now, Some(CloseCode::AWAY), "")
        .unwrap();
    let _ = server.feed(&support::frame(0x88, b"\x03\xe9", KEY));
    let last = server.endpoint.take_output(frame);
    assert_eq!(server.endpoint.transport_action(), TransportAction::Keep);
    server.endpoint.transmitted(last.len());
    assert_eq!(server.endpoint.transport_action(), TransportAction::Close);
    // Bytes written after the end are not counted.
    assert_eq!(server.end(), []);
    server.endpoint.transmitted(100);
    assert!(!server.endpoint.has_output());
}

#[test]
fn memory_goes_back_as_with_a_connection() {
    let mut server = End::server(&config());
    assert!(server.endpoint.lend(Vec::with_capacity(9)).is_some());
    let _ = server.feed(HEAD);
    let _ = server.output();
    drop(server.endpoint.reclaim());
    assert!(server.endpoint.lend(Vec::with_capacity(9)).is_none());
    assert_eq!(server.endpoint.reclaim().map(|own| own.capacity()), Some(9));
    server.endpoint.release();
    assert_eq!(server.endpoint.connection().unwrap().heap(), 0);
    println!("size_of::<Endpoint>() = {}", size_of::<Endpoint>());
    assert!(size_of::<Endpoint>() <= 208);
}

/// The behaviour of a client.
#[derive(Clone, Debug)]
enum Act {
    Text(String),
    Binary(usize),
    Ping,
    /// Octets of no frame.
    Noise(Vec<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => ".{0,300}".prop_map(Act::Text),
        2 => (0..90_000usize).prop_map(Act::Binary),
        1 => Just(Act::Ping),
        1 => vec(any::<u8>(), 1..20).prop_map(Act::Noise),
    ]
}

/// Feeds in parts of these lengths, by turns; what came of it, and what is written.
fn fed(end: &mut End, bytes: &[u8], lengths: &[usize], takes: bool) -> (Vec<Got>, Vec<u8>) {
    let (mut got, mut written, mut rest) = (Vec::new(), Vec::new(), bytes);
    let mut write = |end: &mut End| {
        let bytes = if takes { end.taken() } else { end.output() };
        let wrote = !bytes.is_empty();
        written.extend(bytes);
        wrote
    };
    for length in lengths.iter().cycle() {
        let (part, after) = rest.split_at((*length).min(rest.len()));
        got.extend(end.feed(part));
        while write(end) {
            got.extend(end.receive());
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    got.extend(end.end());
    while write(end) {
        got.extend(end.receive());
    }
    (got, written)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_chunking_gives_the_same_events_and_output(
        acts in vec(act(), 0..8),
        broken in proptest::option::weighted(0.2, 0..HEAD.len()),
        closes in any::<bool>(),
        deflate in any::<bool>(),
        lengths in vec(prop_oneof![1..4usize, 1..200usize, 1..70_000usize], 1..6),
        takes in any::<bool>(),
    ) {
        let config = Arc::new(Config {
            deflate: deflate.then(Deflate::default),
            ..Config::default()
        });
        let mut client = End::client(&config);
        let mut bytes = client.output();
        let mut server = End::server(&config);
        let _ = server.feed(&bytes);
        let answer = server.output();
        let opened = client.feed(&answer);
        prop_assert_eq!(opened, [Got::Open]);
        if let Some(at) = broken {
            bytes[at] ^= 0x15;
        }
        for act in &acts {
            match act {
                Act::Text(text) => client.endpoint.send(text.as_str()).unwrap(),
                Act::Binary(length) => client.endpoint.send(vec![3; *length]).unwrap(),
                Act::Ping => client.endpoint.connection_mut().unwrap().ping(b"?").unwrap(),
                Act::Noise(_) => {}
            }
            bytes.extend(client.output());
            if let Act::Noise(noise) = act {
                bytes.extend(noise);
            }
        }
        if closes {
            client.endpoint.close(Instant::ZERO, Some(CloseCode::NORMAL), "bye").unwrap();
            bytes.extend(client.output());
        }
        let run = |lengths: &[usize], takes| {
            let mut server = End::server(&config);
            server.echo = true;
            let (got, written) = fed(&mut server, &bytes, lengths, takes);
            (got, server.endpoint.transport_action(), written)
        };
        let (want, chunked) = (run(&[usize::MAX], false), run(&lengths, takes));
        prop_assert_eq!((&chunked.0, chunked.1), (&want.0, want.1));
        // Where a pong stands among the echoes, and whether it stands for two, depends on what was unsent.
        if !acts.iter().any(|act| matches!(act, Act::Ping)) {
            prop_assert_eq!(&chunked.2, &want.2);
        }
        // And what the server says, to a client.
        if broken.is_none() {
            let run = |lengths: &[usize]| {
                let mut client = End::client(&config);
                let _ = client.output();
                let (got, _) = fed(&mut client, &want.2, lengths, takes);
                (got, client.endpoint.transport_action())
            };
            prop_assert_eq!(run(&lengths), run(&[usize::MAX]));
        }
        let noise = acts.iter().any(|act| matches!(act, Act::Noise(_)));
        let faults = want.0.iter().filter(|got| matches!(got, Got::Error(_))).count();
        prop_assert!(faults <= usize::from(noise || broken.is_some()), "{:?}", want.0);
    }
}
