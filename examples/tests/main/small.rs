//! The examples of one idea each: JSON, subprotocols, numbers on a page, an echo to all.

use crate::support::{Client, RUNTIMES, start};
use sansws_tokio::{ConnectOptions, Error};
use serde_json::json;

#[tokio::test]
async fn json_api_answers_requests_and_says_what_is_wrong() {
    let talk = [
        (
            r#"{"id":1,"do":"add","text":"Käse"}"#,
            json!({"id": 1, "ok": 1}),
        ),
        (
            r#"{"do":"add","text":"tea","id":2}"#,
            json!({"id": 2, "ok": 2}),
        ),
        (
            r#"{"id":3,"do":"list"}"#,
            json!({"id": 3, "ok": {"1": "Käse", "2": "tea"}}),
        ),
        (
            r#"{"id":4,"do":"done","task":1}"#,
            json!({"id": 4, "ok": "Käse"}),
        ),
        (
            r#"{"id":5,"do":"done","task":1}"#,
            json!({"id": 5, "error": {"code": "not_found", "text": "there is no task 1"}}),
        ),
    ];
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_json-api"), runtime);
        let mut client = Client::connect(&format!("{url}/tasks")).await;
        for (request, reply) in &talk {
            client.send(*request).await;
            assert_eq!(client.next().await, *reply);
        }
        for wrong in [
            "7",
            "{}",
            r#"{"id":6}"#,
            r#"{"id":6,"do":"fly"}"#,
            r#"{"id":6,"do":"add"}"#,
            r#"{"id":-6,"do":"list"}"#,
        ] {
            client.send(wrong).await;
            let reply = client.next().await;
            assert_eq!(reply["id"], json!(null), "{wrong}");
            assert_eq!(reply["error"]["code"], "bad_request", "{wrong}");
        }
        for number in 3..102 {
            client.send(r#"{"id":7,"do":"add","text":"more"}"#).await;
            assert_eq!(client.next().await["ok"], number);
        }
        client
            .send(r#"{"id":8,"do":"add","text":"too much"}"#)
            .await;
        assert_eq!(client.next().await["error"]["code"], "full");
    }
}

#[tokio::test]
async fn json_api_closes_on_what_is_no_json() {
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_json-api"), runtime);
        let url = format!("{url}/tasks");
        let deep = "[".repeat(10_000);
        for wrong in ["{", "", "{}}", "{\"id\":1,\"do\":\"list\"", &deep] {
            let mut client = Client::connect(&url).await;
            client.send(wrong).await;
            let (code, reason) = client.end().await;
            assert_eq!(code, 1007, "{wrong}");
            assert!(
                reason.starts_with("the message is not the JSON"),
                "{reason}"
            );
        }
        let mut client = Client::connect(&url).await;
        client.send(br#"{"id":1,"do":"list"}"#.to_vec()).await;
        assert_eq!(client.end().await.0, 1003);
        // Another connection has a list of its own.
        let mut client = Client::connect(&url).await;
        client.send(r#"{"id":1,"do":"list"}"#).await;
        assert_eq!(client.next().await, json!({"id": 1, "ok": {}}));
    }
}

#[tokio::test]
async fn subprotocol_is_the_one_that_the_server_prefers() {
    let cases: [(&[&str], Option<&str>, &str); 4] = [
        (
            &["count.v1", "count.v2"],
            Some("count.v2"),
            r#"{"signs":9,"words":2}"#,
        ),
        (&["count.v2"], Some("count.v2"), r#"{"signs":9,"words":2}"#),
        (&["other", "count.v1"], Some("count.v1"), "2"),
        (&["other"], None, ""),
    ];
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_subprotocol"), runtime);
        let url = format!("{url}/count");
        for (offered, chosen, answer) in cases {
            let dial = offered
                .iter()
                .copied()
                .fold(ConnectOptions::default(), ConnectOptions::subprotocol);
            if chosen.is_none() {
                let refused = sansws_tokio::connect(&url, dial).await;
                let Err(Error::Refused(response)) = refused else {
                    panic!("{refused:?}");
                };
                assert_eq!(response.status, 400);
                assert_eq!(
                    response.body,
                    b"supported subprotocols: count.v2, count.v1\n"
                );
                continue;
            }
            let mut client = Client::dial(&url, dial).await;
            assert_eq!(client.0.subprotocol(), chosen);
            client.send("two wörds").await;
            assert_eq!(client.text().await, answer);
        }
    }
}

#[tokio::test]
async fn dashboard_pushes_numbers() {
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_dashboard"), runtime);
        let mut one = Client::connect(&format!("{url}/numbers")).await;
        let first = one.next().await;
        let _other = Client::connect(&format!("{url}/numbers")).await;
        let second = one.next().await;
        assert!(second["at"].as_u64() > first["at"].as_u64());
        assert_eq!(
            (&first["connections"], &second["connections"]),
            (&json!(1), &json!(2))
        );
        assert!(
            second["messages_per_second"].as_f64() > Some(0.0),
            "{second}"
        );
        assert!(second["memory_kib"].as_u64() > Some(1_000), "{second}");
    }
}

#[tokio::test]
async fn fanout_echoes_to_all_and_echo_to_one() {
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_echo"), runtime);
        let url = format!("{url}/fanout");
        let mut all = Vec::new();
        for number in 0..5_u8 {
            let mut client = Client::connect(&url).await;
            // An echo says that it has joined.
            client.send(vec![number]).await;
            all.push(client);
            for client in &mut all {
                assert_eq!(client.0.receive_bytes().await.unwrap(), Some(vec![number]));
            }
        }
        let mut alone = Client::connect(&url.replace("fanout", "else")).await;
        let long = "ä".repeat(1 << 20);
        for text in ["Hello", "", &long] {
            all[2].send(text).await;
            for client in &mut all {
                assert_eq!(client.text().await, text);
            }
        }
        alone.send("mine").await;
        assert_eq!(alone.text().await, "mine");
    }
}
