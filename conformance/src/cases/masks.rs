//! Cases 23.*: which side masks, and with which keys.
//! RFC 6455 sections 5.1 and 5.3.

use crate::case::{Case, case};
use crate::frame::{Frame, Masking, binary, close, continuation, ping, text};
use crate::keys::Pattern;
use crate::script::{PROTOCOL, Peer, Script, Step, Trips};

const CLIENT: &str = "RFC 6455 5.1: \"The server MUST close the connection upon receiving a frame that is not masked.\"";
const SERVER: &str =
    "RFC 6455 5.1: \"A client MUST close a connection if it detects a masked frame.\"";
const KEY: &str = "RFC 6455 6.2: \"A server MUST remove masking for data frames received from a client as described in Section 5.3.\" 5.3: \"Octet i of the transformed data (\\\"transformed-octet-i\\\") is the XOR of octet i of the original data [...] with octet at index i modulo 4 of the masking key [...].\"";
const FRESH: &str = "RFC 6455 5.3: \"The masking key is a 32-bit value chosen at random by the client. When preparing a masked frame, the client MUST pick a fresh masking key from the set of allowed 32-bit values. The masking key needs to be unpredictable; thus, the masking key MUST be derived from a strong source of entropy.\"";
const UNPREDICTABLE: &str = "RFC 6455 5.3: \"the masking key for a given frame MUST NOT make it simple for a server/proxy to predict the masking key for a subsequent frame\"; 10.3: clients \"MUST choose a new masking key for each frame, using an algorithm that cannot be predicted by end applications that provide data\".";

/// Makes a frame.
type Make = fn() -> Frame;

/// Frames that break the rule.
const WRONG: [(&str, Make); 6] = [
    ("text", || text("Hello")),
    ("an empty binary message", || binary("")),
    ("a ping", || ping("Hello")),
    ("an empty pong", || crate::frame::pong("")),
    ("a Close frame", || close(1000, "")),
    ("a first fragment", || text("Hello").more()),
];

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (part, peer, how, rule) in [
        (1, Peer::Server, "not masked", CLIENT),
        (2, Peer::Client, "masked", SERVER),
    ] {
        for (at, (what, frame)) in WRONG.into_iter().enumerate() {
            let does = format!("Send {what}, {how}.");
            let mut one = case(
                format!("23.{part}.{}", at + 1),
                does,
                "The connection fails with 1002.",
                rule,
                move |_| {
                    Script::new()
                        .send([frame().masking(Masking::AgainstRole)])
                        .fails(PROTOCOL)
                },
            );
            one.peer = Some(peer);
            all.push(one);
        }
        let does = format!("Send good text, then text that is {how}.");
        let mut second = case(
            format!("23.{part}.7"),
            does,
            "The good text comes back, then the connection fails with 1002.",
            rule,
            |_| {
                Script::new()
                    .send([text("good"), text("bad").masking(Masking::AgainstRole)])
                    .echo_before_failing(&text("good"), PROTOCOL)
                    .fails(PROTOCOL)
            },
        );
        second.peer = Some(peer);
        all.push(second);
        let does = format!("Send a good fragment, then a continuation that is {how}.");
        let mut third = case(
            format!("23.{part}.8"),
            does,
            "The connection fails with 1002.",
            rule,
            |_| {
                Script::new()
                    .send([
                        text("good").more(),
                        continuation("bad").masking(Masking::AgainstRole),
                    ])
                    .fails(PROTOCOL)
            },
        );
        third.peer = Some(peer);
        all.push(third);
    }
    let keys: [(&str, [u8; 4]); 4] = [
        ("of zeros", [0; 4]),
        ("of ones", [0xff; 4]),
        ("with one octet that is not zero", [0, 0, 0x55, 0]),
        ("that looks like a header", [0x81, 0x85, 0x88, 0x02]),
    ];
    for (at, (what, key)) in keys.into_iter().enumerate() {
        let does = format!("Send messages of each length from 0 to 70, masked with a key {what}.");
        all.push(
            case(
                format!("23.3.{}", at + 1),
                does,
                "All come back, in order.",
                KEY,
                move |_| {
                    let frames: Vec<Frame> = (0..=70_u8)
                        .map(|length| {
                            binary((0..length).collect::<Vec<u8>>()).masking(Masking::Key(key))
                        })
                        .collect();
                    let script = Script::new().send(frames.clone());
                    frames
                        .iter()
                        .fold(script, |script, frame| script.echo(frame))
                        .close()
                },
            )
            .for_servers(),
        );
    }
    all.push(
        case(
            "23.3.5",
            "Send one message in fragments of odd lengths, each with another key.",
            "The message comes back.",
            KEY,
            |_| {
                let payload: Vec<u8> = (0..=250).collect();
                let mut frames = Vec::new();
                let mut rest = payload.as_slice();
                for (at, size) in [1, 2, 3, 5, 7, 13, 31, 64, 125].into_iter().enumerate() {
                    let (part, later) = rest.split_at(size);
                    rest = later;
                    let frame = if at == 0 {
                        binary(part)
                    } else {
                        continuation(part)
                    };
                    frames.push(frame.more());
                }
                frames.push(continuation(rest));
                Script::new().send(frames).echo_binary(payload).close()
            },
        )
        .for_servers(),
    );
    let patterns = [
        (
            "23.4.1",
            "Each frame has another masking key.",
            FRESH,
            Pattern::Repeats,
        ),
        (
            "23.4.2",
            "The masking keys do not count.",
            UNPREDICTABLE,
            Pattern::Counts,
        ),
        (
            "23.4.3",
            "The masking keys do not repeat one octet or two.",
            UNPREDICTABLE,
            Pattern::RepeatsOctets,
        ),
        (
            "23.4.4",
            "Each octet of the masking keys varies.",
            UNPREDICTABLE,
            Pattern::Fixed,
        ),
    ];
    for (id, expects, rule, pattern) in patterns {
        all.push(
            case(
                id,
                "Read 100 messages of a client.",
                expects,
                rule,
                move |_| hundred().step(Step::Keys(pattern)).close(),
            )
            .for_clients(),
        );
    }
    all.push(
        case(
            "23.4.5",
            "Read a message of a client, as on each of its earlier connections.",
            "Its masking key is not the first one of an earlier connection.",
            UNPREDICTABLE,
            |_| {
                Script::new()
                    .send([text("Hello")])
                    .echo_text("Hello")
                    .step(Step::KeysStartAnew)
                    .close()
            },
        )
        .for_clients(),
    );
    all
}

/// A hundred messages, one at a time.
fn hundred() -> Script {
    Script::new().step(Step::Trips(Trips {
        count: 100,
        message: Box::new(|turn| format!("message {turn}").into_bytes()),
        text: true,
        fragment: None,
        repeats: 0,
    }))
}
