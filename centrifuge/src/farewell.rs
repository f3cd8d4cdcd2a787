//! Tells the application, once, that a client is gone, however its connection ended.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sansws_core::close::Closed;

use crate::codes::Disconnect;
use crate::protocol::ClientInfo;

/// The application's callback.
pub(crate) type OnDisconnect = Arc<dyn Fn(ClientInfo, Disconnect) + Send + Sync>;

/// Calls the callback when it is dropped, if a client had connected: also when the handler panicked, or was dropped by a shutdown.
pub(crate) struct Farewell {
    call: Option<OnDisconnect>,
    client: Option<ClientInfo>,
    end: Option<Disconnect>,
}

impl Farewell {
    pub(crate) fn new(call: Option<OnDisconnect>) -> Self {
        Self {
            call,
            client: None,
            end: None,
        }
    }

    /// Records the client, once it has connected.
    pub(crate) fn note_client(&mut self, client: Option<&ClientInfo>) {
        if self.call.is_some() && self.client.is_none() {
            self.client = client.cloned();
        }
    }

    /// Records that the server ends the connection.
    pub(crate) fn note_end(&mut self, end: &Disconnect) {
        self.end = Some(end.clone());
    }

    /// Records that the connection has ended by itself.
    pub(crate) fn note_closed(&mut self, closed: Option<Closed>) {
        if let Some(closed) = closed.filter(|_| self.end.is_none()) {
            self.end = Some(Disconnect {
                code: closed.code(),
                reason: match closed.cause {
                    Some(cause) => cause.to_string(),
                    None => closed.reason,
                },
            });
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let (Some(call), Some(client)) = (&self.call, self.client.take()) else {
            return;
        };
        let end = self.end.take().unwrap_or_else(|| {
            let (code, reason) = if std::thread::panicking() {
                (1011, "the handler panicked")
            } else {
                (1006, "the connection was dropped")
            };
            Disconnect {
                code,
                reason: reason.into(),
            }
        });
        // A second panic while a first one unwinds would end the process.
        drop(catch_unwind(AssertUnwindSafe(|| call(client, end))));
    }
}

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Farewell")
            .field("client", &self.client)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
