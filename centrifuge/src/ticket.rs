//! The ids of sessions whose commands come beside their transport: only a server of the same key issues them.
//! RFC 2104 (HMAC), with SHA-256.
//!
//! The id of a client is no secret, because others see it in presence. Nothing reaches its session unless the ticket is whole: otherwise anyone
//! could fill the queue of a session with commands that it has to refuse.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use sansws_core::hub::ChannelId;

/// The key that signs tickets. Clones share it.
///
/// An application sets its secret by [`Options::fallback_secret`](crate::Options).
///
/// ```
/// use sansws_centrifuge::TicketKey;
///
/// // All servers behind a balancer share the secret.
/// let key = TicketKey::new(b"a secret of at least 32 bytes, kept");
/// assert!(!format!("{key:?}").contains("kept"));
/// ```
#[derive(Clone)]
pub struct TicketKey(Arc<(EncodingKey, DecodingKey)>);

impl TicketKey {
    /// Creates a key of a secret. Servers with the same secret accept each other's tickets.
    pub fn new(secret: &[u8]) -> Self {
        let keys = (
            EncodingKey::from_secret(secret),
            DecodingKey::from_secret(secret),
        );
        Self(Arc::new(keys))
    }

    /// Creates the key of an endpoint, with a random secret unless it has one. Anybody could sign with an empty one.
    pub(crate) fn of(secret: Option<&str>, random: impl FnOnce() -> [u8; 16]) -> Self {
        match secret.filter(|secret| !secret.is_empty()) {
            Some(secret) => Self::new(secret.as_bytes()),
            None => Self::new(&random()),
        }
    }

    /// Returns the ticket of a client: its id, the secret of its session, and the signature of both.
    pub(crate) fn issue(&self, client: &str, secret: &str) -> String {
        let text = format!("{client}.{secret}");
        // HMAC does not fail.
        let signature = crypto::sign(text.as_bytes(), &self.0.0, Algorithm::HS256);
        format!("{text}.{}", signature.unwrap_or_default())
    }

    /// Returns the client and the secret of a ticket; `None` if no server of this key issued it.
    pub(crate) fn open<'a>(&self, ticket: &'a str) -> Option<(ChannelId, &'a str)> {
        let (text, signature) = ticket.rsplit_once('.')?;
        let is_ours = crypto::verify(signature, text.as_bytes(), &self.0.1, Algorithm::HS256);
        let (client, secret) = text.split_once('.').filter(|_| is_ours == Ok(true))?;
        Some((client.parse().ok()?, secret))
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_secret_counts_as_none() {
        let client = "00000000000000aa-1-2";
        let issued = |secret: &[u8]| TicketKey::new(secret).issue(client, "secret");
        for secret in [None, Some("")] {
            let key = TicketKey::of(secret, || [7; 16]);
            assert_eq!(key.open(&issued(b"")), None);
            assert!(key.open(&issued(&[7; 16])).is_some());
        }
        let key = TicketKey::of(Some("key"), || [7; 16]);
        assert!(key.open(&issued(b"key")).is_some());
    }

    #[test]
    fn a_ticket_is_for_one_client_and_cannot_be_made_of_its_parts() {
        let (key, other) = (TicketKey::new(b"key"), TicketKey::new(b"other"));
        let (ada, bob) = ("00000000000000aa-1-2", "00000000000000aa-2-2");
        let ticket = key.issue(ada, "secret");
        let (client, secret) = key.open(&ticket).unwrap();
        assert_eq!((&*client.to_string(), secret), (ada, "secret"));
        assert!(TicketKey::new(b"key").open(&ticket).is_some());
        assert_eq!(other.open(&ticket), None);
        let cut = ticket.rsplit_once('.').unwrap().0;
        let empty = format!("{cut}.");
        let moved = ticket.replacen(ada, bob, 1);
        for bad in ["", ".", "..", ada, cut, &empty, &moved, "a.b.c"] {
            assert_eq!(key.open(bad), None, "{bad}");
        }
    }
}
