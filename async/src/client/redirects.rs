//! Dials, following redirects.
//! RFC 6455 section 4.1; `sansws_core::handshake` decides on the next request.
//! Knows no socket: the caller dials once.

use crate::client::options::ConnectOptions;
use crate::error::{Error, Result};
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::handshake::Redirects;
use sansws_core::http::Url;

/// Dials `url` by `once`, and again for each redirect, at most [`ConnectOptions::redirects`] times.
///
/// # Errors
/// The errors of `once`: [`Error::Refused`] for a redirect if none are followed. [`Error::Redirect`] for one that is not followed.
pub async fn follow<T, F>(
    url: Url,
    dial: ConnectOptions,
    mut once: impl FnMut(Url, ConnectOptions) -> F,
) -> Result<WebSocket<T>, Error>
where
    T: Transport,
    F: Future<Output = Result<WebSocket<T>, Error>>,
{
    let mut redirects = Redirects::new(url, dial.options.clone(), dial.redirects);
    loop {
        let mut next = dial.clone();
        next.options = redirects.options().clone();
        let response = match once(redirects.url().clone(), next).await {
            Err(Error::Refused(response)) => response,
            Err(error) => return Err(dial.name_timeout(redirects.url(), error)),
            opened => return opened,
        };
        if !redirects.follow(&response)? {
            return Err(Error::Refused(response));
        }
    }
}
