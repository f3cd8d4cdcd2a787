//! Clients that reconnect, to a server that fails at each step: they tell the same states, receive the same messages, and send the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_async::{ClientState, ConnectOptions, Stop};
use sansws_core::config::{Config, Timeouts};
use sansws_core::dial::{Backoff, ReconnectOptions};

use super::clients::Host;
use super::{Adapter, on_each};
use crate::support::certs::Certs;

type Play = fn(&mut Host);

/// The report of a client.
type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, text: impl Into<String>) {
    log.lock().unwrap().push(text.into());
}

fn shown(state: &ClientState) -> String {
    match state {
        ClientState::Waiting { why, .. } => format!("waits: {why:?}"),
        ClientState::Stopped(Stop::Failed(why)) => format!("failed: {why:?}"),
        ClientState::Stopped(stop) => format!("{stop:?}"),
        state => format!("{state:?}"),
    }
}

/// Notes a state. Whether a connection that ends at once was open, a hook that writes may find out or not.
fn told(log: &Log) -> impl FnMut(&ClientState) + Send + 'static {
    let log = Arc::clone(log);
    move |state| {
        if !matches!(state, ClientState::Open) {
            note(&log, shown(state));
        }
    }
}

fn soon() -> ReconnectOptions {
    ReconnectOptions {
        backoff: Backoff {
            base: Duration::from_millis(2),
            max: Duration::from_millis(5),
        },
        most_retry_after: Duration::from_millis(5),
        attempts: Some(30),
        ..ReconnectOptions::default()
    }
}

/// Connects, sends, and receives until it stops.
fn run(adapter: Adapter, url: &str, options: ConnectOptions) -> Vec<String> {
    let log = Log::default();
    macro_rules! on_runtime {
        ($ws:ident) => {
            async {
                let mut client = $ws::Client::new(url, options)
                    .unwrap()
                    .reconnect(soon())
                    .on_open(async |mut socket| Ok(socket.send_text("hook").await?))
                    .on_change(told(&log));
                client.send_text("first").await.unwrap();
                client.send_text("second").await.unwrap();
                while let Some(message) = client.receive().await.unwrap() {
                    note(&log, format!("{message:?}"));
                }
                assert!(client.send_text("late").await.is_err());
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let mut client = sansws_std::Client::new(url, options)
                .unwrap()
                .reconnect(soon())
                .on_open(|socket| Ok(socket.send_text("hook")?))
                .on_change(told(&log));
            client.send_text("first").unwrap();
            client.send_text("second").unwrap();
            while let Some(message) = client.receive().unwrap() {
                note(&log, format!("{message:?}"));
            }
            assert!(client.send_text("late").is_err());
        }
        Adapter::Mio => on_mio(url, options, &log),
    }
    std::mem::take(&mut *log.lock().unwrap())
}

/// Sends the messages that the others queue on its first connection.
fn on_mio(url: &str, options: ConnectOptions, log: &Log) {
    use sansws_mio::{Client, Dialer, Endpoint, EventLoop, Incoming, Result, Socket};

    struct Noting(Log);
    impl Endpoint for Noting {
        type Data = Vec<&'static str>;
        fn open(&mut self, socket: &mut Socket<'_, Self::Data>) -> Result {
            let _ = socket.send("hook");
            for text in std::mem::take(socket.data()) {
                let _ = socket.send(text);
            }
            Ok(())
        }
        fn message(&mut self, _: &mut Socket<'_, Self::Data>, message: Incoming<'_>) -> Result {
            note(&self.0, format!("{:?}", message.into_message()));
            Ok(())
        }
    }
    let mut event_loop = EventLoop::new().unwrap();
    let (has_stopped, mut tell) = (Arc::new(Mutex::new(false)), told(log));
    let stopped = Arc::clone(&has_stopped);
    let client = Client::new(url, options).unwrap().reconnect(soon());
    let client = client.on_change(move |state| {
        tell(state);
        *stopped.lock().unwrap() = matches!(state, ClientState::Stopped(_));
    });
    let dialer = Dialer::new(Noting(Arc::clone(log)));
    let data = vec!["first", "second"];
    client.start(event_loop.context(), &dialer, data).unwrap();
    while !*has_stopped.lock().unwrap() {
        event_loop.turn(Some(Duration::from_secs(1))).unwrap();
    }
}

fn opens(host: &mut Host, then: &[u8]) {
    host.head();
    host.say(host.yes(""));
    host.say(then);
}

/// One connection each: what the server does to it.
const PLAYS: &[Play] = &[
    |host| {
        host.shut();
        host.until_end();
    },
    |host| {
        host.head();
        host.shut();
        host.until_end();
    },
    |host| {
        host.head();
        host.say("HTTP/1.1 503 Busy\r\nRetry-After: 100000\r\n\r\n");
        host.shut();
        host.until_end();
    },
    |host| {
        host.head();
        host.say("HTTP/1.1 429 Slow\r\nContent-Length: 4\r\n\r\nsl");
        host.shut();
        host.until_end();
    },
    |host| {
        host.head();
        host.say("HTTP/1.1 101 Swi");
        host.shut();
        host.until_end();
    },
    |host| {
        opens(host, b"\x81\x03one");
        host.shut();
        host.until_end();
    },
    |host| {
        opens(host, b"\x81\x03two\x01\x03thr");
        host.shut();
        host.until_end();
    },
    |host| {
        opens(host, b"\x81\x05three\x88\x02\x03\xf4");
        host.shut();
        host.until_end();
    },
    |host| {
        opens(host, b"\x88\x02\x03\xe9");
        host.shut();
        host.until_end();
    },
    |host| {
        opens(host, b"\x88\x00");
        host.shut();
        host.until_end();
    },
    |host| {
        opens(host, b"\x82\x04four\x88\x04\x0f\xa1so");
        host.shut();
        host.until_end();
    },
];

/// The error that ends it for good.
const LAST: &[(&str, Play)] = &[
    ("done", |host| {
        opens(host, b"\x81\x03end\x88\x02\x03\xe8");
        host.shut();
        host.until_end();
    }),
    ("unauthorized", |host| {
        host.head();
        host.say("HTTP/1.1 401 No\r\n\r\n");
        host.shut();
        host.until_end();
    }),
    ("a violation", |host| {
        opens(host, b"\x81\x03end\x83\x00");
        host.until_end();
    }),
    ("a policy", |host| {
        opens(host, b"\x81\x03end\x88\x02\x03\xf0");
        host.shut();
        host.until_end();
    }),
    ("a redirect", |host| {
        host.head();
        host.say("HTTP/1.1 302 Go\r\nLocation: /there\r\n\r\n");
        host.shut();
        host.until_end();
    }),
];

#[test]
fn each_client_comes_back_alike() {
    let certs = Certs::new();
    let tls = sansws_async::tls::server(certs.identity("server"), None).unwrap();
    for secure in [false, true] {
        for (name, last) in LAST {
            let logs = Adapter::ALL.map(|adapter| {
                let count = Mutex::new(0);
                let (address, thread) = Host::start(tls.clone(), PLAYS.len() + 1, move |host| {
                    if secure {
                        host.secure();
                    }
                    let mut count = count.lock().unwrap();
                    let play = PLAYS.get(*count).unwrap_or(last);
                    *count += 1;
                    play(host);
                });
                let client = sansws_async::tls::client(certs.roots(), None).unwrap();
                let options = ConnectOptions::default()
                    .tls(client)
                    .resolve("localhost", [address]);
                let scheme = if secure { "wss" } else { "ws" };
                let url = format!("{scheme}://localhost:{}/", address.port());
                let log = run(adapter, &url, options);
                thread.join().unwrap();
                log
            });
            for log in &logs[1..] {
                assert_eq!(&logs[0], log, "{name} {secure}");
            }
        }
    }
}

/// The first two servers of the name hang: their systems accept TCP, and nothing answers.
#[test]
fn each_client_tries_the_next_address_when_a_server_hangs() {
    let tls = sansws_async::tls::server(Certs::new().identity("server"), None).unwrap();
    let hanging = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let hanging = hanging.each_ref().map(|one| one.local_addr().unwrap());
    let logs = on_each(|adapter| {
        let (address, thread) = Host::start(tls.clone(), 1, |host| {
            opens(host, b"\x81\x03end\x88\x02\x03\xe8");
            host.shut();
            host.until_end();
        });
        // Long enough for the server that answers, on a slow machine too.
        let timeouts = Timeouts {
            handshake: Some(Duration::from_secs(3)),
            ..Timeouts::default()
        };
        let config = Config {
            timeouts,
            ..Config::default()
        };
        let options = ConnectOptions::default()
            .config(config)
            .resolve("host.test", [hanging[0], hanging[1], address]);
        let log = run(adapter, "ws://host.test/", options);
        assert!(log.iter().any(|line| line.contains("end")), "{log:?}");
        thread.join().unwrap();
        log
    });
    let attempts = |log: &[String]| log.iter().filter(|line| *line == "Connecting").count();
    assert_eq!(attempts(&logs[0].1), 3, "{:?}", logs[0]);
    for (adapter, log) in &logs {
        assert_eq!(&logs[0].1, log, "{adapter:?}");
    }
}

/// The hook reads two messages and meets the end in between; what was queued before is not given to that connection.
#[test]
fn queued_messages_wait_when_a_hook_has_met_the_end() {
    let tls = sansws_async::tls::server(Certs::new().identity("server"), None).unwrap();
    for adapter in [Adapter::Tokio, Adapter::Smol, Adapter::Std] {
        let (sender, heard) = std::sync::mpsc::channel();
        let is_first = Mutex::new(true);
        let (address, thread) = Host::start(tls.clone(), 2, move |host| {
            if std::mem::replace(&mut *is_first.lock().unwrap(), false) {
                opens(host, b"\x81\x04ends\x81\x03two");
                host.shut();
                host.until_end();
            } else {
                opens(host, b"\x81\x03one");
                while let Some(text) = host.text() {
                    let is_last = text == "second";
                    sender.send(text).unwrap();
                    if is_last {
                        break;
                    }
                }
                host.say(b"\x88\x02\x03\xe8");
                host.shut();
                host.until_end();
            }
        });
        let url = format!("ws://127.0.0.1:{}/", address.port());
        let dial = ConnectOptions::default();
        macro_rules! hook {
            ($socket:ident, $sleep:path, $($await:tt)*) => {{
                // By sending it learns of the end behind a message that it has not received.
                while $socket.receive()$($await)*? == Some("ends".into()) {
                    while $socket.closed().is_none() {
                        $sleep(Duration::from_millis(2))$($await)*;
                        let _ = $socket.send_text("x")$($await)*;
                    }
                }
                Ok(())
            }};
        }
        macro_rules! on_runtime {
            ($ws:ident) => {
                async {
                    let mut client = $ws::Client::new(&url, dial)
                        .unwrap()
                        .reconnect(soon())
                        .on_open(async |mut socket| hook!(socket, $ws::sleep, .await));
                    client.send_text("first").await.unwrap();
                    client.send_text("second").await.unwrap();
                    while client.receive().await.unwrap().is_some() {}
                }
            };
        }
        match adapter {
            Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
            Adapter::Smol => smol::block_on(on_runtime!(sansws_smol)),
            _ => {
                let mut client = sansws_std::Client::new(&url, dial)
                    .unwrap()
                    .reconnect(soon())
                    .on_open(|socket| hook!(socket, std::thread::sleep,));
                client.send_text("first").unwrap();
                client.send_text("second").unwrap();
                while client.receive().unwrap().is_some() {}
            }
        }
        thread.join().unwrap();
        let heard: Vec<String> = heard.into_iter().filter(|text| text != "x").collect();
        assert_eq!(heard, ["first", "second"], "{adapter:?}");
    }
}
