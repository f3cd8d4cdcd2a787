//! yawc: on hyper for servers, over HTTP/2 too.

use futures_util::SinkExt;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sansws_foreign::{LARGEST, Result, run};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use yawc::{Frame, OpCode, Options, WebSocket};

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

fn options() -> Options {
    Options::default().with_limits(LARGEST, 2 * LARGEST).with_balanced_compression().with_utf8()
}

async fn serve(tcp: TcpStream) -> Result<()> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().enable_connect_protocol();
    server.serve_connection_with_upgrades(TokioIo::new(tcp), service_fn(answer)).await
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>> {
    let Ok((response, upgraded)) = WebSocket::upgrade_with_options(&mut request, options()) else {
        let mut refusal = Response::new(Empty::new());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    };
    tokio::spawn(async move { echo_all(upgraded.await?).await });
    Ok(response)
}

async fn echo(url: String) -> Result<String> {
    echo_all(WebSocket::connect(url.parse()?).with_options(options()).await?).await
}

async fn echo_all<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocket<S>) -> Result<String> {
    let mut first = String::new();
    while let Ok(frame) = ws.next_frame().await {
        let echo = match frame.opcode() {
            OpCode::Text => Frame::text(frame.into_payload()),
            OpCode::Binary => Frame::binary(frame.into_payload()),
            _ => continue,
        };
        if first.is_empty() {
            first = String::from_utf8_lossy(echo.payload()).into_owned();
        }
        ws.send(echo).await?;
    }
    Ok(first)
}
