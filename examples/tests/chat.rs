//! The chat: who joins, what is said, who is refused, and that nobody waits for a slow member.

mod support;

use sansws_tokio::{Dial, Stream, Url, connect_over};
use serde_json::{Value, json};
use support::{Client, RUNTIMES, Running, start};

fn chat(runtime: &str) -> (Running, String) {
    start(env!("CARGO_BIN_EXE_chat"), runtime)
}

/// Joins a room, and says how it was welcomed.
async fn join(url: &str, room: &str, name: &str) -> (Client, Value) {
    let mut client = Client::connect(&format!("{url}/chat/{room}?name={name}")).await;
    let welcome = client.next().await;
    assert_eq!(welcome["kind"], "welcome");
    (client, welcome)
}

fn say(text: &str) -> String {
    json!({"kind": "say", "text": text}).to_string()
}

#[tokio::test]
async fn people_join_talk_and_leave() {
    for runtime in RUNTIMES {
        let (_running, url) = chat(runtime);
        let (mut ada, welcome) = join(&url, "lobby", "ada").await;
        let want = json!({"kind": "welcome", "name": "ada", "room": "lobby", "people": ["ada"], "history": []});
        assert_eq!(welcome, want);
        let (mut bob, welcome) = join(&url, "lobby", "B%C3%B6b").await;
        assert_eq!(welcome["people"], json!(["ada", "Böb"]));
        let want = json!({"kind": "joined", "name": "Böb", "people": ["ada", "Böb"]});
        assert_eq!(ada.next().await, want);
        bob.send(say("Grüße")).await;
        ada.send(say("again")).await;
        let mut lines = Vec::new();
        for client in [&mut ada, &mut bob] {
            lines.push([client.next().await, client.next().await]);
        }
        assert_eq!(lines[0], lines[1]);
        let mut said = lines.remove(0);
        said.sort_by_key(|line| line["from"].to_string());
        let (first, second) = (&said[0], &said[1]);
        assert_eq!(
            (&second["kind"], &second["from"], &second["text"]),
            (&json!("said"), &json!("ada"), &json!("again"))
        );
        assert!(first["at"] != second["at"]);
        // Another room hears nothing of it, and remembers nothing.
        let (_carl, welcome) = join(&url, "tea", "carl").await;
        assert_eq!(welcome["history"], json!([]));
        ada.0.close(1000, "").await.unwrap();
        let want = json!({"kind": "left", "name": "ada", "people": ["Böb"]});
        assert_eq!(bob.next().await, want);
        // One that vanishes leaves too.
        let (dora, _) = join(&url, "lobby", "dora").await;
        assert_eq!(bob.next().await["kind"], "joined");
        drop(dora);
        assert_eq!(bob.next().await["kind"], "left");
        drop(bob);
        let (_, welcome) = join(&url, "lobby", "eve").await;
        assert_eq!(welcome["history"].as_array().map(Vec::len), Some(2));
    }
}

#[tokio::test]
async fn a_room_remembers_fifty_lines() {
    for runtime in RUNTIMES {
        let (_running, url) = chat(runtime);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        for number in 0..60 {
            ada.send(say(&number.to_string())).await;
            assert_eq!(ada.next().await["text"], number.to_string());
        }
        let (_, welcome) = join(&url, "lobby", "bob").await;
        let history = welcome["history"].as_array().unwrap();
        assert_eq!((history.len(), &history[0]["text"]), (50, &json!("10")));
        let times: Vec<u64> = history
            .iter()
            .flat_map(|said| said["at"].as_u64())
            .collect();
        assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
    }
}

#[tokio::test]
async fn names_and_rooms_are_bounded() {
    for runtime in RUNTIMES {
        let (_running, url) = chat(runtime);
        let (long, longer) = ("n".repeat(24), "n".repeat(25));
        let (room, larger) = ("r".repeat(32), "r".repeat(33));
        let refused = [
            "lobby".to_owned(),
            "lobby?name=".into(),
            "lobby?name=%20+".into(),
            format!("lobby?name={longer}"),
            "lobby?name=a%00".into(),
            format!("{larger}?name=ada"),
            "a%20b?name=ada".into(),
            "a.b?name=ada".into(),
        ];
        for target in refused {
            let mut client = Client::connect(&format!("{url}/chat/{target}")).await;
            let (code, reason) = client.end().await;
            assert_eq!(code, 1008, "{target}");
            assert!(reason.contains("is 1 to"), "{reason}");
        }
        let (_one, welcome) = join(&url, &room, &long).await;
        assert_eq!(welcome["name"], *long);
        let (_two, welcome) = join(&url, &room, &long).await;
        assert_eq!(welcome["name"], "n".repeat(22) + "-2");
        let (_three, welcome) = join(&url, "%C3%A4_-7", "ada").await;
        assert_eq!(welcome["room"], "ä_-7");
    }
}

#[tokio::test]
async fn a_room_and_a_house_can_be_full() {
    for runtime in RUNTIMES {
        let (_running, url) = chat(runtime);
        let mut inside = Vec::new();
        for number in 0..100 {
            inside.push(join(&url, "lobby", &format!("p{number}")).await);
        }
        let mut late = Client::connect(&format!("{url}/chat/lobby?name=late")).await;
        assert_eq!(late.end().await, (1013, "the room is full".into()));
        // Rooms that were left give way to new ones, not those in which somebody is.
        for number in 0..99 {
            inside.push(join(&url, &format!("r{number}"), "ada").await);
        }
        let mut late = Client::connect(&format!("{url}/chat/new?name=late")).await;
        assert_eq!(late.end().await, (1013, "too many rooms".into()));
        let (mut last, _) = inside.pop().unwrap();
        last.0.close(1000, "").await.unwrap();
        join(&url, "new", "late").await;
    }
}

#[tokio::test]
async fn nonsense_is_answered_or_ends_the_connection() {
    for runtime in RUNTIMES {
        let (_running, url) = chat(runtime);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        let longest = "ä".repeat(2000);
        for wrong in [say(""), say(" \n"), say(&format!("{longest}a"))] {
            ada.send(wrong).await;
            let want = json!({"kind": "error", "text": "a text is 1 to 2000 characters"});
            assert_eq!(ada.next().await, want);
        }
        for wrong in [r#"{"kind":"shout","text":"a"}"#, r#"{"kind":"say"}"#, "[]"] {
            ada.send(wrong).await;
            assert_eq!(ada.next().await["kind"], "error");
        }
        ada.send(say(&longest)).await;
        assert_eq!(ada.next().await["text"], *longest);
        ada.send("{").await;
        assert_eq!(ada.end().await.0, 1007);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        ada.send(vec![1, 2]).await;
        assert_eq!(ada.end().await.0, 1003);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        ada.send(say(&"a".repeat(100_000))).await;
        assert_eq!(ada.end().await.0, 1009);
    }
}

#[tokio::test]
async fn a_slow_member_is_shown_out_and_nobody_waits_for_him() {
    for runtime in RUNTIMES {
        let (_running, url) = chat(runtime);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        let (mut bob, _) = join(&url, "lobby", "bob").await;
        assert_eq!(ada.next().await["kind"], "joined");
        // He reads nothing, and the system keeps little for him.
        let mut slow = slow(&url).await;
        for client in [&mut ada, &mut bob] {
            assert_eq!(client.next().await["kind"], "joined");
        }
        // A sign that JSON writes with six octets.
        let (line, mut lines) = (say(&"\u{1}".repeat(2000)), 0);
        let left = loop {
            assert!(lines < 10_000, "he is never shown out");
            ada.send(line.clone()).await;
            lines += 1;
            let heard = ada.next().await;
            assert_eq!(bob.next().await, heard);
            if heard["kind"] != "said" {
                break heard;
            }
        };
        assert_eq!(
            left,
            json!({"kind": "left", "name": "slow", "people": ["ada", "bob"]})
        );
        // What was on its way comes, and then he is told.
        assert_eq!(slow.end().await, (1013, "too slow".into()));
        ada.send(say("still here")).await;
        while bob.next().await["text"] != "still here" {}
    }
}

/// A member whose socket takes little, and who reads nothing.
async fn slow(url: &str) -> Client {
    let url: Url = format!("{url}/chat/lobby?name=slow").parse().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = format!("{}:{}", url.host(), url.port()).parse().unwrap();
    let stream = Stream::Tcp(socket.connect(address).await.unwrap());
    Client(connect_over(stream, &url, Dial::default()).await.unwrap())
}

/// One who says much at once: the others have the time to take it, and none of them is shown out.
#[tokio::test]
async fn a_flood_shows_nobody_out_who_reads() {
    for runtime in RUNTIMES {
        let (_running, url) = chat(runtime);
        let (ada, _) = join(&url, "lobby", "ada").await;
        let (mut bob, _) = join(&url, "lobby", "bob").await;
        let (mut read, mut write) = ada.0.split();
        let saying = tokio::spawn(async move {
            for number in 0..2_000 {
                write.send_text(say(&number.to_string())).await.unwrap();
            }
            write
        });
        let hearing = tokio::spawn(async move {
            let mut heard = 0;
            while heard < 2_001 {
                read.receive_text().await.unwrap().unwrap();
                heard += 1;
            }
            read
        });
        for number in 0..2_000 {
            assert_eq!(bob.next().await["text"], number.to_string());
        }
        let _halves = (saying.await.unwrap(), hearing.await.unwrap());
    }
}
