//! Applications that fail, over real sockets and on both runtimes: whose fault it is, what the peer is told, what is counted.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod tokio_runtime {
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

    /// What comes back over a socket.
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
}

mod smol_runtime {
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

    /// What comes back over a socket.
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
}

mod on_tokio {
    mod kit {
        use super::super::tokio_runtime as runtime;
        use sansws_tokio as ws;

        include!("scenarios/kit_body.rs");
    }

    mod errors {
        use super::super::tokio_runtime as runtime;
        use sansws_tokio as ws;

        include!("scenarios/errors_body.rs");
    }

    mod panics {
        use super::super::tokio_runtime as runtime;
        use sansws_tokio as ws;

        include!("scenarios/panics_body.rs");
    }

    mod texts {
        use super::super::tokio_runtime as runtime;
        use sansws_tokio as ws;

        include!("scenarios/texts_body.rs");
    }
}

mod on_smol {
    mod kit {
        use super::super::smol_runtime as runtime;
        use sansws_smol as ws;

        include!("scenarios/kit_body.rs");
    }

    mod errors {
        use super::super::smol_runtime as runtime;
        use sansws_smol as ws;

        include!("scenarios/errors_body.rs");
    }

    mod panics {
        use super::super::smol_runtime as runtime;
        use sansws_smol as ws;

        include!("scenarios/panics_body.rs");
    }

    mod texts {
        use super::super::smol_runtime as runtime;
        use sansws_smol as ws;

        include!("scenarios/texts_body.rs");
    }
}
