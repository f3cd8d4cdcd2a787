//! Foreign clients against our server on both runtimes.

use sansws_async::ServerOptions;
use sansws_core::config::{Config, Deflate};

use crate::support::certs::Certs;
use crate::support::foreign::{Language, content, run_client};
use crate::support::ours::OurServer;
use crate::support::runtime::{Runtime, Setup};

crate::support::each_client!(
    all,
    all_on_local_tasks,
    subprotocol,
    tls,
    client_certificates,
    deflate_with_takeover,
    deflate_small_window,
    deflate_shared,
    deflate_off,
);

fn start<R: Runtime>(deflate: Option<Deflate>) -> OurServer {
    OurServer::start::<R>(Setup {
        options: options(deflate),
        ..Setup::default()
    })
}

fn options(deflate: Option<Deflate>) -> ServerOptions {
    ServerOptions::default().config(Config {
        deflate,
        ..Config::default()
    })
}

/// Every scenario of the clients, those of permessage-deflate with a server that refuses takeover.
fn all<R: Runtime>(language: Language) {
    let server = start::<R>(Some(Deflate::default()));
    content(language, &server.url("/"), "all", &[]);
    server.stop();
}

fn all_on_local_tasks<R: Runtime>(language: Language) {
    let server = OurServer::start::<R>(Setup {
        options: options(Some(Deflate::default())),
        local: true,
        ..Setup::default()
    });
    for scenario in ["text", "fragments", "ping", "close", "many", "deflate"] {
        content(language, &server.url("/"), scenario, &[]);
    }
    server.stop();
}

/// The client offers `chat.v2` before `chat.v1`; the server's preference decides.
fn subprotocol<R: Runtime>(language: Language) {
    for (ours, want) in [
        (&["chat.v1", "chat.v2"][..], "chat.v1"),
        (&["chat.v2"], "chat.v2"),
        (&["other"], ""),
        (&[], ""),
    ] {
        let server = OurServer::start::<R>(Setup {
            subprotocols: ours.iter().map(ToString::to_string).collect(),
            ..Setup::default()
        });
        content(
            language,
            &server.url("/"),
            "subprotocol",
            &["--expect", want],
        );
        server.stop();
    }
}

fn tls<R: Runtime>(language: Language) {
    let certs = Certs::new();
    let identity = certs.identity("server");
    let server = OurServer::start::<R>(Setup {
        options: options(Some(Deflate::default())),
        tls: Some(R::server_tls(identity, None).unwrap()),
        ..Setup::default()
    });
    let url = format!("wss://localhost:{}/", server.port);
    let ca = certs.file("ca.pem");
    for scenario in ["text", "megabyte", "close", "deflate"] {
        content(language, &url, scenario, &["--ca", &ca]);
    }
    let (fine, text) = run_client(language, &url, "text", &[]);
    assert!(!fine, "a client that does not know the CA went on: {text}");
    server.stop();
}

fn client_certificates<R: Runtime>(language: Language) {
    let certs = Certs::new();
    let identity = certs.identity("server");
    let tls = R::server_tls(identity, Some(certs.roots())).unwrap();
    let server = OurServer::start::<R>(Setup {
        tls: Some(tls),
        ..Setup::default()
    });
    let url = format!("wss://localhost:{}/", server.port);
    let (ca, pem, key) = (
        certs.file("ca.pem"),
        certs.file("client.pem"),
        certs.file("client.key"),
    );
    let (fine, text) = run_client(language, &url, "text", &["--ca", &ca]);
    assert!(!fine, "a client without a certificate was let in: {text}");
    content(
        language,
        &url,
        "text",
        &["--ca", &ca, "--client-cert", &pem, &key],
    );
    server.stop();
}

fn deflate_with_takeover<R: Runtime>(language: Language) {
    let server = start::<R>(Some(Deflate {
        own_takeover: true,
        peer_takeover: true,
        ..Deflate::default()
    }));
    for scenario in ["deflate", "deflate-no-takeover", "deflate-window"] {
        content(language, &server.url("/"), scenario, &[]);
    }
    server.stop();
}

fn deflate_small_window<R: Runtime>(language: Language) {
    let server = start::<R>(Some(Deflate {
        own_takeover: true,
        peer_takeover: true,
        own_window_bits: 10,
        peer_window_bits: 10,
        threshold: 0,
        ..Deflate::default()
    }));
    for scenario in ["deflate", "deflate-window"] {
        content(language, &server.url("/"), scenario, &[]);
    }
    server.stop();
}

/// Messages that were compressed once for all between messages of the connection's own, with each window of the server's,
/// with and without context takeover.
fn deflate_shared<R: Runtime>(language: Language) {
    let server = start::<R>(Some(Deflate {
        own_takeover: true,
        peer_takeover: true,
        threshold: 0,
        ..Deflate::default()
    }));
    content(language, &server.url("/shared"), "deflate-windows", &[]);
    server.stop();
}

fn deflate_off<R: Runtime>(language: Language) {
    let server = start::<R>(None);
    for scenario in ["text", "binary", "fragments"] {
        content(language, &server.url("/"), scenario, &[]);
    }
    let (fine, text) = run_client(language, &server.url("/"), "deflate", &[]);
    assert!(!fine, "a client that insists on deflate went on: {text}");
    server.stop();
}
