use sansws_tokio::{Router, Upgrade};

async fn greet(upgrade: Upgrade) -> String {
    drop(upgrade);
    "hello".into()
}

fn main() {
    let _router = Router::new().route("/", greet);
}
