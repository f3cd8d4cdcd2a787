//! Settings: limits, timeouts, compression.
//! RFC 6455 sections 7.1.1 (waiting for the close) and 10.4 (limits); RFC 7692 section 7.1 (compression parameters).
//! Plain data: knows none of the machines that read it.

use crate::time::{Duration, Instant};

/// Settings of one endpoint; shared by all its connections.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::config::{Config, Deflate, Limits, Timeouts};
///
/// // A chat: short messages, and clients that vanish are noticed within half a minute.
/// let config = Config {
///     limits: Limits { message: 16 << 10, ..Limits::default() },
///     timeouts: Timeouts {
///         ping: Some(Duration::from_secs(20)),
///         pong: Some(Duration::from_secs(10)),
///         ..Timeouts::default()
///     },
///     deflate: Some(Deflate::default()),
///     ..Config::default()
/// };
/// assert_eq!(config.limits.frame, 16 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bounds on what a peer can make us hold.
    pub limits: Limits,
    /// Timeouts and intervals.
    pub timeouts: Timeouts,
    /// permessage-deflate; `None` (the default) neither offers nor accepts it.
    pub deflate: Option<Deflate>,
    /// Whether each ping is answered automatically, in a flood only the newest (RFC 6455 section 5.5.3); default on. Otherwise the caller
    /// sends the pongs: it receives pings as events, and answers each, or only the newest, by `pong`. Peers give up on an endpoint that does
    /// not answer. A `Client` always answers by itself.
    pub auto_pong: bool,
    /// Whether adapters show the peer's pings and pongs to the application: for `WebSocket::receive_event`, on event loops by
    /// `Endpoint::ping` and `Endpoint::pong`; default off, and always on without [`auto_pong`](Self::auto_pong). A
    /// [`Connection`](crate::connection::Connection) always reports them.
    pub control_frames: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            deflate: None,
            auto_pong: true,
            control_frames: false,
        }
    }
}

impl Config {
    /// Returns whether adapters show control frames to the application.
    #[doc(hidden)]
    pub fn keeps_control_frames(&self) -> bool {
        self.control_frames || !self.auto_pong
    }
}

/// Bounds, each checked before memory is spent.
///
/// ```
/// use sansws_core::config::{Config, Limits};
/// use sansws_core::connection::Connection;
/// use sansws_core::error::Violation;
/// use sansws_core::handshake::Agreement;
/// use sansws_core::message::Assembly;
/// use sansws_core::time::Instant;
///
/// let limits = Limits { message: 4, ..Limits::default() };
/// let config = Config { limits, ..Config::default() };
/// let mut server = Connection::server(config.into(), &Agreement::default(), Instant::ZERO);
/// // The header announces 5 bytes, so none of them is awaited.
/// let mut input = *b"\x81\x85\0\0\0\0";
/// let mut assembly = Assembly::default();
/// let result = server.receive(Instant::ZERO, &mut input, &mut assembly);
/// assert_eq!(result.unwrap_err(), Violation::MessageTooLarge);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum frame payload on the wire, in bytes; default 16 MiB. Beyond it: close 1009. Frames of messages that are received in
    /// chunks are not buffered, and not limited by it.
    pub frame: u64,
    /// Maximum message length after inflation, in bytes; default 16 MiB. Beyond it: close 1009. Messages that are received in chunks
    /// are not buffered, and not limited by it; a chunk contains the data of one read and is less than 200 KiB, however well it was
    /// compressed.
    pub message: u64,
    /// Maximum number of frames in one message, including empty ones; default 65 536. Beyond it: close 1008.
    pub fragments: u32,
    /// Maximum length of a handshake's head, in bytes; default 16 KiB. Beyond it: 431, or connecting fails.
    pub head: usize,
    /// Maximum number of header fields in a handshake; default 100. Beyond it: 431, or connecting fails.
    pub headers: usize,
    /// Maximum length of a body, in bytes; default 64 KiB. A client truncates the body of a refusal; a server answers 413 to a request
    /// for a page with a longer one.
    pub body: usize,
    /// Number of unsent bytes at which sending fails with `SendError::QueueFull` (or waits); default 1 MiB. One message is always accepted
    /// below it, so it is exceeded by at most one message, and by our own control frames. 0 counts as 1.
    pub write_queue: usize,
    /// Number of unsent bytes at which a server stops reading; default 64 KiB. A client goes on reading. 0 counts as 1.
    pub high_water: usize,
    /// Number of message bytes to read ahead while a handler is busy, so that control frames behind them are seen; default 64 KiB.
    pub read_ahead: usize,
}

impl Limits {
    /// Returns the number of unsent bytes at which nothing more is accepted. With 0 nothing would ever be sent.
    #[inline]
    #[doc(hidden)]
    pub fn queue_bound(&self) -> usize {
        self.write_queue.max(1)
    }

    /// Returns the number of unsent bytes at which a server stops reading. With 0 it would never read.
    #[inline]
    pub(crate) fn reading_bound(&self) -> usize {
        self.high_water.max(1)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 16 << 20,
            message: 16 << 20,
            fragments: 65_536,
            head: 16 << 10,
            headers: 100,
            body: 64 << 10,
            write_queue: 1 << 20,
            high_water: 64 << 10,
            read_ahead: 64 << 10,
        }
    }
}

/// Timeouts and intervals. `None` waits forever.
///
/// Time in which we deliberately do not read does not count towards `pong`, `idle` and `message`: while a handler is busy and enough is
/// read ahead, or while [`Limits::high_water`] bytes are unsent.
///
/// A peer with unread output is not pinged, because the ping would queue behind it. It counts as alive as long as it takes some of that
/// output within `pong`, as acknowledged by its kernel (on Linux; elsewhere, as accepted by ours). Once it has taken everything, it is
/// pinged when silent.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::config::{Config, Timeouts};
/// use sansws_core::connection::Connection;
/// use sansws_core::handshake::Agreement;
/// use sansws_core::time::Instant;
///
/// let idle = Some(Duration::from_secs(60));
/// let timeouts = Timeouts { ping: None, idle, ..Timeouts::default() };
/// let config = Config { timeouts, ..Config::default() };
/// let server = Connection::server(config.into(), &Agreement::default(), Instant::ZERO);
/// let deadline = server.deadline().expect("it waits for a message");
/// assert!(deadline.since(Instant::ZERO) >= Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start to a TCP connection, and again for TLS to a proxy and for its tunnel; default 10 s each. Then: connecting fails.
    pub connect: Option<Duration>,
    /// TLS and the opening handshake; default 10 s. Then: 408, or connecting fails.
    pub handshake: Option<Duration>,
    /// Silence after which we ping; default 30 s. Less than a millisecond counts as one.
    pub ping: Option<Duration>,
    /// How long a peer may be silent after our ping, or take none of its output, before it counts as dead; default 20 s. Then: the
    /// connection is dropped, 1006.
    pub pong: Option<Duration>,
    /// Time without any message in either direction, not counting pings; default none. Then: close 1001.
    pub idle: Option<Duration>,
    /// From the first byte of a message to its last, unless it is received in chunks; default 5 min. Then: close 1008.
    pub message: Option<Duration>,
    /// From the answer to a plain HTTP request to the next request on the same connection; default 15 s. Then: the connection is
    /// closed.
    pub keep_alive: Duration,
    /// The closing handshake, and the end of TCP after it; default 5 s each. Then: the connection is dropped. A client waits as long
    /// for the body of a refusal, and takes the part that has arrived. A server gives its peer the same time to read a
    /// response to a plain HTTP request, plus one second per KiB. A client that is not admitted has it for the head of its request, if
    /// there are pages that are served always.
    pub close: Duration,
    /// How long connections may go on when a server shuts down; default 10 s. Then: they are dropped.
    pub shutdown: Duration,
}

impl Timeouts {
    /// Returns how long a peer may take to accept so many bytes of a response that is written while it is made: `keep_alive`, and another
    /// second for each KiB. One that trickles would otherwise hold its connection for as long as it likes.
    #[doc(hidden)]
    pub fn to_take(&self, bytes: usize) -> Duration {
        self.keep_alive.saturating_add(second_per_kib(bytes))
    }

    /// Returns how long a peer may take to accept a response of so many bytes: `close`, and another second for each KiB.
    #[doc(hidden)]
    pub fn to_take_whole(&self, bytes: usize) -> Duration {
        self.close.saturating_add(second_per_kib(bytes))
    }

    /// Returns how long a client that is not admitted may take to request a page that is served always: `close`, as it is refused otherwise.
    #[doc(hidden)]
    pub const fn to_ask_unadmitted(&self) -> Duration {
        self.close
    }

    /// Returns how long a peer that has taken its last response may take to read it and to end TCP: `close`.
    #[doc(hidden)]
    pub const fn to_end(&self) -> Duration {
        self.close
    }

    /// Returns until when a client waits for the body of a refusal whose head has arrived: `close`, but no longer than for any answer.
    #[doc(hidden)]
    pub fn refusal_until(&self, now: Instant, deadline: Option<Instant>) -> Instant {
        let until = now + self.close;
        deadline.map_or(until, |deadline| deadline.min(until))
    }
}

fn second_per_kib(bytes: usize) -> Duration {
    Duration::from_secs(u64::try_from(bytes >> 10).unwrap_or(u64::MAX))
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(10)),
            handshake: Some(Duration::from_secs(10)),
            ping: Some(Duration::from_secs(30)),
            pong: Some(Duration::from_secs(20)),
            idle: None,
            message: Some(Duration::from_secs(300)),
            keep_alive: Duration::from_secs(15),
            close: Duration::from_secs(5),
            shutdown: Duration::from_secs(10),
        }
    }
}

/// The options that we offer and accept of permessage-deflate (RFC 7692 section 7.1).
///
/// ```
/// use sansws_core::config::{Config, Deflate};
///
/// // Similar messages, such as JSON: they become smaller still, for at most 8 KiB a connection.
/// let deflate = Deflate {
///     own_takeover: true,
///     own_history: Some(8 << 10),
///     threshold: 64,
///     ..Deflate::default()
/// };
/// let config = Config { deflate: Some(deflate), ..Config::default() };
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// Whether our messages may refer to earlier ones: they become smaller, but each connection holds up to
    /// [`own_history`](Self::own_history) bytes. Default off.
    pub own_takeover: bool,
    /// Number of bytes of our earlier messages that are held for the next one to refer to, with `own_takeover`; default 4 096, at most the
    /// window. More makes similar messages smaller, and each takes more time to compress. With `None` each connection keeps its compressor,
    /// with all of the window: about 370 KiB, and the least time for few busy connections. `docs/compression.md` has figures.
    pub own_history: Option<usize>,
    /// Whether the peer's messages may refer to its earlier ones: each connection holds what arrived, up to the peer's window
    /// (32 KiB). Default off.
    pub peer_takeover: bool,
    /// Our maximum window, as a power of two from 9 to 15; default 15.
    pub own_window_bits: u8,
    /// The peer's maximum window, as a power of two from 9 to 15; default 15.
    pub peer_window_bits: u8,
    /// Messages shorter than this, in bytes, are sent uncompressed; default 256.
    pub threshold: usize,
    /// Compression level from 1 (fast) to 9 (small); default 3.
    pub level: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            own_takeover: false,
            own_history: Some(4 << 10),
            peer_takeover: false,
            own_window_bits: 15,
            peer_window_bits: 15,
            threshold: 256,
            level: 3,
        }
    }
}
