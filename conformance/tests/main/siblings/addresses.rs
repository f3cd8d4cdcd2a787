//! Hosts with several addresses, some of which are dead: each client finds the one that lives.
//! RFC 8305.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use sansws_async::ConnectOptions;
use sansws_core::config::{Config, Timeouts};
use sansws_core::message::Message;

use super::clients::{Host, Told, dial};
use super::on_each;
use super::servers::PATIENCE;
use crate::support::certs::Certs;

/// An address that answers nothing: its queue of connections is full.
struct BlackHole {
    address: SocketAddr,
    _held: (socket2::Socket, Vec<TcpStream>),
}

impl BlackHole {
    fn new() -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(tcp) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(tcp);
        }
        Self {
            address,
            _held: (socket, waiting),
        }
    }
}

/// An address that refuses connections.
fn refuses() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}

#[test]
fn each_client_finds_the_address_that_lives() {
    let tls = sansws_async::tls::server(Certs::new().identity("server"), None).unwrap();
    let hole = BlackHole::new();
    let none = refuses();
    let deaths: [&[SocketAddr]; 4] = [
        &[hole.address],
        &[none],
        &[none, hole.address, none],
        &[hole.address, none, hole.address],
    ];
    thread::scope(|scope| {
        for dead in deaths {
            let tls = tls.clone();
            scope.spawn(move || {
                on_each(|adapter| {
                    let (address, host) = Host::start(tls.clone(), 1, |host| {
                        host.head();
                        host.say(host.yes(""));
                        host.say(b"\x81\x05hello\x88\x02\x03\xe8");
                        host.shut();
                        host.until_end();
                    });
                    let addresses = [dead, &[address]].concat();
                    let timeouts = Timeouts {
                        connect: Some(PATIENCE),
                        ..Timeouts::default()
                    };
                    let config = Config {
                        timeouts,
                        ..Config::default()
                    };
                    let options = ConnectOptions::default()
                        .config(config)
                        .resolve("host.test", addresses.iter().copied());
                    let told = dial(adapter, "ws://host.test/", options);
                    let hello = vec![Message::Text("hello".into())];
                    assert_eq!(told, Told::Ended(hello, 1000), "{adapter:?} {dead:?}");
                    host.join().unwrap();
                });
            });
        }
    });
}

#[test]
fn each_client_gives_up_when_no_address_lives() {
    let hole = BlackHole::new();
    let failed = on_each(|adapter| {
        let timeouts = Timeouts {
            connect: Some(Duration::from_secs(1)),
            ..Timeouts::default()
        };
        let config = Config {
            timeouts,
            ..Config::default()
        };
        let silent = ConnectOptions::default()
            .config(config)
            .resolve("host.test", [hole.address, hole.address]);
        let silent = dial(adapter, "ws://host.test/", silent);
        let refuses = ConnectOptions::default().resolve("host.test", [refuses(), refuses()]);
        let refuses = dial(adapter, "ws://host.test/", refuses);
        let nobody = ConnectOptions::default().resolve("host.test", []);
        (silent, refuses, dial(adapter, "ws://host.test/", nobody))
    });
    for (adapter, told) in &failed {
        assert_eq!(told, &failed[0].1, "{adapter:?}");
    }
    assert_eq!(
        failed[0].1.0,
        Told::Failed("ConnectTimeout(Some(\"host.test:80\"))".into())
    );
}
