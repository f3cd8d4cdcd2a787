//! The error of a request whose query or body is invalid.
//! RFC 9110 section 15.5.1.

use thiserror::Error as ThisError;

/// The query or the body of a request is invalid: 400, with this text.
///
/// ```
/// use sansws_common::{Error, Result, Scope};
/// use sansws_core::http::Response;
///
/// fn page(scope: Scope) -> Result<Response> {
///     match scope.query::<[(String, u32); 1]>() {
///         Ok([(name, number)]) => Ok(Response::text(200, format!("{name} is {number}\n"))),
///         // Without this arm, the response would be 400 with the error's text.
///         Err(Error::Request(error)) => Ok(Response::text(422, format!("{error}\n"))),
///         Err(error) => Err(error.into()),
///     }
/// }
/// # sansws_common::app::Router::<()>::new().get("/", page);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{0}")]
pub struct RequestError(#[doc(hidden)] pub String);
