//! One client connection.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use anyhow::{Result, bail};
use fastrand::Rng;
use rustls::ClientConfig;

use super::dial::dial;
use super::handshake;
use super::link::Link;
use super::wire::{Batch, Echo};
use crate::peers::Wire;
use crate::scenario::Scenario;

#[derive(Debug)]
pub(super) struct Connection {
    stream: Link<mio::net::TcpStream>,
    /// The batch as it goes out, again and again.
    output: Vec<u8>,
    sent: usize,
    echo: Echo,
    /// The bytes that the first batch must bring back.
    expected: Option<Vec<u8>>,
    waiting: bool,
}

impl Connection {
    /// Connects and shakes hands, still blocking.
    pub(super) fn open(
        port: u16,
        tls: Option<&Arc<ClientConfig>>,
        wire: Wire,
        scenario: &Scenario,
        rng: &mut Rng,
    ) -> Result<Self> {
        let mut stream = Link::new(dial(port)?, tls)?;
        if wire == Wire::WebSocket {
            handshake::perform(&mut stream, port, "/", scenario.mode, rng)?;
        }
        let batch = Batch::new(wire, scenario, rng);
        Ok(Self {
            stream: stream.nonblocking()?,
            output: batch.output,
            sent: 0,
            echo: Echo::new(wire, scenario),
            expected: Some(batch.payload),
            waiting: false,
        })
    }

    pub(super) fn source(&mut self) -> &mut mio::net::TcpStream {
        self.stream.stream()
    }

    /// Starts the next batch.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.sent = 0;
        self.waiting = true;
        self.send()
    }

    /// Writes what is left of the batch, as far as the socket takes it.
    pub(super) fn send(&mut self) -> Result<()> {
        // Over TLS, what was taken may still wait for the socket.
        self.stream.flush().or_else(blocked)?;
        while self.waiting && self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(0) => bail!("the socket takes nothing"),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there; true when it completes the echo of the batch.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<bool> {
        while self.waiting {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the server has closed a connection"),
                Ok(count) => {
                    if self.echo.take(&buffer[..count], self.expected.as_deref())? {
                        self.waiting = false;
                        self.expected = None;
                        return Ok(true);
                    }
                    // A short read has emptied the socket.
                    if count < buffer.len() && self.stream.empties() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}

fn blocked(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock => Ok(()),
        _ => Err(error),
    }
}
