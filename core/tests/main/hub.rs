//! Rules of the hub, one in each test: nodes, a broker and time as values, no connection.
//! RFC 6455 section 7.4.1 for close codes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sansws_core::close::CloseCode;
use sansws_core::frame::MessageKind;
use sansws_core::hub::{
    BackplaneCommand, BackplaneEvent, Broker, ChannelId, ChannelOptions, Compress, Encoding,
    GroupOptions, HistoryOptions, Hub, HubError, HubEvent, HubInput, HubOptions, Instruction,
    JoinOptions, Joined, NodeId, Notice, OutagePolicy, Output, Position, PresenceMode, Publication,
    PublishOptions, PublishRequest, Published, QueueLimits, Recovered, RecoveryFailure, Reply,
    Sent, Signal, SlowConsumerPolicy, Taken, Target,
};
use sansws_core::limits::Rate;
use sansws_core::message::PreparedMessage;
use sansws_core::time::Instant;

/// Nodes and their broker, linked without delay.
struct World {
    now: Instant,
    broker: Broker,
    hubs: Vec<Hub>,
    joined: Vec<(ChannelId, Arc<str>, Joined)>,
    published: BTreeMap<u64, Result<Published, HubError>>,
    events: Vec<HubEvent>,
    wakes: Vec<(NodeId, u32)>,
    rooms: u32,
    signals: Vec<(ChannelId, Signal)>,
    commands: Vec<BackplaneCommand>,
}

impl World {
    fn new(nodes: u64, options: HubOptions) -> Self {
        let options = Arc::new(options);
        let mut hubs: Vec<Hub> = (1..=nodes)
            .map(|node| Hub::new(NodeId(node), Arc::clone(&options)))
            .collect();
        hubs.iter_mut().for_each(|hub| hub.listen(true, true));
        Self {
            now: Instant::from_micros(1_000_000),
            broker: Broker::new(options, 100),
            hubs,
            joined: Vec::new(),
            published: BTreeMap::new(),
            events: Vec::new(),
            wakes: Vec::new(),
            rooms: 0,
            signals: Vec::new(),
            commands: Vec::new(),
        }
    }

    fn one(group: GroupOptions) -> Self {
        Self::new(1, HubOptions::default().groups(group))
    }

    /// Carries everything where it belongs.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for hub in &mut self.hubs {
                while let Some(output) = hub.poll_output() {
                    moved = true;
                    match output {
                        Output::Command(command) => {
                            self.commands.push(command.clone());
                            self.broker.handle(self.now, hub.node(), command);
                        }
                        Output::Joined(id, group, joined) => {
                            self.joined.push((id, group, joined.unwrap()));
                        }
                        Output::Published(token, result) => {
                            self.published.insert(token, result);
                        }
                        Output::Wake(slot) => self.wakes.push((hub.node(), slot)),
                        Output::Event(event) => self.events.push(event),
                        Output::Room => self.rooms += 1,
                        Output::Signal(id, signal) => self.signals.push((id, signal)),
                        Output::Answer(..) => unreachable!("the test asks nothing"),
                    }
                }
            }
            while let Some((node, event)) = self.broker.poll_event() {
                moved = true;
                let hub = self.hubs.iter_mut().find(|hub| hub.node() == node);
                hub.unwrap().receive(self.now, event);
            }
            if !moved {
                break;
            }
        }
        for hub in &self.hubs {
            assert!(hub.snapshot().adds_up(), "{:?}", hub.snapshot());
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let hubs = self.hubs.iter().filter_map(Hub::deadline);
            let next = hubs.chain(self.broker.deadline()).min();
            self.now = next.map_or(end, |next| next.max(self.now).min(end));
            self.broker.tick(self.now);
            for hub in &mut self.hubs {
                hub.tick(self.now);
            }
            self.settle();
            if self.now == end {
                break;
            }
            self.now = self.now + Duration::from_micros(1);
        }
    }

    fn hub(&mut self, id: ChannelId) -> &mut Hub {
        self.hubs
            .iter_mut()
            .find(|hub| hub.node() == id.node)
            .unwrap()
    }

    fn open(&mut self, node: usize) -> ChannelId {
        self.open_as(node, ChannelOptions::default())
    }

    fn open_as(&mut self, node: usize, open: ChannelOptions) -> ChannelId {
        let id = self.hubs[node].open(self.now, open).unwrap();
        self.settle();
        id
    }

    fn user(&mut self, node: usize, user: &str) -> ChannelId {
        self.open_as(
            node,
            ChannelOptions {
                user: Some(user.into()),
                ..ChannelOptions::default()
            },
        )
    }

    fn join(&mut self, id: ChannelId, group: &str) -> Joined {
        self.join_since(id, group, None)
    }

    fn join_since(&mut self, id: ChannelId, group: &str, since: Option<Position>) -> Joined {
        let now = self.now;
        let joined = self
            .hub(id)
            .join(now, id, group, JoinOptions::recover(since))
            .unwrap();
        self.settle();
        let late = self.joined.pop();
        joined.unwrap_or_else(|| {
            let (of, name, joined) = late.unwrap();
            assert_eq!((of, &*name), (id, group));
            joined
        })
    }

    fn leave(&mut self, id: ChannelId, group: &str) {
        let now = self.now;
        self.hub(id).leave(now, id, group).unwrap();
        self.settle();
    }

    fn publish(&mut self, group: &str, text: &str) -> Published {
        self.publish_with(group, text, PublishOptions::default())
            .unwrap()
    }

    fn publish_with(
        &mut self,
        group: &str,
        text: &str,
        options: PublishOptions,
    ) -> Result<Published, HubError> {
        self.publish_from(0, group, text, options)
    }

    fn publish_from(
        &mut self,
        node: usize,
        group: &str,
        text: &str,
        options: PublishOptions,
    ) -> Result<Published, HubError> {
        let token = self.hubs[node].next_token();
        let message = PreparedMessage::new(text);
        self.hubs[node].publish(self.now, None, group, message, options, Some(token))?;
        self.settle();
        self.published.remove(&token).unwrap()
    }

    fn close(&mut self, id: ChannelId) {
        let now = self.now;
        self.hub(id).closed(now, id);
        self.settle();
    }

    fn take(&mut self, id: ChannelId) -> Taken<String> {
        let now = self.now;
        let give = |frame: &PreparedMessage, _: Option<&Arc<Publication>>| {
            String::from_utf8(frame.payload().to_vec()).unwrap()
        };
        self.hub(id).take(now, id, give)
    }

    /// All that waits for a channel.
    fn all(&mut self, id: ChannelId) -> Vec<String> {
        let mut all = Vec::new();
        while let Taken::Message(text) = self.take(id) {
            all.push(text);
        }
        self.settle();
        all
    }

    fn counters(&self) -> sansws_core::hub::HubCounters {
        self.hubs[0].snapshot().counters
    }
}

fn history() -> GroupOptions {
    GroupOptions::default().history(HistoryOptions::default())
}

fn small(messages: u32, bytes: usize) -> QueueLimits {
    QueueLimits {
        messages,
        bytes,
        ..QueueLimits::default()
    }
}

fn crowded(overflow: SlowConsumerPolicy) -> World {
    let options = GroupOptions::default()
        .slow_consumer(overflow)
        .notices(|notice| match notice {
            Notice::Skipped { count, .. } => Some(format!("skipped {count}").into()),
            _ => None,
        });
    World::new(
        1,
        HubOptions::default()
            .groups(options)
            .queue_limits(small(3, 1000)),
    )
}

#[test]
fn join_and_leave_are_idempotent_and_say_what_changed() {
    let mut world = World::one(GroupOptions::default());
    let (ada, bob) = (world.open(0), world.open(0));
    let joined = world.join(ada, "lobby");
    assert!(joined.added && joined.opened);
    let again = world.join(ada, "lobby");
    assert!(!again.added && !again.opened);
    let joined = world.join(bob, "lobby");
    assert!(joined.added && !joined.opened);
    let (now, hub) = (world.now, &mut world.hubs[0]);
    let left = hub.leave(now, ada, "lobby").unwrap();
    assert!(left.removed && !left.emptied);
    let left = hub.leave(now, ada, "lobby").unwrap();
    assert!(!left.removed && !left.emptied);
    let left = hub.leave(now, ada, "never heard of").unwrap();
    assert!(!left.removed);
    let left = hub.leave(now, bob, "lobby").unwrap();
    assert!(left.removed && left.emptied);
    world.settle();
    assert_eq!(
        world.events,
        [
            HubEvent::Opened("lobby".into()),
            HubEvent::Joined {
                group: "lobby".into(),
                channel: ada
            },
            HubEvent::Joined {
                group: "lobby".into(),
                channel: bob
            },
            HubEvent::Left {
                group: "lobby".into(),
                channel: ada
            },
            HubEvent::Left {
                group: "lobby".into(),
                channel: bob
            },
            HubEvent::Emptied("lobby".into()),
        ]
    );
}

#[test]
fn a_connection_that_ends_leaves_all_its_groups() {
    let mut world = World::one(GroupOptions::default());
    let (ada, bob) = (world.open(0), world.open(0));
    for group in ["a", "b", "c"] {
        world.join(ada, group);
        world.join(bob, group);
    }
    let names: Vec<Arc<str>> = world.hubs[0].groups_of(ada);
    assert_eq!(names, ["a".into(), "b".into(), "c".into()]);
    world.close(ada);
    for group in ["a", "b", "c"] {
        assert_eq!(world.hubs[0].members(group), [bob]);
        assert_eq!(world.publish(group, group).position.unwrap().offset, 1);
    }
    assert_eq!(world.all(bob), ["a", "b", "c"]);
    world.close(bob);
    assert_eq!(world.hubs[0].groups().count(), 0);
    assert_eq!(world.hubs[0].snapshot().gauges.channels, 0);
}

#[test]
fn a_channel_that_retires_receives_nothing_and_still_publishes() {
    let mut world = World::one(history());
    let (ada, bob) = (world.user(0, "ada"), world.open(0));
    world.join(ada, "lobby");
    world.join(bob, "lobby");
    world.publish("lobby", "before");
    let now = world.now;
    world.hub(ada).retire(now, ada);
    world.settle();
    assert_eq!(world.hubs[0].members("lobby"), [bob]);
    assert_eq!(world.take(ada), Taken::Nothing);
    let (hub, options) = (world.hub(ada), PublishOptions::default());
    hub.publish(now, Some(ada), "lobby", "last words".into(), options, None)
        .unwrap();
    let refused = hub.join(now, ada, "lobby", JoinOptions::default());
    assert_eq!(refused, Err(HubError::Gone));
    assert_eq!(hub.send_to(now, ada, "late".into()), Ok(Sent::Gone));
    assert!(hub.close(now, ada, CloseCode::NORMAL, ""));
    world.settle();
    assert_eq!(world.all(bob), ["before", "last words"]);
    assert_eq!(world.take(ada), Taken::Nothing);
    assert_eq!(world.hubs[0].snapshot().gauges.channels, 2);
    world.close(ada);
    assert_eq!(world.hubs[0].snapshot().gauges.channels, 1);
}

#[test]
fn a_stale_id_is_a_counted_no_op_though_its_place_is_used_again() {
    let mut world = World::one(GroupOptions::default());
    let old = world.open(0);
    world.close(old);
    let new = world.open(0);
    assert_eq!(old.slot(), new.slot());
    assert_ne!(old, new);
    let (now, hub) = (world.now, &mut world.hubs[0]);
    assert_eq!(
        hub.join(now, old, "x", JoinOptions::default()),
        Err(HubError::Gone)
    );
    assert_eq!(hub.leave(now, old, "x"), Err(HubError::Gone));
    assert_eq!(hub.touch(now, old), Err(HubError::Gone));
    assert_eq!(hub.send_to(now, old, "x".into()), Ok(Sent::Gone));
    assert!(!hub.close(now, old, CloseCode::NORMAL, ""));
    hub.closed(now, old);
    assert_eq!(hub.take(now, old, |_, _| ()), Taken::Nothing);
    world.settle();
    assert!(world.counters().stale >= 5);
    assert_eq!(world.hubs[0].snapshot().gauges.channels, 1);
    assert_eq!(world.take(new), Taken::Nothing);
}

#[test]
fn a_message_is_sent_to_one_channel_by_its_id_from_any_node() {
    let mut world = World::new(2, HubOptions::default());
    let (ada, bob) = (world.open(0), world.open(1));
    let now = world.now;
    world.join(bob, "lobby");
    let sent = world.hubs[0].send_to(now, ada, "here".into()).unwrap();
    assert_eq!(sent, Sent::Queued);
    let sent = world.hubs[0].send_to(now, bob, "there".into()).unwrap();
    assert_eq!(sent, Sent::Forwarded);
    world.settle();
    assert_eq!(world.all(ada), ["here"]);
    assert_eq!(world.all(bob), ["there"]);
    let nobody = ChannelId::from_parts(NodeId(99), 0, 0);
    world.hubs[0].send_to(now, nobody, "lost".into()).unwrap();
    world.settle();
    assert_eq!(world.broker.counters().undeliverable, 1);
}

#[test]
fn a_user_is_sent_to_on_all_its_channels_on_all_nodes() {
    let mut world = World::new(2, HubOptions::default());
    let ada = [
        world.user(0, "ada"),
        world.user(0, "ada"),
        world.user(1, "ada"),
    ];
    let bob = world.user(1, "bob");
    let now = world.now;
    world.hubs[0].send_to_user(now, "ada", "hi".into()).unwrap();
    world.settle();
    for id in ada {
        assert_eq!(world.all(id), ["hi"]);
    }
    assert_eq!(world.all(bob), [""; 0]);
    // It is in no group that anybody sees.
    assert!(world.hubs[0].groups_of(ada[0]).is_empty());
    assert_eq!(world.hubs[0].groups().count(), 0);
    world.hubs[1]
        .close_user("ada", CloseCode::POLICY, "revoked")
        .unwrap();
    world.settle();
    for id in ada {
        let closed = Taken::Close(CloseCode::POLICY, "revoked".into());
        assert_eq!(world.take(id), closed);
    }
    assert_eq!(world.take(bob), Taken::Nothing);
}

#[test]
fn all_members_on_all_nodes_receive_one_order_the_publisher_too() {
    let mut world = World::new(3, HubOptions::default());
    let ids: Vec<ChannelId> = (0..3).map(|node| world.open(node)).collect();
    for id in &ids {
        world.join(*id, "lobby");
    }
    let now = world.now;
    for round in 0..5 {
        for (node, id) in ids.iter().enumerate() {
            let text = format!("{round}{node}");
            let message = PreparedMessage::new(text.as_str());
            world.hubs[node]
                .publish(
                    now,
                    Some(*id),
                    "lobby",
                    message,
                    PublishOptions::default(),
                    None,
                )
                .unwrap();
        }
    }
    world.settle();
    let first = world.all(ids[0]);
    assert_eq!(first.len(), 15);
    for id in &ids[1..] {
        assert_eq!(world.all(*id), first);
    }
}

#[test]
fn excluded_channels_do_not_receive_also_on_other_nodes() {
    let mut world = World::new(2, history_options());
    let (ada, bob, eve) = (world.open(0), world.open(1), world.open(1));
    for id in [ada, bob, eve] {
        world.join(id, "lobby");
    }
    let options = PublishOptions {
        exclude: vec![eve, ada],
        ..PublishOptions::default()
    };
    world.publish_with("lobby", "secret", options).unwrap();
    assert_eq!(world.all(bob), ["secret"]);
    assert_eq!(world.all(ada), [""; 0]);
    // Nor by recovery.
    let since = world.join(eve, "lobby").position.unwrap();
    world.leave(eve, "lobby");
    let since = Position {
        offset: since.offset - 1,
        ..since
    };
    let joined = world.join_since(eve, "lobby", Some(since));
    assert_eq!(joined.recovered, Recovered::Complete(0));
    assert_eq!(world.all(eve), [""; 0]);
}

fn history_options() -> HubOptions {
    HubOptions::default().groups(history())
}

#[test]
fn a_publication_is_framed_once_whatever_the_fan_out() {
    let mut world = World::new(2, HubOptions::default());
    for node in [0, 1] {
        for _ in 0..50 {
            let id = world.open(node);
            world.join(id, "lobby");
        }
    }
    for _ in 0..7 {
        world.publish("lobby", "hello");
    }
    assert_eq!(world.broker.counters().encodes, 7);
    assert_eq!(world.broker.counters().deflates, 0);
    let fan_out: u64 = world
        .hubs
        .iter()
        .map(|hub| hub.snapshot().counters.fan_out)
        .sum();
    assert_eq!(fan_out, 700);
    assert!(
        world
            .hubs
            .iter()
            .all(|hub| hub.snapshot().counters.encodes == 0)
    );
    assert_eq!(world.hubs[0].snapshot().gauges.held_bytes, 7 * 5);
    assert_eq!(world.hubs[0].snapshot().gauges.waiting_bytes, 50 * 7 * 5);
}

#[cfg(feature = "deflate")]
#[test]
fn a_publication_is_compressed_once_for_each_window_that_was_agreed_on() {
    let mut world = World::one(GroupOptions::default().compress(Compress::From(100)));
    for bits in [None, Some(15), Some(15), Some(10), Some(15)] {
        let open = ChannelOptions {
            window_bits: bits,
            ..ChannelOptions::default()
        };
        let id = world.open_as(0, open);
        world.join(id, "lobby");
    }
    world.publish("lobby", &"long enough to be compressed ".repeat(20));
    assert_eq!(world.broker.counters().deflates, 2);
    world.publish("lobby", "short");
    assert_eq!(world.broker.counters().deflates, 2);
    let mut never = World::one(GroupOptions::default().compress(Compress::Never));
    let open = ChannelOptions {
        window_bits: Some(15),
        ..ChannelOptions::default()
    };
    let id = never.open_as(0, open);
    never.join(id, "lobby");
    never.publish("lobby", &"secret ".repeat(200));
    assert_eq!(never.broker.counters().deflates, 0);
}

#[test]
fn the_kind_that_a_channel_takes_is_honoured() {
    let mut world = World::one(GroupOptions::default());
    let ids = [Encoding::AsSent, Encoding::Text, Encoding::Binary].map(|encoding| {
        let open = ChannelOptions {
            encoding,
            ..ChannelOptions::default()
        };
        let id = world.open_as(0, open);
        world.join(id, "lobby");
        id
    });
    let now = world.now;
    for message in [
        PreparedMessage::new("text"),
        PreparedMessage::new(&[0xff, 0][..]),
    ] {
        world.hubs[0]
            .publish(now, None, "lobby", message, PublishOptions::default(), None)
            .unwrap();
    }
    world.settle();
    let mut kinds = Vec::new();
    for id in ids {
        let mut own = Vec::new();
        while let Taken::Message(kind) = world.hubs[0].take(now, id, |frame, _| frame.kind()) {
            own.push(kind);
        }
        kinds.push(own);
    }
    assert_eq!(kinds[0], [MessageKind::Text, MessageKind::Binary]);
    // Octets that are no text can't be had as text: that is counted.
    assert_eq!(kinds[1], [MessageKind::Text]);
    assert_eq!(kinds[2], [MessageKind::Binary, MessageKind::Binary]);
    world.settle();
    assert_eq!(world.counters().dropped_unfit, 1);
}

#[test]
fn a_channel_expires_unless_its_peer_is_heard_and_is_closed_then() {
    let mut world = World::one(GroupOptions::default());
    let open = ChannelOptions {
        expiry: Some(Duration::from_secs(10)),
        ..ChannelOptions::default()
    };
    let (quiet, live) = (world.open_as(0, open.clone()), world.open_as(0, open));
    world.join(quiet, "lobby");
    for _ in 0..3 {
        world.pass(Duration::from_secs(4));
        let now = world.now;
        world.hubs[0].touch(now, live).unwrap();
        // Messages of the server do not count.
        world.publish("lobby", "news");
    }
    assert_eq!(world.all(quiet), ["news", "news"]);
    let closed = Taken::Close(CloseCode::AWAY, "the channel expired".into());
    assert_eq!(world.take(quiet), closed);
    assert_eq!(world.take(live), Taken::Nothing);
    assert_eq!(world.hubs[0].count("lobby"), 0);
    world.pass(Duration::from_secs(10));
    assert!(matches!(world.take(live), Taken::Close(..)));
}

#[test]
fn a_slow_member_is_closed_and_the_others_lose_nothing() {
    let mut world = crowded(SlowConsumerPolicy::Close);
    let (slow, fast) = (world.open(0), world.open(0));
    world.join(slow, "lobby");
    world.join(fast, "lobby");
    let mut got = Vec::new();
    for round in 0..10 {
        world.publish("lobby", &round.to_string());
        got.extend(world.all(fast));
    }
    assert_eq!(got.len(), 10);
    let closed = Taken::Close(CloseCode::AGAIN, "too slow".into());
    assert_eq!(world.take(slow), closed);
    assert_eq!(world.hubs[0].members("lobby"), [fast]);
    let counters = world.counters();
    assert_eq!((counters.closed_slow, counters.discarded), (1, 4));
    assert!(world.events.contains(&HubEvent::Slow(slow)));
}

#[test]
fn a_member_behind_with_all_others_is_not_slow_while_it_takes_something() {
    for alone in [false, true] {
        let options = HubOptions::default().queue_limits(small(8, 1 << 20));
        let mut world = World::new(1, options);
        world.hubs[0].track_turns();
        let ids: Vec<ChannelId> = (0..3).map(|_| world.open(0)).collect();
        for id in &ids {
            world.join(*id, "lobby");
        }
        let publish = |world: &mut World, texts: std::ops::Range<usize>| {
            for text in texts {
                world.publish("lobby", &text.to_string());
            }
        };
        publish(&mut world, 0..8);
        assert!(world.hubs[0].is_crowded());
        // Each has a turn in which its peer takes but one message; the others take all, where one is to be alone.
        for id in &ids {
            if alone && *id != ids[0] {
                assert_eq!(world.all(*id).len(), 8);
            } else {
                assert_eq!(world.take(*id), Taken::Message("0".to_owned()));
                let now = world.now;
                world.hub(*id).blocked(now, *id);
            }
        }
        assert!(!world.hubs[0].is_crowded());
        publish(&mut world, 8..9);
        if alone {
            assert_eq!(world.all(ids[1]).len() + world.all(ids[2]).len(), 2);
        }
        publish(&mut world, 9..10);
        if alone {
            assert_eq!(world.counters().closed_slow, 1);
            assert_eq!(world.hubs[0].members("lobby").len(), 2);
            continue;
        }
        assert_eq!(world.counters().closed_slow, 0);
        assert!(world.hubs[0].is_crowded(), "publishers wait");
        // Two get their queues down; the third takes nothing for a second.
        for id in &ids[1..] {
            let want: Vec<String> = (1..10).map(|number| number.to_string()).collect();
            assert_eq!(world.all(*id), want);
        }
        world.pass(Duration::from_millis(1_001));
        publish(&mut world, 10..11);
        assert_eq!(world.counters().closed_slow, 1);
        assert_eq!(world.all(ids[1]), ["10"]);
    }
}

#[test]
fn members_that_overflow_in_the_middle_of_a_publication_do_not_disturb_it() {
    // Many members leave while one message is put to all: the first, the last and those between.
    for slow in [
        0b0000_0001,
        0b1000_0000,
        0b1010_0101,
        0b1111_1111,
        0b0111_1110_u8,
    ] {
        let mut world = crowded(SlowConsumerPolicy::Close);
        let ids: Vec<ChannelId> = (0..8).map(|_| world.open(0)).collect();
        for id in &ids {
            world.join(*id, "lobby");
        }
        let mut got = [0; 8];
        for _ in 0..6 {
            world.publish("lobby", "x");
            for (at, id) in ids.iter().enumerate() {
                if slow & (1 << at) == 0 {
                    got[at] += world.all(*id).len();
                }
            }
        }
        for (at, id) in ids.iter().enumerate() {
            if slow & (1 << at) == 0 {
                assert_eq!(got[at], 6, "{slow:b}");
            } else {
                assert!(matches!(world.take(*id), Taken::Close(..)), "{slow:b}");
            }
        }
        assert_eq!(world.hubs[0].count("lobby"), slow.count_zeros() as usize);
    }
}

#[test]
fn dropping_the_newest_is_counted_and_told() {
    let mut world = crowded(SlowConsumerPolicy::DropNewest);
    let id = world.open(0);
    world.join(id, "lobby");
    for round in 1..=5 {
        world.publish("lobby", &round.to_string());
    }
    assert_eq!(world.take(id), Taken::Message("1".into()));
    world.publish("lobby", "6");
    assert_eq!(world.all(id), ["2", "3", "skipped 2", "6"]);
    assert_eq!(world.counters().dropped_newest, 2);
}

#[test]
fn dropping_the_oldest_makes_room_and_is_told_first() {
    let mut world = crowded(SlowConsumerPolicy::DropOldest);
    let id = world.open(0);
    world.join(id, "lobby");
    for round in 1..=5 {
        world.publish("lobby", &round.to_string());
    }
    assert_eq!(world.all(id), ["skipped 2", "3", "4", "5"]);
    assert_eq!(world.counters().dropped_oldest, 2);
    // Messages to it alone, and those of other groups, are not dropped for it.
    let now = world.now;
    for _ in 0..3 {
        world.hubs[0].send_to(now, id, "direct".into()).unwrap();
    }
    world.publish("lobby", "6");
    assert_eq!(world.all(id), ["direct", "direct", "direct", "skipped 1"]);
}

#[test]
fn keeping_the_latest_of_each_key_drops_what_is_superseded() {
    let mut world = crowded(SlowConsumerPolicy::KeepLatest);
    let id = world.open(0);
    world.join(id, "prices");
    let put = |world: &mut World, key: &str, text: &str| {
        let options = PublishOptions {
            key: Some(key.into()),
            ..PublishOptions::default()
        };
        world.publish_with("prices", text, options).unwrap();
    };
    for (key, text) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3")] {
        put(&mut world, key, text);
    }
    // Each is told where it was.
    assert_eq!(world.all(id), ["skipped 1", "b1", "skipped 1", "a3"]);
    assert_eq!(world.counters().dropped_conflated, 2);
    for key in ["a", "b", "c", "d"] {
        put(&mut world, key, key);
    }
    assert_eq!(world.all(id), ["skipped 1", "b", "c", "d"]);
    assert_eq!(world.counters().dropped_oldest, 1);
}

#[test]
fn a_publisher_can_be_made_to_wait_for_a_member_and_is_told_when_there_is_room() {
    let mut world = crowded(SlowConsumerPolicy::Wait);
    let (slow, other) = (world.open(0), world.open(0));
    world.join(slow, "lobby");
    world.join(other, "lobby");
    for _ in 0..3 {
        world.publish("lobby", "x");
    }
    world.all(other);
    let behind = world.publish_with("lobby", "y", PublishOptions::default());
    assert_eq!(behind, Err(HubError::Backpressure));
    assert_eq!((world.all(other).len(), world.rooms), (0, 0));
    world.take(slow);
    world.settle();
    assert_eq!(world.rooms, 0, "half of the budget is to be free");
    world.take(slow);
    world.settle();
    assert_eq!(world.rooms, 1);
    world.publish("lobby", "y");
    // A member that goes keeps nobody waiting.
    world.publish("lobby", "z");
    assert_eq!(
        world.publish_with("lobby", "y", PublishOptions::default()),
        Err(HubError::Backpressure)
    );
    world.close(slow);
    assert_eq!(world.rooms, 2);
}

#[test]
fn the_budget_counts_bytes_too_and_one_long_message_may_wait_alone() {
    let options = HubOptions::default().queue_limits(small(100, 10));
    let mut world = World::new(1, options.clone());
    let id = world.open(0);
    world.join(id, "lobby");
    world.publish("lobby", &"x".repeat(100));
    assert_eq!(world.all(id).len(), 1);
    world.publish("lobby", &"x".repeat(10));
    world.publish("lobby", "");
    assert_eq!(world.all(id).len(), 2);
    world.publish("lobby", &"x".repeat(10));
    world.publish("lobby", "y");
    assert!(matches!(world.take(id), Taken::Close(CloseCode::AGAIN, _)));
}

#[test]
fn messages_that_waited_too_long_are_dropped_or_close_by_policy() {
    for (overflow, closes) in [
        (SlowConsumerPolicy::Close, true),
        (SlowConsumerPolicy::DropOldest, false),
    ] {
        let mut world = crowded(overflow);
        let id = world.open(0);
        world.join(id, "lobby");
        world.publish("lobby", "old");
        world.pass(Duration::from_secs(29));
        world.publish("lobby", "new");
        world.pass(Duration::from_secs(10));
        if closes {
            assert!(matches!(world.take(id), Taken::Close(CloseCode::AGAIN, _)));
        } else {
            assert_eq!(world.all(id), ["skipped 1", "new"]);
            assert_eq!(world.counters().dropped_aged, 1);
        }
    }
}

#[test]
fn messages_that_may_not_wait_wait_for_a_turn_and_are_checked_once_a_millisecond() {
    let limits = |age, stall| QueueLimits {
        age,
        stall,
        ..QueueLimits::default()
    };
    let minute = Duration::from_secs(60);
    for limits in [
        limits(Duration::ZERO, minute),
        limits(Duration::from_micros(1), minute),
        limits(minute, Duration::ZERO),
    ] {
        let options = GroupOptions::default().slow_consumer(SlowConsumerPolicy::DropOldest);
        let notices = options.notices(|notice| Some(format!("{notice:?}").into()));
        let options = HubOptions::default().groups(notices).queue_limits(limits);
        let mut world = World::new(1, options);
        let id = world.open(0);
        world.join(id, "lobby");
        world.publish("lobby", "first");
        // A reader that has its turn soon gets it.
        world.pass(Duration::from_millis(2));
        assert_eq!(world.all(id), ["first"], "{limits:?}");
        world.publish("lobby", "second");
        let mut sweeps = 0;
        for _ in 0..1_000 {
            let Some(due) = world.hubs[0].deadline() else {
                break;
            };
            let begun = world.now;
            world.now = due.max(world.now);
            world.hubs[0].tick(world.now);
            world.settle();
            sweeps += u32::from(world.now.since(begun) < Duration::from_millis(1));
        }
        assert!(sweeps <= 2, "{limits:?}: {sweeps}");
    }
}

#[test]
fn a_member_that_takes_nothing_is_closed_by_any_policy() {
    let mut world = crowded(SlowConsumerPolicy::DropOldest);
    let id = world.open(0);
    world.join(id, "lobby");
    for _ in 0..20 {
        world.publish("lobby", "x");
        world.pass(Duration::from_secs(4));
    }
    assert!(matches!(world.take(id), Taken::Close(CloseCode::AGAIN, _)));
}

#[test]
fn history_is_off_by_default_and_keeps_what_it_is_told_to() {
    let rules = HubOptions::default().rule("kept/#".parse().unwrap(), history());
    let mut world = World::new(1, rules);
    for text in ["one", "two"] {
        world.publish("kept/a", text);
        world.publish("other", text);
    }
    let unsaved = PublishOptions {
        without_history: true,
        ..PublishOptions::default()
    };
    world.publish_with("kept/a", "typing", unsaved).unwrap();
    let kept = world.broker.history(world.now, "kept/a", 10);
    let texts: Vec<_> = kept.iter().map(|kept| kept.as_text().unwrap()).collect();
    assert_eq!(texts, ["one", "two"]);
    let offsets: Vec<_> = kept
        .iter()
        .map(|kept| kept.position.unwrap().offset)
        .collect();
    assert_eq!(offsets, [1, 2]);
    assert!(kept.iter().all(|kept| kept.time == world.now));
    assert!(world.broker.history(world.now, "other", 10).is_empty());
    assert_eq!(
        world.broker.history(world.now, "kept/a", 1)[0].as_text(),
        Some("two")
    );
}

#[test]
fn history_survives_an_empty_group_until_it_ages_out_and_is_freed_then() {
    let mut world = World::one(history());
    let id = world.open(0);
    let position = world.join(id, "lobby").position.unwrap();
    world.publish("lobby", "one");
    world.close(id);
    world.pass(Duration::from_secs(299));
    assert_eq!(world.broker.history(world.now, "lobby", 10).len(), 1);
    assert_eq!(
        world.broker.position("lobby").unwrap().epoch,
        position.epoch
    );
    world.pass(Duration::from_secs(2));
    assert_eq!(world.broker.position("lobby"), None);
    assert_eq!(world.broker.history_bytes(), 0);
    assert_eq!(world.broker.deadline(), None);
}

#[test]
fn groups_that_nobody_is_in_are_remembered_up_to_a_bound_and_the_longest_idle_is_forgotten_first() {
    let options = HubOptions {
        max_idle_groups: 3,
        ..history_options()
    };
    let mut world = World::new(1, options);
    let id = world.open(0);
    // A client chooses names: each join leaves a group behind.
    for name in ["a", "b", "c", "d", "e"] {
        world.join(id, name);
        world.publish(name, "kept");
        world.leave(id, name);
        world.pass(Duration::from_secs(1));
    }
    let known = |world: &World| -> Vec<&str> {
        let names = ["a", "b", "c", "d", "e"].into_iter();
        let known = names.filter(|name| world.broker.position(name).is_some());
        known.collect()
    };
    assert_eq!(known(&world), ["c", "d", "e"]);
    assert_eq!(world.broker.history_bytes(), 3 * 4);
    assert_eq!(world.broker.counters().forgotten, 2);
    // Publications count, and present users are not forgotten.
    world.publish("c", "more");
    world.join(id, "d");
    for name in ["f", "g", "h"] {
        world.publish(name, "new");
    }
    assert_eq!(known(&world), ["d"]);
    world.close(id);
    world.pass(Duration::from_secs(301));
    assert_eq!(world.broker.history_bytes(), 0);
    assert_eq!(world.broker.deadline(), None);
}

#[test]
fn an_idle_client_can_recover_since_it_was_given_its_position_at_the_join() {
    let mut world = World::one(history());
    let id = world.open(0);
    let joined = world.join(id, "lobby");
    assert_eq!(joined.recovered, Recovered::Fresh);
    let position = joined.position.unwrap();
    world.close(id);
    let id = world.open(0);
    let joined = world.join_since(id, "lobby", Some(position));
    assert_eq!(joined.recovered, Recovered::Complete(0));
    world.close(id);
    world.publish("lobby", "one");
    world.publish("lobby", "two");
    let id = world.open(0);
    let joined = world.join_since(id, "lobby", Some(position));
    assert_eq!(joined.recovered, Recovered::Complete(2));
    assert_eq!(joined.position.unwrap().offset, 2);
    world.publish("lobby", "three");
    assert_eq!(world.all(id), ["one", "two", "three"]);
}

#[test]
fn publications_during_a_recovery_come_once_and_in_order() {
    let mut world = World::one(history());
    let stays = world.open(0);
    let position = world.join(stays, "lobby").position.unwrap();
    for text in ["1", "2"] {
        world.publish("lobby", text);
    }
    let id = world.open(0);
    let now = world.now;
    let hub = &mut world.hubs[0];
    let join = JoinOptions::recover(Some(position));
    assert_eq!(hub.join(now, id, "lobby", join), Ok(None));
    // The read is on its way; this overtakes it, and comes to the node before the answer.
    let mut commands = Vec::new();
    while let Some(output) = hub.poll_output() {
        if let Output::Command(command) = output {
            commands.push(command);
        }
    }
    let read = commands.pop().unwrap();
    assert!(matches!(read, BackplaneCommand::Read { .. }));
    for text in ["3", "4"] {
        world.publish("lobby", text);
    }
    assert!(world.all(id).is_empty());
    world.broker.handle(now, NodeId(1), read);
    // And this comes behind the answer that was read before it.
    let (_, answer) = world.broker.poll_event().unwrap();
    world.publish("lobby", "5");
    world.hubs[0].receive(now, answer);
    world.settle();
    let (_, _, joined) = world.joined.pop().unwrap();
    assert_eq!(joined.recovered, Recovered::Complete(5));
    assert_eq!(joined.position.unwrap().offset, 5);
    world.publish("lobby", "6");
    assert_eq!(world.all(id), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_channel_that_joins_again_receives_nothing_that_it_has_recovered() {
    let mut world = World::new(2, HubOptions::default().groups(history()));
    let stays = world.open(0);
    let position = world.join(stays, "lobby").position.unwrap();
    world.publish("lobby", "1");
    let [id, watcher] = [(); 2].map(|()| world.open(0));
    let now = world.now;
    let all = "#".parse().unwrap();
    world.hubs[0].subscribe(now, watcher, all).unwrap();
    world.settle();
    // These are lost on their way to the node.
    for text in ["2", "3"] {
        let message = PreparedMessage::new(text);
        let options = PublishOptions::default();
        world.hubs[1]
            .publish(now, None, "lobby", message, options, None)
            .unwrap();
        while let Some(output) = world.hubs[1].poll_output() {
            if let Output::Command(command) = output {
                world.broker.handle(now, NodeId(2), command);
            }
        }
        while world.broker.poll_event().is_some() {}
    }
    let joined = world.join_since(id, "lobby", Some(position));
    assert_eq!(joined.recovered, Recovered::Complete(3));
    assert_eq!(world.all(id), ["1", "2", "3"]);
    world.leave(id, "lobby");
    let again = world.join(id, "lobby");
    assert_eq!(again.recovered, Recovered::Fresh);
    assert_eq!(again.position, joined.position);
    // A watcher still waits for them, also as a member.
    assert_eq!(world.join(watcher, "lobby").position.unwrap().offset, 1);
    world.publish("lobby", "4");
    assert_eq!(world.all(id), ["4"]);
    assert_eq!(world.all(watcher), ["2", "3", "4"]);
    assert_eq!(world.all(stays), ["1", "2", "3", "4"]);
    // Numbers that start again are heard from the first.
    world.broker = Broker::new(Arc::clone(world.hubs[0].options()), 200);
    for hub in &mut world.hubs {
        hub.receive(now, BackplaneEvent::Down);
        hub.receive(now, BackplaneEvent::Up);
    }
    world.settle();
    world.publish("lobby", "one");
    let late = world.open(0);
    world.join(late, "lobby");
    world.publish("lobby", "two");
    assert_eq!(world.all(late), ["two"]);
    assert_eq!(world.all(id), ["one", "two"]);
}

#[test]
fn recovery_that_is_not_complete_says_why() {
    let options = HistoryOptions {
        messages: 3,
        recovery: 2,
        ..HistoryOptions::default()
    };
    let mut world = World::one(GroupOptions::default().history(options));
    let id = world.open(0);
    let position = world.join(id, "lobby").position.unwrap();
    for text in ["1", "2", "3", "4"] {
        world.publish("lobby", text);
    }
    world.close(id);
    let at = |offset| Position { offset, ..position };
    let other = Position {
        epoch: position.epoch + 1,
        offset: 1,
    };
    for (since, replayed, reason) in [
        (at(0), 2, RecoveryFailure::Evicted),
        (at(1), 2, RecoveryFailure::Limit),
        (at(5), 0, RecoveryFailure::Ahead),
        (other, 0, RecoveryFailure::Epoch),
    ] {
        let id = world.open(0);
        let joined = world.join_since(id, "lobby", Some(since));
        assert_eq!(joined.recovered, Recovered::Incomplete { replayed, reason });
        assert_eq!(world.all(id).len(), replayed);
        world
            .publish_with(
                "lobby",
                "live",
                PublishOptions {
                    without_history: true,
                    ..PublishOptions::default()
                },
            )
            .unwrap();
        assert_eq!(world.all(id), ["live"]);
        world.close(id);
    }
    let mut without = World::one(GroupOptions::default());
    let (id, stays) = (without.open(0), without.open(0));
    let position = without.join(id, "lobby").position.unwrap();
    without.join(stays, "lobby");
    without.close(id);
    without.publish("lobby", "gone");
    let id = without.open(0);
    let joined = without.join_since(id, "lobby", Some(position));
    let (replayed, reason) = (0, RecoveryFailure::NoHistory);
    assert_eq!(joined.recovered, Recovered::Incomplete { replayed, reason });
}

#[test]
fn a_message_with_an_id_is_published_once_within_five_minutes() {
    let mut world = World::one(history());
    let id = world.open(0);
    world.join(id, "lobby");
    let options = PublishOptions {
        id: Some("order 17".into()),
        ..PublishOptions::default()
    };
    let first = world
        .publish_with("lobby", "once", options.clone())
        .unwrap();
    let second = world
        .publish_with("lobby", "once", options.clone())
        .unwrap();
    assert!(!first.again && second.again);
    assert_eq!(first.position, second.position);
    assert_eq!(world.all(id), ["once"]);
    world.pass(Duration::from_secs(301));
    assert!(!world.publish_with("lobby", "once", options).unwrap().again);
}

#[test]
fn ids_of_messages_are_remembered_up_to_a_bound_and_one_more_is_refused() {
    let options = HubOptions {
        max_ids: 2_000,
        ..HubOptions::default()
    };
    let mut world = World::new(1, options);
    let with = |number: usize| PublishOptions {
        id: Some(format!("order {number}").into()),
        ..PublishOptions::default()
    };
    // More than any fixed number of each group, over many groups.
    for number in 0..2_000 {
        let group = format!("orders/{}", number % 3);
        let published = world.publish_with(&group, "once", with(number)).unwrap();
        assert!(!published.again);
    }
    let refused = world.publish_with("orders/0", "once", with(2_000));
    assert_eq!(refused, Err(HubError::TooManyIds));
    // Remembered ids are still known, and publications without an id are published.
    for number in [0, 1_000, 1_999] {
        let group = format!("orders/{}", number % 3);
        assert!(
            world
                .publish_with(&group, "once", with(number))
                .unwrap()
                .again
        );
    }
    world.publish("orders/0", "without");
    world.pass(Duration::from_secs(301));
    let published = world.publish_with("orders/0", "once", with(2_000));
    assert!(!published.unwrap().again);
}

#[test]
fn lost_messages_to_a_user_come_from_the_inbox_or_are_reported() {
    for has_inbox in [true, false] {
        let notices = |notice: &Notice| match notice {
            Notice::UserGap { user, count } => Some(format!("{user} lost {count:?}").into()),
            _ => None,
        };
        let mut users = GroupOptions::default().notices(notices);
        if has_inbox {
            users = users.history(HistoryOptions::default());
        }
        let options = HubOptions {
            users,
            ..HubOptions::default()
        };
        let mut world = World::new(2, options);
        let ada = world.user(0, "ada");
        let send = |world: &mut World, text: &str| {
            let now = world.now;
            let message = PreparedMessage::new(text);
            world.hubs[1].send_to_user(now, "ada", message).unwrap();
        };
        send(&mut world, "1");
        world.settle();
        // The broker's messages to the first node are lost for a while.
        for text in ["2", "3"] {
            send(&mut world, text);
            while let Some(output) = world.hubs[1].poll_output() {
                if let Output::Command(command) = output {
                    world.broker.handle(world.now, NodeId(2), command);
                }
            }
            while world.broker.poll_event().is_some() {}
        }
        send(&mut world, "4");
        world.settle();
        let got = world.all(ada);
        if has_inbox {
            assert_eq!(got, ["1", "2", "3", "4"]);
        } else {
            assert_eq!(got, ["1", "ada lost Some(2)", "4"]);
            let gap = HubEvent::UserGap {
                user: "ada".into(),
                count: Some(2),
            };
            assert!(world.events.contains(&gap), "{:?}", world.events);
        }
    }
}

#[test]
fn an_expired_message_is_neither_delivered_nor_replayed() {
    let mut world = World::one(history());
    let id = world.open(0);
    let position = world.join(id, "lobby").position.unwrap();
    let options = PublishOptions {
        expires: Some(Duration::from_secs(5)),
        ..PublishOptions::default()
    };
    world
        .publish_with("lobby", "now or never", options)
        .unwrap();
    world.publish("lobby", "whenever");
    world.pass(Duration::from_secs(6));
    assert_eq!(world.all(id), ["whenever"]);
    assert_eq!(world.counters().expired, 1);
    let late = world.open(0);
    world.join_since(late, "lobby", Some(position));
    assert_eq!(world.all(late), ["whenever"]);
}

#[test]
fn presence_is_of_users_until_their_last_connection_is_gone_and_the_grace_is_over() {
    let options = GroupOptions::default().presence(PresenceMode::members());
    let mut world = World::new(2, HubOptions::default().groups(options));
    let (one, two) = (world.user(0, "ada"), world.user(1, "ada"));
    let open = ChannelOptions {
        user: Some("bob".into()),
        metadata: Some(r#"{"color":"red"}"#.into()),
        ..ChannelOptions::default()
    };
    let bob = world.open_as(0, open);
    for id in [one, two, bob] {
        world.join(id, "lobby");
    }
    let users = |world: &World| -> Vec<String> {
        let members = world.broker.presence("lobby").members;
        members
            .iter()
            .map(|member| member.user.to_string())
            .collect()
    };
    assert_eq!(users(&world), ["ada", "bob"]);
    let members = world.broker.presence("lobby").members;
    assert_eq!(members[1].metadata.as_deref(), Some(r#"{"color":"red"}"#));
    world.close(one);
    world.pass(Duration::from_secs(10));
    assert_eq!(users(&world), ["ada", "bob"]);
    world.close(two);
    world.pass(Duration::from_secs(2));
    assert_eq!(users(&world), ["ada", "bob"]);
    // Back within the grace: never away.
    let again = world.user(0, "ada");
    world.join(again, "lobby");
    world.pass(Duration::from_secs(10));
    assert_eq!(
        (users(&world).len(), world.broker.presence("lobby").version),
        (2, 2)
    );
    world.close(again);
    world.pass(Duration::from_secs(4));
    assert_eq!(
        (users(&world), world.broker.presence("lobby").version),
        (vec!["bob".to_string()], 3)
    );
}

#[test]
fn a_recovering_member_is_not_told_of_its_own_presence() {
    let notices = |notice: &Notice| match notice {
        Notice::Presence(change) => Some(format!("{} are here", change.count).into()),
        _ => None,
    };
    let options = history().presence(PresenceMode::members()).notices(notices);
    let mut world = World::one(options);
    let (ada, bob) = (world.user(0, "ada"), world.user(0, "bob"));
    world.join(ada, "lobby");
    let joined = world.join(bob, "lobby");
    world.leave(bob, "lobby");
    world.settle();
    world.publish("lobby", "one");
    world.publish("lobby", "two");
    let _ = (world.all(ada), world.all(bob));
    world.join_since(bob, "lobby", joined.position);
    world.settle();
    assert_eq!(world.all(bob), ["one", "two"]);
    assert_eq!(world.all(ada), ["2 are here"]);
}

#[test]
fn presence_changes_carry_versions_so_that_a_snapshot_and_changes_fit() {
    let options = GroupOptions::default()
        .presence(PresenceMode::members())
        .notices(|notice| match notice {
            Notice::Presence(change) => Some(
                format!(
                    "{}: +{} -{}",
                    change.version,
                    change.joined.len(),
                    change.left.len()
                )
                .into(),
            ),
            _ => None,
        });
    let mut world = World::new(1, HubOptions::default().groups(options));
    let ada = world.user(0, "ada");
    world.join(ada, "lobby");
    assert_eq!(world.broker.presence("lobby").version, 1);
    world.all(ada);
    let bob = world.user(0, "bob");
    world.join(bob, "lobby");
    world.close(bob);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.all(ada), ["2: +1 -0", "3: +0 -1"]);
    let count = GroupOptions::default().presence(PresenceMode::Count);
    let mut world = World::one(count);
    let ada = world.open(0);
    world.join(ada, "lobby");
    let presence = world.broker.presence("lobby");
    assert_eq!((presence.count, presence.members.len()), (1, 0));
}

#[test]
fn users_of_a_crashed_node_leave_in_one_step_when_its_lease_ends() {
    let options = HubOptions {
        lease: Some(Duration::from_secs(15)),
        ..HubOptions::default()
    }
    .groups(GroupOptions::default().presence(PresenceMode::members()));
    let mut world = World::new(2, options);
    let stays = world.user(0, "stays");
    world.join(stays, "lobby");
    for user in ["a", "b", "stays"] {
        let id = world.user(1, user);
        world.join(id, "lobby");
    }
    world.pass(Duration::from_secs(60));
    assert_eq!(world.broker.presence("lobby").count, 3);
    let version = world.broker.presence("lobby").version;
    // It crashes: nothing comes from it any more.
    world.hubs.pop();
    let mut events = Vec::new();
    for _ in 0..20 {
        world.now = world.now + Duration::from_secs(1);
        world.hubs[0].tick(world.now);
        while let Some(output) = world.hubs[0].poll_output() {
            if let Output::Command(command) = output {
                world.broker.handle(world.now, NodeId(1), command);
            }
        }
        world.broker.tick(world.now);
        while let Some((node, event)) = world.broker.poll_event() {
            if node == NodeId(1) {
                events.push(event);
            }
        }
    }
    let presence = world.broker.presence("lobby");
    assert_eq!((presence.count, presence.version), (1, version + 1));
    let changes: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            BackplaneEvent::Presence(change) => Some(change.left.len()),
            _ => None,
        })
        .collect();
    assert_eq!(changes, [2]);
}

#[test]
fn a_gap_is_repaired_where_there_is_history_and_told_where_there_is_none() {
    for has_history in [true, false] {
        let options = if has_history {
            history()
        } else {
            GroupOptions::default()
        };
        let options = options.notices(|notice| match notice {
            Notice::Gap { count, .. } => Some(format!("lost {count:?}").into()),
            _ => None,
        });
        let mut world = World::new(1, HubOptions::default().groups(options));
        let id = world.open(0);
        world.join(id, "lobby");
        world.publish("lobby", "1");
        // Two messages get lost between broker and node.
        let (now, node) = (world.now, NodeId(1));
        let lose = |world: &mut World, text: &str| {
            let draft = PublishRequest {
                group: "lobby".into(),
                message: text.into(),
                sender: None,
                options: PublishOptions::default(),
            };
            let command = BackplaneCommand::Publish { token: None, draft };
            world.broker.handle(now, node, command);
            while world.broker.poll_event().is_some() {}
        };
        lose(&mut world, "2");
        lose(&mut world, "3");
        world.publish("lobby", "4");
        let got = world.all(id);
        if has_history {
            assert_eq!(got, ["1", "2", "3", "4"]);
            assert_eq!((world.counters().repairs, world.counters().gaps), (1, 0));
        } else {
            assert_eq!(got, ["1", "lost Some(2)", "4"]);
            let gap = HubEvent::Gap {
                group: "lobby".into(),
                count: Some(2),
            };
            assert!(world.events.contains(&gap));
            assert_eq!(world.counters().lost, 2);
        }
    }
}

#[test]
fn a_loss_that_no_later_message_shows_is_found_by_comparing_positions() {
    let options = HubOptions {
        check: Some(Duration::from_secs(40)),
        ..history_options()
    };
    let mut world = World::new(1, options);
    let id = world.open(0);
    world.join(id, "lobby");
    world.pass(Duration::from_secs(1));
    let draft = PublishRequest {
        group: "lobby".into(),
        message: "lost".into(),
        sender: None,
        options: PublishOptions::default(),
    };
    let command = BackplaneCommand::Publish { token: None, draft };
    world.broker.handle(world.now, NodeId(1), command);
    while world.broker.poll_event().is_some() {}
    assert_eq!(world.all(id), [""; 0]);
    world.pass(Duration::from_secs(41));
    assert_eq!(world.all(id), ["lost"]);
}

#[test]
fn a_number_that_the_backplane_never_gave_is_asked_about_once() {
    let mut world = World::one(history());
    let id = world.open(0);
    world.join(id, "lobby");
    world.publish("lobby", "1");
    let position = world.broker.position("lobby").unwrap();
    let draft = PublishRequest {
        group: "lobby".into(),
        message: "from elsewhere".into(),
        sender: None,
        options: PublishOptions::default(),
    };
    let ahead = Position {
        offset: position.offset + 1_000,
        ..position
    };
    let publication = draft.publication(&HubOptions::default(), Some(ahead), world.now, 0);
    world.hubs[0].receive(world.now, BackplaneEvent::Received(Arc::new(publication)));
    world.publish("lobby", "2");
    assert_eq!(world.all(id), ["1", "2"]);
    assert_eq!((world.counters().repairs, world.counters().gaps), (1, 0));
}

#[test]
fn a_message_that_comes_twice_is_delivered_once() {
    let mut world = World::one(GroupOptions::default());
    let id = world.open(0);
    world.join(id, "lobby");
    let now = world.now;
    let message = PreparedMessage::new("once");
    world.hubs[0]
        .publish(now, None, "lobby", message, PublishOptions::default(), None)
        .unwrap();
    while let Some(output) = world.hubs[0].poll_output() {
        if let Output::Command(command) = output {
            world.broker.handle(now, NodeId(1), command);
        }
    }
    let (_, event) = world.broker.poll_event().unwrap();
    world.hubs[0].receive(now, event.clone());
    world.hubs[0].receive(now, event);
    assert_eq!(world.all(id), ["once"]);
    assert_eq!(world.counters().doubles, 1);
}

#[test]
fn when_the_backplane_stays_down_clients_are_sent_elsewhere_over_a_window() {
    let options = HubOptions {
        on_outage: OutagePolicy::Close {
            patience: Duration::from_secs(5),
            window: Duration::from_secs(10),
        },
        ..HubOptions::default()
    };
    let mut world = World::new(1, options);
    let ids: Vec<_> = (0..100).map(|_| world.open(0)).collect();
    world.join(ids[0], "lobby");
    let hub = &mut world.hubs[0];
    // Down for less than the patience: nobody is closed.
    hub.receive(Instant::ZERO, BackplaneEvent::Down);
    let refused = hub.publish(
        Instant::ZERO,
        None,
        "lobby",
        "x".into(),
        PublishOptions::default(),
        None,
    );
    assert_eq!(refused, Err(HubError::Down));
    hub.receive(Instant::from_micros(4_000_000), BackplaneEvent::Up);
    let closed = |hub: &mut Hub, seconds: u64| {
        let now = Instant::from_micros(seconds * 1_000_000);
        while hub.deadline().is_some_and(|at| at <= now) {
            hub.tick(now);
        }
        let farewells = ids
            .iter()
            .filter(|id| match hub.take(now, **id, |_, _| ()) {
                Taken::Close(code, _) => {
                    assert_eq!(code, CloseCode::RESTART);
                    true
                }
                _ => false,
            });
        farewells.count()
    };
    assert_eq!(closed(hub, 30), 0);
    hub.receive(Instant::from_micros(30_000_000), BackplaneEvent::Down);
    assert_eq!(closed(hub, 35), 0);
    let half = closed(hub, 40);
    assert!(
        (45..=55).contains(&half),
        "{half} of 100 after half the window"
    );
    assert_eq!(closed(hub, 46), 100);
}

#[test]
fn when_the_backplane_is_down_a_node_serves_its_own_or_refuses_and_repairs_later() {
    for when_down in [OutagePolicy::ServeLocal, OutagePolicy::Refuse] {
        let options = HubOptions {
            on_outage: when_down,
            ..history_options()
        };
        let mut world = World::new(2, options);
        let (ada, bob) = (world.open(0), world.open(1));
        world.join(ada, "lobby");
        world.join(bob, "lobby");
        world.publish("lobby", "1");
        let now = world.now;
        world.broker.unlink(now, NodeId(1));
        world.hubs[0].receive(now, BackplaneEvent::Down);
        let alone = world.publish_from(0, "lobby", "alone", PublishOptions::default());
        match when_down {
            OutagePolicy::ServeLocal => {
                assert_eq!(alone.unwrap().position, None);
                assert_eq!(world.all(ada), ["1", "alone"]);
            }
            OutagePolicy::Refuse => {
                assert_eq!(alone, Err(HubError::Down));
                assert_eq!(world.all(ada), ["1"]);
            }
            OutagePolicy::Close { .. } => unreachable!(),
        }
        // A member that joins meanwhile is told its position once that is known.
        let late = world.open(0);
        world.join_later(late, "lobby");
        world
            .publish_from(1, "lobby", "2", PublishOptions::default())
            .unwrap();
        assert_eq!(world.all(bob), ["1", "2"]);
        assert!(world.hubs[0].is_down());
        world.hubs[0].receive(now, BackplaneEvent::Up);
        world.settle();
        assert_eq!(world.all(ada), ["2"]);
        world.publish("lobby", "3");
        for id in [ada, bob, late] {
            assert!(world.all(id).ends_with(&["3".to_string()]));
        }
    }
}

impl World {
    fn join_later(&mut self, id: ChannelId, group: &str) {
        let now = self.now;
        let joined = self.hub(id).join(now, id, group, JoinOptions::default());
        assert!(joined.is_ok());
        self.settle();
    }
}

#[test]
fn a_filter_gets_each_message_once_however_it_comes() {
    let mut world = World::new(2, HubOptions::default());
    let (watcher, member) = (world.open(0), world.open(1));
    let now = world.now;
    for filter in ["sensors/+/temp", "sensors/#", "#"] {
        let filter = filter.parse().unwrap();
        assert_eq!(world.hubs[0].subscribe(now, watcher, filter), Ok(true));
    }
    let again = "#".parse().unwrap();
    assert_eq!(world.hubs[0].subscribe(now, watcher, again), Ok(false));
    world.join(watcher, "sensors/1/temp");
    world.join(member, "sensors/1/temp");
    world
        .publish_from(1, "sensors/1/temp", "20", PublishOptions::default())
        .unwrap();
    world
        .publish_from(1, "weather", "fine", PublishOptions::default())
        .unwrap();
    assert_eq!(world.all(watcher), ["20", "fine"]);
    assert_eq!(world.all(member), ["20"]);
    // Messages to a user belong to no group.
    world.user(1, "ada");
    world.hubs[1]
        .send_to_user(now, "ada", "secret".into())
        .unwrap();
    world.settle();
    assert_eq!(world.all(watcher), [""; 0]);
    for filter in ["sensors/+/temp", "sensors/#", "#"] {
        let filter = filter.parse().unwrap();
        assert_eq!(world.hubs[0].unsubscribe(watcher, &filter), Ok(true));
    }
    world.settle();
    world
        .publish_from(1, "weather", "dull", PublishOptions::default())
        .unwrap();
    assert_eq!(world.all(watcher), [""; 0]);
    assert_eq!(world.counters().stray, 0);
}

#[test]
fn everything_that_a_client_controls_is_bounded() {
    let options = HubOptions {
        groups_per_channel: 2,
        max_channels: 2,
        max_groups: 3,
        max_message: 10,
        max_metadata: 4,
        ..HubOptions::default()
    };
    let mut world = World::new(1, options);
    let (ada, bob) = (world.open(0), world.open(0));
    let now = world.now;
    let hub = &mut world.hubs[0];
    assert_eq!(
        hub.open(now, ChannelOptions::default()),
        Err(HubError::TooManyChannels)
    );
    let mut join = |id, group: &str| hub.join(now, id, group, JoinOptions::default()).map(|_| ());
    assert_eq!(join(ada, "a"), Ok(()));
    assert_eq!(join(ada, "b"), Ok(()));
    assert_eq!(join(ada, "c"), Err(HubError::TooManyGroups));
    assert_eq!(join(bob, "d"), Ok(()));
    assert_eq!(join(bob, "e"), Err(HubError::TooManyGroupsInHub));
    for bad in ["", "a\tb", &"x".repeat(256)] {
        assert_eq!(join(bob, bad), Err(HubError::BadName));
    }
    let long = PreparedMessage::new("01234567890");
    let publish = hub.publish(
        now,
        None,
        "a",
        long.clone(),
        PublishOptions::default(),
        None,
    );
    assert_eq!(publish, Err(HubError::TooLong));
    assert_eq!(hub.send_to(now, ada, long), Err(HubError::TooLong));
    hub.closed(now, bob);
    let open = ChannelOptions {
        metadata: Some("12345".into()),
        ..ChannelOptions::default()
    };
    assert_eq!(hub.open(now, open), Err(HubError::MetadataTooLong));
    world.settle();
}

#[test]
fn a_channel_whose_new_user_finds_no_room_keeps_the_old_one() {
    let options = HubOptions {
        max_groups: 2,
        ..HubOptions::default()
    };
    let mut world = World::new(1, options);
    let ids = [world.user(0, "ada"), world.user(0, "ada")];
    world.join(ids[0], "a");
    let now = world.now;
    let set_user = |world: &mut World, user: &str| {
        let set = Instruction::SetUser(Some(user.into()));
        world.hubs[0].instruct(now, Target::Channel(ids[0]), set)
    };
    let refused = set_user(&mut world, "bob");
    assert_eq!(refused, Err(HubError::TooManyGroupsInHub));
    let reach = |world: &mut World, user: &str| {
        let message = PreparedMessage::new(user);
        world.hubs[0].send_to_user(now, user, message).unwrap();
        world.settle();
        ids.map(|id| world.all(id).len())
    };
    assert_eq!(reach(&mut world, "ada"), [1, 1]);
    // The last connection of a user makes room for those of another.
    world.close(ids[1]);
    assert_eq!(set_user(&mut world, "bob"), Ok(()));
    world.settle();
    assert_eq!(reach(&mut world, "bob"), [1, 0]);
}

#[test]
fn checks_and_beats_leave_time_for_others_whatever_the_options() {
    let options = HubOptions {
        check: Some(Duration::ZERO),
        lease: Some(Duration::ZERO),
        ..HubOptions::default()
    };
    let mut world = World::new(1, options);
    let ada = world.open(0);
    world.join(ada, "a");
    for _ in 0..10 {
        let now = world.now;
        world.hubs[0].tick(now);
        world.settle();
        let due = world.hubs[0].deadline().unwrap();
        assert!(due > now, "{due:?} at {now:?}");
        world.now = due;
    }
}

#[test]
fn joins_and_publications_of_a_channel_have_a_rate() {
    let options = HubOptions {
        joins: Some(Rate::per_second(2)),
        publishes: Some(Rate::per_second(1)),
        ..HubOptions::default()
    };
    let mut world = World::new(1, options);
    let id = world.open(0);
    let now = world.now;
    let hub = &mut world.hubs[0];
    assert!(hub.join(now, id, "a", JoinOptions::default()).is_ok());
    assert!(hub.join(now, id, "b", JoinOptions::default()).is_ok());
    let later = now + Duration::from_millis(500);
    let refused = hub.join(now, id, "c", JoinOptions::default());
    assert_eq!(refused, Err(HubError::RateLimited(later)));
    assert!(hub.join(later, id, "c", JoinOptions::default()).is_ok());
    let publish = |hub: &mut Hub, sender| {
        hub.publish(
            now,
            sender,
            "a",
            "x".into(),
            PublishOptions::default(),
            None,
        )
    };
    assert_eq!(publish(hub, Some(id)), Ok(()));
    assert!(matches!(
        publish(hub, Some(id)),
        Err(HubError::RateLimited(_))
    ));
    // The server's own have none.
    assert_eq!(publish(hub, None), Ok(()));
    assert_eq!(hub.snapshot().counters.limited, 2);
    world.settle();
}

#[test]
fn a_hub_that_drains_lets_nobody_join_and_says_goodbye_once() {
    let options = GroupOptions::default().presence(PresenceMode::members());
    let mut world = World::new(2, HubOptions::default().groups(options));
    let stays = world.user(1, "stays");
    world.join(stays, "lobby");
    let ids: Vec<ChannelId> = ["a", "b", "c"].map(|user| world.user(0, user)).into();
    for id in &ids {
        world.join(*id, "lobby");
    }
    let now = world.now;
    world.hubs[0].drain();
    let refused = world.hubs[0].join(now, ids[0], "other", JoinOptions::default());
    assert_eq!(refused, Err(HubError::Draining));
    world.commands.clear();
    for id in ids {
        world.close(id);
    }
    world.pass(Duration::from_secs(10));
    assert_eq!(world.broker.presence("lobby").count, 4);
    world.hubs[0].goodbye();
    world.settle();
    let told: Vec<_> = world
        .commands
        .iter()
        .filter(|command| {
            matches!(
                command,
                BackplaneCommand::Exit { .. } | BackplaneCommand::Goodbye
            )
        })
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(world.broker.presence("lobby").count, 1);
}

#[test]
fn the_methods_and_the_inputs_do_the_same() {
    let run = |by_input: bool| {
        let mut world = World::one(history());
        let (now, mut ids) = (world.now, Vec::new());
        for user in ["ada", "bob"] {
            let open = ChannelOptions {
                user: Some(user.into()),
                ..ChannelOptions::default()
            };
            let hub = &mut world.hubs[0];
            ids.push(match by_input {
                true => match hub.handle(now, HubInput::Open(open)) {
                    Ok(Reply::Opened(id)) => id,
                    other => panic!("{other:?}"),
                },
                false => hub.open(now, open).unwrap(),
            });
            world.settle();
        }
        let (ada, bob) = (ids[0], ids[1]);
        let draft = PublishRequest {
            group: "lobby".into(),
            message: "hi".into(),
            sender: Some(ada),
            options: PublishOptions::default(),
        };
        let hub = &mut world.hubs[0];
        let code = CloseCode::POLICY;
        if by_input {
            for input in [
                HubInput::Join(ada, "lobby".into(), JoinOptions::default()),
                HubInput::Subscribe(bob, "#".parse().unwrap()),
                HubInput::Publish(draft, None),
                HubInput::SendTo(bob, "one".into()),
                HubInput::SendToUser("bob".into(), "two".into()),
                HubInput::Unsubscribe(bob, "#".parse().unwrap()),
                HubInput::Leave(ada, "lobby".into()),
                HubInput::Touch(ada),
                HubInput::Close(ada, code, "a".into()),
                HubInput::CloseUser("bob".into(), code, "b".into()),
                HubInput::CloseAll("lobby".into(), code, "c".into()),
                HubInput::Tick,
                HubInput::Drain,
            ] {
                hub.handle(now, input).unwrap();
            }
        } else {
            let _ = hub.join(now, ada, "lobby", JoinOptions::default()).unwrap();
            hub.subscribe(now, bob, "#".parse().unwrap()).unwrap();
            hub.publish_draft(now, draft, None).unwrap();
            hub.send_to(now, bob, "one".into()).unwrap();
            hub.send_to_user(now, "bob", "two".into()).unwrap();
            hub.unsubscribe(bob, &"#".parse().unwrap()).unwrap();
            hub.leave(now, ada, "lobby").unwrap();
            hub.touch(now, ada).unwrap();
            hub.close(now, ada, code, "a");
            hub.close_user("bob", code, "b").unwrap();
            hub.close_all("lobby", code, "c").unwrap();
            hub.tick(now);
            hub.drain();
        }
        world.settle();
        let taken = (world.all(ada), world.all(bob), world.take(bob));
        let hub = &mut world.hubs[0];
        if by_input {
            hub.handle(now, HubInput::Closed(ada)).unwrap();
        } else {
            hub.closed(now, ada);
        }
        world.settle();
        (taken, world.hubs[0].snapshot(), world.events)
    };
    assert_eq!(run(true), run(false));
}
