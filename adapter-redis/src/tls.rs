//! Certificates, in the `redis` crate's own types.

use redis::{ClientTlsConfig, TlsCertificates};

use crate::options::Tls;

impl Tls {
    pub(crate) fn certificates(&self) -> TlsCertificates {
        let identity = self.identity.clone();
        TlsCertificates {
            client_tls: identity.map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            }),
            root_cert: self.roots.clone(),
        }
    }
}

/// The `redis` crate uses the provider of the process, and panics where none can be told.
pub(crate) fn choose_provider() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which is as good.
        let _ = ring::default_provider().install_default();
    }
}
