//! Cases 20.*: requests that a server must refuse, and odd ones that it must take.
//! RFC 6455 sections 4.2 and 9.1; RFC 9110 and 9112 for HTTP.

use crate::case::{Case, case};
use crate::frame::text;
use crate::http::Head;
use crate::opening;
use crate::script::{KEY, Script, Setting, Step, Want};
use crate::verdict::Verdict;

pub(super) const REFUSE: &str = "RFC 6455 4.2.1: \"If the server, while reading the handshake, finds that the client did not send a handshake that matches the description below [...], the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code (such as 400 Bad Request).\"";
const LISTS: &str = "RFC 6455 4.2.1: \"An |Upgrade| header field containing the value \\\"websocket\\\", treated as an ASCII case-insensitive value. A |Connection| header field that includes the token \\\"Upgrade\\\", treated as an ASCII case-insensitive value.\"";
const KEY_RULE: &str = "RFC 6455 4.2.1: \"A |Sec-WebSocket-Key| header field with a base64-encoded value that, when decoded, is 16 bytes in length.\"; 11.3.1: it \"MUST NOT appear more than once in an HTTP request\".";
const VERSION: &str = "RFC 6455 4.2.2: \"If this version does not match a version understood by the server, the server MUST abort the WebSocket handshake described in this section and instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of understanding.\"";
const GRAMMAR: &str =
    "RFC 9112 5: field lines; RFC 6455 4.2.1: \"an HTTP/1.1 or higher GET request\".";
const HOST: &str = "RFC 9112 3.2: \"A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header field and to any request message that contains more than one Host header field line or a Host header field with an invalid field value.\"";
pub(super) const BOUNDS: &str = "RFC 6455 10.4: implementations \"SHOULD impose limits\"; RFC 6585 5: 431 Request Header Fields Too Large.";
pub(super) const EXTENSIONS: &str = "RFC 6455 9.1: \"a server MUST NOT\" answer with an extension that was not offered; unknown ones are ignored. \"If a value is received [...] that does not conform to the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.\"";

const REFUSED: &str = "It is refused with an HTTP status.";
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

fn refused(bytes: Vec<u8>, statuses: &'static [u16]) -> Script {
    Script::raw()
        .bytes(bytes)
        .either(refusal(statuses))
        .step(Step::Leave)
}

/// A 101 that passes all checks.
pub(super) fn accepted() -> Want {
    Want::Head(
        "101",
        Box::new(|head| opening::check_response(head, KEY, &[]).map(drop)),
    )
}

pub(super) fn echoes(script: Script) -> Script {
    script.send([text("Hello")]).echo_text("Hello").close()
}

fn taken(bytes: Vec<u8>) -> Script {
    echoes(Script::raw().bytes(bytes).expect(accepted()))
}

pub(super) const BAD: &[u16] = &[400];
const BAD_UPGRADE: &[u16] = &[400, 426];
const METHOD: &[u16] = &[400, 405, 501];
pub(super) const LARGE: &[u16] = &[400, 413, 414, 431];

/// Makes another head of a good one.
type Edit = fn(Head) -> Head;

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
        GRAMMAR,
        BAD,
        |head| first(head, "GET {}"),
    );
    bad(
        "20.1.7",
        "Ask for a target with a blank in it.",
        GRAMMAR,
        &[400, 505],
        |head| first(head, "GET {}a b HTTP/1.1"),
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
    bad("20.3.1", "Send no Upgrade.", REFUSE, BAD_UPGRADE, |head| {
        head.without("Upgrade")
    });
    bad(
        "20.3.2",
        "Send an Upgrade to h2c.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Upgrade", "h2c"),
    );
    bad(
        "20.3.3",
        "Send an Upgrade to `websockets`.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Upgrade", "websockets"),
    );
    bad(
        "20.3.4",
        "Send an empty Upgrade.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Upgrade", ""),
    );
    bad(
        "20.4.1",
        "Send no Connection.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.without("Connection"),
    );
    bad(
        "20.4.2",
        "Send `Connection: close`.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Connection", "close"),
    );
    bad(
        "20.4.3",
        "Send `Connection: Upgraded`.",
        REFUSE,
        BAD_UPGRADE,
        |head| head.set("Connection", "Upgraded"),
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
    bad(
        "20.5.3",
        "Send a key of 15 octets.",
        KEY_RULE,
        BAD,
        |head| key(head, "AAECAwQFBgcICQoLDA0O"),
    );
    bad(
        "20.5.4",
        "Send a key of 17 octets.",
        KEY_RULE,
        BAD,
        |head| key(head, "AAECAwQFBgcICQoLDA0ODxA="),
    );
    bad(
        "20.5.5",
        "Send a key of 24 characters that are not base64.",
        KEY_RULE,
        BAD,
        |head| key(head, "dGhlIHNhbXBsZSBub25jZ!=="),
    );
    bad(
        "20.5.6",
        "Send a key without its padding.",
        KEY_RULE,
        BAD,
        |head| key(head, "dGhlIHNhbXBsZSBub25jZQ"),
    );
    bad(
        "20.5.7",
        "Send a key with a blank in it.",
        KEY_RULE,
        BAD,
        |head| key(head, "dGhlIHNhbXBs ZSBub25jZQ=="),
    );
    bad(
        "20.5.8",
        "Send a key in the URL alphabet.",
        KEY_RULE,
        BAD,
        |head| key(head, "-_-_IHNhbXBsZSBub25jZQ=="),
    );
    bad("20.5.9", "Send two keys.", KEY_RULE, BAD, |head| {
        head.with("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw==")
    });
    bad(
        "20.5.10",
        "Send the same key twice.",
        KEY_RULE,
        BAD,
        |head| head.with("Sec-WebSocket-Key", KEY),
    );
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
        GRAMMAR,
        BAD,
        |head| head.with("X-Odd ", "1"),
    );
    bad(
        "20.7.2",
        "Send a field without a name.",
        GRAMMAR,
        BAD,
        |head| head.with("", "1"),
    );
    bad(
        "20.7.3",
        "Send a field whose name holds a blank.",
        GRAMMAR,
        BAD,
        |head| head.with("X Odd", "1"),
    );
    bad(
        "20.7.4",
        "Send a field whose value holds NUL.",
        GRAMMAR,
        BAD,
        |head| head.with("X-Odd", "a\0b"),
    );
    bad(
        "20.7.5",
        "Send a field whose value holds a lone CR.",
        GRAMMAR,
        BAD,
        |head| head.with("X-Odd", "a\rb"),
    );
    bad("20.8.1", "Send a field of 1 MiB.", BOUNDS, LARGE, |head| {
        head.with("X-Long", &"a".repeat(1 << 20))
    });
    bad("20.8.2", "Send 10 000 fields.", BOUNDS, LARGE, |head| {
        (0..10_000).fold(head, |head, _| head.with("X-Many", "1"))
    });
    bad(
        "20.8.3",
        "Ask for a target of 1 MiB.",
        BOUNDS,
        LARGE,
        |head| head.first(format!("GET /{} HTTP/1.1", "a".repeat(1 << 20))),
    );

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

    let mut good = |id: &'static str, does: &'static str, rule, edit: Edit| {
        all.push(
            case(id, does, TAKEN, rule, move |setting: &Setting| {
                taken(edit(setting.request()).write())
            })
            .for_servers(),
        );
    };
    good("20.3.5", "Send `Upgrade: WebSocket`.", LISTS, |head| {
        head.set("Upgrade", "WebSocket")
    });
    good(
        "20.3.6",
        "Send `Upgrade: foo/1, websocket`.",
        LISTS,
        |head| head.set("Upgrade", "foo/1, websocket"),
    );
    good(
        "20.3.7",
        "Send Upgrade on two lines, `foo` and `websocket`.",
        LISTS,
        |head| head.set("Upgrade", "foo").with("Upgrade", "websocket"),
    );
    good("20.4.4", "Send `Connection: uPgRaDe`.", LISTS, |head| {
        head.set("Connection", "uPgRaDe")
    });
    good(
        "20.4.5",
        "Send `Connection: keep-alive, Upgrade`.",
        LISTS,
        |head| head.set("Connection", "keep-alive, Upgrade"),
    );
    good(
        "20.4.6",
        "Send Connection on two lines, `keep-alive` and `Upgrade`.",
        LISTS,
        |head| {
            head.set("Connection", "keep-alive")
                .with("Connection", "Upgrade")
        },
    );
    good(
        "20.4.7",
        "Send `Connection: , ,Upgrade ,`: empty elements are skipped.",
        LISTS,
        |head| head.set("Connection", ", ,Upgrade ,"),
    );
    good(
        "20.5.11",
        "Send a key with blanks and a tab around it.",
        KEY_RULE,
        |head| key(head, "  \tdGhlIHNhbXBsZSBub25jZQ== "),
    );
    good("20.7.6", "Send field names in odd case.", GRAMMAR, |head| {
        odd_names(&head)
    });
    good(
        "20.7.7",
        "Send fields that nobody knows.",
        GRAMMAR,
        |head| {
            head.with("X-Nobody", "knows")
                .with("Sec-WebSocket-Nobody", "")
                .with("Cookie", "a=1; b=\"2\"")
        },
    );
    good(
        "20.7.8",
        "Send a target in absolute form.",
        GRAMMAR,
        |head| {
            let host = head.field("Host").unwrap_or_default().to_owned();
            first(head, &format!("GET http://{host}{{}} HTTP/1.1"))
        },
    );
    good(
        "20.7.9",
        "Send a field with octets above 127 in its value.",
        GRAMMAR,
        |head| head.with("X-Odd", "\u{e4}\u{f6}"),
    );
    good(
        "20.9.1",
        "Offer an extension that nobody knows.",
        EXTENSIONS,
        |head| head.with("Sec-WebSocket-Extensions", "x-nobody; a=1; b=\"2\", x-else"),
    );
    good(
        "20.9.2",
        "Offer extensions on two lines.",
        EXTENSIONS,
        |head| {
            head.with("Sec-WebSocket-Extensions", "x-nobody")
                .with("Sec-WebSocket-Extensions", "x-else;b")
        },
    );

    all
}

/// Another first line; `{}` stands for the target.
pub(super) fn first(head: Head, line: &str) -> Head {
    let line = line.replace("{}", head.target());
    head.first(line)
}

fn key(head: Head, value: &str) -> Head {
    head.set("Sec-WebSocket-Key", value)
}

fn version(head: Head, value: &str) -> Head {
    head.set("Sec-WebSocket-Version", value)
}

fn odd_names(head: &Head) -> Head {
    let odd = |name: &str| -> String {
        name.chars()
            .enumerate()
            .map(|(at, letter)| {
                if at % 2 == 0 {
                    letter.to_ascii_lowercase()
                } else {
                    letter.to_ascii_uppercase()
                }
            })
            .collect()
    };
    head.fields
        .iter()
        .fold(Head::new(head.first.clone()), |made, (name, value)| {
            made.with(&odd(name), value)
        })
}
