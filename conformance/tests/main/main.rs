//! All tests of the suite and of the adapters over sockets, in one program: linking is what a build of tests takes longest for.
//! The tests of signals have a process of their own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

#[macro_use]
mod support;

mod application;
mod blocking;
mod client;
mod command;
mod connection;
mod dialing;
mod event_loop;
mod flushing;
mod handing_over;
mod http2;
mod hub;
mod hub_faults;
mod interop;
mod misbehaving;
mod mutants;
mod mutants_http2;
mod naive;
mod naive_http2;
mod over_tls;
mod promises;
mod reports;
mod running;
mod runtimes;
mod scenarios;
mod scoreboard;
mod server;
mod siblings;
mod starting;
mod words;
