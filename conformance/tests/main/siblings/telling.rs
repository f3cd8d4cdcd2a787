//! Events of `tracing` from clients that connect once: equal on each adapter.

use std::fmt::{Debug, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sansws_async::ConnectOptions;
use socket2::{Domain, Socket, Type};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

use super::Adapter;
use super::clients::{Host, Told, dial};
use crate::support::certs::Certs;

/// Connects over a stream that is there already.
fn dial_over(adapter: Adapter, at: SocketAddr, url: &str) -> bool {
    let options = ConnectOptions::default();
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(async {
            let stream = tokio::net::TcpStream::connect(at).await.unwrap();
            sansws_tokio::connect_over(stream, url, options)
                .await
                .is_ok()
        }),
        Adapter::Smol => smol::block_on(async {
            let stream = smol::net::TcpStream::connect(at).await.unwrap();
            sansws_smol::connect_over(stream, url, options)
                .await
                .is_ok()
        }),
        Adapter::Std => {
            let stream = std::net::TcpStream::connect(at).unwrap();
            sansws_std::connect_over(stream, url, options).is_ok()
        }
        Adapter::Mio => unreachable!("it has none"),
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
fn a_client_that_connects_once_says_where_to_and_why_it_could_not() {
    let tls = sansws_async::tls::server(Certs::new().identity("server"), None).unwrap();
    let diary = Diary::default();
    let subscriber = registry().with(diary.clone());
    // With one subscriber alive, another thread that is first at an event would decide for all that nobody wants it.
    let _second = tracing::Dispatch::new(registry());
    let told = tracing::subscriber::with_default(subscriber, || {
        Adapter::ALL.map(|adapter| {
            let is_over_streams = adapter != Adapter::Mio;
            let clients = if is_over_streams { 4 } else { 2 };
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
                assert_eq!(over, told[..4], "{adapter:?}");
            }
            host.join().unwrap();
            (adapter, told)
        })
    });
    let at = |path: &str| format!("server.address=\"host.test\" server.port=80 url.path={path:?} ");
    let first = &told[0].1;
    assert_eq!(first.len(), 6, "{first:#?}");
    for (line, (message, path)) in first.iter().zip([
        ("a client connects", "/"),
        ("a client is connected", "/"),
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
    }
    for (adapter, lines) in &told {
        assert_eq!(lines, first, "{adapter:?}");
    }
}
