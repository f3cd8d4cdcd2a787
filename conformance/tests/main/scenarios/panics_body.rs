// Included for each runtime: `ws` is its adapter, `runtime` what else is asked of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ws::{
    Auth, Client, Closed, ConnectOptions, Credential, Endpoint, Error, Listener, Response, Result,
    Route, Router, Scope, Server, ServerHandle, Upgrade, WebSocket, Wire, connect,
};

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// It panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a value panics in this test when it is dropped");
        }
    }
}

async fn holds(upgrade: Upgrade, until_the_end: bool) -> Result {
    let grenade = Grenade;
    let mut socket = upgrade.accept().await?;
    while socket.receive().await?.is_some() {}
    if !until_the_end {
        std::mem::forget(grenade);
    }
    Ok(())
}

#[derive(Clone)]
struct Spy {
    panics_in: &'static str,
}

impl Endpoint<Wire> for Spy {
    type Message = String;

    async fn on_connect(&mut self, upgrade: Upgrade) -> Result<WebSocket> {
        assert!(
            self.panics_in != "connect",
            "`on_connect` panics in this test"
        );
        Ok(upgrade.accept().await?)
    }

    async fn on_receive(&mut self, _: &mut WebSocket, _: String) -> Result {
        assert!(
            self.panics_in != "receive",
            "`on_receive` panics in this test"
        );
        Ok(())
    }

    async fn on_disconnect(&mut self, _: Option<&Closed>) {
        assert!(
            self.panics_in != "disconnect",
            "`on_disconnect` panics in this test"
        );
    }
}

/// An endpoint that can't be cloned for a connection.
struct Unclonable;

impl Clone for Unclonable {
    fn clone(&self) -> Self {
        panic!("a handler panics in this test when it is cloned")
    }
}

impl Endpoint<Wire> for Unclonable {
    type Message = String;

    async fn on_receive(&mut self, _: &mut WebSocket, _: String) -> Result {
        Ok(())
    }
}

/// Routes that panic in each place where code of an application runs.
fn routes() -> Router {
    let layer = |_: &mut Scope| -> Result<(), Response> { panic!("a layer panics in this test") };
    let verify = async |_: Credential| -> Option<()> { panic!("a verifier panics in this test") };
    let spy = |panics_in| Spy { panics_in };
    Router::new()
        .converter("odd", |text: &str| -> bool {
            assert!(text != "panic", "a converter panics in this test");
            true
        })
        .route("/echo", echo)
        .route("/converter/{x:odd}", echo)
        .get("/converter-page/{x:odd}", "a page")
        .add(Route::new("/layer", echo).layer(layer))
        .add(Route::new("/verifier", echo).layer(Auth::query("token", verify)))
        .get("/page", async |_: Scope| -> &'static str {
            panic!("a page panics in this test")
        })
        .add(Route::get("/always", "there").always())
        .route("/connect", spy("connect"))
        .route("/receive", spy("receive"))
        .route("/disconnect", spy("disconnect"))
        .route("/clone", Unclonable)
        .route("/holds/end", |upgrade| holds(upgrade, true))
        .route("/holds/drop", |upgrade| holds(upgrade, false))
}

/// Provokes each panic, and looks whether others notice; how many handlers are to have failed.
async fn provoke(url: &str) -> u64 {
    let mut witness = connect(&format!("{url}/echo"), ConnectOptions::default())
        .await
        .unwrap();
    let mut failed = 0;
    for path in [
        "/layer",
        "/verifier?token=t",
        "/converter/panic",
        "/connect",
        "/clone",
    ] {
        match connect(&format!("{url}{path}"), ConnectOptions::default()).await {
            Err(Error::Refused(response)) => assert_eq!(response.status, 500, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
        failed += 1;
    }
    for (path, code) in [
        ("/receive", 1011),
        ("/disconnect", 1000),
        ("/holds/end", 1000),
    ] {
        let mut socket = connect(&format!("{url}{path}"), ConnectOptions::default())
            .await
            .unwrap();
        socket.send_text("go").await.unwrap();
        if code == 1000 {
            socket.close(1000, "").await.unwrap();
        } else {
            let _ = socket.receive().await;
        }
        assert_eq!(socket.closed().unwrap().code(), code, "{path}");
        failed += 1;
    }
    witness.send_text("still there").await.unwrap();
    let text = witness.receive_text().await.unwrap();
    assert_eq!(text.as_deref(), Some("still there"));
    drop(
        connect(&format!("{url}/echo"), ConnectOptions::default())
            .await
            .unwrap(),
    );
    failed
}

async fn count(handle: &ServerHandle, want: u64) {
    while handle.metrics().handlers_failed < want {
        ws::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(handle.metrics().handlers_failed, want);
}

#[test]
fn a_callback_that_panics_fails_what_is_at_hand_and_nothing_else() {
    runtime::block_on(async {
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let handle = server.handle();
        runtime::spawn(async move { server.serve(routes()).await.unwrap() });
        let mut want = provoke(&url).await;
        count(&handle, want).await;
        // Values that are dropped at the end of all, too.
        let _held = connect(&format!("{url}/holds/drop"), ConnectOptions::default())
            .await
            .unwrap();
        handle.drop_all();
        want += 1;
        count(&handle, want).await;
    });
}

#[test]
fn so_it_is_on_threads_that_share_a_port() {
    let handle = ServerHandle::new(100);
    let address = runtime::block_on(async {
        let first = Listener::bind_shared(([127, 0, 0, 1], 0).into()).unwrap();
        first.local_addr().unwrap()
    });
    let door = handle.clone();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let server = || Ok(Server::new(Listener::bind_shared(address)?).share(door.clone()));
        let app = routes().build().unwrap();
        sender
            .send(Server::serve_on_threads(2, server, app))
            .unwrap();
    });
    runtime::block_on(async {
        let url = format!("ws://{address}");
        while connect(&format!("{url}/echo"), ConnectOptions::default())
            .await
            .is_err()
        {
            ws::sleep(Duration::from_millis(1)).await;
        }
        let mut want = 0;
        for _ in 0..8 {
            want += provoke(&url).await;
        }
        count(&handle, want).await;
    });
    assert!(ended.try_recv().is_err(), "it goes on");
    handle.drop_all();
    ended
        .recv_timeout(Duration::from_secs(10))
        .unwrap()
        .unwrap();
}

#[test]
fn a_handler_whose_clone_panics_does_not_end_accepting() {
    runtime::block_on(async {
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let handle = server.handle();
        struct Sometimes(Arc<AtomicUsize>);
        impl Clone for Sometimes {
            fn clone(&self) -> Self {
                let count = self.0.fetch_add(1, Ordering::SeqCst);
                assert!(
                    count != 2,
                    "a handler panics in this test when it is cloned"
                );
                Self(Arc::clone(&self.0))
            }
        }
        let sometimes = Sometimes(Arc::default());
        let handler = move |upgrade: Upgrade| {
            let _ = &sometimes;
            echo(upgrade)
        };
        runtime::spawn(async move { server.serve(handler).await.unwrap() });
        let mut failed = 0;
        for _ in 0..8 {
            failed += usize::from(connect(&url, ConnectOptions::default()).await.is_err());
        }
        assert_eq!(failed, 1);
        count(&handle, 1).await;
        handle.drop_all();
    });
}

#[test]
fn hooks_of_a_client_that_panic_are_an_end_and_a_log_line() {
    runtime::block_on(async {
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let handle = server.handle();
        runtime::spawn(async move { server.serve(echo).await.unwrap() });
        let mut dials = 0;
        let mut client = Client::new(&url, ConnectOptions::default())
            .unwrap()
            .reconnect(ws::core::dial::ReconnectOptions {
                backoff: ws::core::dial::Backoff {
                    base: Duration::from_millis(1),
                    max: Duration::from_millis(2),
                },
                ..Default::default()
            })
            .on_change(|_| panic!("`on_change` panics in this test"))
            .on_open(move |_| {
                dials += 1;
                assert!(dials != 1, "`on_open` panics in this test");
                async move {
                    assert!(
                        dials != 2,
                        "`on_open` panics in this test when it is polled"
                    );
                    Ok(())
                }
            });
        client.send_text("a").await.unwrap();
        assert_eq!(client.receive_text().await.unwrap().as_deref(), Some("a"));
        let third = handle.metrics();
        assert_eq!(third.opened, 3);
        handle.drop_all();
    });
}
