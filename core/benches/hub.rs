//! Fan-out inside a node, without sockets, beside a queue for each member, which is what one writes first.
//!
//! Run: `cargo bench -p sansws-core --bench hub`
//! See: nanoseconds for each member of a publication of 125 bytes to all, and of taking it; ours and the plain queues in turns in one
//! run; the ratio of ours to theirs.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant as Clock;

use sansws_core::hub::{
    Broker, ChannelId, ChannelOptions, Hub, HubOptions, JoinOptions, NodeId, Output,
    PublishOptions, Taken,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;

/// How often each is measured; the fastest counts, since noise only adds.
const ROUNDS: usize = 40;

/// Publications before all is taken.
const IN_FLIGHT: usize = 4;

const NOW: Instant = Instant::ZERO;

struct Ours {
    hub: Hub,
    broker: Broker,
    members: Vec<ChannelId>,
}

impl Ours {
    fn new(members: usize) -> Self {
        let options = Arc::new(HubOptions::default());
        let mut ours = Self {
            hub: Hub::new(NodeId(1), Arc::clone(&options)),
            broker: Broker::new(options, 1),
            members: Vec::new(),
        };
        for _ in 0..members {
            let id = ours.hub.open(NOW, ChannelOptions::default());
            let id = id.unwrap_or_else(|error| panic!("{error}"));
            let joined = ours.hub.join(NOW, id, "lobby", JoinOptions::default());
            joined.unwrap_or_else(|error| panic!("{error}"));
            ours.members.push(id);
            ours.settle();
        }
        ours
    }

    fn settle(&mut self) {
        loop {
            while let Some(output) = self.hub.poll_output() {
                if let Output::Command(command) = output {
                    self.broker.handle(NOW, NodeId(1), command);
                }
            }
            let Some((_, event)) = self.broker.poll_event() else {
                break;
            };
            self.hub.receive(NOW, event);
        }
    }

    fn publish(&mut self, text: &str) {
        let message = PreparedMessage::new(text);
        let options = PublishOptions::default();
        let published = self.hub.publish(NOW, None, "lobby", message, options, None);
        published.unwrap_or_else(|error| panic!("{error}"));
        self.settle();
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        for id in &self.members {
            let mut put =
                |frame: &PreparedMessage, _: Option<&_>| out.extend_from_slice(frame.payload());
            while let Taken::Message(()) = self.hub.take(NOW, *id, &mut put) {}
            black_box(&out);
            out.clear();
        }
    }
}

/// A queue of shared octets for each member.
struct Theirs(Vec<VecDeque<Arc<[u8]>>>);

impl Theirs {
    fn publish(&mut self, text: &str) {
        let message: Arc<[u8]> = text.as_bytes().into();
        for queue in &mut self.0 {
            queue.push_back(Arc::clone(&message));
        }
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        for queue in &mut self.0 {
            while let Some(message) = queue.pop_front() {
                out.extend_from_slice(&message);
            }
            black_box(&out);
            out.clear();
        }
    }
}

/// The least of many times, in nanoseconds for each delivery.
fn least(times: &mut [f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn main() {
    let text = "x".repeat(125);
    println!(
        "{:>10} {:>12} {:>12} {:>8} {:>12} {:>12} {:>8}",
        "members", "publish, ns", "queues, ns", "ratio", "take, ns", "queues, ns", "ratio"
    );
    for members in [100, 1_000, 10_000] {
        let (mut ours, mut theirs) = (Ours::new(members), Theirs(vec![VecDeque::new(); members]));
        let mut times: [Vec<f64>; 4] = Default::default();
        let mut out = Vec::with_capacity(1 << 10);
        let each = (members * IN_FLIGHT) as f64;
        for _ in 0..ROUNDS {
            let mut clock = |at: usize, work: &mut dyn FnMut()| {
                let begun = Clock::now();
                work();
                if let Some(times) = times.get_mut(at) {
                    times.push(begun.elapsed().as_nanos() as f64 / each);
                }
            };
            clock(0, &mut || (0..IN_FLIGHT).for_each(|_| ours.publish(&text)));
            clock(1, &mut || {
                (0..IN_FLIGHT).for_each(|_| theirs.publish(&text))
            });
            clock(2, &mut || ours.take(&mut out));
            clock(3, &mut || theirs.take(&mut out));
        }
        let [a, b, c, d] = times.each_mut().map(|times| least(times));
        println!(
            "{members:>10} {a:>12.1} {b:>12.1} {:>8.2} {c:>12.1} {d:>12.1} {:>8.2}",
            a / b,
            c / d
        );
    }
}
