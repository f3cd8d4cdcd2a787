//! JSON Web Tokens of connections and subscriptions.
//! RFC 7519; the claims are those that Centrifugo documents.
//! Knows no clock: the time is an argument.

use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use sansws_core::time::Instant;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::session::{Connect, Subscribe};

/// Why a token is refused.
///
/// For an example see [`TokenKeys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Its signature, its form or a claim is not valid.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
}

/// A key, or a set of keys, is not valid.
///
/// ```
/// use sansws_centrifuge::TokenKeys;
///
/// let error = TokenKeys::default().rsa(b"not a key").err().expect("it is no key");
/// assert!(error.to_string().starts_with("the key is not valid: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the key is not valid: {0}")]
pub struct KeyError(String);

/// The keys with which tokens are verified.
///
/// ```
/// use sansws_centrifuge::{TokenError, TokenKeys};
/// use sansws_core::time::Instant;
///
/// // {"sub":"ada"}, signed by the application with HS256.
/// let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEifQ.nGhkfYct9VdPyLm1g6Yg9w5lWfWP8GYLqbPI4pchjxE";
/// let keys = TokenKeys::default().hmac(b"s3cret");
/// let connect = keys.connection(Instant::ZERO, token)?;
/// assert_eq!(connect.user, "ada");
/// let others = TokenKeys::default().hmac(b"another secret");
/// assert_eq!(others.connection(Instant::ZERO, token), Err(TokenError::Invalid));
/// # Ok::<(), TokenError>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TokenKeys {
    keys: Vec<Arc<Key>>,
    audience: Option<String>,
    issuer: Option<String>,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl TokenKeys {
    /// Adds a secret for HS256, HS384 and HS512. An empty one, which anybody could sign with, is ignored.
    pub fn hmac(self, secret: &[u8]) -> Self {
        use Algorithm::{HS256, HS384, HS512};
        if secret.is_empty() {
            return self;
        }
        self.key(&[HS256, HS384, HS512], DecodingKey::from_secret(secret))
    }

    /// Adds an RSA public key in PEM, for RS256, RS384 and RS512.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn rsa(self, pem: &[u8]) -> Result<Self, KeyError> {
        use Algorithm::{RS256, RS384, RS512};
        let key = DecodingKey::from_rsa_pem(pem).map_err(KeyError::new)?;
        Ok(self.key(&[RS256, RS384, RS512], key))
    }

    /// Adds an ECDSA public key in PEM, for ES256 and ES384.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn ecdsa(self, pem: &[u8]) -> Result<Self, KeyError> {
        use Algorithm::{ES256, ES384};
        let key = DecodingKey::from_ec_pem(pem).map_err(KeyError::new)?;
        Ok(self.key(&[ES256, ES384], key))
    }

    /// Adds an Ed25519 public key in PEM, for EdDSA (RFC 8037).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn ed25519(self, pem: &[u8]) -> Result<Self, KeyError> {
        let key = DecodingKey::from_ed_pem(pem).map_err(KeyError::new)?;
        Ok(self.key(&[Algorithm::EdDSA], key))
    }

    /// Adds the keys of a JSON Web Key Set (RFC 7517 section 5). A token must name the `kid` of its key, if that has one, and use its
    /// algorithm. Keys for encryption are left out.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn jwks(mut self, json: &str) -> Result<Self, KeyError> {
        use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, RS256, RS384, RS512};
        let set: JwkSet =
            serde_json::from_str(json).map_err(|error| KeyError(error.to_string()))?;
        let verifies = |jwk: &&Jwk| jwk.common.public_key_use != Some(PublicKeyUse::Encryption);
        for jwk in set.keys.iter().filter(verifies) {
            let mut algorithms = match &jwk.algorithm {
                AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512],
                AlgorithmParameters::EllipticCurve(_) => vec![ES256, ES384],
                AlgorithmParameters::OctetKey(_) => vec![HS256, HS384, HS512],
                AlgorithmParameters::OctetKeyPair(_) => vec![EdDSA],
            };
            // RFC 7517 4.4: "the algorithm intended for use with the key"
            if let Some(only) = jwk.common.key_algorithm {
                let only = Algorithm::from_str(&only.to_string()).ok();
                algorithms.retain(|algorithm| Some(*algorithm) == only);
            }
            let key = DecodingKey::from_jwk(jwk).map_err(KeyError::new)?;
            self.keys.push(Arc::new(Key {
                id: jwk.common.key_id.clone(),
                algorithms,
                key,
            }));
        }
        Ok(self)
    }

    /// Requires this audience (`aud`).
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Requires this issuer (`iss`).
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    fn key(mut self, algorithms: &[Algorithm], key: DecodingKey) -> Self {
        self.keys.push(Arc::new(Key {
            id: None,
            algorithms: algorithms.into(),
            key,
        }));
        self
    }

    /// Verifies the token of a connection.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn connection(&self, now: Instant, token: &str) -> Result<Connect, TokenError> {
        let claims = self.claims(now, token)?;
        // It is that of a subscription: a client that may not connect any more may still have one.
        if claims.channel.is_some() {
            return Err(TokenError::Invalid);
        }
        Ok(Connect {
            expires: claims.expiry(),
            info: claims.information()?,
            user: claims.sub.unwrap_or_default(),
            data: Vec::new(),
            channels: claims.channels,
        })
    }

    /// Verifies the token of a subscription: it must be for this user and this channel.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn subscription(
        &self,
        now: Instant,
        token: &str,
        user: &str,
        channel: &str,
    ) -> Result<Subscribe, TokenError> {
        let claims = self.claims(now, token)?;
        if claims.sub.as_deref().unwrap_or_default() != user
            || claims.channel.as_deref() != Some(channel)
        {
            return Err(TokenError::Invalid);
        }
        Ok(Subscribe {
            expires: claims.expiry(),
            info: claims.information()?,
            data: Vec::new(),
        })
    }

    fn claims(&self, now: Instant, token: &str) -> Result<Claims, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        let fits = |key: &&Arc<Key>| {
            key.algorithms.contains(&header.alg) && (key.id.is_none() || key.id == header.kid)
        };
        // The times are checked below, by the time that is passed.
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        let verified = |key: &Arc<Key>| decode::<Claims>(token, &key.key, &validation).ok();
        let claims = self.keys.iter().filter(fits).find_map(verified);
        let claims = claims.ok_or(TokenError::Invalid)?.claims;
        let seconds = i64::try_from(now.as_micros() / 1_000_000).unwrap_or(i64::MAX);
        if claims.exp.is_some_and(|NumericDate(exp)| exp <= seconds) {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|NumericDate(nbf)| nbf > seconds) {
            return Err(TokenError::Invalid);
        }
        Ok(claims)
    }
}

/// Whole seconds since the Unix epoch. RFC 7519 section 2: "non-integer values can be represented"; such are what Python's `time.time()` returns.
#[derive(Clone, Copy)]
struct NumericDate(i64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let rounded = || match number.as_f64().unwrap_or_default() {
            // 0 may mean that there is no time.
            first if first > 0.0 && first < 1.0 => 1,
            // The cast saturates.
            seconds => seconds.floor() as i64,
        };
        Ok(Self(number.as_i64().unwrap_or_else(rounded)))
    }
}

/// The claims of both kinds of tokens.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    /// When the connection or subscription expires, if not with the token; 0: never.
    expire_at: Option<NumericDate>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    #[serde(default)]
    channels: Vec<String>,
    channel: Option<String>,
}

impl Claims {
    fn expiry(&self) -> Option<Instant> {
        let NumericDate(seconds) = self.expire_at.or(self.exp)?;
        if seconds == 0 {
            return None;
        }
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Some(Instant::from_micros(seconds.saturating_mul(1_000_000)))
    }

    fn information(&self) -> Result<Option<String>, TokenError> {
        let Some(text) = &self.b64info else {
            return Ok(self.info.as_ref().map(|info| info.get().to_owned()));
        };
        let bytes = STANDARD.decode(text).map_err(|_| TokenError::Invalid)?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| TokenError::Invalid)
    }
}

impl KeyError {
    fn new(error: jsonwebtoken::errors::Error) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    const NOW: Instant = Instant::from_micros(1_000_000_000);

    fn signed(algorithm: Algorithm, secret: &str, claims: &serde_json::Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    #[test]
    fn a_connection_is_its_user_until_it_expires() {
        let keys = TokenKeys::default().hmac(b"secret");
        let claims =
            json!({"sub": "42", "exp": 1001, "info": {"name": "Ada"}, "channels": ["news"]});
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let connect = keys.connection(NOW, &signed(algorithm, "secret", &claims));
            let connect = connect.unwrap();
            assert_eq!(
                (&*connect.user, connect.channels),
                ("42", vec!["news".to_owned()])
            );
            assert_eq!(connect.info.as_deref(), Some("{\"name\":\"Ada\"}"));
            assert_eq!(connect.expires, Some(Instant::from_micros(1_001_000_000)));
        }
        let token = signed(Algorithm::HS256, "secret", &claims);
        let late = Instant::from_micros(1_001_000_000);
        assert_eq!(keys.connection(late, &token), Err(TokenError::Expired));
        let (head, signature) = token.rsplit_once('.').unwrap();
        let unsigned = format!("{head}.");
        let none = format!(
            "eyJhbGciOiJub25lIn0.{}.{signature}",
            head.split_once('.').unwrap().1
        );
        for bad in ["", "x", "a.b.c", unsigned.as_str(), none.as_str()] {
            assert_eq!(keys.connection(NOW, bad), Err(TokenError::Invalid), "{bad}");
        }
        let other = signed(Algorithm::HS256, "another", &claims);
        assert_eq!(keys.connection(NOW, &other), Err(TokenError::Invalid));
    }

    #[test]
    fn a_subscription_is_for_one_user_and_one_channel() {
        let keys = TokenKeys::default().hmac(b"secret");
        let claims = json!({"sub": "42", "channel": "news", "expire_at": 0, "exp": 2000});
        let token = signed(Algorithm::HS256, "secret", &claims);
        let check = |user, channel| keys.subscription(NOW, &token, user, channel);
        assert_eq!(check("42", "news").unwrap().expires, None);
        assert_eq!(check("41", "news"), Err(TokenError::Invalid));
        assert_eq!(check("42", "other"), Err(TokenError::Invalid));
    }

    #[test]
    fn a_required_audience_and_issuer_must_be_there() {
        let keys = TokenKeys::default()
            .hmac(b"secret")
            .audience("us")
            .issuer("they");
        let check = |claims| keys.connection(NOW, &signed(Algorithm::HS256, "secret", &claims));
        assert!(check(json!({"sub": "1", "aud": "us", "iss": "they"})).is_ok());
        assert!(check(json!({"sub": "1", "aud": "us"})).is_err());
        assert!(check(json!({"sub": "1", "aud": "others", "iss": "they"})).is_err());
    }

    #[test]
    fn a_key_of_a_set_is_chosen_by_its_id() {
        let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("secret");
        let set = json!({"keys": [{"kty": "oct", "kid": "one", "k": secret}]}).to_string();
        let keys = TokenKeys::default().jwks(&set).unwrap();
        let with = |kid: &str| {
            let header = Header {
                kid: Some(kid.into()),
                ..Header::default()
            };
            let key = EncodingKey::from_secret(b"secret");
            encode(&header, &json!({"sub": "42"}), &key).unwrap()
        };
        assert!(keys.connection(NOW, &with("one")).is_ok());
        assert_eq!(keys.connection(NOW, &with("two")), Err(TokenError::Invalid));
        assert!(TokenKeys::default().jwks("{}").is_err());
        assert!(TokenKeys::default().rsa(b"no key").is_err());
    }
}
