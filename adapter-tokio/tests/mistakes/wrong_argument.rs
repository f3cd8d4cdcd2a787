use sansws_tokio::{Result, Router, WebSocket};

async fn greet(mut socket: WebSocket) -> Result {
    socket.send_text("hello").await?;
    Ok(())
}

fn main() {
    let _router = Router::new().route("/", greet);
}
