//! What a listener finds where it is to listen.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use sansws_async::Error;

use super::{Adapter, on_each};

/// Listens there with the adapter's listener, and drops it.
fn listen(adapter: Adapter, path: &Path) -> Result<(), Error> {
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(async {
            sansws_tokio::Listener::bind_unix(path).map(drop)
        }),
        Adapter::Smol => sansws_smol::Listener::bind_unix(path).map(drop),
        Adapter::Std => sansws_std::Listener::bind_unix(path).map(drop),
        Adapter::Mio => sansws_mio::Listener::bind_unix(path).map(drop),
    }
}

/// A server that was killed, or has ended, leaves its socket: the next one need not be told to remove it.
#[test]
fn a_unix_socket_that_was_left_behind_is_replaced_and_nothing_else() {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    on_each(|adapter| {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = format!("sansws-listening-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("socket");
        listen(adapter, &path).unwrap();
        assert!(path.exists());
        listen(adapter, &path).unwrap();

        let is_in_use = |path: &Path| {
            let error = listen(adapter, path).unwrap_err().to_string();
            assert!(
                error.contains(path.to_str().unwrap()),
                "{adapter:?} {error}"
            );
            assert!(error.contains("in use"), "{adapter:?} {error}");
        };
        std::fs::remove_file(&path).unwrap();
        let another = UnixListener::bind(&path).unwrap();
        is_in_use(&path);
        drop(another);
        let file = folder.join("file");
        std::fs::write(&file, "precious").unwrap();
        is_in_use(&file);
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        let link = folder.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        is_in_use(&link);
        let datagrams = folder.join("datagrams");
        let held = UnixDatagram::bind(&datagrams).unwrap();
        is_in_use(&datagrams);
        drop(held);
        std::fs::remove_dir_all(&folder).unwrap();
    });
}
