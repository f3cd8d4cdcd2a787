//! The suite over HTTP/2, over sockets: our service in axum, and foreign servers and clients.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axum::routing::any;
use sansws_conformance::http2::heads::{connect, encode};
use sansws_conformance::http2::wire::{PREFACE, flag, frame, kind, settings};
use sansws_conformance::report::Agent;
use sansws_conformance::serve::Server;
use sansws_conformance::subjects::{config, on_tokio};
use sansws_conformance::{Suite, Verdict};
use sansws_tokio::ConnectionPolicy;
use sansws_tokio::hyper::{Upgrade, WebSocket};

use crate::support::certs::Certs;
use crate::support::foreign::{ForeignServer, Language, run_script};

/// The verdicts on each case.
fn verdicts(suite: &Suite, agent: &Agent) -> BTreeMap<String, (Verdict, String)> {
    let one = |entry: &sansws_conformance::report::Entry| {
        let id = suite.cases()[entry.case].id.clone();
        (id, (entry.outcome.worst(), entry.outcome.says.clone()))
    };
    agent.entries.iter().map(one).collect()
}

/// Runs an echo service of axum, over both versions of HTTP, while `work` does.
fn with_axum(work: impl FnOnce(&str) + Send) {
    async fn echo(upgrade: Upgrade) -> axum::response::Response {
        let policy = ConnectionPolicy::default().config(config());
        upgrade
            .policy(policy)
            .on_upgrade(async |mut socket: WebSocket| {
                while let Some(message) = socket.receive().await? {
                    socket.send(message).await?;
                }
                Ok(())
            })
    }
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let (sender, address) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            { runtime }.enable_all().build().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let router = axum::Router::new().route("/", any(echo));
                let serving = async { axum::serve(listener, router).await.unwrap() };
                let stopped = async { assert!(stopped.recv().await.is_err()) };
                smol::future::or(serving, stopped).await;
            });
        });
        work(&format!("ws://{}/", address.recv().unwrap()));
        drop(stop);
    });
}

#[test]
fn our_service_in_axum_passes_the_cases_about_http_2() {
    with_axum(|url| {
        let suite = Suite::new().only("30.*").only("32.*");
        let agent = suite.test("axum", url).unwrap();
        assert!(agent.worst() <= Verdict::Informational, "{agent}");
        assert!(agent.entries.len() > 80 && agent.notes.is_empty());
    });
}

#[test]
fn our_service_in_axum_passes_the_cases_of_rfc_6455_on_a_stream() {
    with_axum(|url| {
        let suite = Suite::new().http2().quick();
        let suite = suite.skip("9.*").skip("12.*").skip("13.*").skip("30.*");
        let agent = suite.test("axum", url).unwrap();
        assert!(agent.worst() <= Verdict::Informational, "{agent}");
        assert!(agent.entries.len() > 500, "{}", agent.entries.len());
    });
}

#[test]
fn a_server_without_http_2_is_spared_its_cases_and_told_why() {
    on_tokio::with_server(|url| {
        let suite = Suite::new().only("1.1.*").only("30.*").only("32.*");
        let agent = suite.test("plain", url).unwrap();
        assert!(agent.worst() <= Verdict::Informational, "{agent}");
        assert_eq!(agent.entries.len(), 8);
        let notes = agent.notes.join("; ");
        assert!(notes.contains("cases over HTTP/2 were left out"), "{notes}");
        assert!(notes.contains("HTTP/1.1 only"), "{notes}");
        let error = Suite::new().http2().test("plain", url).unwrap_err();
        assert!(error.to_string().contains("HTTP/1.1 only"), "{error}");
    })
    .unwrap();
}

#[test]
fn a_server_of_node_that_speaks_http_2_alone_is_tested_over_it() {
    let server = ForeignServer::start_script(Language::Node, "server_http2", &[]);
    let suite = Suite::new().only("1.*").only("30.*").only("32.*");
    let agent = suite
        .test("node", &format!("ws://127.0.0.1:{}/", server.port))
        .unwrap();
    let notes = agent.notes.join("; ");
    assert!(
        notes.contains("16 cases over HTTP/1.1 were left out"),
        "{notes}"
    );
    let verdicts = verdicts(&suite, &agent);
    for case in [
        "30.1.1", "30.2.1", "30.3.5", "30.4.1", "32.1.8", "32.2.4", "32.5.2",
    ] {
        assert_eq!(
            verdicts[case].0,
            Verdict::Ok,
            "{case}: {}",
            verdicts[case].1
        );
    }
    server.stop();
}

#[test]
fn a_server_of_hypercorn_is_tested_over_tls_by_alpn() {
    let certs = Certs::new();
    let arguments = [
        "--tls".to_owned(),
        certs.file("server.pem"),
        certs.file("server.key"),
    ];
    let server = ForeignServer::start_script(Language::Python, "server_http2", &arguments);
    let suite = Suite::new().only("1.1.*").only("30.*").only("32.1.*");
    let suite = suite.roots(certs.file("ca.pem"));
    let agent = suite
        .test("hypercorn", &format!("wss://localhost:{}/", server.port))
        .unwrap();
    let verdicts = verdicts(&suite, &agent);
    for case in ["1.1.1", "30.1.1", "30.3.1", "30.3.13"] {
        assert_eq!(
            verdicts[case].0,
            Verdict::Ok,
            "{case}: {}",
            verdicts[case].1
        );
    }
    // It takes any :protocol for a WebSocket, and does not end the stream after the closing handshake.
    assert_eq!(verdicts["30.3.5"].0, Verdict::Failed);
    assert_eq!(verdicts["32.1.1"].0, Verdict::FailedByClient);
    server.stop();
}

/// Serves the suite while `client` runs with its URL; returns what is known of the clients.
fn served(suite: &Suite, client: impl FnOnce(&str) + Send) -> Vec<Agent> {
    let server = Server::bind(suite, "127.0.0.1:0", None).unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| server.run());
        // A client that fails must not leave the server running.
        let stop = suite.stopper();
        let (done, wait) = mpsc::channel::<()>();
        scope.spawn(move || {
            let _ = wait.recv();
            stop.store(true, Ordering::Relaxed);
        });
        client(&url);
        drop(done);
    });
    server.agents()
}

#[test]
fn a_client_of_python_is_tested_over_http_2() {
    let suite = Suite::new();
    let agents = served(&suite, |url| {
        let arguments = [url.to_owned(), "h2".to_owned()];
        let limit = Duration::from_secs(120);
        run_script(Language::Python, "client_http2", &arguments, limit);
    });
    let verdicts = verdicts(&suite, &agents[0]);
    assert!(verdicts.len() > 50, "{}", verdicts.len());
    for (case, (verdict, says)) in &verdicts {
        // It ignores RST_STREAM for a stream that nobody has opened.
        let known = case == "32.6.7";
        assert!(verdict.is_good() || known, "{case}: {verdict}: {says}");
    }
    assert_eq!(verdicts["32.6.7"].0, Verdict::Failed);
}

#[test]
fn a_client_that_does_not_wait_for_the_settings_is_told() {
    let suite = Suite::new().only("31.1.*");
    let agents = served(&suite, |url| {
        let address = url.trim_start_matches("ws://");
        for case in 1..=2 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            let target = format!("/runCase?case={case}&agent=early");
            let head = encode(&connect("http", address, &target));
            let head = frame(kind::HEADERS, flag::END_HEADERS, 1, head);
            let bytes = [PREFACE.to_vec(), settings(&[]).bytes(), head.bytes()].concat();
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let verdicts = verdicts(&suite, &agents[0]);
    assert_eq!(verdicts["31.1.1"].0, Verdict::Failed);
    let says = &verdicts["31.1.1"].1;
    assert!(says.contains("before our SETTINGS"), "{says}");
    let other = &verdicts["31.1.2"].1;
    assert!(!other.contains("before our SETTINGS"), "{other}");
}
