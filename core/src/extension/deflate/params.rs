//! Negotiation of permessage-deflate.
//! RFC 7692 sections 5.1 and 7.1.
//! Knows no compressor: only offers, answers, and agreements.

use alloc::format;
use alloc::string::String;

use crate::config::Deflate;
use crate::extension::Extension;

/// The registered name.
pub(crate) const NAME: &str = "permessage-deflate";

const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// The agreement, as seen by one side.
///
/// ```
/// use sansws_core::config::{Config, Deflate};
/// use sansws_core::connection::Connection;
/// use sansws_core::extension::deflate::Agreed;
/// use sansws_core::handshake::Agreement;
/// use sansws_core::time::Instant;
///
/// // As a handshake results in it.
/// let agreed = Agreed {
///     own_takeover: false,
///     peer_takeover: false,
///     own_window_bits: 15,
///     peer_window_bits: 15,
/// };
/// let agreement = Agreement { deflate: Some(agreed), ..Agreement::default() };
/// let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
/// let connection = Connection::server(config.into(), &agreement, Instant::ZERO);
/// assert_eq!(connection.deflate(), Some(agreed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// We may refer to earlier messages.
    pub own_takeover: bool,
    /// The peer may refer to earlier messages.
    pub peer_takeover: bool,
    /// Our maximum window, from 8 to 15. With 8 we send uncompressed, because the common compressors do not support it.
    pub own_window_bits: u8,
    /// The peer's maximum window, from 8 to 15.
    pub peer_window_bits: u8,
}

/// The four parameters, as in an offer or an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Params {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// Present without a value: the client has no preference.
    client_bits: Option<Option<u8>>,
}

/// Parses a window size: 8 to 15, without a leading zero (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

impl Params {
    /// 7.1: an offer with unknown names, invalid values or repeated parameters MUST be declined.
    fn parse(extension: &Extension<'_>) -> Option<Self> {
        let mut params = Self::default();
        for param in &extension.params {
            match (param.name, param.value.as_deref()) {
                (SERVER_NO_TAKEOVER, None) if !params.server_no_takeover => {
                    params.server_no_takeover = true
                }
                (CLIENT_NO_TAKEOVER, None) if !params.client_no_takeover => {
                    params.client_no_takeover = true
                }
                (SERVER_BITS, Some(value)) if params.server_bits.is_none() => {
                    params.server_bits = Some(window_bits(value)?)
                }
                (CLIENT_BITS, None) if params.client_bits.is_none() => {
                    params.client_bits = Some(None)
                }
                (CLIENT_BITS, Some(value)) if params.client_bits.is_none() => {
                    params.client_bits = Some(Some(window_bits(value)?))
                }
                _ => return None,
            }
        }
        Some(params)
    }

    fn write(self) -> String {
        let mut text = String::from(NAME);
        let mut add = |param: &str| {
            text.push_str("; ");
            text.push_str(param);
        };
        if self.server_no_takeover {
            add(SERVER_NO_TAKEOVER);
        }
        if self.client_no_takeover {
            add(CLIENT_NO_TAKEOVER);
        }
        if let Some(bits) = self.server_bits {
            add(&format!("{SERVER_BITS}={bits}"));
        }
        match self.client_bits {
            Some(Some(bits)) => add(&format!("{CLIENT_BITS}={bits}")),
            Some(None) => add(CLIENT_BITS),
            None => {}
        }
        text
    }
}

/// The server's side: returns the first acceptable offer's agreement, and the answer.
pub(crate) fn answer(config: &Deflate, offers: &[Extension<'_>]) -> Option<(Agreed, String)> {
    offers
        .iter()
        .filter(|offer| offer.name.eq_ignore_ascii_case(NAME))
        .filter_map(Params::parse)
        .map(|offer| accept(config, offer))
        .next()
}

fn accept(config: &Deflate, offer: Params) -> (Agreed, String) {
    let agreed = Agreed {
        own_takeover: config.own_takeover && !offer.server_no_takeover,
        peer_takeover: config.peer_takeover && !offer.client_no_takeover,
        // 7.1.2.1: "the same or smaller value as the offer"
        own_window_bits: config
            .own_window_bits
            .clamp(9, 15)
            .min(offer.server_bits.unwrap_or(15)),
        // 7.1.2.2: the client's window can be limited only if it offered that
        peer_window_bits: match offer.client_bits {
            Some(hint) => config.peer_window_bits.clamp(8, 15).min(hint.unwrap_or(15)),
            None => 15,
        },
    };
    let params = Params {
        server_no_takeover: !agreed.own_takeover,
        client_no_takeover: !agreed.peer_takeover,
        server_bits: offer.server_bits.map(|_| agreed.own_window_bits),
        client_bits: (agreed.peer_window_bits < 15).then_some(Some(agreed.peer_window_bits)),
    };
    (agreed, params.write())
}

/// Returns the client's offer.
pub(crate) fn offer(config: &Deflate) -> String {
    offered(config).write()
}

fn offered(config: &Deflate) -> Params {
    let (own, peer) = (
        config.own_window_bits.clamp(9, 15),
        config.peer_window_bits.clamp(8, 15),
    );
    Params {
        server_no_takeover: !config.peer_takeover,
        client_no_takeover: !config.own_takeover,
        server_bits: (peer < 15).then_some(peer),
        client_bits: Some((own < 15).then_some(own)),
    }
}

/// The client's side: returns what was agreed, or `None` for an answer that it cannot accept (section 5.1: it "MUST _Fail the WebSocket
/// Connection_").
pub(crate) fn check_answer(config: &Deflate, answer: &Extension<'_>) -> Option<Agreed> {
    let offer = offered(config);
    let answer = Params::parse(answer)?;
    // 7.1.1.1, 7.1.2.1: the server accepts our request by repeating it
    if offer.server_no_takeover && !answer.server_no_takeover {
        return None;
    }
    let peer_window_bits = match (offer.server_bits, answer.server_bits) {
        (Some(most), Some(bits)) if bits <= most => bits,
        (Some(_), _) => return None,
        (None, bits) => bits.unwrap_or(15),
    };
    let own_window_bits = match (offer.client_bits.flatten(), answer.client_bits) {
        // 7.1.2.2: in an answer the parameter has a value
        (_, Some(None)) => return None,
        (most, Some(Some(bits))) => bits.min(most.unwrap_or(15)),
        (most, None) => most.unwrap_or(15),
    };
    Some(Agreed {
        own_takeover: config.own_takeover && !answer.client_no_takeover,
        peer_takeover: !answer.server_no_takeover,
        own_window_bits,
        peer_window_bits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::parse;

    fn keep() -> Deflate {
        Deflate {
            own_takeover: true,
            peer_takeover: true,
            ..Deflate::default()
        }
    }

    fn answered(config: &Deflate, offers: &str) -> Option<String> {
        answer(config, &parse([offers.as_bytes()].into_iter()).unwrap()).map(|(_, text)| text)
    }

    #[test]
    fn seven_one_a_server_answers_the_first_offer_it_can_meet() {
        let cases: &[(&str, Option<&str>)] = &[
            ("permessage-deflate", Some("permessage-deflate")),
            (
                "x-webkit-deflate-frame, Permessage-Deflate",
                Some("permessage-deflate"),
            ),
            (
                "permessage-deflate; server_no_context_takeover",
                Some("permessage-deflate; server_no_context_takeover"),
            ),
            (
                "permessage-deflate; client_no_context_takeover",
                Some("permessage-deflate; client_no_context_takeover"),
            ),
            (
                "permessage-deflate; server_max_window_bits=9",
                Some("permessage-deflate; server_max_window_bits=9"),
            ),
            (
                "permessage-deflate; server_max_window_bits=8",
                Some("permessage-deflate; server_max_window_bits=8"),
            ),
            (
                "permessage-deflate; server_max_window_bits=\"10\"",
                Some("permessage-deflate; server_max_window_bits=10"),
            ),
            (
                "permessage-deflate; client_max_window_bits",
                Some("permessage-deflate"),
            ),
            (
                "permessage-deflate; client_max_window_bits=10",
                Some("permessage-deflate; client_max_window_bits=10"),
            ),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=7", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=09", None),
            ("permessage-deflate; client_max_window_bits=0", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            (
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                None,
            ),
            ("permessage-deflate; unknown", None),
            (
                "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=12",
                Some("permessage-deflate; server_max_window_bits=12"),
            ),
            ("mux", None),
        ];
        for (offers, want) in cases {
            assert_eq!(answered(&keep(), offers).as_deref(), *want, "{offers}");
        }
    }

    #[test]
    fn seven_one_a_server_may_ask_for_less_memory() {
        let config = Deflate {
            peer_window_bits: 10,
            own_window_bits: 11,
            ..Deflate::default()
        };
        let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(answered(&config, NAME).as_deref(), Some(both));
        let with_bits = format!("{both}; server_max_window_bits=11; client_max_window_bits=10");
        assert_eq!(
            answered(
                &config,
                "permessage-deflate; server_max_window_bits=15; client_max_window_bits"
            )
            .as_deref(),
            Some(with_bits.as_str())
        );
    }

    #[test]
    fn seven_one_a_client_checks_the_answer() {
        let small = Deflate {
            peer_window_bits: 10,
            own_window_bits: 11,
            ..keep()
        };
        let none = Deflate::default();
        let agreed = |own_takeover, peer_takeover, own_window_bits, peer_window_bits| {
            Some(Agreed {
                own_takeover,
                peer_takeover,
                own_window_bits,
                peer_window_bits,
            })
        };
        let cases: &[(&Deflate, &str, Option<Agreed>)] = &[
            (&keep(), "permessage-deflate", agreed(true, true, 15, 15)),
            (
                &keep(),
                "permessage-deflate; client_no_context_takeover",
                agreed(false, true, 15, 15),
            ),
            (
                &keep(),
                "permessage-deflate; server_no_context_takeover",
                agreed(true, false, 15, 15),
            ),
            (
                &keep(),
                "permessage-deflate; server_max_window_bits=9; client_max_window_bits=12",
                agreed(true, true, 12, 9),
            ),
            (
                &keep(),
                "permessage-deflate; client_max_window_bits=8",
                agreed(true, true, 8, 15),
            ),
            (&keep(), "permessage-deflate; client_max_window_bits", None),
            (&keep(), "permessage-deflate; server_max_window_bits", None),
            (&keep(), "permessage-deflate; unknown", None),
            (&small, "permessage-deflate", None),
            (
                &small,
                "permessage-deflate; server_max_window_bits=11",
                None,
            ),
            (
                &small,
                "permessage-deflate; server_max_window_bits=10",
                agreed(true, true, 11, 10),
            ),
            (&none, "permessage-deflate", None),
            (
                &none,
                "permessage-deflate; server_no_context_takeover",
                agreed(false, false, 15, 15),
            ),
        ];
        for (config, answer, want) in cases {
            let parsed = parse([answer.as_bytes()].into_iter()).unwrap();
            assert_eq!(check_answer(config, &parsed[0]), *want, "{answer}");
        }
    }
}
