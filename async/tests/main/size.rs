//! The memory of an idle connection. Compilers of other versions may lay futures out differently; a rise says where to look.

use sansws_async::internal::serve;
use sansws_async::{ServerHandle, Transport};
use sansws_core::config::Config;

use crate::support::server::{Once, arrival, echo, options};
use crate::support::wire::Wire;

#[test]
fn the_task_of_an_open_connection_is_small() {
    let wire = Wire::default();
    let arrival = arrival(wire.now());
    let ticket = ServerHandle::new(1).enter().unwrap();
    let task = serve(
        wire,
        options(Config::default()),
        Once::new(echo),
        ticket,
        arrival,
    );
    println!(
        "bytes of the task of an open connection: {}",
        size_of_val(&task)
    );
    assert!(size_of_val(&task) <= 256);
}
