//! A certificate that the server makes for itself, and a client that trusts it
//! alone.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";

struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn identity() -> Result<&'static Identity> {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    if let Some(identity) = IDENTITY.get() {
        return Ok(identity);
    }
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    Ok(IDENTITY.get_or_init(|| Identity {
        certificate: made.cert.der().to_vec(),
        key: made.signing_key.serialize_der(),
    }))
}

/// The certificate of this process, in DER.
pub(crate) fn certificate() -> Result<&'static [u8]> {
    Ok(&identity()?.certificate)
}

/// Returns the configuration of a server of this process.
pub(crate) fn server() -> Result<Arc<ServerConfig>> {
    let identity = identity()?;
    let key = PrivateKeyDer::try_from(identity.key.clone())
        .ok()
        .context("a key in an unknown form")?;
    let chain = vec![CertificateDer::from(identity.certificate.clone())];
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A client of the server with this certificate.
pub(crate) fn client(certificate: &[u8]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate))?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
