//! The Redis in memory by itself: each sentence of `src/request.rs` that the simulation leans on.

#[expect(dead_code, reason = "the simulation asks for more")]
#[path = "memory/mod.rs"]
mod memory;

use std::sync::Arc;

use memory::{Data, Said, Server};
use sansws_core::hub::{
    HistoryOptions, NodeId, Position, PresenceChange, Present, PublishOptions, PublishRequest,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::{Duration, Instant};
use sansws_redis::request::{Channel, Entry, Incarnation, Mark, Name, Push, Reply, Request};
use sansws_redis::wire::{self, Messages};

const LEASE: Duration = Duration::from_secs(3);
const SEAT: Incarnation = Incarnation {
    node: NodeId(1),
    term: 1,
};
const OTHER: Incarnation = Incarnation {
    node: NodeId(2),
    term: 1,
};

struct Desk {
    server: Server,
    now: u64,
}

impl Desk {
    fn new() -> Self {
        let mut server = Server::new();
        server.open(1);
        server.open(2);
        Self { server, now: 1_000 }
    }

    /// All that is said upon a request of the first connection.
    fn ask(&mut self, request: Request) -> Vec<(u64, Said)> {
        self.now += 10;
        self.server.execute(self.now, 1, 7, request);
        core::iter::from_fn(|| self.server.poll()).collect()
    }

    fn reply(&mut self, request: Request) -> Reply {
        let said = self.ask(request);
        let reply = |(to, said)| match said {
            Said::Reply(7, Ok(reply)) if to == 1 => Some(reply),
            _ => None,
        };
        said.into_iter().find_map(reply).unwrap()
    }

    fn publish(&mut self, text: &str, unsaved: bool) -> Reply {
        self.reply(publish(message(text, unsaved), None, Some(keep())))
    }

    fn position(&mut self, ours: Option<Mark>, first: bool, fresh: u64) -> Mark {
        let reply = self.reply(Request::Position {
            group: "room".into(),
            ours,
            first,
            fresh,
        });
        let Reply::Position { mark, .. } = reply else {
            panic!("{reply:?}");
        };
        mark
    }

    /// Offsets that are read, and the last number that is not kept.
    fn read(&mut self, since: Position, keep: Option<HistoryOptions>) -> (Vec<u64>, u64) {
        let reply = self.reply(Request::Read {
            group: "room".into(),
            since,
            keep,
            fresh: 9,
        });
        let Reply::Kept { floor, entries, .. } = reply else {
            panic!("{reply:?}");
        };
        let offset = |entry: &Entry| entry.offset;
        (entries.iter().map(offset).collect(), floor)
    }
}

fn message(text: &str, unsaved: bool) -> Messages {
    let mut messages = Messages::default();
    messages.push(&PublishRequest {
        group: "room".into(),
        message: PreparedMessage::new(text),
        sender: None,
        options: PublishOptions {
            without_history: unsaved,
            ..PublishOptions::default()
        },
    });
    messages
}

fn keep() -> HistoryOptions {
    HistoryOptions {
        messages: 3,
        bytes: 1 << 20,
        age: Duration::from_secs(1),
        recovery: 2,
    }
}

fn publish(messages: Messages, id: Option<&str>, keep: Option<HistoryOptions>) -> Request {
    let is_saved = |message: Result<&[u8], _>| message.unwrap()[0] & wire::UNSAVED == 0;
    let saved = messages.iter().all(is_saved);
    Request::Publish {
        group: "room".into(),
        saved,
        messages,
        id: id.map(Arc::from),
        keep,
        watched: true,
        fresh: 5,
    }
}

fn hello() -> Request {
    publish(message("hello", false), None, Some(keep()))
}

const fn at(epoch: u64, offset: u64) -> Position {
    Position { epoch, offset }
}

fn ada() -> Present {
    Present {
        user: "ada".into(),
        metadata: None,
        said: Instant::ZERO,
    }
}

fn enter(incarnation: Incarnation) -> Request {
    Request::Enter {
        group: "room".into(),
        incarnation,
        users: vec![ada()],
        fresh: 5,
    }
}

#[test]
fn messages_are_numbered_in_one_order_and_those_unsaved_are_not() {
    let mut desk = Desk::new();
    let positions = [false, true, false].map(|unsaved| match desk.publish("x", unsaved) {
        Reply::Published { before, .. } => before,
        other => panic!("{other:?}"),
    });
    assert_eq!(positions, [at(5, 0), at(5, 1), at(5, 1)]);
    assert_eq!(desk.server.group("room").unwrap().position, at(5, 2));
}

#[test]
fn times_rise_within_a_group_though_the_clock_goes_back() {
    let mut desk = Desk::new();
    let mut last = 0;
    for now in [50, 50, 20] {
        desk.now = now;
        let Reply::Published { time, .. } = desk.publish("x", false) else {
            panic!();
        };
        assert!(time > last);
        last = time;
    }
}

#[test]
fn a_message_with_an_id_of_before_is_not_published_again_for_five_minutes() {
    let mut desk = Desk::new();
    let with_id = || publish(message("x", false), Some("one"), None);
    desk.reply(with_id());
    assert_eq!(desk.reply(with_id()), Reply::Again(at(5, 1)));
    desk.now += 300_000_000;
    assert!(matches!(desk.reply(with_id()), Reply::Published { .. }));
}

#[test]
fn subscribers_receive_in_the_order_of_publishing_and_others_nothing() {
    let mut desk = Desk::new();
    for pushes_first in [true, false] {
        desk.server.pushes_first = pushes_first;
        let channel = Channel::Group("room".into());
        let said = desk.ask(Request::Subscribe(channel.clone()));
        assert_eq!(said[0], (1, Said::Push(Push::Subscribed(channel.clone()))));
        assert_eq!(said[1], (1, Said::Reply(7, Ok(Reply::Done))));
        let said = desk.ask(hello());
        let reply = said
            .iter()
            .position(|(_, said)| matches!(said, Said::Reply(..)));
        assert_eq!((said.len(), reply), (2, Some(usize::from(pushes_first))));
        let said = desk.ask(Request::Unsubscribe(channel));
        assert_eq!(said.len(), 2);
        assert_eq!(desk.ask(hello()).len(), 1);
    }
}

#[test]
fn watchers_receive_the_payload_with_the_name_of_the_group() {
    let mut desk = Desk::new();
    desk.ask(Request::Subscribe(Channel::Watch));
    let said = desk.ask(publish(message("x", false), None, None));
    let payload = wire::messages(at(5, 0), desk.now, &message("x", false));
    let push = Push::Message(Channel::Watch, wire::watched("room", &payload));
    assert_eq!(said[0], (1, Said::Push(push)));
}

#[test]
fn the_oldest_goes_first_and_one_longer_message_stays_alone() {
    let mut desk = Desk::new();
    for _ in 0..5 {
        desk.publish("x", false);
    }
    let none = at(5, 0);
    // No more than one recovery replays, though three are kept.
    assert_eq!(desk.read(none, Some(keep())), (vec![4, 5], 2));
    let tight = HistoryOptions { bytes: 1, ..keep() };
    desk.reply(publish(message("long", false), None, Some(tight)));
    assert_eq!(desk.read(none, Some(tight)), (vec![6], 5));
    desk.now += 1_000_000;
    assert_eq!(desk.read(none, Some(keep())), (vec![], 6));
}

#[test]
fn the_epoch_is_another_when_what_was_seen_is_not_there() {
    let mut desk = Desk::new();
    let mark = |desk: &Desk, offset: u64, time: u64| {
        let epoch = desk.server.group("room").unwrap().position.epoch;
        Some(Mark {
            position: at(epoch, offset),
            time,
        })
    };
    for _ in 0..3 {
        desk.publish("x", false);
    }
    let time = desk.server.group("room").unwrap().time;
    for (offset, time, epoch) in [
        (3, time, 5),
        (1, time - 20, 5),
        (0, 0, 5),
        (4, time, 40),
        (3, time - 1, 41),
        (2, time, 42),
        (3, time, 42),
    ] {
        let ours = mark(&desk, offset, time);
        let found = desk.position(ours, false, epoch);
        assert_eq!(
            (found.position, found.time),
            (at(epoch, 3), desk.server.group("room").unwrap().time)
        );
    }
}

#[test]
fn a_replica_that_was_promoted_gives_each_group_another_epoch_once() {
    let mut desk = Desk::new();
    desk.publish("x", false);
    let data = desk.server.snapshot();
    desk.server.promote(data);
    desk.server.open(1);
    assert_eq!(desk.position(None, false, 8).position, at(5, 1));
    assert_eq!(desk.position(None, true, 8).position, at(8, 1));
    assert_eq!(desk.position(None, true, 9).position, at(8, 1));
    desk.server.restart(Data::default());
    desk.server.open(1);
    assert_eq!(desk.position(None, true, 10).position, at(10, 0));
}

#[test]
fn a_user_on_two_incarnations_is_there_until_both_are_gone() {
    let mut desk = Desk::new();
    desk.ask(Request::Subscribe(Channel::Group("room".into())));
    assert_eq!(desk.ask(enter(SEAT)).len(), 2);
    assert_eq!(desk.ask(enter(OTHER)).len(), 1, "it changes nothing");
    let exit = |incarnation, users: Option<Vec<Name>>| Request::Exit {
        group: "room".into(),
        incarnation,
        users,
        fresh: 6,
    };
    assert_eq!(desk.ask(exit(SEAT, None)).len(), 1);
    let said = desk.ask(exit(OTHER, Some(vec!["ada".into()])));
    let mut change = PresenceChange::new("room".into(), 5, 2, 0);
    change.left.push(Present {
        user: "ada".into(),
        metadata: None,
        said: Instant::ZERO,
    });
    let left = wire::presence(&change);
    let push = Push::Message(Channel::Group("room".into()), left);
    assert_eq!(said[0], (1, Said::Push(push)));
}

#[test]
fn a_dead_node_is_handed_to_one_and_to_another_after_another_lease() {
    let mut desk = Desk::new();
    let beat = |incarnation| Request::Beat {
        incarnation,
        watching: false,
        lease: LEASE,
    };
    let heard = |desk: &mut Desk, incarnation| match desk.reply(beat(incarnation)) {
        Reply::Beat { anew, dead, .. } => (anew, dead),
        other => panic!("{other:?}"),
    };
    desk.reply(Request::Register {
        incarnation: OTHER,
        groups: vec!["room".into()],
        lease: LEASE,
    });
    assert_eq!(heard(&mut desk, SEAT), (true, vec![]));
    desk.now += 2_999_900;
    assert_eq!(heard(&mut desk, SEAT), (false, vec![]));
    desk.now += 100;
    assert_eq!(heard(&mut desk, SEAT), (false, vec![OTHER]));
    assert_eq!(heard(&mut desk, SEAT), (false, vec![]));
    desk.now += 3_000_000;
    assert_eq!(heard(&mut desk, SEAT), (false, vec![OTHER]));
    assert_eq!(
        desk.reply(Request::Groups(OTHER)),
        Reply::Groups(vec![Arc::from("room")])
    );
    desk.reply(Request::Unregister {
        incarnation: OTHER,
        groups: vec!["room".into()],
        whole: true,
    });
    assert_eq!(heard(&mut desk, OTHER), (true, vec![]));
}

#[test]
fn commands_left_by_a_dead_connection_are_run_and_not_answered() {
    let mut desk = Desk::new();
    desk.server.close(1);
    assert_eq!(desk.ask(hello()), []);
    assert_eq!(desk.server.group("room").unwrap().position, at(5, 1));
}
