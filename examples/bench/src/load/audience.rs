//! The load of a fan-out: connections that count what they receive.
//!
//! All messages are alike, so that it is known octet by octet what comes, and
//! only how much of it has come is noted.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Interest, Poll, Token};

use super::dial::{dial, dial_small};
use super::wire::{Batch, bare_frame};
use super::{PATIENCE, READ_BUFFER, handshake, stall};
use crate::peers::Wire;
use crate::scenario::{Scenario, Shape};

/// For servers that join a group after the answer of the handshake.
const JOIN: Duration = Duration::from_millis(100);

/// Rounds until the kernel treats a connection as an old one: at first it
/// acknowledges each segment, which the server pays for.
const WARM: usize = 24;

/// Rounds between two looks at the connections that shall stall.
const LOOK: usize = 8;

/// Octets that sockets do not take of a peer that does not read.
const FULL: usize = 1 << 20;

/// Members of a group, where the connections are in groups.
const GROUP: usize = 9;

/// The result of one stretch of load.
#[derive(Debug)]
pub(crate) struct Published {
    /// Messages received, on all connections.
    pub(crate) deliveries: u64,
    pub(crate) elapsed: Duration,
    /// How long each round took, from the first octet sent to the last one
    /// received.
    pub(crate) rounds: Vec<Duration>,
}

/// All connections to one server.
#[derive(Debug)]
pub(crate) struct Audience {
    poll: Poll,
    members: Vec<Member>,
    /// They never read.
    stalled: Vec<TcpStream>,
    /// How many of the members publish in a round: the first one, or all.
    publishers: usize,
    in_flight: usize,
    /// The bytes that a publisher sends in a round.
    output: Vec<u8>,
    /// The bytes that come back for it, a few times over.
    expected: Vec<u8>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Member {
    stream: mio::net::TcpStream,
    /// Octets that it receives in a round, and how many of them have come.
    due: usize,
    come: usize,
}

impl Audience {
    /// Opens the connections one by one, with the stalled ones spread among
    /// them, and has one round.
    pub(crate) fn open(port: u16, scenario: &Scenario, stalled: usize) -> Result<Self> {
        let total = scenario.connections;
        let in_groups = scenario.shape == Shape::Groups;
        let mut rng = fastrand::Rng::with_seed(0x5eed);
        let batch = Batch::new(Wire::WebSocket, scenario, &mut rng);
        let frames: Vec<u8> = batch
            .payload
            .chunks(scenario.size)
            .flat_map(|message| bare_frame(scenario.kind, message))
            .collect();
        let mut audience = Self {
            poll: Poll::new()?,
            members: Vec::with_capacity(total),
            stalled: Vec::with_capacity(stalled),
            publishers: if in_groups { total } else { 1 },
            in_flight: scenario.in_flight,
            output: batch.output,
            expected: frames.repeat(if in_groups { GROUP } else { 1 }),
            buffer: vec![0; READ_BUFFER],
        };
        for index in 0..total {
            // Not the first, which publishes.
            let stalls = (index + 1) * stalled / total > index * stalled / total;
            let mut stream = if stalls { dial_small(port) } else { dial(port) }
                .with_context(|| format!("opening connection {index}"))?;
            let (target, due) = if in_groups {
                let first = index / GROUP * GROUP;
                let mates = (total - first).min(GROUP);
                (groups(index, total), mates * frames.len())
            } else {
                ("/fanout".to_owned(), frames.len())
            };
            handshake::perform(&mut stream, port, &target, scenario.mode, &mut rng)
                .with_context(|| format!("opening connection {index}"))?;
            if stalls {
                audience.stalled.push(stream);
            } else {
                audience.join(stream, due)?;
            }
        }
        sleep(JOIN);
        audience.round().context("the first round")?;
        Ok(audience)
    }

    fn join(&mut self, stream: TcpStream, due: usize) -> Result<()> {
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        let token = Token(self.members.len());
        let registry = self.poll.registry();
        registry.register(&mut stream, token, Interest::READABLE)?;
        let come = 0;
        self.members.push(Member { stream, due, come });
        Ok(())
    }

    /// Runs rounds until the connections are warm and those that do not read have
    /// stalled, and at least for this long.
    pub(crate) fn warm_up(&mut self, span: Duration) -> Result<()> {
        let start = Instant::now();
        // The first round was that of `open`.
        let mut rounds = 1;
        while rounds < WARM || start.elapsed() < span {
            self.round()?;
            rounds += 1;
        }
        // A server may be a round behind on them, but not many.
        while !self.stalled.is_empty()
            && stall::held(&self.stalled)? + LOOK / 2 * self.expected.len()
                > rounds * self.expected.len()
        {
            ensure!(rounds * self.expected.len() < FULL, "nothing has stalled");
            for _ in 0..LOOK {
                self.round()?;
            }
            rounds += LOOK;
        }
        Ok(())
    }

    /// Runs rounds for this long; nothing is in flight before and after.
    pub(crate) fn drive(&mut self, span: Duration) -> Result<Published> {
        let start = Instant::now();
        let mut rounds = Vec::new();
        while start.elapsed() < span {
            let begun = Instant::now();
            self.round()?;
            rounds.push(begun.elapsed());
        }
        Ok(Published {
            deliveries: (rounds.len() * self.in_flight * self.members.len()) as u64,
            elapsed: start.elapsed(),
            rounds,
        })
    }

    /// Publishes, and waits until all that read have received all.
    fn round(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut heard = Instant::now();
        let mut waiting = self.members.len();
        for member in self.members.iter_mut().take(self.publishers) {
            // It fits into an empty socket.
            member.stream.write_all(&self.output)?;
        }
        while waiting > 0 {
            // Without sleep: the server shall not pay for waking this thread.
            match self.poll.poll(&mut events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            if events.is_empty() {
                if heard.elapsed() > PATIENCE {
                    bail!("{waiting} connections have not received all");
                }
                continue;
            }
            heard = Instant::now();
            for event in &events {
                if let Some(member) = self.members.get_mut(event.token().0)
                    && member.receive(&mut self.buffer, &self.expected)?
                {
                    waiting -= 1;
                }
            }
        }
        for member in &mut self.members {
            member.come = 0;
        }
        Ok(())
    }
}

impl Member {
    /// Reads what is there; true when it completes the round.
    fn receive(&mut self, buffer: &mut [u8], expected: &[u8]) -> Result<bool> {
        let before = self.come;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the server has closed a connection"),
                Ok(count) => {
                    let end = self.come + count;
                    ensure!(end <= self.due, "more came than was published");
                    ensure!(
                        buffer.get(..count) == expected.get(self.come..end),
                        "another content came"
                    );
                    self.come = end;
                    // A short read has emptied the socket.
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(before < self.due && self.come == self.due)
    }
}

/// The target of a connection that is in three groups: one of its neighbours,
/// which gets what it sends, and two of connections from far apart. Of each kind
/// there are as many groups as it takes for nine members in each.
fn groups(index: usize, total: usize) -> String {
    let count = total.div_ceil(GROUP);
    let (near, far, mixed) = (index / GROUP, index % count, index / 3 % count);
    format!("/fanout?groups=g0-{near},g1-{far},g2-{mixed}")
}
