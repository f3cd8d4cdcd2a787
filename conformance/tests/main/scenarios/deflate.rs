//! permessage-deflate of our client with each server; what is saved is seen on the wire.

use sansws_async::{ConnectOptions, Result};
use sansws_core::config::{Config, Deflate};
use sansws_core::frame::MessageKind;
use sansws_core::message::PreparedMessage;

use super::messages::{echo, finish};
use crate::support::data::{noise, text};
use crate::support::relay::Relay;
use crate::support::runtime::Runtime;
use crate::support::side::{Compression, Options, Server, Side, against};

crate::support::each_server!(
    with_takeover,
    refused_takeover,
    small_windows,
    off,
    on_the_wire
);

fn dial(deflate: Deflate) -> ConnectOptions {
    ConnectOptions::default().config(Config {
        deflate: Some(deflate),
        ..Config::default()
    })
}

const fn deflate(own_takeover: bool, peer_takeover: bool, bits: u8) -> Deflate {
    Deflate {
        own_takeover,
        // Both ways to keep what the next message refers to.
        own_history: if bits.is_multiple_of(2) {
            None
        } else {
            Some(4096)
        },
        peer_takeover,
        own_window_bits: bits,
        peer_window_bits: bits,
        threshold: 0,
        level: 3,
    }
}

/// Messages of many kinds, twice, so that a window that is kept is used.
async fn exchange<R: Runtime>(server: &Server, deflate: Deflate) -> Result {
    let mut socket = R::connect(&server.url("/"), dial(deflate)).await?;
    assert!(socket.is_deflated());
    for _ in 0..2 {
        for size in [0, 1, 125, 126, 70_000] {
            echo(&mut socket, text(size)).await?;
            echo(&mut socket, noise(size)).await?;
        }
    }
    let string = text(10_000);
    let prepared = PreparedMessage::new(string.as_str());
    for prepared in [prepared.clone(), prepared.deflated(6, 9)] {
        socket.send_prepared(&prepared).await?;
        assert!(socket.receive_text().await?.as_ref() == Some(&string));
    }
    finish(socket).await?;

    let mut socket = R::connect(&server.url("/fragments"), dial(thrifty(&string))).await?;
    assert_eq!(
        socket.receive_text().await?.as_deref(),
        Some("one two three")
    );
    let mut writer = socket.send_stream(MessageKind::Text);
    for piece in [string.as_str(), "", &string] {
        writer.write(piece).await?;
    }
    writer.finish().await?;
    assert!(socket.receive_text().await? == Some(string.repeat(2)));
    finish(socket).await
}

/// The defaults, but for a threshold that leaves the message uncompressed.
fn thrifty(message: &str) -> Deflate {
    Deflate {
        threshold: message.len() + 1,
        ..Deflate::default()
    }
}

fn with_takeover<R: Runtime>(side: Side) {
    let options = Options {
        compression: Compression::On,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        for (own, peer) in [(true, true), (false, false), (true, false), (false, true)] {
            exchange::<R>(server, deflate(own, peer, 15)).await?;
        }
        Ok(())
    });
}

fn refused_takeover<R: Runtime>(side: Side) {
    let options = Options {
        compression: Compression::NoTakeover,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        exchange::<R>(server, deflate(true, true, 15)).await?;
        exchange::<R>(server, deflate(false, false, 15)).await
    });
}

fn small_windows<R: Runtime>(side: Side) {
    // Of the client: the server must keep to them.
    let options = Options {
        compression: Compression::On,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        exchange::<R>(server, deflate(true, true, 9)).await?;
        exchange::<R>(server, deflate(true, true, 12)).await
    });
    // Of the server: the client must.
    let options = Options {
        window_bits: Some(10),
        ..options
    };
    against::<R>(side, &options, async |server| {
        exchange::<R>(server, deflate(true, true, 15)).await?;
        exchange::<R>(server, deflate(false, false, 10)).await
    });
}

fn off<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/"), dial(Deflate::default())).await?;
        assert!(!socket.is_deflated());
        echo(&mut socket, text(100_000)).await?;
        finish(socket).await
    });
    // The server would, we do not offer.
    let options = Options {
        compression: Compression::On,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        assert!(!socket.is_deflated());
        echo(&mut socket, text(100_000)).await?;
        finish(socket).await
    });
}

/// Sends the same noise ten times; whether the octets were few, from the client and from the server.
async fn is_small<R: Runtime>(server: &Server, deflate: Deflate) -> Result<(bool, bool)> {
    const LENGTH: usize = 3_000;
    const TIMES: usize = 10;
    let relay = Relay::start(server.port);
    let url = format!("ws://127.0.0.1:{}/", relay.port());
    let mut socket = R::connect(&url, dial(deflate)).await?;
    for _ in 0..TIMES {
        echo(&mut socket, noise(LENGTH)).await?;
    }
    let (up, down) = relay.counts();
    finish(socket).await?;
    let is_small = |bytes: usize| {
        assert!(!(3 * LENGTH..TIMES * LENGTH).contains(&bytes), "{bytes}");
        bytes < 3 * LENGTH
    };
    Ok((is_small(up), is_small(down)))
}

/// Only a kept window of more than its length makes noise small.
fn on_the_wire<R: Runtime>(side: Side) {
    let options = Options {
        compression: Compression::On,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        for (own, peer) in [(true, true), (false, false), (true, false), (false, true)] {
            let small = is_small::<R>(server, deflate(own, peer, 15)).await?;
            assert_eq!(small, (own, peer), "takeover of ours and of the server's");
        }
        let small = is_small::<R>(server, deflate(true, true, 10)).await?;
        assert_eq!(small, (false, false), "windows of 1 KiB");
        Ok(())
    });
    let options = Options {
        compression: Compression::NoTakeover,
        ..Options::default()
    };
    against::<R>(side, &options, async |server| {
        let small = is_small::<R>(server, deflate(true, true, 15)).await?;
        assert_eq!(small, (false, false), "a server that refuses takeover");
        Ok(())
    });
}
