//! A connection to one shard of a cluster, whose requests are sent once.
//! The client of clusters in the `redis` crate sends a request again when it has lost the connection or waited too long, although the shard may
//! have executed it: a message would be published twice. It does so by the kind of the error, which is another one here. A request that a shard
//! did not execute, because the slot of its keys has moved or moves, still follows it.
//! Knows no request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::Connect;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, Value,
};

use crate::call::is_subscription;

/// A connection to a shard.
#[derive(Clone)]
pub(crate) struct Shard {
    connection: MultiplexedConnection,
    answers: Answers,
}

/// Whether the answers on a connection are those of its requests. A shard that ends a subscription by itself confirms that, and the crate takes
/// the confirmation as the answer to the oldest request, which may be one of its own: all later answers are those of other requests then.
#[derive(Clone, Default)]
struct Answers {
    are_others: Arc<AtomicBool>,
}

impl Answers {
    fn check(&self, value: Value, subscribes: bool) -> RedisResult<Value> {
        if matches!(value, Value::Push { .. }) && !subscribes {
            self.are_others.store(true, Ordering::Relaxed);
        }
        if self.are_others.load(Ordering::Relaxed) {
            return Err((
                ErrorKind::Client,
                "a confirmation came in place of an answer",
            )
                .into());
        }
        Ok(value)
    }
}

impl Connect for Shard {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        let connecting = MultiplexedConnection::connect_with_config(info, config);
        Box::pin(async {
            Ok(Self {
                connection: connecting.await?,
                answers: Answers::default(),
            })
        })
    }
}

impl ConnectionLike for Shard {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let answers = self.answers.clone();
        let asking = self.connection.req_packed_command(command);
        Box::pin(async move {
            let value = asking.await.map_err(once)?;
            answers.check(value, is_subscription(command))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let answers = self.answers.clone();
        let asking = self.connection.req_packed_commands(pipeline, offset, count);
        Box::pin(async move {
            let values = asking.await.map_err(once)?.into_iter();
            values.map(|value| answers.check(value, false)).collect()
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
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

#[cfg(test)]
mod tests {
    use redis::PushKind;

    use super::*;

    #[test]
    fn a_confirmation_that_nobody_asked_for_spoils_all_later_answers() {
        let confirmation = || Value::Push {
            kind: PushKind::SUnsubscribe,
            data: vec![Value::BulkString(b"a".to_vec()), Value::Int(0)],
        };
        let answers = Answers::default();
        assert!(answers.check(Value::Okay, false).is_ok());
        assert!(answers.check(confirmation(), true).is_ok());
        let of_a_clone = answers.clone();
        assert!(answers.check(confirmation(), false).is_err());
        let error = of_a_clone.check(Value::Int(0), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client);
        assert!(Answers::default().check(Value::Okay, false).is_ok());
    }
}
