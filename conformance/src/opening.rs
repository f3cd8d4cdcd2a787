//! The ordinary opening handshake of the suite, both sides.
//! RFC 6455 section 4; RFC 7692 section 7.1.
//! Cases about the handshake itself write their own heads.

use crate::deflate::{Agreed, Params};
use crate::http::{self, Head};
use crate::http2::Fields;

/// The offer of a client that supports permessage-deflate.
pub fn offer(params: &[Params]) -> String {
    let all: Vec<String> = params.iter().map(|params| params.write()).collect();
    all.join(", ")
}

/// Checks a server's answer to a request with `key` that offered these extensions and subprotocols. `Ok(None)` is a 101 without extension.
///
/// # Errors
/// When the answer is wrong; the text says how.
pub fn check_response(
    head: &Head,
    key: &str,
    offered: &[Params],
    protocols: &[String],
) -> Result<Option<Agreed>, String> {
    if head.status() != Some(101) {
        return Err(format!("it refused the handshake: {}", head.first));
    }
    let upgrade = head.field("Upgrade").unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Err(format!("its Upgrade is `{upgrade}`, not websocket (4.2.2)"));
    }
    if !head.has_token("Connection", "Upgrade") {
        return Err("its Connection does not list Upgrade (4.2.2)".into());
    }
    if head.field("Sec-WebSocket-Accept") != Some(&http::accept(key)) {
        return Err("its Sec-WebSocket-Accept does not answer the key (4.2.2)".into());
    }
    check_agreement(head, offered, protocols)
}

/// Checks a server's answer over HTTP/2 to a request that offered these extensions and subprotocols. `Ok(None)` is one without extension.
///
/// # Errors
/// When the answer is wrong; the text says how.
pub fn check_answer(
    head: &Head,
    offered: &[Params],
    protocols: &[String],
) -> Result<Option<Agreed>, String> {
    match head.opens() {
        true => check_agreement(head, offered, protocols),
        false => Err(format!("it refused the handshake: {}", head.first)),
    }
}

/// Checks the subprotocol and the extensions that a server chose.
fn check_agreement(
    head: &Head,
    offered: &[Params],
    protocols: &[String],
) -> Result<Option<Agreed>, String> {
    let chosen = head.field("Sec-WebSocket-Protocol");
    if let Some(chosen) = chosen.filter(|chosen| !protocols.iter().any(|name| name == chosen)) {
        return Err(format!(
            "it chose the subprotocol `{chosen}`, which was not offered (4.2.2)"
        ));
    }
    let extensions: Vec<&str> = head.all("Sec-WebSocket-Extensions").collect();
    let names = extensions.iter().flat_map(|value| value.split(','));
    for name in names.filter_map(|extension| extension.split(';').next().map(str::trim)) {
        if name == "permessage-deflate" && offered.is_empty() {
            return Err("it answered with permessage-deflate, and no valid offer of it was made (RFC 7692 7.1)".into());
        }
        if name != "permessage-deflate" {
            return Err(format!(
                "it answered with the extension `{name}`, which was not offered (9.1)"
            ));
        }
    }
    let answers =
        Params::read(&extensions.join(",")).map_err(|wrong| format!("{wrong} (RFC 7692 7.1)"))?;
    match answers.as_slice() {
        [] => Ok(None),
        [answer] => offered
            .iter()
            .find(|offer| fits(offer, answer))
            .map(|offer| Some(agreed(offer, answer)))
            .ok_or_else(|| {
                format!(
                    "its answer `{}` fits no offer (RFC 7692 7.1)",
                    answer.write()
                )
            }),
        _ => Err("it answered with permessage-deflate twice".into()),
    }
}

/// Returns whether a server may give this answer to an offer (RFC 7692 sections 7.1.1 and 7.1.2).
fn fits(offer: &Params, answer: &Params) -> bool {
    let server_bits = match (offer.server_max_window_bits, answer.server_max_window_bits) {
        (Some(most), Some(bits)) => bits <= most,
        // Without the parameter, the window is the largest.
        (Some(most), None) => most == 15,
        (None, _) => true,
    };
    let client_bits = match (offer.client_max_window_bits, answer.client_max_window_bits) {
        (_, None) => true,
        (None, Some(_)) | (_, Some(None)) => false,
        (Some(hint), Some(Some(bits))) => bits <= hint.unwrap_or(15),
    };
    server_bits
        && client_bits
        && (answer.server_no_context_takeover || !offer.server_no_context_takeover)
}

/// The agreement as seen by the client's side of the suite, which keeps the promises of its offer.
fn agreed(offer: &Params, answer: &Params) -> Agreed {
    Agreed {
        own_takeover: !offer.client_no_context_takeover && !answer.client_no_context_takeover,
        peer_takeover: !answer.server_no_context_takeover,
        own_bits: answer.client_max_window_bits.flatten().unwrap_or(15),
        peer_bits: answer.server_max_window_bits.unwrap_or(15),
    }
}

/// Checks a client's request.
///
/// # Errors
/// When the request is wrong; the text says how.
pub fn check_request(head: &Head) -> Result<(), String> {
    let mut words = head.first.split(' ');
    if words.next() != Some("GET") {
        return Err("its method is not GET (4.1)".into());
    }
    if !words
        .next()
        .is_some_and(|target| target.starts_with('/') || target.contains("://"))
    {
        return Err("its request target is no path (4.1)".into());
    }
    if words.next() != Some("HTTP/1.1") {
        return Err("its HTTP version is not 1.1 (4.1)".into());
    }
    let once = |name: &'static str| match head.all(name).count() {
        1 => Ok(()),
        0 => Err(format!("it sent no {name} (4.1)")),
        _ => Err(format!("it sent {name} more than once (4.1)")),
    };
    for name in ["Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
        once(name)?;
    }
    if !head.has_token("Upgrade", "websocket") {
        return Err("its Upgrade does not list websocket (4.1)".into());
    }
    if !head.has_token("Connection", "Upgrade") {
        return Err("its Connection does not list Upgrade (4.1)".into());
    }
    if head.field("Sec-WebSocket-Version") != Some("13") {
        return Err("its Sec-WebSocket-Version is not 13 (4.1)".into());
    }
    let key = head.field("Sec-WebSocket-Key").unwrap_or_default();
    if http::decoded_length(key) != Some(16) {
        return Err("its Sec-WebSocket-Key does not stand for 16 octets (4.1)".into());
    }
    Ok(())
}

/// Answers a client's request: returns the head and the agreement. `wishes` are the server's preferences for permessage-deflate, best
/// first; it takes the first that one of the offers allows.
///
/// # Errors
/// When the offers are wrong; the text says how.
pub fn respond(head: &Head, wishes: &[Params]) -> Result<(Head, Option<Agreed>), String> {
    let response = Head::response(head);
    Ok(match agree(head, wishes)? {
        Some((answer, agreed)) => (
            response.with("Sec-WebSocket-Extensions", &answer.write()),
            Some(agreed),
        ),
        None => (response, None),
    })
}

/// Answers a client's request over HTTP/2: returns the fields and the agreement.
///
/// # Errors
/// As for [`respond`].
pub fn answer_to(head: &Head, wishes: &[Params]) -> Result<(Fields, Option<Agreed>), String> {
    let mut fields: Fields = vec![(":status".into(), "200".into())];
    let found = agree(head, wishes)?;
    let agreed = found.map(|(answer, agreed)| {
        fields.push(("sec-websocket-extensions".into(), answer.write()));
        agreed
    });
    Ok((fields, agreed))
}

/// Finds the first wish that one of a client's offers allows.
fn agree(head: &Head, wishes: &[Params]) -> Result<Option<(Params, Agreed)>, String> {
    let extensions: Vec<&str> = head.all("Sec-WebSocket-Extensions").collect();
    if wishes.is_empty() || extensions.is_empty() {
        return Ok(None);
    }
    let offers =
        Params::read(&extensions.join(",")).map_err(|wrong| format!("{wrong} (RFC 7692 7.1)"))?;
    Ok(wishes
        .iter()
        .flat_map(|wish| offers.iter().map(move |offer| (wish, offer)))
        .find_map(|(wish, offer)| answer(wish, offer)))
}

/// Returns the server's answer, if the offer allows the wish. A wish is phrased like a client's; a server requires the same of its client.
fn answer(wish: &Params, offer: &Params) -> Option<(Params, Agreed)> {
    let client_bits = match (wish.server_max_window_bits, offer.client_max_window_bits) {
        (Some(bits), Some(hint)) => Some(bits.min(hint.unwrap_or(15))),
        // 7.1.2.2: without the offer, the parameter may not be in the answer
        (Some(_), None) => return None,
        (None, _) => None,
    };
    let answer = Params {
        server_no_context_takeover: offer.server_no_context_takeover
            || wish.client_no_context_takeover,
        // 7.1.1.2: in an offer, it is a hint, which binds the client only if it is agreed on.
        client_no_context_takeover: wish.server_no_context_takeover
            || offer.client_no_context_takeover,
        server_max_window_bits: offer.server_max_window_bits,
        client_max_window_bits: client_bits.map(Some),
    };
    let agreed = Agreed {
        own_takeover: !answer.server_no_context_takeover,
        peer_takeover: !answer.client_no_context_takeover,
        own_bits: offer.server_max_window_bits.unwrap_or(15),
        peer_bits: client_bits.unwrap_or(15),
    };
    Some((answer, agreed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_keeps_no_window_only_if_the_answer_says_so() {
        let plain = Params::default();
        let strict = Params {
            server_no_context_takeover: true,
            ..plain
        };
        for (wish, offer, forbidden) in [
            (plain, "permessage-deflate", false),
            (
                plain,
                "permessage-deflate; server_no_context_takeover",
                false,
            ),
            (
                plain,
                "permessage-deflate; client_no_context_takeover",
                true,
            ),
            (strict, "permessage-deflate", true),
            (
                strict,
                "permessage-deflate; client_no_context_takeover",
                true,
            ),
        ] {
            let request = Head::request("/", "host", "AAECAwQFBgcICQoLDA0ODw==")
                .with("Sec-WebSocket-Extensions", offer);
            let (response, agreed) = respond(&request, &[wish]).unwrap();
            let answer = response.field("Sec-WebSocket-Extensions").unwrap();
            let says = answer.contains("client_no_context_takeover");
            assert_eq!(says, forbidden, "{wish:?}, {offer}");
            assert_eq!(agreed.unwrap().peer_takeover, !says, "{wish:?}, {offer}");
        }
    }
}
