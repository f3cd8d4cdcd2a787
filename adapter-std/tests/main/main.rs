//! All tests of sansws-std, in one program.

#[path = "../../../core/tests/support/api.rs"]
mod api_reader;
#[path = "../../../core/tests/support/map.rs"]
mod map;
#[path = "../support/mod.rs"]
mod support;

mod api;
mod client;
mod deadlines;
mod events;
mod layers;
mod lending;
mod names;
mod nonblocking;
mod per_address;
mod routes;
mod secure;
mod server;
mod socket;
mod streamed;
