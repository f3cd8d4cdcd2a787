//! Tokens that are signed with each kind of key, and what attackers make of public keys.
//! The keys of `tests/keys` were made by OpenSSL for these tests.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sansws_centrifuge::{TokenError, TokenKeys};
use sansws_core::time::Instant;
use serde_json::json;

const NOW: Instant = Instant::from_micros(1_000_000_000);

const RSA: &[u8] = include_bytes!("../keys/rsa.pub.pem");
const ES256: &[u8] = include_bytes!("../keys/es256.pub.pem");
const ES384: &[u8] = include_bytes!("../keys/es384.pub.pem");
const ED25519: &[u8] = include_bytes!("../keys/ed25519.pub.pem");
const JWKS: &str = include_str!("../keys/jwks.json");

/// The private keys, with the algorithm that their key in the set names.
fn signers() -> [(&'static str, Algorithm, EncodingKey); 4] {
    let rsa = include_bytes!("../keys/rsa.pem");
    let es256 = include_bytes!("../keys/es256.pem");
    let es384 = include_bytes!("../keys/es384.pem");
    let ed25519 = include_bytes!("../keys/ed25519.pem");
    [
        (
            "rsa",
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(rsa).unwrap(),
        ),
        (
            "es256",
            Algorithm::ES256,
            EncodingKey::from_ec_pem(es256).unwrap(),
        ),
        (
            "es384",
            Algorithm::ES384,
            EncodingKey::from_ec_pem(es384).unwrap(),
        ),
        (
            "ed25519",
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(ed25519).unwrap(),
        ),
    ]
}

fn with_kid(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey) -> String {
    let header = Header {
        kid: kid.map(Into::into),
        ..Header::new(algorithm)
    };
    encode(&header, &json!({"sub": "42", "exp": 1001}), key).unwrap()
}

#[test]
fn tokens_of_each_kind_of_key_are_verified_until_they_expire() {
    let keys = TokenKeys::default().rsa(RSA).unwrap();
    let keys = keys.ecdsa(ES256).unwrap().ecdsa(ES384).unwrap();
    let keys = keys.ed25519(ED25519).unwrap();
    let late = Instant::from_micros(1_001_000_000);
    for (name, algorithm, key) in signers() {
        let token = with_kid(algorithm, None, &key);
        assert_eq!(keys.connection(NOW, &token).unwrap().user, "42", "{name}");
        let expired = keys.connection(late, &token);
        assert_eq!(expired, Err(TokenError::Expired), "{name}");
        let (head, _) = token.rsplit_once('.').unwrap();
        let (_, signature) = with_kid(algorithm, Some("x"), &key)
            .rsplit_once('.')
            .map(|(head, signature)| (head.to_owned(), signature.to_owned()))
            .unwrap();
        let foreign = format!("{head}.{signature}");
        assert_eq!(
            keys.connection(NOW, &foreign),
            Err(TokenError::Invalid),
            "{name}"
        );
    }
    for algorithm in [Algorithm::RS384, Algorithm::RS512] {
        let [(_, _, key), ..] = signers();
        let token = with_kid(algorithm, None, &key);
        assert!(keys.connection(NOW, &token).is_ok());
    }
    let other = EncodingKey::from_rsa_pem(include_bytes!("../keys/other.pem")).unwrap();
    let token = with_kid(Algorithm::RS256, None, &other);
    assert_eq!(keys.connection(NOW, &token), Err(TokenError::Invalid));
}

#[test]
fn a_key_of_another_kind_is_refused() {
    assert!(TokenKeys::default().ecdsa(RSA).is_err());
    assert!(TokenKeys::default().ed25519(RSA).is_err());
    assert!(TokenKeys::default().rsa(ES256).is_err());
}

#[test]
fn a_public_key_is_no_secret() {
    // Everybody knows it, and could sign with it.
    for (pem, keys) in [
        (RSA, TokenKeys::default().rsa(RSA).unwrap()),
        (ES256, TokenKeys::default().ecdsa(ES256).unwrap()),
        (ED25519, TokenKeys::default().ed25519(ED25519).unwrap()),
        (RSA, TokenKeys::default().jwks(JWKS).unwrap()),
        (RSA, TokenKeys::default().rsa(RSA).unwrap().hmac(b"secret")),
    ] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for kid in [None, Some("rsa")] {
                let token = with_kid(algorithm, kid, &EncodingKey::from_secret(pem));
                assert_eq!(keys.connection(NOW, &token), Err(TokenError::Invalid));
            }
        }
    }
}

#[test]
fn a_key_of_a_set_is_used_with_its_id_and_its_algorithm_alone() {
    let keys = TokenKeys::default().jwks(JWKS).unwrap();
    for (name, algorithm, key) in signers() {
        let token = with_kid(algorithm, Some(name), &key);
        assert_eq!(keys.connection(NOW, &token).unwrap().user, "42", "{name}");
        for kid in [None, Some("another"), Some("")] {
            let token = with_kid(algorithm, kid, &key);
            let refused = keys.connection(NOW, &token);
            assert_eq!(refused, Err(TokenError::Invalid), "{name} {kid:?}");
        }
    }
    let [(name, _, key), (_, _, ec), ..] = signers();
    let token = with_kid(Algorithm::RS512, Some(name), &key);
    assert_eq!(keys.connection(NOW, &token), Err(TokenError::Invalid));
    let token = with_kid(Algorithm::ES256, Some(name), &ec);
    assert_eq!(keys.connection(NOW, &token), Err(TokenError::Invalid));
    let encryption = JWKS.replace("\"sig\"", "\"enc\"");
    let keys = TokenKeys::default().jwks(&encryption).unwrap();
    let token = with_kid(Algorithm::RS256, Some(name), &key);
    assert_eq!(keys.connection(NOW, &token), Err(TokenError::Invalid));
}

#[test]
fn the_token_of_a_subscription_connects_nobody() {
    let (_, algorithm, key) = signers().into_iter().next().unwrap();
    let claims = json!({"sub": "42", "channel": "chat:tea", "exp": 1001});
    let token = encode(&Header::new(algorithm), &claims, &key).unwrap();
    let keys = TokenKeys::default().rsa(RSA).unwrap();
    assert!(keys.subscription(NOW, &token, "42", "chat:tea").is_ok());
    assert_eq!(
        keys.connection(NOW, &token).unwrap_err(),
        TokenError::Invalid
    );
}

#[test]
fn a_time_is_a_number_with_or_without_a_fraction() {
    let key = EncodingKey::from_secret(b"secret");
    let keys = TokenKeys::default().hmac(b"secret");
    let at = |seconds: u64| Some(Instant::from_micros(seconds * 1_000_000));
    let expires = |claims: &serde_json::Value| {
        let token = encode(&Header::default(), claims, &key).unwrap();
        keys.connection(NOW, &token).map(|connect| connect.expires)
    };
    for (claims, want) in [
        (json!({"exp": 1001}), Ok(at(1001))),
        (json!({"exp": 1001.0}), Ok(at(1001))),
        (json!({"exp": 1001.9, "nbf": 999.5}), Ok(at(1001))),
        (json!({"exp": 5000, "expire_at": 1002.5}), Ok(at(1002))),
        (json!({"exp": 5000, "expire_at": 0.0}), Ok(None)),
        (json!({"exp": 1000.5}), Err(TokenError::Expired)),
        (json!({"exp": -1}), Err(TokenError::Expired)),
        (json!({"exp": 5000, "expire_at": -5}), Ok(at(0))),
        (json!({"exp": 5000, "expire_at": 0.4}), Ok(at(1))),
        (json!({"nbf": 1e30}), Err(TokenError::Invalid)),
        (json!({"nbf": 1001.5}), Err(TokenError::Invalid)),
        (json!({"exp": "1001"}), Err(TokenError::Invalid)),
    ] {
        assert_eq!(expires(&claims), want, "{claims}");
    }
}

#[test]
fn a_secret_that_was_forgotten_verifies_nothing() {
    let token = encode(
        &Header::default(),
        &json!({}),
        &EncodingKey::from_secret(b""),
    )
    .unwrap();
    let keys = TokenKeys::default().hmac(b"");
    assert_eq!(keys.connection(NOW, &token), Err(TokenError::Invalid));
}
