//! The program `wsconform`, and servers of which it finds something.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sansws_conformance::http::Head;

/// The program.
pub fn wsconform() -> Command {
    Command::new(env!("CARGO_BIN_EXE_wsconform"))
}

/// Runs it, and returns its exit code, its output and its errors.
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = wsconform().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A directory that is not there yet.
pub fn scratch(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

/// Reads a request, and answers it as one should; returns whether there was one.
pub fn answer_handshake(stream: &mut TcpStream) -> bool {
    let (mut all, mut part) = (Vec::new(), [0; 1024]);
    while !all.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(count) if count > 0 => all.extend_from_slice(&part[..count]),
            _ => return false,
        }
    }
    let (head, _) = Head::read(&all).unwrap();
    stream.write_all(&Head::response(&head).write()).is_ok()
}

/// A server in this process, whose connections are handled in threads of their own.
pub struct Threads {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Threads {
    /// Serves each connection with its number, from 0; a handler that returns `false` ends the listener.
    pub fn serve(handle: impl Fn(usize, TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let handle = Arc::new(handle);
        let accepting = thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (handle, stopping) = (Arc::clone(&handle), Arc::clone(&stopping));
                thread::spawn(move || {
                    if !handle(number, stream) && !stopping.swap(true, Ordering::Relaxed) {
                        // Wakes the listener.
                        let _ = TcpStream::connect(address);
                    }
                });
            }
        });
        Self {
            address,
            stop,
            accepting: Some(accepting),
        }
    }

    /// An echo server of tungstenite.
    pub fn echo() -> Self {
        Self::serve(|_, stream| {
            echo(stream);
            true
        })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Echoes on one connection, by tungstenite; returns the connection once it has closed.
pub fn echo(stream: TcpStream) -> Option<TcpStream> {
    let mut socket = tungstenite::accept(stream).ok()?;
    loop {
        match socket.read() {
            Ok(message) if message.is_text() || message.is_binary() => {
                let _ = socket.send(message);
            }
            Ok(_) => {}
            Err(_) => {
                let _ = socket.flush();
                return socket.get_ref().try_clone().ok();
            }
        }
    }
}
