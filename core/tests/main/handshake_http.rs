//! Handshakes that another HTTP stack parsed: HTTP/1.1, and extended CONNECT over HTTP/2.
//! RFC 6455 section 4.2; RFC 8441 sections 4 and 5.

use std::sync::Arc;

use http::{Method, Request as HttpRequest, Response as HttpResponse, Version};
use sansws_core::config::{Config, Deflate};
use sansws_core::error::InvalidInput;
use sansws_core::handshake::{
    AcceptOptions, ClientHandshake, ClientOptions, ExtendedConnect, Failure, Refusal, Request,
    ServerAnswer, ServerHandshake,
};
use sansws_core::http::{Headers, Response};
use sansws_core::random::Seed;

fn config() -> Config {
    Config {
        deflate: Some(Deflate::default()),
        ..Config::default()
    }
}

fn accept() -> AcceptOptions {
    AcceptOptions {
        subprotocol: Some("a".into()),
        ..AcceptOptions::default()
    }
}

#[test]
fn a_request_of_the_http_crate_is_accepted_with_101() {
    let request = HttpRequest::builder()
        .uri("/chat?x=1")
        .header("host", "a")
        .header("upgrade", "WebSocket")
        .header("connection", "keep-alive, Upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "b, a")
        .body(())
        .unwrap();
    let request = Request::from_http(&request, None).unwrap();
    assert_eq!((request.path(), request.query()), ("/chat", Some("x=1")));
    let (response, agreement) = request.accept_http(&config(), accept()).unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(
        response.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(agreement.subprotocol.as_deref(), Some("a"));
}

#[test]
fn a_request_over_http_2_is_an_extended_connect_and_accepted_with_200() {
    let request = |protocol: Option<&str>, method: Method| {
        let request = HttpRequest::builder()
            .version(Version::HTTP_2)
            .method(method)
            .uri("https://example.org/chat")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "a")
            .header("sec-websocket-extensions", "permessage-deflate")
            .body(())
            .unwrap();
        Request::from_http(&request, protocol)
    };
    let accepted = request(Some("websocket"), Method::CONNECT).unwrap();
    assert_eq!((accepted.path(), accepted.host()), ("/chat", "example.org"));
    let (response, agreement) = accepted.accept_http(&config(), accept()).unwrap();
    assert_eq!(response.status(), 200);
    // 8441 5: no Sec-WebSocket-Accept, no Upgrade, no Connection.
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(response.headers()["sec-websocket-protocol"], "a");
    assert!(agreement.deflate.is_some());
    assert_eq!(
        request(Some("chat"), Method::CONNECT),
        Err(Refusal::Protocol)
    );
    assert_eq!(request(None, Method::CONNECT), Err(Refusal::Protocol));
    assert_eq!(request(None, Method::GET), Err(Refusal::HttpVersion));
}

#[test]
fn an_extended_connect_is_checked_field_by_field() {
    let good = || ExtendedConnect {
        method: "CONNECT",
        protocol: "websocket",
        scheme: "https",
        path: "/chat",
        authority: "a",
        fields: [("sec-websocket-version", b"13".as_slice())]
            .into_iter()
            .collect::<Headers>(),
    };
    assert!(good().check().is_ok());
    type Spoil = fn(&mut ExtendedConnect<'_>);
    let cases: &[(&str, Spoil, Refusal)] = &[
        (
            "8441 4 another method",
            |it| it.method = "GET",
            Refusal::Method,
        ),
        (
            "9220 3 another protocol",
            |it| it.protocol = "h2",
            Refusal::Protocol,
        ),
        (
            "8441 5 another scheme",
            |it| it.scheme = "ftp",
            Refusal::Target,
        ),
        ("8441 4 no path", |it| it.path = "", Refusal::Target),
        ("8441 4 no authority", |it| it.authority = "", Refusal::Host),
        (
            "9113 8.2.2 Connection",
            |it| it.fields.push("connection", b"upgrade"),
            Refusal::Malformed,
        ),
        (
            "4.2.1 no version",
            |it| it.fields = Headers::default(),
            Refusal::Version,
        ),
        (
            "11.3.4 subprotocols",
            |it| it.fields.push("sec-websocket-protocol", b"a b"),
            Refusal::Subprotocol,
        ),
    ];
    for (name, spoil, want) in cases {
        let mut request = good();
        spoil(&mut request);
        assert_eq!(request.check(), Err(*want), "{name}");
    }
}

#[test]
fn a_refusal_is_a_response_of_the_http_crate_too() {
    let response = Refusal::Version.response().into_http().unwrap();
    assert_eq!(response.status(), 426);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
}

#[test]
fn fields_and_responses_of_the_http_crate_become_ours_and_back() {
    let response = http::Response::builder()
        .status(http::StatusCode::SEE_OTHER)
        .header("location", "/login")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .body("sign in\n")
        .unwrap();
    let ours = Response::from(response.clone());
    assert_eq!((ours.status, ours.location()), (303, Some("/login")));
    assert_eq!(ours.fields.all("Set-Cookie").count(), 2);
    assert_eq!(ours.body, b"sign in\n");
    let map = http::HeaderMap::try_from(&ours.fields).unwrap();
    assert_eq!(&map, response.headers());

    let invalid: Headers = [("bad name", "1")].into_iter().collect();
    let many: Headers = (0..40_000).map(|at| (format!("x-{at}"), "1")).collect();
    for fields in [invalid, many] {
        let error = http::HeaderMap::try_from(&fields).unwrap_err();
        assert_eq!(error, InvalidInput::BadHeader);
    }
}

#[test]
fn a_client_checks_a_response_of_the_http_crate() {
    let url = "ws://a/".parse().unwrap();
    let options = ClientOptions {
        subprotocols: vec!["a".into()],
        ..ClientOptions::default()
    };
    let nonce = Seed::new([1; 32]).nonce();
    let dialing = ClientHandshake::new(&Arc::new(config()), &url, options, nonce).unwrap();
    let (request, _) = ServerHandshake::new(Arc::new(config()))
        .receive(dialing.request())
        .unwrap()
        .unwrap();
    let (response, agreement) = request.accept_http(&config(), accept()).unwrap();
    match dialing.receive_http(&response.map(|()| "")) {
        Ok(ServerAnswer::Open(opened)) => {
            assert_eq!(opened.agreement.subprotocol, agreement.subprotocol)
        }
        other => panic!("{other:?}"),
    }
    let answer = |version, status, name: &str, value: &str| {
        let response = HttpResponse::builder()
            .version(version)
            .status(status)
            .header(name, value);
        dialing.receive_http(&response.body("no").unwrap())
    };
    let (one, two) = (Version::HTTP_11, Version::HTTP_2);
    assert_eq!(answer(one, 101, "x", "y"), Err(Failure::Upgrade));
    for status in [200, 201, 299] {
        assert!(matches!(
            answer(two, status, "x", "y"),
            Ok(ServerAnswer::Open(_))
        ));
    }
    for status in [101, 302, 404] {
        assert!(matches!(
            answer(two, status, "x", "y"),
            Ok(ServerAnswer::Refused(_))
        ));
    }
    assert_eq!(
        answer(two, 200, "sec-websocket-protocol", "b"),
        Err(Failure::Subprotocol)
    );
    assert!(matches!(
        answer(one, 302, "location", "/b"),
        Ok(ServerAnswer::Redirect(_))
    ));
    match answer(one, 200, "x", "y") {
        Ok(ServerAnswer::Refused(response)) => assert_eq!(response.body, b"no"),
        other => panic!("{other:?}"),
    }
}
