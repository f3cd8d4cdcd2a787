//! TLS settings: PEM to rustls configurations, for all adapters.
//! RFC 6455 sections 4.1 and 10.6; RFC 7301 for ALPN.
//! Knows no socket and no file: the bytes of certificates and keys are inputs.

#[doc(hidden)]
pub mod stream;

use std::io;
use std::sync::Arc;

pub use rustls;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
pub use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert, WantsServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use rustls_native_certs::{CertificateResult, ErrorKind};
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::error::{Error, Result};

/// A certificate chain and its private key.
///
/// ```no_run
/// use sansws_common::tls::{self, Identity};
/// # fn run() -> sansws_common::Result {
/// let (chain, key) = (std::fs::read("chain.pem")?, std::fs::read("key.pem")?);
/// let server = tls::server(Identity::from_pem(&chain, &key)?, None)?;
/// // A server that asks clients for certificates of its own authority:
/// let authority = tls::certificates(&std::fs::read("clients.pem")?)?;
/// let strict = tls::server(Identity::from_pem(&chain, &key)?, Some(authority))?;
/// # drop((server, strict));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Parses both from PEM: the chain with the leaf certificate first, the key in PKCS #8, PKCS #1 or SEC 1.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(Error::other)?;
        Ok(Self { chain, key })
    }

    fn certified(self) -> Result<Arc<CertifiedKey>, Error> {
        CertifiedKey::from_der(self.chain, self.key, &provider())
            .map(Arc::new)
            .map_err(Error::other)
    }
}

/// Parses certificates from PEM; it is an error if there are none.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::other)?;
    if all.is_empty() {
        Err(Error::other("the PEM holds no certificate"))
    } else {
        Ok(all)
    }
}

/// Creates the settings of a client that trusts `roots`, and presents `identity` to servers that ask for it.
pub fn client(
    roots: impl IntoIterator<Item = CertificateDer<'static>>,
    identity: Option<Identity>,
) -> Result<Arc<ClientConfig>, Error> {
    client_of(store(roots), identity)
}

fn client_of(roots: RootCertStore, identity: Option<Identity>) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(Error::other)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn();
    Ok(Arc::new(config))
}

/// Creates the settings of a client that trusts the system's roots, and presents `identity` to servers that ask for it.
///
/// With the feature `webpki-roots`, it trusts the roots of the web, as Mozilla lists them, on a system that has none, such as a minimal container.
///
/// # Errors
/// When the system has no root certificates; [`Error::Io`] when the process has no descriptors left to read them.
pub fn system_client(identity: Option<Identity>) -> Result<Arc<ClientConfig>, Error> {
    let found = roots(rustls_native_certs::load_native_certs())?;
    if !found.is_empty() {
        return client(found, identity);
    }
    #[cfg(feature = "webpki-roots")]
    return webpki_client(identity);
    #[cfg(not(feature = "webpki-roots"))]
    Err(Error::other(
        "the system has no TLS root certificates: install them (`ca-certificates`), set SSL_CERT_FILE, or use the feature `webpki-roots`",
    ))
}

/// Returns the roots that were found. Without descriptors they may be none, or some: neither is what the system has, and they are kept.
fn roots(found: CertificateResult) -> Result<Vec<CertificateDer<'static>>, Error> {
    for error in found.errors {
        if let ErrorKind::Io { inner, path } = error.kind
            && cfg!(unix)
            && inner
                .raw_os_error()
                .is_some_and(|code| NO_DESCRIPTORS.contains(&code))
        {
            let path = path.display();
            return Err(Error::io(
                format_args!("read the root certificates in {path}"),
                inner,
            ));
        }
    }
    Ok(found.certs)
}

/// ENFILE and EMFILE, on all Unix systems.
const NO_DESCRIPTORS: [i32; 2] = [23, 24];

/// Creates the settings of a client that trusts the roots of the web, as Mozilla lists them in the crate `webpki-roots`, and presents
/// `identity` to servers that ask for it.
#[cfg(feature = "webpki-roots")]
pub fn webpki_client(identity: Option<Identity>) -> Result<Arc<ClientConfig>, Error> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    client_of(roots, identity)
}

/// Says what to do about a failed handshake where the error of rustls does not.
#[doc(hidden)]
pub fn explain(error: io::Error) -> io::Error {
    use rustls::{Error as Tls, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Tls::InvalidMessage(InvalidMessage::InvalidContentType)) => io::Error::new(
            error.kind(),
            "the peer does not speak TLS: connect to a plain port with ws://",
        ),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "the peer ended the TLS handshake")
        }
        _ => error,
    }
}

/// The settings of connections that name none.
static SHARED_CLIENT: OnceLock<Arc<ClientConfig>> = OnceLock::new();

/// Returns the settings of connections that name none, if they are loaded.
#[doc(hidden)]
pub fn loaded_client() -> Option<Arc<ClientConfig>> {
    SHARED_CLIENT.get().cloned()
}

/// Returns the settings of connections that name none, those of [`system_client`]: they are loaded once, which takes milliseconds of disk and
/// parsing, and shared, so that later connections resume TLS sessions.
#[doc(hidden)]
pub fn shared_client() -> Result<Arc<ClientConfig>, Error> {
    if let Some(loaded) = loaded_client() {
        return Ok(loaded);
    }
    let config = system_client(None)?;
    Ok(Arc::clone(SHARED_CLIENT.get_or_init(|| config)))
}

/// The certificate of a server, which can be replaced while it serves: new handshakes get the new one, open connections stay as they are.
/// Clones share it.
///
/// ```no_run
/// use sansws_common::tls::{Certificate, Identity};
/// # fn run(chain: &[u8], key: &[u8]) -> sansws_common::Result {
/// let certificate = Certificate::new(Identity::from_pem(chain, key)?)?;
/// let config = certificate.server(None)?; // for a listener
/// // a month later
/// certificate.replace(Identity::from_pem(chain, key)?)?;
/// # drop(config);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Certificate(Arc<Shown>);

#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    /// Creates one that presents `identity`.
    ///
    /// # Errors
    /// When the key does not belong to the certificate.
    pub fn new(identity: Identity) -> Result<Self, Error> {
        Ok(Self(Arc::new(Shown(RwLock::new(identity.certified()?)))))
    }

    /// Presents `identity` from now on.
    ///
    /// # Errors
    /// When the key does not belong to the certificate; then the previous one is kept.
    pub fn replace(&self, identity: Identity) -> Result<(), Error> {
        let certified = identity.certified()?;
        *self.0.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    /// Creates the settings of a server that presents it. With `client_roots`, clients must present a certificate signed by one of
    /// them.
    ///
    /// # Errors
    /// When the roots are empty.
    pub fn server(
        &self,
        client_roots: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Arc<ServerConfig>, Error> {
        let resolver: Arc<Shown> = Arc::clone(&self.0);
        let mut config = verifying(client_roots)?.with_cert_resolver(resolver);
        config.alpn_protocols = alpn();
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

/// Creates the settings of a server that presents `identity`. With `client_roots`, clients must present a certificate signed by one of
/// them.
pub fn server(
    identity: Identity,
    client_roots: Option<Vec<CertificateDer<'static>>>,
) -> Result<Arc<ServerConfig>, Error> {
    Certificate::new(identity)?.server(client_roots)
}

fn verifying(
    client_roots: Option<Vec<CertificateDer<'static>>>,
) -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?;
    Ok(match client_roots {
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(store(roots)), provider());
            builder.with_client_cert_verifier(verifier.build().map_err(Error::other)?)
        }
        None => builder.with_no_client_auth(),
    })
}

/// Returns the name that a server's certificate must have.
pub fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(host)
        .map(|name| name.to_owned())
        .map_err(Error::other)
}

/// The opening handshake is HTTP/1.1: a server that prefers HTTP/2 must know.
fn alpn() -> Vec<Vec<u8>> {
    vec![b"http/1.1".to_vec()]
}

fn store(roots: impl IntoIterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots);
    store
}

/// The cryptography of the process, if the application has installed some, such as `aws-lc-rs`; else `ring`.
fn provider() -> Arc<CryptoProvider> {
    let installed = CryptoProvider::get_default().cloned();
    installed.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustls_native_certs::Error as RootError;

    #[test]
    fn roots_that_cannot_be_read_are_not_missing() {
        let found = |codes: &[i32]| {
            let mut found = CertificateResult::default();
            found.certs.push(CertificateDer::from(vec![1]));
            found.errors.extend(codes.iter().map(|code| RootError {
                context: "",
                kind: ErrorKind::Io {
                    inner: io::Error::from_raw_os_error(*code),
                    path: "/certs".into(),
                },
            }));
            roots(found)
        };
        // A file that is missing, or unreadable for this user, stays so.
        assert_eq!(found(&[]).unwrap().len(), 1);
        assert_eq!(found(&[2, 13]).unwrap().len(), 1);
        for codes in [&[24][..], &[2, 23]] {
            let error = found(codes).unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("the root certificates in /certs"), "{text}");
        }
    }
}
