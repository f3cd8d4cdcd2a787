//! The wire format is what `src/wire/vectors.tsv` says, for good: servers of two versions share a Redis while one replaces the other.

use sansws_core::close::CloseCode;
use sansws_core::hub::{
    ChannelId, Instruction, NodeId, Position, PresenceChange, Present, PublishOptions,
    PublishRequest,
};
use sansws_core::message::{Payload as Content, PreparedMessage};
use sansws_core::time::{Duration, Instant};
use sansws_redis::wire::{self, Messages, Payload, WireError};

fn channel(slot: u32) -> ChannelId {
    ChannelId::from_parts(NodeId(0x0102_0304_0506_0708), slot, 9)
}

const BEFORE: Position = Position {
    epoch: 0xfeed_face_cafe_beef,
    offset: 41,
};

const TIME: u64 = 1_764_000_000_123_456;

fn draft(message: PreparedMessage, options: PublishOptions) -> PublishRequest {
    PublishRequest {
        group: "lobby".into(),
        message,
        sender: None,
        options,
    }
}

/// All kinds, by name.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let text = draft(PreparedMessage::new("grüße"), PublishOptions::default());
    let all = PublishRequest {
        sender: Some(channel(1)),
        ..draft(
            PreparedMessage::new(Content::Binary(&[0, 255])),
            PublishOptions {
                exclude: vec![channel(1), channel(70_000)],
                without_history: true,
                key: Some("price".into()),
                id: Some("is not part of it".into()),
                expires: Some(Duration::from_millis(1_500)),
                ..PublishOptions::default()
            },
        )
    };
    let users = draft(
        PreparedMessage::new("not to them"),
        PublishOptions {
            exclude_users: vec!["eve".into()],
            exclude_replay: vec!["ada".into()],
            ..PublishOptions::default()
        },
    );
    let empty = draft(PreparedMessage::new(""), PublishOptions::default());
    let mut messages = Messages::default();
    messages.push(&text);
    messages.push(&all);
    let present = |user: &str, metadata: Option<&str>| Present {
        user: user.into(),
        metadata: metadata.map(Into::into),
        said: Instant::from_micros(TIME),
    };
    let mut change = PresenceChange::new("lobby".into(), 0xabc, 7, 2);
    change.joined = vec![present("ada", None), present("bob", Some("{\"seat\":1}"))];
    change.updated = vec![present("dora", Some("away"))];
    change.left = vec![present("cleo", Some("gone"))];
    let nobody = PresenceChange::new("lobby".into(), 1, 8, 0);
    let attributed = draft(
        PreparedMessage::new("x"),
        PublishOptions {
            info: Some("{}".into()),
            tags: Some([("kind".into(), "note".into())].into()),
            ..PublishOptions::default()
        },
    );
    let instructions = [
        ("join", Instruction::Join("lobby".into())),
        ("leave", Instruction::Leave("lobby".into())),
        ("user", Instruction::SetUser(Some("ada".into()))),
        ("no user", Instruction::SetUser(None)),
        ("metadata", Instruction::SetMetadata("away".into())),
        (
            "expiry",
            Instruction::SetExpiry(Some(Instant::from_micros(TIME))),
        ),
        ("no expiry", Instruction::SetExpiry(None)),
    ];
    let restart = CloseCode::RESTART;
    let all = [
        ("message, text", wire::encode(&text)),
        ("message, everything", wire::encode(&all)),
        ("message, empty", wire::encode(&empty)),
        ("payload, messages", wire::messages(BEFORE, TIME, &messages)),
        (
            "payload, no messages",
            wire::messages(BEFORE, TIME, &Messages::default()),
        ),
        ("payload, close", wire::close(restart, "see you")),
        (
            "payload, direct",
            wire::direct(channel(3), &PreparedMessage::new("psst")),
        ),
        (
            "payload, direct binary",
            wire::direct(
                channel(3),
                &PreparedMessage::new(Content::Binary(&[1, 2, 3])),
            ),
        ),
        (
            "payload, close one",
            wire::close_channel(channel(3), restart, ""),
        ),
        (
            "payload, watched",
            wire::watched("lobby", &wire::close(restart, "")),
        ),
        ("payload, watching", wire::watching()),
        ("message, users", wire::encode(&users)),
    ];
    let mut vectors: Vec<_> = all
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect();
    for (name, instruction) in instructions {
        vectors.push((
            format!("payload, instruct, {name}"),
            wire::instruct(&instruction),
        ));
        let one = wire::instruct_channel(channel(3), &instruction);
        vectors.push((format!("payload, instruct one, {name}"), one));
    }
    let later = [
        ("payload, presence with metadata", wire::presence(&change)),
        ("payload, no presence", wire::presence(&nobody)),
        ("message, attributes", wire::encode(&attributed)),
        (
            "payload, signal",
            wire::instruct(&Instruction::Signal("look".into())),
        ),
        (
            "payload, several",
            wire::several(vec![
                wire::direct(channel(3), &PreparedMessage::new("psst")),
                wire::close_channel(channel(3), restart, ""),
            ]),
        ),
    ];
    vectors.extend(later.map(|(name, bytes)| (name.to_owned(), bytes)));
    vectors
}

/// Lines of kinds that are only read.
fn is_old(line: &str) -> bool {
    line.starts_with("payload, presence\t") || line.starts_with("payload, presence of nobody\t")
}

#[test]
fn records_of_older_versions_are_read() {
    let known = include_str!("../src/wire/vectors.tsv");
    let old: Vec<_> = known.lines().filter(|line| is_old(line)).collect();
    let left: Vec<_> = old
        .iter()
        .map(|line| {
            let (_, digits) = line.split_once('\t').unwrap();
            let digit = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(digit).collect();
            match wire::parse(&"lobby".into(), &bytes).unwrap() {
                Payload::Presence(change) => change.left,
                _ => panic!("it is no change of presence"),
            }
        })
        .collect();
    assert_eq!((left[0][0].user.as_ref(), left[1].len()), ("cleo", 0));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_written_format_is_stable() {
    let known = include_str!("../src/wire/vectors.tsv");
    let known: Vec<_> = known
        .lines()
        .filter(|line| !line.starts_with('#') && !is_old(line))
        .collect();
    let written: Vec<_> = vectors()
        .iter()
        .map(|(name, bytes)| format!("{name}\t{}", hex(bytes)))
        .collect();
    assert_eq!(
        known, written,
        "a new kind is a new line; a line that is there never changes"
    );
}

#[test]
fn written_records_are_read_back() {
    let group = "lobby".into();
    for (name, bytes) in vectors() {
        if name.starts_with("message") {
            let read = wire::decode(&group, &bytes).unwrap();
            assert_eq!(wire::encode(&read), bytes, "{name}");
            continue;
        }
        let again = match wire::parse(&group, &bytes).unwrap() {
            Payload::Messages(batch) => {
                let (before, time) = (batch.before, batch.time);
                let mut messages = Messages::default();
                for message in batch {
                    messages.push(&wire::decode(&group, message.unwrap()).unwrap());
                }
                wire::messages(before, time, &messages)
            }
            Payload::Presence(change) => wire::presence(&change),
            Payload::Instruct(instruction) => wire::instruct(&instruction),
            Payload::InstructChannel {
                slot,
                generation,
                instruction,
            } => {
                let id = ChannelId::from_parts(NodeId(0), slot, generation);
                wire::instruct_channel(id, &instruction)
            }
            Payload::Close { code, reason } => wire::close(code, reason),
            Payload::Direct {
                slot,
                generation,
                message,
            } => wire::direct(ChannelId::from_parts(NodeId(0), slot, generation), &message),
            Payload::CloseChannel {
                slot,
                generation,
                code,
                reason,
            } => wire::close_channel(
                ChannelId::from_parts(NodeId(0), slot, generation),
                code,
                reason,
            ),
            Payload::Watched { group, payload } => wire::watched(&group, payload),
            Payload::Watching => wire::watching(),
            Payload::Several(payloads) => {
                wire::several(payloads.map(|one| one.unwrap().to_vec()).collect())
            }
        };
        assert_eq!(again, bytes, "{name}");
    }
}

#[test]
fn records_of_newer_servers_differ_from_nonsense() {
    let group = "lobby".into();
    let parse = |bytes: &[u8]| wire::parse(&group, bytes).map(drop);
    assert_eq!(parse(&[2, 1]), Err(WireError::Unknown), "another version");
    assert_eq!(
        parse(&[1, 99, 1, 2, 3]),
        Err(WireError::Unknown),
        "another kind"
    );
    assert_eq!(
        parse(&[1, 7, 5]),
        Ok(()),
        "more than is known of a kind that says nothing"
    );
    let decode = |bytes: &[u8]| wire::decode(&group, bytes).map(drop);
    assert_eq!(
        decode(&[128, 9, b'x']),
        Err(WireError::Unknown),
        "another form of information"
    );
    assert_eq!(decode(&[]), Err(WireError::Malformed));
    assert_eq!(
        decode(&[0, 0xff]),
        Err(WireError::Malformed),
        "text that is none"
    );
    assert_eq!(
        parse(&[1, 3, 0, 5]),
        Err(WireError::Malformed),
        "a code that nobody may send"
    );
    let numbered = |offset: u64| {
        let before = Position { epoch: 1, offset };
        parse(&wire::messages(before, 1, &Messages::default()))
    };
    assert_eq!(numbered(1 << 62), Ok(()));
    assert_eq!(
        numbered(u64::MAX),
        Err(WireError::Malformed),
        "a number that nothing can follow"
    );
}

#[test]
fn truncated_or_changed_records_never_panic() {
    let group = "lobby".into();
    let read = |bytes: &[u8]| {
        let _ = wire::decode(&group, bytes);
        if let Ok(Payload::Messages(batch)) = wire::parse(&group, bytes) {
            for message in batch {
                let _ = message.map(|message| wire::decode(&group, message));
            }
        }
    };
    for (_, bytes) in vectors() {
        for end in 0..bytes.len() {
            read(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                read(&changed);
            }
        }
    }
}
