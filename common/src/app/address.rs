//! A layer that limits each address: connections at once, and handshakes per time.
//! RFC 6455 section 4.1 (one connection in its handshake for each address); RFC 6585 section 4 (429).
//! Knows only addresses of clients; `sansws_core::limits` counts.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sansws_core::http::Response;
use sansws_core::limits::{AddressLimits, Addresses, Refused};
use sansws_core::time::Instant;

use super::layer::Layer;
use crate::server::scope::Scope;

/// A layer with limits per address, for requests of WebSockets and streamed responses that pass it: 429 beyond.
///
/// It counts the client's address, which the PROXY protocol or a trusted proxy may report
/// ([`ServerOptions::trusted`](crate::ServerOptions::trusted)); otherwise all clients behind a proxy count as one. Clients without an
/// address, on a Unix socket, are not counted, and neither are other pages. A connection counts until it has ended.
///
/// Clones count together: add clones of one layer to several routers, as the loops of a server have them, and each address has one limit
/// for all of them.
///
/// ```
/// use sansws_common::app::{PerAddress, Router};
/// use sansws_core::limits::{AddressLimits, Rate};
///
/// let addresses = PerAddress::new(AddressLimits {
///     connections: Some(20),
///     handshakes: Some(Rate::per_minute(60).burst(10)),
///     ..AddressLimits::default()
/// });
/// let router = Router::<()>::new().layer(addresses.clone());
/// # let _ = router;
///
/// // Whenever it is of interest:
/// assert_eq!(addresses.connections("192.0.2.1".parse()?), 0);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PerAddress(Arc<Mutex<Counted>>);

#[derive(Debug)]
struct Counted {
    addresses: Addresses,
    /// The latest known time.
    now: Instant,
}

impl PerAddress {
    /// Creates a layer with these limits. Clones count together.
    pub fn new(limits: AddressLimits) -> Self {
        Self(Arc::new(Mutex::new(Counted {
            addresses: Addresses::new(limits),
            now: Instant::ZERO,
        })))
    }

    /// Returns the number of connections that the address has; 0 if [`AddressLimits::connections`] is `None`, because they are not counted then.
    pub fn connections(&self, address: IpAddr) -> u32 {
        self.counted().addresses.connections(address)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layer for PerAddress {
    fn check(&self, scope: &mut Scope) -> Result<(), Response> {
        let lasts = scope.is_websocket() || scope.is_streamed();
        let Some(client) = scope.client_addr().filter(|_| lasts) else {
            return Ok(());
        };
        let entered = {
            let mut counted = self.counted();
            counted.now = counted.now.max(scope.now());
            let now = counted.now;
            counted.addresses.enter(now, client.ip())
        };
        match entered {
            Ok(()) => {
                scope.keep_alive_until_close(Entered {
                    layer: self.clone(),
                    address: client.ip(),
                });
                Ok(())
            }
            Err(Refused::TooMany) => Err(Response::text(429, "too many connections\n")),
            Err(Refused::TooFast { retry_after }) => {
                let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                Err(Response::text(429, "too many requests\n")
                    .with("Retry-After", format!("{seconds}")))
            }
        }
    }
}

/// A counted connection, until this is dropped.
struct Entered {
    layer: PerAddress,
    address: IpAddr,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counted = self.layer.counted();
        let now = counted.now;
        counted.addresses.leave(now, self.address);
    }
}
