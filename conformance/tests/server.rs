//! Servers over real sockets, on both runtimes: several listeners, certificates replaced, the PROXY protocol, a shared port,
//! draining, and handlers that misbehave. And that the test kit says what a real socket says.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support {
    pub mod certs;
}

use support::certs::{Certs, Folder};

/// What a runtime is asked for.
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

    pub type Tcp = tokio::net::TcpStream;

    pub async fn write(stream: &mut Tcp, octets: &[u8]) {
        tokio::io::AsyncWriteExt::write_all(stream, octets)
            .await
            .unwrap();
    }

    pub async fn read_to_end(stream: &mut Tcp) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(stream, &mut all).await;
        all
    }

    pub type Unix = tokio::net::UnixStream;
}

mod smol_runtime {
    pub use smol::block_on;

    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(work).detach();
    }

    pub type Tcp = smol::net::TcpStream;

    pub async fn write(stream: &mut Tcp, octets: &[u8]) {
        smol::io::AsyncWriteExt::write_all(stream, octets)
            .await
            .unwrap();
    }

    pub async fn read_to_end(stream: &mut Tcp) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = smol::io::AsyncReadExt::read_to_end(stream, &mut all).await;
        all
    }

    pub type Unix = smol::net::unix::UnixStream;
}

mod on_tokio {
    use super::tokio_runtime as runtime;
    use super::*;
    use sansws_tokio as ws;

    include!("scenarios/server_body.rs");
}

mod on_smol {
    use super::smol_runtime as runtime;
    use super::*;
    use sansws_smol as ws;

    include!("scenarios/server_body.rs");
}
