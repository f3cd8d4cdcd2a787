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

/// Sets a crypto provider if the process has none: the `redis` crate panics without one.
pub(crate) fn choose_provider() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // If another thread was faster, that provider is as good.
        let _ = ring::default_provider().install_default();
    }
}
