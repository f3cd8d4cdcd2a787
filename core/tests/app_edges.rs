//! What applications do at the edges: late on a kept connection, with answers that can't be written, while closing, when dropped.
//! RFC 6455 sections 4.2.1, 7.1.1 and 10.4; RFC 9112 section 6.

mod support {
    pub mod app;
}

use std::time::Duration;

use sansws_core::app::{Layer, Route};
use sansws_core::config::{Config, Timeouts};
use sansws_core::drive::{Result, Scope, Serve};
use sansws_core::http::Response;
use sansws_core::kit::Clock;
use support::app::{Routes, Up, run, serve_with};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_websocket_after_a_page_has_the_whole_time_for_its_handshake() {
    struct Slow;
    impl Layer for Slow {
        async fn check(&self, _: &mut Scope) -> Result<(), Response> {
            let clock = Clock::current().unwrap();
            clock.sleep(Duration::from_secs(5)).await;
            Ok(())
        }
    }
    async fn leave(upgrade: Up) -> Result {
        upgrade.accept().await.map(drop)
    }
    run(async {
        let timeouts = Timeouts {
            keep_alive: Duration::from_secs(2),
            ..Timeouts::default()
        };
        let config = Config {
            timeouts,
            ..Config::default()
        };
        let router = Routes::new()
            .get("/", "a page")
            .add(Route::new("/ws", leave).layer(Slow));
        let server = serve_with(router, Serve::default().config(config));
        let asked = format!("GET / HTTP/1.1\r\nHost: test\r\n\r\n{ASK}");
        let answer = server.exchange(asked.as_bytes()).await?;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("a pageHTTP/1.1 101 "), "{answer}");
        Ok(())
    });
}
