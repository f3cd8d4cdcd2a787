//! Rooms for the tests of groups, and what waits for them.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use sansws_mio::{AcceptOptions, Endpoint, Hub, Incoming, Joined, Result, Router, Scope, Socket};
use sansws_std::{ConnectOptions, WebSocket, connect};

/// Joins the group of its path, says so, and publishes what it receives there.
pub struct Room;

impl Endpoint for Room {
    type Data = String;

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<String> {
        Ok(request.param("room")?)
    }

    fn open(&mut self, socket: &mut Socket<'_, String>) -> Result {
        let room = socket.data().clone();
        Ok(socket.join(&room)?)
    }

    fn joined(&mut self, socket: &mut Socket<'_, String>, group: &str, joined: Joined) -> Result {
        assert_eq!(socket.data(), group);
        assert!(joined.added && joined.position.is_some());
        assert!(socket.send("joined").is_accepted());
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, String>, message: Incoming<'_>) -> Result {
        let room = socket.data().clone();
        Ok(socket.publish(&room, message.into_message())?)
    }
}

pub fn rooms(hub: &Hub) -> Router {
    Router::new().route("/{room}", Room).hub(hub)
}

pub fn enter(address: SocketAddr, room: &str, dial: ConnectOptions) -> WebSocket {
    let mut socket = connect(format!("ws://{address}/{room}"), dial).unwrap();
    assert_eq!(text(&mut socket), "joined");
    socket
}

pub fn text(socket: &mut WebSocket) -> String {
    socket.receive_text().unwrap().unwrap()
}

/// Waits until something holds, for 20 s.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come to this: {what}");
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
