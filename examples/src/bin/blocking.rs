//! The core over a blocking `std::net::TcpStream`: a client that sends its arguments, prints the answers, and closes.
//! No runtime, no async, no poll.
//!
//! Run: `cargo run --bin echo`, and in another terminal `cargo run --bin blocking -- ws://127.0.0.1:9001 Hello world`
//! See: `Hello` and `world`, then `closed: 1000`. See docs/embedding.md.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use sansws_core::close::CloseCode;
use sansws_core::config::Config;
use sansws_core::connection::endpoint::EndpointEvent;
use sansws_core::connection::{Endpoint, State, TransportAction};
use sansws_core::handshake::ClientOptions;
use sansws_core::http::Url;
use sansws_core::message::Assembly;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url: Url = arguments.next().ok_or("give a ws:// URL")?.parse()?;
    if url.is_secure() {
        return Err("this example does not support TLS".into());
    }
    let mut words = arguments.collect::<Vec<_>>().into_iter();

    let mut stream = TcpStream::connect((url.host(), url.port()))?;
    stream.set_nodelay(true)?;
    let clock = Clock::start();
    let config = Arc::new(Config::default());
    // The seed of masking keys: fresh entropy for each connection.
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let options = ClientOptions::default();
    let mut endpoint = Endpoint::client(config, &url, options, Seed::new(seed), clock.now())?;
    let mut assembly = Assembly::default();
    // Bytes that were read but not consumed are in front, up to `filled`.
    let (mut input, mut filled) = (vec![0; 64 << 10], 0);
    let mut spare = Vec::new();

    loop {
        // Write all output; a buffer is owned while it is written, and becomes the next spare one.
        loop {
            let output = endpoint.take_output(spare);
            if output.is_empty() {
                spare = output;
                break;
            }
            match stream.write_all(&output) {
                Ok(()) => endpoint.transmitted(output.len()),
                Err(_) => endpoint.end_of_output(clock.now()),
            }
            spare = output;
        }
        match endpoint.transport_action() {
            TransportAction::Keep => {}
            // Repeating it does no harm; a connection that is lost already is noticed by reading.
            TransportAction::Close | TransportAction::Shutdown => {
                drop(stream.shutdown(std::net::Shutdown::Write))
            }
            TransportAction::Drop => break,
        }

        // Wait for input, at most until the next deadline.
        if filled == input.len() {
            input.resize(filled * 2, 0);
        }
        let room = input.get_mut(filled..).unwrap_or_default();
        match wait_and_read(&mut stream, room, endpoint.deadline(), &clock)? {
            Some(0) => endpoint.end_of_input(),
            Some(count) => filled += count,
            None => {
                if let Some(expired) = endpoint.tick(clock.now()) {
                    eprintln!("expired: {expired:?}");
                }
                continue;
            }
        }

        // Receive whole events.
        let mut bytes = input.get_mut(..filled).unwrap_or_default();
        loop {
            let step = match endpoint.receive(clock.now(), bytes, &mut assembly) {
                Ok(step) => step,
                // The answer to the peer, if any, is queued; discard the input.
                Err(error) => {
                    eprintln!("{error}");
                    bytes = &mut [];
                    break;
                }
            };
            let (consumed, event) = (step.consumed, step.event);
            let more = event.is_some();
            let next = match event {
                Some(EndpointEvent::Open(_)) => true,
                Some(EndpointEvent::Text(text)) => {
                    println!("{text}");
                    true
                }
                Some(EndpointEvent::Refused(response)) => {
                    return Err(format!("refused: {}", response.status).into());
                }
                _ => false,
            };
            if next {
                match words.next() {
                    Some(word) => endpoint.send(word)?,
                    None => endpoint.close(clock.now(), Some(CloseCode::NORMAL), "")?,
                }
            }
            bytes = bytes.get_mut(consumed..).unwrap_or_default();
            if !more {
                break;
            }
        }
        let left = bytes.len();
        input.copy_within(filled - left..filled, 0);
        filled = left;
    }

    let connection = endpoint.connection().ok_or("the server did not answer")?;
    match (connection.state(), connection.peer_code()) {
        (State::Closed { clean: true }, Some(code)) => eprintln!("closed: {}", code.get()),
        _ => return Err("the connection was lost".into()),
    }
    Ok(())
}

/// Reads; returns `None` if the deadline comes first.
fn wait_and_read(
    stream: &mut TcpStream,
    room: &mut [u8],
    deadline: Option<Instant>,
    clock: &Clock,
) -> io::Result<Option<usize>> {
    loop {
        // A timeout of zero is an error, and one rounded down to milliseconds would expire early.
        let wait = deadline.map(|at| at.since(clock.now()) + Duration::from_millis(1));
        stream.set_read_timeout(wait)?;
        match stream.read(room) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            // The process may have been stopped for a while: what arrived meanwhile comes before the deadline.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Earlier input is still received to its end.
            Err(_) => return Ok(Some(0)),
        }
    }
}

/// Returns the time as the core needs it: microseconds since a fixed moment.
struct Clock(std::time::Instant);

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program reads the clock, the core never does"
    )]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}
