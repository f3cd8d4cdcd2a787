use sansws_tokio::{ConnectOptions, connect};

mod url {
    pub struct Url;
}

fn main() {
    let _connecting = connect(url::Url, ConnectOptions::default());
}
