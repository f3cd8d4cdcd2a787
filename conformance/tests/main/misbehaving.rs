//! Peers that misbehave must not hurt the suite: a verdict after a bounded time, with bounded memory.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sansws_conformance::report::Agent;
use sansws_conformance::{Suite, Verdict};

/// Serves each connection with `behave`, in a thread that ends with the connection, while the suite tests.
fn test_against(suite: &Suite, behave: fn(TcpStream)) -> Agent {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        let accepting = scope.spawn(move || {
            let mut threads = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                // The last connection of all ends the server.
                let mut first = [0];
                if stream.peek(&mut first).is_ok_and(|count| count == 1) && first[0] == b'!' {
                    break;
                }
                threads.push(thread::spawn(move || behave(stream)));
            }
            for thread in threads {
                let _ = thread.join();
            }
        });
        let url = format!("ws://{address}/");
        let agent = suite.test_told("peer", &url, &|_, _| {}).unwrap();
        TcpStream::connect(address)
            .unwrap()
            .write_all(b"!")
            .unwrap();
        accepting.join().unwrap();
        agent
    })
}

fn suite(case: &str) -> Suite {
    Suite::new().only(case).timeout(Duration::from_millis(300))
}

/// Reads the request.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut all, mut part) = (Vec::new(), [0; 1024]);
    while !all.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(count) if count > 0 => all.extend_from_slice(&part[..count]),
            _ => return None,
        }
    }
    Some(all)
}

/// Reads the request, and answers as one should.
fn open(stream: &mut TcpStream) -> bool {
    let Some(all) = request(stream) else {
        return false;
    };
    let (head, _) = sansws_conformance::http::Head::read(&all).unwrap();
    stream
        .write_all(&sansws_conformance::http::Head::response(&head).write())
        .is_ok()
}

/// Reads until the end, so that the suite never waits for its own writes.
fn drain(mut stream: TcpStream) {
    let mut part = [0; 4096];
    while stream.read(&mut part).is_ok_and(|count| count > 0) {}
}

fn failed(agent: &Agent, says: &str) {
    let outcome = &agent.entries[0].outcome;
    assert_eq!(outcome.worst(), Verdict::Failed, "{agent}");
    assert!(outcome.says.contains(says), "{}", outcome.says);
}

/// The largest that this process was, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    failed(
        &test_against(&suite("1.1.1"), drain),
        "the opening handshake, and it did not come in time",
    );
}

#[test]
fn a_peer_that_opens_and_falls_silent_is_given_up() {
    let silent = |mut stream: TcpStream| {
        if open(&mut stream) {
            drain(stream);
        }
    };
    failed(
        &test_against(&suite("1.1.2"), silent),
        "did not come in time",
    );
}

#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let deaf = |mut stream: TcpStream| {
        if open(&mut stream) {
            // Longer than the suite waits; then the stream is dropped.
            thread::sleep(Duration::from_millis(1500));
        }
    };
    failed(&test_against(&suite("9.1.6"), deaf), "did not come in time");
}

#[test]
fn a_peer_that_drops_the_connection_fails_at_once() {
    let agent = test_against(&suite("1.1.1"), |mut stream| {
        open(&mut stream);
    });
    assert_eq!(agent.worst(), Verdict::Failed);
    // Long before its time was over.
    assert!(
        !agent.entries[0]
            .outcome
            .says
            .contains("did not come in time"),
        "{agent}"
    );
}

#[test]
fn a_terabyte_that_is_claimed_is_refused_by_its_header() {
    let agent = test_against(&suite("1.1.1"), |mut stream| {
        if open(&mut stream) {
            let _ = stream.write_all(&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]);
            drain(stream);
        }
    });
    failed(&agent, "the header of a frame of 1099511627776 octets");
}

/// Floods of each kind end with a verdict, and the suite stays small: one that sends without end, one whose message never ends,
/// one whose HTTP head never ends.
#[test]
fn floods_are_bounded_in_memory() {
    let before = peak();
    let messages = |mut stream: TcpStream| {
        if open(&mut stream) {
            let many = [0x82, 126, 0xff, 0xff]
                .into_iter()
                .chain([7; 0xffff])
                .collect::<Vec<u8>>();
            while stream.write_all(&many).is_ok() {}
        }
    };
    // While it waits for nothing to come: what comes is the fault.
    let agent = test_against(&suite("26.5.7"), messages);
    assert!(
        agent.entries[0].outcome.says.contains("expected nothing"),
        "{agent}"
    );
    // Input is not read; when it is, there is far too much.
    failed(&test_against(&suite("27.3.2"), messages), "expected");
    let pings = |mut stream: TcpStream| {
        if open(&mut stream) {
            let many = [0x89, 0].repeat(32 << 10);
            while stream.write_all(&many).is_ok() {}
        }
    };
    failed(
        &test_against(&suite("1.1.1"), pings),
        "more than 10000 pings",
    );
    let endless = |mut stream: TcpStream| {
        if open(&mut stream) {
            let part = [0x02, 126, 0xff, 0xff]
                .into_iter()
                .chain([7; 0xffff])
                .collect::<Vec<u8>>();
            let mut part = part;
            while stream.write_all(&part).is_ok() {
                part[0] = 0;
            }
        }
    };
    failed(&test_against(&suite("1.1.1"), endless), "longer than");
    let head = |mut stream: TcpStream| {
        let line = b"X-Endless: 1\r\n".repeat(1000);
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n");
        while stream.write_all(&line).is_ok() {}
    };
    failed(&test_against(&suite("1.1.1"), head), "HTTP head is longer");
    let grown = peak() - before;
    assert!(grown < 400 << 10, "grew by {grown} KiB");
}

#[test]
fn a_peer_that_sends_slowly_for_ever_ends_with_the_time_of_the_case() {
    let drip = |mut stream: TcpStream| {
        if open(&mut stream) {
            let _ = stream.write_all(&[0x81, 126, 0xff, 0xff]);
            while stream.write_all(b"a").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
    };
    let suite = Suite::new()
        .only("1.1.1")
        .timeout(Duration::from_millis(100));
    failed(&test_against(&suite, drip), "did not come in time");
}

/// No MUST obliges a server to accept a handshake without the extension that was offered.
#[test]
fn a_server_that_refuses_handshakes_for_an_extension_is_not_strict() {
    let plain = |mut stream: TcpStream| {
        let refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        let all = String::from_utf8(request(&mut stream).unwrap()).unwrap();
        assert!(all.contains("permessage-deflate"), "{all}");
        stream.write_all(refusal).unwrap();
    };
    let agent = test_against(&suite("12.1.1"), plain);
    let outcome = &agent.entries[0].outcome;
    assert_eq!(outcome.worst(), Verdict::NonStrict, "{agent}");
    assert!(outcome.says.contains("400"), "{}", outcome.says);
}

/// It closes before it has echoed, which is lax, and then it echoes, which is a fault.
#[test]
fn the_sentence_of_a_verdict_explains_the_worst_of_what_was_done() {
    let hasty = |mut stream: TcpStream| {
        if open(&mut stream) {
            let _ = stream.write_all(&[0x88, 2, 0x03, 0xea, 0x81, 1, b'a']);
            drain(stream);
        }
    };
    failed(
        &test_against(&suite("4.1.4"), hasty),
        "after its Close frame",
    );
}

/// The first connection gets no answer, as from a server that is busy with others; further ones are well.
fn busy_at_first(mut stream: TcpStream) {
    static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
    if !open(&mut stream) {
        return;
    }
    if CONNECTIONS.fetch_add(1, Ordering::SeqCst) == 0 {
        return drain(stream);
    }
    // An empty text message, and a Close frame with a code, both masked.
    let (mut text, mut close) = ([0; 6], [0; 8]);
    stream.read_exact(&mut text).unwrap();
    stream.write_all(&[0x81, 0]).unwrap();
    stream.read_exact(&mut close).unwrap();
    let code = [close[6] ^ close[2], close[7] ^ close[3]];
    stream.write_all(&[0x88, 2, code[0], code[1]]).unwrap();
}

#[test]
fn a_server_that_other_cases_kept_busy_is_asked_again() {
    let agent = test_against(&suite("1.1.1"), busy_at_first);
    let verdicts: Vec<_> = agent.entries.iter().map(|e| e.outcome.worst()).collect();
    assert_eq!(verdicts, [Verdict::Ok], "{agent}");
    // A server that hangs now and then would look like one without a fault otherwise.
    let told = |note: &String| note.contains("when the case was run again: 1.1.1");
    assert!(agent.notes.iter().any(told), "{:?}", agent.notes);
}

#[test]
fn a_server_that_is_always_late_is_not() {
    static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
    let mute = |mut stream: TcpStream| {
        if open(&mut stream) {
            CONNECTIONS.fetch_add(1, Ordering::SeqCst);
            drain(stream);
        }
    };
    let suite = Suite::new()
        .only("1.1.*")
        .only("5.*")
        .timeout(Duration::from_millis(50));
    let agent = test_against(&suite, mute);
    assert_eq!(agent.worst(), Verdict::Failed);
    let cases = agent.entries.len();
    assert!(cases > 16, "{cases}");
    // The echo that tells whether it is dead may be among them.
    let connections = CONNECTIONS.load(Ordering::SeqCst) as usize;
    assert!(connections < cases + 16, "{connections} for {cases} cases");
}

/// Before any case is run, `test` says what is there instead of a server; one that goes away in the middle is no success.
#[test]
fn a_server_that_is_not_there_or_goes_away_is_no_success() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let error = suite("1.1.1").test("peer", &url).unwrap_err().to_string();
    assert!(error.contains("answers no handshake"), "{error}");
    drop(silent);
    let agent = suite("1.1.*").test_told("peer", &url, &|_, _| {}).unwrap();
    assert_eq!((agent.worst(), agent.entries.len()), (Verdict::Failed, 0));
    assert!(
        agent.to_string().contains("stopped: gone since case 1.1."),
        "{agent}"
    );
}

/// ^C sets this flag: what runs is given up, what did not begin is left out, and there is something to report.
#[test]
fn a_run_that_is_stopped_tells_what_it_did() {
    let suite = Suite::new()
        .only("1.*")
        .timeout(Duration::from_secs(60))
        .jobs(1);
    let stop = suite.stopper();
    let stopping = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::Relaxed);
    });
    let agent = test_against(&suite, drain);
    stopping.join().unwrap();
    assert_eq!(agent.entries.len(), 1);
    failed(&agent, "interrupted");
}

/// Clients that come to the server and misbehave cost it no more.
#[test]
fn clients_that_misbehave_get_their_verdict_and_others_are_served() {
    let suite = Suite::new()
        .only("1.1.*")
        .timeout(Duration::from_millis(300));
    let agent = suite
        .test_client("client", |url| {
            let (address, target) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
            let mut stream = TcpStream::connect(address).unwrap();
            let number: u32 = target.split(['=', '&']).nth(1).unwrap().parse().unwrap();
            let request = sansws_conformance::http::Head::request(
                &format!("/{target}"),
                address,
                "AAECAwQFBgcICQoLDA0ODw==",
            );
            match number {
                // Nothing at all; half a head; garbage; a head, and then silence.
                1 => {}
                2 => drop(stream.write_all(b"GET /runCase?case=2")),
                3 => drop(stream.write_all(&[0xff; 100])),
                _ => {
                    stream.write_all(&request.write()).unwrap();
                    drain(stream);
                }
            }
        })
        .unwrap();
    // The first three named no case.
    assert_eq!(
        agent.entries.len(),
        suite.chosen(sansws_conformance::Peer::Client).len() - 3
    );
    assert!(
        agent
            .entries
            .iter()
            .all(|entry| entry.outcome.worst() == Verdict::Failed)
    );
}

/// 5.5.2: "An endpoint may send a Ping frame any time after the connection is established": that is no fault, and it is answered,
/// though never inside a frame that the suite has begun.
#[test]
fn a_peer_that_pings_is_answered_and_not_judged_by_it() {
    let pinging = |stream: TcpStream| {
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let Ok(mut socket) = tungstenite::accept(stream) else {
            return;
        };
        let (mut pings, mut pongs) = (0, 0);
        loop {
            match socket.read() {
                Ok(message @ (tungstenite::Message::Text(_) | tungstenite::Message::Binary(_))) => {
                    let _ = socket.send(message);
                }
                Ok(tungstenite::Message::Pong(_)) => pongs += 1,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    pings += 1;
                    let _ = socket.send(tungstenite::Message::Ping(vec![pings].into()));
                }
                Err(_) => break,
            }
        }
        // The last may be under way when it ends.
        assert!(
            pongs > 0 && pings <= pongs + 1,
            "{pings} pings, {pongs} pongs"
        );
    };
    let suite = Suite::new().only("5.19").only("5.20").only("26.5.7");
    let agent = test_against(&suite, pinging);
    assert_eq!(agent.worst(), Verdict::Ok, "{agent}");
    let inside = |stream: TcpStream| {
        stream
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        let Ok(mut socket) = tungstenite::accept(stream) else {
            return;
        };
        loop {
            match socket.read() {
                Ok(message @ tungstenite::Message::Text(_)) => {
                    let _ = socket.send(message);
                }
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    let _ = socket.send(tungstenite::Message::Ping("inside".into()));
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    };
    let agent = test_against(&Suite::new().only("27.4.1"), inside);
    assert_eq!(agent.worst(), Verdict::Ok, "{agent}");
}
