//! Clients over real sockets, on both runtimes: through real proxies, along redirects, and back after their server was away.
//!
//! Each scenario is written once and run on both runtimes. Children and threads end with their test, also when it panics;
//! nothing waits for more than [`support::LIMIT`]. The proxies are installed by `interop/setup.sh`.

use crate::support;

use crate::support::proxies;

use core::time::Duration;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use sansws_async::{
    Client, ClientState, ConnectOptions, Connector, Error, Result, Stop, Transport, WebSocket,
};
use sansws_core::config::{Config, Timeouts};
use sansws_core::dial::{Backoff, ReconnectOptions};
use sansws_core::error::SendError;
use sansws_core::handshake::RedirectError;
use sansws_core::message::Message;
use sansws_core::proxy::{SocksReply, TunnelError};
use serde_json::Value;
use smol::future::or;

use crate::support::certs::Certs;
use crate::support::data::{noise, text};
use crate::support::one_shot::OneShot;
use crate::support::ours::OurServer;
use crate::support::runtime::{Runtime, Setup};
use proxies::{Kind, Proxy, free_port};

support::every_runtime!(
    through_a_proxy,
    through_a_proxy_with_a_password,
    tls_through_a_proxy,
    a_proxy_that_leads_nowhere,
    a_proxy_that_says_nothing,
    a_dial_that_is_dropped_is_gone,
    redirects_between_servers,
    redirects_that_are_not_followed,
    credentials_reach_the_server,
    a_client_survives_a_restart_and_sends_what_was_queued,
    a_client_survives_its_proxy,
    a_client_stops_when_it_is_told_to,
    a_client_stops_before_a_certificate_that_is_not_trusted,
    a_client_on_its_own_task,
);

fn server<R: Runtime>() -> OurServer {
    OurServer::start::<R>(Setup::default())
}

async fn echo<T: Transport>(socket: &mut WebSocket<T>, message: impl Into<Message>) -> Result {
    let message = message.into();
    socket.send(message.clone()).await?;
    assert_eq!(socket.receive().await?, Some(message));
    Ok(())
}

async fn finish<T: Transport>(mut socket: WebSocket<T>) -> Result {
    let closed = socket.close(1000, "").await?;
    assert!(closed.is_some_and(|closed| closed.clean));
    Ok(())
}

const KINDS: [Kind; 2] = [Kind::Http, Kind::Socks5];

fn through_a_proxy<R: Runtime>() {
    for kind in KINDS {
        let (server, proxy) = (server::<R>(), Proxy::start(kind, None));
        R::run(async {
            for host in ["127.0.0.1", "localhost"] {
                let url = format!("ws://{host}:{}/", server.port);
                let mut socket = R::connect(&url, proxy.dial(None)).await?;
                for size in [0, 126, 65_536, 1 << 20] {
                    echo(&mut socket, text(size)).await?;
                    echo(&mut socket, noise(size)).await?;
                }
                finish(socket).await?;
            }
            // Credentials that nobody asks for do no harm.
            let socket = R::connect(&server.url("/"), proxy.dial(Some(("me", "pw")))).await?;
            finish(socket).await
        });
        assert!(proxy.led_to(server.port));
        server.stop();
    }
}

fn through_a_proxy_with_a_password<R: Runtime>() {
    let login = Some(("me", "s3cret-42"));
    for kind in KINDS {
        let (server, proxy) = (server::<R>(), Proxy::start(kind, login));
        R::run(async {
            let right = Some(("me", "s3cret%2D42"));
            let mut socket = R::connect(&server.url("/"), proxy.dial(right)).await?;
            echo(&mut socket, "with a password").await?;
            finish(socket).await?;
            for wrong in [None, Some(("me", "guess")), Some(("you", "s3cret%2D42"))] {
                let refused = R::connect(&server.url("/"), proxy.dial(wrong)).await;
                let Err(Error::Proxy(error)) = refused else {
                    panic!("{kind:?} {wrong:?}: {refused:?}");
                };
                let want = match (kind, wrong) {
                    (Kind::Http, None) => TunnelError::Refused(407),
                    // tinyproxy says so, where 407 would be the word.
                    (Kind::Http, Some(_)) => TunnelError::Refused(401),
                    (Kind::Socks5, None) => TunnelError::NoMethod,
                    (Kind::Socks5, Some(_)) => TunnelError::Unauthorized,
                };
                assert_eq!(error, want, "{kind:?} {wrong:?}");
            }
            Ok(())
        });
        server.stop();
    }
}

fn tls_through_a_proxy<R: Runtime>() {
    let certs = Certs::new();
    for kind in KINDS {
        let proxy = Proxy::start(kind, None);
        let server = OurServer::start::<R>(Setup {
            tls: Some(R::server_tls(certs.identity("server"), None).unwrap()),
            ..Setup::default()
        });
        R::run(async {
            for host in ["localhost", "127.0.0.1"] {
                let url = format!("wss://{host}:{}/", server.port);
                let tls = R::client_tls(certs.roots(), None)?;
                let mut socket = R::connect(&url, proxy.dial(None).tls(tls)).await?;
                for size in [0, 126, 65_536, 1 << 20] {
                    echo(&mut socket, noise(size)).await?;
                }
                finish(socket).await?;
                // The certificate is the server's, whoever stands between.
                let tls = R::client_tls(certs.strange_roots(), None)?;
                let strange = R::connect(&url, proxy.dial(None).tls(tls)).await;
                assert!(matches!(strange, Err(Error::Io(_))), "{strange:?}");
            }
            Ok(())
        });
        assert!(proxy.led_to(server.port));
        server.stop();
    }
}

fn a_proxy_that_leads_nowhere<R: Runtime>() {
    let url = format!("ws://127.0.0.1:{}/", free_port());
    for kind in KINDS {
        let proxy = Proxy::start(kind, None);
        R::run(async {
            match (kind, R::connect(&url, proxy.dial(None)).await) {
                (Kind::Http, Err(Error::Proxy(TunnelError::Refused(500..=599)))) => {}
                (
                    Kind::Socks5,
                    Err(Error::Proxy(TunnelError::Failed(SocksReply::ConnectionRefused))),
                ) => {}
                (kind, other) => panic!("{kind:?}: {other:?}"),
            }
            Ok(())
        });
    }
    R::run(async {
        let nobody = format!("http://127.0.0.1:{}", free_port()).parse()?;
        let refused = R::connect(&url, ConnectOptions::default().proxy(nobody)).await;
        assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
        Ok(())
    });
}

/// A proxy that reads all and answers nothing.
fn silent() -> OneShot {
    OneShot::start(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert!(all.starts_with(b"CONNECT a.example:80 HTTP/1.1\r\n"));
    })
}

fn a_proxy_that_says_nothing<R: Runtime>() {
    let proxy = silent();
    R::run(async {
        let config = Config {
            timeouts: Timeouts {
                connect: Some(Duration::from_millis(300)),
                ..Timeouts::default()
            },
            ..Config::default()
        };
        let dial = ConnectOptions::default().config(config);
        let dial = dial.proxy(format!("http://127.0.0.1:{}", proxy.port).parse()?);
        let late = R::connect("ws://a.example/", dial).await;
        assert!(matches!(late, Err(Error::ConnectTimeout(_))), "{late:?}");
        Ok(())
    });
    // The name was left to the proxy, and the connection to it has ended.
    proxy.finish();
}

fn a_dial_that_is_dropped_is_gone<R: Runtime>() {
    let proxy = silent();
    R::run(async {
        let dial =
            ConnectOptions::default().proxy(format!("http://127.0.0.1:{}", proxy.port).parse()?);
        let dialing = async {
            let dialled = R::connect("ws://a.example/", dial).await;
            panic!("{dialled:?}");
        };
        or(dialing, R::sleep(Duration::from_millis(300))).await;
        Ok(())
    });
    proxy.finish();
}

/// The request to the server at the end of the redirects.
async fn told<R: Runtime>(url: &str, dial: ConnectOptions) -> Result<Value> {
    let mut socket = R::connect(url, dial).await?;
    let headers = socket.receive_json().await?.unwrap();
    finish(socket).await?;
    Ok(headers)
}

fn redirects_between_servers<R: Runtime>() {
    let certs = Certs::new();
    let (one, two) = (server::<R>(), server::<R>());
    let secure = OurServer::start::<R>(Setup {
        tls: Some(R::server_tls(certs.identity("server"), None).unwrap()),
        ..Setup::default()
    });
    R::run(async {
        let dial = ConnectOptions::default()
            .redirects(3)
            .basic("me", "pw")?
            .cookie("a", "1")?
            .cookie("b", "2")?
            .header("X-Kept", "yes")
            .tls(R::client_tls(certs.roots(), None)?);
        // On the same server everything goes along.
        let headers = told::<R>(&one.url("/redirect?/headers"), dial.clone()).await?;
        assert_eq!(headers["cookie"], "a=1; b=2");
        assert_eq!(headers["authorization"], "Basic bWU6cHc=");
        assert_eq!(headers["x-kept"], "yes");
        assert_eq!(headers["host"], format!("127.0.0.1:{}", one.port));
        // On another one the credentials do not, and there and back does not bring them back.
        let there = format!("http://127.0.0.1:{}/headers", two.port);
        let back = format!(
            "http://127.0.0.1:{}/redirect?{}",
            two.port,
            one.url("/headers")
        );
        let up = format!("https://localhost:{}/headers", secure.port);
        for location in [there, back, up] {
            let url = one.url(&format!("/redirect?{location}"));
            let headers = told::<R>(&url, dial.clone()).await?;
            assert_eq!(headers.get("cookie"), None, "{location}");
            assert_eq!(headers.get("authorization"), None, "{location}");
            assert_eq!(headers["x-kept"], "yes", "{location}");
        }
        Ok(())
    });
    for server in [one, two, secure] {
        server.stop();
    }
}

fn redirects_that_are_not_followed<R: Runtime>() {
    let certs = Certs::new();
    let plain = server::<R>();
    let secure = OurServer::start::<R>(Setup {
        tls: Some(R::server_tls(certs.identity("server"), None).unwrap()),
        ..Setup::default()
    });
    R::run(async {
        let refused = R::connect(&plain.url("/redirect"), ConnectOptions::default()).await;
        match refused {
            Err(Error::Refused(response)) => assert_eq!(response.location(), Some("/elsewhere")),
            other => panic!("{other:?}"),
        }
        // The query has no end to it: a server that redirects to itself.
        let around = plain.url("/redirect?/redirect");
        let dial = ConnectOptions::default().redirects(1);
        let looped = R::connect(&around, dial).await;
        assert!(
            matches!(looped, Err(Error::Redirect(RedirectError::TooMany))),
            "{looped:?}"
        );
        let down = format!(
            "wss://localhost:{}/redirect?{}",
            secure.port,
            plain.url("/").replace("ws:", "http:")
        );
        let dial = ConnectOptions::default()
            .redirects(5)
            .tls(R::client_tls(certs.roots(), None)?);
        let downgraded = R::connect(&down, dial).await;
        assert!(
            matches!(downgraded, Err(Error::Redirect(RedirectError::Downgrade))),
            "{downgraded:?}"
        );
        Ok(())
    });
    plain.stop();
    secure.stop();
}

fn credentials_reach_the_server<R: Runtime>() {
    let server = server::<R>();
    R::run(async {
        let dial = ConnectOptions::default()
            .bearer("abc.def")?
            .cookie("session", "1")?;
        let headers = told::<R>(&server.url("/headers"), dial).await?;
        assert_eq!(headers["authorization"], "Bearer abc.def");
        assert_eq!(headers["cookie"], "session=1");
        Ok(())
    });
    server.stop();
}

/// Short waits, so that a test is quick.
fn soon() -> ReconnectOptions {
    ReconnectOptions {
        backoff: Backoff {
            base: Duration::from_millis(20),
            max: Duration::from_millis(100),
        },
        ..ReconnectOptions::default()
    }
}

fn client<R: Runtime>(port: u16, dial: ConnectOptions) -> Client<R::Connector> {
    let url = format!("ws://127.0.0.1:{port}/");
    Client::new(&url, dial).unwrap().reconnect(soon())
}

async fn next<C: Connector>(client: &mut Client<C>) -> Result<Option<String>, Error> {
    client.receive_text().await
}

/// Polls until the client has seen the end of its connection.
async fn offline<R: Runtime>(client: &mut Client<R::Connector>) {
    while matches!(client.state(), ClientState::Open) {
        let pause = async {
            R::sleep(Duration::from_millis(20)).await;
            Ok(None)
        };
        let got = or(client.receive(), pause).await;
        assert!(matches!(got, Ok(None)), "{got:?}");
    }
}

fn a_client_survives_a_restart_and_sends_what_was_queued<R: Runtime>() {
    let first = server::<R>();
    let port = first.port;
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&states);
    let mut client = client::<R>(port, ConnectOptions::default())
        .on_open(
            |mut socket: WebSocket<R::Tcp>| async move { Ok(socket.send_text("subscribe").await?) },
        )
        .on_change(move |state| {
            seen.lock().unwrap().push(match state {
                ClientState::Connecting => 'c',
                ClientState::Open => 'o',
                ClientState::Waiting { .. } => 'w',
                _ => 's',
            });
        })
        .queue(3, 100);
    let second = R::run(async {
        client.send_text("queued before it was open").await?;
        assert_eq!(next(&mut client).await?.as_deref(), Some("subscribe"));
        assert_eq!(
            next(&mut client).await?.as_deref(),
            Some("queued before it was open")
        );
        // The server shuts down while we answer its Close.
        let stopping = thread::spawn(|| first.stop());
        offline::<R>(&mut client).await;
        stopping.join().unwrap();
        for i in 0..3 {
            client.send_text(format!("while away {i}")).await?;
        }
        let full = client.send_text("one too many").await;
        assert!(
            matches!(full, Err(Error::NotSent(SendError::QueueFull))),
            "{full:?}"
        );
        // Some attempts fail.
        let nothing = or(next(&mut client), async {
            R::sleep(Duration::from_millis(300)).await;
            Ok(None)
        });
        assert_eq!(nothing.await?, None);
        let second = OurServer::start::<R>(Setup {
            port,
            ..Setup::default()
        });
        for want in ["subscribe", "while away 0", "while away 1", "while away 2"] {
            assert_eq!(next(&mut client).await?.as_deref(), Some(want));
        }
        client.send_json(&[1, 2]).await?;
        assert_eq!(client.receive_json().await?, Some([1, 2]));
        let closed = client.close(1000, "").await?;
        assert!(closed.is_some_and(|closed| closed.clean));
        assert_eq!(client.receive().await?, None);
        Ok(second)
    });
    let states: String = states.lock().unwrap().iter().collect();
    assert!(
        states.starts_with("cowcw") && states.ends_with("wcos"),
        "{states}"
    );
    second.stop();
}

fn a_client_survives_its_proxy<R: Runtime>() {
    for kind in KINDS {
        let (server, proxy) = (server::<R>(), Proxy::start(kind, None));
        let port = proxy.port;
        let mut client = client::<R>(server.port, proxy.dial(None));
        let proxy = R::run(async {
            client.send_text("one").await?;
            assert_eq!(next(&mut client).await?.as_deref(), Some("one"));
            drop(proxy);
            offline::<R>(&mut client).await;
            client.send_text("two").await?;
            let proxy = Proxy::start_on(kind, None, port).unwrap();
            assert_eq!(next(&mut client).await?.as_deref(), Some("two"));
            client.close(1000, "").await?;
            Ok(proxy)
        });
        assert!(proxy.led_to(server.port));
        server.stop();
    }
}

fn a_client_stops_when_it_is_told_to<R: Runtime>() {
    let server = server::<R>();
    R::run(async {
        for (path, status) in [("/reject", Some(403)), ("/close/4500/no", None)] {
            let mut client =
                Client::<R::Connector>::new(server.url(path), ConnectOptions::default())?;
            assert_eq!(client.receive().await?, None);
            let ClientState::Stopped(Stop::Failed(why)) = client.state() else {
                panic!("{client:?}");
            };
            match (&**why, status) {
                (Error::Refused(response), Some(status)) => assert_eq!(response.status, status),
                (Error::Disconnect(closed), None) => assert_eq!(closed.code(), 4500),
                other => panic!("{other:?}"),
            }
        }
        let url = server.url("/close/1000/done");
        let mut client = Client::<R::Connector>::new(&url, ConnectOptions::default())?;
        assert_eq!(client.receive().await?, None);
        assert!(matches!(
            client.state(),
            ClientState::Stopped(Stop::Done(closed)) if closed.reason == "done"
        ));
        Ok(())
    });
    server.stop();
}

/// RFC 6455 section 7.4.1, 1015: "the server certificate can't be verified". Asking again does not help.
fn a_client_stops_before_a_certificate_that_is_not_trusted<R: Runtime>() {
    let certs = Certs::new();
    let server = OurServer::start::<R>(Setup {
        tls: Some(R::server_tls(certs.identity("server"), None).unwrap()),
        ..Setup::default()
    });
    R::run(async {
        let url = format!("wss://localhost:{}/", server.port);
        let dial = ConnectOptions::default().tls(R::client_tls(certs.strange_roots(), None)?);
        let mut client = Client::<R::Connector>::new(&url, dial)?.reconnect(soon());
        assert_eq!(client.receive().await?, None);
        let ClientState::Stopped(Stop::Failed(why)) = client.state() else {
            panic!("{client:?}");
        };
        assert!(matches!(**why, Error::Io(_)), "{why:?}");
        Ok(())
    });
    server.stop();
}

fn a_client_on_its_own_task<R: Runtime>() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let server = server::<R>();
    let tokio = sansws_tokio::Client::new(server.url("/"), ConnectOptions::default());
    let smol = sansws_smol::Client::new(server.url("/"), ConnectOptions::default());
    drop(send(async move { tokio.unwrap().receive().await }));
    drop(send(async move { smol.unwrap().receive().await }));
    server.stop();
}
