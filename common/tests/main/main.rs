//! All tests of sansws-common, in one program.

#[path = "../../../core/tests/support/api.rs"]
mod api_reader;
#[path = "../../../core/tests/support/map.rs"]
mod map;

mod api;
#[cfg(feature = "hub")]
mod expiry;
mod layers;
