//! Properties of topic filters: parsing, matching and the tree say what naive twins say.
//! MQTT 5.0 section 4.7.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sansws_core::hub::{Filter, FilterError};
use sansws_core::internal::Filters;

/// Few levels, so that filters and topics meet often.
const LEVELS: &[&str] = &["", "a", "b", "ab", "\u{e9}", "$S", " "];

fn topic() -> impl Strategy<Value = String> {
    vec(select(LEVELS), 1..6).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => select(LEVELS), 2 => Just("+")];
    (vec(level, 0..5), any::<bool>()).prop_map(|(mut levels, hash)| {
        if hash || levels.is_empty() {
            levels.push("#");
        }
        // A filter of one empty level would be empty.
        let text = levels.join("/");
        if text.is_empty() { "/".into() } else { text }
    })
}

/// MQTT 5.0 4.7.1, said by recursion over whole lists.
fn naive(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => naive(filter, topic),
        ([one, filter @ ..], [other, topic @ ..]) => one == other && naive(filter, topic),
        _ => false,
    }
}

fn levels(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

/// Whether text is a filter, character by character.
fn is_filter(text: &str) -> bool {
    let all: Vec<char> = text.chars().collect();
    let ends = |at: Option<usize>| at.is_none_or(|at| all.get(at).is_none_or(|c| *c == '/'));
    let sound = |(at, c): (usize, &char)| match c {
        '+' => ends(at.checked_sub(1)) && ends(Some(at + 1)),
        '#' => ends(at.checked_sub(1)) && at + 1 == all.len(),
        c => !matches!(*c as u32, 0..=0x1f | 0x7f..=0x9f),
    };
    (1..=255).contains(&text.len()) && all.iter().enumerate().all(sound)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String, u8),
    Remove(String, u8),
    /// Of those that are there, the one of this number.
    RemoveKnown(prop::sample::Index),
    Look(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (filter(), 0..4_u8).prop_map(|(text, value)| Step::Insert(text, value)),
        1 => (filter(), 0..4_u8).prop_map(|(text, value)| Step::Remove(text, value)),
        2 => any::<prop::sample::Index>().prop_map(Step::RemoveKnown),
        4 => topic().prop_map(Step::Look),
    ]
}

/// `#` before `+` before all else, at the first level that differs; the end of a filter comes after a `#`.
fn breadth(filter: &str) -> Vec<(u8, String)> {
    let key = |level: &str| match level {
        "#" => (0, String::new()),
        "+" => (2, String::new()),
        literal => (3, literal.into()),
    };
    let mut all: Vec<_> = levels(filter).into_iter().map(key).collect();
    all.push((1, String::new()));
    all
}

proptest! {
    #[test]
    fn exactly_the_filters_parse(text in "[ab+#/\u{0}\u{85}]{0,6}|[a/]{250,260}|\\PC{0,20}") {
        let parsed = text.parse::<Filter>();
        prop_assert_eq!(parsed.is_ok(), is_filter(&text), "{:?}", parsed);
        match parsed {
            Ok(filter) => {
                prop_assert_eq!(filter.to_string(), text.as_str());
                prop_assert_eq!(filter.as_str(), text.as_str());
                prop_assert_eq!(filter.is_literal(), !text.contains(['+', '#']));
            }
            Err(FilterError::Empty) => prop_assert!(text.is_empty()),
            Err(FilterError::TooLong) => prop_assert!(text.len() > 255),
            Err(FilterError::ControlCharacter) => prop_assert!(text.contains(char::is_control)),
            Err(FilterError::PlusInLevel) => prop_assert!(text.contains('+')),
            Err(_) => prop_assert!(text.contains('#')),
        }
    }

    #[test]
    fn a_filter_matches_as_the_recursion_says(filter in filter(), topic in topic()) {
        let parsed: Filter = filter.parse().unwrap();
        let matches = parsed.matches(&topic);
        prop_assert_eq!(matches, naive(&levels(&filter), &levels(&topic)));
        if parsed.is_literal() {
            prop_assert_eq!(matches, filter == topic);
        }
    }

    #[test]
    fn the_tree_finds_what_a_list_finds(steps in vec(step(), 0..60)) {
        let mut filters = Filters::default();
        let mut list: BTreeSet<(Vec<(u8, String)>, String, u8)> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Insert(text, value) => {
                    let fresh = filters.insert(&text.parse().unwrap(), value);
                    prop_assert_eq!(fresh, list.insert((breadth(&text), text, value)));
                }
                Step::Remove(text, value) => {
                    let removed = filters.remove(&text.parse().unwrap(), &value);
                    prop_assert_eq!(removed, list.remove(&(breadth(&text), text, value)));
                }
                Step::RemoveKnown(index) if !list.is_empty() => {
                    let known = list.iter().nth(index.index(list.len())).unwrap().clone();
                    prop_assert!(filters.remove(&known.1.parse().unwrap(), &known.2));
                    list.remove(&known);
                }
                Step::RemoveKnown(_) => {}
                Step::Look(topic) => {
                    let mut found = Vec::new();
                    filters.matching(&topic, |value| found.push(*value));
                    let want: Vec<u8> = list
                        .iter()
                        .filter(|(_, text, _)| naive(&levels(text), &levels(&topic)))
                        .map(|(_, _, value)| *value)
                        .collect();
                    prop_assert_eq!(found, want, "{}", topic);
                }
            }
            prop_assert_eq!(filters.is_empty(), list.is_empty());
        }
        // Removed filters have left no node: the tree is that of the rest, whatever came before.
        let mut fresh = Filters::default();
        for (_, text, value) in list.iter().rev() {
            fresh.insert(&text.parse().unwrap(), *value);
        }
        prop_assert_eq!(format!("{filters:?}"), format!("{fresh:?}"));
    }
}
