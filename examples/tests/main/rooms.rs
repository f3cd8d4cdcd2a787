//! Typed commands over groups: what each comes to, and what is refused.

use crate::support::{Client, RUNTIMES, start};
use sansws_tokio::{ConnectOptions, Error};
use serde_json::{Value, json};

/// Sends a command; the answer, and what came before it.
async fn ask(client: &mut Client, command: Value, answer: &str) -> (Value, Vec<Value>) {
    client.send(command.to_string()).await;
    let mut before = Vec::new();
    loop {
        let next = client.next().await;
        if !next[answer].is_null() {
            return (next, before);
        }
        before.push(next);
    }
}

fn say(room: &str, text: &str) -> Value {
    json!({"do": "say", "room": room, "text": text})
}

#[tokio::test]
async fn people_join_say_list_and_leave() {
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_rooms"), runtime);
        let mut ada = Client::connect(&format!("{url}/?name=ada")).await;
        let cookie = ConnectOptions::default().header("Cookie", "name=bob");
        let mut bob = Client::dial(&format!("{url}/"), cookie).await;
        for room in ["tea", "rust"] {
            let join = json!({"do": "join", "room": room});
            let (joined, _) = ask(&mut ada, join, "joined").await;
            assert_eq!(
                (&joined["joined"], &joined["people"]),
                (&json!(room), &json!(["ada"]))
            );
        }
        let join = json!({"do": "join", "room": "tea"});
        let (joined, _) = ask(&mut bob, join, "joined").await;
        assert_eq!(joined["people"], json!(["ada", "bob"]));
        let came = ada.next().await;
        assert_eq!(
            came,
            json!({"room": "tea", "came": ["bob"], "went": [], "count": 2})
        );
        let (first, _) = ask(&mut ada, say("tea", "one"), "said").await;
        assert_eq!(first["said"], json!({"from": "ada", "text": "one"}));
        assert_eq!(bob.next().await, first);
        let (list, _) = ask(&mut bob, json!({"do": "list"}), "rooms").await;
        assert_eq!(
            list["rooms"],
            json!({"tea": ["ada", "bob"], "rust": ["ada"]})
        );
        // To all windows of one person.
        let tell = json!({"do": "tell", "who": "bob", "text": "psst"});
        ada.send(tell.to_string()).await;
        assert_eq!(bob.next().await, json!({"from": "ada", "told": "psst"}));
        // He leaves, and comes back for what he missed.
        let leave = json!({"do": "leave", "room": "tea"});
        let (left, _) = ask(&mut bob, leave.clone(), "left").await;
        assert_eq!(left["was_in"], true);
        let (left, _) = ask(&mut bob, leave, "left").await;
        assert_eq!(left["was_in"], false);
        for text in ["two", "three"] {
            ask(&mut ada, say("tea", text), "said").await;
        }
        let since = json!({"do": "join", "room": "tea", "since": first["position"]});
        let (joined, missed) = ask(&mut bob, since, "joined").await;
        assert_eq!(joined["recovered"], "Complete(2)");
        let missed: Vec<&Value> = missed.iter().map(|line| &line["said"]["text"]).collect();
        assert_eq!(missed, ["two", "three"]);
        let history = json!({"do": "history", "room": "tea", "limit": 2});
        let (history, _) = ask(&mut bob, history, "history").await;
        assert_eq!(history["history"].as_array().map(Vec::len), Some(2));
        assert_eq!(history["history"][1]["said"]["text"], "three");
        // The user's own changes were announced at once.
        let came = ada.next().await;
        assert_eq!(came["came"], json!(["bob"]));
        // He closes, and is gone when it is sure that he does not come back.
        bob.0.close(1000, "").await.unwrap();
        let went = ada.next().await;
        assert_eq!(
            went,
            json!({"room": "tea", "came": [], "went": ["bob"], "count": 1})
        );
    }
}

#[tokio::test]
async fn refusals_are_told_and_unknown_commands_end_the_connection() {
    for runtime in RUNTIMES {
        let (_running, url) = start(env!("CARGO_BIN_EXE_rooms"), runtime);
        let refused = sansws_tokio::connect(&format!("{url}/"), ConnectOptions::default()).await;
        let Err(Error::Refused(response)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(response.status, 401);
        let mut ada = Client::connect(&format!("{url}/?name=ada")).await;
        let refused = [
            say("tea", "not in"),
            json!({"do": "history", "room": "tea", "limit": 2}),
            json!({"do": "join", "room": ""}),
            json!({"do": "join", "room": "a\nb"}),
            json!({"do": "join", "room": "tea", "since": "yesterday"}),
            json!({"do": "tell", "who": "bob", "text": "a".repeat(2001)}),
        ];
        for command in refused {
            ask(&mut ada, command, "error").await;
        }
        for number in 0..127 {
            let join = json!({"do": "join", "room": format!("r{number}")});
            ask(&mut ada, join, "joined").await;
        }
        let (error, _) = ask(&mut ada, json!({"do": "join", "room": "r127"}), "joined").await;
        assert_eq!(error["joined"], "r127");
        let (error, _) = ask(&mut ada, json!({"do": "join", "room": "more"}), "error").await;
        let why = error["error"].as_str().unwrap();
        assert!(
            why.starts_with("the channel is in too many groups"),
            "{why}"
        );
        for wrong in [json!({"do": "fly"}), json!({"do": "say"}), json!(7)] {
            let mut client = Client::connect(&format!("{url}/?name=eve")).await;
            client.send(wrong.to_string()).await;
            assert_eq!(client.end().await.0, 1007);
        }
    }
}
