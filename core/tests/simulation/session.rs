//! One connection: the client's end, the server's end, and the two ways between them.
//! RFC 6455 sections 4, 5 and 7: the real handshakes and the real connections.
//! Knows no hub: the server's end hands out what it was told, and is given frames.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::connection::{Connection, Event, TransportAction};
use sansws_core::handshake::{
    AcceptOptions, ClientHandshake, ClientOptions, Request, ServerAnswer, ServerHandshake,
};
use sansws_core::hub::{ChannelId, Encoding, Filter, Position};
use sansws_core::message::Assembly;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

use crate::pipe::Pipe;
use crate::setup::client_config;
use crate::view::View;

/// One end of the connection, once it is open.
#[derive(Debug)]
pub struct End {
    pub connection: Connection,
    assembly: Assembly,
}

/// The input of an end.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Pong(Vec<u8>),
    Close,
    /// The other end broke the protocol.
    Violation(String),
}

impl End {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            assembly: Assembly::default(),
        }
    }

    /// Reads one thing from the front of `input`.
    fn get(&mut self, now: Instant, input: &mut Vec<u8>) -> Option<Got> {
        loop {
            if !self.connection.wants_input() {
                return None;
            }
            let step = match self.connection.receive(now, input, &mut self.assembly) {
                Ok(step) => step,
                Err(violation) => {
                    input.clear();
                    return Some(Got::Violation(violation.to_string()));
                }
            };
            let consumed = step.consumed;
            let got = match step.event {
                Some(Event::Text(text)) => Some(Got::Text(text.into())),
                Some(Event::Binary(bytes)) => {
                    Some(Got::Text(String::from_utf8_lossy(bytes).into()))
                }
                Some(Event::Pong(bytes)) => Some(Got::Pong(bytes.into())),
                Some(Event::Close(_)) => Some(Got::Close),
                Some(Event::Ping(_) | Event::Piece(_)) => None,
                None => {
                    input.drain(..consumed);
                    return None;
                }
            };
            input.drain(..consumed);
            if got.is_some() {
                return got;
            }
        }
    }

    fn write(&mut self, now: Instant, pipe: &mut Pipe) -> bool {
        let mut moved = false;
        loop {
            let mut slices: [&[u8]; 4] = [&[]; 4];
            let filled = self.connection.transmit(&mut slices);
            let mut written = 0;
            for slice in &slices[..filled] {
                let count = pipe.write(now, slice);
                written += count;
                if count < slice.len() {
                    break;
                }
            }
            if written == 0 {
                break;
            }
            moved = true;
            self.connection.transmitted(written);
        }
        let action = self.connection.transport_action();
        let ends = matches!(action, TransportAction::Close | TransportAction::Shutdown);
        if ends && !self.connection.has_output() {
            pipe.end();
        }
        moved
    }
}

#[derive(Debug)]
pub enum ClientEnd {
    Dialing(Box<ClientHandshake>),
    Open(Box<End>),
    Ended,
}

#[derive(Debug)]
pub enum ServerEnd {
    Waiting(ServerHandshake),
    Open(Box<End>),
    Ended,
}

#[derive(Debug)]
pub struct Session {
    pub node: usize,
    pub up: Pipe,
    pub down: Pipe,
    pub client_end: ClientEnd,
    pub server_end: ServerEnd,
    config: Arc<Config>,
    seed: Seed,
    from_server: Vec<u8>,
    from_client: Vec<u8>,
    /// The client reads nothing.
    pub stalled: bool,
    pub id: Option<ChannelId>,
    /// The id, as the client was told.
    pub told: Option<ChannelId>,
    pub user: Option<String>,
    pub encoding: Encoding,
    pub silent_close: bool,
    /// Something waits for it in the hub.
    pub woken: bool,
    /// It could not take all that waited, once.
    pub blocked: bool,
    pub views: BTreeMap<String, View>,
    /// The messages that it received, to find duplicates.
    pub seen: BTreeSet<String>,
    pub echoes: VecDeque<String>,
    /// Pings that were not answered yet.
    pub pings: VecDeque<(u64, Instant)>,
    pub known: BTreeMap<String, Position>,
    /// The filters that it watches, or did: since when, and until when.
    pub watched: Vec<(Filter, Instant, Option<Instant>)>,
}

impl Session {
    /// It watches a filter from now on.
    pub fn watches(&mut self, now: Instant, filter: &str) {
        let filter: Filter = filter.parse().unwrap();
        let same =
            |(of, _, until): &(Filter, Instant, Option<Instant>)| *of == filter && until.is_none();
        if !self.watched.iter().any(same) {
            self.watched.push((filter, now, None));
        }
    }

    /// It watches a filter no more.
    pub fn watches_no_more(&mut self, now: Instant, filter: &str) {
        let filter: Filter = filter.parse().unwrap();
        for (of, _, until) in &mut self.watched {
            if *of == filter {
                until.get_or_insert(now);
            }
        }
    }

    /// Whether it watched a group at a moment, and long enough before and after for all to know, which takes this time.
    pub fn watched_at(&self, group: &str, at: Instant, known: Duration) -> bool {
        self.watched.iter().any(|(filter, from, until)| {
            filter.matches(group)
                && *from + known <= at
                && until.is_none_or(|until| at + known <= until)
        })
    }

    pub fn new(
        seed: u64,
        node: usize,
        shape: u16,
        user: Option<String>,
        known: BTreeMap<String, Position>,
        server: &Arc<Config>,
    ) -> Self {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let chance = Seed::new(bytes);
        let config = Arc::new(client_config(shape));
        let path = match &user {
            Some(user) => format!("/user/{user}/{}", shape % 3),
            None => format!("/room/{}", shape % 3),
        };
        let url = format!("ws://node{node}.test{path}").parse().unwrap();
        let dialing =
            ClientHandshake::new(&config, &url, ClientOptions::default(), chance.nonce()).unwrap();
        let mut session = Self {
            node,
            up: Pipe::new(seed ^ 1),
            down: Pipe::new(seed ^ 2),
            client_end: ClientEnd::Ended,
            server_end: ServerEnd::Waiting(ServerHandshake::new(Arc::clone(server))),
            config,
            seed: chance,
            from_server: Vec::new(),
            from_client: Vec::new(),
            stalled: false,
            id: None,
            told: None,
            user,
            encoding: Encoding::AsSent,
            silent_close: false,
            woken: false,
            blocked: false,
            views: BTreeMap::new(),
            watched: Vec::new(),
            seen: BTreeSet::new(),
            echoes: VecDeque::new(),
            pings: VecDeque::new(),
            known,
        };
        session.up.write(Instant::ZERO, dialing.request());
        session.client_end = ClientEnd::Dialing(Box::new(dialing));
        session
    }

    /// Reads one thing that the server sent.
    pub fn client_reads(&mut self, now: Instant) -> Result<Option<Got>, String> {
        if self.stalled {
            self.down.arrive(now);
            return Ok(None);
        }
        self.down.read(now, &mut self.from_server);
        if let ClientEnd::Dialing(dialing) = &mut self.client_end {
            let answer = dialing
                .receive(&self.from_server, false)
                .map_err(|failure| format!("handshake: {failure}"))?;
            let Some((answer, consumed)) = answer else {
                if self.down.is_over() {
                    self.client_end = ClientEnd::Ended;
                }
                return Ok(None);
            };
            let ServerAnswer::Open(opened) = answer else {
                return Err("handshake: refused".into());
            };
            self.from_server.drain(..consumed);
            let config = Arc::clone(&self.config);
            let connection = Connection::client(config, &opened.agreement, self.seed, now);
            self.client_end = ClientEnd::Open(Box::new(End::new(connection)));
        }
        let ClientEnd::Open(end) = &mut self.client_end else {
            return Ok(None);
        };
        let got = end.get(now, &mut self.from_server);
        if got.is_none() && self.down.is_over() {
            end.connection.end_of_input();
        }
        Ok(got)
    }

    /// Reads the request, if the server still waits for it.
    pub fn server_request(&mut self, now: Instant) -> Result<Option<Request>, String> {
        let ServerEnd::Waiting(waiting) = &mut self.server_end else {
            return Ok(None);
        };
        self.up.read(now, &mut self.from_client);
        let request = waiting
            .receive(&self.from_client)
            .map_err(|refusal| format!("handshake: {refusal:?}"))?;
        let Some((request, consumed)) = request else {
            return Ok(None);
        };
        self.from_client.drain(..consumed);
        Ok(Some(request))
    }

    /// Accepts it; the base-2 logarithm of the window for what it is sent.
    pub fn accept(
        &mut self,
        now: Instant,
        request: &Request,
        server: &Arc<Config>,
    ) -> Result<Option<u8>, String> {
        let (response, agreement) = request
            .accept(server, AcceptOptions::default())
            .map_err(|misuse| format!("handshake: {misuse}"))?;
        self.down.write(now, &response);
        let connection = Connection::server(Arc::clone(server), &agreement, now);
        self.server_end = ServerEnd::Open(Box::new(End::new(connection)));
        Ok(agreement.deflate.map(|agreed| agreed.own_window_bits))
    }

    /// Reads one thing that the client sent.
    pub fn server_reads(&mut self, now: Instant) -> Option<Got> {
        let ServerEnd::Open(end) = &mut self.server_end else {
            return None;
        };
        if end.connection.wants_input() {
            let is_closed = end.connection.transport_action() == TransportAction::Close
                && self.from_client.is_empty();
            self.up.read(now, &mut self.from_client);
            // A socket that is gone answers input by a reset, which destroys the Close frame on its way.
            assert!(
                !is_closed || self.from_client.is_empty(),
                "input after Close"
            );
        } else {
            self.up.arrive(now);
        }
        let got = end.get(now, &mut self.from_client);
        if got.is_none() && self.up.is_over() {
            end.connection.end_of_input();
        }
        got
    }

    /// Writes what fits, both ways; says whether anything moved.
    pub fn write(&mut self, now: Instant) -> bool {
        let mut moved = false;
        if let ClientEnd::Open(end) = &mut self.client_end {
            moved |= end.write(now, &mut self.up);
            if end.connection.transport_action() == TransportAction::Drop {
                self.client_end = ClientEnd::Ended;
                self.up.end();
            }
        }
        if let ServerEnd::Open(end) = &mut self.server_end {
            moved |= end.write(now, &mut self.down);
        }
        moved
    }

    /// Whether the server's end is over, and its channel to be closed.
    pub fn server_is_over(&self) -> bool {
        match &self.server_end {
            ServerEnd::Open(end) => end.connection.transport_action() == TransportAction::Drop,
            ServerEnd::Waiting(_) => self.up.is_over(),
            ServerEnd::Ended => true,
        }
    }

    /// The client's connection, if messages flow.
    pub fn client_open(&mut self) -> Option<&mut Connection> {
        match &mut self.client_end {
            ClientEnd::Open(end) if end.connection.is_open() => Some(&mut end.connection),
            _ => None,
        }
    }

    /// The server's connection, if messages flow.
    pub fn server_open(&mut self) -> Option<&mut Connection> {
        match &mut self.server_end {
            ServerEnd::Open(end) if end.connection.is_open() => Some(&mut end.connection),
            _ => None,
        }
    }

    /// When something is to be done for it.
    pub fn due(&self) -> Option<Instant> {
        let client = match &self.client_end {
            ClientEnd::Open(end) => end.connection.deadline(),
            _ => None,
        };
        let server = match &self.server_end {
            ServerEnd::Open(end) => end.connection.deadline(),
            _ => None,
        };
        let up = self.up.due();
        let up = up.filter(|_| !matches!(self.server_end, ServerEnd::Ended));
        let down = self.down.due();
        let down = down.filter(|_| !matches!(self.client_end, ClientEnd::Ended));
        let all = [up, down, client, server];
        all.into_iter().flatten().min()
    }

    /// Says what time it is.
    pub fn tick(&mut self, now: Instant) {
        if let ClientEnd::Open(end) = &mut self.client_end {
            while end.connection.tick(now).is_some() {}
        }
        if let ServerEnd::Open(end) = &mut self.server_end {
            while end.connection.tick(now).is_some() {}
        }
    }

    /// Breaks it.
    pub fn cut(&mut self, loud: bool) {
        self.client_end = ClientEnd::Ended;
        (self.up.dead, self.down.dead) = (true, true);
        if loud && let ServerEnd::Open(end) = &mut self.server_end {
            end.connection.end_of_input();
        }
        if loud && let ServerEnd::Waiting(_) = &self.server_end {
            self.server_end = ServerEnd::Ended;
        }
    }

    /// Whether both ends are over.
    pub fn is_over(&self) -> bool {
        matches!(self.client_end, ClientEnd::Ended) && matches!(self.server_end, ServerEnd::Ended)
    }
}
