//! Cases 32.2: flow control.
//! RFC 9113 sections 5.2 and 6.9. That no peer sends more than the windows allow is checked in all cases.

use super::{acknowledged, opened};
use crate::case::{Case, case};
use crate::frame::{binary, text};
use crate::http2::Session;
use crate::http2::wire::{self, MAIN, setting};
use crate::script::{Act, Script, echo, millis};

const LIMITS: &str = "RFC 9113 6.9.1: \"The sender MUST NOT send a flow-controlled frame with a length that exceeds the space available in either of the flow-control windows advertised by the receiver.\"";
const NEGATIVE: &str = "RFC 9113 6.9.2: \"A sender MUST track the negative flow-control window and MUST NOT send new flow-controlled frames until it receives WINDOW_UPDATE frames that cause the flow-control window to become positive.\"";
const ADJUSTS: &str = "RFC 9113 6.9.2: \"When the value of SETTINGS_INITIAL_WINDOW_SIZE changes, a receiver MUST adjust the size of all stream flow-control windows that it maintains by the difference between the new value and the old value.\"";

/// How long nothing may come.
const QUIET: std::time::Duration = millis(300);

/// Changes the window of the stream, and waits until the peer knows.
fn window(script: Script, size: u32) -> Script {
    let settings = wire::settings(&[(setting::INITIAL_WINDOW_SIZE, size)]);
    script.frames([settings]).act(acknowledged())
}

/// Expects so many DATA frames at least, by the time of the step.
fn frames(least: usize) -> Act {
    let look = move |session: &Session| {
        let count = session.frames();
        Some((count >= least).then_some(()).ok_or_else(|| {
            format!("the message came in {count} DATA frames, and the window allowed no fewer than {least}")
        }))
    };
    Act::Await("a message in small DATA frames", Box::new(look))
}

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "32.2.1",
            "Give a window of 16 octets, and send a message of 1000.",
            "It comes back in small DATA frames.",
            LIMITS,
            |setting| {
                let message = binary(vec![3; 1000]);
                window(opened(setting), 16)
                    .send([message.clone()])
                    .expect(echo(&message))
                    .act(frames(1000 / 16))
                    .close()
            },
        ),
        case(
            "32.2.2",
            "Give no window, send text, and give one 300 ms later.",
            "Text comes back then, and not before.",
            LIMITS,
            |setting| {
                let script = window(opened(setting), 0).send([text("Hello")]).quiet(QUIET);
                window(script, 65_535).echo_text("Hello").close()
            },
        )
        .waits(),
        case(
            "32.2.3",
            "Give no window, send text, and add one by WINDOW_UPDATE 300 ms later, an octet at a time.",
            "Text comes back then, and not before.",
            LIMITS,
            |setting| {
                let room = vec![wire::window_update(MAIN, 1); 1000];
                window(opened(setting), 0)
                    .send([text("Hello")])
                    .quiet(QUIET)
                    .frames(room)
                    .echo_text("Hello")
                    .close()
            },
        )
        .waits(),
        case(
            "32.2.4",
            "While a message of 200000 octets waits for room, shrink the window below what was sent, and add less than is missing; give room 300 ms later.",
            "Nothing comes while the window is negative; then the rest of the message.",
            NEGATIVE,
            |setting| {
                let message = binary(vec![4; 200_000]);
                let full = |session: &Session| (session.received() >= 65_535).then_some(Ok(()));
                let script = window(opened(setting).act(Act::Refill(false)), 65_535);
                let script = script
                    .send([message.clone()])
                    .act(Act::Await("as much of the message as there is room for", Box::new(full)));
                window(script, 1000)
                    .frames([wire::window_update(MAIN, 40_000)])
                    .quiet(QUIET)
                    .frames([wire::window_update(MAIN, 1 << 20)])
                    .expect(echo(&message))
                    .close()
            },
        )
        .waits(),
        case(
            "32.2.5",
            "While a message of 200000 octets waits for room, enlarge the window by SETTINGS alone.",
            "The rest of the message comes.",
            ADJUSTS,
            |setting| {
                let message = binary(vec![6; 200_000]);
                let full = |session: &Session| (session.received() >= 65_535).then_some(Ok(()));
                let script = window(opened(setting).act(Act::Refill(false)), 65_535);
                let script = script
                    .send([message.clone()])
                    .act(Act::Await("as much of the message as there is room for", Box::new(full)));
                window(script, 1 << 20).expect(echo(&message)).close()
            },
        ),
        case(
            "32.2.6",
            "Give a window of 16 octets, and complete the closing handshake.",
            "Close comes back, and the peer ends the stream.",
            LIMITS,
            |setting| {
                let script = window(opened(setting), 16).send([text("Hello")]);
                script.echo_text("Hello").close()
            },
        ),
    ]
}
