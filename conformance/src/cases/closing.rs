//! Cases 7.*: the closing handshake.
//! RFC 6455 sections 5.5.1 and 7.

use super::rules::validated;
use super::utf8::REASON;
use crate::case::{Case, case};
use crate::frame::{Frame, close, continuation, frame, opcode, ping, text};
use crate::script::{NORMAL, PROTOCOL, Script, Step, Want, seconds};
use crate::verdict::{Verdict, Word};

const ANSWER: &str = "RFC 6455 5.5.1: \"If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close frame in response.\"";
const AFTER: &str = "RFC 6455 5.5.1: \"The application MUST NOT send any more data frames after sending a Close frame.\" What is received after a Close frame is discarded (1.4).";
const BODY: &str = "RFC 6455 5.5.1: \"If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte order) representing a status code.\"";
const LONG: &str = concat!(
    "RFC 6455 5.5: \"All control frames MUST have a payload length of 125 bytes or less.\" ",
    validated!()
);
const REASON_RULE: &str = "RFC 6455 5.5.1: \"If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close frame in response.\" \"Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/.\"";
const BAD_REASON: &str = "RFC 6455 8.1: \"When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.\"";
const CODE: &str = "RFC 6455 5.5.1: \"the endpoint MUST send a Close frame in response\", which \"typically echos the status code it received\"; 7.4.1 and 7.4.2: codes that may stand in a Close frame.";
const BAD_CODE: &str = concat!(
    "RFC 6455 7.4.1 and 7.4.2: reserved codes \"MUST NOT be set as a status code in a Close control frame by an endpoint\"; 0-999 \"are not used\". ",
    validated!()
);
const TYPICALLY: &str =
    "RFC 6455 5.5.1 says only that the answer \"typically echos the status code it received\"";
const FREE: &str = "RFC 6455 7.4.2 defines nothing for 5000 and above.";

const CLEAN: &str = "Close comes back, and TCP ends; another code than the one sent is told of.";
const FAILS: &str = "The connection fails with 1002.";

const BAD: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];

/// Frames with a Close among them; the answer is a Close.
fn with_close(frames: impl Into<Vec<Frame>>) -> Script {
    Script::new().send(frames).expect(Want::Close(NORMAL))
}

/// Valid codes, each with the codes allowed in the answer: itself, or 1000.
static ANSWERS: [[u16; 2]; 13] = [
    [1000, 1000],
    [1001, 1000],
    [1002, 1000],
    [1003, 1000],
    [1007, 1000],
    [1008, 1000],
    [1009, 1000],
    [1010, 1000],
    [1011, 1000],
    [3000, 1000],
    [3999, 1000],
    [4000, 1000],
    [4999, 1000],
];

/// The cases.
pub fn cases() -> Vec<Case> {
    let reason = |length: usize| "*".repeat(length);
    let mut all = vec![
        case("7.1.1", "Send text, then a Close frame.", "The text comes back, then Close.", ANSWER, |_| {
            Script::new().send([text("Hello World!")]).echo_text("Hello World!").close_with(close(1000, ""), NORMAL)
        }).free(TYPICALLY),
        case("7.1.2", "Send two Close frames.", "One Close comes back; the second is ignored.", AFTER, |_| {
            with_close([close(1000, ""), close(1000, "")])
        }).free(TYPICALLY),
        case("7.1.3", "Send a Close frame, then a ping.", "Close comes back; a pong before it is told of.", ANSWER, |_| {
            Script::new().send([close(1000, ""), ping("")]).either([
                (Want::Pong(Vec::new()), Verdict::Informational, false),
                (Want::Close(NORMAL), Verdict::Ok, true),
            ]).expect(Want::Close(NORMAL))
        }).free("RFC 6455 5.5.2 requires no pong once Close was received, and forbids none before Close is sent"),
        case("7.1.4", "Send a Close frame, then text.", "Close comes back, and no text.", AFTER, |_| {
            with_close([close(1000, ""), text("Hello World!")])
        }).free(TYPICALLY),
        case("7.1.5", "Send a fragment of text, a Close frame, the last fragment.", "Close comes back, and no text.", AFTER, |_| {
            with_close([text("fragment1").more(), close(1000, ""), continuation("fragment2")])
        }).free(TYPICALLY),
        case("7.1.6", "Send 256 KiB of text, a Close frame, a ping.", "Whether the text comes back before the Close is told, not judged.", AFTER, |_| {
            let mut long = text("BAsd7&jh23".repeat(26_215));
            long.payload.truncate(256 << 10);
            Script::new()
                .send([long.clone(), close(1000, ""), ping("")])
                .either([
                    (Want::Message { text: true, payload: long.payload }, Verdict::Informational, false),
                    (Want::Close(NORMAL), Verdict::Informational, true),
                    (Want::End, Verdict::Informational, true),
                ])
                .either([
                    (Want::Close(NORMAL), Verdict::Informational, false),
                    (Want::End, Verdict::Informational, true),
                ])
        })
        .free("RFC 6455 does not say whether messages that are being echoed go out before the Close frame"),
        case("7.3.1", "Send a Close frame without payload.", "Close comes back.", ANSWER, |_| {
            Script::new().close_with(frame(opcode::CLOSE, ""), &[1005, 1000])
        }).free(TYPICALLY),
        case("7.3.2", "Send a Close frame with a payload of one octet.", FAILS, BODY, |_| {
            Script::new().send([frame(opcode::CLOSE, "a")]).fails(PROTOCOL)
        }),
        case("7.3.3", "Send a Close frame with a code.", CLEAN, CODE, |_| {
            Script::new().close_with(close(1000, ""), NORMAL)
        }).free(TYPICALLY),
        case("7.3.4", "Send a Close frame with a code and a reason.", CLEAN, REASON_RULE, |_| {
            Script::new().close_with(close(1000, "Hello World!"), NORMAL)
        }).free(TYPICALLY),
        case("7.3.5", "Send a Close frame with a reason of 123 octets.", CLEAN, LONG, move |_| {
            Script::new().close_with(close(1000, &reason(123)), NORMAL)
        }).free(TYPICALLY),
        case("7.3.6", "Send a Close frame with a reason of 124 octets.", FAILS, LONG, move |_| {
            Script::new().send([close(1000, &reason(124))]).fails(PROTOCOL)
        }),
        case("7.5.1", "Send a Close frame with a reason that is not UTF-8.", "The connection fails with 1002 or 1007.", BAD_REASON, |_| {
            let payload = [b"\x03\xe8".as_slice(), "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes(), b"\xed\xa0\x80edited"].concat();
            Script::new().send([frame(opcode::CLOSE, payload)]).fails(REASON)
        }),
    ];
    for (at, codes) in ANSWERS.iter().enumerate() {
        let [code, _] = *codes;
        all.push(
            case(
                format!("7.7.{}", at + 1),
                format!("Send a Close frame with the code {code}."),
                CLEAN,
                CODE,
                move |_| Script::new().close_with(close(code, ""), codes),
            )
            .free(TYPICALLY),
        );
    }
    for (at, code) in BAD.into_iter().enumerate() {
        all.push(case(
            format!("7.9.{}", at + 1),
            format!("Send a Close frame with the code {code}, which may not be sent."),
            FAILS,
            BAD_CODE,
            move |_| Script::new().send([close(code, "")]).fails(PROTOCOL),
        ));
    }
    for (at, code) in [5000_u16, 65535].into_iter().enumerate() {
        let does = format!("Send a Close frame with the code {code}.");
        all.push(
            case(
                format!("7.13.{}", at + 1),
                does,
                "What the peer does is told, not judged.",
                FREE,
                move |_| {
                    Script::new()
                        .send([close(code, "")])
                        .step(Step::Anything(seconds(1)))
                },
            )
            .stands_on(Word::Unsaid)
            .free("RFC 6455 says nothing of codes above 4999"),
        );
    }
    all
}
