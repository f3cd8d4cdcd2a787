//! All tests of sansws-mio, in one program.

#[path = "../../../core/tests/support/api.rs"]
mod api_reader;
#[path = "../../../adapter-std/tests/support/mod.rs"]
#[expect(dead_code, reason = "the blocking adapter's own tests use all of it")]
mod blocking;
#[path = "../../../core/tests/support/map.rs"]
mod map;
#[path = "../support/mod.rs"]
mod support;

mod api;
mod batches;
mod callbacks;
mod clients;
mod fairness;
mod groups;
mod layers;
mod lifetimes;
mod per_address;
mod reconnecting;
mod remote;
mod routes;
mod secure;
mod server;
mod streams;
mod work;
