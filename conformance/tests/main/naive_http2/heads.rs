//! The heads of the naive endpoint: those of HTTP/2 outside, and those of HTTP/1.1 for the endpoint of a stream.
//! RFC 9113 section 8; RFC 8441 section 5.

use std::time::Duration;

use sansws_conformance::http::{self, Head};
use sansws_conformance::http2::Fields;
use sansws_conformance::http2::heads::value;
use sansws_conformance::http2::wire::error;

use super::{Failure, Fault, NaiveHttp2, Stream};

/// Fields that belong to HTTP/1.1 alone.
const OLD: [&str; 3] = ["connection", "upgrade", "transfer-encoding"];

impl NaiveHttp2 {
    fn stream(&self, request: Option<Head>) -> Stream {
        Stream {
            inner: (self.make)(self.peer),
            head: Vec::new(),
            open: false,
            out: Vec::new(),
            window: self.initial,
            sent: 0,
            ended: false,
            request,
        }
    }

    /// A request has come.
    pub(super) fn request(&mut self, id: u32, fields: Fields) -> Result<(), Failure> {
        if self.streams.contains_key(&id) {
            if self.has(Fault::TakesTrailers) {
                return Ok(());
            }
            return Err(Failure::Stream(id, error::PROTOCOL_ERROR));
        }
        self.last = self.last.max(id);
        if self.has(Fault::TakesOneStream) && !self.streams.is_empty() {
            return Err(Failure::Stream(id, error::REFUSED_STREAM));
        }
        if !self.lax && self.malformed(&fields) {
            return Err(Failure::Stream(id, error::PROTOCOL_ERROR));
        }
        let status = match value(&fields, ":protocol") {
            Some("websocket") => None,
            Some(_) if self.has(Fault::AcceptsAnyProtocol) => None,
            None if self.has(Fault::AcceptsNoProtocol) => None,
            _ if self.lax => None,
            Some(_) => Some("501"),
            None => Some("404"),
        };
        if let Some(status) = status {
            self.write_head(id, &vec![(":status".into(), status.into())], true);
            return Ok(());
        }
        let target = value(&fields, ":path").unwrap_or("/");
        let host = value(&fields, ":authority").unwrap_or("h");
        let mut request = Head::request(target, host, &http::key([7; 16]));
        if value(&fields, "sec-websocket-version").is_none() {
            request = request.without("Sec-WebSocket-Version");
        }
        for (name, value) in &fields {
            match name.as_str() {
                "sec-websocket-version" if self.has(Fault::AcceptsAnyVersion) => {}
                "sec-websocket-version" => request = request.set(name, value),
                "sec-websocket-extensions" | "sec-websocket-protocol" => {
                    request = request.with(name, value);
                }
                _ => {}
            }
        }
        let mut stream = self.stream(None);
        stream.inner.receive(Duration::ZERO, &request.write());
        self.streams.insert(id, stream);
        Ok(())
    }

    fn malformed(&self, fields: &Fields) -> bool {
        let missing = |name: &str, fault| value(fields, name).is_none() && !self.has(fault);
        let extended = value(fields, ":protocol").is_some();
        let mut pseudo = fields.iter().skip_while(|(name, _)| name.starts_with(':'));
        let late = pseudo.any(|(name, _)| name.starts_with(':'));
        let known = [":method", ":protocol", ":scheme", ":path", ":authority"];
        let count = |wanted: &str| fields.iter().filter(|(name, _)| name == wanted).count();
        let twice = |wanted: &&str| count(wanted) > 1 && !self.has(Fault::AcceptsTwoPaths);
        let bad_name = |name: &str| {
            let uppercase = name.bytes().any(|byte| byte.is_ascii_uppercase());
            uppercase && !self.has(Fault::AcceptsUppercase) || name.contains(' ')
        };
        let bad_value = |value: &str| value.contains('\n') && !self.has(Fault::AcceptsLineFeeds);
        let unknown = |name: &str| name.starts_with(':') && !known.contains(&name);
        value(fields, ":method").is_none()
            || extended && missing(":scheme", Fault::AcceptsNoScheme)
            || extended && missing(":path", Fault::AcceptsNoPath)
            || extended && missing(":authority", Fault::AcceptsNoPath)
            || value(fields, ":path") == Some("")
            || self.has(Fault::WantsProtocolFirst)
                && extended
                && fields.get(1).is_none_or(|(name, _)| name != ":protocol")
            || late && !self.has(Fault::AcceptsLatePseudo)
            || known.iter().any(twice)
            || fields
                .iter()
                .any(|(name, value)| bad_name(name) || bad_value(value))
            || { fields.iter() }.any(|(name, _)| unknown(name))
                && !self.has(Fault::AcceptsUnknownPseudo)
            || { fields.iter() }.any(|(name, _)| OLD.contains(&name.as_str()))
                && !self.has(Fault::AcceptsConnectionFields)
    }

    /// The endpoint of a stream answers its request.
    pub(super) fn respond(&mut self, id: u32, stream: &mut Stream, out: &[u8]) {
        stream.head.extend_from_slice(out);
        let Some((head, length)) = Head::read(&stream.head) else {
            // Bytes that are no HTTP are passed on.
            if !stream.head.is_empty()
                && !b"HTTP".starts_with(stream.head.get(..4).unwrap_or(&stream.head))
            {
                stream.open = true;
                stream.out.append(&mut stream.head);
            }
            return;
        };
        let opens = head.status() == Some(101);
        let status = match head.status() {
            Some(101) if self.has(Fault::AnswersWith101) => "101".into(),
            Some(101) => "200".into(),
            status => status.unwrap_or(500).to_string(),
        };
        let mut fields: Fields = vec![(":status".into(), status)];
        for (name, value) in &head.fields {
            let name = name.to_lowercase();
            if matches!(
                name.as_str(),
                "sec-websocket-protocol" | "sec-websocket-extensions"
            ) {
                fields.push((name, value.clone()));
            }
        }
        for (fault, name, value) in [
            (
                Fault::ChoosesASubprotocol,
                "sec-websocket-protocol",
                "x-mine",
            ),
            (
                Fault::ChoosesAnExtension,
                "sec-websocket-extensions",
                "x-mine",
            ),
            (Fault::SendsConnection, "connection", "upgrade"),
            (Fault::SendsAnAccept, "sec-websocket-accept", "odd"),
        ] {
            if self.has(fault) {
                fields.push((name.into(), value.into()));
            }
        }
        self.write_head(id, &fields, !opens);
        stream.ended = !opens;
        stream.open = opens;
        stream.out.extend(stream.head.split_off(length));
    }

    /// A client asks.
    pub(super) fn ask(&mut self) {
        let mut stream = self.stream(None);
        let bytes = stream.inner.output(Duration::ZERO);
        let (request, _) = Head::read(&bytes).unwrap();
        let mut fields: Fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", request.target()),
            (":authority", request.field("Host").unwrap()),
            ("sec-websocket-version", "13"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        if let Some(offers) = request.field("Sec-WebSocket-Extensions") {
            fields.push(("sec-websocket-extensions".into(), offers.into()));
        }
        match self.fault {
            Some(Fault::OmitsTheVersion) => drop(fields.remove(5)),
            Some(Fault::SendsAKey) => fields.push(("sec-websocket-key".into(), "a".into())),
            _ => {}
        }
        stream.request = Some(request);
        self.last = 1;
        self.streams.insert(1, stream);
        self.write_head(1, &fields, false);
    }

    /// A client is answered.
    pub(super) fn answer(&mut self, id: u32, fields: Fields) -> Result<(), Failure> {
        let bad = |code| Err(Failure::Stream(id, code));
        let Some(mut stream) = self.streams.remove(&id) else {
            return Ok(());
        };
        if stream.open {
            self.streams.insert(id, stream);
            return match self.has(Fault::TakesTrailers) {
                true => Ok(()),
                false => bad(error::PROTOCOL_ERROR),
            };
        }
        let late = fields.first().is_none_or(|(name, _)| name != ":status");
        let none = value(&fields, ":status").is_none();
        let odd =
            |name: &str| OLD.contains(&name) || name.bytes().any(|byte| byte.is_ascii_uppercase());
        if none && !self.has(Fault::TakesNoStatus)
            || late && !none && !self.has(Fault::TakesLateStatus)
            || fields.iter().any(|(name, _)| odd(name))
        {
            return bad(error::PROTOCOL_ERROR);
        }
        let status = value(&fields, ":status").unwrap_or("200");
        match status.as_bytes() {
            b"101" if self.has(Fault::Takes101) => {}
            b"101" => return bad(error::PROTOCOL_ERROR),
            [b'1', ..] => {
                if self.has(Fault::GivesUpOnInterim) {
                    return bad(error::CANCEL);
                }
                self.streams.insert(id, stream);
                return Ok(());
            }
            [b'2', ..] => {}
            _ if self.has(Fault::TakesAnyStatus) => {}
            _ => return bad(error::CANCEL),
        }
        let Some(request) = stream.request.take() else {
            return Ok(());
        };
        let accept = value(&fields, "sec-websocket-accept");
        if self.has(Fault::WantsAnAccept) && accept.is_some_and(|accept| accept.len() != 28) {
            return bad(error::CANCEL);
        }
        let mut response = Head::response(&request);
        let offers = request.field("Sec-WebSocket-Extensions").is_some();
        if let Some(chosen) = value(&fields, "sec-websocket-extensions") {
            let offered = offers && chosen.starts_with("permessage-deflate");
            if !offered && !self.has(Fault::TakesAnyExtension) {
                return bad(error::CANCEL);
            }
            if chosen.starts_with("permessage-deflate") {
                response = response.with("Sec-WebSocket-Extensions", chosen);
            }
        }
        if value(&fields, "sec-websocket-protocol").is_some()
            && !self.has(Fault::TakesAnySubprotocol)
        {
            return bad(error::CANCEL);
        }
        stream.open = true;
        stream.inner.receive(Duration::ZERO, &response.write());
        self.streams.insert(id, stream);
        Ok(())
    }
}
