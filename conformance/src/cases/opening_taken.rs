//! Cases 20.*: requests that a server must take, in odd dress, and the 101 that it answers with.
//! RFC 6455 sections 4.2.1 and 4.2.2; RFC 9110 and 9112 for HTTP.

use super::opening_server::{EXTENSIONS, Edit, TAKEN, accepted, answers, echoes, first, key};
use super::rules::accepts;
use crate::case::{Case, case};
use crate::http::{self, Head};
use crate::opening;
use crate::script::{Script, Setting, Want};
use crate::verdict::Word;

const LISTS: &str = concat!(
    accepts!(),
    " 4.2.1: \"An |Upgrade| header field containing the value \\\"websocket\\\", treated as an ASCII case-insensitive value. A |Connection| header field that includes the token \\\"Upgrade\\\", treated as an ASCII case-insensitive value.\""
);
const EMPTY_ELEMENTS: &str = concat!(
    accepts!(),
    " RFC 9110 5.6.1.2: \"A recipient MUST parse and ignore a reasonable number of empty list elements\"."
);
const BLANKS: &str = concat!(
    accepts!(),
    " RFC 9110 5.5: \"a field parsing implementation MUST exclude such whitespace prior to evaluating the field value\"."
);
const NAMES: &str = concat!(
    accepts!(),
    " RFC 9110 5.1: \"Field names are case-insensitive\"."
);
const UNKNOWN: &str = concat!(
    accepts!(),
    " 4.2.1: \"Unknown header fields are ignored, as per [RFC2616].\""
);
const ABSOLUTE: &str = concat!(
    accepts!(),
    " RFC 9112 3.2.2: \"A server MUST accept the absolute-form in requests\"."
);
const OPAQUE: &str = "RFC 9110 5.5: \"A recipient SHOULD treat other allowed octets in field content (i.e., obs-text) as opaque data.\"";
const ONCE: &str = "RFC 6455 11.3.3: the |Sec-WebSocket-Accept| header field \"MUST NOT appear more than once in an HTTP response\".";
const NO_BODY: &str = "RFC 9110 8.6: \"A server MUST NOT send a Content-Length header field in any response with a status code of 1xx (Informational)\"; RFC 9112 6.1: nor Transfer-Encoding.";
const RIGHT_VERSION: &str = "RFC 9110 6.2: \"A server SHOULD send a response version equal to the highest version to which the server is conformant\", and HTTP/1.0 has neither 101 nor Upgrade (15.2, 7.8).";
const ANSWER: &str = "RFC 6455 4.2.2: the server \"MUST reply with a valid HTTP response\" whose |Sec-WebSocket-Accept| is made from the key by \"taking the SHA-1 hash of this concatenated value\" and \"base64-encoding\" it; \"+\" and \"/\" are in that alphabet.";

fn taken(setting: &Setting, head: &Head) -> Script {
    echoes(Script::raw().bytes(head.write()).expect(accepted(setting)))
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut good = |id: &'static str, does: &'static str, rule, edit: Edit| {
        all.push(
            case(id, does, TAKEN, rule, move |setting: &Setting| {
                taken(setting, &edit(setting.request()))
            })
            .for_servers(),
        );
    };
    good("20.3.5", "Send `Upgrade: WebSocket`.", LISTS, |head| {
        head.set("Upgrade", "WebSocket")
    });
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
        EMPTY_ELEMENTS,
        |head| head.set("Connection", ", ,Upgrade ,"),
    );
    good(
        "20.5.11",
        "Send a key with blanks and a tab around it.",
        BLANKS,
        |head| {
            let blanks = format!(
                " \t{} ",
                head.field("Sec-WebSocket-Key").unwrap_or_default()
            );
            key(head, &blanks)
        },
    );
    good("20.7.6", "Send field names in odd case.", NAMES, |head| {
        odd_names(&head)
    });
    good(
        "20.7.7",
        "Send fields that nobody knows.",
        UNKNOWN,
        |head| {
            head.with("X-Nobody", "knows")
                .with("Sec-WebSocket-Nobody", "")
                .with("Cookie", "a=1; b=\"2\"")
        },
    );
    good(
        "20.7.8",
        "Send a target in absolute form.",
        ABSOLUTE,
        |head| {
            let host = head.field("Host").unwrap_or_default().to_owned();
            first(head, &format!("GET http://{host}{{}} HTTP/1.1"))
        },
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

    all.push(
        case(
            "20.7.9",
            "Send a field with octets above 127 in its value.",
            TAKEN,
            OPAQUE,
            |setting| taken(setting, &setting.request().with("X-Odd", "\u{e4}\u{f6}")),
        )
        .for_servers()
        .stands_on(Word::Should),
    );

    for (id, does, good) in [
        (
            "20.5.12",
            "Send a key with `+` in it.",
            plus as fn(&str) -> bool,
        ),
        ("20.5.13", "Send a key with `/` in it.", slash),
        (
            "20.5.14",
            "Send a key whose answer has `+` and `/` in it.",
            both,
        ),
    ] {
        all.push(
            case(id, does, TAKEN, ANSWER, move |setting| {
                let key = setting.key_where(good);
                let head = setting.request_with(&key);
                echoes(
                    Script::raw()
                        .bytes(head.write())
                        .expect(answers(setting, key)),
                )
            })
            .for_servers(),
        );
    }
    all.extend(answered());
    all
}

fn plus(key: &str) -> bool {
    key.contains('+')
}

fn slash(key: &str) -> bool {
    key.contains('/')
}

fn both(key: &str) -> bool {
    let answer = http::accept(key);
    plus(&answer) && slash(&answer)
}

/// Checks a 101 beyond what is needed to go on.
type Look = fn(&Head) -> Result<(), String>;

/// The 101, looked at closely.
fn answered() -> Vec<Case> {
    let looks: [(&str, &str, &str, Word, Look); 3] = [
        (
            "20.11.1",
            "The status line of the 101 says HTTP/1.1.",
            RIGHT_VERSION,
            Word::Should,
            |head| match head.first.starts_with("HTTP/1.1 ") {
                true => Ok(()),
                false => Err(format!("its status line is `{}`", head.first)),
            },
        ),
        (
            "20.11.2",
            "The 101 has one Sec-WebSocket-Accept.",
            ONCE,
            Word::Must,
            |head| match head.all("Sec-WebSocket-Accept").count() {
                1 => Ok(()),
                count => Err(format!(
                    "it sent Sec-WebSocket-Accept {count} times (11.3.3)"
                )),
            },
        ),
        (
            "20.11.3",
            "The 101 announces no body, by length or in chunks.",
            NO_BODY,
            Word::Must,
            |head| match ["Content-Length", "Transfer-Encoding"]
                .into_iter()
                .find(|name| head.field(name).is_some())
            {
                None => Ok(()),
                Some(name) => Err(format!(
                    "its 101 has the field {name} (RFC 9110 8.6, RFC 9112 6.1)"
                )),
            },
        ),
    ];
    looks
        .into_iter()
        .map(|(id, expects, rule, word, look)| {
            case(id, "Open a connection.", expects, rule, move |setting| {
                let key = setting.key();
                let protocols = setting.protocols.clone();
                let check = move |head: &Head| {
                    opening::check_response(head, &key, &[], &protocols)?;
                    look(head)
                };
                let want = Want::Head("101", Box::new(check));
                echoes(Script::raw().bytes(setting.request().write()).expect(want))
            })
            .for_servers()
            .stands_on(word)
        })
        .collect()
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
