//! The endpoint of the protocol: a route of a router, on any runtime.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use sansws_async::HubEnv;
use sansws_async::hub::Hub;
use sansws_core::time::Instant;

use crate::application::{Application, handler};
use crate::codes::{Disconnect, Refusal};
use crate::connections::{UserConnections, UserPermit};
use crate::options::Options;
use crate::protocol::{ClientInfo, ConnectRequest, PublishRequest, SubscribeRequest};
use crate::session::{Connect, Subscribe};
use crate::ticket::TicketKey;
use crate::token::TokenKeys;

/// The endpoint of the protocol.
///
/// ```
/// use sansws_centrifuge::{Centrifuge, ClientError, Connect, Namespace, Options};
/// use sansws_core::hub::HubOptions;
/// use sansws_tokio::{Hub, Router, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> sansws_tokio::Result {
/// let options = Options::default().namespace("chat", Namespace::default().subscribe());
/// let hub = Hub::with_options(options.configure(HubOptions::default()));
/// let centrifuge = Centrifuge::new(&hub, options)
///     .on_connect(async |request| match &*request.name {
///         "" => Err(ClientError::permission_denied().into()),
///         name => Ok(Connect::user(name)),
///     })
///     .on_rpc("echo", async |_client, data| Ok(data));
/// let router = Router::new().route("/connection/websocket", centrifuge).hub(&hub);
/// let server = Server::bind("127.0.0.1:0").await?;
/// # let url = format!("ws://{}/connection/websocket", server.local_addr()?);
/// let serving = tokio::spawn(server.serve(router));
/// # for (commands, replies) in [
/// #     (r#"{"id":1,"connect":{}}"#, r#"{"id":1,"error":{"code":103,"message":"permission denied"}}"#),
/// #     (
/// #         "{\"id\":1,\"connect\":{\"name\":\"ada\"}}\n{\"id\":2,\"rpc\":{\"method\":\"echo\",\"data\":[1]}}",
/// #         r#"{"id":2,"rpc":{"data":[1]}}"#,
/// #     ),
/// # ] {
/// #     let mut client = sansws_tokio::connect(&url, Default::default()).await?;
/// #     client.send_text(commands).await?;
/// #     let mut last = String::new();
/// #     for _ in commands.lines() {
/// #         last = client.receive_text().await?.unwrap();
/// #     }
/// #     assert_eq!(last, replies);
/// # }
/// # serving.abort();
/// # Ok(())
/// # }
/// ```
pub struct Centrifuge<R> {
    pub(crate) hub: Hub<R>,
    pub(crate) options: Arc<Options>,
    pub(crate) application: Arc<Application>,
    pub(crate) users: UserConnections,
    pub(crate) tickets: TicketKey,
}

impl<R> Clone for Centrifuge<R> {
    fn clone(&self) -> Self {
        Self {
            hub: self.hub.clone(),
            options: Arc::clone(&self.options),
            application: Arc::clone(&self.application),
            users: self.users.clone(),
            tickets: self.tickets.clone(),
        }
    }
}

impl<R> fmt::Debug for Centrifuge<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Centrifuge")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

impl<R: HubEnv> Centrifuge<R> {
    /// Creates an endpoint over a hub whose options [`Options::configure`] has prepared.
    pub fn new(hub: &Hub<R>, options: Options) -> Self {
        let secret = options.fallback_secret.as_deref();
        let tickets = TicketKey::of(secret, || R::seed().nonce());
        Self {
            hub: hub.clone(),
            options: Arc::new(options),
            application: Arc::default(),
            users: UserConnections::default(),
            tickets,
        }
    }

    fn application(&mut self) -> &mut Application {
        Arc::make_mut(&mut self.application)
    }

    /// Counts one more connection of a user, if its number is limited; `None`: it has as many as it may have.
    pub(crate) fn admit(&self, user: Option<&str>) -> Option<Option<UserPermit>> {
        match (user, self.options.user_connections) {
            (Some(user), Some(most)) => self.users.admit(user, most).map(Some),
            _ => Some(None),
        }
    }

    /// Accepts tokens that these keys verify, for connections and for subscriptions.
    #[must_use]
    pub fn tokens(mut self, keys: TokenKeys) -> Self {
        self.application().tokens = Some(keys);
        self
    }

    /// Decides who a client is that has no token. Without this handler, such clients are refused.
    #[must_use]
    pub fn on_connect<F>(
        mut self,
        call: impl Fn(ConnectRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Connect, Refusal>> + Send + 'static,
    {
        self.application().on_connect = Some(handler(call));
        self
    }

    /// Decides whether a client may subscribe without a token, in all namespaces.
    #[must_use]
    pub fn on_subscribe<F>(
        mut self,
        call: impl Fn(ClientInfo, SubscribeRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Subscribe, Refusal>> + Send + 'static,
    {
        self.application().on_subscribe =
            Some(handler(move |(client, request)| call(client, request)));
        self
    }

    /// Decides whether a client may publish where its namespace does not grant it; returns the payload to publish.
    #[must_use]
    pub fn on_publish<F>(
        mut self,
        call: impl Fn(ClientInfo, PublishRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Refusal>> + Send + 'static,
    {
        self.application().on_publish =
            Some(handler(move |(client, request)| call(client, request)));
        self
    }

    /// Adds a method that clients can call; it takes and returns a payload. The HTTP API calls it without a client: all fields of its
    /// [`ClientInfo`] are then empty.
    #[must_use]
    pub fn on_rpc<F>(
        mut self,
        method: &str,
        call: impl Fn(ClientInfo, Vec<u8>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Refusal>> + Send + 'static,
    {
        let call = handler(move |(client, data)| call(client, data));
        self.application().methods.insert(method.into(), call);
        self
    }

    /// Takes messages that clients send without waiting for a reply.
    #[must_use]
    pub fn on_message<F>(
        mut self,
        call: impl Fn(ClientInfo, Vec<u8>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.application().on_message = Some(handler(move |(client, data)| call(client, data)));
        self
    }

    /// Decides until when a connection goes on, instead of verifying the token; `None`: it does not expire any more.
    #[must_use]
    pub fn on_refresh<F>(
        mut self,
        call: impl Fn(ClientInfo, String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<Instant>, Refusal>> + Send + 'static,
    {
        self.application().on_refresh = Some(handler(move |(client, token)| call(client, token)));
        self
    }

    /// Is called once for each client that had connected, when it is gone: with the server's code and reason, or those of its Close
    /// frame, or 1006 and the cause when the connection was lost.
    ///
    /// It is called also when a handler panicked, or when a shutdown dropped the connection, and must therefore not wait: to do more,
    /// send it to a task.
    #[must_use]
    pub fn on_disconnect(
        mut self,
        call: impl Fn(ClientInfo, Disconnect) + Send + Sync + 'static,
    ) -> Self {
        self.application().on_disconnect = Some(Arc::new(call));
        self
    }
}
