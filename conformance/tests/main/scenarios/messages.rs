//! Messages of our client to each server and back: sizes, pieces, pings, halves, JSON.

use sansws_async::{ConnectOptions, Error, Result, Transport, WebSocket};
use sansws_core::frame::MessageKind;
use sansws_core::message::{Message, PreparedMessage};
use smol::future::zip;
use smol::stream::StreamExt as _;

use crate::support::data::{SIZES, noise, text as words};
use crate::support::runtime::Runtime;
use crate::support::side::{Options, Side, against};

crate::support::each_server!(
    text, binary, pieces_out, pieces_in, pings, halves, json, prepared, stream
);

/// Sends a message; the same must come back.
pub async fn echo<T: Transport>(socket: &mut WebSocket<T>, message: impl Into<Message>) -> Result {
    let message = message.into();
    socket.send(message.clone()).await?;
    let echo = socket.receive().await?;
    // Not by assert_eq: megabytes would be printed.
    assert!(
        echo.as_ref() == Some(&message),
        "{:?} of {} octets came back as {:?} of {:?}",
        message.kind(),
        message.len(),
        echo.as_ref().map(Message::kind),
        echo.as_ref().map(Message::len),
    );
    Ok(())
}

/// Closes with 1000; both must agree.
pub async fn finish<T: Transport>(mut socket: WebSocket<T>) -> Result {
    let closed = socket.close(1000, "").await?;
    let closed = closed.map(|closed| (closed.code(), closed.clean));
    assert_eq!(closed, Some((1000, true)));
    Ok(())
}

fn text<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        for size in SIZES {
            echo(&mut socket, words(size)).await?;
        }
        for text in ["a\0b", "\u{feff}mark", "\u{10ffff}", "👩‍👩‍👧"] {
            echo(&mut socket, text).await?;
        }
        finish(socket).await
    });
}

fn binary<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        for size in SIZES {
            echo(&mut socket, noise(size)).await?;
        }
        finish(socket).await
    });
}

fn pieces_out<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;

        let string = words(1000);
        let mut writer = socket.send_stream(MessageKind::Text);
        for character in string.chars() {
            writer
                .write(character.encode_utf8(&mut [0; 4]) as &str)
                .await?;
        }
        writer.finish().await?;
        assert_eq!(socket.receive_text().await?, Some(string));

        // Large pieces, with an empty one among them.
        let bytes = noise(70_000);
        let mut writer = socket.send_stream(MessageKind::Binary);
        for piece in [bytes.as_slice(), &[], &bytes] {
            writer.write(piece).await?;
        }
        writer.finish().await?;
        let echo = socket.receive_bytes().await?;
        assert!(echo == Some(bytes.repeat(2)), "another message came back");

        // No piece at all.
        socket.send_stream(MessageKind::Text).finish().await?;
        assert_eq!(socket.receive_text().await?.as_deref(), Some(""));
        finish(socket).await
    });
}

fn pieces_in<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/fragments"), ConnectOptions::default()).await?;
        let whole = socket.receive_text().await?;
        assert_eq!(whole.as_deref(), Some("one two three"));
        finish(socket).await?;

        let mut socket = R::connect(&server.url("/fragments"), ConnectOptions::default()).await?;
        assert_eq!(
            pieces(&mut socket).await?,
            (MessageKind::Text, b"one two three".to_vec())
        );
        // A large one, unfragmented, arrives in pieces too.
        let bytes = noise(1 << 20);
        socket.send_bytes(bytes.as_slice()).await?;
        let (kind, all) = pieces(&mut socket).await?;
        assert!(
            kind == MessageKind::Binary && all == bytes,
            "another message"
        );
        // A reader that is dropped leaves its message, not the next.
        socket.send_bytes(bytes).await?;
        let reader = socket.receive_stream().await?;
        assert_eq!(
            reader.map(|reader| reader.kind()),
            Some(MessageKind::Binary)
        );
        echo(&mut socket, "next").await?;
        finish(socket).await
    });
}

async fn pieces<T: Transport>(socket: &mut WebSocket<T>) -> Result<(MessageKind, Vec<u8>)> {
    let Some(mut reader) = socket.receive_stream().await? else {
        panic!("the end instead of a message");
    };
    let (kind, mut all) = (reader.kind(), Vec::new());
    while let Some(piece) = reader.next().await? {
        assert_eq!(piece.kind(), kind);
        all.extend_from_slice(piece.as_bytes());
    }
    assert!(reader.next().await?.is_none(), "a piece after the last");
    Ok((kind, all))
}

fn pings<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        // The server says so once our automatic pong has come.
        let mut socket = R::connect(&server.url("/ping"), ConnectOptions::default()).await?;
        assert_eq!(socket.receive_text().await?.as_deref(), Some("pong ok"));
        for bytes in [vec![], b"payload".to_vec(), noise(125)] {
            socket.ping(bytes).await?;
            echo(&mut socket, "still here").await?;
        }
        assert!(socket.ping(noise(126)).await.is_err());
        finish(socket).await
    });
}

fn halves<R: Runtime>(side: Side) {
    const COUNT: usize = 2000;
    against::<R>(side, &Options::default(), async |server| {
        let socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        let (mut reader, mut writer) = socket.split();
        let sending = async {
            for n in 0..COUNT {
                writer.send_text(format!("message {n}")).await?;
            }
            writer.flush().await
        };
        let receiving = async {
            for n in 0..COUNT {
                let text = reader.receive_text().await?;
                assert_eq!(text, Some(format!("message {n}")));
            }
            Ok::<_, Error>(())
        };
        let (sent, received) = zip(sending, receiving).await;
        sent.and(received)?;
        let Ok(socket) = reader.reunite(writer) else {
            panic!("halves of one connection do not fit");
        };
        finish(socket).await
    });
}

fn json<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        let value = serde_json::json!({ "a": [1, 2, 3], "b": "ü" });
        socket.send_json(&value).await?;
        let got: Option<serde_json::Value> = socket.receive_json().await?;
        assert_eq!(got, Some(value));
        socket.send_bytes("{").await?;
        let got = socket.receive_json::<serde_json::Value>().await;
        assert!(matches!(got, Err(Error::Json(_))), "{got:?}");
        socket.send_text("text").await?;
        let got = socket.receive_bytes().await;
        assert!(matches!(got, Err(Error::WrongKind(_))), "{got:?}");
        finish(socket).await
    });
}

fn prepared<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        for size in [0, 126, 70_000] {
            let (string, bytes) = (words(size), noise(size));
            let both = [
                PreparedMessage::new(string.as_str()),
                PreparedMessage::new(bytes.as_slice()),
            ];
            for prepared in &both {
                socket.send_prepared(prepared).await?;
            }
            assert!(socket.receive_text().await? == Some(string));
            assert!(socket.receive_bytes().await? == Some(bytes));
        }
        finish(socket).await
    });
}

/// As a `Stream`: messages, then the end.
fn stream<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/close/1000/"), ConnectOptions::default()).await?;
        assert!(socket.next().await.is_none());
        let mut socket = R::connect(&server.url("/close/4001/"), ConnectOptions::default()).await?;
        let end = socket.next().await;
        assert!(matches!(end, Some(Err(Error::Disconnect(_)))), "{end:?}");
        assert!(socket.next().await.is_none());
        let mut socket = R::connect(&server.url("/fragments"), ConnectOptions::default()).await?;
        let message = socket.next().await.transpose()?;
        assert_eq!(message, Some(Message::from("one two three")));
        finish(socket).await
    });
}
