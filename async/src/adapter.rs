//! The names of an adapter: aliases of the generic types, for one runtime.

/// Declares the names that applications use on one runtime: `Server`, `Router`, `WebSocket`, `connect` and so on.
///
/// An adapter is an implementation of [`Runtime`](crate::Runtime), a wrapper that makes a
/// [`ByteStream`](crate::ByteStream) of any stream of the runtime's traits, and this:
///
/// ```ignore
/// pub use sansws_async::*;
/// sansws_async::adapter!(MyRuntime, Compat);
/// ```
#[macro_export]
macro_rules! adapter {
    ($runtime:ident, $compat:ident) => {
        /// Waits for `duration`, by the timers of the runtime, or in the virtual time of the test kit.
        pub async fn sleep(duration: ::std::time::Duration) {
            $crate::runtime::sleep::<$runtime>(duration).await;
        }

        /// The transport of a server's connections, as in `impl Endpoint<Wire> for Chat`.
        pub type Wire = $crate::server::Wire<$runtime>;

        /// The transport of a connection over a stream of the runtime's traits, as [`connect_over`] and [`accept`] return it.
        pub type Io<S> = $crate::Io<$runtime, $compat<S>>;

        /// A stream of a server or a client: TCP, Unix, TLS.
        pub type Stream = $crate::Stream<$runtime>;

        /// Serves connections; see [`Server`](sansws_async::Server) for its methods.
        pub type Server = $crate::Server<$runtime>;

        /// Listens on TCP, TLS, or a Unix socket; see [`Listener`](sansws_async::Listener) for its methods.
        pub type Listener = $crate::Listener<$runtime>;

        /// Routes of handlers and pages; see [`Router`](sansws_async::Router) for its methods.
        pub type Router = $crate::Router<Wire>;

        /// A pattern and its handler; see [`Route`](sansws_async::Route) for its methods.
        pub type Route = $crate::Route<Wire>;

        /// An open connection; see [`WebSocket`](sansws_async::WebSocket) for its methods.
        pub type WebSocket<T = Wire> = $crate::WebSocket<T>;

        /// A request that is not yet answered; see [`Upgrade`](sansws_async::Upgrade) and [`Scope`] for its methods.
        pub type Upgrade<T = Wire> = $crate::Upgrade<T>;

        /// The receiving half of a connection.
        pub type ReadHalf<T = Wire> = $crate::ReadHalf<T>;

        /// The half of a connection that sends and closes.
        pub type WriteHalf<T = Wire> = $crate::WriteHalf<T>;

        /// A connection that is re-established when it ends; see [`Client`](sansws_async::Client) for its methods.
        pub type Client = $crate::Client<Dialer>;

        /// Dials for a [`Client`].
        pub type Dialer = $crate::Dialer<$runtime>;

        /// Channels, groups, history and presence; see [`hub::Hub`](sansws_async::hub::Hub) for its methods, and [`core::hub`] for what they
        /// mean.
        pub type Hub = $crate::hub::Hub<$runtime>;

        impl $crate::HubEnv for $runtime {
            fn now() -> $crate::core::time::Instant {
                $crate::internal::hub_now::<$runtime>()
            }

            fn unix_time() -> $crate::core::time::Instant {
                $crate::internal::unix_time()
            }
        }

        /// Instantiates what applications use. Their debug builds take it from this crate, which is compiled once; release builds share no
        /// generic code between crates, and have no use for this.
        #[cfg(debug_assertions)]
        #[doc(hidden)]
        pub fn instantiate(
            address: &str,
        ) -> ::std::pin::Pin<::std::boxed::Box<dyn Future<Output = $crate::Result> + Send + '_>> {
            async fn echo(mut socket: WebSocket) -> $crate::Result {
                socket.join("").await?;
                while let Some(text) = socket.receive_text().await? {
                    socket.send_text(text).await?;
                    if let Some(message) = socket.receive().await? {
                        socket.publish("", message).await?;
                    }
                }
                socket.close(1000, "").await?;
                Ok(())
            }

            ::std::boxed::Box::pin(async move {
                echo(connect(address, $crate::ConnectOptions::default()).await?).await?;
                let router = Router::new().route("/", async |upgrade: Upgrade| {
                    echo(upgrade.accept().await?).await
                });
                let server = Server::bind(address).await?;
                Ok(server.serve(router.hub(&Hub::new())).await?)
            })
        }

        /// Connects to a `ws://` or `wss://` URL, directly or through a proxy, and follows redirects if allowed; see [`ConnectOptions`].
        ///
        /// # Errors
        /// [`Error::BadUrl`], [`Error::BadHeader`], [`Error::ConnectTimeout`], [`Error::Io`], [`Error::Proxy`],
        /// [`Error::Handshake`] when the answer breaks the protocol, [`Error::Refused`] when the server answered with another status,
        /// [`Error::Redirect`] when it redirects to a URL that is not followed.
        pub async fn connect(
            url: impl $crate::IntoRequest,
            options: $crate::ConnectOptions,
        ) -> $crate::Result<WebSocket, $crate::Error> {
            $crate::client::connect::<$runtime>(url, options).await
        }

        /// Opens a connection over a stream that already leads to the host of `url`, such as a Unix socket or your own TLS. The
        /// proxy, the redirects and the TLS settings of `options` are ignored.
        ///
        /// # Errors
        /// [`Error::BadUrl`], and those of [`connect`] from the opening handshake on.
        pub async fn connect_over<S>(
            stream: S,
            url: impl $crate::IntoRequest,
            options: $crate::ConnectOptions,
        ) -> $crate::Result<WebSocket<Io<S>>, $crate::Error>
        where
            $compat<S>: $crate::ByteStream,
        {
            $crate::client::connect_over($compat(stream), url, options).await
        }

        /// Reads the request from a stream that a client opened.
        ///
        /// # Errors
        /// When the request is invalid; it has then already been answered.
        pub async fn accept<S>(
            stream: S,
            config: ::std::sync::Arc<$crate::Config>,
        ) -> $crate::Result<Upgrade<Io<S>>, $crate::Error>
        where
            $compat<S>: $crate::ByteStream,
        {
            $crate::client::accept($compat(stream), config).await
        }
    };
}

/// Declares the functions of the test kit on one runtime; for the module `test_kit` of an adapter.
#[cfg(feature = "test-kit")]
#[macro_export]
macro_rules! adapter_test_kit {
    ($runtime:ident) => {
        /// Serves in memory and in virtual time, with default options.
        ///
        /// # Errors
        /// When routes conflict.
        pub fn server<S>(service: S) -> $crate::Result<TestServer, $crate::Error>
        where
            S: $crate::IntoService<super::Wire>,
            S::Service: 'static,
        {
            server_with(service, $crate::ServerOptions::default())
        }

        /// Serves in memory and in virtual time.
        ///
        /// # Errors
        /// When routes conflict.
        pub fn server_with<S>(
            service: S,
            options: $crate::ServerOptions,
        ) -> $crate::Result<TestServer, $crate::Error>
        where
            S: $crate::IntoService<super::Wire>,
            S::Service: 'static,
        {
            TestServer::on::<$runtime, S>(service, options)
        }

        /// Serves in memory and in real time, for handlers that wait for threads, timers or sockets of the runtime, such as a database.
        ///
        /// # Errors
        /// When routes conflict.
        pub fn server_in_real_time<S>(service: S) -> $crate::Result<TestServer, $crate::Error>
        where
            S: $crate::IntoService<super::Wire>,
            S::Service: 'static,
        {
            server_in_real_time_with(service, $crate::ServerOptions::default())
        }

        /// Serves in memory and in real time, with options.
        ///
        /// # Errors
        /// When routes conflict.
        pub fn server_in_real_time_with<S>(
            service: S,
            options: $crate::ServerOptions,
        ) -> $crate::Result<TestServer, $crate::Error>
        where
            S: $crate::IntoService<super::Wire>,
            S::Service: 'static,
        {
            Ok(server_with(service, options)?.in_real_time_on::<$runtime>())
        }
    };
}
