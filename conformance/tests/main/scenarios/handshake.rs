//! The opening handshake of our client: header fields, subprotocols, refusals, nobody there.

use core::net::Ipv4Addr;
use std::io::ErrorKind;
use std::net::TcpListener;

use sansws_async::{ConnectOptions, Error};
use serde_json::Value;

use super::messages::{echo, finish};
use crate::support::runtime::Runtime;
use crate::support::side::{Options, Side, against};

crate::support::each_server!(headers, subprotocols, reject, redirect);
crate::support::every_runtime!(connecting_to_a_closed_port_fails, misuse);

fn headers<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let dial = ConnectOptions::default()
            .header("Origin", "https://example.org")
            .header("X-Test", "one")
            .header("X-Test", "two")
            .subprotocol("chat.v2")
            .subprotocol("chat.v1");
        let mut socket = R::connect(&server.url("/headers?q=1"), dial).await?;
        let seen: Option<Value> = socket.receive_json().await?;
        let seen = seen.unwrap_or_default();
        let host = format!("127.0.0.1:{}", server.port);
        for (name, want) in [
            ("host", host.as_str()),
            ("origin", "https://example.org"),
            ("x-test", "one, two"),
            ("sec-websocket-protocol", "chat.v2, chat.v1"),
            ("sec-websocket-version", "13"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
        ] {
            assert_eq!(seen.get(name), Some(&Value::from(want)), "{name}");
        }
        assert_eq!(seen.get("sec-websocket-extensions"), None);
        // The server has no subprotocols.
        assert_eq!(socket.subprotocol(), None);
        let upgrade = socket
            .response_fields()
            .and_then(|fields| fields.get_str("upgrade"));
        assert_eq!(
            upgrade.map(str::to_ascii_lowercase).as_deref(),
            Some("websocket")
        );
        finish(socket).await
    });
}

fn subprotocols<R: Runtime>(side: Side) {
    let options = Options {
        subprotocols: &["chat.v1", "chat.v2"],
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        for (offers, want) in [
            (&["chat.v2", "chat.v1"][..], Some("chat.v1")),
            (&["other", "chat.v2"], Some("chat.v2")),
            (&["other"], None),
            (&[], None),
        ] {
            let dial = offers.iter().fold(ConnectOptions::default(), |dial, name| {
                dial.subprotocol(*name)
            });
            let mut socket = R::connect(&server.url("/"), dial).await?;
            assert_eq!(socket.subprotocol(), want, "{offers:?}");
            echo(&mut socket, "hello").await?;
            finish(socket).await?;
        }
        Ok(())
    });
}

fn reject<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        match R::connect(&server.url("/reject"), ConnectOptions::default()).await {
            Err(Error::Refused(response)) => {
                assert_eq!(response.status, 403);
                assert_eq!(response.fields.get_str("x-why"), Some("test"));
                assert_eq!(String::from_utf8_lossy(&response.body), "no entry");
                assert_eq!(response.location(), None);
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    });
}

fn redirect<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        match R::connect(&server.url("/redirect"), ConnectOptions::default()).await {
            Err(Error::Refused(response)) => {
                assert_eq!(response.status, 302);
                assert_eq!(response.location(), Some("/elsewhere"));
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    });
}

fn connecting_to_a_closed_port_fails<R: Runtime>() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    R::run(async {
        let refused = R::connect(
            &format!("ws://127.0.0.1:{port}/"),
            ConnectOptions::default(),
        )
        .await;
        match refused {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            other => panic!("{other:?}"),
        }
        let unknown = R::connect("ws://no-such-host.invalid/", ConnectOptions::default()).await;
        assert!(matches!(unknown, Err(Error::Io(_))), "{unknown:?}");
        Ok(())
    });
}

fn misuse<R: Runtime>() {
    R::run(async {
        let bad = R::connect("ftp://127.0.0.1/", ConnectOptions::default()).await;
        assert!(matches!(bad, Err(Error::BadUrl { .. })), "{bad:?}");
        Ok(())
    });
}
