//! Applications in memory and in virtual time.
//! RFC 6455 section 4.2.2.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sansws_async::app::Router;
use sansws_async::test_kit::{MemoryTransport, TestServer};
use sansws_async::{Result, ServerOptions, Upgrade};

pub type Up = Upgrade<MemoryTransport>;
pub type Routes = Router<MemoryTransport>;

/// Runs a test to its end.
pub fn run(test: impl Future<Output = Result>) {
    let mut test = pin!(test);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(done) = test.as_mut().poll(&mut cx) {
            return done.unwrap();
        }
    }
    panic!("it does not end");
}

pub fn serve(router: Routes) -> TestServer {
    serve_with(router, ServerOptions::default())
}

pub fn serve_with(router: Routes, options: ServerOptions) -> TestServer {
    TestServer::over(router, options, MemoryTransport::new).unwrap()
}

pub async fn echo(upgrade: Up) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
