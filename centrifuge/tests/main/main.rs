//! Tests of the protocol without sockets, and of the endpoint over them.

#[path = "../../../core/tests/support/api.rs"]
mod api_reader;
#[path = "../../../core/tests/support/map.rs"]
mod map;

mod api;
mod endpoint;
mod layers;
mod property;
mod rules;
mod tokens;
mod world;
