//! The operations of a world, as values: drawn from a seed up front, so that they can be replayed and left out one by one.
//! Knows no world: numbers choose among what there is when an operation is done.

use core::num::NonZeroU8;

use crate::plane::TROUBLES;
use crate::random::Random;

/// One thing that happens. A client without a connection does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Connect {
        client: u8,
        node: u8,
        user: u8,
        shape: u16,
    },
    Join {
        client: u8,
        group: u8,
        since: bool,
    },
    /// A join whose answer nobody waits for.
    DropJoin {
        client: u8,
        group: u8,
        since: bool,
    },
    Leave {
        client: u8,
        group: u8,
    },
    /// Other metadata.
    Meta {
        client: u8,
        value: u8,
    },
    /// `count` messages one after another; by the node itself when `flags` says so.
    Publish {
        client: u8,
        group: u8,
        count: u8,
        flags: u8,
        size: u16,
    },
    Direct {
        client: u8,
        target: u16,
    },
    ToUser {
        client: u8,
        user: u8,
    },
    Echo {
        client: u8,
        size: u16,
    },
    Ping {
        client: u8,
        count: u8,
    },
    Watch {
        client: u8,
        filter: u8,
    },
    Unwatch {
        client: u8,
        filter: u8,
    },
    CloseAll {
        node: u8,
        group: u8,
    },
    CloseUser {
        node: u8,
        user: u8,
    },
    CloseChannel {
        node: u8,
        target: u16,
    },
    Quit {
        client: u8,
    },
    /// The connection breaks; `loud`: both ends see it at once.
    Cut {
        client: u8,
        loud: bool,
    },
    Stall {
        client: u8,
    },
    Unstall {
        client: u8,
    },
    /// The link of a node breaks, and the node knows.
    Partition {
        node: u8,
    },
    /// Nothing passes the link of a node, and nobody knows.
    Hush {
        node: u8,
    },
    Heal {
        node: u8,
    },
    /// The next messages of groups on the way to a node get lost.
    Lose {
        node: u8,
        count: u8,
    },
    Restart,
    /// Something that goes wrong with some backplanes only.
    Trouble {
        kind: u8,
    },
    Crash {
        node: u8,
    },
    Drain {
        node: u8,
    },
    Pass {
        millis: u16,
    },
}

pub const EXCLUDE: u8 = 1;
pub const UNSAVED: u8 = 2;
pub const KEY: u8 = 4;
pub const ID: u8 = 8;
pub const EXPIRES: u8 = 16;
pub const BY_NODE: u8 = 32;
/// The envelope fails on it.
pub const POISON: u8 = 64 | 128;

/// Draws what happens in the world of a seed.
pub fn draw(seed: u64, count: usize) -> Vec<Op> {
    let mut random = Random::new(seed ^ 0x0b5);
    let clients = 1 + random.below(12) as u8;
    let mut ops = Vec::with_capacity(count + usize::from(clients));
    for client in 0..clients {
        ops.push(connect(&mut random, client));
    }
    // Some worlds are calm: then what goes wrong is not hidden by what was meant to go wrong.
    let calm = random.one_in(4);
    // Few groups, so that much happens in each.
    let groups: Vec<u8> = (0..random.between(1, 5))
        .map(|_| random.next() as u8)
        .collect();
    for client in 0..clients {
        let (group, since) = (random.pick(&groups), random.one_in(4));
        ops.push(Op::Join {
            client,
            group,
            since,
        });
    }
    ops.push(Op::Pass { millis: 60 });
    while ops.len() < count {
        let client = random.below(u64::from(clients)) as u8;
        let group = random.pick(&groups);
        ops.push(one(&mut random, client, group, calm));
        // A client that comes back often goes on where it was.
        if let Some(Op::Connect { .. }) = ops.last()
            && random.one_in(2)
        {
            ops.push(Op::Pass { millis: 30 });
            let since = true;
            ops.push(Op::Join {
                client,
                group,
                since,
            });
        }
    }
    if seed % 7 < 2 {
        watch(seed, clients, &groups, &mut ops);
    }
    let mut random = Random::new(seed ^ 0x7b0);
    if let Some(kinds) = NonZeroU8::new(TROUBLES)
        && !calm
    {
        for _ in 0..random.below(10) {
            let at = random.between(ops.len() as u64 / 8, ops.len() as u64) as usize;
            let kind = random.next() as u8 % kinds.get();
            ops.insert(at, Op::Trouble { kind });
        }
    }
    ops
}

/// In some worlds many watch, while others come and go where something is published.
fn watch(seed: u64, clients: u8, groups: &[u8], ops: &mut Vec<Op>) {
    let mut random = Random::new(seed ^ 0x3a7);
    let begun = usize::from(clients) * 2 + 1;
    for client in 0..clients {
        if random.one_in(2) {
            let filter = random.next() as u8;
            ops.insert(begun.min(ops.len()), Op::Watch { client, filter });
        }
    }
    for _ in 0..random.between(5, 25) {
        let at = random.between(begun as u64, ops.len() as u64) as usize;
        let group = random.pick(groups);
        let client = random.below(u64::from(clients)) as u8;
        let other = random.below(u64::from(clients)) as u8;
        let millis = random.pick(&[1, 1, 3, 10, 30]);
        let since = false;
        let publish = Op::Publish {
            client: other,
            group,
            count: random.pick(&[1, 2, 4]),
            flags: random.pick(&[0, UNSAVED, BY_NODE, BY_NODE | UNSAVED]),
            size: 5,
        };
        let leave = Op::Leave { client, group };
        let join = Op::Join {
            client,
            group,
            since,
        };
        let pass = Op::Pass { millis };
        let all = if random.one_in(2) {
            [publish, leave, publish, pass, join, publish]
        } else {
            [publish, join, publish, pass, leave, publish]
        };
        ops.splice(at..at, all);
    }
}

fn connect(random: &mut Random, client: u8) -> Op {
    Op::Connect {
        client,
        node: random.next() as u8,
        user: random.next() as u8,
        shape: random.next() as u16,
    }
}

fn one(random: &mut Random, client: u8, group: u8, calm: bool) -> Op {
    let node = random.next() as u8;
    match random.below(if calm { 79 } else { 103 }) {
        0..=7 => connect(random, client),
        8..=19 => Op::Join {
            client,
            group,
            since: random.one_in(2),
        },
        20..=23 => Op::Leave { client, group },
        24..=45 => publish(random, client, group),
        46..=62 => Op::Pass {
            millis: random.pick(&[1, 3, 10, 30, 100, 400, 1500]),
        },
        63..=66 => Op::Direct {
            client,
            target: random.next() as u16,
        },
        67..=68 => Op::ToUser {
            client,
            user: random.next() as u8,
        },
        69..=71 => Op::Echo {
            client,
            size: random.between(1, 600) as u16,
        },
        72 => Op::Ping {
            client,
            count: random.between(1, 20) as u8,
        },
        73 => Op::Watch {
            client,
            filter: random.next() as u8,
        },
        74 => Op::Unwatch {
            client,
            filter: random.next() as u8,
        },
        75 => Op::Quit { client },
        76 | 77 => Op::Meta {
            client,
            value: random.next() as u8,
        },
        78 => Op::DropJoin {
            client,
            group,
            since: random.one_in(2),
        },
        79..=82 => Op::Cut {
            client,
            loud: random.one_in(2),
        },
        83..=86 => Op::Stall { client },
        87..=89 => Op::Unstall { client },
        90..=91 => Op::Partition { node },
        92 => Op::Hush { node },
        93..=95 => Op::Heal { node },
        96..=97 => Op::Lose {
            node,
            count: random.between(1, 4) as u8,
        },
        98 => match random.below(4) {
            0 => Op::CloseAll { node, group },
            1 => Op::CloseUser {
                node,
                user: random.next() as u8,
            },
            _ => Op::CloseChannel {
                node,
                target: random.next() as u16,
            },
        },
        99 => random.pick(&[Op::Restart, Op::Crash { node }, Op::Drain { node }]),
        100 => Op::Pass { millis: 6_000 },
        _ => publish(random, client, group),
    }
}

fn publish(random: &mut Random, client: u8, group: u8) -> Op {
    let count = random.pick(&[1, 1, 1, 2, 3, 5, 9, 17]);
    Op::Publish {
        client,
        group,
        count,
        flags: random.next() as u8 & random.next() as u8,
        size: random.pick(&[1, 5, 20, 80, 200, 400, 900]),
    }
}
