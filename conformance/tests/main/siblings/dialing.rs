//! Servers and proxies that answer oddly, slowly, or not: each client tells the same of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sansws_async::ConnectOptions;
use sansws_core::config::{Config, Timeouts};

use super::clients::{Host, Told, dial};
use super::servers::PATIENCE;
use super::{Adapter, on_each};
use crate::support::certs::Certs;

type Play = fn(&mut Host);

/// How a client comes to the host.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Direct,
    /// The host is a proxy of this kind, with these credentials, and then the server.
    Proxy(&'static str),
}

/// The part of a scene that ends by a timeout, which is brief then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Ample,
    /// Brief until the connection, or the proxy, is there.
    Connect,
    /// Brief until the answer is there.
    Handshake,
}

struct Scene {
    name: &'static str,
    way: Way,
    redirects: u32,
    /// Number of connections that it takes.
    clients: usize,
    patience: Patience,
    secure: bool,
    play: Play,
}

const fn scene(name: &'static str, play: Play) -> Scene {
    Scene {
        name,
        way: Way::Direct,
        redirects: 0,
        clients: 1,
        patience: Patience::Ample,
        secure: false,
        play,
    }
}

const HTTP: Way = Way::Proxy("http://");
const HTTP_LOGIN: Way = Way::Proxy("http://me:p%40ss@");
const HTTPS: Way = Way::Proxy("https://");
const SOCKS: Way = Way::Proxy("socks5://");
const SOCKS_LOGIN: Way = Way::Proxy("socks5://me:pass@");

/// A greeting and a normal close.
fn serves(host: &mut Host) {
    host.head();
    let mut all = host.yes("").into_bytes();
    all.extend(b"\x81\x05hello\x88\x02\x03\xe8");
    host.say(all);
    host.until_end();
}

fn serves_securely(host: &mut Host) {
    host.secure();
    serves(host);
}

/// Answers a head so, and ends.
macro_rules! answers {
    ($answer:expr) => {
        |host: &mut Host| {
            host.head();
            host.say($answer);
            host.shut();
            host.until_end();
        }
    };
}

fn no_tls(host: &mut Host) {
    host.take(5);
    host.say("HTTP/1.1 400 Bad\r\n\r\n");
    host.shut();
    host.until_end();
}

fn socks(host: &mut Host) {
    assert_eq!(host.take(3), [5, 1, 0]);
    host.drip([5, 0]);
    let request = host.take(10);
    assert_eq!(request[..4], [5, 1, 0, 1]);
    host.drip([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

fn scenes() -> Vec<Scene> {
    let mut all = vec![
        scene("it serves", serves),
        scene("byte by byte", |host| {
            host.head();
            let mut all = host.yes("").into_bytes();
            all.extend(b"\x81\x05hello\x88\x02\x03\xe8");
            host.drip(all);
            host.until_end();
        }),
        scene("it opens and ends", |host| {
            host.head();
            host.say(host.yes(""));
            host.shut();
            host.until_end();
        }),
        scene("it opens, says something and ends", |host| {
            host.head();
            host.say(host.yes(""));
            host.say(b"\x81\x05hello");
            host.shut();
            host.until_end();
        }),
        scene("it opens and resets", |host| {
            host.head();
            host.say(host.yes(""));
            host.reset();
        }),
        scene("it resets", |host| {
            host.head();
            host.reset();
        }),
        scene("it ends at once", |host| {
            host.shut();
            host.until_end();
        }),
        scene("it ends after the request", |host| {
            host.head();
            host.shut();
            host.until_end();
        }),
        scene("half an answer", answers!("HTTP/1.1 101 Swit")),
        scene(
            "a wrong key",
            answers!(
                "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n"
            ),
        ),
        scene("no upgrade", answers!("HTTP/1.1 101 Yes\r\n\r\n")),
        scene("a subprotocol of its own", |host| {
            host.head();
            host.say(host.yes("Sec-WebSocket-Protocol: chat\r\n"));
            host.until_end();
        }),
        scene("an extension of its own", |host| {
            host.head();
            host.say(host.yes("Sec-WebSocket-Extensions: permessage-deflate\r\n"));
            host.until_end();
        }),
        scene("early hints", |host| {
            host.head();
            host.say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            host.say(host.yes(""));
            host.say(b"\x88\x02\x03\xe8");
            host.until_end();
        }),
        scene("HTTP/1.0", answers!("HTTP/1.0 200 OK\r\n\r\nhello")),
        scene("no HTTP", answers!("SSH-2.0-OpenSSH_9\r\n")),
        scene(
            "a head too long",
            answers!(format!(
                "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
                "y".repeat(20_000)
            )),
        ),
        scene(
            "a page",
            answers!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ),
        scene(
            "a page to the end",
            answers!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"),
        ),
        scene(
            "a page in chunks",
            answers!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
            ),
        ),
        scene(
            "chunks that are cut off",
            answers!("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nl"),
        ),
        scene(
            "a body that is cut off",
            answers!("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 50\r\n\r\nhello"),
        ),
        scene(
            "a body that is too long",
            answers!(format!(
                "HTTP/1.1 503 Busy\r\nContent-Length: 200000\r\n\r\n{}",
                "x".repeat(200_000)
            )),
        ),
        scene("a body that is reset", |host| {
            host.head();
            host.say("HTTP/1.1 503 Busy\r\nContent-Length: 50\r\n\r\nhello");
            thread::sleep(Duration::from_millis(100));
            host.reset();
        }),
        scene(
            "unauthorized",
            answers!(
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=a\r\nContent-Length: 0\r\n\r\n"
            ),
        ),
        scene(
            "forbidden",
            answers!("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"),
        ),
        scene(
            "too many",
            answers!("HTTP/1.1 429 Slow\r\nRetry-After: 3\r\n\r\n"),
        ),
        scene("nothing there", answers!("HTTP/1.1 204 No\r\n\r\n")),
        scene(
            "a redirect that is not followed",
            answers!("HTTP/1.1 302 Go\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"),
        ),
        Scene {
            redirects: 3,
            clients: 4,
            ..scene(
                "a loop",
                answers!("HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
            )
        },
        Scene {
            redirects: 1,
            clients: 2,
            ..scene("a redirect", |host| {
                if host.head().starts_with("GET /there ") {
                    host.say(host.yes(""));
                    host.say(b"\x81\x05hello\x88\x02\x03\xe8");
                } else {
                    host.say("HTTP/1.1 307 Go\r\nLocation: there\r\n\r\n");
                    host.shut();
                }
                host.until_end();
            })
        },
        Scene {
            redirects: 1,
            clients: 2,
            ..scene("a redirect whose body does not end", |host| {
                if host.head().starts_with("GET /there ") {
                    host.say(host.yes(""));
                    host.say(b"\x81\x05hello\x88\x02\x03\xe8");
                } else {
                    host.say("HTTP/1.1 307 Go\r\nLocation: there\r\n\r\nPlease go");
                }
                host.until_end();
            })
        },
        Scene {
            redirects: 1,
            ..scene(
                "to another protocol",
                answers!("HTTP/1.1 302 Go\r\nLocation: ftp://a/\r\n\r\n"),
            )
        },
        Scene {
            redirects: 1,
            ..scene(
                "to two places",
                answers!("HTTP/1.1 302 Go\r\nLocation: /a\r\nLocation: /b\r\n\r\n"),
            )
        },
        Scene {
            redirects: 1,
            ..scene("to nowhere", answers!("HTTP/1.1 302 Go\r\n\r\n"))
        },
        Scene {
            redirects: 1,
            ..scene(
                "to nobody",
                answers!("HTTP/1.1 302 Go\r\nLocation: ws://127.0.0.1:1/\r\n\r\n"),
            )
        },
        Scene {
            patience: Patience::Handshake,
            ..scene("silence", |host| host.until_end())
        },
        Scene {
            patience: Patience::Handshake,
            ..scene("a body that does not come", |host| {
                host.head();
                host.say("HTTP/1.1 503 Busy\r\nContent-Length: 50\r\n\r\nhello");
                host.until_end();
            })
        },
        Scene {
            patience: Patience::Handshake,
            ..scene("half a head that does not go on", |host| {
                host.head();
                host.say("HTTP/1.1 503 Bu");
                host.until_end();
            })
        },
        // Frames.
        scene("a frame with a mask", |host| {
            host.head();
            host.say(host.yes(""));
            host.say(b"\x81\x81\0\0\0\0a");
            host.until_end();
        }),
        scene("text that is none", |host| {
            host.head();
            host.say(host.yes(""));
            host.say(b"\x81\x02ok\x81\x01\xff");
            host.until_end();
        }),
        scene("a close without a code", |host| {
            host.head();
            host.say(host.yes(""));
            host.say(b"\x81\x02ok\x88\x00");
            host.shut();
            host.until_end();
        }),
        scene("a close with a code of its own", |host| {
            host.head();
            host.say(host.yes(""));
            host.say(b"\x88\x05\x0f\xa1why");
            host.shut();
            host.until_end();
        }),
        scene("a close, and TCP does not end", |host| {
            host.head();
            host.say(host.yes(""));
            host.say(b"\x88\x02\x03\xe8");
            host.until_end();
        }),
    ];
    // Likewise behind TLS.
    let secure: Vec<Scene> = all
        .iter()
        .filter(|scene| {
            scene.name != "it resets"
                && scene.name != "it ends at once"
                && scene.name != "to nobody"
                && scene.name != "silence"
        })
        .map(|scene| Scene {
            secure: true,
            ..*scene
        })
        .collect();
    all.extend(secure);
    all.extend([
        Scene {
            secure: true,
            ..scene("no TLS", no_tls)
        },
        Scene {
            secure: true,
            ..scene("no TLS at all", |host| {
                host.say("220 mail ESMTP\r\n");
                host.shut();
                host.until_end();
            })
        },
        Scene {
            secure: true,
            ..scene("TLS that ends", |host| {
                host.take(5);
                host.shut();
                host.until_end();
            })
        },
        Scene {
            secure: true,
            ..scene("TLS that resets", |host| {
                host.take(5);
                host.reset();
            })
        },
        Scene {
            secure: true,
            ..scene("an alert", |host| {
                host.take(5);
                host.say([21, 3, 3, 0, 2, 2, 80]);
                host.shut();
                host.until_end();
            })
        },
        Scene {
            secure: true,
            patience: Patience::Handshake,
            ..scene("TLS that is silent", |host| host.until_end())
        },
        Scene {
            secure: true,
            redirects: 1,
            ..scene("out of TLS", |host| {
                host.secure();
                host.head();
                host.say("HTTP/1.1 302 Go\r\nLocation: http://localhost/\r\n\r\n");
                host.shut();
                host.until_end();
            })
        },
        Scene {
            secure: true,
            ..scene("TLS that is cut off", |host| {
                host.secure();
                host.head();
                host.say(host.yes(""));
                host.say(b"\x81\x05hello");
                let _ = host.raw_shut();
                host.until_end();
            })
        },
    ]);
    for secure in [false, true] {
        let way = |way, name, play| Scene {
            way,
            secure,
            ..scene(name, play)
        };
        macro_rules! then_serves {
            ($first:expr) => {{
                let play: Play = if secure {
                    |host: &mut Host| {
                        let first: Play = $first;
                        first(host);
                        serves_securely(host);
                    }
                } else {
                    |host: &mut Host| {
                        let first: Play = $first;
                        first(host);
                        serves(host);
                    }
                };
                play
            }};
        }
        all.extend([
            way(HTTP, "a proxy", then_serves!(|host: &mut Host| { host.head(); host.say("HTTP/1.1 200 OK\r\n\r\n"); })),
            way(HTTP, "a proxy, byte by byte", then_serves!(|host: &mut Host| { host.head(); host.drip("HTTP/1.0 200 Connection established\r\nVia: a\r\nContent-Length: 5\r\n\r\n"); })),
            way(HTTP, "a proxy that says 204", then_serves!(|host: &mut Host| { host.head(); host.say("HTTP/1.1 204 OK\r\n\r\n"); })),
            way(HTTP, "a proxy that goes on first", then_serves!(|host: &mut Host| { host.head(); host.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"); })),
            way(HTTP, "a proxy that wants a name", answers!("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=a\r\nContent-Length: 3\r\n\r\nwho")),
            way(HTTP, "a proxy that fails", answers!("HTTP/1.1 502 No\r\nContent-Length: 5\r\n\r\nhello")),
            way(HTTP, "a proxy that forbids", answers!("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nhello")),
            way(HTTP, "a proxy that redirects", answers!("HTTP/1.1 302 No\r\nLocation: /\r\n\r\n")),
            way(HTTP, "a proxy that ends", |host| { host.head(); host.shut(); host.until_end(); }),
            way(HTTP, "a proxy that ends in its answer", answers!("HTTP/1.1 200 O")),
            way(HTTP, "a proxy that resets", |host| { host.head(); host.reset(); }),
            way(HTTP, "a proxy that is none", answers!("SSH-2.0-OpenSSH_9\r\n\r\n")),
            way(HTTP, "a proxy that says too much", answers!(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(20_000)))),
            way(HTTP, "a proxy that leads nowhere", |host| { host.head(); host.say("HTTP/1.1 200 OK\r\n\r\n"); host.shut(); host.until_end(); }),
            way(HTTP_LOGIN, "a proxy that knows us", then_serves!(|host: &mut Host| {
                let told = host.head().contains("Proxy-Authorization: Basic bWU6cEBzcw==\r\n");
                host.say(if told { "HTTP/1.1 200 OK\r\n\r\n" } else { "HTTP/1.1 407 Who\r\n\r\n" });
            })),
            way(HTTPS, "a proxy over TLS that forbids", |host| { host.secure(); host.head(); host.say("HTTP/1.1 403 No\r\n\r\n"); host.shut(); host.until_end(); }),
            way(HTTPS, "a proxy over TLS that is cut off", |host| { host.secure(); host.head(); let _ = host.raw_shut(); host.until_end(); }),
            way(HTTPS, "a proxy without TLS", no_tls),
            way(SOCKS, "socks", then_serves!(socks)),
            way(SOCKS, "socks with a name", then_serves!(|host: &mut Host| {
                host.take(3); host.say([5, 0]); host.take(10);
                host.say([5, 0, 0, 3, 4, b'n', b'a', b'm', b'e', 0, 80]);
            })),
            way(SOCKS, "socks that wants a name", |host| { host.take(3); host.say([5, 2]); host.until_end(); }),
            way(SOCKS, "socks that takes no method", |host| { host.take(3); host.say([5, 255]); host.until_end(); }),
            way(SOCKS, "socks 4", |host| { host.take(3); host.say([4, 90]); host.until_end(); }),
            way(SOCKS, "socks that ends", |host| { host.take(3); host.shut(); host.until_end(); }),
            way(SOCKS, "socks that ends in its reply", |host| { host.take(3); host.say([5, 0]); host.take(10); host.say([5, 0, 0]); host.shut(); host.until_end(); }),
            way(SOCKS, "socks that refuses", |host| { host.take(3); host.say([5, 0]); host.take(10); host.say([5, 5]); host.shut(); host.until_end(); }),
            way(SOCKS, "socks that does not allow it", |host| { host.take(3); host.say([5, 0]); host.take(10); host.say([5, 2, 0, 1, 0, 0, 0, 0, 0, 0]); host.until_end(); }),
            way(SOCKS_LOGIN, "socks that knows us", then_serves!(|host: &mut Host| {
                assert_eq!(host.take(4), [5, 2, 0, 2]);
                host.drip([5, 2]);
                assert_eq!(host.take(9), b"\x01\x02me\x04pass");
                host.drip([1, 0]);
                host.take(10);
                host.drip([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            })),
            way(SOCKS_LOGIN, "socks that does not know us", |host| { host.take(4); host.say([5, 2]); host.take(9); host.say([1, 1]); host.until_end(); }),
            Scene { patience: Patience::Connect, ..way(HTTP, "a proxy that is silent", |host| host.until_end()) },
            Scene { patience: Patience::Connect, ..way(HTTP, "a proxy that stops", |host| { host.head(); host.say("HTTP/1.1 200 OK\r\nX:"); host.until_end(); }) },
            Scene { patience: Patience::Connect, ..way(SOCKS, "socks that is silent", |host| host.until_end()) },
            Scene { patience: Patience::Connect, ..way(HTTPS, "a proxy over TLS that is silent", |host| host.until_end()) },
            Scene { patience: Patience::Handshake, ..way(HTTP, "a proxy whose server is silent", |host| { host.head(); host.say("HTTP/1.1 200 OK\r\n\r\n"); host.until_end(); }) },
        ]);
    }
    all
}

/// The report of a client, and the frames that it sends.
fn told(adapter: Adapter, scene: &Scene, certs: &Certs) -> (Told, Vec<Vec<u8>>) {
    let tls = sansws_async::tls::server(certs.identity("server"), None).unwrap();
    let play = scene.play;
    let direct_tls = scene.secure
        && scene.way == Way::Direct
        && !scene.name.contains("TLS")
        && scene.name != "an alert";
    let (sender, heard) = std::sync::mpsc::channel();
    let (address, thread) = Host::start(tls, scene.clients, move |host| {
        if direct_tls {
            host.secure();
        }
        play(host);
        let _ = sender.send(host.frames());
    });
    let client = sansws_async::tls::client(certs.roots(), None).unwrap();
    let mut options = ConnectOptions::default()
        .redirects(scene.redirects)
        .tls(client.clone())
        .proxy_tls(client)
        .resolve("localhost", [address]);
    let brief = |kind| match scene.patience == kind {
        true => Duration::from_secs(2),
        false => PATIENCE,
    };
    let timeouts = Timeouts {
        connect: Some(brief(Patience::Connect)),
        handshake: Some(brief(Patience::Handshake)),
        // However the other side ends, all is said before.
        close: Duration::from_secs(1),
        ..Timeouts::default()
    };
    options = options.config(Config {
        timeouts,
        ..Config::default()
    });
    let port = address.port();
    let url = match (scene.way, scene.secure) {
        (Way::Direct, false) => format!("ws://127.0.0.1:{port}/"),
        (Way::Direct, true) => format!("wss://localhost:{port}/"),
        (Way::Proxy(_), false) => "ws://127.0.0.1:9/".to_owned(),
        (Way::Proxy(_), true) => "wss://127.0.0.1:9/".to_owned(),
    };
    if let Way::Proxy(proxy) = scene.way {
        options = options.proxy(format!("{proxy}localhost:{port}").parse().unwrap());
    }
    let told = dial(adapter, &url, options);
    if scene.clients == 1 {
        thread.join().unwrap();
    }
    // The port differs, and the key.
    let frames = heard.try_recv().unwrap_or_default();
    match told {
        Told::Failed(error) => (
            Told::Failed(error.replace(&port.to_string(), "PORT")),
            Vec::new(),
        ),
        ended @ Told::Ended(..) => (ended, frames),
    }
}

#[test]
fn each_client_tells_the_same() {
    let certs = Certs::new();
    let mut scenes = scenes();
    // Scenes that wait are first, and others fill their time.
    scenes.sort_by_key(|scene| scene.patience == Patience::Ample);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut all = Vec::new();
        while let Some(scene) = scenes.get(next.fetch_add(1, Ordering::Relaxed)) {
            all.push((scene, on_each(|adapter| told(adapter, scene, &certs))));
        }
        all
    };
    let all = thread::scope(|scope| {
        let workers = [(); 16].map(|()| scope.spawn(work));
        workers
            .map(|worker| worker.join().unwrap())
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    });
    let mut differences = String::new();
    for (scene, told) in &all {
        if told.iter().any(|(_, one)| *one != told[0].1) {
            differences += &format!("{} (secure: {}):\n", scene.name, scene.secure);
            for (adapter, one) in told {
                differences += &format!("  {adapter:?}: {one:.300?}\n");
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
