//! Authentication before the upgrade: bearer, basic, cookie, query token.
//! RFC 9110 section 11 (401 and its challenge), RFC 6750 (bearer), RFC 7617 (basic); RFC 6455 section 10.5.
//! Knows where a request has credentials; a verifier checks them.

use std::any::Any;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sansws_core::http::Response;

use super::layer::Layer;
use crate::server::scope::Scope;

/// The credentials of a client.
///
/// ```
/// use sansws_common::app::{Auth, Credential, Router};
///
/// struct User(String);
///
/// // An `async fn` on the async adapters.
/// fn check(credential: Credential) -> Option<User> {
///     let name = credential.user.filter(|name| name == "ada")?;
///     (credential.secret == "correct horse").then(|| User(name))
/// }
///
/// let router = Router::<()>::new().layer(Auth::basic(check).realm("admin"));
/// # let _ = router;
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credential {
    /// The name, for basic authentication; otherwise `None`.
    pub user: Option<String>,
    /// The token, the password, or the value of the cookie.
    pub secret: String,
}

/// Hides the secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Verifies credentials, for layers that do not wait; a function `fn(Credential) -> Option<User>` is a verifier.
///
/// ```
/// use std::collections::HashMap;
/// use sansws_common::app::{Auth, Credential, Router, Verifier};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// /// Users by their tokens.
/// struct Tokens(HashMap<String, User>);
///
/// impl Verifier for Tokens {
///     type User = User;
///
///     fn verify(&self, credential: Credential) -> Option<User> {
///         self.0.get(&credential.secret).cloned()
///     }
/// }
///
/// let tokens = Tokens(HashMap::from([("s3cret".into(), User("ada".into()))]));
/// let router = Router::<()>::new().layer(Auth::bearer(tokens));
/// # let _ = router;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not verify credentials",
    label = "not a verifier",
    note = "a verifier is a `fn(credential: Credential) -> Option<User>`"
)]
pub trait Verifier: Send + Sync + 'static {
    /// The user type; a user is attached to the request as a state: `scope.state::<User>()`.
    type User: Any + Send + Sync;

    /// Verifies a credential. Returns `None` if it is invalid, which is answered with 401: clients discard such a credential. If it
    /// cannot be verified, for example because a database is down, write your own [`Layer`] and answer 503.
    ///
    /// It runs on the thread of the connection, which waits for it: on an event loop, so do all other connections of the loop.
    fn verify(&self, credential: Credential) -> Option<Self::User>;
}

impl<V, U> Verifier for V
where
    V: Fn(Credential) -> Option<U> + Send + Sync + 'static,
    U: Any + Send + Sync,
{
    type User = U;

    fn verify(&self, credential: Credential) -> Option<U> {
        self(credential)
    }
}

/// A layer that refuses requests whose credentials are missing (401) or invalid.
///
/// Browsers send no `Authorization` with a WebSocket request, only cookies; tokens in a query end up in logs, so keep them short-lived.
/// With cookies, keep the [`OriginPolicy`](sansws_core::handshake::OriginPolicy): otherwise any page on the web can open a WebSocket with
/// them.
///
/// ```
/// use sansws_common::app::{Auth, Credential};
///
/// struct User(String);
///
/// // An `async fn` on the async adapters.
/// fn look_up(credential: Credential) -> Option<User> {
///     // check a signature …
///     (credential.secret == "s3cret").then(|| User("ada".into()))
/// }
///
/// let layer = Auth::bearer(look_up).or_query("token");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Auth<V> {
    sources: Vec<Source>,
    realm: String,
    optional: bool,
    verifier: V,
}

/// The place of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Bearer,
    Basic,
    Cookie(String),
    Query(String),
}

/// Finds the credential in a request.
enum Found {
    Nothing,
    Malformed,
    Credential(Credential),
}

impl<V> Auth<V> {
    /// Expects `Authorization: Bearer token`.
    pub fn bearer(verifier: V) -> Self {
        Self::by(Source::Bearer, verifier)
    }

    /// Expects `Authorization: Basic`, with a name and a password.
    pub fn basic(verifier: V) -> Self {
        Self::by(Source::Basic, verifier)
    }

    /// Expects the value of a cookie.
    pub fn cookie(name: impl Into<String>, verifier: V) -> Self {
        Self::by(Source::Cookie(name.into()), verifier)
    }

    /// Expects the value of a query parameter.
    pub fn query(name: impl Into<String>, verifier: V) -> Self {
        Self::by(Source::Query(name.into()), verifier)
    }

    fn by(source: Source, verifier: V) -> Self {
        Self {
            sources: Vec::from([source]),
            realm: "WebSocket".into(),
            optional: false,
            verifier,
        }
    }

    /// Also accepts `Authorization: Bearer token`. The first one that a request contains counts.
    pub fn or_bearer(mut self) -> Self {
        self.sources.push(Source::Bearer);
        self
    }

    /// Also accepts the value of a cookie.
    pub fn or_cookie(mut self, name: impl Into<String>) -> Self {
        self.sources.push(Source::Cookie(name.into()));
        self
    }

    /// Also accepts the value of a query parameter.
    pub fn or_query(mut self, name: impl Into<String>) -> Self {
        self.sources.push(Source::Query(name.into()));
        self
    }

    /// Sets the realm in the challenge of a 401; default `WebSocket`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Passes requests without credentials, with no user attached.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// RFC 9110 15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header field [...] containing at least one
    /// challenge"; there is none for cookies, so those are a 403.
    fn refusal(&self, tried: bool) -> Response {
        let realm: String = self
            .realm
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
            .collect();
        let response = Response::text(401, "authentication required\n");
        let challenge = self.sources.iter().find_map(|source| match source {
            Source::Basic => Some(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")),
            // RFC 6750 3.1: no error code "if the request lacks any authentication information"
            Source::Bearer | Source::Query(_) if tried => {
                Some(format!("Bearer realm=\"{realm}\", error=\"invalid_token\""))
            }
            Source::Bearer | Source::Query(_) => Some(format!("Bearer realm=\"{realm}\"")),
            Source::Cookie(_) => None,
        });
        match challenge {
            Some(challenge) => response.with("WWW-Authenticate", challenge),
            None => Response::text(403, "authentication required\n"),
        }
    }
}

/// The claim of a request to pass [`Auth`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Claim {
    /// Verify this credential.
    Verify(Credential),
    /// There is none, and none is needed.
    Pass,
}

impl<V> Auth<V> {
    /// Finds the credential of a request.
    ///
    /// # Errors
    /// The answer to a request whose credential is missing or malformed.
    #[doc(hidden)]
    pub fn claim(&self, scope: &Scope) -> Result<Claim, Response> {
        let found = self
            .sources
            .iter()
            .map(|source| source.find(scope))
            .find(|found| !matches!(found, Found::Nothing));
        match found {
            Some(Found::Credential(credential)) => Ok(Claim::Verify(credential)),
            Some(Found::Malformed) => Err(self.refusal(true)),
            Some(Found::Nothing) | None if self.optional => Ok(Claim::Pass),
            Some(Found::Nothing) | None => Err(self.refusal(false)),
        }
    }

    #[doc(hidden)]
    pub const fn verifier(&self) -> &V {
        &self.verifier
    }

    /// Attaches the user of a credential.
    ///
    /// # Errors
    /// The answer to a request whose credential is invalid.
    #[doc(hidden)]
    pub fn admit<U: Any + Send + Sync>(
        &self,
        scope: &mut Scope,
        user: Option<U>,
    ) -> Result<(), Response> {
        scope.attach(user.ok_or_else(|| self.refusal(true))?);
        Ok(())
    }
}

impl<V: Verifier> Layer for Auth<V> {
    fn check(&self, scope: &mut Scope) -> Result<(), Response> {
        match self.claim(scope)? {
            Claim::Verify(credential) => self.admit(scope, self.verifier.verify(credential)),
            Claim::Pass => Ok(()),
        }
    }
}

impl Source {
    fn find(&self, scope: &Scope) -> Found {
        let token = |secret: &str| {
            Found::Credential(Credential {
                user: None,
                secret: secret.to_string(),
            })
        };
        match self {
            Self::Bearer => match authorization(scope, "bearer") {
                Some(secret) if !secret.is_empty() => token(secret),
                Some(_) => Found::Malformed,
                None => Found::Nothing,
            },
            Self::Basic => match authorization(scope, "basic") {
                Some(encoded) => basic(encoded).map_or(Found::Malformed, Found::Credential),
                None => Found::Nothing,
            },
            Self::Cookie(name) => scope.cookie(name).map_or(Found::Nothing, token),
            Self::Query(name) => scope
                .query_value(name)
                .map_or(Found::Nothing, |secret| token(&secret)),
        }
    }
}

/// RFC 9110 11.4: `Authorization` is a scheme, in any case, and its parameters.
fn authorization<'s>(scope: &'s Scope, scheme: &str) -> Option<&'s str> {
    let value = scope.header("authorization")?;
    let (own, rest) = value.split_once(' ').unwrap_or((value, ""));
    own.eq_ignore_ascii_case(scheme).then_some(rest.trim())
}

/// RFC 7617 2: `user-id ":" password`, in base64; the first colon ends the name.
fn basic(encoded: &str) -> Option<Credential> {
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, secret) = text.split_once(':')?;
    Some(Credential {
        user: Some(user.to_string()),
        secret: secret.to_string(),
    })
}
