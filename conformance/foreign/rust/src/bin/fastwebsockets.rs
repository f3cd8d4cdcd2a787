//! fastwebsockets on hyper, which has no compression.

use std::future::Future;

use fastwebsockets::{FragmentCollector, Frame, OpCode, handshake, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sansws_foreign::{LARGEST, Result, dial, run};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

async fn serve(tcp: TcpStream) -> Result<()> {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(tcp), service_fn(answer));
    Ok(connection.with_upgrades().await?)
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>> {
    if !upgrade::is_upgrade_request(&request) {
        let mut refusal = Response::new(Empty::new());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    }
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    tokio::spawn(async move { echo_all(upgraded.await?).await });
    Ok(response)
}

#[derive(Clone, Copy)]
struct Spawn;

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

async fn echo(url: String) -> Result<String> {
    let (tcp, host, path) = dial(&url).await?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header(SEC_WEBSOCKET_KEY, handshake::generate_key())
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())?;
    echo_all(handshake::client(&Spawn, request, tcp).await?.0).await
}

async fn echo_all(mut ws: fastwebsockets::WebSocket<TokioIo<Upgraded>>) -> Result<String> {
    ws.set_max_message_size(LARGEST);
    let mut ws = FragmentCollector::new(ws);
    let mut first = String::new();
    while let Ok(frame) = ws.read_frame().await {
        match frame.opcode {
            OpCode::Close => break,
            OpCode::Text | OpCode::Binary => {
                if first.is_empty() {
                    first = String::from_utf8_lossy(&frame.payload).into_owned();
                }
                ws.write_frame(Frame::new(true, frame.opcode, None, frame.payload)).await?;
            }
            _ => {}
        }
    }
    Ok(first)
}
