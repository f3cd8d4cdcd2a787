//! Cases 25.1, 25.2, 25.6 and 25.7: offers and answers of permessage-deflate, and keeping to windows.
//! RFC 7692 sections 5.1 and 7.1.

use super::rules::agreed;
use crate::case::{Case, case};
use crate::deflate::{Deflater, Params};
use crate::frame::{binary, text};
use crate::http::Head;
use crate::opening;
use crate::script::{Script, Setting, Step, Trips, Want};
use crate::verdict::{Verdict, Word};

const DECLINE: &str = "RFC 7692 5.1 and 7.1: \"A server MUST decline an extension negotiation offer for this extension if any of the following conditions are met: the negotiation offer contains an extension parameter not defined for use in an offer; [...] with an invalid value; [...] multiple extension parameters with the same name.\"";
const WINDOW: &str = concat!(
    agreed!(),
    " RFC 7692 7.1.2.1: \"By including this extension parameter in a negotiation response, a server limits the LZ77 sliding window size\"; the answer is \"the same or smaller value as the offer\"."
);
const CLIENT_WINDOW: &str = "RFC 7692 7.1.2.2: \"If a received extension negotiation offer doesn't have the \\\"client_max_window_bits\\\" extension parameter, the corresponding extension negotiation response to the offer MUST NOT include\" it.";

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = offers();
    all.extend(windows());
    all.extend([smallest(), beyond()]);
    all
}

/// Offers that a server must decline, and how it may answer others.
fn offers() -> Vec<Case> {
    let declined = "101 without permessage-deflate; refusing the handshake for it is non-strict.";
    let bad: [(&str, &str, &str); 11] = [
        (
            "25.1.1",
            "an unknown parameter",
            "permessage-deflate; x-nobody",
        ),
        (
            "25.1.2",
            "a parameter twice",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ),
        (
            "25.1.3",
            "`server_max_window_bits=7`",
            "permessage-deflate; server_max_window_bits=7",
        ),
        (
            "25.1.4",
            "`server_max_window_bits=16`",
            "permessage-deflate; server_max_window_bits=16",
        ),
        (
            "25.1.5",
            "`server_max_window_bits=08`",
            "permessage-deflate; server_max_window_bits=08",
        ),
        (
            "25.1.6",
            "`server_max_window_bits` without a value",
            "permessage-deflate; server_max_window_bits",
        ),
        (
            "25.1.7",
            "`client_max_window_bits=0`",
            "permessage-deflate; client_max_window_bits=0",
        ),
        (
            "25.1.8",
            "`client_max_window_bits=ten`",
            "permessage-deflate; client_max_window_bits=ten",
        ),
        (
            "25.1.9",
            "`server_no_context_takeover=1`",
            "permessage-deflate; server_no_context_takeover=1",
        ),
        (
            "25.1.10",
            "`client_no_context_takeover=true`",
            "permessage-deflate; client_no_context_takeover=true",
        ),
        (
            "25.1.11",
            "a name that is not permessage-deflate",
            "permessage-deflated; server_no_context_takeover",
        ),
    ];
    let mut all: Vec<Case> = bad
        .into_iter()
        .map(|(id, what, offer)| {
            case(
                id,
                format!("Offer permessage-deflate with {what}."),
                declined,
                DECLINE,
                move |setting| {
                    // Answers that fit no offer are faults; so is any answer to an offer that must be declined.
                    offered(setting, offer, Vec::new())
                },
            )
            .for_servers()
        })
        .collect();
    let server_bits = |bits| Params {
        server_max_window_bits: Some(bits),
        ..Params::default()
    };
    let fair: [(&str, &str, &str, Vec<Params>); 6] = [
        (
            "25.2.1",
            "permessage-deflate; server_max_window_bits=8",
            WINDOW,
            vec![server_bits(8)],
        ),
        (
            "25.2.2",
            "permessage-deflate; server_max_window_bits=9",
            WINDOW,
            vec![server_bits(9)],
        ),
        (
            "25.2.3",
            "permessage-deflate; server_max_window_bits=\"10\"",
            WINDOW,
            vec![server_bits(10)],
        ),
        (
            "25.2.4",
            "permessage-deflate",
            CLIENT_WINDOW,
            vec![Params::default()],
        ),
        (
            "25.2.5",
            "permessage-deflate; x-nobody, permessage-deflate; server_no_context_takeover",
            DECLINE,
            vec![Params {
                server_no_context_takeover: true,
                ..Params::default()
            }],
        ),
        (
            "25.2.6",
            "x-nobody; a=\"b\", permessage-deflate",
            DECLINE,
            vec![Params::default()],
        ),
    ];
    all.extend(fair.into_iter().map(|(id, offer, rule, params)| {
        case(
            id,
            format!("Offer `{offer}`."),
            "101 with an answer that fits the offer, or without the extension.",
            rule,
            move |setting| offered(setting, offer, params.clone()),
        )
        .for_servers()
    }));
    all
}

/// An offer as written, and the answers that fit.
fn offered(setting: &Setting, offer: &str, params: Vec<Params>) -> Script {
    let head = setting.request().with("Sec-WebSocket-Extensions", offer);
    let key = setting.key();
    let protocols = setting.protocols.clone();
    let fits =
        move |head: &Head| opening::check_response(head, &key, &params, &protocols).map(drop);
    let refused = |head: &Head| match head.status() {
        Some(400..=599) => Ok(()),
        _ => Err(format!(
            "expected 101 or a refusal, and got `{}`",
            head.first
        )),
    };
    Script::raw()
        .bytes(head.write())
        .either([
            (Want::Head("101", Box::new(fits)), Verdict::Ok, false),
            (
                Want::Head("a refusal", Box::new(refused)),
                Verdict::NonStrict,
                true,
            ),
        ])
        .send([text("Hello")])
        // The answer may come compressed: it is not looked at.
        .step(Step::Leave)
}

/// A window of each size, both ways.
fn windows() -> Vec<Case> {
    let mut all = Vec::new();
    for bits in 9..=15_u8 {
        let does = format!(
            "Agree on a window of {bits} bits for the peer; 20 messages whose parts repeat at all distances."
        );
        all.push(case(
            format!("25.6.{}", bits - 8),
            does,
            "Each comes back, without references beyond the window.",
            WINDOW,
            move |setting| {
                let params = Params {
                    server_max_window_bits: Some(bits),
                    client_max_window_bits: Some(None),
                    ..Params::default()
                };
                Script::deflate([params]).step(distances(setting)).close()
            },
        ));
        let does = format!(
            "Offer a window of at most {bits} bits for the suite; 20 messages whose parts repeat at all distances."
        );
        all.push(
            case(
                format!("25.7.{}", bits - 8),
                does,
                "Each comes back.",
                CLIENT_WINDOW,
                move |setting| {
                    let params = Params {
                        client_max_window_bits: Some(Some(bits)),
                        client_no_context_takeover: true,
                        ..Params::default()
                    };
                    Script::deflate([params]).step(distances(setting)).close()
                },
            )
            .for_servers(),
        );
    }
    all
}

/// The smallest window, which zlib's compressor does not keep to.
fn smallest() -> Case {
    let does = "Offer a window of 8 bits for the peer, or any; 20 messages whose parts repeat at all distances.";
    let expects = "Each comes back, without references beyond the window that was agreed on.";
    case("25.6.8", does, expects, WINDOW, |setting| {
        let any = Params {
            client_max_window_bits: Some(None),
            ..Params::default()
        };
        let eight = Params {
            server_max_window_bits: Some(8),
            ..any
        };
        Script::deflate([eight, any])
            .step(distances(setting))
            .close()
    })
    .for_servers()
}

/// A reference beyond the window that the server asked the suite to keep to.
fn beyond() -> Case {
    let expects = "The message comes back, or the connection fails.";
    let does =
        "Offer `client_max_window_bits=9`, then send a message that refers 1000 octets back.";
    case("25.7.8", does, expects, CLIENT_WINDOW, |_| {
        let params = Params {
            client_max_window_bits: Some(Some(9)),
            client_no_context_takeover: true,
            ..Params::default()
        };
        let mut seed = 9_u32;
        let noise: Vec<u8> = (0..1000).map(|_| noise(&mut seed)).collect();
        let payload = [noise.clone(), noise].concat();
        let packed = Deflater::new(15, false).message(&payload);
        Script::deflate([params])
            .send([binary(packed).rsv(4)])
            .either([
                (
                    Want::Message {
                        text: false,
                        payload,
                    },
                    Verdict::Informational,
                    false,
                ),
                (Want::Fail(&[1002, 1007]), Verdict::Informational, true),
            ])
            .close()
    })
    .for_servers()
    .stands_on(Word::Unsaid)
    .free("RFC 7692 binds the sender to its window, and lets the receiver have a larger one")
}

/// Returns the next byte of a generator with a long period.
fn noise(seed: &mut u32) -> u8 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*seed >> 24) as u8
}

/// Messages that hold the same noise again after each power of two.
fn distances(_: &Setting) -> Step {
    let message = |turn: usize| {
        let mut seed = turn as u32;
        let mark: Vec<u8> = (0..64).map(|_| noise(&mut seed)).collect();
        let mut bytes = Vec::new();
        for power in 7..=15 {
            bytes.extend_from_slice(&mark);
            bytes.extend((0..(1 << power) - 64).map(|_| noise(&mut seed)));
        }
        bytes.extend_from_slice(&mark);
        bytes
    };
    Step::Trips(Trips {
        count: 20,
        message: Box::new(message),
        text: false,
        fragment: None,
        repeats: 0,
    })
}
