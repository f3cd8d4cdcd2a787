//! Who is taken for dead, and when: keepalive, idling, messages that drag on.
//! RFC 6455 sections 5.5.2, 7.1.1 and 7.4.1.

mod support;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sansws_core::config::Config;
use sansws_core::connection::{Expired, State};
use sansws_core::drive::{Result, Upgrade};
use support::server::{KEY, echo, open, output, pass};
use support::wire::Wire;
use support::{End, frame, frames};

const SECOND: Duration = Duration::from_secs(1);

/// Lets time pass, second by second; what expired, and after how many seconds.
fn wait(end: &mut End, seconds: u64) -> Vec<(u64, Expired)> {
    let mut all = Vec::new();
    for second in 1..=seconds {
        end.now = end.now + SECOND;
        end.feed(&[]);
        while let Some(expired) = end.connection.tick(end.now) {
            all.push((second, expired));
        }
    }
    all
}

#[test]
fn part_of_a_header_that_is_offered_again_is_no_sign_of_life() {
    let mut end = End::new(true, Config::default(), None);
    end.feed(&[0x82]);
    assert_eq!(
        wait(&mut end, 60),
        [(30, Expired::Silence), (50, Expired::Pong)]
    );
    assert_eq!(end.connection.state(), State::Closed { clean: false });

    let mut end = End::new(true, Config::default(), None);
    end.feed(&[0x82]);
    wait(&mut end, 29);
    end.feed(&[0x85]);
    assert_eq!(wait(&mut end, 29), [], "a fresh octet is one");
}

#[test]
fn a_peer_that_falls_silent_inside_a_header_gets_one_ping_and_is_dropped() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    wire.push([0x82]);
    task.run();
    pass(&wire, &mut task, 31);
    let sent = output(&wire);
    assert_eq!((sent.len(), sent[0].opcode), (1, 9));
    pass(&wire, &mut task, 20);
    let closed = task.done.expect("it was dropped").closed;
    assert_eq!(closed.expect("it was open").code(), 1006);
}

#[test]
fn a_header_that_comes_octet_by_octet_keeps_the_connection_and_costs_nothing() {
    let (wire, mut task, _gate) = open(Config::default(), echo);
    let octets = frame(0x82, &[7; 200], KEY);
    let (header, payload) = octets.split_at(8);
    for octet in header {
        pass(&wire, &mut task, 25);
        wire.push([*octet]);
        task.run();
    }
    assert!(wire.take().is_empty(), "no ping was needed");
    wire.push(payload);
    task.run();
    assert_eq!(frames(&wire.take())[0].payload, [7; 200]);
}

#[test]
fn a_peer_that_never_reads_is_given_up_also_while_octets_wait_in_a_tls_stream() {
    type Handler = fn(Upgrade<Wire>) -> Pin<Box<dyn Future<Output = Result>>>;
    let handlers: [(&str, Handler, u64); 3] = [
        ("silent", |upgrade| Box::pin(echo(upgrade)), 51),
        (
            "closed by the handler",
            |upgrade| {
                Box::pin(async {
                    let mut socket = upgrade.accept().await?;
                    socket.receive().await?;
                    socket.close(1000, "").await?;
                    Ok(())
                })
            },
            6,
        ),
        (
            "closed by its driver",
            |upgrade| {
                Box::pin(async {
                    upgrade.accept().await?.receive().await?;
                    Ok(())
                })
            },
            6,
        ),
    ];
    for (name, handler, seconds) in handlers {
        let (wire, mut task, gate) = open(Config::default(), handler);
        wire.state().stuck = true;
        wire.push(frame(0x81, b"hello", KEY));
        task.run();
        pass(&wire, &mut task, seconds);
        assert!(task.done.is_some(), "{name}");
        assert_eq!(gate.open(), 0, "{name}");
    }
}
