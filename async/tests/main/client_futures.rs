//! A client that comes back, its futures dropped at any await, and closed at any time: no message is lost, no attempt left behind.
//! RFC 6455 section 7.2.3.

use crate::support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_async::{Client, ClientState, ConnectOptions, Error, Result, Stop, WebSocket};
use sansws_core::config::{Config, Limits};
use sansws_core::dial::{Backoff, ReconnectOptions};
use sansws_core::error::{InvalidInput, SendError};
use support::net::{Ends, Net, impatient, turn, until_offline};
use support::wire::Wire;

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

fn dice(seed: &mut u64, sides: u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % sides
}

/// How each connection of the test below ends, in turn.
const CONNECTIONS: u64 = 6;

/// Sends numbers and takes some, then ends in one of several ways.
async fn session(
    mut socket: WebSocket<Wire>,
    ends: Ends,
    number: u64,
    mut seed: u64,
    (log, told): (Log, Log),
) -> Result {
    put(&log, "fresh");
    let last = number + 1 == CONNECTIONS;
    for i in 0..dice(&mut seed, 8) {
        let text = format!("{number} {i}");
        socket.send_text(text.clone()).await?;
        put(&told, text);
        if dice(&mut seed, 2) == 0 {
            match socket.receive_text().await {
                Ok(Some(text)) => put(&log, text),
                _ => return Ok(()),
            }
        }
    }
    if last {
        socket.send_text("end").await?;
        put(&told, "end");
        while let Some(text) = socket.receive_text().await? {
            put(&log, text);
        }
        return Ok(());
    }
    socket.flush().await?;
    match dice(&mut seed, 3) {
        0 => ends.cut(),
        1 => drop(socket.close(1012, "").await?),
        _ => drop(socket.close(4100, "").await?),
    }
    Ok(())
}

/// One round of the test below, in a task of its own.
async fn restless(mut client: Client<Net>, mut seed: u64) -> (Vec<String>, Vec<String>) {
    let (mut received, mut sent, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        let patience = dice(&mut seed, 12);
        match dice(&mut seed, 5) {
            0 => {
                number += 1;
                let text = format!("message {number}");
                match impatient(client.send_text(text.clone()), patience).await {
                    Some(Ok(())) => sent.push(text),
                    Some(Err(Error::NotSent(SendError::QueueFull))) | None => {}
                    Some(Err(error)) => panic!("{error}"),
                }
            }
            1 => drop(impatient(client.flush(), patience).await),
            2 => drop(impatient(client.ready(), patience).await),
            _ => {
                let got = impatient(client.receive_text(), patience).await;
                if let Some(got) = got {
                    let text = got.unwrap().expect("it comes back from all these ends");
                    let end = text == "end";
                    received.push(text);
                    if end {
                        break;
                    }
                }
            }
        }
    }
    for i in 0..3 {
        let text = format!("at last {i}");
        client.send_text(text.clone()).await.unwrap();
        sent.push(text);
    }
    while impatient(client.close(1000, ""), 2).await.is_none() {}
    (received, sent)
}

#[test]
fn futures_that_are_dropped_at_any_await_lose_no_message_and_leave_no_attempt_behind() {
    for seed in 0..300 {
        let (net, log, told) = (Net::new(seed), Log::default(), Log::default());
        for number in 0..CONNECTIONS {
            if (seed + number) % 3 == 0 {
                net.fail(Error::ConnectTimeout(None));
            }
            let logs = (Arc::clone(&log), Arc::clone(&told));
            let seed = seed * 31 + number;
            net.open(move |socket, ends| session(socket, ends, number, seed, logs));
        }
        // A few octets unsent are too many: messages wait before and behind the queue.
        let config = Config {
            limits: Limits {
                write_queue: 1 + (seed % 40) as usize,
                ..Limits::default()
            },
            ..Config::default()
        };
        let dial = ConnectOptions::default().config(config);
        let client = Client::with(net.clone(), "ws://a/".parse().unwrap(), dial)
            .unwrap()
            .queue(4, 1_000)
            .reconnect(ReconnectOptions {
                backoff: Backoff {
                    base: Duration::from_millis(5),
                    max: Duration::from_millis(50),
                },
                ..ReconnectOptions::default()
            })
            .on_open(|mut socket: WebSocket<Wire>| async move {
                turn().await;
                Ok(socket.send_text("hello").await?)
            });
        let (received, sent) = net.run(restless(client, seed));
        // All that servers sent has come, in order.
        assert_eq!(received, take(&told), "seed {seed}");
        // Servers got the hook's message first on each connection, and then the accepted ones, in order, each at most once.
        let got = take(&log);
        let mut accepted = sent.iter();
        for (at, text) in got.iter().enumerate() {
            match text.as_str() {
                "fresh" => {
                    let next = got.get(at + 1).map(String::as_str);
                    assert!(
                        matches!(next, Some("hello" | "fresh")),
                        "seed {seed}: {got:?}"
                    );
                }
                "hello" => assert_eq!(got[at - 1], "fresh", "seed {seed}: {got:?}"),
                text => assert!(accepted.any(|sent| sent == text), "seed {seed}: {got:?}"),
            }
        }
        assert!(
            got.ends_with(&sent[sent.len() - 3..]),
            "seed {seed}: {got:?}"
        );
        assert_eq!(net.left(), 0, "seed {seed}");
    }
}

#[test]
fn it_is_closed_at_any_time() {
    let closed = |client: &Client<Net>| match client.state() {
        ClientState::Stopped(Stop::Closed(closed)) => closed.clone(),
        other => panic!("{other:?}"),
    };
    // Before it was polled.
    let net = Net::new(1);
    let mut one = client(&net);
    assert_eq!(net.run(one.close(1000, "")).unwrap(), None);
    assert_eq!((closed(&one), net.dials()), (None, 0));
    assert_eq!(net.run(one.receive()).unwrap(), None);

    // While it dials.
    let net = Net::new(1);
    net.silence();
    let mut one = client(&net);
    net.run_for(Duration::from_secs(1), async {
        one.receive().await.unwrap()
    });
    assert_eq!(net.run(one.close(1000, "")).unwrap(), None);
    assert_eq!((closed(&one), net.dials()), (None, 1));

    // While it waits; a code that may not be sent changes nothing.
    let net = Net::new(1);
    net.fail(Error::ConnectTimeout(None));
    let mut one = client(&net);
    net.run(until_offline(&mut one));
    let reserved = net.run(one.close(1005, ""));
    assert!(matches!(
        reserved,
        Err(Error::InvalidInput(InvalidInput::ReservedCode(_)))
    ));
    assert!(matches!(one.state(), ClientState::Waiting { .. }));
    assert_eq!(net.run(one.close(1000, "")).unwrap(), None);

    // While its hook waits, and while it is open.
    for hook in [true, false] {
        let (net, log) = (Net::new(1), Log::default());
        let at_server = Arc::clone(&log);
        net.open(|mut socket, _| async move {
            let got = socket.receive().await;
            put(
                &at_server,
                format!("{:?}", got.err().map(|error| error.to_string())),
            );
            Ok(())
        });
        let mut one = client(&net).on_open(move |_| async move {
            if hook {
                std::future::pending::<()>().await;
            }
            Ok(())
        });
        net.run_for(Duration::from_secs(1), async {
            one.receive().await.unwrap()
        });
        assert_eq!(matches!(one.state(), ClientState::Open), !hook);
        // The first close is dropped half done; any later call goes on with it.
        net.run(impatient(one.close(4001, "bye"), 1));
        let sent = net.run(one.send_text("late"));
        assert!(matches!(sent, Err(Error::NotSent(SendError::Stopped))));
        assert_eq!(net.run(one.receive()).unwrap(), None);
        assert!(closed(&one).is_some_and(|closed| closed.clean));
        assert!(take(&log)[0].contains("4001"));
        assert_eq!(net.dials(), 1);
    }
}

#[test]
fn a_close_counts_for_more_than_what_it_finds_half_done() {
    // A server that never answers a Close.
    let net = Net::new(1);
    net.open(|_socket, _| std::future::pending());
    let mut one = client(&net).on_open(|_| async { Err("no token".into()) });
    net.run_for(Duration::from_secs(1), async {
        one.receive().await.unwrap()
    });
    assert!(matches!(one.state(), ClientState::Connecting));
    net.run(impatient(one.close(1000, ""), 1));
    let sent = net.run(one.send_text("late"));
    assert!(matches!(sent, Err(Error::NotSent(SendError::Stopped))));
    assert_eq!(net.run(one.receive()).unwrap(), None);
    assert!(matches!(one.state(), ClientState::Stopped(Stop::Closed(_))));
    assert_eq!((one.queued(), net.dials()), (0, 1));
}
