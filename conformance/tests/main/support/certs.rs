//! A throwaway CA with a certificate for the loopback names and one for clients, in a folder that is removed.

use core::sync::atomic::{AtomicU32, Ordering};
use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use sansws_async::tls::{CertificateDer, Identity, certificates};

/// A folder of this test alone; it goes when the value does.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sansws-interop-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Certificates as PEM files.
#[derive(Debug)]
pub struct Certs {
    folder: Folder,
}

impl Certs {
    pub fn new() -> Self {
        let folder = Folder::new();
        let put = |name: &str, pem: String| fs::write(folder.path(name), pem).unwrap();
        let issuer = authority(|pem| put("ca.pem", pem));
        authority(|pem| put("stranger.pem", pem));
        for (name, usage, names) in [
            (
                "server",
                ExtendedKeyUsagePurpose::ServerAuth,
                vec!["localhost".to_string(), "127.0.0.1".to_string()],
            ),
            ("client", ExtendedKeyUsagePurpose::ClientAuth, Vec::new()),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.use_authority_key_identifier_extension = true;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![usage];
            let certificate = params.signed_by(&key, &issuer).unwrap();
            put(&format!("{name}.pem"), certificate.pem());
            put(&format!("{name}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    /// The path of one of the files: `ca.pem`, `stranger.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> String {
        self.folder
            .path(name)
            .into_os_string()
            .into_string()
            .unwrap()
    }

    /// The CA of both certificates.
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        certificates(&read(&self.folder.path("ca.pem"))).unwrap()
    }

    /// A CA that signed neither.
    pub fn strange_roots(&self) -> Vec<CertificateDer<'static>> {
        certificates(&read(&self.folder.path("stranger.pem"))).unwrap()
    }

    /// The chain and key of `server` or `client`.
    pub fn identity(&self, name: &str) -> Identity {
        let file = |suffix| read(&self.folder.path(&format!("{name}.{suffix}")));
        Identity::from_pem(&file("pem"), &file("key")).unwrap()
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// Makes a CA and hands out its certificate.
fn authority(put: impl FnOnce(String)) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "interop test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    put(params.self_signed(&key).unwrap().pem());
    Issuer::new(params, key)
}
