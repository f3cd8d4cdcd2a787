// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use std::time::Duration;

use ws::test_kit::{server, server_in_real_time};
use ws::{Auth, Credential, Result, Route, Router, Upgrade};

/// Answers by what a thread, a timer and a socket of the runtime say.
async fn asks(upgrade: Upgrade) -> Result {
    let user = upgrade.state::<String>()?;
    let mut socket = upgrade.accept().await?;
    while let Some(text) = socket.receive_text().await? {
        let text = runtime::in_a_thread(move || {
            std::thread::sleep(Duration::from_millis(20));
            text.to_uppercase()
        })
        .await;
        runtime::sleep(Duration::from_millis(20)).await;
        let row = runtime::over_tcp(&text).await;
        ws::sleep(Duration::from_millis(20)).await;
        socket.send_text(format!("{user}: {row}")).await?;
    }
    Ok(())
}

fn app() -> Router {
    let verify = async |credential: Credential| -> Option<String> {
        runtime::in_a_thread(move || Some(credential.secret)).await
    };
    Router::new().add(Route::new("/", asks).layer(Auth::query("token", verify)))
}

#[test]
fn handlers_with_real_io_are_tested_in_real_time() {
    runtime::block_on(async {
        let server = server_in_real_time(app()).unwrap();
        let mut socket = server.connect("/?token=ada").await.unwrap();
        for _ in 0..3 {
            socket.send_text("hello").await.unwrap();
            socket.expect_text("ada: HELLO").await;
        }
        socket.expect_nothing(Duration::from_millis(20)).await;
        socket.close(1000, "").await.unwrap();
        server.expect_reject("/", 401).await;
    });
}

#[test]
fn in_virtual_time_the_failure_says_what_happened_and_what_to_do() {
    async fn slow(upgrade: Upgrade) -> Result {
        let mut socket = upgrade.accept().await?;
        runtime::in_a_thread(|| std::thread::sleep(Duration::from_secs(2))).await;
        socket.send_text("too late").await?;
        Ok(())
    }
    let failed = std::thread::spawn(|| {
        runtime::block_on(async {
            let server = server(Router::new().route("/", slow)).unwrap();
            let mut socket = server.connect("/").await.unwrap();
            socket.expect_text("too late").await;
        });
    });
    let text = *failed.join().unwrap_err().downcast::<String>().unwrap();
    for part in [
        "kit_body.rs",
        "virtual",
        "spawn_blocking",
        "server_in_real_time",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
