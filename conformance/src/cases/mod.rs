//! All cases, by family.
//! Families 1 to 13 are the classic ones, with their numbers; from 20 on they are new.

mod material;
mod rules;

mod closing;
mod deflate;
mod fragments;
mod framing;
mod load;
mod reserved;
mod utf8;

mod borders;
mod endings;
mod floods;
mod http2;
mod inflating;
mod lengths;
mod masks;
mod mixtures;
mod offers;
mod opening_chosen;
mod opening_client;
mod opening_odd;
mod opening_server;
mod opening_taken;
mod streams;
mod takeover;
mod text;

use crate::case::{Case, compare};

/// All of them, in order.
pub fn all() -> Vec<Case> {
    let families: [fn() -> Vec<Case>; 24] = [
        framing::cases,
        reserved::cases,
        fragments::cases,
        utf8::cases,
        closing::cases,
        load::cases,
        deflate::cases,
        opening_server::cases,
        opening_taken::cases,
        opening_odd::cases,
        opening_client::cases,
        opening_chosen::cases,
        lengths::cases,
        masks::cases,
        offers::cases,
        inflating::cases,
        streams::cases,
        takeover::cases,
        borders::cases,
        endings::cases,
        floods::cases,
        http2::cases,
        text::cases,
        mixtures::cases,
    ];
    let mut all: Vec<Case> = families.iter().flat_map(|family| family()).collect();
    all.sort_by(|left, right| compare(&left.id, &right.id));
    all
}

/// The title of a family.
pub const fn family_title(family: u32) -> &'static str {
    match family {
        1 => "Framing",
        2 => "Pings and pongs",
        3 => "Reserved bits",
        4 => "Reserved opcodes",
        5 => "Fragmentation",
        6 => "UTF-8",
        7 => "Closing handshake",
        9 => "Limits and performance",
        10 => "Fragmenting automatically",
        12 => "permessage-deflate, by material",
        13 => "permessage-deflate, by parameters",
        20 => "Opening handshake: requests",
        21 => "Opening handshake: responses",
        22 => "Lengths and headers",
        23 => "Masking",
        25 => "permessage-deflate: offers and streams",
        26 => "Closing: races and the end of TCP",
        27 => "Floods and slow peers",
        28 => "UTF-8, beyond the classic",
        29 => "Fragmentation, beyond the classic",
        30 => "WebSocket over HTTP/2: requests",
        31 => "WebSocket over HTTP/2: responses",
        32 => "WebSocket over HTTP/2: streams",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::opcode;
    use crate::script::{Branch, Peer, Setting, Step, Want};
    use crate::verdict::{Verdict, Word};

    #[test]
    fn there_are_517_classic_cases_and_more_than_150_others() {
        let all = all();
        let classic = all.iter().filter(|case| case.is_classic()).count();
        assert_eq!(classic, 517);
        assert!(all.len() - classic >= 150, "{}", all.len() - classic);
        for pair in all.windows(2) {
            assert_ne!(pair[0].id, pair[1].id, "two cases of one number");
        }
        for case in &all {
            assert!(case.rule.contains("RFC "), "{} names no rule", case.id);
            assert!(
                case.does.len() > 8 && case.expects.len() > 4,
                "{} says too little",
                case.id
            );
            assert_ne!(family_title(case.family()), "Other", "{}", case.id);
        }
    }

    /// Where the RFC leaves freedom, `explain` says why; elsewhere nothing is merely informational.
    #[test]
    fn a_case_that_may_be_informational_says_why() {
        for case in all() {
            let mut closed = false;
            let free = |step: &Step| match step {
                Step::Anything(_) | Step::TellPongs => true,
                // 5.5.3: one pong may stand for several.
                Step::All(all) => {
                    let pongs = all
                        .wants
                        .iter()
                        .filter(|want| matches!(want, Want::Pong(_)));
                    all.limited || pongs.count() > 1
                }
                Step::Frames(frames, _) => {
                    closed |= frames.iter().any(|frame| frame.opcode == opcode::CLOSE);
                    false
                }
                // 5.5.1: the code of an answer is free.
                Step::Close(_, codes) => !codes.is_empty(),
                Step::Expect(branches) => branches.iter().any(|branch| {
                    let coded = closed && matches!(branch.want, Want::Close([_, ..]));
                    coded || branch.verdict == Verdict::Informational
                }),
                _ => false,
            };
            let setting = setting(&case);
            let steps = case.script(&setting).steps;
            // The effect of a check is not visible from outside.
            let checks = steps.iter().any(|step| matches!(step, Step::Until(..)));
            let may = steps.iter().any(free);
            let open = case.word(setting.peer) < Word::Should;
            assert!(
                checks || (may || open) == case.freedom.is_some(),
                "{}",
                case.id
            );
        }
    }

    fn setting(case: &Case) -> Setting {
        Setting {
            quick: true,
            ..Setting::new(case.peer.unwrap_or(Peer::Server))
        }
    }

    /// The rule of a case quotes the word that its verdict stands on.
    #[test]
    fn each_rule_has_its_word() {
        for case in all() {
            for peer in [Peer::Server, Peer::Client] {
                let word = case.word(peer);
                let says = |word: Word| case.rule.contains(word.as_str());
                let good = match word {
                    Word::Must | Word::Should => says(word),
                    Word::May => says(word) && case.freedom.is_some(),
                    Word::Unsaid => case.freedom.is_some(),
                };
                let tests = case.is_for(peer);
                assert!(
                    good || !tests,
                    "{} stands on {word}: {}",
                    case.id,
                    case.rule
                );
            }
        }
    }

    /// No outcome that a script names gets a worse verdict than its word allows.
    #[test]
    fn no_branch_is_worse_than_its_word() {
        for case in all() {
            let setting = setting(&case);
            let worst = case.word(setting.peer).worst();
            let bad = |branch: &Branch| branch.verdict > worst;
            for step in case.script(&setting).steps {
                if let Step::Expect(branches) = step {
                    assert!(!branches.iter().any(bad), "{}: {branches:?}", case.id);
                }
            }
        }
    }

    /// The counts of each classic family, as the field knows them.
    #[test]
    fn the_classic_families_have_their_numbers() {
        let all = all();
        let count = |family: u32| all.iter().filter(|case| case.family() == family).count();
        let want = [
            (1, 16),
            (2, 11),
            (3, 7),
            (4, 10),
            (5, 20),
            (6, 145),
            (7, 37),
            (9, 54),
            (10, 1),
            (12, 90),
            (13, 126),
        ];
        for (family, number) in want {
            assert_eq!(count(family), number, "family {family}");
        }
    }
}
