//! Beside axum.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::future::or;
use serde_json::json;

use super::{end, run, serve, text, value, visit};
use crate::sansws::{
    Config, ConnectOptions, ConnectionPolicy, Deflate, Limits, Result, Route, Router, Upgrade,
    connect, sleep,
};

#[test]
fn a_handler() {
    // ours: axum-handler
    async fn echo(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok(())
    }

    let app = Router::new().route("/ws", echo);
    // end
    run(async {
        let mut client = visit(app, "/ws").await?;
        client.send_text("a").await?;
        assert_eq!(text(&mut client).await, "a");
        Ok(())
    });
}

#[test]
fn extractors() {
    // ours: axum-state
    struct Visits(AtomicU64);

    async fn chat(upgrade: Upgrade) -> Result {
        let (room, peer) = (upgrade.param::<String>("room")?, upgrade.client_addr());
        let visits = upgrade.state::<Visits>()?;
        let name = upgrade.query_value("name").unwrap_or_default().into_owned();
        let mut socket = upgrade.accept().await?;
        let visit = visits.0.fetch_add(1, Ordering::Relaxed);
        Ok(socket.send_json(&json!([room, name, visit, peer])).await?)
    }

    let app = Router::new()
        .route("/chat/{room}", chat)
        .state(Visits(AtomicU64::new(1)));
    // end
    run(async {
        let url = serve(app).await?;
        for visit in 1..3 {
            let url = format!("{url}/chat/lobby?name=ada");
            let mut client = connect(&url, ConnectOptions::default()).await?;
            let seen = value(&mut client).await;
            assert_eq!(
                (&seen[0], &seen[1], &seen[2]),
                (&json!("lobby"), &json!("ada"), &json!(visit))
            );
        }
        Ok(())
    });
}

#[test]
fn read_and_write_at_once() {
    // ours: axum-split
    async fn clock(upgrade: Upgrade) -> Result {
        let (mut read, mut write) = upgrade.accept().await?.split();
        let say = async {
            loop {
                write.send_text("tick").await?;
                sleep(Duration::from_millis(100)).await;
            }
        };
        let hear = async {
            while let Some(text) = read.receive_text().await? {
                println!("heard {text}");
            }
            Ok(())
        };
        or(hear, say).await // of `futures_lite`; no task to spawn, none to abort
    }
    // end
    run(async {
        let mut client = visit(Router::new().route("/ws", clock), "/ws").await?;
        client.send_text("hello").await?;
        for _ in 0..3 {
            assert_eq!(text(&mut client).await, "tick");
        }
        let closed = client.close(1000, "").await?.expect("it has ended");
        assert!(closed.is_normal());
        Ok(())
    });
}

#[test]
fn settings() {
    async fn echo(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok(())
    }
    // ours: axum-settings
    let config = Config {
        limits: Limits {
            message: 64 << 10,      // longer: 1009
            write_queue: 128 << 10, // more unsent: `send` waits
            ..Limits::default()
        },
        deflate: Some(Deflate::default()), // permessage-deflate, if the client offers it
        ..Config::default()
    };
    let policy = ConnectionPolicy::default().config(config);
    let app = Router::new().add(Route::new("/ws", echo).policy(policy));
    // end
    run(async {
        let config = Config {
            deflate: Some(Deflate::default()),
            ..Config::default()
        };
        let url = serve(app).await? + "/ws";
        let mut client = connect(&url, ConnectOptions::default().config(Arc::new(config))).await?;
        assert!(client.is_deflated());
        client.send_text("a".repeat(64 << 10)).await?;
        assert_eq!(text(&mut client).await.len(), 64 << 10);
        client.send_text("a".repeat((64 << 10) + 1)).await?;
        assert_eq!(end(&mut client).await.0, 1009);
        Ok(())
    });
}
