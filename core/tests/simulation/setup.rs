//! How the hubs of a world are set, by its seed: small budgets, short histories, all policies.
//! RFC 7692 section 7.1 for the windows.
//! Plain data; also the words in which groups and positions reach clients.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use sansws_core::config::{Config, Deflate};
use sansws_core::hub::{
    Compress, GroupOptions, HistoryOptions, HubOptions, Notice, OutagePolicy, PresenceMode,
    Present, Publication, QueueLimits, SlowConsumerPolicy,
};
use sansws_core::limits::Rate;
use sansws_core::message::Message;
use sansws_core::time::Duration;

use crate::random::Random;

/// The groups of a world. The word before the slash says how they behave.
pub const GROUPS: [&str; 10] = [
    "log/0", "log/1", "old/0", "new/0", "key/0", "who/0", "who/1", "wait/0", "mute/0", "tight/0",
];

/// Filters that clients watch.
pub const FILTERS: [&str; 4] = ["log/+", "+/0", "#", "who/1"];

/// For how long a user is still there after the last channel has gone.
pub const GRACE: Duration = Duration::from_millis(700);

/// How messages begin on which envelopes fail.
pub const POISON: &str = "poison";

/// How old what is kept may become.
pub const AGE: Duration = Duration::from_secs(20);

/// For how long a silent node keeps its place.
pub const LEASE: Duration = Duration::from_secs(5);

/// Longest wait on one way of a byte link, in microseconds.
pub const SLOWEST: u64 = 4_000;

#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub nodes: usize,
    pub users: u8,
    /// Readers have a turn before they are judged.
    pub turns: bool,
    pub options: Arc<HubOptions>,
}

impl Setup {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5e7);
        let nodes = random.between(1, 4) as usize;
        let history = |random: &mut Random| HistoryOptions {
            messages: random.pick(&[3, 10, 40]),
            bytes: random.pick(&[600, 4_000, 1 << 20]),
            age: AGE,
            recovery: random.pick(&[2, 8, 300]),
        };
        let said = |options: GroupOptions| options.envelope(wrap).notices(word);
        let compress = random.pick(&[Compress::From(0), Compress::From(100), Compress::Never]);
        let members = PresenceMode::Members { grace: GRACE };
        let base = || said(GroupOptions::default().compress(compress));
        let rules = [
            ("log/+", base().history(history(&mut random))),
            (
                "old/+",
                base()
                    .history(history(&mut random))
                    .slow_consumer(SlowConsumerPolicy::DropOldest),
            ),
            (
                "new/+",
                base()
                    .slow_consumer(SlowConsumerPolicy::DropNewest)
                    .presence(PresenceMode::Count),
            ),
            (
                "key/+",
                base().slow_consumer(SlowConsumerPolicy::KeepLatest),
            ),
            (
                "who/+",
                base()
                    .history(history(&mut random))
                    .presence(members)
                    .slow_consumer(random.pick(&[
                        SlowConsumerPolicy::DropOldest,
                        SlowConsumerPolicy::DropNewest,
                    ])),
            ),
            ("wait/+", base().slow_consumer(SlowConsumerPolicy::Wait)),
            (
                "mute/+",
                GroupOptions::default()
                    .envelope(wrap)
                    .compress(Compress::Never)
                    .slow_consumer(SlowConsumerPolicy::DropOldest),
            ),
            (
                "tight/+",
                base().presence(members).history(HistoryOptions {
                    messages: 2,
                    ..history(&mut random)
                }),
            ),
        ];
        let mut options = HubOptions::default().queue_limits(QueueLimits {
            bytes: random.pick(&[700, 3_000, 12_000]),
            messages: random.pick(&[3, 12, 60]),
            age: Duration::from_secs(random.pick(&[1, 1, 2, 30])),
            stall: Duration::from_secs(random.pick(&[4, 60])),
        });
        for (filter, group) in rules {
            options = options.rule(filter.parse().unwrap(), group);
        }
        options.max_message = 2_000;
        options.max_history = random.pick(&[3_000, 256 << 20]);
        options.compression_level = 1;
        options.groups_per_channel = random.pick(&[3, 128]);
        options.check = random.pick(&[None, Some(Duration::from_secs(2))]);
        options.lease = Some(LEASE);
        options.on_outage = random.pick(&[OutagePolicy::ServeLocal, OutagePolicy::Refuse]);
        if random.one_in(5) {
            options.joins = Some(Rate::per_second(4));
            options.publishes = Some(Rate::per_second(12));
        }
        // Callbacks fail, and the hubs go on.
        let options = options.guard(|_, _, call| {
            let _ = catch_unwind(AssertUnwindSafe(call));
        });
        Self {
            seed,
            nodes,
            users: 1 + random.below(5) as u8,
            turns: random.one_in(2),
            options: Arc::new(options),
        }
    }

    /// How many messages of a group are kept, where no less are for their octets.
    pub fn reach(&self, group: &str) -> Option<u64> {
        let keep = self.options.of(group).history?;
        (keep.bytes >= 1 << 20).then_some(keep.messages as u64 - 1)
    }

    /// Maximum number of messages that wait for one channel, beside what is replayed to it.
    pub fn most_waiting(&self) -> usize {
        self.options.queue_limits.messages as usize * self.slack()
    }

    /// How far the budget may be overstepped before a reader had a turn.
    const fn slack(&self) -> usize {
        if self.turns { 16 } else { 1 }
    }

    /// Maximum number of bytes that wait for one channel, beside what is replayed to it: one longer message may wait alone.
    pub fn most_bytes(&self) -> usize {
        self.options.queue_limits.bytes.max(2_200) * self.slack()
    }
}

/// How the servers talk.
pub fn server_config() -> Config {
    Config {
        deflate: Some(Deflate {
            own_takeover: true,
            peer_takeover: true,
            threshold: 40,
            level: 1,
            ..Deflate::default()
        }),
        ..Config::default()
    }
}

/// How a client talks, by its shape.
pub fn client_config(shape: u16) -> Config {
    let bits = |at: u32| 9 + (shape >> at) as u8 % 7;
    Config {
        deflate: (shape & 3 != 0).then(|| Deflate {
            own_takeover: shape & 4 != 0,
            own_history: match shape & 3 {
                1 => Some(600),
                2 => Some(4096),
                _ => None,
            },
            peer_takeover: shape & 8 != 0,
            own_window_bits: bits(4),
            peer_window_bits: bits(7),
            threshold: 100,
            level: 1,
        }),
        ..Config::default()
    }
}

fn wrap(publication: &Publication) -> Message {
    let saved = if publication.unsaved { "u" } else { "s" };
    let position = publication
        .position
        .map_or_else(|| "-".into(), |position| position.to_string());
    let text = publication.as_text().unwrap_or_default();
    if text.starts_with(POISON) {
        resume_unwind(Box::new("an envelope that fails"));
    }
    format!("M {} {position} {saved} {text}", publication.group).into()
}

/// A user with its metadata.
pub fn said(present: &Present) -> String {
    let metadata = present.metadata.as_deref().unwrap_or_default();
    format!("{}={metadata}", present.user)
}

fn word(notice: &Notice) -> Option<Message> {
    let text = match notice {
        Notice::Skipped { group, count } => format!("S {group} {count}"),
        Notice::Gap {
            group,
            count: Some(count),
        } => format!("G {group} {count}"),
        Notice::Gap { group, count: None } => format!("G {group} ?"),
        Notice::Presence(change) => {
            let mut text = format!("P {} {} {}", change.group, change.epoch, change.version);
            for (sign, present) in [(" +", &change.joined), (" ~", &change.updated)] {
                for present in present {
                    text += sign;
                    text += &said(present);
                }
            }
            for user in &change.left {
                text += " -";
                text += &user.user;
            }
            text
        }
        _ => return None,
    };
    Some(text.into())
}
