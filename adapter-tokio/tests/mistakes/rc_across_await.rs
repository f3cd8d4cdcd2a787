use std::rc::Rc;

use sansws_tokio::{Result, Router, Upgrade};

async fn count(upgrade: Upgrade) -> Result {
    let seen = Rc::new(1);
    let _socket = upgrade.accept().await?;
    drop(seen);
    Ok(())
}

fn main() {
    let _router = Router::new().route("/", count);
}
