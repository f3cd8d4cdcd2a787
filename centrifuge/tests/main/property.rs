//! Any commands in any order: nothing panics, and each command is answered once unless the connection ends.

use proptest::prelude::*;
use sansws_centrifuge::protocol::Codec;
use sansws_core::message::Message;
use serde_json::{Value, json};

use crate::world::{World, options};

fn command() -> impl Strategy<Value = Value> {
    let channel = prop_oneof![
        Just("chat:a"),
        Just("chat:b"),
        Just("plain:a"),
        Just("closed:a"),
        Just("nowhere:a"),
        Just("x"),
    ];
    (0..11, channel, 0..4_u64, any::<bool>()).prop_map(|(kind, channel, number, flag)| match kind {
        0 | 1 => json!({"subscribe": {"channel": channel, "recover": flag, "epoch": "5", "offset": number}}),
        2 => json!({"unsubscribe": {"channel": channel}}),
        3 => json!({"publish": {"channel": channel, "data": number}}),
        4 => json!({"presence": {"channel": channel}}),
        5 => json!({"presence_stats": {"channel": channel}}),
        6 => json!({"history": {"channel": channel, "limit": number as i64 - 1, "reverse": flag}}),
        7 => json!({"rpc": {"method": "echo", "data": number}}),
        8 => json!({"refresh": {"token": "t"}}),
        9 => json!({"sub_refresh": {"channel": channel, "token": "t"}}),
        _ => json!({"ping": {}}),
    })
}

proptest! {
    #[test]
    fn each_command_is_answered_once(commands in proptest::collection::vec(command(), 0..40)) {
        let mut world = World::connected(options());
        let mut want = Vec::new();
        for (at, mut command) in commands.into_iter().enumerate() {
            let id = at as u64 + 2;
            command["id"] = json!(id);
            want.push(id);
            world.send(&command.to_string());
        }
        let sent = world.take();
        let got: Vec<u64> = sent.iter().filter_map(|one| one["id"].as_u64()).collect();
        prop_assert_eq!(got, want);
        prop_assert_eq!(world.close_code(), None);
        prop_assert!(world.hub.snapshot().adds_up());
        let channels: Vec<String> = world.session.channels().map(str::to_owned).collect();
        let id = world.id.unwrap();
        let mut groups: Vec<String> = world.hub.groups_of(id).iter().map(|one| one.to_string()).collect();
        groups.sort();
        prop_assert_eq!(channels, groups);
    }

    #[test]
    fn any_bytes_are_commands_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Codec::Protobuf.decode(&Message::Binary(bytes.clone()), 10);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = Codec::Json.decode(&Message::Text(text), 10);
    }
}
