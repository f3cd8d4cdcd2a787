//! Cases 12.* and 13.*: permessage-deflate, by material and by parameters.
//! RFC 7692 section 7.

use super::material::Material;
use super::rules::window_kept;
use crate::case::{Case, case};
use crate::deflate::Params;
use crate::script::{Script, Setting, Step, Trips};

const WORK: &str = window_kept!();
const AGREE: &str = "RFC 7692 7.2.1: with \"server_no_context_takeover\", \"the server MUST start compressing each new message with an empty LZ77 sliding window\"; 7.1.2.1: \"server_max_window_bits\" limits it.";

const KI: usize = 1 << 10;

/// Beyond this length, `--quick` sends fewer messages.
const LONG: usize = 16 * KI;

/// Length of a message, and of its fragments.
const SIZES: [(usize, Option<usize>); 18] = [
    (16, None),
    (64, None),
    (256, None),
    (KI, None),
    (4 * KI, None),
    (8 * KI, None),
    (16 * KI, None),
    (32 * KI, None),
    (64 * KI, None),
    (128 * KI, None),
    (8 * KI, Some(256)),
    (16 * KI, Some(256)),
    (32 * KI, Some(256)),
    (64 * KI, Some(256)),
    (128 * KI, Some(256)),
    (128 * KI, Some(KI)),
    (128 * KI, Some(4 * KI)),
    (128 * KI, Some(32 * KI)),
];

/// `server_no_context_takeover` and `server_max_window_bits` of the families of 13.*.
pub(super) const OFFERS: [&[(bool, Option<u8>)]; 7] = [
    &[(false, None)],
    &[(true, None)],
    &[(false, Some(9))],
    &[(false, Some(15))],
    &[(true, Some(9))],
    &[(true, Some(15))],
    &[(true, Some(9)), (true, None), (false, None)],
];

/// After how many messages those of 13.* come again: the suite's side keeps no window, and compresses each once.
const REPEATS: usize = 16;

/// Number of messages of this length: what `--quick` keeps of long ones still goes through each window many times.
fn count(setting: &Setting, length: usize) -> usize {
    match (setting.quick, length) {
        (false, _) => 1000,
        (true, ..=LONG) => 100,
        (true, _) => 25,
    }
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (family, material) in Material::ALL.into_iter().enumerate() {
        for (at, (length, fragment)) in SIZES.into_iter().enumerate() {
            let does = format!(
                "{}, with windows kept: 1000 messages of {length} octets{}, one at a time.",
                material.name(),
                pieces(fragment)
            );
            all.push(case(
                format!("12.{}.{}", family + 1, at + 1),
                does,
                "Each comes back.",
                WORK,
                move |setting| {
                    let offer = Params {
                        client_max_window_bits: Some(None),
                        ..Params::default()
                    };
                    Script::deflate([offer])
                        .step(Step::Trips(Trips {
                            count: count(setting, length),
                            message: Box::new(move |turn| material.message(turn, length)),
                            text: material.is_text(),
                            fragment,
                            repeats: 0,
                        }))
                        .close()
                },
            ));
        }
    }
    for (family, wishes) in OFFERS.into_iter().enumerate() {
        let names: Vec<String> = wishes.iter().map(|wish| name(*wish)).collect();
        for (at, (length, fragment)) in SIZES.into_iter().enumerate() {
            let does = format!(
                "With the offer {}: 1000 messages of {length} octets{}, one at a time.",
                names.join(", then "),
                pieces(fragment)
            );
            all.push(case(
                format!("13.{}.{}", family + 1, at + 1),
                does,
                "Each comes back, compressed as agreed on.",
                AGREE,
                move |setting| {
                    let offers: Vec<Params> = wishes.iter().map(|wish| params(*wish)).collect();
                    Script::deflate(offers)
                        .step(Step::Trips(Trips {
                            count: count(setting, length),
                            message: Box::new(move |turn| {
                                Material::Json.message(turn % REPEATS, length)
                            }),
                            text: true,
                            fragment,
                            repeats: REPEATS,
                        }))
                        .close()
                },
            ));
        }
    }
    all
}

fn pieces(fragment: Option<usize>) -> String {
    fragment.map_or_else(String::new, |size| format!(" in fragments of {size}"))
}

pub(super) fn name((no_takeover, bits): (bool, Option<u8>)) -> String {
    let takeover = if no_takeover {
        "server_no_context_takeover"
    } else {
        ""
    };
    let bits = bits.map_or_else(String::new, |bits| format!("server_max_window_bits={bits}"));
    let both: Vec<&str> = [takeover, &bits]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    if both.is_empty() {
        "(nothing asked)".into()
    } else {
        format!("({})", both.join("; "))
    }
}

pub(super) fn params((no_takeover, bits): (bool, Option<u8>)) -> Params {
    Params {
        server_no_context_takeover: no_takeover,
        client_no_context_takeover: true,
        server_max_window_bits: bits,
        client_max_window_bits: Some(None),
    }
}
