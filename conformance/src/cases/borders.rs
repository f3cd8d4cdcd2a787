//! Cases 25.11 to 25.13: compressed messages whose lengths are at the borders of buffers, by parameters and by material, and compressed text
//! that layers above change.
//! RFC 7692 sections 6 and 7.

use super::deflate::{OFFERS, name, params};
use super::lengths::{BORDERS, around};
use super::material::Material;
use super::rules::{parsed, window_kept};
use super::text::CHANGED;
use crate::case::{Case, case};
use crate::deflate::Params;
use crate::script::{Script, Step, Trips};

const AGREE: &str = "RFC 7692 7.2.1: with \"server_no_context_takeover\", \"the server MUST start compressing each new message with an empty LZ77 sliding window\"; 7.1.2.1: \"server_max_window_bits\" limits it. 6: the length of a message plays no part.";
const KEPT: &str = concat!(
    window_kept!(),
    " 6: a message may be fragmented once it is compressed."
);
const UNCHANGED: &str = concat!(
    parsed!(),
    " RFC 7692 6.2: what is decompressed is \"the payload data of the message\": text is no lines, no tokens and no JSON."
);

/// Returns the lengths at all borders, in order.
fn lengths() -> Vec<usize> {
    BORDERS.into_iter().flat_map(around).collect()
}

/// Sends a message of each length, one at a time.
fn trips(material: Material, fragment: Option<usize>) -> Step {
    let lengths = lengths();
    Step::Trips(Trips {
        count: lengths.len(),
        message: Box::new(move |turn| {
            let length = lengths.get(turn).copied().unwrap_or_default();
            material.message(turn, length)
        }),
        text: material.is_text(),
        fragment,
        repeats: 0,
    })
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let count = lengths().len();
    for (at, wishes) in OFFERS.into_iter().enumerate() {
        let names: Vec<String> = wishes.iter().map(|wish| name(*wish)).collect();
        let does = format!(
            "With the offer {}: messages of {count} lengths from 498 to 131073, at and beside the ends of buffers.",
            names.join(", then ")
        );
        all.push(case(
            format!("25.11.{}", at + 1),
            does,
            "Each comes back, compressed as agreed on.",
            AGREE,
            move |_| {
                let offers: Vec<Params> = wishes.iter().map(|wish| params(*wish)).collect();
                Script::deflate(offers)
                    .step(trips(Material::English, None))
                    .close()
            },
        ));
    }
    let offer = || Params {
        client_max_window_bits: Some(None),
        ..Params::default()
    };
    for (at, material) in Material::ALL.into_iter().enumerate() {
        let fragment = [None, Some(1023), Some(1024), Some(1460), Some(4097)]
            .get(at)
            .copied()
            .flatten();
        let pieces = fragment.map_or_else(String::new, |size| {
            format!(" in fragments of {size} octets")
        });
        let does = format!(
            "{}, with windows kept: messages of {count} lengths from 498 to 131073, at and beside the ends of buffers{pieces}.",
            material.name()
        );
        all.push(case(
            format!("25.12.{}", at + 1),
            does,
            "Each comes back.",
            KEPT,
            move |_| {
                Script::deflate([offer()])
                    .step(trips(material, fragment))
                    .close()
            },
        ));
    }
    for (at, (what, payload)) in CHANGED.into_iter().enumerate() {
        all.push(case(
            format!("25.13.{}", at + 1),
            format!("Send compressed text with {what}, whole and in fragments of an octet."),
            "It comes back twice, octet by octet.",
            UNCHANGED,
            move |_| {
                Script::deflate([offer()])
                    .message(true, payload)
                    .echo_text(payload)
                    .step(Step::Message(true, payload.into(), Some(1)))
                    .echo_text(payload)
                    .close()
            },
        ));
    }
    all
}
