use sansws_tokio::{Result, Router, Upgrade};

fn greet(upgrade: Upgrade) -> Result {
    drop(upgrade);
    Ok(())
}

fn main() {
    let _router = Router::new().route("/", greet);
}
