//! The handshake for stacks that use the types of the `http` crate.
//! RFC 6455 sections 4.1 and 4.2; RFC 8441 section 5.
//! Knows no stack: another stack parses the request and writes the response.

use alloc::vec::Vec;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use super::{
    AcceptOptions, Agreement, ClientHandshake, ExtendedConnect, Failure, Opened, Refusal, Request,
    ServerAnswer,
};
use crate::config::Config;
use crate::error::InvalidInput;
use crate::http::{Headers, RequestHead, Response};

impl Request {
    /// Validates a request that another stack parsed: HTTP/1.1, or an extended CONNECT over HTTP/2 whose `:protocol` is passed
    /// separately, because the `http` crate has no place for it.
    pub fn from_http<B>(
        request: &http::Request<B>,
        protocol: Option<&str>,
    ) -> Result<Self, Refusal> {
        let (uri, fields) = (request.uri(), Headers::from(request.headers()));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        match request.version() {
            Version::HTTP_11 => Self::check(RequestHead {
                method: request.method().as_str().into(),
                target: path.into(),
                fields,
            }),
            Version::HTTP_2 | Version::HTTP_3 if request.method() == Method::CONNECT => {
                ExtendedConnect {
                    method: "CONNECT",
                    protocol: protocol.unwrap_or_default(),
                    scheme: uri.scheme_str().unwrap_or("https"),
                    path,
                    authority: uri.authority().map_or("", |authority| authority.as_str()),
                    fields,
                }
                .check()
            }
            _ => Err(Refusal::HttpVersion),
        }
    }

    /// Accepts: returns the response for the stack to write, and the agreement.
    pub fn accept_http(
        &self,
        config: &Config,
        accept: AcceptOptions,
    ) -> Result<(http::Response<()>, Agreement), InvalidInput> {
        let (fields, agreement) = self.accept_fields(config, accept)?;
        let upgraded = fields.get("upgrade").is_some();
        let status = if upgraded {
            StatusCode::SWITCHING_PROTOCOLS
        } else {
            StatusCode::OK
        };
        Ok((build(status, &fields, ())?, agreement))
    }
}

impl ClientHandshake {
    /// Validates a response that another stack parsed: 101 over HTTP/1.1, 2xx over HTTP/2 (RFC 8441 section 5).
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub fn receive_http<B: AsRef<[u8]>>(
        &self,
        response: &http::Response<B>,
    ) -> Result<ServerAnswer, Failure> {
        let fields = Headers::from(response.headers());
        match (response.version(), response.status()) {
            (Version::HTTP_11, StatusCode::SWITCHING_PROTOCOLS) => {
                self.check(fields).map(ServerAnswer::Open)
            }
            // RFC 9110 9.3.6: "Any 2xx (Successful) response indicates that the sender [...] will switch to tunnel mode"
            (Version::HTTP_2 | Version::HTTP_3, status) if status.is_success() => {
                let agreement = self.check_common(&fields)?;
                Ok(ServerAnswer::Open(Opened { agreement, fields }))
            }
            (Version::HTTP_11 | Version::HTTP_2 | Version::HTTP_3, status) => {
                let body = response.body().as_ref();
                let kept = body.len().min(self.body_limit());
                Ok(ServerAnswer::other(Response {
                    status: status.as_u16(),
                    fields,
                    body: body.get(..kept).unwrap_or_default().into(),
                }))
            }
            _ => Err(Failure::HttpVersion),
        }
    }
}

impl Response {
    /// Returns the response as a type of the `http` crate.
    pub fn into_http(self) -> Result<http::Response<Vec<u8>>, InvalidInput> {
        let status =
            StatusCode::from_u16(self.status).map_err(|_| InvalidInput::BadStatus(self.status))?;
        build(status, &self.fields, self.body)
    }
}

fn build<B>(
    status: StatusCode,
    fields: &Headers,
    body: B,
) -> Result<http::Response<B>, InvalidInput> {
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields.try_into()?;
    Ok(response)
}

/// Takes the status, the fields and the body.
impl<B: Into<Vec<u8>>> From<http::Response<B>> for Response {
    fn from(response: http::Response<B>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            fields: Headers::from(&head.headers),
            body: body.into(),
        }
    }
}

/// Copies the fields; those of one name are together, in their order.
impl From<&HeaderMap> for Headers {
    fn from(fields: &HeaderMap) -> Self {
        fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect()
    }
}

/// Copies the fields, unless one has an invalid name or value, or there are more than the map can hold.
impl TryFrom<&Headers> for HeaderMap {
    type Error = InvalidInput;

    fn try_from(fields: &Headers) -> Result<Self, InvalidInput> {
        let mut map = Self::new();
        for (name, value) in fields.iter() {
            let name = HeaderName::try_from(name).map_err(|_| InvalidInput::BadHeader)?;
            let value = HeaderValue::try_from(value).map_err(|_| InvalidInput::BadHeader)?;
            // It fails when there are too many.
            map.try_append(name, value)
                .map_err(|_| InvalidInput::BadHeader)?;
        }
        Ok(map)
    }
}
