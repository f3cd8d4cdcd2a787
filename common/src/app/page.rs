//! The pages of routes, and what they answer with.
//! RFC 9110 sections 9.3.1 (GET) and 15.
//! Knows no path.

use std::sync::Arc;

use sansws_core::http::Response;

use crate::error::Result;
use crate::server::scope::Scope;
use crate::server::verdict::refusal;

/// A page.
pub type Page = Arc<dyn Fn(Scope) -> Result<Response> + Send + Sync>;

/// A type that answers a plain request: a function from a [`Scope`] to [a response](IntoResponse), or a response itself.
///
/// `Kind` distinguishes these, and is always inferred.
///
/// ```
/// use sansws_common::app::Router;
/// use sansws_common::{Result, Scope};
/// use sansws_core::http::Response;
///
/// fn square(scope: Scope) -> Result<String> {
///     let number: i64 = scope.param("number")?;
///     Ok(number.pow(2).to_string())
/// }
///
/// let router = Router::<()>::new()
///     .get("/square/{number}", square)
///     .get("/", Response::html(200, "<h1>Squares</h1>"))
///     .get("/robots.txt", "User-agent: *\nDisallow: /\n");
/// # router.build().unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a page",
    label = "not a page",
    note = "a page is an `fn(scope: Scope) -> R`, where `R` is a `Response`, a text, or a `Result` of these; or such an answer as it is"
)]
pub trait IntoPage<Kind> {
    /// Converts it.
    #[doc(hidden)]
    fn into_page(self) -> Page;
}

/// A function from a [`Scope`] to a response.
#[derive(Debug)]
pub enum Function {}

/// A response.
#[derive(Debug)]
pub enum Object {}

impl<F, R> IntoPage<Function> for F
where
    F: Fn(Scope) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn into_page(self) -> Page {
        Arc::new(move |scope| self(scope).respond())
    }
}

impl<R: IntoResponse + Clone + Send + Sync + 'static> IntoPage<Object> for R {
    fn into_page(self) -> Page {
        Arc::new(move |_| self.clone().respond())
    }
}

/// A type that can be an answer: a response, a text, or a `Result` of one of these.
///
/// ```
/// use sansws_common::Scope;
/// use sansws_common::app::{IntoResponse, Router};
/// use sansws_core::http::Response;
///
/// /// The number of a ticket that was issued.
/// struct Ticket(u32);
///
/// impl IntoResponse for Ticket {
///     fn into_response(self) -> Response {
///         Response::text(201, format!("ticket {}\n", self.0))
///     }
/// }
///
/// assert_eq!("fine\n".into_response().status, 200);
/// assert_eq!(Ticket(7).into_response().body, b"ticket 7\n");
/// Router::<()>::new().post("/tickets", |_: Scope| Ticket(7)).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an answer to a request",
    label = "not an answer",
    note = "a page answers with a `Response`, a text, or a `Result` of these"
)]
pub trait IntoResponse {
    /// Converts it.
    fn into_response(self) -> Response;

    /// Converts it, with errors kept separate from answers.
    #[doc(hidden)]
    fn respond(self) -> Result<Response>
    where
        Self: Sized,
    {
        Ok(self.into_response())
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

/// Plain text, with status 200.
impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text(200, self)
    }
}

/// Plain text, with status 200.
impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(200, self)
    }
}

/// An error becomes the response of [`Error::reject`](crate::error::Error::reject), 400 for an invalid parameter or query, and otherwise
/// 500, which is counted and logged as the failure of a handler.
impl<R: IntoResponse> IntoResponse for Result<R> {
    fn into_response(self) -> Response {
        match self {
            Ok(response) => response.into_response(),
            Err(error) => refusal(&error).0,
        }
    }

    fn respond(self) -> Result<Response> {
        self?.respond()
    }
}
