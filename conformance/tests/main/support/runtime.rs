//! The adapters, and a third runtime, behind one trait, so that each scenario is written once.
//! One macro writes all implementations: the adapters have the same names, and types that come from the core.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use sansws_async::tls::rustls::{ClientConfig, ServerConfig};
use sansws_async::tls::{CertificateDer, Identity};
use sansws_async::{
    ConnectOptions, ConnectionPolicy, Connector, Error, Result, ServerHandle, ServerOptions,
    Transport, WebSocket,
};
use sansws_core::handshake::OriginPolicy;
use sansws_core::http::Url;
use smol::future::or;

use super::LIMIT;
use super::ours::answer;

/// An adapter and its runtime.
pub trait Runtime: 'static {
    type Tcp: Transport + Send;
    type Unix: Transport;
    type Connector: Connector<Transport = Self::Tcp> + Default;

    fn block_on<T>(work: impl Future<Output = T>) -> T;

    fn sleep(time: Duration) -> impl Future<Output = ()>;

    fn connect(
        url: &str,
        dial: ConnectOptions,
    ) -> impl Future<Output = Result<WebSocket<Self::Tcp>, Error>>;

    /// Connects by `connect_over`.
    fn connect_unix(
        path: &Path,
        url: &Url,
        dial: ConnectOptions,
    ) -> impl Future<Output = Result<WebSocket<Self::Unix>, Error>>;

    fn client_tls(
        roots: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
    ) -> Result<Arc<ClientConfig>, Error>;

    fn server_tls(
        identity: Identity,
        client_roots: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Arc<ServerConfig>, Error>;

    /// Binds, tells its handle and port, and serves [`answer`] until the handle is closed.
    fn serve(setup: Setup, told: &Sender<(ServerHandle, u16)>) -> Result<(), Error>;

    /// Runs a scenario; a late one panics.
    fn run<T>(work: impl Future<Output = Result<T>>) -> T {
        let done = or(async { Some(work.await) }, async {
            Self::sleep(LIMIT).await;
            None
        });
        match Self::block_on(done) {
            Some(Ok(value)) => value,
            Some(Err(error)) => panic!("{error}: {error:?}"),
            None => panic!("no end within {LIMIT:?}"),
        }
    }
}

/// The settings of a server.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    pub options: ServerOptions,
    pub tls: Option<Arc<ServerConfig>>,
    /// The preferred one first.
    pub subprotocols: Vec<String>,
    /// The port of the loopback; 0 for a free one.
    pub port: u16,
    /// A Unix socket instead of a port.
    pub unix: Option<PathBuf>,
    /// By `serve_local`, with a handler that is not `Send`.
    pub local: bool,
}

/// tokio, by `sansws-tokio`.
#[derive(Debug)]
pub struct Tokio;

/// smol, by `sansws-smol`.
#[derive(Debug)]
pub struct Smol;

/// A runtime outside this project's adapters, by the crate that shows how to bring one.
#[derive(Debug)]
pub struct Third;

macro_rules! runtime {
    ($name:ident, $adapter:ident, $unix:ty, $block_on:path, $sleep:path, $serve_local:path) => {
        impl Runtime for $name {
            type Tcp = $adapter::Wire;
            type Unix = $adapter::Io<$unix>;
            type Connector = $adapter::Dialer;

            fn block_on<T>(work: impl Future<Output = T>) -> T {
                $block_on(work)
            }

            async fn sleep(time: Duration) {
                $sleep(time).await;
            }

            async fn connect(
                url: &str,
                dial: $adapter::ConnectOptions,
            ) -> Result<$adapter::WebSocket, $adapter::Error> {
                $adapter::connect(url, dial).await
            }

            async fn connect_unix(
                path: &Path,
                url: &$adapter::Url,
                dial: $adapter::ConnectOptions,
            ) -> Result<$adapter::WebSocket<$adapter::Io<$unix>>, $adapter::Error> {
                let stream = <$unix>::connect(path).await?;
                $adapter::connect_over(stream, url, dial).await
            }

            fn client_tls(
                roots: Vec<$adapter::tls::CertificateDer<'static>>,
                identity: Option<$adapter::tls::Identity>,
            ) -> Result<Arc<$adapter::tls::rustls::ClientConfig>, $adapter::Error> {
                $adapter::tls::client(roots, identity)
            }

            fn server_tls(
                identity: $adapter::tls::Identity,
                client_roots: Option<Vec<$adapter::tls::CertificateDer<'static>>>,
            ) -> Result<Arc<$adapter::tls::rustls::ServerConfig>, $adapter::Error> {
                $adapter::tls::server(identity, client_roots)
            }

            fn serve(
                setup: Setup,
                told: &Sender<(ServerHandle, u16)>,
            ) -> Result<(), $adapter::Error> {
                $block_on(async {
                    let listener = match &setup.unix {
                        Some(path) => $adapter::Listener::bind_unix(path)?,
                        None => $adapter::Listener::bind(("127.0.0.1", setup.port)).await?,
                    };
                    let listener = match setup.tls {
                        Some(tls) => listener.tls(tls),
                        None => listener,
                    };
                    let mut server = $adapter::Server::new(listener).options(
                        // The foreign clients send origins of their own.
                        setup
                            .options
                            .policy(ConnectionPolicy::default().origin(OriginPolicy::any())),
                    );
                    let port = server.local_addr().map_or(0, |address| address.port());
                    let handle: $adapter::ServerHandle = server.handle();
                    let _ = told.send((handle, port));
                    if setup.local {
                        let names = Rc::new(setup.subprotocols);
                        $serve_local(server, move |upgrade: $adapter::Upgrade| {
                            let names = Rc::clone(&names);
                            async move { answer(upgrade, &names).await }
                        })
                        .await
                    } else {
                        let names = Arc::new(setup.subprotocols);
                        let handler = move |upgrade: $adapter::Upgrade| {
                            let names = Arc::clone(&names);
                            async move { answer(upgrade, &names).await }
                        };
                        server.serve(handler).await
                    }
                })
            }
        }
    };
}

runtime!(
    Tokio,
    sansws_tokio,
    tokio::net::UnixStream,
    on_tokio,
    tokio::time::sleep,
    locally_on_tokio
);
runtime!(
    Smol,
    sansws_smol,
    smol::net::unix::UnixStream,
    smol::block_on,
    smol::Timer::after,
    locally_on_smol
);

runtime!(
    Third,
    sansws_example_runtime,
    smol::net::unix::UnixStream,
    smol::future::block_on,
    sansws_example_runtime::sleep,
    locally_on_third
);

fn on_tokio<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

async fn locally_on_tokio<H, F>(server: sansws_tokio::Server, handler: H) -> Result<(), Error>
where
    H: Fn(sansws_tokio::Upgrade) -> F + Clone + 'static,
    F: Future<Output = Result> + 'static,
{
    let spawn = |task: sansws_tokio::LocalTask| drop(tokio::task::spawn_local(task));
    tokio::task::LocalSet::new()
        .run_until(server.serve_local(handler, spawn))
        .await
}

async fn locally_on_smol<H, F>(server: sansws_smol::Server, handler: H) -> Result<(), Error>
where
    H: Fn(sansws_smol::Upgrade) -> F + Clone + 'static,
    F: Future<Output = Result> + 'static,
{
    let tasks = smol::LocalExecutor::new();
    let spawn = |task: sansws_smol::LocalTask| tasks.spawn(task).detach();
    tasks.run(server.serve_local(handler, spawn)).await
}

async fn locally_on_third<H, F>(
    server: sansws_example_runtime::Server,
    handler: H,
) -> Result<(), Error>
where
    H: Fn(sansws_example_runtime::Upgrade) -> F + Clone + 'static,
    F: Future<Output = Result> + 'static,
{
    let tasks = smol::LocalExecutor::new();
    let spawn = |task: sansws_example_runtime::LocalTask| tasks.spawn(task).detach();
    tasks.run(server.serve_local(handler, spawn)).await
}
