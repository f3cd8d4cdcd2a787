//! The closing handshake, begun by either end.

use sansws_async::{ConnectOptions, Error, ServerOptions};
use sansws_core::close::{CloseCode, Closed};
use sansws_core::error::{InvalidInput, SendError};
use sansws_core::frame::MessageKind;

use super::messages::echo;
use crate::support::ours::OurServer;
use crate::support::runtime::{Runtime, Setup};
use crate::support::side::{Options, Side, against};

crate::support::each_server!(we_close, they_close, they_close_normally, abandoned);
crate::support::every_runtime!(shutdown, shutdown_of_local_tasks);

fn closed(code: u16, reason: &str) -> Closed {
    Closed {
        code: CloseCode::new(code),
        reason: reason.into(),
        clean: true,
        cause: None,
    }
}

fn we_close<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        for code in [1000, 3000, 4999] {
            let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
            echo(&mut socket, "before the close").await?;
            assert_eq!(socket.closed(), None);
            // All servers answer with our code; not all repeat the reason.
            let ended = socket.close(code, "so long ✓").await?;
            let reason = match side {
                Side::Foreign(_) => "so long ✓",
                Side::Tokio | Side::Smol => "",
            };
            assert_eq!(ended, Some(closed(code, reason)));
            assert_eq!(socket.closed(), ended);
            let after = socket.send_text("late").await;
            assert!(
                matches!(after, Err(Error::NotSent(SendError::Closing))),
                "{after:?}"
            );
            match socket.receive().await {
                Ok(None) => assert_eq!(code, 1000),
                Err(Error::Disconnect(end)) => assert_eq!(Some(*end), ended),
                other => panic!("{other:?}"),
            }
        }
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        for code in [999, 1004, 1005, 1006, 1015, 2999, 5000] {
            let refused = socket.close(code, "").await;
            assert!(
                matches!(
                    refused,
                    Err(Error::InvalidInput(InvalidInput::ReservedCode(_)))
                ),
                "{code}: {refused:?}"
            );
        }
        echo(&mut socket, "still open").await
    });
}

fn they_close<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        for (path, code, reason) in [
            ("/close/4001/bye", 4001, "bye"),
            ("/close/1011/", 1011, ""),
            ("/close/3000/never", 3000, "never"),
        ] {
            let mut socket = R::connect(&server.url(path), ConnectOptions::default()).await?;
            // Once it ended, each further call says so again.
            for _ in 0..2 {
                match socket.receive().await {
                    Err(Error::Disconnect(end)) => assert_eq!(*end, closed(code, reason)),
                    other => panic!("{path}: {other:?}"),
                }
            }
            assert_eq!(socket.closed(), Some(closed(code, reason)));
            assert_eq!(
                socket.close(1000, "").await?,
                Some(closed(code, reason)),
                "a close that comes too late changes nothing"
            );
        }
        Ok(())
    });
}

fn they_close_normally<R: Runtime>(side: Side) {
    against::<R>(side, &Options::default(), async |server| {
        let mut socket =
            R::connect(&server.url("/close/1000/x"), ConnectOptions::default()).await?;
        for _ in 0..2 {
            assert_eq!(socket.receive().await?, None);
        }
        assert_eq!(socket.closed(), Some(closed(1000, "x")));
        let mut socket = R::connect(&server.url("/close/1001/"), ConnectOptions::default()).await?;
        assert!(socket.receive_stream().await?.is_none());
        assert_eq!(socket.closed(), Some(closed(1001, "")));
        Ok(())
    });
}

/// A message that is left half sent closes with 1011. To `websockets` such a close is itself an error.
fn abandoned<R: Runtime>(side: Side) {
    let code = if side == Side::PYTHON { 1002 } else { 1011 };
    against::<R>(side, &Options::default(), async |server| {
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        echo(&mut socket, "whole").await?;
        let mut writer = socket.send_stream(MessageKind::Text);
        writer.write("half").await?;
        drop(writer);
        match socket.receive().await {
            Err(Error::Disconnect(end)) => assert_eq!((end.code(), end.clean), (code, true)),
            other => panic!("{other:?}"),
        }
        // One without a piece leaves nothing behind.
        let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
        drop(socket.send_stream(MessageKind::Text));
        echo(&mut socket, "whole").await
    });
}

fn shutdown<R: Runtime>() {
    shut_down::<R>(false);
}

fn shutdown_of_local_tasks<R: Runtime>() {
    shut_down::<R>(true);
}

/// A closed handle ends the connections with 1001, and `serve` returns.
fn shut_down<R: Runtime>(local: bool) {
    let server = OurServer::start::<R>(Setup {
        options: ServerOptions::default(),
        local,
        ..Setup::default()
    });
    R::run(async {
        let mut sockets = Vec::new();
        for _ in 0..3 {
            let mut socket = R::connect(&server.url("/"), ConnectOptions::default()).await?;
            echo(&mut socket, "open").await?;
            sockets.push(socket);
        }
        assert_eq!(server.handle.open(), 3);
        server.handle.close();
        for socket in &mut sockets {
            assert_eq!(socket.receive().await?, None);
            let code = socket.closed().map(|closed| closed.code());
            assert_eq!(code, Some(1001));
        }
        Ok(())
    });
    server.stop();
}
