//! The handshake for stacks that use the types of the `http` crate.
//! RFC 6455 sections 4.1 and 4.2; RFC 8441 section 5.
//! Knows no stack: another stack parses the request and writes the response.

use http::{HeaderMap, Method, StatusCode, Version};

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
        let (uri, fields) = (request.uri(), collect(request.headers()));
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
        let fields = collect(response.headers());
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
    pub fn into_http(self) -> Result<http::Response<alloc::vec::Vec<u8>>, InvalidInput> {
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
    let builder = http::Response::builder().status(status);
    fields
        .iter()
        .fold(builder, |builder, (name, value)| {
            builder.header(name, value)
        })
        .body(body)
        .map_err(|_| InvalidInput::BadHeader)
}

fn collect(headers: &HeaderMap) -> Headers {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}
