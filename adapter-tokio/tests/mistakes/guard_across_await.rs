use std::sync::Mutex;

use sansws_tokio::{Result, Router, Upgrade};

static SEEN: Mutex<u64> = Mutex::new(0);

async fn count(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    let mut seen = SEEN.lock().unwrap();
    *seen += 1;
    socket.send_text(seen.to_string()).await?;
    Ok(())
}

fn main() {
    let _router = Router::new().route("/", count);
}
