//! The naive endpoint's opening handshake.
//! RFC 6455 section 4.

use sansws_conformance::Peer;
use sansws_conformance::deflate::{Agreed, Params};
use sansws_conformance::http::{self, Head};
use sansws_conformance::opening;

use super::{Fault, Naive};

/// Longest head that it takes.
const LONGEST: usize = 16 << 10;

/// A client's request.
pub fn request(key: &str, host: &str) -> Vec<u8> {
    Head::request("/", host, key)
        .with("Sec-WebSocket-Extensions", &OFFER.write())
        .write()
}

const OFFER: Params = Params {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: None,
    client_max_window_bits: Some(None),
};

/// Takes a head, if it is whole. Says whether anything changed.
pub fn go_on(naive: &mut Naive) -> bool {
    match naive.peer {
        Peer::Server => server(naive),
        Peer::Client => client(naive),
    }
}

fn server(naive: &mut Naive) -> bool {
    if naive.input.is_empty() {
        return false;
    }
    let head = Head::read(&naive.input);
    if naive.has(Fault::WantsHeadsInOnePiece) && head.is_none() {
        return refuse(naive, "400 Bad Request", None);
    }
    let length = head
        .as_ref()
        .map_or(naive.input.len(), |(_, length)| *length);
    let long = length > LONGEST
        || head
            .as_ref()
            .is_some_and(|(head, _)| head.fields.len() > 200);
    if long && !naive.has(Fault::AcceptsHugeHeads) {
        return refuse(naive, "431 Request Header Fields Too Large", None);
    }
    if !naive
        .input
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'\r')
        || bare(&naive.input)
    {
        return refuse(naive, "400 Bad Request", None);
    }
    let Some((head, length)) = head else {
        return false;
    };
    let raw: Vec<u8> = naive.input.drain(..length).collect();
    if let Err((status, version)) = check(naive, &head, &raw) {
        return refuse(naive, status, version);
    }
    let mut response = Head::response(&head);
    if naive.has(Fault::HashesTheWrongKey) {
        response = response.set("Sec-WebSocket-Accept", &http::accept("x"));
    }
    if naive.has(Fault::ChoosesAProtocol) {
        response = response.with("Sec-WebSocket-Protocol", "mqtt");
    }
    response = spoiled(naive.fault, &head, response);
    let agreed = agree(naive, &head);
    if let Some((answer, _)) = agreed {
        response = response.with("Sec-WebSocket-Extensions", &answer.write());
    }
    naive.output.extend(response.write());
    naive.opened(agreed.map(|(_, agreed)| agreed));
    true
}

/// The 101 as a mutant sends it.
fn spoiled(fault: Option<Fault>, head: &Head, response: Head) -> Head {
    let key = head.field("Sec-WebSocket-Key").unwrap_or_default();
    let right = http::accept(key);
    let accept = |value: &str| response.clone().set("Sec-WebSocket-Accept", value);
    match fault {
        Some(Fault::AnswersTheExampleOnly) => accept("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        Some(Fault::SpoilsPlus) => accept(&http::accept(&key.replace('+', " "))),
        Some(Fault::SpoilsSlash) => accept(&http::accept(&key.replace('/', "\\/"))),
        Some(Fault::WritesTheUrlAlphabet) => accept(&right.replace('+', "-").replace('/', "_")),
        Some(Fault::AnswersOldHttp) => response.first("HTTP/1.0 101 Switching Protocols"),
        Some(Fault::SendsTwoAccepts) => response.with("Sec-WebSocket-Accept", &right),
        Some(Fault::SendsAWrongAcceptToo) => {
            response.with("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        }
        Some(Fault::AnnouncesALength) => response.with("Content-Length", "0"),
        Some(Fault::AnnouncesChunks) => response.with("Transfer-Encoding", "chunked"),
        _ => response,
    }
}

/// Whether a line ends in LF alone.
fn bare(bytes: &[u8]) -> bool {
    let head = Head::read(bytes)
        .and_then(|(_, length)| bytes.get(..length))
        .unwrap_or(bytes);
    let mut before = 0;
    head.iter().any(|byte| {
        let bare = *byte == b'\n' && before != b'\r';
        before = *byte;
        bare
    })
}

fn refuse(naive: &mut Naive, status: &str, version: Option<&str>) -> bool {
    naive.over = true;
    naive.input.clear();
    if naive.has(Fault::RefusesWithoutAnswer) {
        return false;
    }
    let mut head = Head::new(format!("HTTP/1.1 {status}")).with("Content-Length", "0");
    if let Some(version) = version.filter(|_| !naive.has(Fault::NamesNoVersion)) {
        head = head.with("Sec-WebSocket-Version", version);
    }
    naive.output.extend(head.write());
    false
}

/// The status to refuse with, and the version to name.
type Refusal = (&'static str, Option<&'static str>);

const BAD: Refusal = ("400 Bad Request", None);

fn check(naive: &Naive, head: &Head, raw: &[u8]) -> Result<(), Refusal> {
    let need = |good: bool, fault: Fault, refusal: Refusal| match good || naive.has(fault) {
        true => Ok(()),
        false => Err(refusal),
    };
    let words: Vec<&str> = head.first.split(' ').collect();
    let [method, _, version] = words.as_slice() else {
        return Err(BAD);
    };
    need(
        *method == "GET",
        Fault::AcceptsAnyMethod,
        ("405 Method Not Allowed", None),
    )?;
    need(
        *version == "HTTP/1.1",
        Fault::AcceptsOldHttp,
        ("505 HTTP Version Not Supported", None),
    )?;
    need(fields_are_good(raw), Fault::AcceptsBadFields, BAD)?;
    let host: Vec<&str> = head.all("Host").collect();
    let good =
        matches!(host.as_slice(), [one] if !one.contains([' ', '/', '@']) && !one.is_empty());
    need(good, Fault::AcceptsNoHost, BAD)?;
    let upgrade = match naive.has(Fault::WantsUpgradeInLowerCase) {
        true => head.all("Upgrade").any(|value| value == "websocket"),
        false => head.has_token("Upgrade", "websocket"),
    };
    need(
        upgrade,
        Fault::AcceptsNoUpgrade,
        ("426 Upgrade Required", None),
    )?;
    let connection = match naive.has(Fault::WantsConnectionAlone) {
        true => head
            .all("Connection")
            .any(|value| value.eq_ignore_ascii_case("upgrade")),
        false => head.has_token("Connection", "Upgrade"),
    };
    need(connection, Fault::AcceptsNoUpgrade, BAD)?;
    let versions: Vec<&str> = head.all("Sec-WebSocket-Version").collect();
    need(
        versions == ["13"],
        Fault::AcceptsAnyVersion,
        ("426 Upgrade Required", Some("13")),
    )?;
    let keys: Vec<&str> = head.all("Sec-WebSocket-Key").collect();
    need(keys.len() == 1, Fault::AcceptsTwoKeys, BAD)?;
    let length = keys.first().and_then(|key| http::decoded_length(key));
    need(length == Some(16), Fault::AcceptsShortKeys, BAD)?;
    if head.field("Content-Length").is_some() || head.field("Transfer-Encoding").is_some() {
        return Err(BAD);
    }
    Ok(())
}

fn fields_are_good(raw: &[u8]) -> bool {
    let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').collect();
    let fields = lines
        .get(1..lines.len().saturating_sub(2))
        .unwrap_or_default();
    fields.iter().all(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return false;
        };
        let (name, value) = line.split_at(colon);
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        !name.is_empty()
            && name.iter().all(token)
            && !value.iter().any(|byte| matches!(byte, 0 | b'\r'))
    })
}

/// The answer to the offers, and what it comes to.
fn agree(naive: &Naive, head: &Head) -> Option<(Params, Agreed)> {
    let all: Vec<&str> = head.all("Sec-WebSocket-Extensions").collect();
    let offers = all.iter().flat_map(|value| value.split(','));
    let eight = naive.has(Fault::AnswersTooLargeAWindow) || naive.has(Fault::AcknowledgesEightBits);
    let offer = offers
        .map(|offer| match naive.has(Fault::AcceptsUnknownParameters) {
            true => offer.split(';').next().unwrap_or_default(),
            false => offer,
        })
        .filter_map(|offer| Params::read(offer).ok()?.into_iter().next())
        // zlib keeps to no window of 8 bits.
        .find(|offer| eight || offer.server_max_window_bits != Some(8))?;
    let client_bits = offer
        .client_max_window_bits
        .map(|hint| Some(hint.unwrap_or(15)));
    let bits = offer.server_max_window_bits;
    let answer = Params {
        server_no_context_takeover: offer.server_no_context_takeover,
        client_no_context_takeover: false,
        server_max_window_bits: match naive.has(Fault::AnswersTooLargeAWindow) {
            true => Some(15),
            false => bits,
        },
        client_max_window_bits: match naive.has(Fault::AnswersUnaskedParameters) {
            true => Some(Some(10)),
            false => client_bits,
        },
    };
    let agreed = Agreed {
        own_takeover: !offer.server_no_context_takeover,
        peer_takeover: true,
        own_bits: bits.unwrap_or(15),
        peer_bits: 15,
    };
    Some((answer, agreed))
}

fn client(naive: &mut Naive) -> bool {
    if naive.input.len() > 64 << 10
        && Head::read(&naive.input).is_none_or(|(_, length)| length > 64 << 10)
    {
        naive.over = true;
        return false;
    }
    let Some((head, length)) = Head::read(&naive.input) else {
        return false;
    };
    let raw: Vec<u8> = naive.input.drain(..length).collect();
    let interim = head
        .status()
        .is_some_and(|status| matches!(status, 100 | 102..=199));
    if interim && !naive.has(Fault::GivesUpOnInterimResponses) {
        return true;
    }
    let body = head
        .field("Content-Length")
        .and_then(|length| length.parse().ok());
    if let Some(length) = body.filter(|_| naive.has(Fault::SkipsABody)) {
        let length = naive.input.len().min(length);
        naive.input.drain(..length);
    }
    match judge(naive, head, &raw) {
        Ok(agreed) => naive.opened(agreed),
        Err(_) => naive.over = true,
    }
    true
}

fn judge(naive: &Naive, mut head: Head, raw: &[u8]) -> Result<Option<Agreed>, String> {
    // Fields that a mutant ignores are corrected before they are checked.
    if naive.has(Fault::TakesAnyAccept) {
        head = head
            .without("Sec-WebSocket-Accept")
            .with("Sec-WebSocket-Accept", &http::accept(&naive.key));
    }
    if naive.has(Fault::TakesNoUpgrade) {
        head = head.without("Upgrade").with("Upgrade", "websocket");
    }
    if naive.has(Fault::TakesAnyExtension)
        && head.field("Sec-WebSocket-Extensions") == Some("x-nobody")
    {
        head = head.without("Sec-WebSocket-Extensions");
    }
    if naive.has(Fault::TakesAnyProtocol) {
        head = head.without("Sec-WebSocket-Protocol");
    }
    if naive.has(Fault::TakesAnyStatus) {
        head = head.first("HTTP/1.1 101 Switching Protocols");
    }
    let right = http::accept(&naive.key);
    let mut accepts = head.all("Sec-WebSocket-Accept");
    if accepts.any(|accept| accept != right) && !naive.has(Fault::TakesTheFirstAccept) {
        return Err("one Sec-WebSocket-Accept does not answer the key".into());
    }
    let line = head.first.as_bytes();
    if !line.starts_with(b"HTTP/1.1 101 ") || !fields_are_good(raw) {
        return Err("it is no 101".into());
    }
    opening::check_response(&head, &naive.key, &[OFFER], &[])
}
