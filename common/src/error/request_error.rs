//! The error of a request whose query or body is invalid.
//! RFC 9110 section 15.5.1.

use thiserror::Error as ThisError;

/// The query or the body of a request is invalid: 400, with this text.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{0}")]
pub struct RequestError(#[doc(hidden)] pub String);
