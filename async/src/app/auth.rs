//! Authentication by verifiers that may wait.
//! RFC 6455 section 10.5.
//! Knows no header: `sansws_common::app` finds the credentials.

use std::any::Any;
use std::future::Future;

use sansws_common::app::{Auth, Claim, Credential};
use sansws_core::http::Response;

use crate::app::layer::Layer;
use crate::server::scope::Scope;

#[diagnostic::on_unimplemented(
    message = "`{Self}` does not verify credentials",
    label = "not a verifier",
    note = "a verifier is an `async fn(credential: Credential) -> Option<User>`, whose future is `Send`"
)]
/// Verifies credentials; an async function `Fn(Credential) -> Option<User>` is a verifier.
///
/// ```
/// use std::collections::HashMap;
/// use sansws_async::app::{Auth, Credential, Router, Verifier};
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{ConnectOptions, Result, ServerOptions, Upgrade};
///
/// #[derive(Clone, Debug)]
/// struct User(String);
///
/// /// Users by their tokens.
/// struct Tokens(HashMap<String, User>);
///
/// impl Verifier for Tokens {
///     type User = User;
///
///     async fn verify(&self, credential: Credential) -> Option<User> {
///         self.0.get(&credential.secret).cloned()
///     }
/// }
///
/// async fn greet(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let user = upgrade.state::<User>()?;
///     Ok(upgrade.accept().await?.send_text(&*user.0).await?)
/// }
///
/// # async fn run() -> Result {
/// let tokens = Tokens(HashMap::from([("s3cret".into(), User("ada".into()))]));
/// let router = Router::new().route("/", greet).layer(Auth::bearer(tokens));
/// # let server = TestServer::over(router, ServerOptions::default(), MemoryTransport::new)?;
/// let mut socket = server.connect_with("/", ConnectOptions::default().bearer("s3cret")?).await?;
/// socket.expect_text("ada").await;
/// server.expect_reject("/", 401).await;
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
pub trait Verifier: Send + Sync + 'static {
    /// The user type; a user is attached to the request as a state: `upgrade.state::<User>()`.
    type User: Any + Send + Sync;

    /// Verifies a credential. Returns `None` if it is invalid, which is answered with 401: clients discard such a credential. If it
    /// cannot be verified, for example because a database is down, write your own [`Layer`] and answer 503.
    fn verify(&self, credential: Credential) -> impl Future<Output = Option<Self::User>> + Send;
}

impl<V, F, U> Verifier for V
where
    V: Fn(Credential) -> F + Send + Sync + 'static,
    F: Future<Output = Option<U>> + Send,
    U: Any + Send + Sync,
{
    type User = U;

    fn verify(&self, credential: Credential) -> impl Future<Output = Option<U>> + Send {
        self(credential)
    }
}

impl<V: Verifier> Layer for Auth<V> {
    async fn check(&self, scope: &mut Scope) -> Result<(), Response> {
        match self.claim(scope)? {
            Claim::Verify(credential) => {
                let user = self.verifier().verify(credential).await;
                self.admit(scope, user)
            }
            Claim::Pass => Ok(()),
        }
    }
}
