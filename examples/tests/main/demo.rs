//! The demo: its pages, its numbers, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Client, LONG, RUNTIMES, Running, listening, start};
use serde_json::json;

fn demo(runtime: &str) -> (Running, String) {
    start(env!("CARGO_BIN_EXE_demo"), runtime)
}

const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pages/vendor/centrifuge.js");

/// A client of the chat, in a room.
async fn member(url: &str, name: &str) -> Client {
    let mut client = Client::connect(&format!("{url}/connection/websocket")).await;
    let hello = json!({"id": 1, "connect": {"data": {"name": name}}});
    client.send(hello.to_string()).await;
    assert!(client.next().await["connect"].is_object());
    let subscribe = json!({"id": 2, "subscribe": {"channel": "talk:lobby"}});
    client.send(subscribe.to_string()).await;
    while client.next().await["id"] != json!(2) {}
    client
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
        // `pages/library.sh` puts it there.
        let library = std::fs::read_to_string(LIBRARY).ok();
        let mut pages = match &library {
            None => vec![("/", "text/html", include_str!("../../pages/absent.html"))],
            Some(library) => vec![
                ("/", "text/html", include_str!("../../pages/talk.html")),
                (
                    "/talk.css",
                    "text/css",
                    include_str!("../../pages/talk.css"),
                ),
                (
                    "/talk.js?v=1",
                    "text/javascript",
                    include_str!("../../pages/talk.js"),
                ),
                ("/centrifuge.js", "text/javascript", library),
            ],
        };
        pages.extend([
            (
                "/dashboard",
                "text/html",
                include_str!("../../pages/monitor.html"),
            ),
            (
                "/monitor.css",
                "text/css",
                include_str!("../../pages/monitor.css"),
            ),
            (
                "/monitor.js",
                "text/javascript",
                include_str!("../../pages/monitor.js"),
            ),
        ]);
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
                .ask("GET", "/dashboard/nodes")
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
        let mut chat = member(&url, "ada").await;
        let (mut numbers, mut busy) = (0, false);
        let mut last = first.clone();
        while !busy {
            numbers += 1;
            assert!(numbers < 20, "{last}");
            for _ in 0..500 {
                let line = json!({"id": 3, "publish": {"channel": "talk:lobby", "data": {"text": "Hello"}}});
                chat.send(line.to_string()).await;
                while chat.next().await["push"]["pub"].is_null() {}
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

/// The value of a number of Prometheus' text.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn metrics_and_health_say_how_it_is_also_while_it_drains() {
    for runtime in RUNTIMES {
        let (mut running, url) = demo(runtime);
        let mut people = Vec::new();
        for number in 0..20 {
            people.push(member(&url, &format!("p{number}")).await);
        }
        let ask = |path: &str| Browser::connect(&url).ask("GET", path);
        let (head, text) = ask("/metrics");
        let kind = "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains(kind),
            "{head}"
        );
        assert!(value(&text, "sansws_server_websockets ") >= 20.0);
        assert!(value(&text, "sansws_server_messages_sent_total ") >= 20.0);
        assert!(value(&text, "sansws_hub_channels ") >= 20.0);
        assert!(value(&text, "sansws_hub_backplane_up ") == 1.0);
        for path in ["/health", "/health/ready"] {
            let (head, body) = ask(path);
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_eq!(
                (&body["status"], &body["backplane"]),
                (&json!("up"), &json!("alone"))
            );
        }
        assert!(ask("/health/live").0.starts_with("HTTP/1.1 200 "));
        running.signal("TERM");
        // The signal takes a moment; who is in leaves within two seconds.
        let draining = loop {
            let (head, body) = ask("/health/ready");
            if !head.starts_with("HTTP/1.1 200 ") {
                break (head, body);
            }
        };
        assert!(draining.0.starts_with("HTTP/1.1 503 "), "{}", draining.0);
        let body: serde_json::Value = serde_json::from_str(&draining.1).unwrap();
        assert_eq!(body["status"], "draining");
        assert!(ask("/health/live").0.starts_with("HTTP/1.1 200 "));
        assert!(value(&ask("/metrics").1, "sansws_server_draining ") == 1.0);
        assert!(ask("/").0.starts_with("HTTP/1.1 503 "));
        drop(people);
        assert!(running.0.wait().unwrap().success());
    }
}

#[tokio::test]
async fn a_node_reports_itself_by_name_once_a_second() {
    for runtime in RUNTIMES {
        let program = env!("CARGO_BIN_EXE_demo");
        let options = [
            "--runtime",
            runtime,
            "--listen",
            "127.0.0.1:0",
            "--name",
            "ada",
        ];
        let (_running, url) = listening(program, &options);
        let mut page = Client::connect(&format!("{url}/dashboard/nodes")).await;
        let first = page.next().await;
        assert_eq!(
            (&first["node"], &first["status"]),
            (&json!("ada"), &json!("up"))
        );
        let mut echo = Client::connect(&format!("{url}/echo")).await;
        for _ in 0..10 {
            echo.send("Hello").await;
            echo.text().await;
        }
        echo.0.close(4001, "").await.unwrap();
        let mut next = page.next().await;
        while next["closed"]["4xxx"] != json!(1) {
            assert_eq!(next["run"], first["run"]);
            next = page.next().await;
        }
        let grown = |key: &str| next[key].as_u64().unwrap() - first[key].as_u64().unwrap();
        assert_eq!(grown("received"), 10);
        assert!(grown("sent") >= 11, "{next}");
        let apart = grown("at") / (grown("sent") - 10);
        assert!((900..2_000).contains(&apart), "{apart} ms");
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
            people.push(member(&url, &format!("p{number}")).await);
        }
        let board = Client::connect(&format!("{url}/dashboard")).await;
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
