//! Client on tungstenite that lets wsconform test it: `client URL AGENT`.

use std::error::Error;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sansws_foreign_tungstenite::{config, echo};
use tungstenite::client::client_with_config;
use tungstenite::{Message, WebSocket};

const AT_A_TIME: usize = 8;
const CASE_LIMIT: Duration = Duration::from_secs(120);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(agent)) = (args.next(), args.next()) else {
        return Err("usage: client URL AGENT".into());
    };
    let count = connection(&url, "/getCaseCount", |socket| Ok(socket.read()?))?;
    let count: usize = count.into_text()?.parse()?;
    let next = AtomicUsize::new(1);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case > count {
                        return;
                    }
                    let path = format!("/runCase?case={case}&agent={agent}");
                    // The verdict is the server's.
                    if let Err(error) = connection(&url, &path, |socket| Ok(echo(socket)?)) {
                        println!("{case}: {error}");
                    }
                }
            });
        }
    });
    // It has nothing to say, and closes.
    connection(&url, &format!("/updateReports?agent={agent}"), |socket| {
        while !matches!(socket.read()?, Message::Close(_)) {}
        Ok(socket.flush()?)
    })
}

/// Opens a connection, uses it, and drops it; within the time, for then its TCP connection is ended.
fn connection<T>(
    url: &str,
    path: &str,
    use_it: impl FnOnce(&mut WebSocket<TcpStream>) -> Result<T>,
) -> Result<T> {
    let tcp = TcpStream::connect(url.trim_start_matches("ws://"))?;
    tcp.set_nodelay(true)?;
    let watched = tcp.try_clone()?;
    let (done, wait) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if wait.recv_timeout(CASE_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = watched.shutdown(Shutdown::Both);
        }
    });
    let used = match client_with_config(format!("{url}{path}"), tcp, config()) {
        Ok((mut socket, _)) => use_it(&mut socket),
        Err(error) => Err(error.to_string().into()),
    };
    drop(done);
    let _ = watch.join();
    used
}
