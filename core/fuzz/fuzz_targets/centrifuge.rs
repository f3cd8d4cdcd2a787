//! The session of the Centrifuge protocol over a hub: any commands, whole or broken, in any order, in both codecs, while time passes, others
//! publish and the server controls it. What it sends can be read, and its channels are those of the hub.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use sansws_centrifuge::protocol::{Codec, Command};
use sansws_core::hub::{Instruction, Target};
use sansws_core::limits::Rate;
use sansws_core::message::Message;
use std::time::Duration;

#[allow(dead_code)]
#[path = "../../../centrifuge/tests/main/world.rs"]
mod world;
use world::World;

/// Commands to begin with.
const COMMANDS: &[&str] = &[
    r#"{"id":1,"connect":{}}"#,
    r#"{"id":2,"connect":{"data":{"a":1},"subs":{"chat:tea":{"recover":true,"epoch":"5","offset":1}}}}"#,
    r#"{"id":3,"subscribe":{"channel":"chat:tea","join_leave":true}}"#,
    r#"{"id":4,"subscribe":{"channel":"chat:tea","recover":true,"offset":1,"flag":2}}"#,
    r#"{"id":5,"subscribe":{"channel":"chat:tea","recover":true,"epoch":"abc","offset":3,"delta":"fossil"}}"#,
    r#"{"id":6,"subscribe":{"channel":"plain:x"}}"#,
    r#"{"id":7,"unsubscribe":{"channel":"chat:tea"}}"#,
    r#"{"id":8,"publish":{"channel":"chat:tea","data":{"text":"hello"}}}"#,
    r#"{"id":9,"presence":{"channel":"chat:tea"}}"#,
    r#"{"id":10,"presence_stats":{"channel":"chat:tea"}}"#,
    r#"{"id":11,"history":{"channel":"chat:tea","limit":3,"since":{"offset":1,"epoch":"5"},"reverse":true}}"#,
    r#"{"id":12,"rpc":{"method":"echo","data":[1]}}"#,
    r#"{"send":{"data":1}}"#,
    r#"{"id":13,"refresh":{"token":"t"}}"#,
    r#"{"id":14,"sub_refresh":{"channel":"chat:tea","token":"t"}}"#,
    r#"{"id":15,"ping":{}}"#,
    "{}",
];

/// Requests of the server.
const CONTROLS: &[&str] = &[
    r#"{"do":"subscribe","channel":"chat:tea","data":"[1]"}"#,
    r#"{"do":"unsubscribe","channel":"chat:tea","code":2500,"reason":"again"}"#,
    r#"{"do":"refresh","expire_at":1100}"#,
    r#"{"do":"message","data":"{}"}"#,
    r#"{"do":"commands","secret":"s","data":"{\"id\":20,\"ping\":{}}"}"#,
];

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        Some(all[usize::from(self.byte()?) % all.len()])
    }
}

fn message(codec: Codec, bytes: Vec<u8>) -> Message {
    match codec {
        Codec::Json => Message::Text(String::from_utf8_lossy(&bytes).into_owned()),
        Codec::Protobuf => Message::Binary(bytes),
    }
}

/// A command of the list in a codec.
fn command(codec: Codec, text: &str) -> Vec<u8> {
    match codec {
        Codec::Json => text.as_bytes().to_vec(),
        Codec::Protobuf => {
            let command: Command = serde_json::from_str(text).unwrap();
            command.encode_length_delimited_to_vec()
        }
    }
}

fn run(data: &[u8]) -> Option<()> {
    let mut input = Input(data);
    let flags = input.byte()?;
    let codec = [Codec::Json, Codec::Protobuf][usize::from(flags & 1)];
    let mut options = world::options();
    if flags & 2 != 0 {
        options.commands = Some(Rate::per_second(3));
    }
    for namespace in options.namespaces.values_mut() {
        namespace.deltas = flags & 4 != 0;
    }
    let mut world = World::with_codec(options, codec);
    while let Some(what) = input.byte() {
        match what % 10 {
            // One of the list, or several, and perhaps a byte of them is another.
            0..=3 => {
                let mut bytes = command(codec, input.one_of(COMMANDS)?);
                if what & 0x10 != 0 {
                    if codec == Codec::Json {
                        bytes.push(b'\n');
                    }
                    bytes.extend(command(codec, input.one_of(COMMANDS)?));
                }
                if what & 0x20 != 0 {
                    let (at, byte) = (usize::from(input.byte()?), input.byte()?);
                    let length = bytes.len();
                    bytes[at % length] = byte;
                }
                world.send_message(&message(codec, bytes));
            }
            4 => {
                let length = usize::from(input.byte()?);
                let bytes = input.bytes(length).to_vec();
                world.send_message(&message(codec, bytes));
            }
            5 => world.pass(Duration::from_secs(u64::from(input.byte()?) / 4)),
            6 | 7 => {
                let text = ["\"tea\"", "\"tea, and more of it\"", "[1,2]"];
                world.publish("chat:tea", input.one_of(&text)?);
            }
            8 => {
                let control = input.one_of(CONTROLS)?;
                let target = Target::User("ada".into());
                let signal = Instruction::Signal(control.into());
                let _ = world.hub.instruct(world.now, target, signal);
                world.settle();
            }
            _ => world.answers_pings = what & 0x10 != 0,
        }
        if world.closed.is_some() {
            world.take();
            world.send_message(&message(codec, command(codec, COMMANDS[0])));
            assert!(world.take().is_empty(), "it is over");
            return None;
        }
    }
    assert!(world.hub.snapshot().adds_up());
    if let Some(id) = world.id {
        let ours: Vec<String> = world.session.channels().map(str::to_owned).collect();
        let groups = world.hub.groups_of(id);
        let mut theirs: Vec<String> = groups.iter().map(ToString::to_string).collect();
        theirs.sort();
        assert_eq!(ours, theirs);
    }
    Some(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
