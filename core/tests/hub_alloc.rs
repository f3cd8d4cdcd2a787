//! The allocations of a publication, however many members receive it.

use std::alloc::System;
use std::sync::Arc;

use sansws_core::hub::{
    Broker, ChannelId, ChannelOptions, Hub, HubOptions, JoinOptions, NodeId, Output,
    PublishOptions, Taken,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Instant = Instant::ZERO;

struct World {
    hub: Hub,
    broker: Broker,
    members: Vec<ChannelId>,
}

impl World {
    fn new(members: usize) -> Self {
        let options = Arc::new(HubOptions::default());
        let mut world = Self {
            hub: Hub::new(NodeId(1), Arc::clone(&options)),
            broker: Broker::new(options, 1),
            members: Vec::new(),
        };
        for _ in 0..members {
            let id = world.hub.open(NOW, ChannelOptions::default()).unwrap();
            world
                .hub
                .join(NOW, id, "lobby", JoinOptions::default())
                .unwrap();
            world.members.push(id);
            world.settle();
        }
        world
    }

    fn settle(&mut self) -> usize {
        let mut wakes = 0;
        loop {
            while let Some(output) = self.hub.poll_output() {
                match output {
                    Output::Command(command) => self.broker.handle(NOW, NodeId(1), command),
                    Output::Wake(_) => wakes += 1,
                    _ => {}
                }
            }
            let Some((_, event)) = self.broker.poll_event() else {
                return wakes;
            };
            self.hub.receive(NOW, event);
        }
    }

    fn publish(&mut self) -> usize {
        let options = PublishOptions::default();
        let message = PreparedMessage::new("hello");
        self.hub
            .publish(NOW, None, "lobby", message, options, None)
            .unwrap();
        self.settle()
    }

    fn take(&mut self) {
        for id in &self.members {
            while let Taken::Message(()) = self.hub.take(NOW, *id, |_, _| ()) {}
        }
    }
}

/// Both tests count what the process allocates: they are one, so that nothing runs beside.
#[test]
fn a_publication_to_ten_thousand_members_allocates_no_more_than_one_to_ten_and_wakes_each_once() {
    let mut counts = Vec::new();
    for members in [10, 10_000] {
        let mut world = World::new(members);
        // Memory that all channels share grows to its size.
        for _ in 0..4 {
            world.publish();
        }
        world.take();
        let region = Region::new(COUNTED);
        let wakes: Vec<usize> = (0..4).map(|_| world.publish()).collect();
        let published = region.change();
        world.take();
        let taken = region.change();
        assert_eq!(wakes, [members, 0, 0, 0]);
        counts.push((
            published.allocations + published.reallocations,
            taken.allocations + taken.reallocations,
        ));
    }
    println!("allocations of 4 publications, and with 4 deliveries to each: {counts:?}");
    let [few, many] = [counts[0], counts[1]];
    assert_eq!(few, many);
    assert_eq!(many.0, many.1, "taking allocates nothing");
}
