//! The operations that tests over real sockets need of a runtime, once for each.

use sansws_async::ServerHandle;

/// Closes the door of a server when a test ends, however it ends.
pub struct Door(pub ServerHandle);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.drop_all();
    }
}

macro_rules! serving {
    ($ws:ident) => {
        /// Serves in the background.
        pub async fn start(router: $ws::Router) -> (std::net::SocketAddr, super::Door) {
            let mut server = $ws::Server::bind("127.0.0.1:0").await.unwrap();
            let address = server.local_addr().unwrap();
            let door = super::Door(server.handle());
            spawn(async move { server.serve(router).await.unwrap() });
            (address, door)
        }
    };
}

pub mod on_tokio {
    serving!(sansws_tokio);

    pub fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    }

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(work);
    }

    pub use tokio::time::sleep;

    pub async fn in_a_thread<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    /// Returns the bytes that come back over a socket.
    pub async fn over_tcp(text: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let (mut read, mut write) = tcp.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
        let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        tcp.write_all(text.as_bytes()).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut back = String::new();
        tcp.read_to_string(&mut back).await.unwrap();
        back
    }

    pub type Tcp = tokio::net::TcpStream;
    pub type Unix = tokio::net::UnixStream;

    pub async fn write(stream: &mut Tcp, bytes: &[u8]) {
        tokio::io::AsyncWriteExt::write_all(stream, bytes)
            .await
            .unwrap();
    }

    pub async fn read_to_end(stream: &mut Tcp) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(stream, &mut all).await;
        all
    }
}

pub mod on_smol {
    serving!(sansws_smol);

    pub use smol::block_on;

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(work).detach();
    }

    pub async fn sleep(time: std::time::Duration) {
        smol::Timer::after(time).await;
    }

    pub async fn in_a_thread<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        smol::unblock(work).await
    }

    /// Returns the bytes that come back over a socket.
    pub async fn over_tcp(text: &str) -> String {
        use smol::io::{AsyncReadExt, AsyncWriteExt};
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            smol::io::copy(tcp.clone(), tcp).await.unwrap();
        });
        let mut tcp = smol::net::TcpStream::connect(address).await.unwrap();
        tcp.write_all(text.as_bytes()).await.unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        let mut back = String::new();
        tcp.read_to_string(&mut back).await.unwrap();
        back
    }

    pub type Tcp = smol::net::TcpStream;
    pub type Unix = smol::net::unix::UnixStream;

    pub async fn write(stream: &mut Tcp, bytes: &[u8]) {
        smol::io::AsyncWriteExt::write_all(stream, bytes)
            .await
            .unwrap();
    }

    pub async fn read_to_end(stream: &mut Tcp) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = smol::io::AsyncReadExt::read_to_end(stream, &mut all).await;
        all
    }
}

/// A third runtime. Sockets that are not ours are smol's, whose reactor has a thread of its own.
pub mod on_a_third {
    serving!(sansws_example_runtime);

    use sansws_example_runtime::{Mio, Runtime};

    pub use super::on_smol::{Tcp, Unix, read_to_end, write};
    pub use smol::future::block_on;

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        Mio::spawn(work);
    }
}
