//! actix-ws, which has no compression.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Session};
use futures_util::StreamExt;
use sansws_foreign::{LARGEST, Result, listening};

#[actix_web::main]
async fn main() -> Result<()> {
    let server = HttpServer::new(|| App::new().default_service(web::to(answer))).bind("127.0.0.1:0")?;
    listening(server.addrs()[0]);
    Ok(server.run().await?)
}

async fn answer(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let stream = stream.max_frame_size(LARGEST).aggregate_continuations().max_continuation_size(LARGEST);
    actix_web::rt::spawn(echo_all(session, stream));
    Ok(response)
}

async fn echo_all(mut session: Session, mut stream: AggregatedMessageStream) {
    while let Some(Ok(message)) = stream.next().await {
        let sent = match message {
            AggregatedMessage::Text(text) => session.text(text).await,
            AggregatedMessage::Binary(data) => session.binary(data).await,
            AggregatedMessage::Ping(data) => session.pong(&data).await,
            AggregatedMessage::Pong(_) => Ok(()),
            AggregatedMessage::Close(reason) => {
                let _ = session.close(reason).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
    let _ = session.close(None).await;
}
