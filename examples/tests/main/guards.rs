//! The examples that keep people out: by who they are, and by how much they send.

use crate::support::{Client, RUNTIMES, listening, start};
use sansws_tokio::{ConnectOptions, Error, connect};
use serde_json::json;

#[tokio::test]
async fn logged_in_users_may_connect_and_renew_and_others_are_refused() {
    for runtime in RUNTIMES {
        let program = env!("CARGO_BIN_EXE_auth");
        let (_running, url) = listening(
            program,
            &[
                "--runtime",
                runtime,
                "--listen",
                "127.0.0.1:0",
                "--session",
                "2500",
                "--notice",
                "1500",
            ],
        );
        let private = format!("{url}/private").replacen("http", "ws", 1);
        let refused = connect(&private, ConnectOptions::default()).await;
        assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 403));
        let wrong = http_get(&url, "/login?user=ada&password=wrong");
        assert!(wrong.starts_with("HTTP/1.1 403 "), "{wrong}");

        let welcome = http_get(&url, "/login?user=ada&password=lovelace");
        let cookie = welcome.split("Set-Cookie: ").nth(1).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let dial = || ConnectOptions::default().header("Cookie", cookie);
        let foreign = dial().header("Origin", "https://evil.example");
        let refused = connect(&private, foreign).await;
        assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 403));

        let mut client = Client::dial(&private, dial()).await;
        assert_eq!(client.next().await, json!({"kind": "hello", "name": "ada"}));
        assert_eq!(client.next().await, json!({"kind": "expiring"}));
        client.send(json!({"kind": "renew"}).to_string()).await;
        assert_eq!(client.next().await, json!({"kind": "renewed"}));
        assert_eq!(client.next().await, json!({"kind": "expiring"}));
        match client.0.receive().await {
            Err(Error::Disconnect(closed)) => assert_eq!(closed.code(), 4001),
            other => panic!("{other:?}"),
        }
        // The session is over, and its cookie with it.
        let refused = connect(&private, dial()).await;
        assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 403));
    }
}

#[tokio::test]
async fn clients_beyond_the_rate_are_delayed_dropped_or_closed() {
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_rate-limit"), runtime);
        let mut delayed = Client::connect(&format!("{url}/delay")).await;
        let mut dropped = Client::connect(&format!("{url}/drop")).await;
        let mut closed = Client::connect(&format!("{url}/close")).await;
        for number in 0..15 {
            delayed.send(number.to_string()).await;
        }
        // Many more than may come, however slow the machine is.
        for number in 0..100 {
            dropped.send(number.to_string()).await;
            drop(closed.0.send_text(number.to_string()).await);
        }
        // Messages that the runtime put off leave too, though nothing waits for them.
        dropped.0.flush().await.unwrap();
        drop(closed.0.flush().await);
        for number in 0..15 {
            let want = format!("{number} ({} received, 0 dropped)", number + 1);
            assert_eq!(delayed.text().await, want);
        }
        // A second later there is room again, and what was dropped is known.
        tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
        dropped.send("again").await;
        let mut passed = 0;
        let last = loop {
            let text = dropped.text().await;
            match text.strip_prefix("again (101 received, ") {
                Some(rest) => break rest.strip_suffix(" dropped)").unwrap().to_owned(),
                None => passed += 1,
            }
        };
        assert!(passed >= 10, "{passed}");
        assert_eq!(passed + last.parse::<u32>().unwrap(), 100);
        assert_eq!(closed.end().await.0, 1008);

        // Three are here; ten may be, and may come in a moment.
        let url = format!("{url}/delay");
        let mut held = vec![delayed, dropped];
        let status = loop {
            match connect(&url, ConnectOptions::default()).await {
                Ok(socket) => held.push(Client(socket)),
                Err(Error::Refused(response)) => break response.status,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(status, 429);
        assert!((8..=10).contains(&held.len()), "{}", held.len());
    }
}

/// Gets a page, with its head.
fn http_get(url: &str, target: &str) -> String {
    use std::io::{Read, Write};
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
