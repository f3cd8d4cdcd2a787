//! All tests of sansws-async that need no process of their own, in one program: linking is what a build of tests takes longest for.

#[path = "../../../core/tests/support/api.rs"]
mod api_reader;
#[path = "../../../core/tests/support/map.rs"]
mod map;
#[path = "../support/mod.rs"]
mod support;

mod api;
#[cfg(feature = "test-kit")]
mod app;
#[cfg(feature = "test-kit")]
mod app_edges;
mod client;
mod client_futures;
mod control_frames;
mod deadlines;
mod drive;
mod drive_futures;
mod drive_handshake;
mod ending;
#[cfg(all(feature = "json", feature = "test-kit"))]
mod events;
#[cfg(feature = "test-kit")]
mod handover;
mod hub_app;
#[cfg(feature = "test-kit")]
mod hub_link;
mod hub_threads;
mod large;
mod layers;
mod lending;
#[cfg(feature = "test-kit")]
mod metrics;
mod names;
mod one_direction;
#[cfg(all(feature = "json", feature = "query", feature = "test-kit"))]
mod pages;
#[cfg(feature = "test-kit")]
mod policy_app;
mod race;
mod receive_into;
mod size;
#[cfg(feature = "test-kit")]
mod streamed;
mod streams;
mod tunnel;
mod twins;
