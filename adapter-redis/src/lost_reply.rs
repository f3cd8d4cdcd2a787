//! Checks that a request is not sent again to a shard that may have executed it. The proxy here loses a reply, and the connection with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sansws_core::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::connection::Connector;
use crate::keys::Keys;
use crate::options::RedisOptions;
use crate::request::{Channel, Reply, Request};
use crate::scripts::Scripts;
use crate::server::{Server, free_port, until};

/// A way to Redis on which the next reply is lost, with its connection, when that is set.
async fn lossy(to: std::net::SocketAddr, listener: TcpListener, loses: Arc<AtomicBool>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let loses = Arc::clone(&loses);
        tokio::spawn(async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            let (mut near_reads, mut near_writes) = near.split();
            let (mut far_reads, mut far_writes) = far.split();
            let requests = tokio::io::copy(&mut near_reads, &mut far_writes);
            let replies = async {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = far_reads.read(&mut bytes).await
                    && !loses.swap(false, Ordering::SeqCst)
                {
                    near_writes.write_all(&bytes[..count]).await.unwrap();
                }
            };
            tokio::select! {
                _ = requests => {}
                () = replies => {}
            }
        });
    }
}

#[tokio::test]
async fn a_request_whose_reply_is_lost_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // A cluster of one, which is known by the address of the way to it.
    let server = Server::start(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &free_port().to_string(),
        "--cluster-announce-ip",
        "127.0.0.1",
        "--cluster-announce-port",
        &address.port().to_string(),
    ]);
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the cluster is ready", || {
        let info = server.cli(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok")
    });
    let loses = Arc::new(AtomicBool::new(false));
    tokio::spawn(lossy(server.address(), listener, Arc::clone(&loses)));
    let mut options = RedisOptions::cluster([format!("redis://{address}")], "app");
    options.timeout = Duration::from_secs(20);
    let scripts = Scripts::new(Keys::new("app"), false);
    let connector = Connector::new(options).unwrap();
    let connection = connector.connect(&scripts).await.unwrap();
    let send = || {
        let request = Request::Send {
            channel: Channel::Group("a".into()),
            payload: b"hello".to_vec(),
        };
        connection.ask(vec![(1, scripts.call(request))]).remove(0)
    };
    assert_eq!(send().await, Ok(vec![(1, Ok(Reply::Done))]));
    let executed = || {
        let stats = server.cli(&["INFO", "commandstats"]);
        let of_publish = stats.split("cmdstat_publish:calls=").nth(1).unwrap();
        let calls = of_publish.split(',').next().unwrap();
        calls.parse::<u32>().unwrap()
    };
    let before = executed();
    loses.store(true, Ordering::SeqCst);
    let lost = send().await.unwrap_err();
    assert!(lost.starts_with("a reply is lost"), "{lost}");
    assert_eq!(executed(), before + 1);
}
