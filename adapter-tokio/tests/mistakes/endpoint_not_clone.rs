use sansws_tokio::{Endpoint, Result, Router, WebSocket, Wire};

struct Chat;

impl Endpoint<Wire> for Chat {
    type Message = String;

    async fn on_receive(&mut self, socket: &mut WebSocket, text: String) -> Result {
        socket.send_text(text).await?;
        Ok(())
    }
}

fn main() {
    let _router = Router::new().route("/", Chat);
}
