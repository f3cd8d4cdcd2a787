//! A blocking peer on a thread: takes one TCP connection and handles it.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io::Result;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The thread and its connection; both end with this value.
#[derive(Debug)]
pub struct OneShot {
    pub port: u16,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    over: bool,
    stream: Option<TcpStream>,
}

impl OneShot {
    /// Handles the first connection that comes. The handler should panic when it is not content.
    pub fn start(handler: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            limited(&stream).unwrap();
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if state.over {
                return;
            }
            state.stream = stream.try_clone().ok();
            drop(state);
            handler(stream);
            // The other handle would keep the connection open.
            shared.lock().unwrap_or_else(PoisonError::into_inner).stream = None;
        });
        Self {
            port,
            state,
            thread: Some(thread),
        }
    }

    /// Waits until the handler returns; says so when it panicked.
    pub fn finish(mut self) {
        let thread = self.thread.take().unwrap();
        assert!(
            thread.join().is_ok(),
            "the peer on the thread was not content"
        );
    }
}

impl Drop for OneShot {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = true;
        match state.stream.take() {
            Some(stream) => drop(stream.shutdown(Shutdown::Both)),
            // It still waits for somebody to come.
            None => drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))),
        }
        drop(state);
        let _ = thread.join();
    }
}

/// Connects, with times that bound each read and write.
pub fn dial(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    limited(&stream)?;
    Ok(stream)
}

fn limited(stream: &TcpStream) -> Result<()> {
    let limit = Some(Duration::from_secs(15));
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    stream.set_nodelay(true)
}
