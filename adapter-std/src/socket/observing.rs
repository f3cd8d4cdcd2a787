//! The properties of a connection, as its handle and both halves return them.
//! Knows no bytes.

use std::time::Duration;

use crate::socket::websocket::{ReadHalf, WebSocket, WriteHalf};
use crate::stream::ByteStream;
use sansws_common::Counters;
use sansws_core::close::Closed;
use sansws_core::connection::Role;
use sansws_core::http::Headers;

/// The methods of the handle and of both halves, written once.
macro_rules! observing {
    ($name:ident) => {
        impl<S: ByteStream> $name<S> {
            /// Returns the negotiated subprotocol.
            pub fn subprotocol(&self) -> Option<&str> {
                let opened = self.opened.as_ref()?;
                opened.agreement.subprotocol.as_deref()
            }

            /// On a client, returns the header fields of the server's answer.
            pub fn response_fields(&self) -> Option<&Headers> {
                let opened = self.opened.as_ref()?;
                (!opened.fields.is_empty()).then_some(&opened.fields)
            }

            /// Returns whether permessage-deflate was negotiated.
            pub fn is_deflated(&self) -> bool {
                self.shared.engine().connection.deflate().is_some()
            }

            /// Returns which end this is.
            pub fn role(&self) -> Role {
                self.shared.engine().connection.role()
            }

            /// Returns the time from the newest keepalive ping to its pong; `None` before the first. See
            /// [`Connection::round_trip`](sansws_core::connection::Connection::round_trip).
            pub fn round_trip(&self) -> Option<Duration> {
                self.shared.engine().connection.round_trip()
            }

            /// Returns its traffic counters so far.
            pub fn counters(&self) -> Counters {
                self.shared.engine().counters()
            }

            /// Returns how it ended, once it has.
            pub fn closed(&self) -> Option<Closed> {
                self.shared.engine().ending.closed().cloned()
            }
        }
    };
}

observing!(WebSocket);
observing!(ReadHalf);
observing!(WriteHalf);
