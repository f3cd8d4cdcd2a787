//! Opening handshakes of a server, row by row: what it accepts, refuses and answers, whatever the chunking.
//! RFC 6455 section 4.2; RFC 9112 for the heads.

use std::sync::Arc;

use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::error::InvalidInput;
use sansws_core::handshake::{AcceptOptions, Refusal, Request, ServerHandshake};
use sansws_core::http::Headers;

const HOST: &str = "Host: a\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// A request whose named line is replaced, and others added.
fn request(line: &str, replaced: &str, by: &str) -> Vec<u8> {
    let mut head = format!("{line}\r\n");
    for field in [HOST, UPGRADE, CONNECTION, KEY, VERSION] {
        head.push_str(if field == replaced { by } else { field });
    }
    if replaced.is_empty() {
        head.push_str(by);
    }
    (head + "\r\n").into_bytes()
}

fn tight() -> Arc<Config> {
    Arc::new(Config {
        limits: Limits {
            head: 1000,
            headers: 12,
            body: 10,
            ..Limits::default()
        },
        deflate: Some(Deflate::default()),
        ..Config::default()
    })
}

/// Reads the request whole, and in every split into two; the outcome is the same.
fn read(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
    let whole = ServerHandshake::new(tight()).receive(bytes);
    for split in 0..bytes.len() {
        let mut handshake = ServerHandshake::new(tight());
        match handshake.receive(&bytes[..split]) {
            Ok(None) => assert_eq!(handshake.receive(bytes), whole, "split at {split}"),
            early => assert_eq!(early, whole, "split at {split}"),
        }
    }
    whole
}

const GET: &str = "GET /chat HTTP/1.1";

#[test]
fn a_server_accepts_what_section_4_2_1_describes() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("4.2.1 the plain request", GET, "", ""),
        (
            "4.2.1 Upgrade in any case",
            GET,
            UPGRADE,
            "upgrade: WebSocket\r\n",
        ),
        (
            "4.2.1 Upgrade in a list",
            GET,
            UPGRADE,
            "Upgrade: h2c, websocket\r\n",
        ),
        (
            "4.2.1 Connection in a list, in any case",
            GET,
            CONNECTION,
            "Connection: keep-alive, UPGRADE\r\n",
        ),
        (
            "4.2.1 Connection over two lines",
            GET,
            CONNECTION,
            "Connection: keep-alive\r\nConnection: upgrade\r\n",
        ),
        (
            "4.2.1 an absolute target",
            "GET http://a/chat HTTP/1.1",
            "",
            "",
        ),
        ("4.2.1 a query", "GET /chat?x=1&y=%20 HTTP/1.1", "", ""),
        (
            "4.2.1 unknown fields are ignored",
            GET,
            "",
            "X-Unknown: 1\r\nOrigin: https://b\r\n",
        ),
        (
            "9112 2.2 an empty line before the request",
            "\r\nGET /chat HTTP/1.1",
            "",
            "",
        ),
        (
            "9110 8.6 an empty body is none",
            GET,
            "",
            "Content-Length: 0\r\n",
        ),
        (
            "9.1 an unknown extension is declined",
            GET,
            "",
            "Sec-WebSocket-Extensions: x-what; a=1\r\n",
        ),
    ];
    for (name, line, replaced, by) in cases {
        let bytes = request(line, replaced, by);
        let (request, length) = read(&bytes)
            .unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
            .unwrap();
        assert_eq!((request.path(), length), ("/chat", bytes.len()), "{name}");
        let (response, _) = request.accept(&tight(), AcceptOptions::default()).unwrap();
        assert_eq!(
            String::from_utf8(response).unwrap().to_lowercase(),
            "http/1.1 101 switching protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: \
             s3pplmbitxaq9kygzzhzrbk+xoo=\r\n\r\n",
            "{name}"
        );
    }
}

#[test]
fn a_server_refuses_each_fault_with_its_answer() {
    let long = format!("X: {}\r\n", "x".repeat(1000));
    let many = "X: 1\r\n".repeat(20);
    let cases: &[(&str, &str, &str, &str, Refusal)] = &[
        ("4.2.1 POST", "POST /chat HTTP/1.1", "", "", Refusal::Method),
        (
            "4.2.1 HTTP/1.0",
            "GET /chat HTTP/1.0",
            "",
            "",
            Refusal::HttpVersion,
        ),
        (
            "4.2.1 HTTP/2.0",
            "GET /chat HTTP/2.0",
            "",
            "",
            Refusal::HttpVersion,
        ),
        ("4.2.1 no version", "GET /chat", "", "", Refusal::Malformed),
        (
            "4.2.1 a target that is no path",
            "GET * HTTP/1.1",
            "",
            "",
            Refusal::Target,
        ),
        ("4.2.1 no Host", GET, HOST, "", Refusal::Host),
        (
            "9112 3.2 two Hosts",
            GET,
            HOST,
            "Host: a\r\nHost: b\r\n",
            Refusal::Host,
        ),
        (
            "9112 3.2 a Host with a blank in it",
            GET,
            HOST,
            "Host: a b\r\n",
            Refusal::Host,
        ),
        ("4.2.1 no Upgrade", GET, UPGRADE, "", Refusal::NotWebSocket),
        (
            "4.2.1 another Upgrade",
            GET,
            UPGRADE,
            "Upgrade: websockets\r\n",
            Refusal::NotWebSocket,
        ),
        (
            "4.2.1 no Connection",
            GET,
            CONNECTION,
            "",
            Refusal::ConnectionMissing,
        ),
        (
            "4.2.1 Connection without Upgrade",
            GET,
            CONNECTION,
            "Connection: keep-alive\r\n",
            Refusal::ConnectionMissing,
        ),
        ("4.2.1 no key", GET, KEY, "", Refusal::Key),
        (
            "4.2.1 a key of 15 octets",
            GET,
            KEY,
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n",
            Refusal::Key,
        ),
        (
            "4.2.1 a key of 17 octets",
            GET,
            KEY,
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n",
            Refusal::Key,
        ),
        (
            "4.2.1 a key that is not base64",
            GET,
            KEY,
            "Sec-WebSocket-Key: ?GhlIHNhbXBsZSBub25jZQ==\r\n",
            Refusal::Key,
        ),
        ("11.3.1 two keys", GET, "", KEY, Refusal::Key),
        ("4.2.1 no version field", GET, VERSION, "", Refusal::Version),
        (
            "4.4 version 8",
            GET,
            VERSION,
            "Sec-WebSocket-Version: 8\r\n",
            Refusal::Version,
        ),
        (
            "11.3.5 two versions",
            GET,
            "",
            "Sec-WebSocket-Version: 13\r\n",
            Refusal::Version,
        ),
        (
            "11.3.4 an empty subprotocol",
            GET,
            "",
            "Sec-WebSocket-Protocol: a,,b c\r\n",
            Refusal::Subprotocol,
        ),
        (
            "4.1 a subprotocol twice",
            GET,
            "",
            "Sec-WebSocket-Protocol: a, a\r\n",
            Refusal::Subprotocol,
        ),
        (
            "9.1 a broken extension",
            GET,
            "",
            "Sec-WebSocket-Extensions: a; =\r\n",
            Refusal::Extensions,
        ),
        (
            "9112 6 a body",
            GET,
            "",
            "Content-Length: 5\r\n",
            Refusal::Body,
        ),
        (
            "9112 6 a chunked body",
            GET,
            "",
            "Transfer-Encoding: chunked\r\n",
            Refusal::Body,
        ),
        (
            "9112 5.2 a folded line",
            GET,
            "",
            "X: a\r\n b\r\n",
            Refusal::Malformed,
        ),
        (
            "9112 5.1 space before the colon",
            GET,
            "",
            "X : a\r\n",
            Refusal::Malformed,
        ),
        (
            "9110 5.5 NUL in a value",
            GET,
            "",
            "X: \0\r\n",
            Refusal::Malformed,
        ),
        (
            "10.4 a head of more than 1000 octets",
            GET,
            "",
            &long,
            Refusal::HeadTooLarge,
        ),
        (
            "10.4 more than 12 fields",
            GET,
            "",
            &many,
            Refusal::TooManyHeaders,
        ),
    ];
    for (name, line, replaced, by, want) in cases {
        assert_eq!(read(&request(line, replaced, by)), Err(*want), "{name}");
        let mut answer = Vec::new();
        want.response().write(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {} ", want.status())),
            "{name}: {answer}"
        );
        assert!(
            answer.contains("\r\nConnection: close\r\n"),
            "{name}: {answer}"
        );
        match want.status() {
            // 4.4: "MUST ... send back one or more Sec-WebSocket-Version headers"
            426 => assert!(
                answer.contains("\r\nSec-WebSocket-Version: 13\r\n")
                    && answer.contains("\r\nUpgrade: websocket\r\n")
            ),
            405 => assert!(answer.contains("\r\nAllow: GET\r\n")),
            _ => {}
        }
    }
}

#[test]
fn a_head_that_does_not_end_is_refused_by_its_length_alone() {
    let mut handshake = ServerHandshake::new(tight());
    assert_eq!(handshake.receive(&[b'G'; 1001]), Err(Refusal::HeadTooLarge));
}

#[test]
fn bytes_behind_the_head_are_not_consumed() {
    let mut bytes = request(GET, "", "");
    let head = bytes.len();
    bytes.extend_from_slice(b"\x81\x80\0\0\0\0");
    assert_eq!(read(&bytes).unwrap().unwrap().1, head);
}

#[test]
fn the_server_chooses_the_subprotocol_and_may_add_fields() {
    let (request, _) = read(&request(
        GET,
        "",
        "Sec-WebSocket-Protocol: b, a\r\nSec-WebSocket-Protocol: c\r\nCookie: s=1; t=2\r\n",
    ))
    .unwrap()
    .unwrap();
    // 4.2.2: the server's preference decides.
    assert_eq!(request.select_subprotocol(["c", "a"]).as_deref(), Some("c"));
    assert_eq!(request.select_subprotocol(["x"]), None);
    assert_eq!(
        request.cookies().collect::<Vec<_>>(),
        [("s", "1"), ("t", "2")]
    );
    let accept = |subprotocol: &str, name: &str, value: &str| {
        let mut fields = Headers::default();
        fields.push(name, value.as_bytes());
        request.accept(
            &tight(),
            AcceptOptions {
                subprotocol: Some(subprotocol.into()),
                fields,
            },
        )
    };
    let (response, agreement) = accept("a", "Set-Cookie", "u=3").unwrap();
    let response = String::from_utf8(response).unwrap();
    assert!(
        response.contains("\r\nSec-WebSocket-Protocol: a\r\n")
            && response.contains("\r\nSet-Cookie: u=3\r\n"),
        "{response}"
    );
    assert_eq!(agreement.subprotocol.as_deref(), Some("a"));
    // 4.2.2: only what was offered may be chosen; and nothing may break out of its line.
    assert!(accept("x", "X", "1").is_err());
    assert!(accept("a", "X", "1\r\nEvil: 1").is_err());
    assert!(accept("a", "Sec-WebSocket-Accept", "x").is_err());
}

#[test]
fn a_subprotocol_is_chosen_in_its_own_case_only_and_the_origin_is_told() {
    let (request, _) = read(&request(
        GET,
        "",
        "Origin: https://example.org\r\nSec-WebSocket-Protocol: Chat, b\r\n",
    ))
    .unwrap()
    .unwrap();
    assert_eq!(request.origin(), Some("https://example.org"));
    assert_eq!(request.select_subprotocol(["chat", "CHAT"]), None);
    assert_eq!(
        request.select_subprotocol(["chat", "Chat"]).as_deref(),
        Some("Chat")
    );
    let accept = AcceptOptions {
        subprotocol: Some("chat".into()),
        ..AcceptOptions::default()
    };
    let accepted = request.accept(&Config::default(), accept);
    assert_eq!(accepted.map(|_| ()), Err(InvalidInput::Subprotocol));
}
