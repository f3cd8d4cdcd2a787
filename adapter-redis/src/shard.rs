//! A connection to one shard of a cluster, whose requests are sent once.
//! The client of clusters in the `redis` crate sends a request again when it has lost the connection or waited too long, although the shard may
//! have executed it: a message would be published twice. It does so by the kind of the error, which is another one here. A request that a shard
//! did not execute, because the slot of its keys has moved or moves, still follows it.
//! Knows no request.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::Connect;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    Value,
};

/// A connection to a shard.
#[derive(Clone)]
pub(crate) struct Shard(MultiplexedConnection);

impl Connect for Shard {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        let connecting = MultiplexedConnection::connect_with_config(info, config);
        Box::pin(async { connecting.await.map(Self) })
    }
}

impl ConnectionLike for Shard {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let asking = self.0.req_packed_command(command);
        Box::pin(async { asking.await.map_err(once) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let asking = self.0.req_packed_commands(pipeline, offset, count);
        Box::pin(async { asking.await.map_err(once) })
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

/// Returns an error after which a request is not sent again if its reply is lost.
fn once(error: RedisError) -> RedisError {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => {
            (ErrorKind::Client, "a reply is lost", error.to_string()).into()
        }
        _ => error,
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
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

    /// A way to Redis on which replies are lost, with their connection, or are late.
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
}
