//! Hubs that are linked through a real Valkey: the scenarios of Redis.

#![cfg(all(feature = "tokio", feature = "smol"))]

#[path = "redis.rs"]
mod redis;
