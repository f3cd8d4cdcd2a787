use sansws_tokio::{Result, Router, Upgrade};

async fn greet(upgrade: Upgrade) -> Result {
    upgrade.accept().await?.send_text("hello").await
}

fn main() {
    let _router = Router::new().route("/", greet);
}
