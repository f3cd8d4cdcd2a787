//! Cases 5.*: messages in fragments.
//! RFC 6455 section 5.4.

use super::rules::validated;
use crate::case::{Case, case};
use crate::frame::{Frame, continuation, ping, pong, text};
use crate::script::{Chop, PROTOCOL, Script, Step, echo, seconds};

const CONTROL: &str = concat!(
    "RFC 6455 5.5: \"All control frames [...] MUST NOT be fragmented.\" ",
    validated!()
);
const FRAGMENTS: &str = "RFC 6455 5.4: \"Clients and servers MUST support receiving both fragmented and unfragmented messages.\" \"A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with the FIN bit set and an opcode of 0.\"";
const INJECTED: &str = "RFC 6455 5.4: \"An endpoint MUST be capable of handling control frames in the middle of a fragmented message.\" 5.5.2: it \"SHOULD respond with Pong frame as soon as is practical\".";
const NOTHING: &str = concat!(
    validated!(),
    " 5.4: a continuation frame (opcode 0) continues a message that was begun; there was none."
);
const INTERLEAVED: &str = "RFC 6455 5.4: \"The fragments of one message MUST NOT be interleaved between the fragments of another message unless an extension has been negotiated that can interpret the interleaving.\"";

const FAILS: &str = "The connection fails with 1002.";

const CHOPS: [(Chop, &str); 3] = [
    (Chop::Whole, "at once"),
    (Chop::Frames, "frame by frame"),
    (Chop::Bytes(1), "octet by octet"),
];

fn two() -> [Frame; 2] {
    [text("fragment1").more(), continuation("fragment2")]
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case(
            "5.1",
            "Send a ping in two fragments.",
            FAILS,
            CONTROL,
            |_| {
                Script::new()
                    .send([ping("fragment1").more(), continuation("fragment2")])
                    .fails(PROTOCOL)
            },
        ),
        case(
            "5.2",
            "Send a pong in two fragments.",
            FAILS,
            CONTROL,
            |_| {
                Script::new()
                    .send([pong("fragment1").more(), continuation("fragment2")])
                    .fails(PROTOCOL)
            },
        ),
    ];
    for (at, (chop, how)) in CHOPS.into_iter().enumerate() {
        all.push(case(
            format!("5.{}", 3 + at),
            format!("Send text in two fragments, {how}."),
            "The text comes back.",
            FRAGMENTS,
            move |_| {
                Script::new()
                    .send_chopped(two(), chop)
                    .echo_text("fragment1fragment2")
                    .close()
            },
        ));
        all.push(case(
            format!("5.{}", 6 + at),
            format!("Send text in two fragments with a ping between them, {how}."),
            "A pong, then the text; the other order is non-strict.",
            INJECTED,
            move |_| {
                let [first, second] = two();
                Script::new()
                    .send_chopped([first, ping("ping"), second], chop)
                    .pongs_then(["ping"], Some(echo(&text("fragment1fragment2"))))
                    .close()
            },
        ));
        let stray = |more: bool| match more {
            true => continuation("nothing to continue").more(),
            false => continuation("nothing to continue"),
        };
        for (base, more, fin) in [(9, false, 1), (12, true, 0)] {
            let does = format!(
                "Send a continuation with FIN {fin} that continues nothing, then text, {how}."
            );
            all.push(case(
                format!("5.{}", base + at),
                does,
                FAILS,
                NOTHING,
                move |_| {
                    Script::new()
                        .send_chopped([stray(more), text("Hello")], chop)
                        .fails(PROTOCOL)
                },
            ));
        }
    }
    all.push(case("5.15", "Send text in two fragments, then a continuation with FIN 0 that continues nothing, then text.", "The first text comes back, then the connection fails with 1002.", NOTHING, |_| {
        let [first, second] = two();
        Script::new()
            .send([first, second, continuation("fragment3").more(), text("fragment4")])
            .echo_before_failing(&text("fragment1fragment2"), PROTOCOL)
            .fails(PROTOCOL)
    }));
    for (id, fin) in [("5.16", 0), ("5.17", 1)] {
        let does = format!(
            "Twice: send a continuation with FIN {fin} that continues nothing, then text in two fragments."
        );
        all.push(case(id, does, FAILS, NOTHING, move |_| {
            let stray = continuation("fragment0");
            let stray = if fin == 0 { stray.more() } else { stray };
            let [first, second] = two();
            Script::new()
                .send([
                    stray.clone(),
                    first.clone(),
                    second.clone(),
                    stray,
                    first,
                    second,
                ])
                .fails(PROTOCOL)
        }));
    }
    all.push(case(
        "5.18",
        "Send text in two fragments that both have the opcode of text.",
        FAILS,
        INTERLEAVED,
        |_| {
            Script::new()
                .send([text("fragment1").more(), text("fragment2")])
                .fails(PROTOCOL)
        },
    ));
    for (id, chop, how) in [
        ("5.19", Chop::Whole, "at once"),
        ("5.20", Chop::Frames, "frame by frame"),
    ] {
        let does = format!(
            "Send two fragments and a ping; after 1 s two more and a ping, and the fifth; each part {how}."
        );
        all.push(
            case(
                id,
                does,
                "Each pong at once, the text at the end; a late pong is non-strict.",
                INJECTED,
                move |_| {
                    let part = |n: u32| continuation(format!("fragment{n}")).more();
                    let whole = text("fragment1fragment2fragment3fragment4fragment5");
                    Script::new()
                        .send_chopped([text("fragment1").more(), part(2), ping("pongme 1!")], chop)
                        .step(Step::PongWithin(seconds(1), b"pongme 1!".to_vec()))
                        .quiet(seconds(1))
                        .send_chopped(
                            [
                                part(3),
                                part(4),
                                ping("pongme 2!"),
                                continuation("fragment5"),
                            ],
                            chop,
                        )
                        .pongs_then(["pongme 2!"], Some(echo(&whole)))
                        .close()
                },
            )
            .waits(),
        );
    }
    all
}
