//! The memory of connections in groups. A rise says where to look.

use std::alloc::System;
use std::sync::Arc;

use sansws_core::hub::{ChannelOptions, HubOptions, JoinOptions, LocalHub};
use sansws_core::random::Seed;
use sansws_core::time::Instant;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Instant = Instant::ZERO;
const CONNECTIONS: usize = 16_384;

/// Returns the bytes that are allocated for each connection.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    (change.bytes_allocated - change.bytes_deallocated) / CONNECTIONS
}

#[test]
fn a_channel_in_three_groups_of_nine_is_small() {
    let region = Region::new(COUNTED);
    let mut ids = Vec::with_capacity(CONNECTIONS);
    let mut hub = LocalHub::new(Seed::new([7; 32]), Arc::new(HubOptions::default()));
    let own = held(&region);
    for _ in 0..CONNECTIONS {
        ids.push(hub.open(NOW, ChannelOptions::default()).unwrap());
    }
    let alone = held(&region) - own;
    let count = CONNECTIONS / 9;
    for (n, id) in ids.iter().enumerate() {
        for group in [
            format!("near-{}", n / 9),
            format!("far-{}", n % count),
            format!("farther-{}", n * 7 % count),
        ] {
            hub.join(NOW, *id, &group, JoinOptions::default()).unwrap();
            while hub.poll_output(NOW).is_some() {}
        }
    }
    let joined = held(&region) - own;
    println!("bytes of a channel: {alone}; in three groups: {joined}");
    assert!(alone <= 160);
    assert!(joined <= 400);
}
