use sansws_tokio::{Endpoint, Result, WebSocket, Wire};

#[derive(Clone)]
struct Chat;

struct Say(String);

impl Endpoint<Wire> for Chat {
    type Message = Say;

    async fn on_receive(&mut self, _: &mut WebSocket, say: Say) -> Result {
        drop(say.0);
        Ok(())
    }
}

fn main() {}
