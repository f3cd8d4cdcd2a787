//! A hub that is alone, with its broker in it: the same as a node and a broker that are joined by hand.
//! RFC 6455 section 7.4.1 for close codes.

use std::sync::Arc;

use sansws_core::close::CloseCode;
use sansws_core::hub::{
    ChannelId, ChannelOptions, GroupOptions, HistoryOptions, HubOptions, JoinOptions, Joined,
    LocalHub, Output, PresenceMode, PublishOptions, Query, QueryResult, Recovered, Taken,
};
use sansws_core::message::PreparedMessage;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

fn hub() -> LocalHub {
    let group = GroupOptions::default()
        .history(HistoryOptions::default())
        .presence(PresenceMode::members());
    let options = HubOptions::default().groups(group);
    LocalHub::new(Seed::new([3; 32]), Arc::new(options))
}

/// All that is to be done, which is never a command.
fn outputs(hub: &mut LocalHub, now: Instant) -> Vec<Output> {
    let all: Vec<Output> = std::iter::from_fn(|| hub.poll_output(now)).collect();
    assert!(
        !all.iter()
            .any(|output| matches!(output, Output::Command(_)))
    );
    all
}

fn joined(hub: &mut LocalHub, now: Instant, id: ChannelId, join: JoinOptions) -> Joined {
    let at_once = hub.join(now, id, "lobby", join).unwrap();
    let later = outputs(hub, now)
        .into_iter()
        .find_map(|output| match output {
            Output::Joined(who, group, joined) if who == id && &*group == "lobby" => joined.ok(),
            _ => None,
        });
    at_once.or(later).expect("it joined")
}

fn publish(hub: &mut LocalHub, now: Instant, text: &str) -> Vec<Output> {
    let (message, options) = (PreparedMessage::new(text), PublishOptions::default());
    hub.publish(now, None, "lobby", message, options, None)
        .unwrap();
    outputs(hub, now)
}

fn taken(hub: &mut LocalHub, now: Instant, id: ChannelId) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let text =
            |message: &PreparedMessage| String::from_utf8_lossy(message.payload()).into_owned();
        match hub.take(now, id, |message, _| text(message)) {
            Taken::Message(text) => all.push(text),
            Taken::Nothing => return all,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn members_receive_are_present_and_recover_what_they_missed() {
    let (mut hub, now) = (hub(), Instant::from_micros(1_000_000));
    let open = |user: &str| ChannelOptions {
        user: Some(user.into()),
        ..ChannelOptions::default()
    };
    let ada = hub.open(now, open("ada")).unwrap();
    let bob = hub.open(now, open("bob")).unwrap();
    for id in [ada, bob] {
        assert!(joined(&mut hub, now, id, JoinOptions::default()).added);
    }
    let mut woken: Vec<u32> = publish(&mut hub, now, "one")
        .iter()
        .filter_map(|output| match output {
            Output::Wake(slot) => Some(*slot),
            _ => None,
        })
        .collect();
    woken.sort_unstable();
    assert_eq!(woken, [ada.slot(), bob.slot()]);
    for id in [ada, bob] {
        assert_eq!(taken(&mut hub, now, id), ["one"]);
    }

    let token = hub.ask(Query::Presence("lobby".into())).unwrap();
    let answer = outputs(&mut hub, now)
        .into_iter()
        .find_map(|output| match output {
            Output::Answer(of, Ok(QueryResult::Presence(presence))) if of == token => {
                Some(presence)
            }
            _ => None,
        });
    assert_eq!(answer.expect("an answer").count, 2);

    let position = joined(&mut hub, now, ada, JoinOptions::default()).position;
    hub.closed(now, ada);
    publish(&mut hub, now, "two");
    publish(&mut hub, now, "three");
    let ada = hub.open(now, open("ada")).unwrap();
    let join = JoinOptions::recover(position);
    let back = joined(&mut hub, now, ada, join);
    assert_eq!(back.recovered, Recovered::Complete(2));
    assert_eq!(taken(&mut hub, now, ada), ["two", "three"]);
    assert!(hub.broker().history_bytes() > 0);
}

#[test]
fn its_deadline_is_that_of_both() {
    let (mut hub, mut now) = (hub(), Instant::from_micros(1_000_000));
    let quiet = ChannelOptions {
        expiry: Some(Duration::from_secs(40)),
        ..ChannelOptions::default()
    };
    let id = hub.open(now, quiet).unwrap();
    joined(&mut hub, now, id, JoinOptions::default());
    publish(&mut hub, now, "one");
    assert_eq!(taken(&mut hub, now, id), ["one"]);
    let mut closed = None;
    for _ in 0..100_000 {
        let Some(next) = hub.deadline() else { break };
        now = next.max(now + Duration::from_millis(1));
        hub.tick(now);
        outputs(&mut hub, now);
        if closed.is_none()
            && let Taken::Close(code, _) = hub.take(now, id, |_, _| ())
        {
            closed = Some((code, now));
            hub.closed(now, id);
        }
        if hub.broker().history_bytes() == 0 {
            break;
        }
    }
    let (code, at) = closed.expect("who is silent is closed");
    assert_eq!(code, CloseCode::AWAY);
    assert!(at < Instant::from_micros(60_000_000), "{at:?}");
    // The broker drops publications that are too old.
    assert_eq!(hub.broker().history_bytes(), 0);
}
