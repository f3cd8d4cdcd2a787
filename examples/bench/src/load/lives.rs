//! One connection after another: opened, one message echoed, closed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use super::dial::dial;
use super::wire::{Batch, Echo};
use super::{PATIENCE, Totals, handshake};
use crate::peers::Wire;
use crate::scenario::Scenario;
use crate::server::Door;

/// Code 1000, masked with zeros.
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
const CLOSE_BACK: [u8; 4] = [0x88, 0x02, 0x03, 0xe8];

/// Connections to one server, one at a time.
#[derive(Debug)]
pub(crate) struct Lives<'a> {
    door: &'a Door,
    wire: Wire,
    scenario: &'a Scenario,
    rng: Rng,
    batch: Batch,
}

impl<'a> Lives<'a> {
    pub(crate) fn new(door: &'a Door, wire: Wire, scenario: &'a Scenario) -> Self {
        let mut rng = Rng::with_seed(0x5eed);
        let batch = Batch::new(wire, scenario, &mut rng);
        Self {
            door,
            wire,
            scenario,
            rng,
            batch,
        }
    }

    /// Has lives for this long; none is under way before and after.
    pub(crate) fn drive(&mut self, span: Duration) -> Result<Totals> {
        let start = Instant::now();
        let mut messages = 0;
        while start.elapsed() < span {
            self.live().with_context(|| format!("life {messages}"))?;
            messages += 1;
        }
        Ok(Totals {
            messages,
            elapsed: start.elapsed(),
        })
    }

    fn live(&mut self) -> Result<()> {
        let stream = dial(self.door.port)?;
        stream.set_nonblocking(true)?;
        let mut stream = Spinning(stream);
        if self.wire == Wire::WebSocket {
            handshake::perform(
                &mut stream,
                self.door.port,
                "/",
                self.scenario.mode,
                &mut self.rng,
            )?;
        }
        stream.write_all(&self.batch.output)?;
        let mut echo = Echo::new(self.wire, self.scenario);
        let mut buffer = [0; 1024];
        loop {
            let count = stream.read(&mut buffer)?;
            ensure!(count > 0, "the server has closed a connection");
            if echo.take(&buffer[..count], Some(&self.batch.payload))? {
                break;
            }
        }
        match self.wire {
            Wire::WebSocket => {
                stream.write_all(&CLOSE)?;
                stream.read_exact(&mut buffer[..CLOSE_BACK.len()])?;
                ensure!(buffer.starts_with(&CLOSE_BACK), "another Close came back");
            }
            Wire::Tcp => stream.0.shutdown(Shutdown::Write)?,
        }
        ensure!(stream.read(&mut buffer)? == 0, "more came than the echo");
        Ok(())
    }
}

/// Waits without sleep: the server shall not pay for waking this thread.
struct Spinning(TcpStream);

impl Read for Spinning {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if start.elapsed() > PATIENCE {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                result => return result,
            }
        }
    }
}

impl Write for Spinning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // These bytes fit into the buffer of an empty socket.
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
