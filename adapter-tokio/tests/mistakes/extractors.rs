use std::sync::Arc;

use sansws_tokio::{Result, Router, Upgrade};

struct Db;

async fn greet(room: String, db: Arc<Db>, upgrade: Upgrade) -> Result {
    upgrade.accept().await?.send_text(room).await?;
    drop(db);
    Ok(())
}

fn main() {
    let _router = Router::new().route("/{room}", greet);
}
