//! All tests of core that need no process of their own, in one program: linking is what a build of tests takes longest for.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "test-kit")]
mod app;
#[cfg(feature = "test-kit")]
mod app_edges;
mod client;
mod client_futures;
mod control_frames;
mod deadlines;
mod differential;
mod drive;
mod drive_futures;
mod drive_handshake;
mod endpoint;
mod filter;
mod forwarded;
mod handshake_client;
mod handshake_http;
mod handshake_server;
mod hub;
#[cfg(feature = "test-kit")]
mod hub_app;
#[cfg(feature = "test-kit")]
mod hub_link;
mod hub_local;
mod hub_regressions;
mod hub_threads;
mod layers;
#[cfg(feature = "test-kit")]
mod metrics;
mod obligations;
mod one_direction;
mod origin;
#[cfg(all(feature = "json", feature = "query", feature = "test-kit"))]
mod pages;
#[cfg(feature = "test-kit")]
mod policy_app;
mod policy_property;
mod prepared;
mod property;
mod proxy;
mod race;
mod regression;
mod route;
mod route_property;
mod route_url;
mod sending;
mod size;
mod story;
mod streams;
mod tunnel;
