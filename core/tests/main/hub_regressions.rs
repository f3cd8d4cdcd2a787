//! Bugs of the hub that the simulation or a second reading found, each in its smallest form.

use std::sync::Arc;

use sansws_core::hub::{
    BackplaneCommand, BackplaneEvent, Broker, ChannelId, ChannelOptions, GroupOptions,
    HistoryOptions, HistorySlice, Hub, HubError, HubOptions, JoinOptions, NodeId, Notice, Output,
    Position, PresenceMode, PublishOptions, QueueLimits, SlowConsumerPolicy, Taken,
};
use sansws_core::message::PreparedMessage;
use sansws_core::time::{Duration, Instant};

/// Nodes and a broker, without any delay between them.
struct Cluster {
    now: Instant,
    hubs: Vec<Hub>,
    broker: Broker,
    /// The output of the hubs, except for commands.
    outputs: Vec<Output>,
}

impl Cluster {
    fn new(nodes: u64, options: HubOptions) -> Self {
        let options = Arc::new(options);
        let hubs = (0..nodes).map(|node| Hub::new(NodeId(node), Arc::clone(&options)));
        let mut hubs: Vec<Hub> = hubs.collect();
        for hub in &mut hubs {
            hub.listen(true, true);
        }
        Self {
            now: Instant::from_micros(1_000_000),
            hubs,
            broker: Broker::new(options, 100),
            outputs: Vec::new(),
        }
    }

    /// Passes on all that is said.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            for hub in &mut self.hubs {
                while let Some(output) = hub.poll_output() {
                    moved = true;
                    match output {
                        Output::Command(command) => {
                            self.broker.handle(self.now, hub.node(), command);
                        }
                        output => self.outputs.push(output),
                    }
                }
            }
            while let Some((to, event)) = self.broker.poll_event() {
                moved = true;
                let hub = self.hubs.iter_mut().find(|hub| hub.node() == to);
                hub.unwrap().receive(self.now, event);
            }
            if !moved {
                return;
            }
        }
    }

    fn open(&mut self, node: usize, open: ChannelOptions) -> ChannelId {
        let id = self.hubs[node].open(self.now, open).unwrap();
        self.run();
        id
    }

    fn join(&mut self, id: ChannelId, group: &str) {
        let hub = &mut self.hubs[id.node.0 as usize];
        hub.join(self.now, id, group, JoinOptions::default())
            .unwrap();
        self.run();
    }

    fn publish(&mut self, node: usize, group: &str, text: &str, options: PublishOptions) {
        let message = PreparedMessage::new(text);
        let hub = &mut self.hubs[node];
        hub.publish(self.now, None, group, message, options, None)
            .unwrap();
        self.run();
    }

    /// Likewise, without telling any node.
    fn lose(&mut self, node: usize, group: &str, text: &str) {
        let (now, message) = (self.now, PreparedMessage::new(text));
        let hub = &mut self.hubs[node];
        hub.publish(now, None, group, message, PublishOptions::default(), None)
            .unwrap();
        while let Some(output) = hub.poll_output() {
            if let Output::Command(command) = output {
                self.broker.handle(now, hub.node(), command);
            }
        }
        while self.broker.poll_event().is_some() {}
    }

    /// Lets time pass, from one thing that is due to the next.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let hubs = self.hubs.iter().map(Hub::deadline);
            let due = hubs.chain([self.broker.deadline()]).flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            for hub in &mut self.hubs {
                hub.tick(self.now);
            }
            self.broker.tick(self.now);
            self.run();
        }
        self.now = end;
    }

    /// Breaks the link of a node.
    fn part(&mut self, node: usize) {
        let id = self.hubs[node].node();
        self.broker.unlink(self.now, id);
        self.hubs[node].receive(self.now, BackplaneEvent::Down);
        self.run();
    }

    fn heal(&mut self, node: usize) {
        self.hubs[node].receive(self.now, BackplaneEvent::Up);
        self.run();
    }

    /// All that waits for a channel, as text.
    fn taken(&mut self, id: ChannelId) -> Vec<String> {
        let hub = &mut self.hubs[id.node.0 as usize];
        let mut all = Vec::new();
        loop {
            match hub.take(self.now, id, |frame, _| frame.payload().to_vec()) {
                Taken::Message(bytes) => all.push(String::from_utf8(bytes).unwrap()),
                Taken::Skipped { group, count } => all.push(format!("skipped {count} of {group}")),
                Taken::Close(code, _) => {
                    all.push(format!("close {code}"));
                    return all;
                }
                Taken::Nothing => return all,
            }
        }
    }
}

fn user(name: &str) -> ChannelOptions {
    ChannelOptions {
        user: Some(name.into()),
        ..ChannelOptions::default()
    }
}

#[test]
fn the_group_of_a_users_channels_has_no_presence_changes() {
    let mut cluster = Cluster::new(1, HubOptions::default());
    let id = cluster.open(0, user("ada"));
    cluster.hubs[0].closed(cluster.now, id);
    cluster.run();
    assert!(cluster.outputs.is_empty(), "{:?}", cluster.outputs);
}

#[test]
fn users_that_left_while_the_link_was_broken_are_gone_when_it_is_back() {
    let members = GroupOptions::default().presence(PresenceMode::members());
    let mut cluster = Cluster::new(2, HubOptions::default().groups(members));
    let (ada, bob) = (cluster.open(0, user("ada")), cluster.open(0, user("bob")));
    cluster.join(ada, "room");
    cluster.join(bob, "room");
    cluster.part(0);
    cluster.hubs[0].closed(cluster.now, ada);
    cluster.pass(Duration::from_secs(10));
    assert_eq!(cluster.broker.presence("room").count, 2);
    cluster.heal(0);
    let present = cluster.broker.presence("room");
    assert_eq!((present.count, &*present.members[0].user), (1, "bob"));
}

#[test]
fn publications_that_expire_during_a_publish_are_not_counted_as_held() {
    let history = GroupOptions::default().history(HistoryOptions::default());
    let mut cluster = Cluster::new(1, HubOptions::default().groups(history));
    cluster.publish(0, "room", "one", PublishOptions::default());
    cluster.now = cluster.now + Duration::from_secs(300);
    cluster.publish(0, "room", "three", PublishOptions::default());
    assert_eq!(cluster.broker.history_bytes(), 5);
}

#[test]
fn a_node_that_was_given_up_and_is_heard_again_gets_its_messages() {
    let options = HubOptions {
        lease: Some(Duration::from_secs(3)),
        ..HubOptions::default()
    };
    let mut cluster = Cluster::new(2, options);
    let ada = cluster.open(0, user("ada"));
    cluster.join(ada, "room");
    // Nothing of what it says arrives for longer than the lease.
    cluster.now = cluster.now + Duration::from_secs(4);
    cluster.broker.tick(cluster.now);
    cluster.pass(Duration::from_secs(1));
    cluster.publish(1, "room", "hello", PublishOptions::default());
    assert_eq!(cluster.taken(ada), ["hello"]);
}

#[test]
fn publishers_go_on_when_what_they_waited_for_has_expired() {
    let wait = GroupOptions::default().slow_consumer(SlowConsumerPolicy::Wait);
    let budget = QueueLimits {
        messages: 1,
        ..QueueLimits::default()
    };
    let options = HubOptions::default().groups(wait).queue_limits(budget);
    let mut cluster = Cluster::new(1, options);
    let ada = cluster.open(0, ChannelOptions::default());
    cluster.join(ada, "room");
    let expires = PublishOptions {
        expires: Some(Duration::from_secs(1)),
        ..PublishOptions::default()
    };
    cluster.publish(0, "room", "one", expires);
    let now = cluster.now;
    let two = PreparedMessage::new("two");
    let behind = cluster.hubs[0].publish(now, None, "room", two, PublishOptions::default(), None);
    assert_eq!(behind, Err(HubError::Backpressure));
    cluster.now = now + Duration::from_secs(2);
    assert!(cluster.taken(ada).is_empty());
    cluster.run();
    let room = |output: &Output| matches!(output, Output::Room);
    assert!(cluster.outputs.iter().any(room), "{:?}", cluster.outputs);
}

#[test]
fn a_loss_that_no_later_message_shows_is_found_by_the_check() {
    let options = HubOptions {
        check: Some(Duration::from_secs(2)),
        ..HubOptions::default()
    };
    let mut cluster = Cluster::new(1, options);
    let ada = cluster.open(0, ChannelOptions::default());
    cluster.join(ada, "room");
    cluster.lose(0, "room", "lost");
    cluster.pass(Duration::from_secs(2));
    assert_eq!(cluster.hubs[0].snapshot().counters.lost, 1);
}

#[test]
fn a_message_without_a_number_does_not_overtake_the_loss_before_it() {
    let words = |notice: &Notice| match notice {
        Notice::Gap { count, .. } => Some(format!("gap {count:?}").into()),
        _ => None,
    };
    let unsaved = PublishOptions {
        without_history: true,
        ..PublishOptions::default()
    };
    let plain = GroupOptions::default().notices(words);
    let kept = plain.clone().history(HistoryOptions::default());
    for (group, want) in [
        (plain, ["gap Some(1)", "unsaved"]),
        (kept, ["gap Some(1)", "lost"]),
    ] {
        let mut cluster = Cluster::new(1, HubOptions::default().groups(group));
        let ada = cluster.open(0, ChannelOptions::default());
        cluster.join(ada, "room");
        cluster.lose(0, "room", "lost");
        cluster.publish(0, "room", "unsaved", unsaved.clone());
        assert_eq!(cluster.taken(ada), want);
    }
}

#[test]
fn a_watcher_misses_nothing_while_a_member_joins() {
    let mut cluster = Cluster::new(1, HubOptions::default());
    let (ada, bob) = (
        cluster.open(0, ChannelOptions::default()),
        cluster.open(0, ChannelOptions::default()),
    );
    let now = cluster.now;
    cluster.hubs[0]
        .subscribe(now, ada, "#".parse().unwrap())
        .unwrap();
    cluster.run();
    let hello = PreparedMessage::new("hello");
    cluster.hubs[0]
        .publish(now, None, "room", hello, PublishOptions::default(), None)
        .unwrap();
    cluster.hubs[0]
        .join(now, bob, "room", JoinOptions::default())
        .unwrap();
    cluster.run();
    assert_eq!(cluster.taken(ada), ["hello"]);
    assert!(cluster.taken(bob).is_empty());
}

#[test]
fn a_notice_of_a_gap_that_is_dropped_stands_for_all_that_was_in_the_gap() {
    let words = |notice: &Notice| match notice {
        Notice::Gap { count, .. } => Some(format!("gap {count:?}").into()),
        Notice::Skipped { count, .. } => Some(format!("skipped {count}").into()),
        _ => None,
    };
    for overflow in [
        SlowConsumerPolicy::DropOldest,
        SlowConsumerPolicy::DropNewest,
    ] {
        let group = GroupOptions::default()
            .notices(words)
            .slow_consumer(overflow);
        let budget = QueueLimits {
            messages: 1,
            ..QueueLimits::default()
        };
        let options = HubOptions::default().groups(group).queue_limits(budget);
        let mut cluster = Cluster::new(1, options);
        let ada = cluster.open(0, ChannelOptions::default());
        cluster.join(ada, "room");
        cluster.publish(0, "room", "first", PublishOptions::default());
        for _ in 0..5 {
            cluster.lose(0, "room", "lost");
        }
        cluster.publish(0, "room", "last", PublishOptions::default());
        let want = match overflow {
            // The first one, the five, and the last one.
            SlowConsumerPolicy::DropNewest => ["first", "skipped 6"],
            _ => ["skipped 6", "last"],
        };
        assert_eq!(cluster.taken(ada), want);
    }
}

#[test]
fn an_answer_that_was_asked_for_over_an_earlier_link_ends_no_recovery() {
    let mut cluster = Cluster::new(1, HubOptions::default());
    let ada = cluster.open(0, ChannelOptions::default());
    let position = Position {
        epoch: 1,
        offset: 0,
    };
    let join = JoinOptions::recover(Some(position));
    let (now, hub) = (cluster.now, &mut cluster.hubs[0]);
    hub.join(now, ada, "room", join).unwrap();
    let outputs: Vec<Output> = core::iter::from_fn(|| hub.poll_output()).collect();
    let token = outputs.iter().find_map(|output| match output {
        Output::Command(BackplaneCommand::Read { token, .. }) => Some(*token),
        _ => None,
    });
    hub.receive(now, BackplaneEvent::Down);
    hub.receive(now, BackplaneEvent::Up);
    while hub.poll_output().is_some() {}
    let read = BackplaneEvent::Read {
        group: "room".into(),
        token: token.unwrap(),
        past: HistorySlice {
            publications: Vec::new(),
            position,
            missed: None,
        },
    };
    hub.receive(now, read);
    assert!(hub.poll_output().is_none());
}

#[test]
fn a_channel_that_was_refused_leaves_nothing_behind() {
    let options = HubOptions {
        max_groups: 0,
        ..HubOptions::default()
    };
    let mut cluster = Cluster::new(1, options);
    let opened = cluster.hubs[0].open(cluster.now, user("ada"));
    assert_eq!(opened, Err(HubError::TooManyGroupsInHub));
    assert_eq!(cluster.hubs[0].snapshot().gauges.channels, 0);
}

#[test]
fn nothing_is_heard_of_a_node_that_said_goodbye() {
    let options = HubOptions {
        lease: Some(Duration::from_secs(3)),
        ..HubOptions::default()
    };
    let mut cluster = Cluster::new(1, options);
    let ada = cluster.open(0, user("ada"));
    cluster.join(ada, "room");
    cluster.hubs[0].goodbye();
    cluster.run();
    cluster.hubs[0].closed(cluster.now, ada);
    cluster.run();
    assert_eq!(cluster.broker.deadline(), None);
}

#[test]
fn drops_are_reported_in_their_place_behind_earlier_messages() {
    let words = |notice: &Notice| match notice {
        Notice::Skipped { count, .. } => Some(format!("skipped {count}").into()),
        _ => None,
    };
    let group = GroupOptions::default().notices(words);
    let group = group.slow_consumer(SlowConsumerPolicy::DropOldest);
    let budget = QueueLimits {
        messages: 2,
        ..QueueLimits::default()
    };
    let options = HubOptions::default().groups(group).queue_limits(budget);
    let mut cluster = Cluster::new(1, options);
    let ada = cluster.open(0, ChannelOptions::default());
    let now = cluster.now;
    let joined = PreparedMessage::new("you joined");
    cluster.join(ada, "room");
    cluster.hubs[0].send_to(now, ada, joined).unwrap();
    for text in ["one", "two", "three"] {
        cluster.publish(0, "room", text, PublishOptions::default());
    }
    assert_eq!(cluster.taken(ada), ["you joined", "skipped 2", "three"]);
}

#[test]
fn a_message_grows_too_old_behind_a_note_of_another_group_too() {
    let words = |notice: &Notice| match notice {
        Notice::Skipped { count, .. } => Some(format!("skipped {count}").into()),
        _ => None,
    };
    let group = GroupOptions::default().notices(words);
    let group = group.slow_consumer(SlowConsumerPolicy::DropOldest);
    let budget = QueueLimits {
        messages: 1,
        age: Duration::from_secs(8),
        ..QueueLimits::default()
    };
    let options = HubOptions::default().groups(group).queue_limits(budget);
    let mut cluster = Cluster::new(1, options);
    let ada = cluster.open(0, ChannelOptions::default());
    cluster.join(ada, "one");
    cluster.join(ada, "two");
    cluster.publish(0, "one", "old", PublishOptions::default());
    cluster.pass(Duration::from_secs(10));
    cluster.publish(0, "two", "old too", PublishOptions::default());
    cluster.pass(Duration::from_secs(10));
    assert_eq!(cluster.taken(ada), ["skipped 1", "skipped 1"]);
}

#[test]
fn only_the_first_member_is_told_that_it_is_the_first() {
    let mut cluster = Cluster::new(1, HubOptions::default());
    let (ada, bob) = (
        cluster.open(0, ChannelOptions::default()),
        cluster.open(0, ChannelOptions::default()),
    );
    let since = Some(Position {
        epoch: 1,
        offset: 0,
    });
    let (now, hub) = (cluster.now, &mut cluster.hubs[0]);
    hub.join(now, ada, "room", JoinOptions::recover(since))
        .unwrap();
    hub.join(now, bob, "room", JoinOptions::default()).unwrap();
    cluster.run();
    let opened = cluster.outputs.iter().filter_map(|output| match output {
        Output::Joined(id, _, joined) if joined.unwrap().opened => Some(*id),
        _ => None,
    });
    assert_eq!(opened.collect::<Vec<_>>(), [ada]);
}

#[test]
fn messages_to_a_user_follow_no_groups_envelope_or_history() {
    let group = GroupOptions::default().history(HistoryOptions::default());
    let group = group.envelope(|publication| format!("in {}", publication.group).into());
    let options = HubOptions::default().groups(group.clone());
    let mut cluster = Cluster::new(1, options.rule("#".parse().unwrap(), group));
    let ada = cluster.open(0, user("ada"));
    let hello = PreparedMessage::new("hello");
    cluster.hubs[0]
        .send_to_user(cluster.now, "ada", hello)
        .unwrap();
    cluster.run();
    assert_eq!(cluster.taken(ada), ["hello"]);
    assert_eq!(cluster.broker.history_bytes(), 0);
}

#[test]
fn a_channel_expires_once() {
    let mut cluster = Cluster::new(1, HubOptions::default());
    let expiry = Some(Duration::from_secs(1));
    let ada = cluster.open(
        0,
        ChannelOptions {
            expiry,
            ..ChannelOptions::default()
        },
    );
    cluster.pass(Duration::from_secs(2));
    cluster.hubs[0].touch(cluster.now, ada).unwrap();
    cluster.pass(Duration::from_secs(2));
    assert_eq!(cluster.taken(ada), ["close 1001"]);
    assert_eq!(cluster.hubs[0].snapshot().counters.expired_channels, 1);
}

#[test]
fn a_join_whose_group_the_backplane_refuses_fails() {
    let group = GroupOptions::default().history(HistoryOptions::default());
    let options = Arc::new(HubOptions::default().groups(group));
    let (mut hub, now) = (Hub::new(NodeId(1), options), Instant::from_micros(1));
    let since = Some(Position {
        epoch: 1,
        offset: 1,
    });
    let (ada, bob) = (
        hub.open(now, ChannelOptions::default()).unwrap(),
        hub.open(now, user("bob")).unwrap(),
    );
    hub.join(now, ada, "room", JoinOptions::default()).unwrap();
    hub.join(now, bob, "room", JoinOptions::recover(since))
        .unwrap();
    let outputs = |hub: &mut Hub| {
        let (mut asked, mut told) = (Vec::new(), Vec::new());
        while let Some(output) = hub.poll_output() {
            match output {
                Output::Command(BackplaneCommand::Subscribe { group, token }) => {
                    asked.push((group, token));
                }
                Output::Command(BackplaneCommand::Unsubscribe(group)) => {
                    told.push(format!("unsubscribe {group}"));
                }
                Output::Joined(id, group, joined) => {
                    told.push(format!("{} {group} {joined:?}", id == ada));
                }
                _ => {}
            }
        }
        (asked, told)
    };
    let (asked, _) = outputs(&mut hub);
    for (group, token) in asked {
        let error = HubError::Refused;
        hub.receive(
            now,
            BackplaneEvent::Unavailable {
                group,
                token,
                error,
            },
        );
    }
    let told = outputs(&mut hub).1;
    assert_eq!(
        told,
        [
            "true room Err(Refused)",
            "unsubscribe room",
            "false room Err(Refused)"
        ]
    );
    assert!(hub.groups_of(ada).is_empty() && hub.groups_of(bob).is_empty());
    // The group of a user's channels is nobody's choice: they stay in it, and its position may come later.
    let before = hub.snapshot().counters.leaves;
    hub.closed(now, bob);
    assert_eq!(hub.snapshot().counters.leaves, before + 1);
}
