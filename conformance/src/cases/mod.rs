//! All cases, by family.
//! Families 1 to 13 are the classic ones, with their numbers; from 20 on they are new.

mod material;

mod closing;
mod deflate;
mod fragments;
mod framing;
mod load;
mod reserved;
mod utf8;

mod endings;
mod floods;
mod inflating;
mod lengths;
mod masks;
mod mixtures;
mod offers;
mod opening_client;
mod opening_odd;
mod opening_server;
mod streams;
mod text;

use crate::case::{Case, compare};

/// All of them, in order.
pub fn all() -> Vec<Case> {
    let families: [fn() -> Vec<Case>; 19] = [
        framing::cases,
        reserved::cases,
        fragments::cases,
        utf8::cases,
        closing::cases,
        load::cases,
        deflate::cases,
        opening_server::cases,
        opening_odd::cases,
        opening_client::cases,
        lengths::cases,
        masks::cases,
        offers::cases,
        inflating::cases,
        streams::cases,
        endings::cases,
        floods::cases,
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
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Peer, Setting, Step};
    use crate::verdict::Verdict;

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
            let setting = Setting {
                peer: case.peer.unwrap_or(Peer::Server),
                target: "/".into(),
                host: "h".into(),
                quick: true,
            };
            let free = |step: &Step| match step {
                Step::Anything(_) => true,
                Step::Expect(branches) => branches
                    .iter()
                    .any(|branch| branch.verdict == Verdict::Informational),
                _ => false,
            };
            let steps = case.script(&setting).steps;
            // The effect of a check is not visible from outside.
            let checks = steps.iter().any(|step| matches!(step, Step::Until(..)));
            let may = steps.iter().any(free);
            assert!(checks || may == case.freedom.is_some(), "{}", case.id);
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
