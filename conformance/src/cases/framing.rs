//! Cases 1.* and 2.*: whole messages of many lengths, pings and pongs.
//! RFC 6455 sections 5.2, 5.5.2 and 5.5.3.

use super::rules::{parsed, validated};
use crate::case::{Case, case};
use crate::frame::{binary, close, ping, pong, text};
use crate::script::{Chop, NORMAL, PROTOCOL, Script, Step};

const LENGTHS: [usize; 7] = [0, 125, 126, 127, 128, 65535, 65536];

const ECHO: &str = concat!(
    parsed!(),
    " 5.2: \"The length of the 'Payload data', in bytes: if 0-125, that is the payload length.\""
);
const PONG: &str = "RFC 6455 5.5.2: \"Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response\"; 5.5.3: it \"must have identical 'Application data' as found in the message body of the Ping frame being replied to.\"";
const UNASKED: &str = concat!(
    parsed!(),
    " 5.5.3: \"A Pong frame MAY be sent unsolicited. [...] A response to an unsolicited Pong frame is not expected.\""
);
const NO_ANSWER: &str = "RFC 6455 5.5.3 does not forbid an unsolicited pong as the answer to one";
const NEWEST: &str = "RFC 6455 5.5.3 allows to answer only the newest of several pings";
const LONG: &str = concat!(
    "RFC 6455 5.5: \"All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.\" ",
    validated!()
);

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (kind, name, fill) in [(1, "text", b'*'), (2, "binary", 0xfe)] {
        let message = move |length: usize| match kind {
            1 => text(vec![fill; length]),
            _ => binary(vec![fill; length]),
        };
        for (at, length) in LENGTHS.into_iter().enumerate() {
            let does = format!("Send a {name} message of {length} octets.");
            all.push(case(
                format!("1.{kind}.{}", at + 1),
                does,
                "The same comes back.",
                ECHO,
                move |_| {
                    Script::new()
                        .send([message(length)])
                        .echo(&message(length))
                        .close()
                },
            ));
        }
        let does = format!("Send a {name} message of 65536 octets, in pieces of 997 octets.");
        all.push(case(
            format!("1.{kind}.8"),
            does,
            "The same comes back.",
            ECHO,
            move |_| {
                Script::new()
                    .send_chopped([message(65536)], Chop::Bytes(997))
                    .echo(&message(65536))
                    .close()
            },
        ));
    }

    let pings: [(&str, &[u8]); 4] = [
        ("without payload", b""),
        ("with text", b"Hello, world!"),
        (
            "with octets that are not UTF-8",
            &[0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff],
        ),
        ("of 125 octets", &[0xfe; 125]),
    ];
    for (at, (what, payload)) in pings.into_iter().enumerate() {
        all.push(case(
            format!("2.{}", at + 1),
            format!("Send a ping {what}."),
            "A pong with the same payload.",
            PONG,
            move |_| Script::new().send([ping(payload)]).pong(payload).close(),
        ));
    }
    all.push(case(
        "2.5",
        "Send a ping of 126 octets.",
        "The connection fails with 1002.",
        LONG,
        |_| Script::new().send([ping([0xfe; 126])]).fails(PROTOCOL),
    ));
    all.push(case(
        "2.6",
        "Send a ping of 125 octets, octet by octet.",
        "A pong with the same payload.",
        PONG,
        |_| {
            Script::new()
                .send_chopped([ping([0xfe; 125])], Chop::Bytes(1))
                .pong([0xfe; 125])
                .close()
        },
    ));
    all.push(
        case(
            "2.7",
            "Send a pong without payload, unasked.",
            "Nothing comes back; a pong is told of.",
            UNASKED,
            |_| unasked("").close_with(close(1000, ""), NORMAL),
        )
        .free(NO_ANSWER),
    );
    all.push(
        case(
            "2.8",
            "Send a pong with payload, unasked.",
            "Nothing comes back; a pong is told of.",
            UNASKED,
            |_| unasked("unasked").close_with(close(1000, ""), NORMAL),
        )
        .free(NO_ANSWER),
    );
    all.push(case(
        "2.9",
        "Send a pong, unasked, then a ping with another payload.",
        "A pong for the ping.",
        UNASKED,
        |_| {
            Script::new()
                .send([pong("unasked"), ping("asked")])
                .pong("asked")
                .close()
        },
    ));
    for (id, chop, how) in [
        ("2.10", Chop::Whole, "at once"),
        ("2.11", Chop::Bytes(1), "octet by octet"),
    ] {
        all.push(
            case(
                id,
                format!("Send 10 pings, {how}."),
                "Pongs in the same order; one for only the newest is told of.",
                PONG,
                move |_| {
                    let payload = |n: u32| format!("payload-{n}");
                    let pings: Vec<_> = (0..10).map(|n| ping(payload(n))).collect();
                    Script::new()
                        .send_chopped(pings, chop)
                        .pongs_then((0..10).map(payload), None)
                        .close()
                },
            )
            .free(NEWEST),
        );
    }
    all
}

/// Sends a pong that answers nothing.
fn unasked(payload: &str) -> Script {
    Script::new().step(Step::TellPongs).send([pong(payload)])
}
