//! Links the hubs of several servers through Redis or Valkey, so that groups, direct messages, history, recovery and presence span all of
//! them.
//!
//! ```no_run
//! # #[cfg(feature = "tokio")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use sansws_core::hub::HubOptions;
//! use sansws_redis::{Redis, RedisOptions, Runtime, hub_options};
//! use sansws_tokio::Hub;
//!
//! let (hub, link) = Hub::linked(hub_options(HubOptions::default()));
//! let options = RedisOptions::one("redis://127.0.0.1:6379", "chat");
//! let redis = Redis::new(link, Runtime::Tokio, options)?;
//! let status = redis.status();
//! let linking = tokio::spawn(redis.run());
//! // ... serve routes that were given the hub; then:
//! status.close();
//! linking.await?;
//! # Ok(())
//! # }
//! ```
//!
//! - **Publishing** is one script that numbers, keeps and sends a message: it happens in full or not at all, and all members of a group, on
//!   all servers, receive messages in one order. Messages that are published while a script is in flight share the next one.
//! - **Lost messages** are detected by their number, and read from the history. If that is impossible, the loss is reported
//!   ([`HubEvent::Gap`], `GroupOptions::notices`).
//! - **While Redis is down**, each server serves its own members, refuses publications, or closes its connections: see [`OutagePolicy`]. It
//!   reports the outage ([`HubEvent::Down`], [`Status`]), retries with growing, jittered waits, and then restores its subscriptions and
//!   presence.
//! - **Presence** is held under a lease: when a server is gone, so are its users, in one step for each group.
//! - **A Redis server that was promoted**, or that returned with less data, starts new epochs: messages that a client has seen may be
//!   missing there, and the client is told. With `appendfsync always`, a restart loses nothing.
//!
//! [`HubEvent::Gap`]: sansws_core::hub::HubEvent
//! [`HubEvent::Down`]: sansws_core::hub::HubEvent
//! [`OutagePolicy`]: sansws_core::hub::OutagePolicy

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod keys;
pub mod machine;
mod name;
pub mod request;
pub mod wire;

// The Redis in memory, and the servers of the tests, are outside this crate and refer to it by its name.
#[cfg(all(test, feature = "tokio"))]
extern crate self as sansws_redis;

#[cfg(all(test, feature = "tokio"))]
mod differential;
#[cfg(all(test, feature = "tokio"))]
mod lost_reply;
#[cfg(all(test, feature = "tokio"))]
#[path = "../tests/memory/mod.rs"]
#[allow(dead_code, reason = "the simulation asks for more")]
mod memory;
#[cfg(all(test, feature = "tokio"))]
#[path = "../tests/server/mod.rs"]
mod server;

#[cfg(any(feature = "tokio", feature = "smol"))]
mod call;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod connection;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod driver;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod options;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod reading;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod runtime;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod scripts;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod shard;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod status;
#[cfg(feature = "tls")]
mod tls;

#[cfg(any(feature = "tokio", feature = "smol"))]
pub use driver::Redis;
#[cfg(any(feature = "tokio", feature = "smol"))]
pub use options::{CHECK, LEASE, RedisOptions, Server, SetupError, Tls, hub_options};
#[cfg(any(feature = "tokio", feature = "smol"))]
pub use runtime::Runtime;
#[cfg(any(feature = "tokio", feature = "smol"))]
pub use status::{State, Status};

/// The code of the guide to several servers compiles.
#[cfg(all(doctest, feature = "thread", feature = "smol"))]
#[doc = include_str!("../../docs/cluster.md")]
struct ClusterGuide;

/// The code of the README compiles.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
