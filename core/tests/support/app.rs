//! Applications in memory and in virtual time.
//! RFC 6455 section 4.2.2.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sansws_core::app::Router;
use sansws_core::drive::{Dial, Result, Serve, Upgrade};
use sansws_core::http::{Fields, RequestHead, Response};
use sansws_core::kit::{MemoryTransport, TestServer};

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
    serve_with(router, Serve::default())
}

pub fn serve_with(router: Routes, options: Serve) -> TestServer {
    TestServer::over(router, options, MemoryTransport::new).unwrap()
}

pub async fn echo(upgrade: Up) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

pub fn with(name: &str, value: &str) -> Dial {
    Dial::default().header(name, value)
}

pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let host = [("Host", "test")];
    RequestHead {
        method: method.into(),
        target: target.into(),
        fields: host.iter().chain(fields).copied().collect::<Fields>(),
    }
}

pub fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}
