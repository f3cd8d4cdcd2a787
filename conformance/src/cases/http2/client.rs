//! Cases 31.*: the request of a client over HTTP/2, and answers to it.
//! RFC 8441 sections 3 to 5; RFC 9113 sections 8.1 to 8.5.

use super::rules::{BLOCK, CHOSEN, COMES_BACK, FIELD, IGNORES, NO_KEY, PSEUDO, SPECIFIC};
use super::server::echoes;
use super::{field, head_frame, in_parts, opened, padded, raw};
use crate::case::{Case, case};
use crate::frame::text;
use crate::http::Head;
use crate::http2::wire::{Frame, MAIN, flag, frame, kind};
use crate::http2::{Fields, Session, heads};
use crate::script::{Act, Script, Setting, Step, Want};
use crate::verdict::{Verdict, Word};

const WAITS: &str = "RFC 9113 5.5: \"An extension that changes existing protocol elements or state MUST be negotiated before being used.\" RFC 8441 3: extended CONNECT \"require[s] opt-in negotiation\" by SETTINGS_ENABLE_CONNECT_PROTOCOL.";
const REQUEST: &str = "RFC 8441 5: \"The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have a value of websocket\"; 4: :scheme and :path \"MUST also be included\".";
const SUCCESS: &str = "RFC 9113 8.5: a tunnel is established by \"a HEADERS frame containing a 2xx-series status code\".";
const INTERIM: &str = "RFC 9110 15.2: \"A client MUST be able to parse one or more 1xx responses received prior to a final response\".";
const REFUSAL: &str = "RFC 6455 4.1: \"If the server's response does not conform to the requirements for the server's handshake as defined in this section and in Section 4.2.2, the client MUST _Fail the WebSocket Connection_.\" RFC 9113 8.5: without a 2xx status there is no tunnel.";
const NOT_ASKED: &str = concat!(
    "RFC 6455 4.1: \"If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use of a subprotocol that was not present in the client's handshake [...], the client MUST _Fail the WebSocket Connection_.\" ",
    "So it must with extensions. RFC 8441 5 takes both over."
);
const MALFORMED: &str = "RFC 9113 8.1.1: \"Clients MUST NOT accept a malformed response.\" 8.3.2: without :status, or with 101 (8.6), it is malformed.";

/// Answers the request with 200 and more fields.
fn answer(more: &'static [(&'static str, &'static str)], opens: bool) -> Act {
    let make = move |_: &Head| -> Fields {
        let more = more.iter().map(|(name, value)| field(name, value));
        std::iter::once(field(":status", "200"))
            .chain(more)
            .collect()
    };
    Act::Answer {
        make: Box::new(make),
        opens,
    }
}

/// Reads the request, and sends these frames.
fn frames(script: Script, frames: Vec<Frame>) -> Script {
    let check = |head: &Head| heads::check_request(head);
    let request = (Want::Head("a request", Box::new(check)), Verdict::Ok, false);
    script.either([request]).frames(frames)
}

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut all = vec![
        case(
            "31.1.1",
            "Send our SETTINGS a little later than the client's.",
            "The client waits for SETTINGS_ENABLE_CONNECT_PROTOCOL before it asks for a WebSocket.",
            WAITS,
            |setting| {
                let look = |session: &Session| {
                    Some(match session.is_early() {
                        true => Err("it used extended CONNECT before our SETTINGS came".into()),
                        false => Ok(()),
                    })
                };
                let what = "a request that did not precede our SETTINGS";
                echoes(opened(setting).act(Act::Await(what, Box::new(look))))
            },
        ),
        case(
            "31.1.2",
            "Read the request.",
            "It is a CONNECT with :protocol, :scheme, :path, :authority and Sec-WebSocket-Version.",
            REQUEST,
            |setting| echoes(opened(setting)),
        ),
        case(
            "31.1.3",
            "Read the request.",
            "It has no Sec-WebSocket-Key.",
            NO_KEY,
            |setting| {
                let check = |head: &Head| match head.field("sec-websocket-key") {
                    None => heads::check_request(head),
                    Some(_) => Err("it sent a Sec-WebSocket-Key".into()),
                };
                let other = |head: &Head| heads::check_request(head);
                let plain = Want::Head("a request without a key", Box::new(check));
                let keyed = Want::Head("a request with one", Box::new(other));
                raw(setting)
                    .either([
                        (plain, Verdict::Ok, false),
                        (keyed, Verdict::Informational, false),
                    ])
                    .frames([head_frame(MAIN, &[field(":status", "404")])])
                    .step(Step::Shutdown)
                    .expect(Want::Fail(&[]))
            },
        )
        .stands_on(Word::Unsaid)
        .free("RFC 8441 does not forbid the field"),
    ];
    all.extend(taken());
    all.extend(refused());
    for case in std::mem::take(&mut all) {
        all.push(case.for_clients());
    }
    all
}

/// Answers that a client must take.
fn taken() -> Vec<Case> {
    let mut all = Vec::new();
    let mut good = |id: &'static str, does: &'static str, rule, frames_of: fn() -> Vec<Frame>| {
        all.push(case(
            id,
            does,
            COMES_BACK,
            rule,
            move |setting: &Setting| {
                let script = frames(raw(setting), frames_of()).act(Act::Opened);
                echoes(script)
            },
        ));
    };
    good(
        "31.2.1",
        "Send 103 Early Hints before the 200.",
        INTERIM,
        || {
            let hints = [field(":status", "103"), field("link", "</style.css>")];
            vec![
                head_frame(MAIN, &hints),
                head_frame(MAIN, &[field(":status", "200")]),
            ]
        },
    );
    good("31.2.2", "Pad the HEADERS frame.", BLOCK, || {
        let payload = padded(&heads::encode(&[field(":status", "200")]), 100);
        let flags = flag::END_HEADERS | flag::PADDED;
        vec![frame(kind::HEADERS, flags, MAIN, payload)]
    });
    good(
        "31.2.3",
        "Answer in a HEADERS frame and CONTINUATION frames.",
        BLOCK,
        || {
            let fields = [field(":status", "200"), field("x-nobody", "knows")];
            in_parts(MAIN, &fields, 8)
        },
    );
    good(
        "31.2.4",
        "Answer with fields that nobody knows, between frames of unknown types.",
        IGNORES,
        || {
            let fields = [field(":status", "200"), field("x-nobody", "knows")];
            let odd = || frame(0xfa, 0xff, MAIN, "what?");
            vec![odd(), head_frame(MAIN, &fields), odd()]
        },
    );
    all.push(
        case(
            "31.2.5",
            "Answer with a Sec-WebSocket-Accept that answers no key.",
            COMES_BACK,
            NO_KEY,
            |setting| echoes(raw(setting).act(answer(&[("sec-websocket-accept", "odd")], true))),
        )
        .stands_on(Word::Unsaid)
        .free("RFC 8441 says only that the field is not processed"),
    );
    all.push(
        case(
            "31.2.6",
            "Answer with 201 in place of 200.",
            COMES_BACK,
            SUCCESS,
            |setting| {
                let make = |_: &Head| vec![field(":status", "201")];
                let make = Box::new(make);
                echoes(raw(setting).act(Act::Answer { make, opens: true }))
            },
        )
        .stands_on(Word::Unsaid)
        .free("RFC 8441 names no status"),
    );
    all
}

/// Answers that a client must not take.
fn refused() -> Vec<Case> {
    let mut all = Vec::new();
    let mut bad = |id: &'static str,
                   does: &'static str,
                   rule,
                   fields: &'static [(&'static str, &'static str)]| {
        let expects = "The client sends no frame, and ends the stream.";
        all.push(case(id, does, expects, rule, move |setting: &Setting| {
            let fields: Fields = { fields.iter() }
                .map(|(name, value)| field(name, value))
                .collect();
            frames(raw(setting), vec![head_frame(MAIN, &fields)])
                .act(Act::Opened)
                .send([text("Hello")])
                .step(Step::Shutdown)
                .expect(Want::Fail(&[]))
        }));
    };
    bad("31.3.1", "Answer with 404.", REFUSAL, &[(":status", "404")]);
    bad("31.3.2", "Answer with 500.", REFUSAL, &[(":status", "500")]);
    bad(
        "31.3.3",
        "Answer with 401, and ask for credentials.",
        REFUSAL,
        &[
            (":status", "401"),
            ("www-authenticate", "Basic realm=\"a\""),
        ],
    );
    bad(
        "31.4.1",
        "Choose a subprotocol that was not offered.",
        NOT_ASKED,
        &[(":status", "200"), ("sec-websocket-protocol", "x-nobody")],
    );
    bad(
        "31.4.2",
        "Choose an extension that was not offered.",
        CHOSEN,
        &[(":status", "200"), ("sec-websocket-extensions", "x-nobody")],
    );
    bad(
        "31.4.3",
        "Answer without :status.",
        MALFORMED,
        &[("x-nobody", "knows")],
    );
    bad(
        "31.4.4",
        "Send :status behind a regular field.",
        PSEUDO,
        &[("x-nobody", "knows"), (":status", "200")],
    );
    bad(
        "31.4.5",
        "Send a field name in uppercase.",
        FIELD,
        &[(":status", "200"), ("X-Nobody", "knows")],
    );
    bad(
        "31.4.6",
        "Send `upgrade: websocket`.",
        SPECIFIC,
        &[(":status", "200"), ("upgrade", "websocket")],
    );
    bad(
        "31.4.7",
        "Answer with 101, as over HTTP/1.1.",
        MALFORMED,
        &[(":status", "101")],
    );
    all
}
