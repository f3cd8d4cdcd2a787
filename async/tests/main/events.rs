//! Rules of events, requests and replies, one in each test.

use crate::support;

use sansws_async::app::{EventSocket, RequestRefused};
use sansws_async::test_kit::MemoryTransport;
use sansws_async::{HandlerError, Result};
use serde::{Deserialize, Serialize};
use support::app::{Routes, Up, run, serve};

type Events = EventSocket<MemoryTransport>;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: i64,
}

/// Handles events until the connection ends.
async fn calculator(upgrade: Up) -> Result {
    let mut events = EventSocket::new(upgrade.accept().await?);
    while let Some(event) = events.next().await? {
        match event.name() {
            "mirror" => {
                let Point { x, y } = events.data(&event)?;
                events.reply(&event, &Point { x: y, y: x }).await?;
            }
            "nothing" => events.reply(&event, &()).await?,
            "back" => {
                let answer: Result<String, RequestRefused> = events.request("name", &1).await?;
                events
                    .emit("hello", &answer.map_err(|no| no.reason))
                    .await?;
            }
            _ => events.refuse(&event, "unknown event").await?,
        }
    }
    Ok(())
}

fn routes() -> Routes {
    Routes::new().route("/", calculator)
}

#[test]
fn requests_are_replied_to_and_events_are_not() {
    run(async {
        let server = serve(routes());
        let mut socket = server.connect("/").await?;
        for (send, want) in [
            (
                r#"{"event":"mirror","id":7,"data":{"x":1,"y":2}}"#,
                Some(r#"{"reply":7,"data":{"x":2,"y":1}}"#),
            ),
            (r#"{"event":"mirror","data":{"x":1,"y":2}}"#, None),
            (
                r#"{"event":"nothing","id":8}"#,
                Some(r#"{"reply":8,"data":null}"#),
            ),
            (
                r#"{"event":"fly","id":9,"data":1,"more":{}}"#,
                Some(r#"{"reply":9,"error":"unknown event"}"#),
            ),
            (r#"{"event":"fly"}"#, None),
            // A late reply.
            (r#"{"reply":99,"data":1}"#, None),
        ] {
            socket.send_text(send).await?;
            if let Some(want) = want {
                socket.expect_text(want).await;
            }
        }
        socket.close(1000, "").await?;
        Ok::<_, HandlerError>(())
    });
}

#[test]
fn the_server_asks_too_and_keeps_events_that_come_before_the_reply() {
    run(async {
        let server = serve(routes());
        for (reply, want) in [
            (
                r#""data":"Ada""#,
                r#"{"event":"hello","data":{"Ok":"Ada"}}"#,
            ),
            (
                r#""error":"no name""#,
                r#"{"event":"hello","data":{"Err":"no name"}}"#,
            ),
        ] {
            let mut socket = server.connect("/").await?;
            socket.send_text(r#"{"event":"back"}"#).await?;
            socket
                .expect_text(r#"{"event":"name","id":1,"data":1}"#)
                .await;
            socket.send_text(r#"{"event":"nothing","id":5}"#).await?;
            socket
                .send_text(format!(r#"{{"reply":1,{reply}}}"#))
                .await?;
            socket.expect_text(want).await;
            socket.expect_text(r#"{"reply":5,"data":null}"#).await;
        }
        Ok::<_, HandlerError>(())
    });
}

#[test]
fn messages_that_are_no_events_close_with_1007() {
    run(async {
        let server = serve(routes());
        for text in [
            "nonsense",
            "[]",
            r#"["nothing"]"#,
            r#"{"event":"nothing","event":"nothing"}"#,
            "{}",
            r#"{"event":1}"#,
            r#"{"event":"a","reply":1}"#,
            r#"{"reply":1,"id":2,"event":"x"}"#,
            r#"{"event":"mirror","id":1,"data":{"x":1}}"#,
            r#"{"event":"mirror","id":1}"#,
            r#"{"event":"mirror","id":-1}"#,
        ] {
            let mut socket = server.connect("/").await?;
            socket.send_text(text).await?;
            socket.expect_close(1007).await;
        }
        Ok::<_, HandlerError>(())
    });
}

#[test]
fn a_peer_that_floods_before_its_reply_is_closed_with_1008() {
    run(async {
        let server = serve(routes());
        let mut socket = server.connect("/").await?;
        socket.send_text(r#"{"event":"back"}"#).await?;
        socket
            .expect_text(r#"{"event":"name","id":1,"data":1}"#)
            .await;
        for _ in 0..257 {
            socket.send_text(r#"{"event":"nothing"}"#).await?;
        }
        socket.expect_close(1008).await;
        // Few, but long.
        let mut socket = server.connect("/").await?;
        socket.send_text(r#"{"event":"back"}"#).await?;
        socket
            .expect_text(r#"{"event":"name","id":1,"data":1}"#)
            .await;
        let long = "x".repeat(400_000);
        for _ in 0..3 {
            let text = format!(r#"{{"event":"long","data":"{long}"}}"#);
            socket.send_text(text).await?;
        }
        socket.expect_close(1008).await;
        Ok::<_, HandlerError>(())
    });
}

#[test]
fn the_text_of_an_event_can_be_published() {
    let text = Events::text("moved", &Point { x: 1, y: 2 }).unwrap();
    assert_eq!(text, r#"{"event":"moved","data":{"x":1,"y":2}}"#);
}
