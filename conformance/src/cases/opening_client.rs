//! Cases 21.*: responses that a client must not take, and odd ones that it must.
//! RFC 6455 section 4.1; RFC 7692 section 7.1; RFC 9110 for interim responses.

use crate::case::{Case, case};
use crate::frame::{Frame, text};
use crate::http::Head;
use crate::script::{Chop, Script, Step, Want, echo};
use crate::verdict::{Verdict, Word};

const REQUEST: &str = "RFC 6455 4.1: \"The method of the request MUST be GET, and the HTTP version MUST be at least 1.1\"; the fields Host, Upgrade, Connection, Sec-WebSocket-Key and Sec-WebSocket-Version.";
const STATUS: &str = "RFC 9112 9.6: a client that receives close \"MUST cease sending requests on that connection and close the connection\". RFC 6455 4.1: \"If the status code received from the server is not 101, the client handles the response per HTTP\": no WebSocket is open.";
const UPGRADE: &str = "RFC 6455 4.1: \"If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not an ASCII case-insensitive match for the value \\\"websocket\\\", the client MUST _Fail the WebSocket Connection_.\"";
const CONNECTION: &str = "RFC 6455 4.1: \"If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a token that is an ASCII case-insensitive match for the value \\\"Upgrade\\\", the client MUST _Fail the WebSocket Connection_.\"";
const CONNECTION_LIST: &str = "RFC 7230 2.5: \"the recipient MUST be able to parse any value of reasonable length that is applicable to the recipient's role and that matches the grammar defined by the corresponding ABNF rules\". RFC 9110 7.6.1: \"Connection options are case-insensitive.\" 5.2: the value of a field on several lines is the list of them.";
pub(super) const ACCEPT: &str = "RFC 6455 4.1: \"If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a value other than the base64-encoded SHA-1 of the concatenation [...] but ignoring any leading and trailing whitespace, the client MUST _Fail the WebSocket Connection_.\"";
const EXTENSION: &str = "RFC 6455 4.1: \"If the response includes a |Sec-WebSocket-Extensions| header field and this header field indicates the use of an extension that was not present in the client's handshake [...], the client MUST _Fail the WebSocket Connection_.\"";
const DEFLATE: &str = "RFC 7692 5.1 and 7.1: \"If the client received a [...] response with unknown, duplicate, or invalid parameters, the client MUST _Fail the WebSocket Connection_.\"";
const PROTOCOL: &str = "RFC 6455 4.1: \"If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use of a subprotocol that was not present in the client's handshake [...], the client MUST _Fail the WebSocket Connection_.\"";
const INTERIM: &str = "RFC 9110 15.2: \"A client MUST be able to parse one or more 1xx responses received prior to a final response, even if the client does not expect one.\"";
const HTTP: &str = "RFC 6455 4.1: \"If the server's response does not conform to the requirements for the server's handshake as defined in this section and in Section 4.2.2, the client MUST _Fail the WebSocket Connection_\"; 4.2.2 asks for \"a valid HTTP response\".";
const VALIDATED: &str = "RFC 6455 4.1: \"The client MUST validate the server's response as follows\"; nothing else about it matters (RFC 9110 5.1, RFC 9112 4).";
const BOUNDS: &str = "RFC 9110 2.3: \"A recipient SHOULD parse a received protocol element defensively, with only marginal expectations that the element will conform to its ABNF grammar and fit within a reasonable buffer size.\"";

pub(super) const FAILS: &str = "The client ends the connection, and echoes nothing.";
pub(super) const OPENS: &str = "The connection is open: text comes back.";

/// Makes a response of a good one.
pub(super) type Edit = fn(Head) -> Head;

/// A response after which the client must end the connection; text that follows must not come back.
fn refused(make: impl Fn(&Head) -> Vec<u8> + Send + 'static) -> Script {
    Script::raw()
        .step(Step::Respond {
            make: Box::new(make),
            opens: true,
            chop: Chop::Whole,
        })
        .fails(&[])
}

pub(super) fn opens(make: impl Fn(&Head) -> Vec<u8> + Send + 'static, chop: Chop) -> Script {
    Script::raw()
        .step(Step::Respond {
            make: Box::new(make),
            opens: true,
            chop,
        })
        .send([text("Hello")])
        .echo_text("Hello")
        .close()
}

/// A frame as a server writes it.
pub(super) fn bytes(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.write(None, &mut bytes);
    bytes
}

/// A good response made bad.
pub(super) fn bad(id: &'static str, does: &'static str, rule: &'static str, edit: Edit) -> Case {
    case(id, does, FAILS, rule, move |_| {
        refused(move |request| {
            [edit(Head::response(request)).write(), bytes(&text("Hello"))].concat()
        })
    })
    .for_clients()
}

/// A good response in another dress.
fn good(id: &'static str, does: &'static str, rule: &'static str, edit: Edit) -> Case {
    case(id, does, OPENS, rule, move |_| {
        opens(
            move |request| edit(Head::response(request)).write(),
            Chop::Whole,
        )
    })
    .for_clients()
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    all.push(bad(
        "21.3.1",
        "Answer 101 without Upgrade.",
        UPGRADE,
        |head| head.without("Upgrade"),
    ));
    all.push(bad(
        "21.3.2",
        "Answer 101 with an Upgrade to h2c.",
        UPGRADE,
        |head| head.set("Upgrade", "h2c"),
    ));
    all.push(bad(
        "21.3.3",
        "Answer 101 with an empty Upgrade.",
        UPGRADE,
        |head| head.set("Upgrade", ""),
    ));
    all.push(bad(
        "21.3.4",
        "Answer 101 without Connection.",
        CONNECTION,
        |head| head.without("Connection"),
    ));
    all.push(bad(
        "21.3.5",
        "Answer 101 with `Connection: close`.",
        CONNECTION,
        |head| head.set("Connection", "close"),
    ));
    all.push(bad(
        "21.3.6",
        "Answer 101 with `Connection: Upgraded`.",
        CONNECTION,
        |head| head.set("Connection", "Upgraded"),
    ));
    all.push(bad(
        "21.4.1",
        "Answer 101 without Sec-WebSocket-Accept.",
        ACCEPT,
        |head| head.without("Sec-WebSocket-Accept"),
    ));
    all.push(bad(
        "21.4.2",
        "Answer 101 with an empty Sec-WebSocket-Accept.",
        ACCEPT,
        |head| accept(head, ""),
    ));
    all.push(bad(
        "21.4.3",
        "Answer 101 with the Sec-WebSocket-Accept of another key.",
        ACCEPT,
        |head| accept(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ));
    all.push(bad(
        "21.4.4",
        "Answer 101 with a Sec-WebSocket-Accept in the wrong case.",
        ACCEPT,
        |head| {
            let value = head.field("Sec-WebSocket-Accept").unwrap_or_default();
            let flipped: String = value
                .chars()
                .map(|letter| {
                    if letter.is_ascii_lowercase() {
                        letter.to_ascii_uppercase()
                    } else {
                        letter.to_ascii_lowercase()
                    }
                })
                .collect();
            accept(head, &flipped)
        },
    ));
    all.push(bad(
        "21.4.5",
        "Answer 101 with a Sec-WebSocket-Accept that lacks its last character.",
        ACCEPT,
        |head| {
            let mut value = head
                .field("Sec-WebSocket-Accept")
                .unwrap_or_default()
                .to_owned();
            value.pop();
            accept(head, &value)
        },
    ));
    all.push(bad(
        "21.5.1",
        "Answer 101 with a subprotocol that was not offered.",
        PROTOCOL,
        |head| head.with("Sec-WebSocket-Protocol", "x-nobody"),
    ));
    all.push(bad(
        "21.5.2",
        "Answer 101 with an extension that was not offered.",
        EXTENSION,
        |head| extension(head, "x-nobody"),
    ));
    let wrong = [
        (
            "21.5.3",
            "an unknown parameter",
            "permessage-deflate; x-nobody",
        ),
        (
            "21.5.4",
            "`server_max_window_bits=7`",
            "permessage-deflate; server_max_window_bits=7",
        ),
        (
            "21.5.5",
            "`server_max_window_bits=16`",
            "permessage-deflate; server_max_window_bits=16",
        ),
        (
            "21.5.6",
            "`server_max_window_bits` without a value",
            "permessage-deflate; server_max_window_bits",
        ),
        (
            "21.5.7",
            "`client_max_window_bits` without a value",
            "permessage-deflate; client_max_window_bits",
        ),
        (
            "21.5.8",
            "`client_max_window_bits=99`",
            "permessage-deflate; client_max_window_bits=99",
        ),
        (
            "21.5.9",
            "`server_no_context_takeover=1`",
            "permessage-deflate; server_no_context_takeover=1",
        ),
        (
            "21.5.10",
            "a repeated parameter",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ),
        (
            "21.5.11",
            "`server_max_window_bits=010`",
            "permessage-deflate; server_max_window_bits=010",
        ),
        (
            "21.5.12",
            "itself a second time",
            "permessage-deflate, permessage-deflate",
        ),
        (
            "21.5.13",
            "a parameter without a name",
            "permessage-deflate; =1",
        ),
    ];
    for (id, what, value) in wrong {
        all.push(
            case(
                id,
                format!("Answer 101 with permessage-deflate and {what}."),
                FAILS,
                DEFLATE,
                move |_| {
                    refused(move |request| {
                        [
                            extension(Head::response(request), value).write(),
                            bytes(&text("Hello")),
                        ]
                        .concat()
                    })
                },
            )
            .for_clients(),
        );
    }
    all.push(
        case("21.6.1", "Answer with HTTP/1.0 101.", "The connection is ended; or it is open, and text comes back.", HTTP, |_| {
            let answer = |request: &Head| Head::response(request).first("HTTP/1.0 101 Switching Protocols").write();
            Script::raw()
                .step(Step::Respond {
                    make: Box::new(answer),
                    opens: true,
                    chop: Chop::Whole,
                })
                .send([text("Hello")])
                .either([
                    (Want::Fail(&[]), Verdict::Informational, true),
                    (echo(&text("Hello")), Verdict::Informational, false),
                ])
                .close()
        })
        .for_clients()
        .stands_on(Word::Unsaid)
        .free("the checks of RFC 6455 4.1 name no version; an Upgrade has no meaning in HTTP/1.0 (RFC 9110 7.8)"),
    );
    all.push(bad(
        "21.6.2",
        "Answer with a status line without a status.",
        HTTP,
        |head| head.first("HTTP/1.1 Switching Protocols"),
    ));
    all.push(bad(
        "21.6.3",
        "Answer with the status 1010.",
        HTTP,
        |head| head.first("HTTP/1.1 1010 Switching Protocols"),
    ));
    all.push(bad(
        "21.6.4",
        "Answer with something that is not HTTP.",
        HTTP,
        |head| head.first("220 mail.example ESMTP"),
    ));
    all.push(bad(
        "21.6.5",
        "Answer with a blank before a colon.",
        HTTP,
        |head| head.with("X-Odd ", "1"),
    ));
    all.push(
        bad("21.6.6", "Answer with a field of 4 MiB.", BOUNDS, |head| {
            head.with("X-Long", &"a".repeat(4 << 20))
        })
        .stands_on(Word::Should),
    );

    all.push(good(
        "21.1.1",
        "Read the request, and answer as one should.",
        REQUEST,
        |head| head,
    ));
    all.push(good(
        "21.3.7",
        "Answer with `Upgrade: WebSocket`.",
        UPGRADE,
        |head| head.set("Upgrade", "WebSocket"),
    ));
    all.push(good(
        "21.3.8",
        "Answer with `Connection: keep-alive, uPgRaDe`.",
        CONNECTION_LIST,
        |head| head.set("Connection", "keep-alive, uPgRaDe"),
    ));
    all.push(good(
        "21.3.9",
        "Answer with Connection on two lines.",
        CONNECTION_LIST,
        |head| {
            head.set("Connection", "keep-alive")
                .with("Connection", "Upgrade")
        },
    ));
    all.push(good(
        "21.4.6",
        "Answer with blanks around Sec-WebSocket-Accept.",
        ACCEPT,
        |head| {
            let value = format!(
                "  {}\t ",
                head.field("Sec-WebSocket-Accept").unwrap_or_default()
            );
            accept(head, &value)
        },
    ));
    all.push(good(
        "21.6.7",
        "Answer with another reason phrase.",
        VALIDATED,
        |head| head.first("HTTP/1.1 101 Come in"),
    ));
    all.push(good(
        "21.6.8",
        "Answer with an empty reason phrase.",
        VALIDATED,
        |head| head.first("HTTP/1.1 101 "),
    ));
    all.push(good(
        "21.6.9",
        "Answer with fields that nobody knows, and field names in odd case.",
        VALIDATED,
        |mut head| {
            for (name, _) in &mut head.fields {
                *name = name.to_ascii_uppercase();
            }
            head.with("x-nobody", "knows").with("set-cookie", "a=1")
        },
    ));

    let statuses = [
        ("21.2.1", "200 OK"),
        ("21.2.2", "204 No Content"),
        ("21.2.3", "400 Bad Request"),
        ("21.2.4", "401 Unauthorized"),
        ("21.2.5", "404 Not Found"),
        ("21.2.6", "429 Too Many Requests"),
        ("21.2.7", "500 Internal Server Error"),
        ("21.2.8", "503 Service Unavailable"),
        ("21.2.9", "302 Found"),
    ];
    for (id, status) in statuses {
        let does = format!(
            "Answer {status} with the fields of a 101, `close` in Connection, and a frame for a body."
        );
        let has_body = !status.starts_with("204");
        let answer = move |request: &Head| {
            let frame = if has_body {
                bytes(&text("Hello"))
            } else {
                Vec::new()
            };
            let mut head = Head::response(request)
                .first(format!("HTTP/1.1 {status}"))
                .set("Connection", "Upgrade, close");
            if has_body {
                head = head.with("Content-Length", &frame.len().to_string());
            }
            [head.write(), frame].concat()
        };
        all.push(case(id, does, FAILS, STATUS, move |_| refused(answer)).for_clients());
    }
    for (id, interim) in [("21.2.10", "100 Continue"), ("21.2.11", "103 Early Hints")] {
        all.push(
            case(
                id,
                format!("Answer {interim}, then 101."),
                OPENS,
                INTERIM,
                move |_| {
                    opens(
                        move |request| {
                            let first =
                                Head::new(format!("HTTP/1.1 {interim}")).with("X-Early", "1");
                            [first.write(), Head::response(request).write()].concat()
                        },
                        Chop::Whole,
                    )
                },
            )
            .for_clients(),
        );
    }
    all
}

pub(super) fn accept(head: Head, value: &str) -> Head {
    head.set("Sec-WebSocket-Accept", value)
}

fn extension(head: Head, value: &str) -> Head {
    head.with("Sec-WebSocket-Extensions", value)
}
