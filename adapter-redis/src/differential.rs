//! Runs random requests against the scripts in a real Redis and against the Redis in memory of the simulations: both must give identical
//! replies. Times differ, and are ignored; marks are remembered for each side.

use std::sync::Arc;
use std::task::Waker;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use sansws_core::hub::{HistoryOptions, NodeId, Position, Present, PublishOptions, PublishRequest};
use sansws_core::message::PreparedMessage;
use sansws_core::time::{Duration, Instant};

use crate::connection::{Connection, Connector};
use crate::keys::Keys;
use crate::memory::{Said, Server as Memory};
use crate::name::Name;
use crate::options::RedisOptions;
use crate::request::{Channel, Incarnation, Mark, Push, Reply, Request};
use crate::scripts::Scripts;
use crate::server::Server;
use crate::wire::Messages;

/// Both sides, and the positions of groups that each has reported.
struct Both {
    memory: Memory,
    redis: Connection,
    scripts: Scripts,
    /// The marks that each side returned for one place.
    marks: Vec<(Name, Mark, Mark)>,
    now: u64,
    epoch: u64,
    random: TestRng,
}

impl Both {
    fn below(&mut self, end: u32) -> u32 {
        self.random.next_u32() % end
    }

    fn one_in(&mut self, of: u32) -> bool {
        self.below(of) == 0
    }

    fn fresh(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    fn group(&mut self) -> Name {
        ["a", "b{}%", "c"][self.below(3) as usize].into()
    }

    fn incarnation(&mut self) -> Incarnation {
        Incarnation {
            node: NodeId(1 + u64::from(self.below(2))),
            term: self.below(6),
        }
    }

    fn user(&mut self) -> Name {
        ["ada", "bob", "cleo"][self.below(3) as usize].into()
    }

    fn messages(&mut self, saved: bool) -> Messages {
        let mut messages = Messages::default();
        for _ in 0..=self.below(4) {
            let text = format!("{}", self.random.next_u32());
            messages.push(&PublishRequest {
                group: "".into(),
                message: PreparedMessage::new(text.as_str()),
                sender: None,
                options: PublishOptions {
                    without_history: !saved,
                    ..PublishOptions::default()
                },
            });
        }
        messages
    }

    /// A request for both sides, which differ only in times.
    fn draw(&mut self) -> (Request, Request) {
        let keep = Some(HistoryOptions {
            messages: 6,
            bytes: 1 << 20,
            age: Duration::from_secs(3_600),
            recovery: 4,
        });
        let (group, fresh) = (self.group(), self.fresh());
        let same = |request: Request| (request.clone(), request);
        match self.below(17) {
            0..=4 => {
                let saved = !self.one_in(4);
                let id = self.one_in(5).then(|| self.user());
                let messages = loop {
                    let messages = self.messages(saved);
                    if id.is_none() || messages.count() == 1 {
                        break messages;
                    }
                };
                same(Request::Publish {
                    group,
                    messages,
                    saved,
                    id,
                    keep: if self.one_in(12) { None } else { keep },
                    watched: self.one_in(2),
                    fresh,
                })
            }
            5 | 6 => {
                let first = self.one_in(2);
                let (memory, redis) = self.seen(&group);
                let of = |ours| Request::Position {
                    group: Arc::clone(&group),
                    ours,
                    first,
                    fresh,
                };
                (of(memory), of(redis))
            }
            7 => {
                let (seen, _) = self.seen(&group);
                let mut since = seen.map_or(
                    Position {
                        epoch: 1,
                        offset: 0,
                    },
                    |mark| mark.position,
                );
                since.offset += u64::from(self.below(2));
                same(Request::Read {
                    group,
                    since,
                    keep,
                    fresh,
                })
            }
            8 => same(Request::History {
                group,
                limit: self.below(8) as usize,
                keep,
            }),
            9 => same(Request::Presence {
                group,
                members: self.one_in(2),
            }),
            10 => {
                let places = ["{\"at\":\"home\"}", "away: 2:1", ""];
                let metadata = places[self.below(3) as usize];
                let present = Present {
                    user: self.user(),
                    metadata: (!self.one_in(4)).then(|| metadata.into()),
                    said: Instant::from_micros(1_764_000_000_000_000 + u64::from(self.below(9))),
                };
                same(Request::Enter {
                    group,
                    incarnation: self.incarnation(),
                    users: vec![present],
                    fresh,
                })
            }
            11 => {
                let users = if self.one_in(3) {
                    None
                } else {
                    Some(vec![self.user(), self.user()])
                };
                same(Request::Exit {
                    group,
                    incarnation: self.incarnation(),
                    users,
                    fresh,
                })
            }
            12 => {
                let (incarnation, lease) = (self.incarnation(), Duration::from_secs(3_600));
                same(if self.one_in(2) {
                    Request::Register {
                        incarnation,
                        groups: vec![group],
                        lease,
                    }
                } else {
                    Request::Beat {
                        incarnation,
                        watching: self.one_in(2),
                        lease,
                    }
                })
            }
            13 => same(Request::Unregister {
                incarnation: self.incarnation(),
                groups: vec![group],
                whole: self.one_in(2),
            }),
            14 => same(Request::Groups(self.incarnation())),
            15 => same(Request::RemoveHistory(group)),
            _ => {
                let channel = match self.below(4) {
                    0 => Channel::Watch,
                    _ => Channel::Group(group),
                };
                same(if self.one_in(3) {
                    Request::Unsubscribe(channel)
                } else {
                    Request::Subscribe(channel)
                })
            }
        }
    }

    /// Returns a mark of a group that was seen earlier, or sometimes one that never existed.
    fn seen(&mut self, group: &Name) -> (Option<Mark>, Option<Mark>) {
        let of_group: Vec<_> = self
            .marks
            .iter()
            .filter(|(name, ..)| name == group)
            .cloned()
            .collect();
        if of_group.is_empty() || self.one_in(4) {
            return (None, None);
        }
        let at = of_group.len() - 1 - (self.below(6) as usize).min(of_group.len() - 1);
        let (_, mut memory, mut redis) = of_group[at].clone();
        if at + 1 == of_group.len() && self.one_in(4) {
            memory.position.offset += 30;
            redis.position.offset += 30;
        }
        // In Redis an id is forgotten with the messages published beside it, in memory by itself.
        if at + 1 == of_group.len() && self.one_in(2) {
            memory.time -= 1;
            redis.time -= 1;
        }
        (Some(memory), Some(redis))
    }

    /// Returns what both reply; `None` if they refuse.
    async fn ask(&mut self, memory: Request, redis: Request) -> [(Option<Reply>, Vec<Push>); 2] {
        self.now += 1_000;
        self.memory.execute(self.now, 1, 1, memory);
        let mut replies = Vec::new();
        let mut pushes = Vec::new();
        while let Some((_, said)) = self.memory.poll() {
            match said {
                Said::Reply(_, reply) => replies.push(reply.ok()),
                Said::Push(push) => pushes.push(push),
            }
        }
        let of_memory = (replies.pop().unwrap(), pushes);
        let mut replies = Vec::new();
        // The second arrives after everything that the first caused.
        for request in [
            redis,
            Request::Groups(Incarnation {
                node: NodeId(9),
                term: 9,
            }),
        ] {
            let asking = self
                .redis
                .ask(vec![(1, self.scripts.call(request))])
                .pop()
                .unwrap();
            let (_, answer) = asking.await.unwrap().pop().unwrap();
            replies.push(answer.ok());
        }
        let mut pushes = Vec::new();
        self.redis
            .pushed
            .drain(Waker::noop(), |push| pushes.push(push))
            .unwrap();
        [of_memory, (replies.swap_remove(0), pushes)]
    }
}

/// Returns the reply without its times.
fn timeless((mut reply, mut pushes): (Option<Reply>, Vec<Push>)) -> (Option<Reply>, Vec<Push>) {
    match &mut reply {
        Some(Reply::Position { mark, newest }) => (mark.time, *newest) = (0, 0),
        Some(Reply::Published { time, .. } | Reply::Beat { time, .. }) => *time = 0,
        Some(Reply::Kept { entries, .. }) => entries.iter_mut().for_each(|entry| entry.time = 0),
        Some(Reply::Groups(groups)) => groups.sort(),
        _ => {}
    }
    for push in &mut pushes {
        if let Push::Message(_, payload) = push {
            // It follows the name of the group if it is for watchers of filters.
            let inner = match payload[..] {
                [1, 6, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
                _ => 0,
            };
            if payload.get(inner + 1) == Some(&1) {
                payload[inner + 18..inner + 26].fill(0);
            }
        }
    }
    (reply, pushes)
}

#[test]
fn scripts_do_in_redis_what_is_done_in_memory() {
    let server = Server::forgetful();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Other tests of this program must not choose a runtime.
    runtime.block_on(async {
        for seed in 0..12_u8 {
            server.cli(&["FLUSHALL"]);
            let options = RedisOptions::one(server.url(), "test");
            let scripts = Scripts::new(Keys::new("test"), seed % 2 == 1);
            let redis = Connector::new(options)
                .unwrap()
                .connect(&scripts)
                .await
                .unwrap();
            let mut both = Both {
                memory: Memory::new(),
                redis,
                scripts,
                marks: Vec::new(),
                now: 1_764_000_001_000_000,
                epoch: 1,
                random: TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]),
            };
            both.memory.open(1);
            let mut last = Vec::new();
            for step in 0..400 {
                let (memory, redis) = both.draw();
                last.push(redis.clone());
                let group = match &redis {
                    Request::Publish { group, .. } | Request::Position { group, .. } => {
                        Some(group.clone())
                    }
                    _ => None,
                };
                let count = match &redis {
                    Request::Publish {
                        messages,
                        saved: true,
                        ..
                    } => messages.count() as u64,
                    _ => 0,
                };
                // Now and then nobody may publish: what is refused has no effect.
                let forbids = matches!(redis, Request::Publish { .. }) && both.one_in(6);
                both.memory.refuses = |_| false;
                if forbids {
                    both.memory.refuses = |_| true;
                    server.cli(&["ACL", "SETUSER", "default", "-publish", "-spublish"]);
                }
                let [memory, redis] = both.ask(memory, redis).await;
                if forbids {
                    server.cli(&["ACL", "SETUSER", "default", "+publish", "+spublish"]);
                }
                if let Some(group) = group {
                    let mark = |reply: &Option<Reply>| match reply {
                        Some(Reply::Position { mark, .. }) => Some(*mark),
                        Some(Reply::Published { before, time }) if count > 0 => Some(Mark {
                            position: Position {
                                offset: before.offset + count,
                                ..*before
                            },
                            time: *time,
                        }),
                        _ => None,
                    };
                    if let (Some(memory), Some(redis)) = (mark(&memory.0), mark(&redis.0)) {
                        both.marks.push((group, memory, redis));
                    }
                }
                let before = &last[last.len().saturating_sub(12)..];
                assert_eq!(
                    timeless(memory),
                    timeless(redis),
                    "seed {seed}, step {step}: {before:?}"
                );
            }
        }
    });
}
