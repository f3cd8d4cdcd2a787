//! The accept loops: one thread, one task for each connection.

use std::error::Error;
use std::net::TcpListener;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type ServeResult = Result<(), BoxError>;

/// Serves on tokio's current-thread runtime.
pub(crate) fn tokio<F>(
    listener: TcpListener,
    connection: impl Fn(::tokio::net::TcpStream) -> F,
) -> ServeResult
where
    F: Future<Output = ServeResult> + Send + 'static,
{
    let runtime = ::tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = ::tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let served = connection(stream);
            ::tokio::spawn(async move { log(served.await) });
        }
    })
}

/// Serves on tokio's current-thread runtime, over TLS.
pub(crate) fn tokio_tls<F>(
    listener: TcpListener,
    connection: impl Fn(TlsStream<::tokio::net::TcpStream>) -> F + Clone + Send + Sync + 'static,
) -> ServeResult
where
    F: Future<Output = ServeResult> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(tls::server()?);
    tokio(listener, move |stream| {
        let (accepting, connection) = (acceptor.accept(stream), connection.clone());
        async move { connection(accepting.await?).await }
    })
}

/// Serves on smol, with a local executor.
pub(crate) fn smol<F>(
    listener: TcpListener,
    connection: impl Fn(::smol::net::TcpStream) -> F,
) -> ServeResult
where
    F: Future<Output = ServeResult> + 'static,
{
    let executor = ::smol::LocalExecutor::new();
    ::smol::block_on(executor.run(async {
        let listener = ::smol::net::TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let served = connection(stream);
            executor.spawn(async move { log(served.await) }).detach();
        }
    }))
}

fn log(served: ServeResult) {
    if let Err(error) = served {
        eprintln!("connection ended: {error}");
    }
}
