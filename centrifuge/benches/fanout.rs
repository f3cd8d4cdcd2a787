//! The cost of a delivery with the protocol beside that of a plain group: one node in memory, without sockets.
//! A publication of 64 bytes to 1 000 members, each of which takes it. Rounds alternate, and the medians are compared.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use sansws_centrifuge::{Namespace, Options};
use sansws_core::hub::{
    ChannelId, ChannelOptions, Encoding, HistoryOptions, HubOptions, JoinOptions, LocalHub,
    PublishOptions, Taken,
};
use sansws_core::message::PreparedMessage;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

const MEMBERS: usize = 1000;
const ROUNDS: usize = 200;
const NOW: Instant = Instant::from_micros(1_000_000_000);

struct Room {
    hub: LocalHub,
    members: Vec<ChannelId>,
    group: &'static str,
    times: Vec<Duration>,
}

impl Room {
    fn new((encoding, format): (Encoding, Option<u8>)) -> Self {
        let namespace = Namespace::default().recovery(HistoryOptions::default());
        let namespace = namespace.deltas();
        let options = Options::default().namespace("chat", namespace);
        let options = Arc::new(options.configure(HubOptions::default()));
        let mut room = Self {
            hub: LocalHub::new(Seed::new([1; 32]), options),
            members: Vec::new(),
            group: "chat:room",
            times: Vec::new(),
        };
        for _ in 0..MEMBERS {
            let open = ChannelOptions {
                encoding,
                ..ChannelOptions::default()
            };
            let id = room.hub.open(NOW, open).expect("there is room");
            let join = JoinOptions {
                format,
                ..JoinOptions::default()
            };
            room.hub.join(NOW, id, room.group, join).expect("it joins");
            room.members.push(id);
            while room.hub.poll_output(NOW).is_some() {}
        }
        room
    }

    fn round(&mut self) {
        let began = Clock::now();
        for _ in 0..10 {
            let text = r#"{"text":"hello to all of you in this room","number":1234567890}"#;
            let message = PreparedMessage::new(text);
            let none = PublishOptions::default();
            let published = self.hub.publish(NOW, None, self.group, message, none, None);
            published.expect("it is published");
            while self.hub.poll_output(NOW).is_some() {}
            for id in &self.members {
                let taken = self.hub.take(NOW, *id, |frame, _| frame.len());
                assert!(matches!(taken, Taken::Message(_)));
                assert_eq!(self.hub.take(NOW, *id, |_, _| ()), Taken::Nothing);
            }
        }
        self.times.push(began.elapsed());
    }

    fn median(&mut self) -> f64 {
        self.times.sort_unstable();
        let median = self.times.get(self.times.len() / 2);
        median.map_or(0.0, |time| time.as_nanos() as f64 / (10 * MEMBERS) as f64)
    }
}

fn main() {
    let kinds = [
        (Encoding::AsSent, None),
        (Encoding::Format(0), None),
        (Encoding::Format(1), None),
        // As differences from the publication before.
        (Encoding::Format(0), Some(2)),
    ];
    let mut rooms = kinds.map(Room::new);
    for _ in 0..ROUNDS {
        rooms.iter_mut().for_each(Room::round);
    }
    let [plain, json, protobuf, delta] = rooms.each_mut().map(Room::median);
    println!(
        "plain {plain:.1} ns, JSON {json:.1} ns, protobuf {protobuf:.1} ns, differences {delta:.1} ns per delivery"
    );
    println!(
        "over plain: JSON {:.3}, protobuf {:.3}, differences {:.3}",
        json / plain,
        protobuf / plain,
        delta / plain
    );
}
