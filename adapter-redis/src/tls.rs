//! Certificates, in the `redis` crate's own types.

use std::sync::Arc;

use redis::{ClientTlsConfig, ErrorKind, RedisError, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::options::{SetupError, Tls};

impl Tls {
    /// Checks that there are certificates where some are expected: the `redis` crate would trust no one, and be trusted by no one.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let chain = self.identity.as_ref().map(|(chain, _)| chain);
        for (pem, what) in [
            (self.roots.as_ref(), "the roots have no certificate"),
            (chain, "the identity has no certificate"),
        ] {
            let holds =
                |pem: &Vec<u8>| matches!(CertificateDer::pem_slice_iter(pem).next(), Some(Ok(_)));
            if pem.is_some_and(|pem| !holds(pem)) {
                let error = RedisError::from((ErrorKind::InvalidClientConfig, what));
                return Err(SetupError::BadTls(Arc::new(error)));
            }
        }
        Ok(())
    }

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
