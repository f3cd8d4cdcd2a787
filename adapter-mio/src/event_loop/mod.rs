//! One loop: its connections, its timers, and whose turn it is.
//! RFC 6455 section 6; the state machines of `sansws-core` decide on bytes.
//! Knows no endpoint: callbacks are those of a [`Host`].

mod accept;
mod api;
mod batch;
mod connecting;
mod dialing;
mod ending;
mod groups;
mod mail;
mod open;
mod opening;
mod pages;
mod peer;
mod remote;
mod requests;
mod run;
mod streamed;
mod streaming;
mod tasks;
mod upgrade;

pub(crate) use dialing::aborted;
pub(crate) use opening::DeferredPage;
pub use remote::Handle;
pub(crate) use remote::Mailbox;
pub use run::EventLoop;

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use mio::{Registry, Token};
use sansws_common::error::{Error, HandlerError, Result};
use sansws_common::hub::HubRef;
use sansws_common::socket::counters::Counters;
use sansws_common::{Scope, ServerHandle};
use sansws_core::close::Closed;
use sansws_core::handshake::AcceptOptions;
use sansws_core::hub::{HubError, Joined, Signal};
use sansws_core::message::Assembly;
use sansws_core::message::StreamFormat;
use sansws_core::route::Pattern;
use sansws_core::time::{Duration, Instant};
use slab::Slab;

use crate::ServerOptions;
use crate::clock::now;
use crate::id::ConnectionId;
use crate::message::Incoming;
use crate::timers::Timers;
use opening::{Page, StreamHost};
use peer::Peer;

/// An endpoint as the loop sees it, whatever its data are.
pub(crate) trait Host {
    /// Decides on a request; returns the key of the data that it made.
    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<usize>;
    /// A connection is open.
    fn open(&mut self, at: At, within: &mut Loop) -> Result;
    /// A message arrived.
    fn message(&mut self, at: At, within: &mut Loop, message: Incoming<'_>) -> Result;
    /// A ping arrived, which the application is to know of.
    fn ping(&mut self, at: At, within: &mut Loop, payload: &[u8]) -> Result;
    /// A pong arrived, which the application is to know of.
    fn pong(&mut self, at: At, within: &mut Loop, payload: &[u8]) -> Result;
    /// A peer has taken its output.
    fn drained(&mut self, at: At, within: &mut Loop) -> Result;
    /// A connection has joined a group, or failed to.
    fn joined(
        &mut self,
        at: At,
        within: &mut Loop,
        group: &str,
        joined: Result<Joined, HubError>,
    ) -> Result;
    /// A connection to a server is open: takes its data; returns their key.
    fn adopt(&mut self, data: Box<dyn Any>) -> Option<usize>;
    /// A connection to a server could not be opened.
    fn failed(&mut self, within: &mut Loop, data: Box<dyn Any>, error: Error);
    /// A signal to a connection.
    fn signal(&mut self, at: At, within: &mut Loop, signal: Signal) -> Result;
    /// A streamed response is about to end.
    fn closing(&mut self, at: At, within: &mut Loop, closed: &Closed) -> Result;
    /// A connection has ended.
    fn close(&mut self, at: At, within: &mut Loop, closed: &Closed);
    /// Runs work of the application for a connection.
    fn visit(&mut self, at: At, within: &mut Loop, work: Visit) -> Result;
    /// Drops the data of a connection.
    fn forget(&mut self, key: usize);
    /// Gives the data of a connection back.
    fn release(&mut self, key: usize) -> Option<Box<dyn Any>>;
}

/// Work of an application for one connection: it gets the connection's data, whatever their type is.
pub(crate) type Visit = Box<dyn FnOnce(ConnectionId, &mut dyn Any, &mut Loop) -> Result>;

/// The place of a connection: in its loop, and in its endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) id: ConnectionId,
    pub(crate) key: usize,
}

/// The endpoint of a route: any [`Endpoint`](crate::Endpoint), for WebSockets or streamed responses, or a page whose answer takes time.
///
/// ```
/// use sansws_mio::{Handler, Incoming, Result, Router, Socket};
///
/// fn greet(words: &'static str) -> Handler {
///     let endpoint = move |socket: &mut Socket<'_, ()>, _: Incoming<'_>| -> Result {
///         let _ = socket.send(words);
///         Ok(())
///     };
///     endpoint.into()
/// }
///
/// let router = Router::new().route("/en", greet("hello")).route("/no", greet("hei"));
/// # drop(router);
/// ```
#[derive(Clone)]
pub struct Handler(Kind);

#[derive(Clone)]
enum Kind {
    Endpoint(HostRef),
    Page(DeferredPage),
    Stream(StreamHost),
}

/// An endpoint, shared by its connections.
#[derive(Clone)]
pub(crate) struct HostRef(Rc<RefCell<dyn Host>>);

impl HostRef {
    /// Calls back. No callback of an endpoint is called from another one, so it is free.
    fn call<R>(&self, work: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
        let mut host = self.0.try_borrow_mut().ok()?;
        Some(work(&mut *host))
    }
}

impl std::fmt::Debug for HostRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostRef").finish_non_exhaustive()
    }
}

impl Handler {
    pub(crate) fn of(host: Rc<RefCell<impl Host + 'static>>) -> Self {
        Self(Kind::Endpoint(HostRef(host)))
    }

    pub(crate) fn of_page(page: DeferredPage) -> Self {
        Self(Kind::Page(page))
    }

    /// Makes a handler of plain requests, whose responses are streamed, of an endpoint; a page stays what it is.
    pub(crate) fn streamed(self, format: StreamFormat) -> Self {
        match self.0 {
            Kind::Endpoint(host) | Kind::Stream(StreamHost { host, .. }) => {
                Self(Kind::Stream(StreamHost { host, format }))
            }
            page @ Kind::Page(_) => Self(page),
        }
    }

    /// Returns the page, if it is one.
    fn page(&self) -> Option<Page> {
        match &self.0 {
            Kind::Endpoint(_) => None,
            Kind::Page(page) => Some(Page::Deferred(Rc::clone(page))),
            Kind::Stream(stream) => Some(Page::Streamed(stream.clone())),
        }
    }

    /// Returns a reference that does not keep it.
    pub(crate) fn weak(weak: &Weak<RefCell<impl Host + 'static>>) -> WeakHandler {
        let weak = Weak::clone(weak);
        WeakHandler(weak)
    }

    /// Returns the endpoint, if it is one.
    fn endpoint(&self) -> Option<&HostRef> {
        match &self.0 {
            Kind::Endpoint(host) | Kind::Stream(StreamHost { host, .. }) => Some(host),
            Kind::Page(_) => None,
        }
    }

    /// Calls back, if it is an endpoint.
    pub(crate) fn call<R>(&self, work: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
        self.endpoint()?.call(work)
    }
}

/// An endpoint that somebody else keeps.
#[derive(Clone)]
pub(crate) struct WeakHandler(Weak<RefCell<dyn Host>>);

impl WeakHandler {
    pub(crate) fn upgrade(&self) -> Option<Handler> {
        self.0
            .upgrade()
            .map(|host| Handler(Kind::Endpoint(HostRef(host))))
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

/// A service whose routes were checked.
pub(crate) type App = sansws_common::app::App<Handler, HubRef>;

/// The service of a loop.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) app: App,
    pub(crate) options: Arc<ServerOptions>,
    pub(crate) handle: ServerHandle,
}

/// A loop, as callbacks and closures see it: its other connections, timers, and the time.
///
/// ```
/// use std::time::Duration;
/// use sansws_mio::{EventLoop, Loop};
///
/// /// Tells all clients the number of clients, each minute.
/// fn report(within: &mut Loop) {
///     let text = format!("{} clients", within.connections());
///     for id in within.open() {
///         let _ = within.send(id, text.as_str());
///     }
///     within.after(Duration::from_secs(60), report);
/// }
///
/// # fn main() -> sansws_mio::Result {
/// let mut event_loop = EventLoop::new()?;
/// report(event_loop.context());
/// assert_eq!(event_loop.context().connections(), 0);
/// # Ok(())
/// # }
/// ```
pub struct Loop {
    /// The time, read once for each turn.
    now: Instant,
    peers: Slab<Box<Peer>>,
    registry: Registry,
    timers: Timers<Key>,
    callbacks: Slab<Callback>,
    /// Clients that wait before they connect again.
    waiting: Slab<Handler>,
    /// Its nodes in hubs.
    hubs: Vec<groups::LoopHub>,
    tasks: Slab<tasks::Task>,
    /// The number of connections to servers, open or not.
    clients: usize,
    /// The number of connections that are being refused.
    refused: usize,
    resolver: dialing::Resolver,
    served: Option<Rc<Served>>,
    mailbox: Arc<Mailbox>,
    /// Counts connections and timers, so that no id is used twice.
    serial: u64,
    /// The connection whose turn it is: its output leaves at the end of that.
    current: Option<usize>,
    /// Connections that have more to do.
    again: Vec<usize>,
    /// Connections to which others sent.
    dirty: Vec<usize>,
    batch: batch::Batch,
    buffers: Buffers,
    /// Traffic that the server does not know yet.
    unreported: Counters,
    /// The routes of connections, for logs: connections have indexes.
    routes: Routes,
    accepting: accept::Accepting,
    shutdown: Shutdown,
    /// A callback that takes longer is logged.
    slow: Duration,
    stopped: bool,
    /// No more connections to servers are opened.
    is_ending: bool,
}

/// The buffers of a loop, which connections use in their turns.
struct Buffers {
    input: Vec<u8>,
    /// For messages that do not arrive whole. In the middle of one, its connection has it.
    assemblies: Vec<Assembly>,
    output: Vec<Vec<u8>>,
}

/// The patterns of routes, each once.
#[derive(Default)]
struct Routes {
    patterns: Vec<Pattern>,
    known: BTreeMap<String, u32>,
}

/// The shutdown of its server, as far as the loop knows.
#[derive(Default)]
struct Shutdown {
    /// The server may have begun to shut down, or hastened it.
    rung: bool,
    /// When the drain window ends.
    window: Option<Instant>,
    /// When what is left is dropped.
    until: Option<Instant>,
}

/// Work that becomes due. It holds no more than a place: whoever has it now remembers the time for which it is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Peer { slot: u32 },
    Callback { slot: u32 },
    Hub { index: u32 },
    Accept,
    Shutdown,
}

/// A closure that runs later.
struct Callback {
    serial: u64,
    at: Instant,
    run: Box<dyn FnOnce(&mut Loop)>,
}

/// The token of the mailbox.
const WAKER: Token = Token(usize::MAX);

/// Length of the read buffer, and thus of a read: four messages of 64 KiB with their headers, or sixteen of 16 KiB.
const READ: usize = 260 << 10;

/// Room that a read should have behind kept bytes.
const ROOM: usize = 16 << 10;

/// Capacity of a fresh buffer for output.
const WRITE: usize = 4 << 10;

/// Maximum number of output buffers that the loop keeps.
const SPARES: usize = 64;

/// Maximum number of assemblies that the loop keeps, and of bytes that each may hold.
const ASSEMBLIES: usize = 16;
const KEPT: usize = 256 << 10;

/// Rounds of reading and writing after which the next connection has its turn.
const ROUNDS: usize = 8;

impl Loop {
    fn new(registry: Registry, mailbox: Arc<Mailbox>) -> Self {
        Self {
            now: now(),
            peers: Slab::new(),
            registry,
            timers: Timers::default(),
            callbacks: Slab::new(),
            waiting: Slab::new(),
            hubs: Vec::new(),
            tasks: Slab::new(),
            clients: 0,
            refused: 0,
            resolver: dialing::Resolver::default(),
            served: None,
            mailbox,
            serial: 0,
            current: None,
            again: Vec::new(),
            dirty: Vec::new(),
            batch: batch::Batch::default(),
            buffers: Buffers {
                input: vec![0; READ],
                assemblies: Vec::new(),
                output: Vec::new(),
            },
            unreported: Counters::default(),
            routes: Routes::default(),
            accepting: accept::Accepting::default(),
            shutdown: Shutdown::default(),
            slow: Duration::from_millis(100),
            is_ending: false,
            stopped: false,
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn id(&self, slot: usize) -> Option<ConnectionId> {
        let peer = self.peers.get(slot)?;
        Some(ConnectionId {
            home: self.mailbox.home(),
            slot: u32::try_from(slot).ok()?,
            serial: peer.serial,
        })
    }

    /// Returns the place of a connection of this loop that is not gone.
    fn slot(&self, id: ConnectionId) -> Option<usize> {
        let slot = id.slot as usize;
        let known = self.peers.get(slot)?.serial == id.serial && id.home == self.mailbox.home();
        known.then_some(slot)
    }

    /// One connection's turn.
    fn turn(&mut self, slot: usize) {
        let began = self.now;
        self.take_turn(slot);
        self.arm(slot);
        self.measure(slot, began);
    }

    fn take_turn(&mut self, slot: usize) {
        self.current = Some(slot);
        match self.peers.get(slot).map(|peer| &peer.stage) {
            Some(peer::Stage::Opening(_)) => self.opening_turn(slot),
            Some(peer::Stage::Connecting(_)) => self.connecting_turn(slot),
            _ => self.accepted_turn(slot),
        }
        self.current = None;
    }

    /// The turn of a connection whose request was accepted.
    fn accepted_turn(&mut self, slot: usize) {
        match self.peers.get(slot).map(|peer| &peer.stage) {
            Some(peer::Stage::Open(_)) => self.open_turn(slot),
            Some(peer::Stage::Streaming(_)) => self.streaming_turn(slot),
            Some(peer::Stage::Over) => self.remove(slot),
            Some(peer::Stage::Opening(_) | peer::Stage::Connecting(_)) | None => {}
        }
    }

    /// Arms the deadline of a connection, if it is earlier than the one for which it is armed.
    fn arm(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        if let Some(due) = peer.deadline()
            && due < peer.armed
        {
            peer.armed = due;
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            self.timers.arm(due, Key::Peer { slot });
        }
    }

    /// Reads the time, and reports a turn that took long.
    fn measure(&mut self, slot: usize, began: Instant) {
        self.now = now();
        let took = self.now.since(began);
        if took < self.slow {
            return;
        }
        let route = self
            .peers
            .get(slot)
            .and_then(|peer| self.routes.get(peer.route));
        let route = route.map_or("", Pattern::as_str);
        let _ = sansws_common::contain::contain(|| {
            tracing::warn!(
                http.route = route,
                websocket.callback_seconds = took.as_secs_f64(),
                "callbacks of one connection held up the loop"
            );
        });
    }

    /// Notes that a connection has output that was made outside of its own turn.
    fn touch(&mut self, slot: usize) {
        if self.current == Some(slot) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(slot)
            && !peer.flags.batched
            && !std::mem::replace(&mut peer.flags.dirty, true)
        {
            self.dirty.push(slot);
        }
    }

    /// Gives a connection another turn once the others had theirs.
    fn come_again(&mut self, slot: usize) {
        if let Some(peer) = self.peers.get_mut(slot)
            && !std::mem::replace(&mut peer.flags.again, true)
        {
            self.again.push(slot);
        }
    }

    /// Calls back for a connection. A panic is an error of the application.
    fn call<R>(
        &mut self,
        slot: usize,
        work: impl FnOnce(&mut dyn Host, At, &mut Self) -> R,
    ) -> Result<Option<R>, HandlerError> {
        let Some(id) = self.id(slot) else {
            return Ok(None);
        };
        let Some(endpoint) = self.peers.get(slot).and_then(|peer| peer.endpoint.as_ref()) else {
            return Ok(None);
        };
        let (handler, at) = (
            endpoint.handler.clone(),
            At {
                id,
                key: endpoint.key,
            },
        );
        let done = sansws_common::contain::contain(|| handler.call(|host| work(host, at, self)));
        done.map_err(|panic: Error| panic.into())
    }
}

impl Routes {
    /// Returns the index of a route; 0 is none.
    fn index(&mut self, pattern: Option<&Pattern>) -> u32 {
        let Some(pattern) = pattern else {
            return 0;
        };
        if let Some(index) = self.known.get(pattern.as_str()) {
            return *index;
        }
        self.patterns.push(pattern.clone());
        let index = u32::try_from(self.patterns.len()).unwrap_or(0);
        self.known.insert(pattern.as_str().into(), index);
        index
    }

    fn get(&self, index: u32) -> Option<&Pattern> {
        self.patterns.get((index as usize).checked_sub(1)?)
    }
}

impl std::fmt::Debug for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loop")
            .field("connections", &self.peers.len())
            .finish_non_exhaustive()
    }
}
