//! The rules of a machine, one in each test; the simulation found most of them.
//! Two processes and a Redis in memory; what is on its way can be held up.

#[expect(dead_code, reason = "the simulation asks for more")]
#[path = "memory/mod.rs"]
mod memory;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use memory::{Data, Said, Server};
use sansws_core::hub::{
    BackplaneCommand, BackplaneEvent, ChannelId, GroupOptions, HistoryOptions, HubOptions,
    Instruction, NodeId, Position, PresenceMode, Present, PublishOptions, PublishRequest, Query,
    QueryResult, RecoveryFailure, Target, Token,
};
use sansws_core::message::PreparedMessage;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};
use sansws_redis::machine::Machine;
use sansws_redis::request::{Channel, Reply, Request, RequestId};

/// The nodes, one in each process.
const NODES: [NodeId; 2] = [NodeId(1), NodeId(2)];

struct Desk {
    now: Instant,
    /// By process, how far its clock is ahead.
    ahead: [Duration; 2],
    server: Server,
    machines: Vec<Machine>,
    /// By process, what has not arrived at Redis.
    up: Vec<VecDeque<(RequestId, Request)>>,
    /// By process, what has not arrived from there.
    down: Vec<VecDeque<Said>>,
    events: Vec<Vec<BackplaneEvent>>,
    wires: [u64; 2],
}

impl Desk {
    /// Two processes that are connected, each with a node.
    fn new(options: HubOptions) -> Self {
        let options = Arc::new(options);
        let machine = |at| Machine::new(Arc::clone(&options), &Seed::new([at; 32]));
        let mut desk = Self {
            now: Instant::from_micros(1_000_000),
            ahead: [Duration::ZERO; 2],
            server: Server::new(),
            machines: vec![machine(1), machine(2)],
            up: vec![VecDeque::new(), VecDeque::new()],
            down: vec![VecDeque::new(), VecDeque::new()],
            events: vec![Vec::new(), Vec::new()],
            wires: [0, 1],
        };
        for at in 0..2 {
            desk.connect(at);
            desk.say(at, BackplaneCommand::Windows(0));
        }
        desk.run();
        desk
    }

    fn clock(&self) -> u64 {
        self.now.as_micros() + 1_000_000
    }

    /// The time by the clock of a process.
    fn now(&self, at: usize) -> Instant {
        self.now + self.ahead[at]
    }

    /// A fresh connection of a process.
    fn connect(&mut self, at: usize) {
        let old = self.wire(at);
        self.server.close(old);
        self.wires[at] += 2;
        let wire = self.wire(at);
        self.server.open(wire);
        self.up[at].clear();
        self.down[at].clear();
        let (now, clock) = (self.now(at), self.clock());
        self.machines[at].connected(now, clock);
    }

    fn wire(&self, at: usize) -> u64 {
        self.wires[at]
    }

    fn say(&mut self, at: usize, command: BackplaneCommand) {
        let now = self.now(at);
        self.machines[at].command(now, NODES[at], command);
        self.gather();
    }

    fn gather(&mut self) {
        for (at, machine) in self.machines.iter_mut().enumerate() {
            self.up[at].extend(core::iter::from_fn(|| machine.poll_request()));
            let events = core::iter::from_fn(|| machine.poll_event());
            self.events[at].extend(events.map(|(_, event)| event));
        }
    }

    /// Lets Redis do what has been asked, as far as it lies there.
    fn serve(&mut self, at: usize) {
        self.gather();
        while let Some((id, request)) = self.up[at].pop_front() {
            self.now = self.now + Duration::from_micros(10);
            let (clock, wire) = (self.clock(), self.wire(at));
            self.server.execute(clock, wire, id, request);
        }
        while let Some((wire, said)) = self.server.poll() {
            self.down[(wire % 2) as usize].push_back(said);
        }
    }

    /// Gives a machine what Redis said.
    fn hear(&mut self, at: usize) {
        let now = self.now(at);
        while let Some(said) = self.down[at].pop_front() {
            match said {
                Said::Reply(id, result) => self.machines[at].reply(now, id, result),
                Said::Push(push) => self.machines[at].push(now, push),
            }
        }
        self.gather();
    }

    /// Gives a machine the next thing that Redis said.
    fn hear_one(&mut self, at: usize) {
        let rest = self.down[at].split_off(1);
        self.hear(at);
        self.down[at] = rest;
    }

    /// Moves all until nothing is left to move.
    fn run(&mut self) {
        self.gather();
        while self.up.iter().any(|up| !up.is_empty())
            || self.down.iter().any(|down| !down.is_empty())
        {
            for at in 0..2 {
                self.serve(at);
                self.hear(at);
            }
        }
    }

    fn events(&mut self, at: usize) -> Vec<String> {
        let events = core::mem::take(&mut self.events[at]);
        events.iter().map(word).collect()
    }
}

/// An event in a few words.
fn word(event: &BackplaneEvent) -> String {
    match event {
        BackplaneEvent::Subscribed {
            token, position, ..
        } => {
            format!("subscribed {token} at {}", position.offset)
        }
        BackplaneEvent::Received(publication) => {
            let offset = publication.position.map_or(0, |position| position.offset);
            format!(
                "received {} {offset}",
                publication.as_text().unwrap_or_default()
            )
        }
        BackplaneEvent::Read { token, past, .. } => {
            format!(
                "read {token} up to {}, missed {:?}",
                past.position.offset, past.missed
            )
        }
        other => format!("{other:?}"),
    }
}

fn subscribe(token: Token) -> BackplaneCommand {
    BackplaneCommand::Subscribe {
        group: "room".into(),
        token,
    }
}

fn publish(text: &str) -> BackplaneCommand {
    BackplaneCommand::Publish {
        token: None,
        draft: PublishRequest {
            group: "room".into(),
            message: PreparedMessage::new(text),
            sender: None,
            options: PublishOptions::default(),
        },
    }
}

fn ada() -> Present {
    Present {
        user: "ada".into(),
        metadata: None,
        said: Instant::ZERO,
    }
}

fn enter() -> BackplaneCommand {
    BackplaneCommand::Enter {
        group: "room".into(),
        users: vec![ada()],
    }
}

fn read(token: Token, since: Position) -> BackplaneCommand {
    BackplaneCommand::Read {
        group: "room".into(),
        token,
        since,
    }
}

#[test]
fn publications_read_from_redis_come_behind_the_position() {
    let mut desk = Desk::new(HubOptions::default());
    desk.server.promote(Data::default());
    for at in 0..2 {
        desk.connect(at);
    }
    let since = Position {
        epoch: 1,
        offset: 0,
    };
    desk.say(0, subscribe(1));
    desk.say(0, read(2, since));
    desk.run();
    assert_eq!(
        desk.events(0),
        ["subscribed 1 at 0", "read 2 up to 0, missed Some(Epoch)"]
    );
}

#[test]
fn a_channel_whose_slot_moves_is_subscribed_to_again() {
    let (room, own) = (Channel::Group("room".into()), Channel::Node(NODES[0]));
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, subscribe(1));
    desk.run();
    desk.say(1, publish("one"));
    desk.run();
    desk.server.migrate(&room);
    desk.server.migrate(&own);
    // Nobody here hears of it.
    desk.say(1, publish("two"));
    desk.run();
    assert_eq!(desk.server.subscribers(&room), 1);
    assert_eq!(desk.server.subscribers(&own), 1);
    desk.say(1, publish("three"));
    desk.run();
    assert_eq!(
        desk.events(0),
        ["subscribed 1 at 0", "received one 1", "received three 3"]
    );
}

#[test]
fn a_channel_whose_slot_moves_while_its_subscription_begins_is_subscribed_to_again() {
    let room = Channel::Group("room".into());
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, subscribe(1));
    desk.serve(0);
    desk.server.migrate(&room);
    desk.serve(0);
    // Pushes come first.
    desk.down[0]
        .make_contiguous()
        .sort_by_key(|said| matches!(said, Said::Reply(..)));
    desk.run();
    assert_eq!(desk.server.subscribers(&room), 1);
    desk.say(1, publish("one"));
    desk.run();
    assert_eq!(desk.events(0), ["subscribed 1 at 0", "received one 1"]);
}

#[test]
fn a_node_that_goes_while_there_is_no_connection_is_not_kept() {
    let mut desk = Desk::new(HubOptions::default());
    desk.machines[0].disconnected(desk.now);
    desk.say(0, BackplaneCommand::Goodbye);
    desk.connect(0);
    desk.run();
    assert_eq!(desk.server.subscribers(&Channel::Node(NODES[0])), 0);
}

#[test]
fn a_server_that_went_back_to_an_earlier_epoch_begins_another() {
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, publish("one"));
    desk.run();
    let before = desk.server.snapshot();
    desk.say(0, publish("two"));
    desk.say(0, subscribe(1));
    desk.run();
    let mut epochs = BTreeSet::new();
    // The second time no number tells, only the epoch.
    for _ in 0..3 {
        let position = desk.server.group("room").unwrap().position;
        assert!(epochs.insert(position.epoch), "{epochs:?}");
        desk.server.restart(before.clone());
        desk.now = desk.now + Duration::from_secs(1);
        desk.connect(0);
        desk.say(0, subscribe(2));
        desk.run();
    }
}

#[test]
fn a_group_that_is_wanted_again_while_its_subscription_begins_gets_its_position() {
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, subscribe(1));
    desk.say(0, BackplaneCommand::Unsubscribe("room".into()));
    desk.serve(0);
    desk.hear_one(0);
    desk.say(0, subscribe(2));
    desk.run();
    assert_eq!(desk.events(0), ["subscribed 2 at 0"]);
}

#[test]
fn every_request_for_the_position_is_answered_though_another_began_the_group() {
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, subscribe(1));
    desk.serve(0);
    desk.hear(0);
    // The first request for the position is on its way, the second is made when the group is wanted again.
    desk.say(0, BackplaneCommand::Unsubscribe("room".into()));
    desk.say(0, subscribe(2));
    desk.serve(0);
    while !desk.down[0].is_empty() && desk.events[0].is_empty() {
        desk.hear_one(0);
    }
    desk.say(0, subscribe(3));
    desk.run();
    assert_eq!(desk.events(0), ["subscribed 2 at 0", "subscribed 3 at 0"]);
}

#[test]
fn a_node_that_goes_while_its_earlier_seat_is_cleared_away_leaves_nothing_to_wait_for() {
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, enter());
    desk.run();
    desk.machines[0].disconnected(desk.now);
    desk.connect(0);
    let ada = vec![("room".into(), vec![ada()])];
    desk.say(0, BackplaneCommand::Here(ada));
    desk.say(0, BackplaneCommand::Goodbye);
    desk.run();
    assert!(desk.machines[0].is_idle());
    assert_eq!(desk.server.incarnations().all().len(), 0);
}

#[test]
fn an_epoch_that_began_with_a_promotion_does_not_end_with_the_next_message() {
    let keeps = GroupOptions::default().history(HistoryOptions::default());
    let mut desk = Desk::new(HubOptions::default().groups(keeps));
    desk.say(0, publish("one"));
    desk.say(0, publish("two"));
    desk.run();
    let data = desk.server.snapshot();
    desk.server.promote(data);
    for at in 0..2 {
        desk.connect(at);
        desk.say(at, subscribe(1));
    }
    desk.run();
    let before = desk.server.group("room").unwrap().position;
    desk.say(1, publish("three"));
    desk.serve(1);
    // It has not arrived here when the position is asked for.
    desk.say(0, subscribe(2));
    desk.serve(0);
    assert_eq!(
        desk.server.group("room").unwrap().position.epoch,
        before.epoch
    );
    desk.run();
    assert_eq!(
        desk.events(0),
        ["subscribed 1 at 2", "received three 3", "subscribed 2 at 3"]
    );
}

#[test]
fn a_place_is_given_back_behind_all_who_leave_it() {
    let mut desk = Desk::new(HubOptions::default());
    let users = ["ada", "bob"].map(Arc::from);
    let present = users.clone().map(|user| Present {
        user,
        metadata: None,
        said: Instant::ZERO,
    });
    desk.say(
        0,
        BackplaneCommand::Enter {
            group: "room".into(),
            users: present.to_vec(),
        },
    );
    desk.run();
    for user in users {
        let (group, users) = ("room".into(), vec![user]);
        desk.say(0, BackplaneCommand::Exit { group, users });
    }
    // The first has left when the connection is lost, the second has not.
    desk.serve(0);
    desk.hear(0);
    let is_exit = |(_, request): &(RequestId, Request)| matches!(request, Request::Exit { .. });
    desk.up[0].retain(|request| !is_exit(request));
    desk.serve(0);
    desk.machines[0].disconnected(desk.now);
    desk.connect(0);
    desk.say(0, BackplaneCommand::Here(Vec::new()));
    desk.run();
    let room = desk.server.room("room").unwrap();
    assert_eq!(room.incarnations().len(), 0);
}

#[test]
fn publications_of_a_node_that_is_given_up_are_uncertain() {
    let mut desk = Desk::new(HubOptions {
        lease: Some(Duration::from_secs(1)),
        ..HubOptions::default()
    });
    desk.say(0, enter());
    for at in 0..2 {
        desk.say(at, BackplaneCommand::Beat);
    }
    desk.run();
    // It is silent for longer than its lease, and the other clears it away.
    desk.now = desk.now + Duration::from_secs(2);
    desk.say(1, BackplaneCommand::Beat);
    desk.run();
    // One is in flight and one waits when it learns of that; that of the other node is certain.
    desk.say(0, BackplaneCommand::Beat);
    for text in ["one", "two"] {
        desk.say(0, publish(text));
    }
    desk.say(1, publish("three"));
    desk.run();
    let metrics = [0, 1].map(|at| desk.machines[at].metrics());
    assert_eq!(metrics.map(|metrics| metrics.given_up), [1, 0]);
    assert_eq!(metrics.map(|metrics| metrics.uncertain), [2, 0]);
    // All of them are published before the connection is lost.
    desk.machines[0].disconnected(desk.now);
    assert_eq!(desk.machines[0].metrics().uncertain, 2);
}

fn enters(group: &str, user: &str) -> BackplaneCommand {
    let users = vec![Present {
        user: user.into(),
        ..ada()
    }];
    BackplaneCommand::Enter {
        group: group.into(),
        users,
    }
}

fn exits(group: &str, user: &str) -> BackplaneCommand {
    BackplaneCommand::Exit {
        group: group.into(),
        users: vec![user.into()],
    }
}

/// Users come and go while Redis refuses some requests; returns how many requests follow once it refuses none, and who is in the room.
fn after_refusals(refuses: fn(&Request) -> bool) -> (u64, Vec<Arc<str>>) {
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, enters("room", "ada"));
    desk.say(0, enters("room", "bob"));
    desk.run();
    desk.server.refuses = refuses;
    let second = |desk: &mut Desk| {
        desk.now = desk.now + Duration::from_secs(1);
        desk.machines[0].tick(desk.now);
        desk.run();
    };
    for number in 0..200 {
        for user in ["ada", "bob"] {
            desk.say(0, exits("room", user));
            desk.say(0, enters("room", user));
        }
        let (guest, other) = (format!("guest {number}"), format!("room {number}"));
        for group in ["room", &other] {
            desk.say(0, enters(group, &guest));
            desk.say(0, enters(group, "eve"));
            desk.say(0, exits(group, &guest));
            desk.say(0, exits(group, "eve"));
        }
        if number % 50 == 0 {
            second(&mut desk);
        }
    }
    desk.say(0, exits("room", "bob"));
    desk.say(0, enters("room", "zoe"));
    second(&mut desk);
    desk.server.refuses = |_| false;
    let before = desk.machines[0].metrics().requests;
    second(&mut desk);
    assert!(desk.machines[0].is_idle());
    let requests = desk.machines[0].metrics().requests - before;
    let Reply::Presence { members, .. } = desk.server.room("room").unwrap().presence(true) else {
        panic!("it is presence");
    };
    (requests, members.into_iter().map(|one| one.user).collect())
}

#[test]
fn users_that_come_and_go_while_redis_refuses_are_no_work_afterwards() {
    let is_presence =
        |request: &Request| matches!(request, Request::Enter { .. } | Request::Exit { .. });
    let is_place = |request: &Request| matches!(request, Request::Register { .. });
    for refuses in [is_presence, is_place, |request: &Request| {
        matches!(
            request,
            Request::Enter { .. }
                | Request::Exit { .. }
                | Request::Register { .. }
                | Request::Unregister { .. }
        )
    }] {
        let (requests, users) = after_refusals(refuses);
        assert_eq!(users, ["ada", "zoe"].map(Arc::from));
        assert!(requests < 10, "{requests}");
    }
}

#[test]
fn users_who_come_and_go_without_a_pause_hold_up_neither_each_other_nor_a_beat() {
    let turn = |desk: &mut Desk| {
        desk.serve(0);
        desk.hear(0);
    };
    let rooms: [fn(usize) -> String; 2] = [|_| "room".into(), |number| format!("room {number}")];
    for room in rooms {
        let mut desk = Desk::new(HubOptions::default());
        for number in 0..500 {
            desk.say(0, enters(&room(number), &format!("user {number}")));
            if let Some(earlier) = number.checked_sub(5) {
                desk.say(0, exits(&room(earlier), &format!("user {earlier}")));
            }
            let beats = |desk: &Desk| {
                let mut requests = desk.up[0].iter();
                requests.any(|(_, request)| matches!(request, Request::Beat { .. }))
            };
            let mut is_due = number == 400;
            if is_due {
                desk.say(0, BackplaneCommand::Beat);
                is_due = !beats(&desk);
            }
            turn(&mut desk);
            // It waited only for the request that was in flight.
            assert!(!is_due || beats(&desk));
        }
        let mut turns = 0;
        while !desk.machines[0].is_idle() {
            turn(&mut desk);
            turns += 1;
        }
        assert!(turns < 10, "{turns}");
        let last = desk.server.room(&room(499)).unwrap();
        let Reply::Presence { members, .. } = last.presence(true) else {
            panic!("it is presence");
        };
        let count = if room(0) == room(1) { 5 } else { 1 };
        assert_eq!(members.len(), count);
    }
}

#[test]
fn direct_messages_without_a_pause_are_sent_together_and_in_order() {
    let mut desk = Desk::new(HubOptions::default());
    let to = format!("{}-3-1", NODES[1]).parse().unwrap();
    let texts: Vec<String> = (0..1000)
        .map(|number| format!("message {number}"))
        .collect();
    for text in &texts {
        let message = PreparedMessage::new(text.as_str());
        desk.say(0, BackplaneCommand::Direct { to, message });
    }
    let before = desk.machines[0].metrics().requests;
    desk.run();
    let received = core::mem::take(&mut desk.events[1]).into_iter();
    let received = received.filter_map(|event| match event {
        BackplaneEvent::Direct { to: id, message } if id == to => {
            String::from_utf8(message.payload().to_vec()).ok()
        }
        _ => None,
    });
    assert_eq!(received.collect::<Vec<_>>(), texts);
    let requests = desk.machines[0].metrics().requests - before;
    assert!(requests < 10, "{requests}");
    assert!(desk.machines[0].is_idle());
}

#[test]
fn members_who_recover_at_once_are_read_for_together_and_each_gets_what_it_missed() {
    let history = HistoryOptions {
        messages: 8,
        recovery: 6,
        ..HistoryOptions::default()
    };
    let groups = GroupOptions::default().history(history);
    let mut desk = Desk::new(HubOptions::default().groups(groups));
    desk.say(0, subscribe(1));
    desk.run();
    for number in 1..=10 {
        desk.say(0, publish(&format!("{number}")));
    }
    desk.run();
    let mut position = None;
    for event in core::mem::take(&mut desk.events[0]) {
        if let BackplaneEvent::Received(publication) = event {
            position = publication.position;
        }
    }
    let position = position.unwrap();
    assert_eq!(position.offset, 10);
    let before = desk.machines[0].metrics().requests;
    for offset in 0..240 {
        let offset = offset % 12;
        desk.say(0, read(100 + offset, Position { offset, ..position }));
    }
    let other = Position {
        epoch: position.epoch - 1,
        offset: 9,
    };
    desk.say(0, read(200, other));
    desk.run();
    let mut answers = 0;
    for event in core::mem::take(&mut desk.events[0]) {
        let BackplaneEvent::Read { token, past, .. } = event else {
            continue;
        };
        answers += 1;
        let offsets = past
            .publications
            .iter()
            .map(|one| one.position.unwrap().offset);
        let offsets: Vec<u64> = offsets.collect();
        let (first, missed) = match token - 100 {
            0 | 1 => (5, Some(RecoveryFailure::Evicted)),
            2 | 3 => (5, Some(RecoveryFailure::Limit)),
            since @ 4..=10 => (since + 1, None),
            11 => (11, Some(RecoveryFailure::Ahead)),
            _ => (11, Some(RecoveryFailure::Epoch)),
        };
        let want: Vec<u64> = (first..=10).collect();
        assert_eq!((offsets, past.missed), (want, missed), "{token}");
        assert_eq!(past.position, position);
    }
    assert_eq!(answers, 241);
    let requests = desk.machines[0].metrics().requests - before;
    assert_eq!(requests, 3, "the first is in flight before the others come");
}

/// The number of requests until nothing waits, when 200 members do this while one request is in flight.
fn requests_of(act: fn(&mut Desk, u64)) -> u64 {
    let groups = GroupOptions::default().history(HistoryOptions::default());
    let mut desk = Desk::new(HubOptions::default().groups(groups));
    desk.say(0, subscribe(1));
    desk.say(0, enters("room", "somebody"));
    desk.run();
    let before = desk.machines[0].metrics().requests;
    for number in 0..200 {
        act(&mut desk, number);
    }
    desk.run();
    assert!(desk.machines[0].is_idle());
    desk.machines[0].metrics().requests - before
}

#[test]
fn steps_of_one_kind_are_done_together_whatever_stands_between_them() {
    let acts: [(&str, fn(&mut Desk, u64)); 5] = [
        ("recovers with a reply", |desk, number| {
            let position = Position {
                epoch: 7,
                offset: 0,
            };
            desk.say(0, read(1_000 + number, position));
            desk.say(0, enters("room", &format!("user {number}")));
        }),
        ("recovers", |desk, number| {
            let position = Position {
                epoch: 7,
                offset: 0,
            };
            desk.say(0, enters("room", &format!("user {number}")));
            desk.say(0, read(1_000 + number, position));
        }),
        ("joins and asks who is there", |desk, number| {
            desk.say(0, enters("room", &format!("user {number}")));
            let question = Query::Presence("room".into());
            let token = 1_000 + number;
            desk.say(0, BackplaneCommand::Ask { token, question });
        }),
        ("joins, publishes and leaves", |desk, number| {
            desk.say(0, enters("room", &format!("user {number}")));
            desk.say(0, publish("hello"));
            desk.say(0, exits("room", &format!("user {number}")));
        }),
        ("flaps", |desk, _| {
            for _ in 0..50 {
                desk.say(0, enters("room", "ada"));
                desk.say(0, exits("room", "ada"));
            }
        }),
    ];
    for (name, act) in acts {
        let requests = requests_of(act);
        assert!(requests < 20, "{name}: {requests}");
    }
}

#[test]
fn a_user_that_comes_and_goes_many_times_is_present_in_the_end() {
    let mut desk = Desk::new(HubOptions::default());
    desk.say(0, enters("room", "bob"));
    desk.run();
    for _ in 0..100 {
        for user in ["ada", "bob"] {
            desk.say(0, exits("room", user));
            desk.say(0, enters("room", user));
        }
        desk.say(0, enters("room", "eve"));
        desk.say(0, exits("room", "eve"));
    }
    desk.run();
    let Reply::Presence { members, .. } = desk.server.room("room").unwrap().presence(true) else {
        panic!("it is presence");
    };
    let users: Vec<&str> = members.iter().map(|one| &*one.user).collect();
    assert_eq!(users, ["ada", "bob"]);
}

#[test]
fn many_users_of_a_group_are_announced_in_steps_that_redis_can_bear() {
    let mut desk = Desk::new(HubOptions::default());
    let user = |number: usize| Present {
        user: format!("user {number}").into(),
        ..ada()
    };
    let all: Vec<Present> = (0..3_000).map(user).collect();
    desk.say(0, BackplaneCommand::Here(vec![("room".into(), all)]));
    let mut sizes = Vec::new();
    while !desk.machines[0].is_idle() {
        sizes.extend(desk.up[0].iter().filter_map(|(_, request)| match request {
            Request::Enter { users, .. } => Some(users.len()),
            _ => None,
        }));
        desk.serve(0);
        desk.hear(0);
    }
    assert_eq!(sizes.iter().sum::<usize>(), 3_000);
    assert!(sizes.iter().all(|size| *size <= 1_024), "{sizes:?}");
    let Reply::Presence { members, .. } = desk.server.room("room").unwrap().presence(true) else {
        panic!("it is presence");
    };
    assert_eq!(members.len(), 3_000);
}

#[test]
fn a_user_that_returns_without_metadata_while_redis_refuses_has_none() {
    let mut desk = Desk::new(HubOptions::default());
    let ada = Present {
        metadata: Some("old".into()),
        ..ada()
    };
    let command = BackplaneCommand::Enter {
        group: "room".into(),
        users: vec![ada],
    };
    desk.say(0, command);
    desk.run();
    desk.server.refuses = |request| matches!(request, Request::Enter { .. } | Request::Exit { .. });
    desk.say(0, exits("room", "ada"));
    desk.say(0, enters("room", "ada"));
    desk.run();
    desk.server.refuses = |_| false;
    desk.now = desk.now + Duration::from_secs(1);
    desk.machines[0].tick(desk.now);
    desk.run();
    let Reply::Presence { members, .. } = desk.server.room("room").unwrap().presence(true) else {
        panic!("it is presence");
    };
    let metadata: Vec<_> = members.into_iter().map(|one| one.metadata).collect();
    assert_eq!(metadata, [None]);
}

#[test]
fn the_metadata_that_were_set_last_are_shown_whatever_the_clocks_of_nodes_say() {
    let members = GroupOptions::default().presence(PresenceMode::members());
    let mut desk = Desk::new(HubOptions::default().groups(members));
    desk.ahead[0] = Duration::from_secs(2 * 3600);
    desk.connect(0);
    for (at, metadata) in [(0, "first"), (1, "second"), (0, "third"), (1, "last")] {
        desk.now = desk.now + Duration::from_secs(1);
        let users = vec![Present {
            metadata: Some(metadata.into()),
            said: desk.now(at),
            ..ada()
        }];
        let group = "room".into();
        desk.say(at, BackplaneCommand::Enter { group, users });
        desk.run();
    }
    for at in 0..2 {
        desk.events[at].clear();
        let question = Query::Presence("room".into());
        desk.say(at, BackplaneCommand::Ask { token: 7, question });
        desk.run();
        let Some(BackplaneEvent::Answer {
            answer: QueryResult::Presence(presence),
            ..
        }) = desk.events[at].first()
        else {
            panic!("{:?}", desk.events[at]);
        };
        let present = &presence.members[0];
        assert_eq!(present.metadata.as_deref(), Some("last"), "{at}");
        // They are told by the clock of the process, but for the time that messages took.
        assert!(present.said <= desk.now(at), "{at}");
        assert!(
            desk.now(at).since(present.said) < Duration::from_secs(60),
            "{at}"
        );
    }
}

#[test]
fn metadata_are_set_though_the_clock_of_redis_goes_back() {
    let members = GroupOptions::default().presence(PresenceMode::members());
    let mut desk = Desk::new(HubOptions::default().groups(members));
    let set = |desk: &mut Desk, metadata: &str| {
        let users = vec![Present {
            metadata: Some(metadata.into()),
            said: desk.now(0),
            ..ada()
        }];
        let group = "room".into();
        desk.say(0, BackplaneCommand::Enter { group, users });
        desk.run();
    };
    desk.now = desk.now + Duration::from_secs(7_200);
    desk.connect(0);
    set(&mut desk, "first");
    // That of the node does not.
    desk.now = Instant::from_micros(3_601_000_000);
    desk.ahead = [Duration::from_secs(3_600); 2];
    desk.connect(0);
    set(&mut desk, "second");
    let room = desk.server.room("room").unwrap();
    let Reply::Presence { members, .. } = room.presence(true) else {
        panic!("it is one");
    };
    assert_eq!(members[0].metadata.as_deref(), Some("second"));
}

#[test]
fn when_a_channel_expires_is_told_by_the_clock_of_each_process() {
    let mut desk = Desk::new(HubOptions::default());
    desk.ahead[0] = Duration::from_secs(2 * 3600);
    desk.connect(0);
    desk.say(1, subscribe(1));
    desk.run();
    desk.events[1].clear();
    let minute = Duration::from_secs(60);
    let channel = Target::Channel(ChannelId::from_parts(NODES[1], 3, 0));
    for target in [channel, Target::User("room".into())] {
        let instruction = Instruction::SetExpiry(Some(desk.now(0) + minute));
        desk.say(
            0,
            BackplaneCommand::Instruct {
                target,
                instruction,
            },
        );
        desk.run();
        let told = desk.events[1].pop();
        let Some(BackplaneEvent::Instruct {
            instruction: Instruction::SetExpiry(Some(at)),
            ..
        }) = told
        else {
            panic!("{told:?}");
        };
        let left = at.since(desk.now(1));
        assert!(left <= minute && left > minute / 2, "{left:?}");
    }
}
