//! The chat: who is there, what is said, what those who come back get, who is refused, and that nobody waits for a slow member.

use crate::support::{Client, Running, start};
use sansws_tokio::{ConnectOptions, Stream, Tcp, Url, client};
use serde_json::{Value, json};

fn chat(runtime: &str) -> (Running, String) {
    start(env!("CARGO_BIN_EXE_chat"), runtime)
}

/// Joins a room; the lines that come first, and how it was welcomed.
async fn back(url: &str, room: &str, name: &str, since: &str) -> (Client, Vec<Value>, Value) {
    let since = match since {
        "" => String::new(),
        since => format!("&since={since}"),
    };
    let mut client = Client::connect(&format!("{url}/chat/{room}?name={name}{since}")).await;
    let mut lines = Vec::new();
    loop {
        let next = client.next().await;
        match next["kind"].as_str() {
            Some("said") => lines.push(next),
            // Its own coming is no news to it: the list it is welcomed with has it.
            Some("people") => {}
            _ => {
                assert_eq!(next["kind"], "welcome");
                return (client, lines, next);
            }
        }
    }
}

async fn join(url: &str, room: &str, name: &str) -> (Client, Value) {
    let (client, _, welcome) = back(url, room, name, "").await;
    (client, welcome)
}

/// The next line that is said, or the next answer; who comes and goes is passed over.
async fn heard(client: &mut Client) -> Value {
    loop {
        let next = client.next().await;
        if next["kind"] != "people" {
            return next;
        }
    }
}

/// The next change of the list of people.
async fn moved(client: &mut Client) -> Value {
    let next = client.next().await;
    assert_eq!(next["kind"], "people", "{next}");
    json!([next["joined"], next["left"]])
}

fn say(text: &str) -> String {
    json!({"kind": "say", "text": text}).to_string()
}

fn texts(lines: &[Value]) -> Vec<&str> {
    let texts = lines.iter().map(|said| said["line"]["text"].as_str());
    texts.map(Option::unwrap).collect()
}

#[tokio::test]
async fn people_join_talk_and_leave() {
    for runtime in ["tokio", "smol", "mio"] {
        let (_running, url) = chat(runtime);
        let (mut ada, welcome) = join(&url, "lobby", "ada").await;
        assert_eq!(welcome["people"], json!(["ada"]));
        assert_eq!(
            (&welcome["complete"], &welcome["version"]),
            (&json!(true), &json!(1))
        );
        let (mut bob, welcome) = join(&url, "lobby", "B%C3%B6b").await;
        assert_eq!(welcome["people"], json!(["Böb", "ada"]));
        assert_eq!(moved(&mut ada).await, json!([["Böb"], []]));
        bob.send(say("Grüße")).await;
        ada.send(say("again")).await;
        let mut lines = Vec::new();
        for client in [&mut ada, &mut bob] {
            lines.push([client.next().await, client.next().await]);
        }
        assert_eq!(lines[0], lines[1]);
        let mut said = lines.remove(0).map(|said| said["line"].clone());
        said.sort_by_key(|line| line["from"].to_string());
        assert_eq!(said[1], json!({"from": "ada", "text": "again", "id": ""}));
        // Another room hears nothing of it, and remembers nothing.
        let (_carl, lines, _) = back(&url, "tea", "carl", "").await;
        assert_eq!(lines.len(), 0);
        // Clients with one name are one person.
        let (mut again, welcome) = join(&url, "lobby", "ada").await;
        assert_eq!(welcome["people"], json!(["Böb", "ada"]));
        ada.0.close(1000, "").await.unwrap();
        again.send(say("still here")).await;
        assert_eq!(bob.next().await["line"]["text"], "still here");
        again.0.close(1000, "").await.unwrap();
        // A client that comes back soon was never away; one that vanishes leaves too.
        let (again, _) = join(&url, "lobby", "ada").await;
        drop(again);
        assert_eq!(moved(&mut bob).await, json!([[], ["ada"]]));
    }
}

#[tokio::test]
async fn a_returning_client_gets_missed_messages_once_and_in_order() {
    for runtime in ["tokio", "smol", "mio"] {
        let (_running, url) = chat(runtime);
        let (mut ada, welcome) = join(&url, "lobby", "ada").await;
        let start = welcome["position"].as_str().unwrap().to_owned();
        let mut position = String::new();
        for number in 0..60 {
            ada.send(say(&number.to_string())).await;
            let said = ada.next().await;
            assert_eq!(said["line"]["text"], number.to_string());
            assert!(said["at"].as_u64() > Some(1_600_000_000_000), "{said}");
            if number == 39 {
                position = said["position"].as_str().unwrap().into();
            }
        }
        let all: Vec<String> = (0..60).map(|number| number.to_string()).collect();
        let (_, welcome) = join(&url, "lobby", "ada").await;
        let newest = welcome["position"].as_str().unwrap().to_owned();
        let epoch = start.split('-').next().unwrap();
        let cases = [
            (position.as_str(), 40, true),
            (&start, 0, true),
            ("", 0, true),
            (&newest, 60, true),
            // Of another time, as after a restart: all that is kept is new.
            ("00000000000000ff-7", 0, false),
            (&format!("{epoch}-1000"), 60, false),
        ];
        for (since, first, complete) in cases {
            let (_, lines, welcome) = back(&url, "lobby", "bob", since).await;
            assert_eq!(texts(&lines), all[first..], "{since}");
            assert_eq!(welcome["complete"], complete, "{since}");
            assert_eq!(welcome["position"], newest, "{since}");
        }
        // More than are kept.
        for number in 60..150 {
            let text = number.to_string();
            ada.send(say(&text)).await;
            while heard(&mut ada).await["line"]["text"] != *text {}
        }
        let (_, lines, welcome) = back(&url, "lobby", "bob", &position).await;
        let last: Vec<String> = (50..150).map(|number| number.to_string()).collect();
        assert_eq!(
            (texts(&lines), &welcome["complete"]),
            (last.iter().map(|text| &**text).collect(), &json!(false))
        );
        let mut wrong = Client::connect(&format!("{url}/chat/lobby?name=bob&since=x")).await;
        assert_eq!(wrong.end().await.0, 1008);
    }
}

#[tokio::test]
async fn a_message_repeated_with_its_id_is_published_once() {
    for runtime in ["tokio", "smol", "mio"] {
        let (_running, url) = chat(runtime);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        let (mut bob, _) = join(&url, "lobby", "bob").await;
        let line = json!({"kind": "say", "text": "Hello", "id": "7"}).to_string();
        ada.send(&*line).await;
        assert_eq!(heard(&mut ada).await["line"]["id"], "7");
        let (mut again, _) = join(&url, "lobby", "ada").await;
        again.send(&*line).await;
        assert_eq!(heard(&mut again).await, json!({"kind": "again", "id": "7"}));
        // The ids of another are his own.
        bob.send(line).await;
        for from in ["ada", "bob"] {
            assert_eq!(heard(&mut bob).await["line"]["from"], from);
        }
    }
}

#[tokio::test]
async fn names_and_rooms_are_bounded() {
    for runtime in ["tokio", "smol", "mio"] {
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
        let (_one, welcome) = join(&url, &room, &format!("%20{long}%20")).await;
        assert_eq!(welcome["people"], json!([long]));
        let (_two, welcome) = join(&url, "%C3%A4_-7", "ada").await;
        assert_eq!(welcome["people"], json!(["ada"]));
    }
}

#[tokio::test]
async fn a_room_and_a_house_can_be_full() {
    for runtime in ["tokio", "smol", "mio"] {
        let (_running, url) = chat(runtime);
        let mut inside = Vec::new();
        for number in 0..100 {
            inside.push(join(&url, "lobby", &format!("p{number}")).await);
        }
        let mut late = Client::connect(&format!("{url}/chat/lobby?name=late")).await;
        assert_eq!(late.end().await, (1013, "the room is full".into()));
        // A room is there while somebody is in it.
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
    for runtime in ["tokio", "smol", "mio"] {
        let (_running, url) = chat(runtime);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        let longest = "ä".repeat(2000);
        for wrong in [say(""), say(" \n"), say(&format!("{longest}a"))] {
            ada.send(wrong).await;
            let want = json!({"kind": "error", "id": "", "text": "a text is 1 to 2000 characters"});
            assert_eq!(heard(&mut ada).await, want);
        }
        for wrong in [r#"{"kind":"shout","text":"a"}"#, r#"{"kind":"say"}"#, "[]"] {
            ada.send(wrong).await;
            assert_eq!(heard(&mut ada).await["kind"], "error");
        }
        ada.send(say(&longest)).await;
        assert_eq!(heard(&mut ada).await["line"]["text"], *longest);
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
    for runtime in ["tokio", "smol", "mio"] {
        let (_running, url) = chat(runtime);
        let (mut ada, _) = join(&url, "lobby", "ada").await;
        let (mut bob, _) = join(&url, "lobby", "bob").await;
        assert_eq!(moved(&mut ada).await, json!([["bob"], []]));
        // He reads nothing, and the system keeps little for him.
        let mut slow = slow(&url).await;
        for client in [&mut ada, &mut bob] {
            assert_eq!(moved(client).await, json!([["slow"], []]));
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
        assert_eq!(left["left"], json!(["slow"]));
        // Messages under way come, and then the client is told.
        assert_eq!(slow.end().await, (1013, "too slow".into()));
        ada.send(say("still here")).await;
        while bob.next().await["line"]["text"] != "still here" {}
    }
}

/// A member whose socket takes little, and who reads nothing.
async fn slow(url: &str) -> Client {
    let url: Url = format!("{url}/chat/lobby?name=slow").parse().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = format!("{}:{}", url.host(), url.port()).parse().unwrap();
    let tcp = Tcp::new(socket.connect(address).await.unwrap()).unwrap();
    let connecting = client::connect_over(Stream::Tcp(tcp), &url, ConnectOptions::default());
    Client(connecting.await.unwrap())
}

/// A client that sends much at once: the others have the time to take it, and none of them is closed.
#[tokio::test]
async fn a_flood_shows_nobody_out_who_reads() {
    for runtime in ["tokio", "smol", "mio"] {
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
            assert_eq!(heard(&mut bob).await["line"]["text"], number.to_string());
        }
        let _halves = (saying.await.unwrap(), hearing.await.unwrap());
    }
}
