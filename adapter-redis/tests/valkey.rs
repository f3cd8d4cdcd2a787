//! Hubs that are linked through a real Valkey: the scenarios of Redis.
//! No RFC.

#![cfg(all(feature = "tokio", feature = "smol"))]

#[path = "redis.rs"]
mod redis;
