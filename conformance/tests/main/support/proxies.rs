//! Proxies as child processes: tinyproxy, asked by CONNECT, and microsocks, by SOCKS5. Installed by `interop/setup.sh`.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Instant;

use sansws_async::ConnectOptions;

use crate::support::certs::Folder;
use crate::support::foreign::{Process, setup};

/// The protocol of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Http,
    Socks5,
}

/// A running proxy; it ends with this value.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    kind: Kind,
    pub port: u16,
    _folder: Folder,
}

impl Proxy {
    /// Listens on a free port; with name and password if they are wanted.
    pub fn start(kind: Kind, login: Option<(&str, &str)>) -> Self {
        // Neither takes port 0, so another may have been quicker than the proxy.
        for _ in 0..10 {
            if let Some(proxy) = Self::start_on(kind, login, free_port()) {
                return proxy;
            }
        }
        panic!("{kind:?} does not start");
    }

    /// Listens on a given port, if that is free.
    pub fn start_on(kind: Kind, login: Option<(&str, &str)>, port: u16) -> Option<Self> {
        setup();
        let folder = Folder::new();
        let mut command = match kind {
            Kind::Http => {
                let auth = login.map_or_else(String::new, |(user, password)| {
                    format!("BasicAuth {user} {password}\n")
                });
                let file = folder.path("tinyproxy.conf");
                let text = format!(
                    "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 600\nLogLevel Info\n{auth}"
                );
                fs::write(&file, text).unwrap();
                let mut command = Command::new("tinyproxy");
                command.arg("-d").arg("-c").arg(file);
                command
            }
            Kind::Socks5 => {
                let mut command = Command::new("microsocks");
                command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
                if let Some((user, password)) = login {
                    command.args(["-u", user, "-P", password]);
                }
                command
            }
        };
        let process = Process::spawn(&mut command, format!("{kind:?} proxy on port {port}"));
        let proxy = Self {
            process,
            kind,
            port,
            _folder: folder,
        };
        proxy.listens().then_some(proxy)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own patience")]
    fn listens(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Its URL, with name and password if there are any.
    pub fn url(&self, login: Option<(&str, &str)>) -> String {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Socks5 => "socks5",
        };
        let login = login.map_or_else(String::new, |(user, password)| {
            format!("{user}:{password}@")
        });
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// Goes through it.
    pub fn dial(&self, login: Option<(&str, &str)>) -> ConnectOptions {
        ConnectOptions::default().proxy(self.url(login).parse().unwrap())
    }

    /// Whether its log names a port that it led to.
    pub fn led_to(&self, port: u16) -> bool {
        let place = format!(":{port}");
        (0..50).any(|_| {
            thread::sleep(Duration::from_millis(20));
            self.process.text().contains(&place)
        })
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
