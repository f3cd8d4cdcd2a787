//! Events, requests and replies: peers that are no library hear the same bytes from each adapter that speaks them.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};

use sansws_async::{Error, ServerHandle};

use super::scripts::{frame, upgrade};
use super::servers::{End, Peer};
use super::{Adapter, on_each};

/// Serves an application that asks and is asked; the adapters differ in `await` alone.
fn serve(adapter: Adapter, tell: &Sender<(SocketAddr, ServerHandle)>) -> Result<(), Error> {
    macro_rules! handler {
        ($ws:ident, $socket:expr $(, $wait:tt)?) => {{
            let mut events = $ws::app::EventSocket::new($socket);
            while let Some(event) = events.next()$(.$wait)?? {
                match event.name() {
                    "mirror" => {
                        let (x, y): (i64, i64) = events.data(&event)?;
                        events.reply(&event, &(y, x))$(.$wait)??;
                    }
                    "nothing" => events.reply(&event, &())$(.$wait)??,
                    "back" => {
                        let answer: Result<String, $ws::app::RequestRefused> =
                            events.request("name", &1)$(.$wait)??;
                        let answer = answer.map_err(|refused| refused.reason);
                        events.emit("hello", &answer)$(.$wait)??;
                    }
                    _ => events.refuse(&event, "unknown event")$(.$wait)??,
                }
            }
            Ok(())
        }};
    }
    macro_rules! on_runtime {
        ($ws:ident) => {
            async move {
                let handler = async |upgrade: $ws::Upgrade| -> $ws::Result {
                    handler!($ws, upgrade.accept().await?, await)
                };
                let listener = $ws::Listener::bind("127.0.0.1:0").await?;
                let mut server = $ws::Server::new(listener);
                tell.send((server.local_addr()?, server.handle())).unwrap();
                server.serve(handler).await
            }
        };
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => crate::runtimes::on_smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => {
            let handler = |upgrade: sansws_std::Upgrade| -> sansws_std::Result {
                handler!(sansws_std, upgrade.accept()?)
            };
            let listener = sansws_std::Listener::bind("127.0.0.1:0")?;
            let mut server = sansws_std::Server::new(listener);
            tell.send((server.local_addr()?, server.handle())).unwrap();
            server.serve(handler)
        }
        // It has none.
        Adapter::Mio => Ok(()),
    }
}

/// What a peer says, the texts that it hears, and the code that ends the connection.
fn conversations() -> Vec<(Vec<String>, Vec<&'static str>, u16)> {
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(ToString::to_string).collect() };
    let asked = r#"{"event":"name","id":1,"data":1}"#;
    let mut all = vec![
        (
            texts(&[
                r#"{"event":"mirror","id":7,"data":[1,2]}"#,
                r#"{"event":"mirror","data":[1,2]}"#,
                r#"{"event":"nothing","id":8}"#,
                r#"{"event":"fly","id":9,"data":1,"more":{}}"#,
                r#"{"event":"fly"}"#,
                r#"{"reply":99,"data":1}"#,
            ]),
            vec![
                r#"{"reply":7,"data":[2,1]}"#,
                r#"{"reply":8,"data":null}"#,
                r#"{"reply":9,"error":"unknown event"}"#,
            ],
            1000,
        ),
        (
            texts(&[
                r#"{"event":"back"}"#,
                r#"{"event":"nothing","id":5}"#,
                r#"{"reply":2,"data":"another"}"#,
                r#"{"reply":1,"data":"Ada"}"#,
            ]),
            vec![
                asked,
                r#"{"event":"hello","data":{"Ok":"Ada"}}"#,
                r#"{"reply":5,"data":null}"#,
            ],
            1000,
        ),
        (
            texts(&[r#"{"event":"back"}"#, r#"{"reply":1,"error":"no name"}"#]),
            vec![asked, r#"{"event":"hello","data":{"Err":"no name"}}"#],
            1000,
        ),
        // It leaves before it has answered.
        (texts(&[r#"{"event":"back"}"#]), vec![asked], 1000),
        (
            texts(&[r#"{"event":"back"}"#, r#"{"reply":1,"data":2}"#]),
            vec![asked],
            1007,
        ),
    ];
    for no_event in [
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
        all.push((texts(&[no_event]), Vec::new(), 1007));
    }
    let mut flood = texts(&[r#"{"event":"back"}"#]);
    flood.extend((0..257).map(|_| String::from(r#"{"event":"nothing"}"#)));
    all.push((flood, vec![asked], 1008));
    let mut flood = texts(&[r#"{"event":"back"}"#]);
    let long = format!(r#"{{"event":"long","data":"{}"}}"#, "x".repeat(400_000));
    flood.extend((0..3).map(|_| long.clone()));
    all.push((flood, vec![asked], 1008));
    all
}

/// Returns what a server says to these messages, behind the head of its answer, until it ends.
fn hear(address: SocketAddr, says: &[String], wants: &[&str], code: u16) -> (Vec<u8>, End) {
    let mut peer = Peer::connect(address, None);
    peer.write_all(upgrade("/").as_bytes()).unwrap();
    for text in says {
        peer.write_all(&frame(0x81, text.as_bytes())).unwrap();
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    // What is said to a peer that has closed is lost.
    let length = wants.iter().map(|want| want.len() + 2).sum();
    let mut heard = vec![0; length];
    peer.read_exact(&mut heard).unwrap();
    if code != 1000 {
        let mut close = [0; 2];
        peer.read_exact(&mut close).unwrap();
        heard.extend(close);
    }
    peer.write_all(&frame(0x88, &1000u16.to_be_bytes()))
        .unwrap();
    let (rest, end) = peer.rest();
    heard.extend(rest);
    (heard, end)
}

#[test]
fn events_requests_and_replies_are_the_same_on_the_wire() {
    let conversations = conversations();
    let heard = on_each(|adapter| {
        if adapter == Adapter::Mio {
            return None;
        }
        let (tell, told) = channel();
        let server = std::thread::spawn(move || serve(adapter, &tell));
        let (address, handle) = told.recv().unwrap();
        let heard: Vec<_> = conversations
            .iter()
            .map(|(says, wants, code)| hear(address, says, wants, *code))
            .collect();
        handle.close();
        server.join().unwrap().unwrap();
        // No handler has failed: its peers have.
        assert_eq!(handle.metrics().handlers_failed, 0, "{adapter:?}");
        Some(heard)
    });
    let (_, Some(first)) = &heard[0] else {
        panic!("tokio has heard nothing");
    };
    for ((says, wants, code), (bytes, _)) in conversations.iter().zip(first) {
        let mut want = Vec::new();
        for text in wants {
            want.extend([0x81, u8::try_from(text.len()).unwrap()]);
            want.extend(text.as_bytes());
        }
        let (texts, close) = bytes.split_at(want.len());
        assert_eq!(texts, want, "{says:?}");
        let (found, _) = close.split_at(4);
        assert_eq!(found[0], 0x88, "{says:?}");
        assert_eq!(found[2..], code.to_be_bytes(), "{says:?}");
    }
    for (adapter, heard) in &heard[1..] {
        let Some(heard) = heard else { continue };
        for ((says, ..), (heard, want)) in conversations.iter().zip(heard.iter().zip(first)) {
            assert_eq!(heard, want, "{adapter:?} {says:?}");
        }
    }
}
