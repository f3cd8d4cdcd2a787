//! All tests of core that need no process of their own, in one program: linking is what a build of tests takes longest for.

#[path = "../support/api.rs"]
mod api_reader;
#[path = "../support/map.rs"]
mod map;
#[path = "../support/mod.rs"]
mod support;

mod api;
mod differential;
mod direct;
mod endpoint;
mod filter;
mod forwarded;
mod handshake_client;
mod handshake_http;
mod handshake_server;
mod hub;
mod hub_formats;
mod hub_local;
mod hub_regressions;
mod layers;
mod limits_property;
mod obligations;
mod origin;
mod prepared;
mod property;
mod proxy;
mod regression;
mod route;
mod route_property;
mod route_url;
mod sending;
mod size;
mod story;
