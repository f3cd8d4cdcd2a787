//! WebSocket as pure state machines.
//!
//! RFC 6455 (the protocol), RFC 7692 (permessage-deflate) and RFC 8441 (over HTTP/2), for clients and servers.
//! This crate opens no socket, reads no clock, draws no random number and names no runtime: bytes and time go in, bytes and events come
//! out, and equal inputs give equal outputs.
//!
//! | module | what it decides |
//! | --- | --- |
//! | [`handshake`] | whether two endpoints speak WebSocket, and what they agree on |
//! | [`connection`] | the meaning of frames, when to ping, how to close; [`connection::Endpoint`] includes the handshake |
//! | [`message`] | whole messages, chunks, prepared messages |
//! | [`limits`] | how much peers may send, how many may connect |
//! | [`dial`] | which address to dial, when to reconnect |
//! | [`route`] | which endpoint a path leads to; usable without the rest |
//! | [`hub`] | which connections receive a publication |
//! | [`proxy`] | the exchange with a proxy that precedes a connection |
//! | [`frame`], [`extension`], [`http`] | the bytes underneath |
//! | [`config`], [`close`], [`error`], [`time`], [`random`] | values |
//!
//! A whole life, without a socket:
//!
//! ```
//! use std::sync::Arc;
//! use sansws_core::close::CloseCode;
//! use sansws_core::config::Config;
//! use sansws_core::connection::{TransportAction, Connection, Event};
//! use sansws_core::handshake::{AcceptOptions, ServerAnswer, ClientHandshake, ClientOptions, ServerHandshake};
//! use sansws_core::message::Assembly;
//! use sansws_core::random::Seed;
//! use sansws_core::time::Instant;
//!
//! let (config, now, seed) = (Arc::new(Config::default()), Instant::ZERO, Seed::new([7; 32]));
//!
//! // The opening handshake.
//! let url = "ws://localhost/chat".parse()?;
//! let mut dialing = ClientHandshake::new(&config, &url, ClientOptions::default(), seed.nonce())?;
//! let mut server_handshake = ServerHandshake::new(config.clone());
//! let (request, _) = server_handshake.receive(dialing.request())?.expect("the whole request is there");
//! assert_eq!(request.path(), "/chat");
//! let (response, agreement) = request.accept(&config, AcceptOptions::default())?;
//! let mut server = Connection::server(config.clone(), &agreement, now);
//! let (answer, _) = dialing.receive(&response, false)?.expect("the whole response is there");
//! let ServerAnswer::Open(opened) = answer else { panic!("refused") };
//! let mut client = Connection::client(config, &opened.agreement, seed, now);
//!
//! // A message.
//! client.send_text("Hello")?;
//! let mut bytes = output(&mut client);
//! let mut assembly = Assembly::default();
//! let step = server.receive(now, &mut bytes, &mut assembly)?;
//! assert_eq!(step.event, Some(Event::Text("Hello")));
//!
//! // The closing handshake: one Close frame each way; then the server ends TCP.
//! client.close(now, Some(CloseCode::NORMAL), "bye")?;
//! let mut bytes = output(&mut client);
//! let step = server.receive(now, &mut bytes, &mut assembly)?;
//! assert!(matches!(step.event, Some(Event::Close(close)) if close.reason == "bye"));
//! let mut bytes = output(&mut server);
//! assert_eq!(server.transport_action(), TransportAction::Close);
//! let _ = client.receive(now, &mut bytes, &mut assembly)?;
//! client.end_of_input();
//! assert_eq!(client.transport_action(), TransportAction::Drop);
//!
//! fn output(connection: &mut Connection) -> Vec<u8> {
//!     let mut slices: [&[u8]; 8] = [&[]; 8];
//!     let filled = connection.transmit(&mut slices);
//!     let bytes = slices[..filled].concat();
//!     connection.transmitted(bytes.len());
//!     bytes
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With default features off the crate is `no_std` and needs `alloc`. You may add `deflate`: its memory then comes from the C functions
//! `malloc`, `calloc` and `free` (on Unix `posix_memalign` too), because zlib-rs uses Rust's allocator only with `std`. Every C library has
//! them, including newlib; elsewhere the program must define them. On WebAssembly `deflate` needs `std`.
//!
//! Core never panics on input from a peer. A mistake of the caller is an [`error::InvalidInput`], one of the peer is an [`error::Violation`] or a
//! [`handshake::Refusal`].

#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(all(feature = "deflate", not(feature = "std"), target_family = "wasm"))]
compile_error!(
    "on WebAssembly the feature `deflate` needs `std`: zlib-rs has no allocator without it"
);

pub mod close;
pub mod config;
pub mod connection;
mod copy;
pub mod dial;
pub mod error;
pub mod extension;
#[doc(hidden)]
pub mod frame;
pub mod handshake;
pub mod http;
pub mod hub;
pub mod limits;
mod mask;
pub mod message;

pub mod proxy;
pub mod random;
pub mod route;
#[cfg(feature = "serde")]
mod serialize;
pub mod time;
mod utf8;

/// Parts that the crates of this workspace share. Applications do not need them, and they may change in any release.
#[doc(hidden)]
pub mod internal {
    pub use crate::copy::{append, copied, overwrite};
    pub use crate::dial::backoff::Retries;
    pub use crate::handshake::is_own;
    pub use crate::http::body::{Body, BodyError};
    pub use crate::http::chunk::{LAST_CHUNK, MAX_MEANWHILE, write_chunk};
    pub use crate::http::exposition::{Exposition, Family, Kind};
    pub use crate::http::head::{ResponseHead, parse_response};
    pub use crate::http::response::Framing;
    pub use crate::http::url::{authority, why_not_a_url};
    pub use crate::hub::callback::{Envelope, Notices};
    pub use crate::hub::filter::Filters;
    pub use crate::hub::id::is_name;
    pub use crate::mask::Mask;
}

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
