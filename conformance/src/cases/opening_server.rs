//! Cases 20.*: requests that a server must refuse.
//! RFC 6455 sections 4.2 and 9.1; RFC 9110 and 9112 for HTTP.

use crate::case::{Case, case};
use crate::frame::text;
use crate::http::Head;
use crate::opening;
use crate::script::{Script, Setting, Step, Want};
use crate::verdict::{Verdict, Word};

pub(super) const REFUSE: &str = "RFC 6455 4.2.1: \"If the server, while reading the handshake, finds that the client did not send a handshake that matches the description below [...], the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code (such as 400 Bad Request).\"";
const KEY_RULE: &str = "RFC 6455 4.2.1: without \"a |Sec-WebSocket-Key| header field with a base64-encoded [...] value that, when decoded, is 16 bytes in length\", \"the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code\"; 11.3.1: the field \"MUST NOT appear more than once in an HTTP request\".";
const VERSION: &str = "RFC 6455 4.2.2: \"If this version does not match a version understood by the server, the server MUST abort the WebSocket handshake described in this section and instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of understanding.\"";
const WHITESPACE: &str = "RFC 9112 5.1: \"A server MUST reject, with a response status code of 400 (Bad Request), any received request message that contains whitespace between a header field name and colon.\"";
pub(super) const GRAMMAR: &str = "RFC 9112 2.2: at octets that do \"not match the HTTP-message grammar [...], the server SHOULD respond with a 400 (Bad Request) response and close the connection\".";
const CONTROLS: &str = "RFC 9110 5.5: \"a recipient of CR, LF, or NUL within a field value MUST either reject the message or replace each of those characters with SP before further processing\".";
const NOT_READ: &str = "RFC 6455 4.2.1: a server MUST refuse what has no \"|Sec-WebSocket-Key| header field with a base64-encoded [...] value that, when decoded, is 16 bytes in length\"; but 4.2.2: \"It is not necessary for the server to base64-decode the |Sec-WebSocket-Key| value.\"";
const NOT_ASKED: &str = "RFC 9110 7.8: \"A server MUST NOT switch to a protocol that was not indicated by the client in the corresponding request's Upgrade header field.\"";
const ORDINARY: &str =
    "without these fields it may be an ordinary request, which may have any answer but 101";
const HOST: &str = "RFC 9112 3.2: \"A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header field and to any request message that contains more than one Host header field line or a Host header field with an invalid field value.\"";
pub(super) const BOUNDS: &str = "RFC 9110 2.3: \"A recipient SHOULD parse a received protocol element defensively, with only marginal expectations that the element will conform to its ABNF grammar and fit within a reasonable buffer size\"; RFC 6585 5: 431 Request Header Fields Too Large.";
pub(super) const EXTENSIONS: &str = "RFC 6455 9: \"A server MUST NOT respond with any extension not requested by the client.\" 9.1: \"If a value is received [...] that does not conform to the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.\"";

const REFUSED: &str = "It is refused with an HTTP status.";
const REFUSED_OR_LAX: &str = "It is refused with an HTTP status; another outcome is non-strict.";
const REFUSED_OR_ORDINARY: &str =
    "It is refused with an HTTP status, or answered as an ordinary request; no WebSocket is open.";
pub(super) const TAKEN: &str = "It is accepted with 101, and text comes back.";

/// A head with one of these statuses; any other error is non-strict.
pub(super) fn refusal(statuses: &'static [u16]) -> [(Want, Verdict, bool); 2] {
    let named = move |head: &Head| match head.status() {
        Some(status) if statuses.contains(&status) => Ok(()),
        _ => Err(format!(
            "expected one of {statuses:?}, and got `{}`",
            head.first
        )),
    };
    let any = |head: &Head| match head.status() {
        Some(400..=599) => Ok(()),
        _ => Err(format!("expected a refusal, and got `{}`", head.first)),
    };
    [
        (Want::Head("a refusal", Box::new(named)), Verdict::Ok, false),
        (
            Want::Head("a refusal", Box::new(any)),
            Verdict::NonStrict,
            false,
        ),
    ]
}

/// An answer to a request that is taken for an ordinary one.
fn ordinary() -> (Want, Verdict, bool) {
    let other = |head: &Head| match head.status() {
        Some(200..=399) => Ok(()),
        _ => Err(format!("expected no WebSocket, and got `{}`", head.first)),
    };
    let want = Want::Head("an ordinary answer", Box::new(other));
    (want, Verdict::Informational, true)
}

fn refused(bytes: Vec<u8>, statuses: &'static [u16]) -> Script {
    Script::raw()
        .bytes(bytes)
        .either(refusal(statuses))
        .step(Step::Leave)
}

/// A 101 that answers the case's key, and passes all other checks.
pub(super) fn accepted(setting: &Setting) -> Want {
    answers(setting, setting.key())
}

/// A 101 that answers this key.
pub(super) fn answers(setting: &Setting, key: String) -> Want {
    let protocols = setting.protocols.clone();
    let check = move |head: &Head| opening::check_response(head, &key, &[], &protocols).map(drop);
    Want::Head("101", Box::new(check))
}

pub(super) fn echoes(script: Script) -> Script {
    script.send([text("Hello")]).echo_text("Hello").close()
}

pub(super) const BAD: &[u16] = &[400];
const BAD_UPGRADE: &[u16] = &[400, 426];
const METHOD: &[u16] = &[400, 405, 501];
pub(super) const LARGE: &[u16] = &[400, 413, 414, 431];

/// Makes another head of a good one.
pub(super) type Edit = fn(Head) -> Head;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut bad = |id: &'static str, does: &'static str, rule, statuses, edit: Edit| {
        all.push(
            case(id, does, REFUSED, rule, move |setting: &Setting| {
                refused(edit(setting.request()).write(), statuses)
            })
            .for_servers(),
        );
    };

    bad("20.1.1", "Ask with POST.", REFUSE, METHOD, |head| {
        first(head, "POST {} HTTP/1.1")
    });
    bad("20.1.2", "Ask with HEAD.", REFUSE, METHOD, |head| {
        first(head, "HEAD {} HTTP/1.1")
    });
    bad(
        "20.1.3",
        "Ask with `get`: methods are case-sensitive.",
        REFUSE,
        METHOD,
        |head| first(head, "get {} HTTP/1.1"),
    );
    bad(
        "20.1.4",
        "Ask with HTTP/1.0.",
        REFUSE,
        &[400, 426, 505],
        |head| first(head, "GET {} HTTP/1.0"),
    );
    bad(
        "20.1.6",
        "Ask without an HTTP version.",
        REFUSE,
        BAD,
        |head| first(head, "GET {}"),
    );
    bad("20.2.1", "Send no Host.", HOST, BAD, |head| {
        head.without("Host")
    });
    bad("20.2.2", "Send two Hosts.", HOST, BAD, |head| {
        head.with("Host", "other.example")
    });
    bad(
        "20.2.3",
        "Send a Host with a blank in it.",
        HOST,
        BAD,
        |head| head.set("Host", "a b"),
    );
    bad(
        "20.5.1",
        "Send no Sec-WebSocket-Key.",
        KEY_RULE,
        BAD,
        |head| head.without("Sec-WebSocket-Key"),
    );
    bad("20.5.2", "Send an empty key.", KEY_RULE, BAD, |head| {
        key(head, "")
    });
    bad("20.5.9", "Send two keys.", KEY_RULE, BAD, |head| {
        head.with("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw==")
    });
    bad(
        "20.6.1",
        "Send no Sec-WebSocket-Version.",
        VERSION,
        BAD_UPGRADE,
        |head| head.without("Sec-WebSocket-Version"),
    );
    bad(
        "20.6.2",
        "Send the versions `13, 8` in one field.",
        VERSION,
        BAD_UPGRADE,
        |head| version(head, "13, 8"),
    );
    bad(
        "20.6.3",
        "Send the version `013`.",
        VERSION,
        BAD_UPGRADE,
        |head| version(head, "013"),
    );
    bad(
        "20.6.4",
        "Send the version `thirteen`.",
        VERSION,
        BAD_UPGRADE,
        |head| version(head, "thirteen"),
    );
    bad(
        "20.6.5",
        "Send the versions 13 and 8 in two fields.",
        VERSION,
        BAD_UPGRADE,
        |head| head.with("Sec-WebSocket-Version", "8"),
    );
    bad(
        "20.7.1",
        "Send a field with a blank before its colon.",
        WHITESPACE,
        BAD,
        |head| head.with("X-Odd ", "1"),
    );
    let mut lax = |id: &'static str, does: &'static str, rule, statuses, edit: Edit| {
        all.push(
            case(id, does, REFUSED_OR_LAX, rule, move |setting: &Setting| {
                refused(edit(setting.request()).write(), statuses)
            })
            .for_servers()
            .stands_on(Word::Should),
        );
    };
    lax(
        "20.1.7",
        "Ask for a target with a blank in it.",
        GRAMMAR,
        &[400, 505],
        |head| first(head, "GET {}a b HTTP/1.1"),
    );
    lax(
        "20.7.2",
        "Send a field without a name.",
        GRAMMAR,
        BAD,
        |head| head.with("", "1"),
    );
    lax(
        "20.7.3",
        "Send a field whose name holds a blank.",
        GRAMMAR,
        BAD,
        |head| head.with("X Odd", "1"),
    );
    lax("20.8.1", "Send a field of 1 MiB.", BOUNDS, LARGE, |head| {
        head.with("X-Long", &"a".repeat(1 << 20))
    });
    lax("20.8.2", "Send 10 000 fields.", BOUNDS, LARGE, |head| {
        (0..10_000).fold(head, |head, _| head.with("X-Many", "1"))
    });
    lax(
        "20.8.3",
        "Ask for a target of 1 MiB.",
        BOUNDS,
        LARGE,
        |head| head.first(format!("GET /{} HTTP/1.1", "a".repeat(1 << 20))),
    );

    let mut maybe = |id: &'static str, does: &'static str, rule, statuses, edit: Edit| {
        all.push(
            case(
                id,
                does,
                REFUSED_OR_ORDINARY,
                rule,
                move |setting: &Setting| {
                    Script::raw()
                        .bytes(edit(setting.request()).write())
                        .either(refusal(statuses).into_iter().chain([ordinary()]))
                        .step(Step::Leave)
                },
            )
            .for_servers()
            .free(ORDINARY),
        );
    };
    maybe("20.3.1", "Send no Upgrade.", REFUSE, BAD_UPGRADE, |head| {
        head.without("Upgrade")
    });
    maybe(
        "20.3.3",
        "Send an Upgrade to `websockets`.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Upgrade", "websockets"),
    );
    maybe(
        "20.3.4",
        "Send an empty Upgrade.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Upgrade", ""),
    );
    maybe(
        "20.4.1",
        "Send no Connection.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.without("Connection"),
    );
    maybe(
        "20.4.2",
        "Send `Connection: close`.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Connection", "close"),
    );
    maybe(
        "20.4.3",
        "Send `Connection: Upgraded`.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Connection", "Upgraded"),
    );

    all.push(
        case(
            "20.3.2",
            "Send an Upgrade to h2c.",
            "An answer without WebSocket: a refusal, that to an ordinary request, or a switch to h2c.",
            NOT_ASKED,
            |setting| {
                let switched = |head: &Head| match head.field("Upgrade") {
                    Some("h2c") if head.status() == Some(101) => Ok(()),
                    _ => Err(format!("expected no WebSocket, and got `{}`", head.first)),
                };
                let h2c = Want::Head("a switch to h2c", Box::new(switched));
                let refusals = refusal(BAD_UPGRADE).into_iter();
                Script::raw()
                    .bytes(setting.request().set("Upgrade", "h2c").write())
                    .either(refusals.chain([ordinary(), (h2c, Verdict::Informational, true)]))
                    .step(Step::Leave)
            },
        )
        .for_servers()
        .free("RFC 9110 7.8 lets a server ignore an Upgrade, or take it"),
    );
    let unread = [
        ("20.5.3", "Send a key of 15 octets.", "AAECAwQFBgcICQoLDA0O"),
        (
            "20.5.4",
            "Send a key of 17 octets.",
            "AAECAwQFBgcICQoLDA0ODxA=",
        ),
        (
            "20.5.5",
            "Send a key of 24 characters that are not base64.",
            "dGhlIHNhbXBsZSBub25jZ!==",
        ),
        (
            "20.5.6",
            "Send a key without its padding.",
            "dGhlIHNhbXBsZSBub25jZQ",
        ),
        (
            "20.5.7",
            "Send a key with a blank in it.",
            "dGhlIHNhbXBs ZSBub25jZQ==",
        ),
        (
            "20.5.8",
            "Send a key in the URL alphabet.",
            "-_-_IHNhbXBsZSBub25jZQ==",
        ),
    ];
    for (id, does, key) in unread {
        all.push(
            case(
                id,
                does,
                "It is refused with an HTTP status; a server that takes the key as it is, is non-strict.",
                NOT_READ,
                move |setting| {
                    let taken = (answers(setting, key.into()), Verdict::NonStrict, true);
                    Script::raw()
                        .bytes(setting.request_with(key).write())
                        .either(refusal(BAD).into_iter().chain([taken]))
                        .step(Step::Leave)
                },
            )
            .for_servers(),
        );
    }
    all.push(
        case(
            "20.5.10",
            "Send the same key twice.",
            REFUSED,
            KEY_RULE,
            |setting| {
                let twice = setting.request().with("Sec-WebSocket-Key", &setting.key());
                refused(twice.write(), BAD)
            },
        )
        .for_servers(),
    );
    for (id, does, value) in [
        ("20.7.4", "Send a field whose value holds NUL.", "a\0b"),
        (
            "20.7.5",
            "Send a field whose value holds a lone CR.",
            "a\rb",
        ),
    ] {
        all.push(
            case(
                id,
                does,
                "A refusal; or 101, with a blank in its place.",
                CONTROLS,
                move |setting| {
                    let taken = (accepted(setting), Verdict::Informational, true);
                    Script::raw()
                        .bytes(setting.request().with("X-Odd", value).write())
                        .either(
                            refusal(BAD)
                                .into_iter()
                                .chain([taken, (Want::End, Verdict::Informational, true)]),
                        )
                        .step(Step::Leave)
                },
            )
            .for_servers()
            .free("RFC 9110 5.5 allows both, and does not say how a message is rejected"),
        );
    }

    for (at, number) in ["0", "1", "6", "12", "14", "255"].into_iter().enumerate() {
        let does = format!("Send the version {number}.");
        let expects = "It is refused, and a Sec-WebSocket-Version names 13.";
        all.push(
            case(
                format!("20.6.{}", at + 6),
                does,
                expects,
                VERSION,
                move |setting| {
                    let named = |head: &Head| match (
                        head.status(),
                        head.has_token("Sec-WebSocket-Version", "13"),
                    ) {
                        (Some(400..=499), true) => Ok(()),
                        (Some(400..=499), false) => {
                            Err("the refusal names no version in Sec-WebSocket-Version".into())
                        }
                        _ => Err(format!("expected a refusal, and got `{}`", head.first)),
                    };
                    Script::raw()
                        .bytes(version(setting.request(), number).write())
                        .expect(Want::Head(
                            "a refusal that names version 13",
                            Box::new(named),
                        ))
                        .step(Step::Leave)
                },
            )
            .for_servers(),
        );
    }
    all
}

/// Another first line; `{}` stands for the target.
pub(super) fn first(head: Head, line: &str) -> Head {
    let line = line.replace("{}", head.target());
    head.first(line)
}

pub(super) fn key(head: Head, value: &str) -> Head {
    head.set("Sec-WebSocket-Key", value)
}

fn version(head: Head, value: &str) -> Head {
    head.set("Sec-WebSocket-Version", value)
}
