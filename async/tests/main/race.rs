//! Hosts with several addresses, some of which do not answer: who wins, and when, in virtual time.
//! RFC 8305.

use crate::support;

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_async::Transport;
use sansws_async::internal::first_to_connect;
use sansws_core::dial::Attempts;
use sansws_core::time::Instant;
use support::wire::{Task, Wire};

/// The behaviour of an address.
#[derive(Clone, Copy)]
enum Does {
    /// It takes what is sent to it, and answers nothing.
    Swallows,
    Refuses,
    Answers,
}

/// The result, after how many milliseconds, and which addresses were tried when.
fn connect(all: &[(&str, Does)]) -> (Option<io::Result<SocketAddr>>, Vec<(u64, SocketAddr)>) {
    let wire = Wire::default();
    let begun = wire.now();
    let clock = wire.clone();
    let now = move || clock.now();
    let tried = Arc::new(Mutex::new(Vec::new()));
    let table: Vec<(SocketAddr, Does)> = all
        .iter()
        .map(|(address, does)| (address.parse().unwrap(), *does))
        .collect();
    let addresses: Vec<_> = table.iter().map(|(address, _)| *address).collect();
    let (log, time) = (tried.clone(), wire.clone());
    let dial = move |address: SocketAddr| {
        let passed = time.now().since(begun).as_millis() as u64;
        log.lock().unwrap().push((passed, address));
        let does = table.iter().find(|(known, _)| *known == address).unwrap().1;
        async move {
            match does {
                Does::Swallows => pending().await,
                Does::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
                Does::Answers => Ok(address),
            }
        }
    };
    let alarm = wire.clone();
    let sleep = move |length: Duration| {
        let mut wire = alarm.clone();
        let until: Instant = wire.now() + length;
        poll_fn(move |cx| {
            wire.set_alarm(until);
            wire.poll_alarm(cx)
        })
    };
    let mut task = Task::new(first_to_connect(Attempts::new(addresses), now, sleep, dial));
    task.run();
    for _ in 0..100 {
        if task.done.is_some() {
            break;
        }
        wire.pass(Duration::from_millis(10));
        task.run();
    }
    let tried = tried.lock().unwrap().clone();
    (task.done, tried)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_black_hole_before_a_good_address_costs_a_quarter_of_a_second() {
    let (v6, v4) = ("[2001:db8::1]:80", "192.0.2.1:80");
    let (done, tried) = connect(&[(v6, Does::Swallows), (v4, Does::Answers)]);
    assert_eq!(done.unwrap().unwrap(), address(v4));
    assert_eq!(tried, [(0, address(v6)), (250, address(v4))]);
}

#[test]
fn an_address_that_refuses_costs_nothing() {
    let (one, two) = ("[2001:db8::1]:80", "192.0.2.1:80");
    let (done, tried) = connect(&[(one, Does::Refuses), (two, Does::Answers)]);
    assert_eq!(done.unwrap().unwrap(), address(two));
    assert_eq!(tried, [(0, address(one)), (0, address(two))]);
}

#[test]
fn a_family_that_is_a_black_hole_delays_the_other_once() {
    let (done, tried) = connect(&[
        ("[2001:db8::1]:80", Does::Swallows),
        ("[2001:db8::2]:80", Does::Swallows),
        ("192.0.2.1:80", Does::Refuses),
        ("192.0.2.2:80", Does::Answers),
    ]);
    assert_eq!(done.unwrap().unwrap(), address("192.0.2.2:80"));
    let times: Vec<_> = tried.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 250, 250, 500]);
}

#[test]
fn when_all_fail_the_last_error_is_told_and_no_address_is_not_found() {
    let (done, tried) = connect(&[
        ("192.0.2.1:80", Does::Refuses),
        ("192.0.2.2:80", Does::Refuses),
    ]);
    let error = done.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), tried.len()),
        (io::ErrorKind::ConnectionRefused, 2)
    );
    assert_eq!(
        connect(&[]).0.unwrap().unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    // Where nobody answers, it is for the time of connecting to end the wait.
    assert!(connect(&[("192.0.2.1:80", Does::Swallows)]).0.is_none());
}
