//! Tests of the protocol without sockets.

mod property;
mod rules;
mod world;
