//! The load generator: connections that send batches and wait for the echo, or
//! for what others send.

mod audience;
mod connection;
mod dial;
mod handshake;
mod link;
mod lives;
mod stall;
mod wire;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use crate::peers::Wire;
use crate::scenario::{Mode, Scenario};
use crate::server::Door;
use crate::tls;
pub(crate) use audience::Audience;
use connection::Connection;
pub(crate) use handshake::accept_key;
pub(crate) use lives::Lives;

/// A server that sends nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Large enough to empty a socket in few reads.
const READ_BUFFER: usize = 256 << 10;

/// The result of one stretch of load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) messages: u64,
    pub(crate) elapsed: Duration,
}

/// All connections to one server.
#[derive(Debug)]
pub(crate) struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    /// Messages in a batch.
    batch: u64,
    buffer: Vec<u8>,
}

impl Load {
    /// Opens the connections one by one, then has one batch echoed on each,
    /// whose content is compared in full.
    pub(crate) fn open(door: &Door, wire: Wire, scenario: &Scenario) -> Result<Self> {
        let poll = Poll::new()?;
        let tls = match scenario.mode {
            Mode::Tls => Some(tls::client(&door.certificate)?),
            _ => None,
        };
        let mut rng = fastrand::Rng::with_seed(0x5eed);
        let mut connections = Vec::with_capacity(scenario.connections);
        for index in 0..scenario.connections {
            let mut connection =
                Connection::open(door.port, tls.as_ref(), wire, scenario, &mut rng)
                    .with_context(|| format!("opening connection {index}"))?;
            poll.registry().register(
                connection.source(),
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            connections.push(connection);
        }
        let mut load = Self {
            poll,
            connections,
            batch: scenario.in_flight as u64,
            buffer: vec![0; READ_BUFFER],
        };
        load.drive(Duration::ZERO).context("the first echo")?;
        Ok(load)
    }

    /// Keeps every connection at work for this long, then waits until nothing
    /// is in flight, so that what is counted before and after is exact.
    pub(crate) fn drive(&mut self, span: Duration) -> Result<Totals> {
        let mut events = Events::with_capacity(1024);
        let start = Instant::now();
        let mut heard = start;
        let mut messages = 0;
        let mut at_work = self.connections.len();
        for connection in &mut self.connections {
            connection.begin()?;
        }
        while at_work > 0 {
            // Without sleep: the server shall not pay for waking this thread.
            match self.poll.poll(&mut events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = Instant::now();
            if events.is_empty() {
                if now - heard > PATIENCE {
                    bail!("no echo for {} s", PATIENCE.as_secs());
                }
                continue;
            }
            heard = now;
            for event in &events {
                let Some(connection) = self.connections.get_mut(event.token().0) else {
                    continue;
                };
                connection.send()?;
                if !connection.receive(&mut self.buffer)? {
                    continue;
                }
                messages += self.batch;
                if now - start < span {
                    connection.begin()?;
                } else {
                    at_work -= 1;
                }
            }
        }
        Ok(Totals {
            messages,
            elapsed: start.elapsed(),
        })
    }
}
