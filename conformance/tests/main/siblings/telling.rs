//! Events of `tracing` from clients that connect once: equal on each adapter.

use std::fmt::{Debug, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sansws_async::{ConnectOptions, LossCause};
use socket2::{Domain, Socket, Type};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

use super::Adapter;
use super::clients::{Host, Told, dial};
use crate::support::certs::Certs;

/// Connects over a stream that is there already, and reads to the end, unless the connection is dropped before, or goes on with another
/// protocol.
fn dial_over(adapter: Adapter, at: SocketAddr, url: &str) -> bool {
    let options = ConnectOptions::default();
    let is_read = !url.ends_with("dropped");
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(async {
            let stream = tokio::net::TcpStream::connect(at).await.unwrap();
            let Ok(mut socket) = sansws_tokio::connect_over(stream, url, options).await else {
                return false;
            };
            if url.ends_with("moved") {
                assert!(socket.into_inner().is_ok());
                return true;
            }
            while is_read && socket.receive().await.unwrap().is_some() {}
            true
        }),
        Adapter::Smol => smol::block_on(async {
            let stream = smol::net::TcpStream::connect(at).await.unwrap();
            let Ok(mut socket) = sansws_smol::connect_over(stream, url, options).await else {
                return false;
            };
            if url.ends_with("moved") {
                assert!(socket.into_inner().is_ok());
                return true;
            }
            while is_read && socket.receive().await.unwrap().is_some() {}
            true
        }),
        Adapter::Std => {
            let stream = std::net::TcpStream::connect(at).unwrap();
            let Ok(mut socket) = sansws_std::connect_over(stream, url, options) else {
                return false;
            };
            if url.ends_with("moved") {
                assert!(socket.into_inner().is_ok());
                return true;
            }
            while is_read && socket.receive().unwrap().is_some() {}
            true
        }
        Adapter::Mio => unreachable!("it has none"),
    }
}

/// Connects on std by steps, over a stream that does not block.
fn dial_by_steps(at: SocketAddr, url: &str) {
    let stream = std::net::TcpStream::connect(at).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut connecting =
        sansws_std::Connecting::new(stream, url, ConnectOptions::default()).unwrap();
    let mut socket = loop {
        match connecting.resume() {
            Ok(Some(socket)) => break socket,
            Ok(None) => std::thread::yield_now(),
            Err(_) => {
                // It is told once, however often it is tried.
                assert!(connecting.resume().is_err());
                return;
            }
        }
    };
    loop {
        match socket.receive() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => assert!(
                matches!(&error, sansws_async::Error::Io(error)
                    if error.kind() == std::io::ErrorKind::WouldBlock),
                "{error:?}"
            ),
        }
    }
}

/// Keeps what clients tell.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl<S: Subscriber> Layer<S> for Diary {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sansws_common::client::trace" {
            let mut line = Line(format!("{} ", event.metadata().level()));
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
}

#[test]
fn a_client_that_connects_once_says_where_to_how_it_ended_and_why_it_could_not() {
    let tls = sansws_async::tls::server(Certs::new().identity("server"), None).unwrap();
    let diary = Diary::default();
    let subscriber = registry().with(diary.clone());
    // With one subscriber alive, another thread that is first at an event would decide for all that nobody wants it.
    let _second = tracing::Dispatch::new(registry());
    let told = tracing::subscriber::with_default(subscriber, || {
        Adapter::ALL.map(|adapter| {
            let is_over_streams = adapter != Adapter::Mio;
            let clients = match adapter {
                Adapter::Mio => 2,
                Adapter::Std => 8,
                _ => 6,
            };
            let (address, host) = Host::start(tls.clone(), clients, |host| {
                let refuses = host.head().starts_with("GET /refused");
                if refuses {
                    host.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
                } else {
                    host.say(host.yes(""));
                    host.say(b"\x88\x02\x03\xe8");
                }
                host.shut();
                host.until_end();
            });
            // No other process gets its port, and nothing listens there.
            let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            bound.bind(&any.into()).unwrap();
            let none = bound.local_addr().unwrap().as_socket().unwrap();
            for (at, path) in [(address, "?secret"), (address, "refused"), (none, "none")] {
                let options = ConnectOptions::default().resolve("host.test", [at]);
                let told = dial(adapter, &format!("ws://host.test/{path}"), options);
                let opens = path == "?secret";
                assert_eq!(
                    matches!(told, Told::Ended(..)),
                    opens,
                    "{adapter:?} {told:?}"
                );
            }
            let told = std::mem::take(&mut *diary.0.lock().unwrap());
            if is_over_streams {
                for path in ["?secret", "refused"] {
                    let url = format!("ws://host.test/{path}");
                    let opens = dial_over(adapter, address, &url);
                    assert_eq!(opens, path == "?secret", "{adapter:?}");
                }
                // It is told alike.
                let over = std::mem::take(&mut *diary.0.lock().unwrap());
                assert_eq!(over, told[..5], "{adapter:?}");
                dial_over(adapter, address, "ws://host.test/moved");
                let moved = std::mem::take(&mut *diary.0.lock().unwrap());
                assert_eq!(moved.len(), 2, "{adapter:?} {moved:#?}");
                dial_over(adapter, address, "ws://host.test/dropped");
                let dropped = std::mem::take(&mut *diary.0.lock().unwrap());
                let end = dropped.last().unwrap();
                let cause = LossCause::Aborted;
                assert_eq!(dropped.len(), 3, "{adapter:?} {dropped:#?}");
                assert!(
                    end.contains("message=a client's connection ended "),
                    "{end}"
                );
                assert!(end.contains("websocket.close_code=1006 "), "{end}");
                let lost = format!("websocket.loss_cause={cause} ");
                assert!(end.contains(&lost), "{adapter:?} {end}");
            }
            if adapter == Adapter::Std {
                for path in ["?secret", "refused"] {
                    dial_by_steps(address, &format!("ws://host.test/{path}"));
                }
                let steps = std::mem::take(&mut *diary.0.lock().unwrap());
                assert_eq!(steps, told[..5]);
            }
            host.join().unwrap();
            (adapter, told)
        })
    });
    let at = |path: &str| format!("server.address=\"host.test\" server.port=80 url.path={path:?} ");
    let first = &told[0].1;
    assert_eq!(first.len(), 7, "{first:#?}");
    for (line, (message, path)) in first.iter().zip([
        ("a client connects", "/"),
        ("a client is connected", "/"),
        ("a client's connection ended", "/"),
        ("a client connects", "/refused"),
        ("a client gave up", "/refused"),
        ("a client connects", "/none"),
        ("a client gave up", "/none"),
    ]) {
        assert!(line.starts_with("DEBUG "), "{line}");
        assert!(line.contains(&format!("message={message} ")), "{line}");
        assert!(line.contains(&at(path)), "{line}");
        assert_eq!(
            line.contains("error="),
            message == "a client gave up",
            "{line}"
        );
        assert_eq!(
            line.contains("websocket.close_code=1000 websocket.close_reason="),
            message == "a client's connection ended",
            "{line}"
        );
        assert!(!line.contains("websocket.loss_cause"), "{line}");
    }
    for (adapter, lines) in &told {
        assert_eq!(lines, first, "{adapter:?}");
    }
}
