//! Formats, replies to joins, presence of connections, signals, and queries of history: what protocols over the hub need.

use std::sync::{Arc, Mutex};

use sansws_core::close::CloseCode;
use sansws_core::hub::{
    ChannelId, ChannelOptions, Encoding, Format, GroupOptions, HistoryOptions, HistoryQuery,
    HubError, HubOptions, Instruction, JoinDecision, JoinOptions, JoinReply, LocalHub, Notice,
    Output, Position, PresenceMode, PublishOptions, Query, QueryResult, QueueLimits, Recovered,
    RecoveryFailure, Signal, SlowConsumerPolicy, Taken, Target,
};
use sansws_core::message::PreparedMessage;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

const NOW: Instant = Instant::from_micros(1_000_000);

fn hub(group: GroupOptions) -> LocalHub {
    let angle = Format::new(
        |publication| {
            let offset = publication.position.map_or(0, |position| position.offset);
            let info = publication.info.as_deref().unwrap_or("");
            let tags = publication.tags.iter().flat_map(|tags| tags.iter());
            let tags: String = tags
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            let text = publication.as_text()?;
            Some(format!("<{offset} {text}{info}{tags}>").into())
        },
        |notice| match notice {
            Notice::Presence(change) => {
                let text = |prefix: &str, metadata: &Option<Arc<str>>| {
                    format!("{prefix}{}", metadata.as_deref().unwrap_or(""))
                };
                let joined = change.joined.iter().map(|one| text("+", &one.metadata));
                let left = change.left.iter().map(|one| text("-", &one.metadata));
                Some(joined.chain(left).collect::<String>().into())
            }
            _ => None,
        },
    );
    let brace = Format::new(
        |publication| Some(format!("{{{}}}", publication.as_text()?).into()),
        |_| None,
    );
    let options = HubOptions::default()
        .groups(group)
        .format(angle)
        .format(brace);
    LocalHub::new(Seed::new([7; 32]), Arc::new(options))
}

fn keeps() -> GroupOptions {
    GroupOptions::default().history(HistoryOptions::default())
}

fn open(hub: &mut LocalHub, encoding: Encoding) -> ChannelId {
    let options = ChannelOptions {
        encoding,
        ..ChannelOptions::default()
    };
    hub.open(NOW, options).unwrap()
}

fn outputs(hub: &mut LocalHub) -> Vec<Output> {
    std::iter::from_fn(|| hub.poll_output(NOW)).collect()
}

fn publish(hub: &mut LocalHub, text: &str) {
    let options = PublishOptions::default();
    hub.publish(NOW, None, "room", PreparedMessage::new(text), options, None)
        .unwrap();
    outputs(hub);
}

fn taken(hub: &mut LocalHub, id: ChannelId) -> Vec<String> {
    let mut all = Vec::new();
    while let Taken::Message(text) = hub.take(NOW, id, |frame, _| frame.payload().to_vec()) {
        all.push(String::from_utf8(text).unwrap());
    }
    all
}

fn join(hub: &mut LocalHub, id: ChannelId, join: JoinOptions) {
    hub.join(NOW, id, "room", join).unwrap();
    outputs(hub);
}

#[test]
fn each_format_is_made_once_whatever_the_number_of_members() {
    let mut hub = hub(keeps());
    let plain = open(&mut hub, Encoding::AsSent);
    let angle: Vec<_> = (0..3)
        .map(|_| open(&mut hub, Encoding::Format(0)))
        .collect();
    let brace = open(&mut hub, Encoding::Format(1));
    for id in angle.iter().chain([&plain, &brace]) {
        join(&mut hub, *id, JoinOptions::default());
    }
    let before = hub.snapshot().counters.encodes;
    let options = PublishOptions {
        info: Some("!".into()),
        tags: Some([("k".into(), "v".into())].into()),
        ..PublishOptions::default()
    };
    let message = PreparedMessage::new("tea");
    hub.publish(NOW, None, "room", message, options, None)
        .unwrap();
    outputs(&mut hub);
    assert_eq!(taken(&mut hub, plain), ["tea"]);
    for id in angle {
        assert_eq!(taken(&mut hub, id), ["<1 tea! k=v>"]);
    }
    assert_eq!(taken(&mut hub, brace), ["{tea}"]);
    assert_eq!(hub.snapshot().counters.encodes - before, 2);
    assert!(hub.snapshot().adds_up());
}

#[test]
fn the_reply_to_a_join_precedes_all_messages_and_has_those_that_were_missed() {
    let mut hub = hub(keeps());
    let first = open(&mut hub, Encoding::AsSent);
    join(&mut hub, first, JoinOptions::default());
    for text in ["one", "two", "three"] {
        publish(&mut hub, text);
    }
    let top = hub.broker().position("room").unwrap();
    let seen: Arc<Mutex<Vec<Position>>> = Arc::default();
    let reply = |seen: &Arc<Mutex<Vec<Position>>>| {
        let seen = Arc::clone(seen);
        JoinReply::new(move |joined, missed| {
            seen.lock().unwrap().extend(joined.position);
            let texts: Vec<_> = missed.iter().filter_map(|one| one.as_text()).collect();
            JoinDecision::Stay(Some(format!("reply {}", texts.join(" ")).into()))
        })
    };
    let id = open(&mut hub, Encoding::Format(0));
    let since = Position { offset: 1, ..top };
    let options = JoinOptions {
        since: Some(since),
        reply: Some(reply(&seen)),
        ..JoinOptions::default()
    };
    // Not yet answered by the broker: what is published meanwhile is either in the reply, or after it.
    hub.join(NOW, id, "room", options).unwrap();
    let message = PreparedMessage::new("four");
    let none = PublishOptions::default();
    hub.publish(NOW, None, "room", message, none, None).unwrap();
    outputs(&mut hub);
    publish(&mut hub, "five");
    let all = taken(&mut hub, id);
    assert_eq!(all, ["reply two three", "<4 four>", "<5 five>"]);
    let fresh = open(&mut hub, Encoding::Format(0));
    let options = JoinOptions {
        reply: Some(reply(&seen)),
        ..JoinOptions::default()
    };
    join(&mut hub, fresh, options);
    assert_eq!(taken(&mut hub, fresh), ["reply "]);
    let offsets: Vec<_> = seen.lock().unwrap().iter().map(|one| one.offset).collect();
    assert_eq!(offsets, [3, 5]);
}

#[test]
fn a_reply_can_refuse_a_join_and_the_channel_is_no_member() {
    let mut hub = hub(keeps());
    let id = open(&mut hub, Encoding::Format(0));
    let options = JoinOptions {
        reply: Some(JoinReply::new(|_, _| {
            JoinDecision::Leave(Some("no".into()))
        })),
        ..JoinOptions::default()
    };
    assert_eq!(hub.join(NOW, id, "room", options), Ok(None));
    let joined = outputs(&mut hub)
        .into_iter()
        .find_map(|output| match output {
            Output::Joined(_, _, joined) => joined.ok(),
            _ => None,
        });
    assert!(joined.unwrap().refused);
    publish(&mut hub, "secret");
    assert_eq!(
        (taken(&mut hub, id), hub.count("room")),
        (vec!["no".to_owned()], 0)
    );
}

#[test]
fn a_refused_join_does_not_end_the_presence_of_a_user_who_is_there() {
    let mut hub = hub(GroupOptions::default().presence(PresenceMode::members()));
    let mut ada = || {
        let options = ChannelOptions {
            user: Some("ada".into()),
            ..ChannelOptions::default()
        };
        hub.open(NOW, options).unwrap()
    };
    let [stays, refused] = [ada(), ada()];
    join(&mut hub, stays, JoinOptions::default());
    let reply = JoinReply::new(|_, _| JoinDecision::Leave(None));
    let refuse = JoinOptions {
        reply: Some(reply),
        ..JoinOptions::default()
    };
    join(&mut hub, refused, refuse);
    assert_eq!(hub.members("room"), [stays]);
    assert_eq!(hub.broker().presence("room").count, 1);
    hub.closed(NOW, stays);
    let gone = NOW + Duration::from_secs(3);
    hub.tick(gone);
    while hub.poll_output(gone).is_some() {}
    assert_eq!(hub.broker().presence("room").count, 0);
}

#[test]
fn presence_of_connections_shows_the_metadata_of_each_membership_and_of_those_who_left() {
    let mut hub = hub(GroupOptions::default().presence(PresenceMode::Connections));
    let as_ada = |hub: &mut LocalHub| {
        let options = ChannelOptions {
            user: Some("ada".into()),
            encoding: Encoding::Format(0),
            ..ChannelOptions::default()
        };
        hub.open(NOW, options).unwrap()
    };
    let (one, two) = (as_ada(&mut hub), as_ada(&mut hub));
    for (id, metadata) in [(one, "phone"), (two, "desk")] {
        let options = JoinOptions {
            metadata: Some(metadata.into()),
            reply: Some(JoinReply::new(|_, _| {
                JoinDecision::Stay(Some("reply".into()))
            })),
            ..JoinOptions::default()
        };
        join(&mut hub, id, options);
    }
    let present = hub.broker().presence("room");
    assert_eq!(present.count, 2);
    let shown = present
        .members
        .iter()
        .find(|one| *one.user == *two.to_string());
    assert_eq!(shown.unwrap().metadata.as_deref(), Some("desk"));
    assert_eq!(taken(&mut hub, one), ["reply", "+phone", "+desk"]);
    hub.closed(NOW, two);
    outputs(&mut hub);
    assert_eq!(taken(&mut hub, one), ["-desk"], "without a grace period");
}

#[test]
fn a_held_queue_gives_nothing_until_it_is_released() {
    let mut hub = hub(keeps());
    let id = open(&mut hub, Encoding::Format(0));
    join(&mut hub, id, JoinOptions::default());
    hub.hold(id, true).unwrap();
    publish(&mut hub, "later");
    assert_eq!(taken(&mut hub, id), [""; 0]);
    hub.hold(id, false).unwrap();
    let wakes = outputs(&mut hub);
    assert!(wakes.iter().any(|output| matches!(output, Output::Wake(_))));
    assert_eq!(taken(&mut hub, id), ["<1 later>"]);
}

#[test]
fn signals_reach_handlers_by_channel_and_by_user() {
    let mut hub = hub(GroupOptions::default());
    let options = ChannelOptions {
        user: Some("ada".into()),
        ..ChannelOptions::default()
    };
    let id = hub.open(NOW, options).unwrap();
    outputs(&mut hub);
    for target in [Target::Channel(id), Target::User("ada".into())] {
        hub.instruct(NOW, target, Instruction::Signal("look".into()))
            .unwrap();
        let all = outputs(&mut hub);
        let signal = all.iter().find_map(|output| match output {
            Output::Signal(to, signal) => Some((*to, signal.clone())),
            _ => None,
        });
        assert_eq!(signal, Some((id, Signal::Text("look".into()))));
    }
}

#[test]
fn history_is_read_in_both_directions_from_any_position() {
    let mut hub = hub(keeps());
    let id = open(&mut hub, Encoding::AsSent);
    join(&mut hub, id, JoinOptions::default());
    for number in 1..=5 {
        publish(&mut hub, &number.to_string());
    }
    let top = hub.broker().position("room").unwrap();
    let at = |offset| Position { offset, ..top };
    let mut ask = |query: HistoryQuery| {
        hub.ask(Query::History(query)).unwrap();
        let all = outputs(&mut hub);
        let history = all.into_iter().find_map(|output| match output {
            Output::Answer(_, Ok(QueryResult::History(history))) => Some(history),
            _ => None,
        });
        let history = history.unwrap();
        assert_eq!(history.position, Some(top));
        let texts = history.publications.iter().filter_map(|one| one.as_text());
        (texts.collect::<Vec<_>>().join(" "), history.missed)
    };
    let query = |limit| HistoryQuery::new("room", limit);
    assert_eq!(ask(query(0)).0, "");
    assert_eq!(ask(query(2)).0, "1 2");
    assert_eq!(ask(query(2).reversed()).0, "5 4");
    assert_eq!(ask(query(9).since(at(3))).0, "4 5");
    assert_eq!(ask(query(9).since(at(3)).reversed()).0, "2 1");
    let ahead = ask(query(9).since(at(6)));
    assert_eq!(ahead, (String::new(), Some(RecoveryFailure::Ahead)));
    let other = Position {
        epoch: 3,
        offset: 1,
    };
    let other = ask(query(9).since(other));
    assert_eq!(other, (String::new(), Some(RecoveryFailure::Epoch)));
}

#[test]
fn a_namespace_is_the_name_before_the_colon() {
    let options = HubOptions::default().namespace("chat", keeps());
    assert!(options.of("chat:tea").history.is_some());
    assert!(options.of("chat").history.is_none());
    assert!(options.of("chats:tea").history.is_none());
}

#[test]
fn removed_history_is_missing_and_the_position_stays() {
    let mut hub = hub(keeps());
    for text in ["one", "two"] {
        publish(&mut hub, text);
    }
    let top = hub.broker().position("room").unwrap();
    hub.ask(Query::RemoveHistory("room".into())).unwrap();
    let answered = outputs(&mut hub);
    assert!(
        answered
            .iter()
            .any(|output| { matches!(output, Output::Answer(_, Ok(QueryResult::HistoryRemoved))) })
    );
    assert_eq!(hub.broker().history_bytes(), 0);
    assert_eq!(hub.broker().position("room"), Some(top));
    publish(&mut hub, "three");
    let id = open(&mut hub, Encoding::AsSent);
    let mut recover = |offset| {
        let since = Some(Position { offset, ..top });
        hub.join(NOW, id, "room", JoinOptions::recover(since))
            .unwrap();
        let joined = outputs(&mut hub)
            .into_iter()
            .find_map(|output| match output {
                Output::Joined(_, _, joined) => Some(joined.unwrap().recovered),
                _ => None,
            });
        hub.leave(NOW, id, "room").unwrap();
        joined.unwrap()
    };
    assert_eq!(recover(2), Recovered::Complete(1));
    let missed = Recovered::Incomplete {
        replayed: 1,
        reason: RecoveryFailure::Evicted,
    };
    assert_eq!(recover(1), missed);
    hub.ask(Query::RemoveHistory("unknown".into())).unwrap();
    hub.ask(Query::RemoveHistory("".into())).unwrap_err();
}

#[test]
fn a_format_has_its_own_code_for_slow_channels() {
    let code = CloseCode::new(3008).unwrap();
    let format = Format::new(|one| Some(one.to_message()), |_| None).close_slow(code, "slow");
    let limits = QueueLimits {
        messages: 1,
        ..QueueLimits::default()
    };
    let options = HubOptions::default().format(format).queue_limits(limits);
    let mut hub = LocalHub::new(Seed::new([7; 32]), Arc::new(options));
    for (encoding, want) in [
        (Encoding::Format(0), (code, "slow")),
        (Encoding::AsSent, (CloseCode::AGAIN, "too slow")),
    ] {
        let id = open(&mut hub, encoding);
        join(&mut hub, id, JoinOptions::default());
        hub.blocked(NOW, id);
        for text in ["one", "two", "three"] {
            publish(&mut hub, text);
        }
        let closed = std::iter::from_fn(|| match hub.take(NOW, id, |_, _| ()) {
            Taken::Nothing => None,
            taken => Some(taken),
        });
        let closed = closed.take(9).find_map(|taken| match taken {
            Taken::Close(code, reason) => Some((code, reason)),
            _ => None,
        });
        let (code, reason) = closed.expect("it is closed");
        assert_eq!((code, &*reason), want);
        hub.closed(NOW, id);
    }
}

/// A hub with a format that says what follows the previous text, if that begins the new one.
fn appending(group: GroupOptions) -> LocalHub {
    let plain = Format::new(|one| Some(one.to_message()), |_| Some("notice".into()));
    let full = Format::new(
        |one| Some(format!("={}", one.as_text()?).into()),
        |_| Some("notice".into()),
    );
    let full = full.delta(|base, one| {
        let rest = one.as_text()?.strip_prefix(base.as_text()?)?;
        Some(format!("+{rest}").into())
    });
    let options = HubOptions::default()
        .groups(group)
        .format(plain)
        .format(full);
    LocalHub::new(Seed::new([7; 32]), Arc::new(options))
}

fn differs() -> JoinOptions {
    JoinOptions {
        format: Some(1),
        ..JoinOptions::default()
    }
}

/// No number stands for another choice.
#[test]
fn a_format_that_the_hub_does_not_have_is_refused() {
    let mut hub = appending(GroupOptions::default());
    let known = open(&mut hub, Encoding::Format(0));
    for number in [2, 62, 63, 64, 254, 255] {
        let options = ChannelOptions {
            encoding: Encoding::Format(number),
            ..ChannelOptions::default()
        };
        assert_eq!(hub.open(NOW, options), Err(HubError::NoFormat), "{number}");
        let options = JoinOptions {
            format: Some(number),
            ..JoinOptions::default()
        };
        let refused = hub.join(NOW, known, "room", options).unwrap_err();
        assert_eq!(refused, HubError::NoFormat, "{number}");
    }
    assert_eq!(hub.snapshot().gauges.channels, 1);
    join(&mut hub, known, JoinOptions::default());
    publish(&mut hub, "a");
    assert_eq!(taken(&mut hub, known), ["a"]);
}

#[test]
fn members_with_a_format_of_their_own_get_differences_from_what_they_received() {
    let mut hub = appending(keeps());
    let ids: Vec<_> = (0..3)
        .map(|_| open(&mut hub, Encoding::Format(0)))
        .collect();
    let [plain, early, late] = ids[..] else {
        panic!()
    };
    join(&mut hub, plain, JoinOptions::default());
    join(&mut hub, early, differs());
    publish(&mut hub, "a");
    join(&mut hub, late, differs());
    let before = hub.snapshot().counters.encodes;
    publish(&mut hub, "ab");
    // In full for the plain one, in full for the late one, and the difference.
    assert_eq!(hub.snapshot().counters.encodes - before, 3);
    publish(&mut hub, "abc");
    publish(&mut hub, "x");
    assert_eq!(taken(&mut hub, plain), ["a", "ab", "abc", "x"]);
    assert_eq!(taken(&mut hub, early), ["=a", "+b", "+c", "=x"]);
    assert_eq!(taken(&mut hub, late), ["=ab", "+c", "=x"]);

    // One that did not receive a message gets the next in full; so does everybody after one that may expire in the queue.
    let send = |hub: &mut LocalHub, text: &str, options| {
        let message = PreparedMessage::new(text);
        hub.publish(NOW, None, "room", message, options, None)
            .unwrap();
        outputs(hub);
    };
    let without = PublishOptions {
        exclude: vec![early],
        ..PublishOptions::default()
    };
    send(&mut hub, "xy", without);
    publish(&mut hub, "xyz");
    assert_eq!(taken(&mut hub, early), ["=xyz"]);
    assert_eq!(taken(&mut hub, late), ["+y", "+z"]);
    let expires = PublishOptions {
        expires: Some(Duration::from_secs(1)),
        ..PublishOptions::default()
    };
    send(&mut hub, "xyz1", expires);
    publish(&mut hub, "xyz12");
    publish(&mut hub, "xyz123");
    assert_eq!(taken(&mut hub, late), ["=xyz1", "=xyz12", "+3"]);
    assert!(hub.snapshot().adds_up());
}

#[test]
fn differences_follow_what_was_recovered() {
    let mut hub = appending(keeps());
    let first = open(&mut hub, Encoding::Format(0));
    join(&mut hub, first, differs());
    for text in ["a", "ab", "abc"] {
        publish(&mut hub, text);
    }
    let top = hub.broker().position("room").unwrap();
    let id = open(&mut hub, Encoding::Format(0));
    let reply = JoinReply::new(|_, missed| {
        let texts: Vec<_> = missed.iter().filter_map(|one| one.as_text()).collect();
        JoinDecision::Stay(Some(texts.join(" ").into()))
    });
    let options = JoinOptions {
        since: Some(Position { offset: 1, ..top }),
        reply: Some(reply),
        ..differs()
    };
    join(&mut hub, id, options);
    publish(&mut hub, "abcd");
    assert_eq!(taken(&mut hub, id), ["ab abc", "+d"]);
}

/// After an incomplete recovery a member is told to start anew: it has nothing that a difference could follow.
#[test]
fn no_difference_follows_an_incomplete_recovery() {
    let mut hub = appending(keeps());
    let first = open(&mut hub, Encoding::Format(0));
    join(&mut hub, first, differs());
    let text = |count| "abcdefghijklmnopqrstuvwxyz".repeat(9)[..count].to_owned();
    let mut top = None;
    for count in 1..=200 {
        publish(&mut hub, &text(count));
        top = top.or_else(|| hub.broker().position("room"));
    }
    let id = open(&mut hub, Encoding::Format(0));
    let reply = JoinReply::new(|joined, _| {
        let incomplete = matches!(joined.recovered, Recovered::Incomplete { .. });
        JoinDecision::Stay(Some(format!("anew: {incomplete}").into()))
    });
    let options = JoinOptions {
        since: top,
        reply: Some(reply),
        ..differs()
    };
    join(&mut hub, id, options);
    publish(&mut hub, &text(201));
    assert_eq!(
        taken(&mut hub, id),
        ["anew: true".to_owned(), format!("={}", text(201))]
    );
}

#[test]
fn groups_that_drop_messages_have_no_differences() {
    let drops = keeps().slow_consumer(SlowConsumerPolicy::DropOldest);
    let mut hub = appending(drops);
    let id = open(&mut hub, Encoding::Format(0));
    join(&mut hub, id, differs());
    publish(&mut hub, "a");
    publish(&mut hub, "ab");
    assert_eq!(taken(&mut hub, id), ["=a", "=ab"]);
}

#[test]
fn a_member_can_do_without_changes_of_presence() {
    let mut hub = appending(keeps().presence(PresenceMode::Connections));
    let told = open(&mut hub, Encoding::Format(0));
    let quiet = open(&mut hub, Encoding::Format(0));
    join(&mut hub, told, JoinOptions::default());
    let options = JoinOptions {
        without_presence: true,
        ..JoinOptions::default()
    };
    join(&mut hub, quiet, options);
    assert_eq!(taken(&mut hub, told), ["notice", "notice"]);
    assert!(taken(&mut hub, quiet).is_empty());
    assert!(hub.snapshot().adds_up());
}
