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
