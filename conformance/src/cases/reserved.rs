//! Cases 3.* and 4.*: RSV bits and opcodes that mean nothing.
//! RFC 6455 section 5.2.

use crate::case::{Case, case};
use crate::frame::{Frame, binary, close, frame, ping, text};
use crate::script::{Chop, PROTOCOL, Script};

const RSV: &str = "RFC 6455 5.2: \"If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_.\"";
const OPCODE: &str = "RFC 6455 5.2: \"If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_.\"";

const FAILS: &str = "The connection fails with 1002.";
const ECHO_FAILS: &str = "The good message comes back, then the connection fails with 1002.";

fn good() -> Frame {
    text("Hello, world!")
}

/// The bad frame alone.
fn alone(bad: Frame) -> Script {
    Script::new().send([bad]).fails(PROTOCOL)
}

/// A valid message before, a ping after.
fn between(bad: Frame, chop: Chop) -> Script {
    Script::new()
        .send_chopped([good(), bad, ping("")], chop)
        .echo_before_failing(&good(), PROTOCOL)
        .fails(PROTOCOL)
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("3.1", "Send text with RSV 1.", FAILS, RSV, |_| {
            alone(good().rsv(1))
        }),
        case(
            "3.2",
            "Send good text, text with RSV 2, a ping; at once.",
            ECHO_FAILS,
            RSV,
            |_| between(good().rsv(2), Chop::Whole),
        ),
        case(
            "3.3",
            "Send good text, text with RSV 3, a ping; frame by frame.",
            ECHO_FAILS,
            RSV,
            |_| between(good().rsv(3), Chop::Frames),
        ),
        case(
            "3.4",
            "Send good text, text with RSV 4, a ping; octet by octet.",
            ECHO_FAILS,
            RSV,
            |_| between(good().rsv(4), Chop::Bytes(1)),
        ),
        case("3.5", "Send binary with RSV 5.", FAILS, RSV, |_| {
            alone(binary([0, 0xff, 0xfe]).rsv(5))
        }),
        case("3.6", "Send a ping with RSV 6.", FAILS, RSV, |_| {
            alone(ping("Hello").rsv(6))
        }),
        case("3.7", "Send a Close frame with RSV 7.", FAILS, RSV, |_| {
            alone(close(1000, "").rsv(7))
        }),
    ];
    for (part, first, kind) in [(1, 3, "data"), (2, 11, "control")] {
        for at in 0..5_u8 {
            let code = first + at;
            let payload = if at % 2 == 0 && at < 4 {
                ""
            } else {
                "reserved"
            };
            let what = if payload.is_empty() {
                "without payload"
            } else {
                "with payload"
            };
            let (does, expects) = match at {
                0 | 1 => (
                    format!("Send a frame with the reserved {kind} opcode {code}, {what}."),
                    FAILS,
                ),
                2 | 3 => (
                    format!(
                        "Send good text, a frame with the reserved {kind} opcode {code}, {what}, a ping; at once."
                    ),
                    ECHO_FAILS,
                ),
                _ => (
                    format!(
                        "Send good text, a frame with the reserved {kind} opcode {code}, {what}, a ping; octet by octet."
                    ),
                    ECHO_FAILS,
                ),
            };
            all.push(case(
                format!("4.{part}.{}", at + 1),
                does,
                expects,
                OPCODE,
                move |_| match at {
                    0 | 1 => alone(frame(code, payload)),
                    2 | 3 => between(frame(code, payload), Chop::Whole),
                    _ => between(frame(code, payload), Chop::Bytes(1)),
                },
            ));
        }
    }
    all
}
