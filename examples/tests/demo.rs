//! The demo: its pages, its numbers, and how it ends.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use support::{Client, LONG, RUNTIMES, Running, start};

fn demo(runtime: &str) -> (Running, String) {
    start(env!("CARGO_BIN_EXE_demo"), runtime)
}

/// A connection on which one request follows the other.
struct Browser(BufReader<TcpStream>);

impl Browser {
    fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self(BufReader::new(stream))
    }

    /// The head of the answer, and its body.
    fn ask(&mut self, method: &str, path: &str) -> (String, String) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: demo\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }
}

#[test]
fn pages_come_over_one_connection_with_their_types() {
    for runtime in RUNTIMES {
        let (_running, url) = demo(runtime);
        let mut browser = Browser::connect(&url);
        let pages = [
            ("/", "text/html", include_str!("../pages/index.html")),
            ("/app.css", "text/css", include_str!("../pages/app.css")),
            (
                "/app.js?v=1",
                "text/javascript",
                include_str!("../pages/app.js"),
            ),
        ];
        for (path, kind, content) in pages {
            let (head, body) = browser.ask("GET", path);
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let kind = format!("\r\nContent-Type: {kind}; charset=utf-8\r\n");
            assert!(head.contains(&kind), "{head}");
            assert!(body == content, "{path}");
            assert_eq!(browser.ask("HEAD", path).0, head);
        }
        assert!(
            browser
                .ask("GET", "/nothing")
                .0
                .starts_with("HTTP/1.1 404 ")
        );
        assert!(
            browser
                .ask("GET", "/dashboard")
                .0
                .starts_with("HTTP/1.1 426 ")
        );
        let (head, _) = Browser::connect(&url).ask("POST", "/");
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        assert!(head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
    }
}

#[tokio::test]
async fn numbers_are_real_and_change() {
    for runtime in RUNTIMES {
        let (_running, url) = demo(runtime);
        let mut board = Client::connect(&format!("{url}/dashboard")).await;
        let first = board.next().await;
        assert_eq!(first["connections"], 1);
        assert!(first["memory_kib"].as_u64().unwrap() > 1_000, "{first}");
        let mut chat = Client::connect(&format!("{url}/chat/lobby?name=ada")).await;
        while chat.next().await["kind"] != "welcome" {}
        let (mut numbers, mut busy) = (0, false);
        let mut last = first.clone();
        while !busy {
            numbers += 1;
            assert!(numbers < 20, "{last}");
            for _ in 0..500 {
                chat.send(r#"{"kind":"say","text":"Hello"}"#).await;
                chat.next().await;
            }
            let next = board.next().await;
            assert_eq!(next["connections"], 2);
            assert!(next["at"].as_u64() > last["at"].as_u64());
            let number = |key: &str| {
                next[key]
                    .as_f64()
                    .unwrap_or_else(|| panic!("{key}: {next}"))
            };
            // Each line goes in and out.
            busy = number("messages_per_second") > 500.0
                && number("published_per_second") > 250.0
                && number("cpu_percent") > 0.0
                && number("uptime_seconds") >= 1.0;
            last = next;
        }
        chat.0.close(1000, "").await.unwrap();
        while last["connections"] != json!(1) {
            numbers += 1;
            assert!(numbers < 20, "{last}");
            last = board.next().await;
        }
    }
}

#[tokio::test]
async fn a_new_watcher_gets_the_newest_at_once_and_is_not_listened_to() {
    for runtime in RUNTIMES {
        let (_running, url) = demo(runtime);
        let url = format!("{url}/dashboard");
        let mut board = Client::connect(&url).await;
        // A second may just be over.
        let mut tries = 0..5;
        let mut late = loop {
            assert!(tries.next().is_some());
            let newest = board.next().await;
            let mut late = Client::connect(&url).await;
            if late.next().await == newest {
                break late;
            }
        };
        late.send("nobody listens to this").await;
        late.next().await;
        late.0.close(1000, "").await.unwrap();
    }
}

#[tokio::test]
async fn echo_is_there_too() {
    for runtime in RUNTIMES {
        let (_running, url) = demo(runtime);
        let mut echo = Client::connect(&format!("{url}/echo")).await;
        echo.send("Hello").await;
        assert_eq!(echo.text().await, "Hello");
    }
}

#[tokio::test]
async fn a_signal_drains_it_with_1012() {
    for (runtime, signal) in RUNTIMES.into_iter().zip(["TERM", "INT"]) {
        let (mut running, url) = demo(runtime);
        let mut people = Vec::new();
        for number in 0..10 {
            let path = format!("{url}/chat/lobby?name=p{number}");
            people.push(Client::connect(&path).await);
        }
        let board = Client::connect(&format!("{url}/dashboard")).await;
        for client in &mut people {
            while client.next().await["kind"] != "welcome" {}
        }
        running.signal(signal);
        people.push(board);
        for mut client in people {
            assert_eq!(client.end().await.0, 1012);
        }
        let ended = async {
            loop {
                if let Some(status) = running.0.try_wait().unwrap() {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let status = tokio::time::timeout(LONG, ended).await.expect("in time");
        assert!(status.success(), "{status}");
    }
}
