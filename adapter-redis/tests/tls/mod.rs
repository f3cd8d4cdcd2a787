//! Hubs that are linked by TLS, through a Redis whose certificate an authority of the test signed.
//! Each runtime has a program of its own: the `redis` crate knows but one in a process.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use sansws_core::hub::HubOptions;
use sansws_redis::{
    Redis, RedisOptions, Runtime, Server as Target, SetupError, State, Status, Tls, hub_options,
};
use sansws_tokio::Hub;

use crate::server::{Server, free_port, until};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    certificate: String,
    key: String,
}

/// An authority, and what it signed.
pub struct Certificates {
    directory: PathBuf,
    authority: String,
    client: Pair,
}

impl Certificates {
    pub fn new() -> Self {
        let name = format!("sansws-redis-tls-{}-{}", std::process::id(), free_port());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "authority of a test");
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let server = sign(&issuer, &["127.0.0.1"]);
        let client = sign(&issuer, &[]);
        for (name, text) in [
            ("ca.pem", &authority),
            ("server.pem", &server.certificate),
            ("server.key", &server.key),
        ] {
            std::fs::write(directory.join(name), text).unwrap();
        }
        Self {
            directory,
            authority,
            client,
        }
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Starts a server that speaks TLS; returns its port for that.
    fn start(&self, more: &[&str]) -> (Server, u16) {
        let port = free_port();
        let (port_text, certificate) = (port.to_string(), self.file("server.pem"));
        let (key, authority) = (self.file("server.key"), self.file("ca.pem"));
        let mut arguments = vec!["--tls-port", &port_text, "--tls-cert-file", &certificate];
        arguments.extend(["--tls-key-file", &key, "--tls-ca-cert-file", &authority]);
        arguments.extend(["--tls-replication", "yes", "--appendonly", "no"]);
        arguments.extend(more);
        (Server::start(&arguments), port)
    }

    fn trusted(&self) -> Tls {
        Tls::default().roots(self.authority.as_str())
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn sign(issuer: &Issuer<'_, KeyPair>, names: &[&str]) -> Pair {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Pair {
        certificate: params.signed_by(&key, issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// Runs a future in the background.
pub type Spawn = fn(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>);

/// A runtime, for the scenarios.
#[derive(Clone, Copy)]
pub struct On {
    pub runtime: Runtime,
    pub spawn: Spawn,
}

impl On {
    fn link(self, options: RedisOptions) -> (Hub, Status) {
        let settings = HubOptions {
            lease: Some(Duration::from_secs(2)),
            ..HubOptions::default()
        };
        let (hub, link) = Hub::linked(hub_options(settings));
        let redis = Redis::new(link, self.runtime, options).unwrap();
        let status = redis.status();
        (self.spawn)(Box::pin(redis.run()));
        (hub, status)
    }

    /// Two hubs are linked, and what is published on one reaches the other.
    async fn links(self, options: RedisOptions) {
        let [(one, up), (other, also_up)] = [self.link(options.clone()), self.link(options)];
        until("both are linked", || up.is_up() && also_up.is_up());
        let mut heard = other.subscribe("room".parse().unwrap()).unwrap();
        loop {
            // A message that is published before the other's subscription has reached Redis gets nowhere.
            one.publish("room", "hello").await.unwrap();
            let next = futures_lite::future::or(async { heard.receive().await }, async {
                futures_lite::future::yield_now().await;
                std::thread::sleep(Duration::from_millis(20));
                None
            });
            if let Some(publication) = next.await {
                assert_eq!(&*publication.unwrap().group, "room");
                break;
            }
        }
        up.close();
        also_up.close();
        until("the links end", || {
            up.state() == State::Closed && also_up.state() == State::Closed
        });
    }

    /// The link does not come about, and its status says why.
    fn fails(self, options: RedisOptions, why: &str) {
        let (_hub, status) = self.link(options);
        let mut said = String::new();
        until(why, || {
            if let State::Down { reason, .. } = status.state() {
                said = reason;
            }
            assert!(!status.is_up());
            !said.is_empty() && said.to_lowercase().contains(why)
        });
        status.close();
    }
}

fn url(port: u16) -> String {
    format!("rediss://127.0.0.1:{port}")
}

pub async fn one_server(on: On) {
    let certificates = Certificates::new();
    let (_server, port) = certificates.start(&["--tls-auth-clients", "no"]);
    let options = || RedisOptions::one(url(port), "test");
    on.links(options().tls(certificates.trusted())).await;
    // The system trusts no such authority, nor does another test's.
    on.fails(options(), "certificate");
    let stranger = Certificates::new();
    on.fails(options().tls(stranger.trusted()), "certificate");
}

pub async fn one_server_that_asks_for_a_certificate(on: On) {
    let certificates = Certificates::new();
    let (_server, port) = certificates.start(&["--tls-auth-clients", "yes"]);
    let options = || RedisOptions::one(url(port), "test");
    let Pair { certificate, key } = certificates.client.clone();
    let trusted = certificates.trusted().identity(certificate, key);
    on.links(options().tls(trusted)).await;
    on.fails(options().tls(certificates.trusted()), "");
}

pub async fn a_cluster(on: On) {
    let certificates = Certificates::new();
    let bus = free_port().to_string();
    let (server, port) = certificates.start(&[
        "--tls-auth-clients",
        "no",
        "--tls-cluster",
        "yes",
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
    ]);
    assert!(
        server
            .cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
            .contains("OK")
    );
    until("the cluster is ready", || {
        server
            .cli(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
    });
    let options = RedisOptions::cluster([url(port)], "test");
    on.links(options.tls(certificates.trusted())).await;
}

pub async fn a_master_that_sentinels_tell(on: On) {
    let certificates = Certificates::new();
    let (_master, port) = certificates.start(&["--tls-auth-clients", "no"]);
    let (sentinel, sentinel_port) = certificates.start_sentinel(port);
    until("the Sentinel sees the master", || {
        sentinel
            .cli(&["-a", "secret", "SENTINEL", "CKQUORUM", "ours"])
            .contains("OK")
    });
    let server = Target::Sentinel {
        sentinels: vec![format!("rediss://:secret@127.0.0.1:{sentinel_port}")],
        master: "ours".to_owned(),
        credentials: None,
    };
    on.links(RedisOptions::new(server, "test").tls(certificates.trusted()))
        .await;
}

pub fn wrong_settings_fail_at_once(on: On) {
    let setup = |options: RedisOptions| {
        let (_hub, link) = Hub::linked(hub_options(HubOptions::default()));
        Redis::new(link, on.runtime, options).map(drop).unwrap_err()
    };
    let bad = Tls::default().roots("no certificate");
    let with = |url: &str, tls: &Tls| RedisOptions::one(url, "test").tls(tls.clone());
    let Pair { certificate, key } = Certificates::new().client.clone();
    let half = Tls::default().identity(certificate, "no key");
    let other_half = Tls::default().identity("no certificate", key);
    for tls in [&half, &other_half, &bad] {
        assert!(matches!(
            setup(with("rediss://localhost", tls)),
            SetupError::BadTls(_)
        ));
    }
    assert!(matches!(
        setup(with("redis://localhost", &bad)),
        SetupError::NoTls
    ));
    let none = RedisOptions::cluster(Vec::<String>::new(), "test");
    assert!(matches!(setup(none), SetupError::NoUrl));
    let options = RedisOptions::one("rediss://me:secret@localhost", "test").tls(half);
    let shown = format!("{options:?}");
    assert!(
        !shown.contains("secret") && !shown.contains("no key"),
        "{shown}"
    );
}

impl Certificates {
    /// Starts a Sentinel that speaks TLS and has a password; returns its port for that.
    fn start_sentinel(&self, master: u16) -> (Server, u16) {
        let port = free_port();
        let text = format!(
            "bind 127.0.0.1\ntls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
             tls-auth-clients no\ntls-replication yes\nrequirepass secret\n\
             sentinel monitor ours 127.0.0.1 {master} 1\n",
            self.file("server.pem"),
            self.file("server.key"),
            self.file("ca.pem"),
        );
        (Server::sentinel(&text), port)
    }
}
