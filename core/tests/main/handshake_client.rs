//! Opening handshakes of a client, row by row: what it asks, checks and tells, whatever the chunking.
//! RFC 6455 section 4.1; RFC 9112 for the heads.

use std::sync::Arc;

use sansws_core::config::{Config, Deflate, Limits};
use sansws_core::error::InvalidInput;
use sansws_core::handshake::{ClientHandshake, ClientOptions, Failure, ServerAnswer, accept_key};
use sansws_core::http::{Headers, Response};
use sansws_core::random::Seed;

const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";

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

fn dial(options: ClientOptions) -> ClientHandshake {
    let url = "ws://example.org:8080/chat?x=1".parse().unwrap();
    ClientHandshake::new(&tight(), &url, options, Seed::new([5; 32]).nonce()).unwrap()
}

fn offering() -> ClientOptions {
    ClientOptions {
        subprotocols: vec!["a".into(), "b".into()],
        fields: Headers::default(),
    }
}

fn answer_key() -> String {
    let request = String::from_utf8(dial(offering()).request().to_vec()).unwrap();
    let key = request
        .split("Sec-WebSocket-Key: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    accept_key(key.as_bytes())
}

/// Reads the response whole, and in every split into two; the outcome is the same.
fn answered(bytes: &[u8], ended: bool) -> Result<Option<(ServerAnswer, usize)>, Failure> {
    let whole = dial(offering()).receive(bytes, ended);
    for split in 0..bytes.len() {
        let mut handshake = dial(offering());
        match handshake.receive(&bytes[..split], false) {
            Ok(None) => assert_eq!(handshake.receive(bytes, ended), whole, "split at {split}"),
            // A body that is cut ends where enough of it has come.
            early => assert_eq!(
                early.map(|answer| answer.map(|(answer, _)| answer)),
                whole.clone().map(|answer| answer.map(|(answer, _)| answer)),
                "split at {split}"
            ),
        }
    }
    whole
}

#[test]
fn a_client_asks_as_section_4_1_says() {
    let request = String::from_utf8(dial(offering()).request().to_vec()).unwrap();
    let mut lines = request.split("\r\n");
    assert_eq!(lines.next(), Some("GET /chat?x=1 HTTP/1.1"));
    let rest: Vec<&str> = lines.collect();
    for line in [
        "Host: example.org:8080",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a, b",
    ] {
        assert_eq!(
            rest.iter().filter(|other| **other == line).count(),
            1,
            "{line} in {request}"
        );
    }
    assert!(
        rest.iter()
            .any(|line| line.starts_with("Sec-WebSocket-Extensions: permessage-deflate"))
    );
    // 4.1: the nonce is fresh for each connection.
    let url = "ws://example.org/".parse().unwrap();
    let other = ClientHandshake::new(
        &tight(),
        &url,
        ClientOptions::default(),
        Seed::new([6; 32]).nonce(),
    )
    .unwrap();
    let key = |request: &[u8]| {
        String::from_utf8_lossy(request)
            .split("Key: ")
            .nth(1)
            .unwrap()[..24]
            .to_string()
    };
    assert_ne!(key(dial(offering()).request()), key(other.request()));
    // Fields of the handshake itself are not the caller's.
    let mut fields = Headers::default();
    fields.push("Upgrade", b"h2c");
    let misuse = ClientHandshake::new(
        &tight(),
        &url,
        ClientOptions {
            subprotocols: Vec::new(),
            fields,
        },
        Seed::new([6; 32]).nonce(),
    );
    assert!(matches!(misuse, Err(InvalidInput::BadHeader)), "{misuse:?}");
}

/// Returns the request for a URL with these fields.
fn asked(url: &str, fields: &[(&str, &str)]) -> Result<String, InvalidInput> {
    let options = ClientOptions {
        subprotocols: Vec::new(),
        fields: fields.iter().copied().collect(),
    };
    let url = url.parse().unwrap();
    let handshake = ClientHandshake::new(&tight(), &url, options, Seed::new([5; 32]).nonce())?;
    assert!(!format!("{handshake:?}").contains("request"));
    Ok(String::from_utf8(handshake.request().to_vec()).unwrap())
}

#[test]
fn a_host_of_the_caller_stands_in_the_place_of_the_urls() {
    for host in ["chat.example", "chat.example:8443", "[::1]:80", "127.0.0.1"] {
        let request = asked("ws://127.0.0.1:9001/x", &[("A", "1"), ("hOsT", host)]).unwrap();
        let want = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n");
        assert!(request.starts_with(&want), "{request}");
        assert_eq!(request.to_lowercase().matches("host:").count(), 1);
        assert!(request.ends_with("A: 1\r\n\r\n"), "{request}");
    }
    for host in ["", "a b", "a/b", "me@a", "a:b", "ä", "a\r\nX: y"] {
        let refused = asked("ws://a/", &[("Host", host)]);
        assert_eq!(refused, Err(InvalidInput::BadHeader), "{host:?}");
    }
    let twice = asked("ws://a/", &[("Host", "a"), ("host", "a")]);
    assert_eq!(twice, Err(InvalidInput::BadHeader));
}

#[test]
fn a_user_name_and_a_password_of_the_url_are_said_by_basic_authentication() {
    let basic = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    let url = "ws://Aladdin:open%20sesame@a:1/x";
    let request = asked(url, &[]).unwrap();
    assert!(request.contains(basic) && request.contains("Host: a:1\r\n"));
    assert!(request.starts_with("GET /x HTTP/1.1\r\n"), "{request}");
    let request = asked(url, &[("AUTHORIZATION", "Bearer x")]).unwrap();
    assert!(request.contains("AUTHORIZATION: Bearer x\r\n"));
    assert!(!request.contains("Basic"), "{request}");
    assert!(!asked("ws://a:1/x", &[]).unwrap().contains("Authorization"));
}

#[test]
fn a_client_checks_each_sentence_of_section_4_1() {
    let accept = format!("Sec-WebSocket-Accept: {}\r\n", answer_key());
    let good = [UPGRADE, CONNECTION, &accept];
    let long = format!("X: {}\r\n", "x".repeat(1000));
    let twice = format!("{accept}{accept}");
    let cases: &[(&str, &str, &str, &str, Result<(), Failure>)] = &[
        (
            "4.1 the plain answer",
            "HTTP/1.1 101 Switching Protocols",
            "",
            "",
            Ok(()),
        ),
        ("9112 4 no reason phrase", "HTTP/1.1 101 ", "", "", Ok(())),
        (
            "4.1 Upgrade in any case",
            "HTTP/1.1 101 x",
            UPGRADE,
            "UPGRADE: WebSocket\r\n",
            Ok(()),
        ),
        (
            "4.1 Connection in a list",
            "HTTP/1.1 101 x",
            CONNECTION,
            "Connection: x, upgrade\r\n",
            Ok(()),
        ),
        (
            "4.1 a subprotocol that was offered",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Protocol: b\r\n",
            Ok(()),
        ),
        (
            "4.1 no Upgrade",
            "HTTP/1.1 101 x",
            UPGRADE,
            "",
            Err(Failure::Upgrade),
        ),
        (
            "4.1 another Upgrade",
            "HTTP/1.1 101 x",
            UPGRADE,
            "Upgrade: h2c\r\n",
            Err(Failure::Upgrade),
        ),
        (
            "4.1 no Connection",
            "HTTP/1.1 101 x",
            CONNECTION,
            "",
            Err(Failure::Connection),
        ),
        (
            "4.1 no Accept",
            "HTTP/1.1 101 x",
            &accept,
            "",
            Err(Failure::Accept),
        ),
        (
            "4.1 a wrong Accept",
            "HTTP/1.1 101 x",
            &accept,
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            Err(Failure::Accept),
        ),
        (
            "11.3.3 two Accepts",
            "HTTP/1.1 101 x",
            &accept,
            &twice,
            Err(Failure::Accept),
        ),
        (
            "4.1 a subprotocol that was not offered",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Protocol: c\r\n",
            Err(Failure::Subprotocol),
        ),
        (
            "4.1 two subprotocols",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Protocol: a, b\r\n",
            Err(Failure::Subprotocol),
        ),
        (
            "11.3.4 two fields with subprotocols",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n",
            Err(Failure::Subprotocol),
        ),
        (
            "11.3.4 the same subprotocol twice",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n",
            Err(Failure::Subprotocol),
        ),
        (
            "4.1 a subprotocol in another case",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Protocol: A\r\n",
            Err(Failure::Subprotocol),
        ),
        (
            "4.1 two Upgrades",
            "HTTP/1.1 101 x",
            "",
            UPGRADE,
            Err(Failure::Upgrade),
        ),
        (
            "4.1 another Upgrade beside ours",
            "HTTP/1.1 101 x",
            "",
            "Upgrade: h2c\r\n",
            Err(Failure::Upgrade),
        ),
        (
            "4.1 an extension that was not offered",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Extensions: x-what\r\n",
            Err(Failure::Extensions),
        ),
        (
            "7692 7.1 an unknown parameter",
            "HTTP/1.1 101 x",
            "",
            "Sec-WebSocket-Extensions: permessage-deflate; x\r\n",
            Err(Failure::Extensions),
        ),
        (
            "4.1 HTTP/1.0",
            "HTTP/1.0 101 x",
            "",
            "",
            Err(Failure::HttpVersion),
        ),
        (
            "9112 not HTTP",
            "ICY 200 OK",
            "",
            "",
            Err(Failure::HttpVersion),
        ),
        (
            "10.4 a head of more than 1000 octets",
            "HTTP/1.1 101 x",
            "",
            &long,
            Err(Failure::HeadTooLarge),
        ),
    ];
    for (name, line, replaced, by, want) in cases {
        let mut head = format!("{line}\r\n");
        for field in good {
            head.push_str(if field == *replaced { by } else { field });
        }
        if replaced.is_empty() {
            head.push_str(by);
        }
        let bytes = (head + "\r\n").into_bytes();
        match (answered(&bytes, false), want) {
            (Ok(Some((ServerAnswer::Open(_), length))), Ok(())) => {
                assert_eq!(length, bytes.len(), "{name}")
            }
            (got, want) => assert_eq!(got.map(|_| ()), *want, "{name}"),
        }
    }
}

#[test]
fn an_alert_of_tls_says_that_the_scheme_is_wrong() {
    for version in 0..=4 {
        let alert = [21, 3, version, 0, 2, 2, 70];
        assert_eq!(answered(&alert, true), Err(Failure::Tls));
    }
    // A handshake record is no answer to a request in clear.
    assert_eq!(
        answered(&[22, 3, 3, 0, 1, 0], true),
        Err(Failure::Malformed)
    );
}

fn refused(bytes: &str, ended: bool) -> Option<Response> {
    match answered(bytes.as_bytes(), ended).unwrap() {
        Some((ServerAnswer::Refused(response), _)) => Some(response),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_answer_than_101_is_told_with_status_fields_and_bounded_body() {
    let cases: &[(&str, &str, bool, Option<&[u8]>)] = &[
        (
            "a length",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
            false,
            Some(b"no"),
        ),
        (
            "a body that is not there yet",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nn",
            false,
            None,
        ),
        (
            "a body cut by the end",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno",
            true,
            Some(b"no"),
        ),
        (
            "a body to the end",
            "HTTP/1.1 403 Forbidden\r\n\r\nno",
            true,
            Some(b"no"),
        ),
        (
            "a body of more than 10 octets is cut",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\n0123456789abc",
            false,
            Some(b"0123456789"),
        ),
        (
            "no body",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            false,
            Some(b""),
        ),
        (
            "9112 7.1 chunks",
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n4;x=y\r\n you\r\n0\r\n\r\n",
            false,
            Some(b"not you"),
        ),
        (
            "9112 7.1 chunks of more than 10 octets are cut",
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n89abcdef\r\n",
            false,
            Some(b"0123456789"),
        ),
        (
            "9112 7.1 chunks that have not ended",
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n",
            false,
            None,
        ),
        (
            "9112 7.1 a chunk cut by the end",
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno",
            true,
            Some(b"no"),
        ),
        (
            "9112 7.1 what is no chunk ends the body",
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\nwhat\r\n",
            false,
            Some(b"not"),
        ),
        (
            "9110 15.2 interim responses are passed over",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno",
            false,
            Some(b"no"),
        ),
        (
            "9110 15.3.5 no content",
            "HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\n",
            false,
            Some(b""),
        ),
    ];
    for (name, bytes, ended, want) in cases {
        let got = refused(bytes, *ended);
        assert_eq!(
            got.as_ref().map(|response| response.body.as_slice()),
            *want,
            "{name}"
        );
        let status = if name.contains("no content") {
            204
        } else {
            403
        };
        assert!(
            got.is_none_or(|response| response.status == status),
            "{name}"
        );
    }
    assert_eq!(answered(b"HTTP/1.1 10", true), Err(Failure::EndOfInput));
    assert_eq!(answered(b"", true), Err(Failure::EndOfInput));
}

#[test]
fn a_client_that_gives_up_on_a_body_returns_the_refusal() {
    let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n";
    for (rest, want) in [
        ("Content-Length: 9\r\n\r\n", ""),
        ("Content-Length: 9\r\n\r\nno", "no"),
        ("\r\nno", "no"),
        ("Transfer-Encoding: chunked\r\n\r\n", ""),
        ("Transfer-Encoding: chunked\r\n\r\n9\r\nno", "no"),
    ] {
        let bytes = format!("{head}{rest}");
        let mut handshake = dial(offering());
        assert_eq!(handshake.receive(head.as_bytes(), false), Ok(None));
        assert!(!handshake.is_refused());
        assert_eq!(handshake.give_up(head.as_bytes()), None);
        assert_eq!(handshake.receive(bytes.as_bytes(), false), Ok(None));
        assert!(handshake.is_refused());
        let Some(ServerAnswer::Refused(response)) = handshake.give_up(bytes.as_bytes()) else {
            panic!("{rest:?}");
        };
        assert_eq!((response.status, response.body), (401, want.into()));
        assert_eq!(response.fields.get_str("www-authenticate"), Some("Basic"));
    }
}

#[test]
fn a_redirect_is_data() {
    let bytes = b"HTTP/1.1 307 x\r\nLocation: wss://b/c\r\nContent-Length: 0\r\n\r\n";
    match answered(bytes, false) {
        Ok(Some((ServerAnswer::Redirect(response), _))) => {
            assert_eq!(
                (response.status, response.location()),
                (307, Some("wss://b/c"))
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_glued_to_the_101_are_not_consumed() {
    let head = format!(
        "HTTP/1.1 101 x\r\n{UPGRADE}{CONNECTION}Sec-WebSocket-Accept: {}\r\n\r\n",
        answer_key()
    );
    let bytes = [head.as_bytes(), b"\x81\x05Hello"].concat();
    match answered(&bytes, false) {
        Ok(Some((ServerAnswer::Open(_), length))) => assert_eq!(length, head.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn interim_responses_before_a_101_are_passed_over_and_bounded() {
    let head = format!(
        "HTTP/1.1 101 x\r\n{UPGRADE}{CONNECTION}Sec-WebSocket-Accept: {}\r\n\r\n",
        answer_key()
    );
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let bytes = [interim, "HTTP/1.1 100 Continue\r\n\r\n", &head, "\u{1}"].concat();
    match answered(bytes.as_bytes(), false) {
        Ok(Some((ServerAnswer::Open(_), length))) => assert_eq!(length, bytes.len() - 1),
        other => panic!("{other:?}"),
    }
    // Together they are no longer than a head may be.
    let many = interim.repeat(1000 / interim.len() + 1);
    assert_eq!(answered(many.as_bytes(), false), Err(Failure::HeadTooLarge));
}

#[test]
fn a_body_in_many_chunks_is_taken_apart_once() {
    let url = "ws://a/".parse().unwrap();
    let config = Config {
        limits: Limits {
            body: 4 << 20,
            ..Limits::default()
        },
        ..Config::default()
    };
    let options = ClientOptions::default();
    let nonce = Seed::new([5; 32]).nonce();
    let mut handshake = ClientHandshake::new(&Arc::new(config), &url, options, nonce).unwrap();
    let mut bytes = b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    // Looking at all of it for each chunk would take 5 thousand million steps.
    for _ in 0..100_000 {
        bytes.extend_from_slice(b"1\r\nx\r\n");
        assert_eq!(handshake.receive(&bytes, false), Ok(None));
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    match handshake.receive(&bytes, false) {
        Ok(Some((ServerAnswer::Refused(response), _))) => {
            assert_eq!(response.body, [b'x'; 100_000])
        }
        other => panic!("{other:?}"),
    }
}
