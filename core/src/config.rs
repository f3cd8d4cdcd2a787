//! What a caller may set: limits, times, compression.
//! RFC 6455 sections 7.1.1 (waiting for the close) and 10.4 (limits); RFC 7692 section 7.1 (compression parameters).
//! Plain data: knows none of the machines that read it.

use crate::time::Duration;

/// Settings of one endpoint; shared by all its connections.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Config {
    /// Bounds on what a peer can make us hold.
    pub limits: Limits,
    /// How long we wait for what.
    pub timeouts: Timeouts,
    /// permessage-deflate; `None` (the default) neither offers nor accepts it.
    pub deflate: Option<Deflate>,
    /// Answer pings by ourselves (default). When off, the caller answers each ping it is shown.
    pub auto_pong: AutoPong,
    /// Whether the async shell keeps the peer's pings and pongs for who receives by
    /// [`receive_event`](crate::drive::WebSocket::receive_event); default off, and always on with [`AutoPong::Off`]. A
    /// [`Connection`](crate::connection::Connection) shows them in any case.
    pub control_frames: bool,
}

impl Config {
    /// Whether the async shell keeps control frames for the application.
    #[doc(hidden)]
    pub fn keeps_control_frames(&self) -> bool {
        self.control_frames || self.auto_pong == AutoPong::Off
    }
}

/// Whether pings are answered by the connection itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AutoPong {
    /// Each ping is answered; under a flood only the newest (RFC 6455 section 5.5.3).
    #[default]
    On,
    /// The caller sends the pongs: it receives pings as events, and answers each by `pong`, or the newest alone. Peers give up on who
    /// does not. A [`Client`](crate::drive::Client) answers by itself all the same.
    Off,
}

/// Bounds, each checked before memory is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame payload, in octets, as it stands on the wire; default 16 MiB. Beyond it: close 1009.
    /// Frames of messages that are received piece by piece are not held, and not bounded by it.
    pub frame: u64,
    /// Longest message, in octets, after inflation; default 16 MiB. Beyond it: close 1009.
    /// Messages that are received piece by piece are not held, and not bounded by it; a piece is what one read brought, and,
    /// however well it was compressed, less than 200 KiB.
    pub message: u64,
    /// Maximum number of frames in one message, empty ones counted; default 65 536. Beyond it: close 1008.
    pub fragments: u32,
    /// Longest head of a handshake, in octets; default 16 KiB. Beyond it: 431, or a failed connect.
    pub head: usize,
    /// Maximum number of header fields in a handshake; default 100. Beyond it: 431, or a failed connect.
    pub headers: usize,
    /// Longest body, in octets; default 64 KiB. Of a refusal a client cuts the rest; to a request for a page that has more a server
    /// answers 413.
    pub body: usize,
    /// Unsent octets at which sending is refused with `Misuse::Full` (or waits); default 1 MiB.
    /// One message is always accepted below it, so it is exceeded by one message at most, and by control frames of our own.
    pub write_queue: usize,
    /// Unsent octets at which a server reads no more input; default 64 KiB. A client reads on.
    pub high_water: usize,
    /// Octets of messages read ahead while a handler is busy, so that control frames behind them are seen; default 64 KiB.
    pub read_ahead: usize,
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

/// Waits. `None` waits for ever.
///
/// Time in which we do not read on purpose counts for none of `pong`, `idle` and `message`: while a handler is busy and enough
/// is read ahead, or while [`Limits::high_water`] octets are unsent.
///
/// A peer that is owed something is not pinged: the ping would lie behind it. It lives as long as it takes some of it within `pong`,
/// as its kernel acknowledges (on Linux; elsewhere, as ours accepts). Once it has taken all, a silent one is pinged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first moment to a TCP connection; default 10 s. Then: connecting fails.
    pub connect: Option<Duration>,
    /// TLS and the opening handshake; default 10 s. Then: 408, or connecting fails.
    pub handshake: Option<Duration>,
    /// Silence after which we ping; default 30 s.
    pub ping: Option<Duration>,
    /// Silence after our ping, or time in which nothing is taken of what the peer is owed, that proves it dead; default 20 s. Then:
    /// the connection is dropped, 1006.
    pub pong: Option<Duration>,
    /// Time without any message in either direction, pings not counted; default none. Then: close 1001.
    pub idle: Option<Duration>,
    /// From the first octet of a message to its last, unless it is received piece by piece; default 5 min. Then: close 1008.
    pub message: Option<Duration>,
    /// From the answer to a plain HTTP request to the next request on the same connection; default 15 s. Then: it is closed.
    pub keep_alive: Duration,
    /// The closing handshake, and the end of TCP after it; default 5 s each. Then: the connection is dropped. A client waits as long
    /// for the body of a refusal, and takes what has come of it.
    pub close: Duration,
    /// What is left to connections when a server shuts down; default 10 s. Then: they are dropped.
    pub shutdown: Duration,
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

/// What we ask of permessage-deflate, and what we agree to (RFC 7692 section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// Keep our compression window from message to message: smaller messages, about 256 KiB held per connection. Default off.
    pub own_takeover: bool,
    /// Let the peer keep its window: about 40 KiB held per connection. Default off.
    pub peer_takeover: bool,
    /// Largest window of ours, as a power of two from 9 to 15; default 15.
    pub own_window_bits: u8,
    /// Largest window of the peer's, as a power of two from 9 to 15; default 15.
    pub peer_window_bits: u8,
    /// Messages shorter than this, in octets, are sent uncompressed; default 256.
    pub threshold: usize,
    /// Effort from 1 (fast) to 9 (small); default 3.
    pub level: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            own_takeover: false,
            peer_takeover: false,
            own_window_bits: 15,
            peer_window_bits: 15,
            threshold: 256,
            level: 3,
        }
    }
}
