//! A relay of one TCP connection that counts octets: what compression saves is seen on the wire.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use super::one_shot::{OneShot, dial};

/// The relay; it ends with this value.
#[derive(Debug)]
pub struct Relay {
    thread: OneShot,
    up: Arc<AtomicUsize>,
    down: Arc<AtomicUsize>,
}

impl Relay {
    /// Leads to a server on the loopback.
    pub fn start(server: u16) -> Self {
        let (up, down) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&up), Arc::clone(&down));
        let thread = OneShot::start(move |client| {
            let server = dial(server).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| copy(&client, &server, &counts.0));
                copy(&server, &client, &counts.1);
            });
        });
        Self { thread, up, down }
    }

    pub const fn port(&self) -> u16 {
        self.thread.port
    }

    /// Octets from the client and from the server.
    pub fn counts(&self) -> (usize, usize) {
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (count(&self.up), count(&self.down))
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, count: &AtomicUsize) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count.fetch_add(length, Ordering::SeqCst);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
