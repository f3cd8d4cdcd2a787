//! The suite over TLS: as a client of a server with a certificate of its own authority, and as the server.

use crate::support::certs;
use crate::support::program::run;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use certs::Certs;
use sansws_async::tls;
use sansws_conformance::subjects::config;
use sansws_conformance::{Suite, Verdict};
use sansws_tokio::{ConnectOptions, Listener, Server, ServerHandle, ServerOptions, Upgrade};

/// Cases of all kinds that are quick: whole and chopped, closing, deflate, the handshake, the end of TCP.
const ONLY: [&str; 6] = ["1.*", "5.3", "6.4.*", "7.*", "25.8.*", "26.*"];

fn on_tokio<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.enable_all().build().unwrap().block_on(work)
}

/// Ends the server also when an assertion fails.
struct CloseOnDrop(ServerHandle);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs an echo server with this certificate while `work` does, which gets its port.
fn with_server(identity: tls::Identity, work: impl FnOnce(u16)) {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            on_tokio(async move {
                let tls = tls::server(identity, None).unwrap();
                let listener = Listener::bind("127.0.0.1:0").await.unwrap().tls(tls);
                let mut server =
                    Server::new(listener).options(ServerOptions::default().config(config()));
                sender
                    .send((server.local_addr().unwrap(), server.handle()))
                    .unwrap();
                let echo = async |upgrade: Upgrade| {
                    let mut socket = upgrade.accept().await?;
                    while let Some(message) = socket.receive().await? {
                        socket.send(message).await?;
                    }
                    Ok(())
                };
                server.serve(echo).await.unwrap();
            });
        });
        let (address, handle) = receiver.recv().unwrap();
        let _close = CloseOnDrop(handle);
        work(address.port());
    });
}

#[test]
fn a_server_is_tested_over_tls() {
    let certs = Certs::new();
    with_server(certs.identity("server"), |port| {
        let url = format!("wss://localhost:{port}/");
        let suite = ONLY
            .iter()
            .fold(Suite::new(), |suite, glob| suite.only(*glob));
        let trusting = suite.roots(certs.file("ca.pem"));
        let results = trusting.test("tls", &url).unwrap();
        assert!(results.worst() <= Verdict::Informational, "{results}");
        assert!(results.entries.len() > 80);
        // Another authority is not trusted, and that is said before any case is run.
        let other = Suite::new().only("1.1.1").roots(certs.file("stranger.pem"));
        let error = other.test("tls", &url).unwrap_err();
        assert!(
            error.to_string().contains("invalid peer certificate"),
            "{error}"
        );
    });
}

/// A certificate as `openssl req -x509 -subj /CN=anything` makes it: an authority, signed by itself, of no host.
#[test]
fn a_self_signed_certificate_can_be_given_or_ignored() {
    let certs = Certs::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "anything");
    let own = params.self_signed(&key).unwrap().pem();
    let folder = certs::Folder::new();
    let [own_file, key_file] = ["own.pem", "own.key"].map(|name| folder.path(name));
    std::fs::write(&own_file, &own).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let identity = tls::Identity::from_pem(own.as_bytes(), key.serialize_pem().as_bytes());
    with_server(identity.unwrap(), |port| {
        let url = format!("wss://127.0.0.1:{port}/");
        let test = |options: &[&str]| run(&[&["test", &url, "--only", "1.1.*"], options].concat());
        let (code, _, error) = test(&[]);
        assert_eq!(code, Some(2));
        assert!(error.contains("invalid peer certificate"), "{error}");
        assert!(error.contains("`--ca` trusts it"), "{error}");
        let (code, out, error) = test(&["--ca", own_file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{out}{error}");
        let (code, out, error) = test(&["--insecure"]);
        assert_eq!(code, Some(0), "{out}{error}");
        // Another one is not this one.
        let (code, _, error) = test(&["--ca", &certs.file("stranger.pem")]);
        assert_eq!(code, Some(2), "{error}");
        let (code, _, error) = test(&["--ca", key_file.to_str().unwrap()]);
        assert_eq!(code, Some(2));
        assert!(error.contains("no certificate in it"), "{error}");
        // TLS where none was asked for is named.
        let (code, _, error) = run(&["test", &format!("ws://127.0.0.1:{port}/")]);
        assert_eq!(code, Some(2));
        assert!(
            error.contains("does wss:// in place of ws:// work?"),
            "{error}"
        );
    });
}

#[test]
fn a_client_is_tested_over_tls() {
    let certs = Certs::new();
    let mut server = Command::new(env!("CARGO_BIN_EXE_wsconform"))
        .args(["serve", "127.0.0.1:0", "--once", "--only", &ONLY.join(",")])
        .args([
            "--tls",
            &certs.file("server.pem"),
            &certs.file("server.key"),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let url = lines
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        .unwrap();
    assert!(url.starts_with("wss://"), "{url}");
    let roots = tls::client(certs.roots(), None).unwrap();
    let dial = || {
        ConnectOptions::default()
            .config(config())
            .tls(Arc::clone(&roots))
    };
    on_tokio(async {
        let mut asking = sansws_tokio::connect(&format!("{url}/getCaseCount"), dial())
            .await
            .unwrap();
        let count: u32 = asking
            .receive_text()
            .await
            .unwrap()
            .unwrap()
            .parse()
            .unwrap();
        drop(asking.close(1000, "").await);
        for case in 1..=count {
            let Ok(mut socket) =
                sansws_tokio::connect(&format!("{url}/runCase?case={case}&agent=tls"), dial())
                    .await
            else {
                continue;
            };
            while let Ok(Some(message)) = socket.receive().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            drop(socket.close(1000, "").await);
        }
        let mut asking = sansws_tokio::connect(&format!("{url}/updateReports?agent=tls"), dial())
            .await
            .unwrap();
        drop(asking.close(1000, "").await);
    });
    let rest: Vec<String> = lines.collect();
    assert_eq!(server.wait().unwrap().code(), Some(0), "{rest:#?}");
}
