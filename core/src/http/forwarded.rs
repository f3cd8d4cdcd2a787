//! Determines the client of a request from what the proxies in front of us report.
//! RFC 7239 (Forwarded) and RFC 9110 section 5.6.4 (quoted strings); X-Forwarded-* have no RFC.
//! Knows no connection: it takes the fields, and the address of the peer that sent them.
//!
//! Every proxy appends the address that it received the request from. The list is therefore read from its end, one hop at a time, and only
//! as long as the reporting hop is trusted. Everything before that was written by a stranger and may be anything; it cannot even break the
//! part after it, because elements are also parsed from the end.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::str::FromStr;

use super::Headers;
use super::field::{Malformed, is_host, is_token_byte};
use crate::error::InvalidInput;

/// Networks that are trusted.
///
/// ```
/// use sansws_core::http::forwarded::{Trusted, client};
///
/// let trusted = Trusted::new(["10.0.0.0/8", "::1"])?;
/// let fields = [("X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.0.0.2")].into_iter().collect();
/// let found = client(&fields, "10.0.0.1".parse()?, &trusted);
/// assert_eq!(found.address.to_string(), "192.0.2.7"); // what stands before it, a stranger wrote
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    networks: Vec<Network>,
    headers: TrustedHeaders,
}

/// The fields that proxies write.
///
/// ```
/// use sansws_core::http::Headers;
/// use sansws_core::http::forwarded::{Trusted, TrustedHeaders, client};
///
/// // A proxy that writes `Forwarded`, and passes on the other field as the client made it up.
/// let trusted = Trusted::new(["10.0.0.0/8"])?.writing(TrustedHeaders::Forwarded);
/// let fields: Headers = [("Forwarded", "for=192.0.2.7;proto=https"), ("X-Forwarded-For", "::1")]
///     .into_iter()
///     .collect();
/// let found = client(&fields, "10.0.0.1".parse()?, &trusted);
/// assert_eq!((found.address.to_string(), found.secure), ("192.0.2.7".into(), Some(true)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TrustedHeaders {
    /// Either kind. If a request has both, only what they agree on is trusted: a proxy that writes one of them may pass on the other as
    /// the client made it up.
    #[default]
    Any,
    /// Only `Forwarded`.
    Forwarded,
    /// Only `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    XForwarded,
}

impl Trusted {
    /// Networks such as `10.0.0.0/8`, `::1` or `fd00::/8`. Without any, no proxy is trusted.
    pub fn new<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> Result<Self, InvalidInput> {
        let networks = networks.into_iter().map(|network| network.as_ref().parse());
        Ok(Self {
            networks: networks.collect::<Result<_, _>>()?,
            headers: TrustedHeaders::Any,
        })
    }

    /// Trusts these networks to write these fields.
    #[must_use]
    pub const fn writing(mut self, headers: TrustedHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Returns whether `address` belongs to one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

/// An address and the number of its significant bits.
///
/// ```
/// use sansws_core::http::forwarded::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains([10, 1, 2, 3].into()) && !network.contains([11, 0, 0, 1].into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// As IPv6; IPv4 addresses are mapped.
    bits: u128,
    mask: u128,
}

impl Network {
    /// Returns whether `address` belongs to it; an IPv4 address equals its IPv4-mapped IPv6 address.
    pub const fn contains(&self, address: IpAddr) -> bool {
        mapped(address) & self.mask == self.bits
    }
}

impl FromStr for Network {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidInput::BadNetwork)?;
        let (before, most) = if address.is_ipv4() {
            (96, 32)
        } else {
            (0, 128)
        };
        let length = match length {
            None => most,
            Some(digits)
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                digits.parse().map_err(|_| InvalidInput::BadNetwork)?
            }
            Some(_) => return Err(InvalidInput::BadNetwork),
        };
        if length > most {
            return Err(InvalidInput::BadNetwork);
        }
        let mask = !u128::MAX.checked_shr(before + length).unwrap_or(0);
        Ok(Self {
            bits: mapped(address) & mask,
            mask,
        })
    }
}

const fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The trusted information about a client.
///
/// For an example see [`Trusted`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The address of the nearest untrusted hop: the client, or a proxy of its own.
    pub address: IpAddr,
    /// Whether it used TLS to the proxy that it reached, if that proxy reports it.
    pub secure: Option<bool>,
    /// The `Host` that it sent to that proxy, if that proxy reports it.
    pub host: Option<String>,
}

/// The report of one proxy about its peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    /// `None` if the proxy hides or does not know it.
    address: Option<IpAddr>,
    secure: Option<bool>,
    host: Option<String>,
}

/// Maximum number of hops that are followed.
const MOST_HOPS: usize = 32;

/// Returns the source of a request: `peer`, unless it is trusted and names another address.
///
/// A trusted hop that hides its peer, or anything malformed, ends the walk at the last valid hop.
pub fn client(fields: &Headers, peer: IpAddr, trusted: &Trusted) -> Forwarded {
    let peer = peer.to_canonical();
    let believed = match trusted.headers {
        _ if !trusted.contains(peer) => None,
        TrustedHeaders::Forwarded => walk(forwarded(fields), peer, trusted),
        TrustedHeaders::XForwarded => walk(x_forwarded(fields), peer, trusted),
        TrustedHeaders::Any => match (
            walk(forwarded(fields), peer, trusted),
            walk(x_forwarded(fields), peer, trusted),
        ) {
            (Some(one), Some(two)) => (one.address == two.address).then(|| Forwarded {
                address: one.address,
                secure: one.secure.filter(|secure| two.secure == Some(*secure)),
                host: one.host.filter(|host| two.host.as_ref() == Some(host)),
            }),
            (one, two) => one.or(two),
        },
    };
    believed.unwrap_or(Forwarded {
        address: peer,
        secure: None,
        host: None,
    })
}

/// Follows hops from the nearest; `None` if there are none.
fn walk(
    hops: impl Iterator<Item = Result<Hop, Malformed>>,
    peer: IpAddr,
    trusted: &Trusted,
) -> Option<Forwarded> {
    let mut found: Option<Forwarded> = None;
    for hop in hops.take(MOST_HOPS) {
        let last = found.as_ref().map_or(peer, |found| found.address);
        let Ok(hop) = hop else {
            return found.or(Some(Forwarded {
                address: peer,
                secure: None,
                host: None,
            }));
        };
        let next = hop.address;
        found = Some(Forwarded {
            address: next.unwrap_or(last),
            secure: hop.secure,
            host: hop.host,
        });
        if !next.is_some_and(|next| trusted.contains(next)) {
            break;
        }
    }
    found
}

/// Iterates over the elements of all `Forwarded` fields, last first.
fn forwarded(fields: &Headers) -> impl Iterator<Item = Result<Hop, Malformed>> {
    elements(fields, "forwarded").map(|element| element.and_then(pairs))
}

/// Iterates over the entries of all `X-Forwarded-For` fields, last first, each with its protocol and host.
fn x_forwarded(fields: &Headers) -> impl Iterator<Item = Result<Hop, Malformed>> {
    let list = |name| elements(fields, name).take(MOST_HOPS + 1);
    let count = list("x-forwarded-for").count();
    // Most proxies leave one value, that of the outermost, while they append addresses; others append to both.
    let beside = move |name, at| {
        let mut values = list(name);
        let value = match list(name).count() {
            1 => values.next(),
            values_count if values_count == count => values.nth(at),
            _ => None,
        };
        value
            .and_then(Result::ok)
            .and_then(|value| core::str::from_utf8(value).ok())
    };
    list("x-forwarded-for").enumerate().map(move |(at, value)| {
        let value = core::str::from_utf8(value?).map_err(|_| Malformed)?;
        Ok(Hop {
            address: node(value)?,
            secure: beside("x-forwarded-proto", at).and_then(secure),
            host: beside("x-forwarded-host", at)
                .filter(|host| !host.is_empty() && is_host(host.as_bytes()))
                .map(ToString::to_string),
        })
    })
}

/// Iterates over the elements of the lists called `name`, last first. An empty one is malformed.
fn elements<'a>(
    fields: &'a Headers,
    name: &str,
) -> impl Iterator<Item = Result<&'a [u8], Malformed>> {
    let mut values: Vec<&[u8]> = fields.all(name).collect();
    core::iter::from_fn(move || {
        let value = values.pop()?;
        let at = match last_comma(value) {
            Ok(at) => at,
            Err(malformed) => return Some(Err(malformed)),
        };
        let element = match at {
            Some(at) => {
                values.push(value.get(..at).unwrap_or_default());
                value.get(at + 1..).unwrap_or_default()
            }
            None => value,
        };
        let element = element.trim_ascii();
        Some(if element.is_empty() {
            Err(Malformed)
        } else {
            Ok(element)
        })
    })
}

/// Finds the last comma outside of quotes, from the end, so that a stranger's text at the front cannot open quotes here.
fn last_comma(value: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut quoted = false;
    for (at, byte) in value.iter().enumerate().rev() {
        let before = value.get(..at).unwrap_or_default();
        match byte {
            b'"' => {
                let escapes = before.iter().rev().take_while(|byte| **byte == b'\\');
                if !quoted || escapes.count().is_multiple_of(2) {
                    quoted = !quoted;
                }
            }
            b',' if !quoted => return Ok(Some(at)),
            _ => {}
        }
    }
    if quoted { Err(Malformed) } else { Ok(None) }
}

/// RFC 7239 4: `forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )`
fn pairs(element: &[u8]) -> Result<Hop, Malformed> {
    let (mut hop, mut rest) = (Hop::default(), element);
    let (mut has_for, mut has_proto, mut has_host) = (false, false, false);
    while !rest.is_empty() {
        if let [b';', after @ ..] = rest {
            rest = after.trim_ascii_start();
            continue;
        }
        let (name, after) = token(rest)?;
        let [b'=', after @ ..] = after else {
            return Err(Malformed);
        };
        let (value, after) = match after {
            [b'"', after @ ..] => quoted(after)?,
            _ => token(after).map(|(value, after)| (value.to_string(), after))?,
        };
        // 4: "Each parameter MUST NOT occur more than once per field-value", an element of it.
        let seen = match name.to_ascii_lowercase().as_str() {
            "for" => {
                hop.address = node(&value)?;
                Some(&mut has_for)
            }
            "proto" => {
                hop.secure = secure(&value);
                Some(&mut has_proto)
            }
            "host" => {
                hop.host = (!value.is_empty() && is_host(value.as_bytes())).then_some(value);
                Some(&mut has_host)
            }
            _ => None,
        };
        if seen.is_some_and(|seen| core::mem::replace(seen, true)) {
            return Err(Malformed);
        }
        rest = match after.trim_ascii_start() {
            [] => return Ok(hop),
            [b';', after @ ..] => after.trim_ascii_start(),
            _ => return Err(Malformed),
        };
    }
    Ok(hop)
}

fn token(text: &[u8]) -> Result<(&str, &[u8]), Malformed> {
    let end = text.iter().position(|byte| !is_token_byte(*byte));
    let (token, rest) = text.split_at(end.unwrap_or(text.len()));
    match core::str::from_utf8(token) {
        Ok(token) if !token.is_empty() => Ok((token, rest)),
        Ok(_) | Err(_) => Err(Malformed),
    }
}

/// Returns the rest of a quoted string, and the text after it.
fn quoted(mut text: &[u8]) -> Result<(String, &[u8]), Malformed> {
    let mut value = Vec::new();
    loop {
        text = match text {
            [b'"', rest @ ..] => {
                let value = String::from_utf8(value).map_err(|_| Malformed)?;
                return Ok((value, rest));
            }
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                value.push(*byte);
                rest
            }
            [] => return Err(Malformed),
        };
    }
}

/// Parses an address with or without a port; `None` if it is unknown or hidden.
fn node(text: &str) -> Result<Option<IpAddr>, Malformed> {
    // RFC 7239 6: `nodename = IPv4address / "[" IPv6address "]" / "unknown" / obfnode`
    if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') {
        return Ok(None);
    }
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').and_then(|(address, port)| {
            let address = address.parse().map(IpAddr::V6).ok()?;
            (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(address)
        }),
        // X-Forwarded-For also contains IPv6 without brackets.
        None => text.parse().ok().or_else(|| {
            let (address, port) = text.split_once(':')?;
            let address = address.parse().map(IpAddr::V4).ok()?;
            is_port(port).then_some(address)
        }),
    };
    address
        .map(|address| Some(address.to_canonical()))
        .ok_or(Malformed)
}

/// RFC 7239 6: `node-port = port / obfport`, `port = 1*5DIGIT`, `obfport = "_" 1*(ALPHA / DIGIT / "." / "_" / "-")`
fn is_port(text: &str) -> bool {
    let hidden = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text.strip_prefix('_') {
        Some(rest) => !rest.is_empty() && rest.bytes().all(hidden),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn secure(proto: &str) -> Option<bool> {
    match proto.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}
