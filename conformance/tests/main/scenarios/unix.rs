//! Unix sockets: our server by `bind_unix`, our client by `connect_over`, on equal and on different runtimes.

use sansws_async::{ConnectOptions, ServerOptions};
use sansws_core::http::Url;

use super::messages::{echo, finish};
use crate::support::certs::Folder;
use crate::support::data::{SIZES, noise};
use crate::support::ours::OurServer;
use crate::support::runtime::{Runtime, Setup, Smol, Tokio};

crate::support::every_runtime!(tokio_server, smol_server);

fn tokio_server<R: Runtime>() {
    over_unix::<R, Tokio>();
}

fn smol_server<R: Runtime>() {
    over_unix::<R, Smol>();
}

fn over_unix<R: Runtime, S: Runtime>() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let server = OurServer::start::<S>(Setup {
        options: ServerOptions::default(),
        subprotocols: vec!["chat".into()],
        unix: Some(path.clone()),
        ..Setup::default()
    });
    R::run(async {
        let url: Url = "ws://localhost/some/path".parse()?;
        let dial = ConnectOptions::default().subprotocol("chat");
        let mut socket = R::connect_unix(&path, &url, dial).await?;
        assert_eq!(socket.subprotocol(), Some("chat"));
        for size in SIZES {
            echo(&mut socket, noise(size)).await?;
        }
        finish(socket).await?;

        let url: Url = "ws://localhost/close/4001/bye".parse()?;
        let mut socket = R::connect_unix(&path, &url, ConnectOptions::default()).await?;
        assert!(socket.receive().await.is_err());
        assert_eq!(socket.closed().map(|closed| closed.code()), Some(4001));
        Ok(())
    });
    server.stop();
}
