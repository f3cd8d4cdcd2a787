use std::rc::Rc;

use sansws_tokio::{Result, Router, Upgrade};

fn main() {
    let name = Rc::new("lobby");
    let _router = Router::new().route("/", move |upgrade: Upgrade| {
        let _name = name.len();
        async move {
            upgrade.accept().await?;
            Result::Ok(())
        }
    });
}
