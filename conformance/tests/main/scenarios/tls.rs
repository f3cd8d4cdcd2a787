//! TLS of our client with each server: roots, client certificates, and what must fail.

use sansws_async::{ConnectOptions, Error};
use sansws_core::config::{Config, Deflate};
use sansws_core::handshake::Failure;

use super::messages::{echo, finish};
use crate::support::certs::Certs;
use crate::support::data::{noise, text};
use crate::support::runtime::Runtime;
use crate::support::side::{Options, Server, Side, against};

crate::support::each_server!(given_roots, wrong_roots, client_certificates, mixed_schemes);

fn given_roots<R: Runtime>(side: Side) {
    let certs = Certs::new();
    let options = Options {
        tls: Some(&certs),
        compression: crate::support::side::Compression::On,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        let tls = R::client_tls(certs.roots(), None)?;
        let local = format!("wss://localhost:{}/", server.port);
        for url in [server.url("/"), local] {
            let mut socket = R::connect(&url, ConnectOptions::default().tls(tls.clone())).await?;
            for size in [0, 126, 65_536, 1 << 20] {
                echo(&mut socket, text(size)).await?;
                echo(&mut socket, noise(size)).await?;
            }
            finish(socket).await?;
        }
        let config = Config {
            deflate: Some(Deflate::default()),
            ..Config::default()
        };
        let dial = ConnectOptions::default().config(config).tls(tls.clone());
        let mut socket = R::connect(&server.url("/"), dial).await?;
        assert!(socket.is_deflated());
        echo(&mut socket, text(300_000)).await?;
        finish(socket).await?;

        let url = server.url("/close/4001/bye");
        let mut socket = R::connect(&url, ConnectOptions::default().tls(tls.clone())).await?;
        match socket.receive().await {
            Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 4001),
            other => panic!("{other:?}"),
        }
        match R::connect(&server.url("/reject"), ConnectOptions::default().tls(tls)).await {
            Err(Error::Refused(response)) => assert_eq!(response.status, 403),
            other => panic!("{other:?}"),
        }
        Ok(())
    });
}

fn wrong_roots<R: Runtime>(side: Side) {
    let certs = Certs::new();
    let options = Options {
        tls: Some(&certs),
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        let strange = R::client_tls(certs.strange_roots(), None)?;
        // Without settings, the roots of the system are trusted: they do not know this CA either.
        for dial in [
            ConnectOptions::default().tls(strange),
            ConnectOptions::default(),
        ] {
            let refused = R::connect(&server.url("/"), dial).await;
            assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
        }
        // The server goes on.
        let tls = R::client_tls(certs.roots(), None)?;
        let socket = R::connect(&server.url("/"), ConnectOptions::default().tls(tls)).await?;
        finish(socket).await
    });
}

fn client_certificates<R: Runtime>(side: Side) {
    let certs = Certs::new();
    let options = Options {
        tls: Some(&certs),
        client_ca: true,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        let tls = R::client_tls(certs.roots(), Some(certs.identity("client")))?;
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default().tls(tls)).await?;
        echo(&mut socket, "with a certificate").await?;
        finish(socket).await?;

        // In TLS 1.3 the client learns it only after its own handshake: by an alert, or by the end.
        let tls = R::client_tls(certs.roots(), None)?;
        let refused = R::connect(&server.url("/"), ConnectOptions::default().tls(tls)).await;
        assert!(
            matches!(
                refused,
                Err(Error::Io(_) | Error::Handshake(Failure::EndOfInput))
            ),
            "{refused:?}"
        );
        Ok(())
    });
}

fn mixed_schemes<R: Runtime>(side: Side) {
    let certs = Certs::new();
    let options = Options {
        tls: Some(&certs),
        ..Options::default()
    };
    against::<R>(side, &options, async |server: &Server| {
        let plain = R::connect(
            &server.url("/").replace("wss:", "ws:"),
            ConnectOptions::default(),
        )
        .await;
        match (side, plain) {
            (Side::Tokio | Side::Smol, Err(Error::Handshake(Failure::Tls))) => {}
            (Side::Foreign(_), Err(Error::Io(_) | Error::Handshake(_) | Error::Refused(_))) => {}
            (_, other) => panic!("{other:?}"),
        }
        Ok(())
    });
    against::<R>(side, &Options::default(), async |server| {
        let tls = R::client_tls(certs.roots(), None)?;
        let url = server.url("/").replace("ws:", "wss:");
        let secure = R::connect(&url, ConnectOptions::default().tls(tls)).await;
        match (side, secure) {
            (Side::Tokio | Side::Smol, Err(Error::Io(error))) => {
                assert!(error.to_string().ends_with("with ws://"), "{error}");
            }
            (Side::Foreign(_), Err(Error::Io(_))) => {}
            (_, other) => panic!("{other:?}"),
        }
        Ok(())
    });
}
