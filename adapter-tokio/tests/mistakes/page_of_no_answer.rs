use sansws_tokio::{Router, Scope};

async fn count(_: Scope) -> u64 {
    7
}

fn main() {
    let _router = Router::new().get("/", count);
}
