//! A conformance suite for WebSocket servers and clients in any language: RFC 6455, RFC 7692, and related RFCs.
//!
//! It has all 517 cases of the classic suite, with their numbers, and hundreds of new ones: the opening handshake in both roles, lengths,
//! masks, limits, permessage-deflate in all its variants, races at the end, floods, slow peers.
//! `wsconform` is the program; this is the library, for `cargo test`.
//!
//! A server under test echoes each message it receives:
//!
//! ```
//! use sansws_conformance::{Suite, Verdict};
//! # use sansws_conformance::subjects::on_tokio::with_server;
//! # let start_my_server = |test: &dyn Fn(&str)| with_server(|url| test(url)).unwrap();
//!
//! # start_my_server(&|url| {
//! let results = Suite::new().only("1.*").only("7.3.*").test("my-server", url).unwrap();
//! assert!(results.worst() <= Verdict::Informational, "{results}");
//! # });
//! ```
//!
//! A client under test is a function that connects to a URL, and echoes until the connection ends:
//!
//! ```
//! use sansws_conformance::{Suite, Verdict};
//! # use sansws_conformance::subjects::on_smol::echo as my_echo_client;
//!
//! let results = Suite::new().only("5.*").only("21.4.*").test_client("my-client", my_echo_client).unwrap();
//! assert!(results.worst() <= Verdict::Informational, "{results}");
//! ```
//!
//! A state machine without sockets is a [`Subject`](run::memory::Subject); it runs in virtual time and needs no port:
//! see [`Suite::in_memory`].
//!
//! # Design
//!
//! A [case](case::Case) is a [script](script::Script): what is sent, what is expected, and the verdict of each outcome. It sees bytes and
//! time, never a socket. An [engine](engine::Run) executes it; [`run`] drives the engine in memory or over a stream.
//! The suite has its own [frames](frame), [heads](http) and [checks](inbox), and shares no code for them with `sansws-core`.

#![forbid(unsafe_code)]

pub mod case;
pub mod cases;
pub mod deflate;
pub mod engine;
pub mod frame;
pub mod http;
pub mod http2;
pub mod inbox;
pub mod keys;
pub mod opening;
mod outbox;
mod plan;
mod reach;
pub mod record;
pub mod report;
pub mod run;
pub mod script;
pub mod serve;
pub mod setting;
#[cfg(feature = "cli")]
pub mod subjects;
pub mod suite;
pub mod target;
mod trust;
pub mod verdict;
pub mod watch;

pub use script::Peer;
pub use suite::Suite;
pub use verdict::Verdict;
