//! The endpoint over WebSocket: the codec by the subprotocol, and the close code at the end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sansws_async::app::{Handler, IntoHandler};
use sansws_async::runtime::Runtime;
use sansws_async::{HubEnv, Result, Transport, Upgrade};
use sansws_core::close::CloseCode;
use sansws_core::handshake::AcceptOptions;

use crate::connection::{Connection, now};
use crate::endpoint::Centrifuge;
use crate::farewell::Farewell;
use crate::protocol::Codec;
use crate::session::Session;

impl<R: Runtime + HubEnv> Centrifuge<R> {
    /// Runs a connection to its end.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn run<T: Transport + Send + 'static>(self, upgrade: Upgrade<T>) -> Result {
        let offers = upgrade.header("sec-websocket-protocol").unwrap_or_default();
        let codec = Codec::of_offers(offers);
        let socket = upgrade
            .accept_with(AcceptOptions {
                subprotocol: codec.subprotocol(),
                ..AcceptOptions::default()
            })
            .await?;
        let (mut reader, writer) = socket.split();
        let mut farewell = Farewell::new(self.application.on_disconnect.clone());
        let session = Session::new(Arc::clone(&self.options), codec, now::<R>());
        let mut connection = Connection::new(self, codec, writer);
        let result = connection.serve(session, &mut reader, &mut farewell).await;
        farewell.note_closed(reader.closed());
        let Some(end) = result? else { return Ok(()) };
        let code = CloseCode::new(end.code).unwrap_or(CloseCode::INTERNAL);
        connection.carrier.start_close(Some(code), &end.reason);
        farewell.note_end(&end);
        Ok(())
    }
}

/// Distinguishes this endpoint from other handlers. For an example see [`Centrifuge`].
#[derive(Debug)]
pub enum Protocol {}

impl<T, R> IntoHandler<T, Protocol> for Centrifuge<R>
where
    T: Transport + Send + 'static,
    R: Runtime + HubEnv,
{
    type Running = Pin<Box<dyn Future<Output = Result> + Send>>;

    fn into_handler(self) -> Handler<T> {
        let run = move |upgrade: Upgrade<T>| {
            let this = self.clone();
            async move { this.run(upgrade).await }
        };
        run.into_handler()
    }
}
