//! Signals that shut servers down.
//! Knows no connection: it tells handles.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::handle::ServerHandle;
use crate::error::{Error, Result};

/// A server that obeys signals, and its drain window.
struct Obedient {
    handle: ServerHandle,
    window: Duration,
}

/// The servers of the process, once it listens for signals: it can only have one handler.
static SERVERS: Mutex<Option<Vec<Obedient>>> = Mutex::new(None);

/// Drains over `window` on a signal, and drops all connections on a second one.
///
/// # Errors
/// When the application has set a handler by ctrlc.
pub fn obey(handle: &ServerHandle, window: Duration) -> Result<(), Error> {
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    if servers.is_none() {
        ctrlc::set_handler(on_signal).map_err(Error::other)?;
    }
    let servers = servers.get_or_insert_default();
    // A server that is over needs no signal.
    servers.retain(|server| !server.handle.is_closing() || server.handle.open() > 0);
    let handle = handle.clone();
    servers.push(Obedient { handle, window });
    Ok(())
}

fn on_signal() {
    let servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    for Obedient { handle, window } in servers.iter().flatten() {
        if handle.is_closing() {
            tracing::info!("second signal received, dropping the remaining connections");
            handle.drop_all();
        } else {
            let seconds = window.as_secs_f64();
            tracing::info!(
                websocket.drain_seconds = seconds,
                "signal received, draining"
            );
            handle.drain(*window);
        }
    }
}
