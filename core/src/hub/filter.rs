//! Topic filters, and a lookup by topic.
//! MQTT 5.0 section 4.7 (OASIS), except for the rule on topics that start with `$` (4.7.2).
//! Knows no subscriber and no message: a filter is a text that matches topics, with values of any type under it.
//!
//! ```text
//! filter = level *( "/" level )       at most 255 bytes, no control characters
//! level  = "+"                        any one level, an empty one too
//!        / "#"                        the level above and all levels below; only at the end
//!        / text                       this level; may be empty, has no "+" and no "#"
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// A pattern for topics: `sport/+/score`, `sport/#`; cheap to clone.
///
/// Levels are separated by `/`. A `+` stands for one level, a `#` at the end for any number of levels, including none. All other text is
/// compared byte by byte: case matters, an empty level is a level, nothing is decoded or normalized.
///
/// ```
/// use sansws_core::hub::{Filter, FilterError};
///
/// let filter: Filter = "sport/+/score".parse()?;
/// assert!(filter.matches("sport/tennis/score"));
/// assert!(!filter.matches("sport/score"));
/// assert!("sport/#".parse::<Filter>()?.matches("sport"));
/// assert_eq!("sport#".parse::<Filter>(), Err(FilterError::HashInLevel));
/// # Ok::<(), FilterError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter(Arc<str>);

/// Why a filter is invalid.
///
/// ```
/// use sansws_core::hub::{Filter, FilterError};
///
/// assert_eq!("sport/#/score".parse::<Filter>().unwrap_err(), FilterError::HashNotLast);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// MQTT 5.0 4.7.3: "All Topic Names and Topic Filters MUST be at least one character long"
    #[error("the filter is empty")]
    Empty,
    /// More than [`Filter::LONGEST`] bytes. The limit is ours, MQTT's is 65 535.
    #[error("the filter is longer than 255 bytes")]
    TooLong,
    /// U+0000 to U+001F or U+007F to U+009F. MQTT 5.0 1.5.4 forbids the first, and advises against the others.
    #[error("the filter has a control character")]
    ControlCharacter,
    /// MQTT 5.0 4.7.1.3: "Where it is used, it MUST occupy an entire level of the filter."
    #[error("a `+` is not a whole level")]
    PlusInLevel,
    /// MQTT 5.0 4.7.1.2: it "MUST be specified either on its own or following a topic level separator."
    #[error("a `#` is not a whole level")]
    HashInLevel,
    /// MQTT 5.0 4.7.1.2: "In either case it MUST be the last character specified in the Topic Filter."
    #[error("a `#` is not the last level")]
    HashNotLast,
}

impl Filter {
    /// Maximum length of a filter, in bytes.
    pub const LONGEST: usize = 255;

    /// Returns it as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it matches this topic. The topic is taken literally: one that contains a `+` or a `#` is not refused.
    ///
    /// Takes time in proportion to the shorter of the two, and no memory.
    pub fn matches(&self, topic: &str) -> bool {
        let mut topic = topic.split('/');
        for level in self.0.split('/') {
            match (level, topic.next()) {
                // 4.7.1.2: it "represents the parent and any number of child levels"
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(own)) if level == own => {}
                (_, Some(_) | None) => return false,
            }
        }
        topic.next().is_none()
    }

    /// Returns whether it has no `+` and no `#`: it matches one topic, that of its own name.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['+', '#'])
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Returns the first error, in the order of [`FilterError`]; with wildcards, the first from the left.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Err(FilterError::Empty);
        }
        if text.len() > Self::LONGEST {
            return Err(FilterError::TooLong);
        }
        if text.contains(char::is_control) {
            return Err(FilterError::ControlCharacter);
        }
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            match level {
                "+" => {}
                "#" if levels.peek().is_some() => return Err(FilterError::HashNotLast),
                "#" => {}
                level if level.contains('+') => return Err(FilterError::PlusInLevel),
                level if level.contains('#') => return Err(FilterError::HashInLevel),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Values under filters, looked up by topic.
///
/// A value may be stored under many filters, and is found once for each that matches. The order is deterministic, and does not depend on
/// the order of insertion.
///
/// **Cost.** A tree with a node for each beginning of a filter, split at `/`; it has at most 256 levels. A node has one parent, so a lookup
/// visits it at most once: each visited node stands for a beginning that matches the topic, and many `+` make a lookup no longer than the
/// number of inserted filters. With only literal filters this is one node for each level of the topic, and nothing is allocated.
#[derive(Clone)]
pub struct Filters<V> {
    root: Node<V>,
}

#[derive(Clone)]
struct Node<V> {
    literals: BTreeMap<Box<str>, Self>,
    /// The child for `+`.
    plus: Option<Box<Self>>,
    /// The values under the filter that continues with `#`.
    hash: BTreeSet<V>,
    /// The values under the filter that ends here.
    ends: BTreeSet<V>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self {
            literals: BTreeMap::new(),
            plus: None,
            hash: BTreeSet::new(),
            ends: BTreeSet::new(),
        }
    }
}

impl<V> Default for Filters<V> {
    /// Creates an empty map.
    fn default() -> Self {
        Self {
            root: Node::default(),
        }
    }
}

impl<V: Ord + Copy> Filters<V> {
    /// Adds a value under a filter; returns whether it was new.
    pub fn insert(&mut self, filter: &Filter, value: V) -> bool {
        let mut node = &mut self.root;
        for level in filter.0.split('/') {
            node = match level {
                "#" => return node.hash.insert(value),
                "+" => node.plus.get_or_insert_default(),
                literal => node.literals.entry(literal.into()).or_default(),
            };
        }
        node.ends.insert(value)
    }

    /// Removes a value from under a filter; returns whether it was there. No memory is kept for filters without values.
    pub fn remove(&mut self, filter: &Filter, value: &V) -> bool {
        self.root.remove(Some(&filter.0), value)
    }

    /// Visits the values under the filters that match a topic, each once per filter.
    ///
    /// Broader filters come first: of two that differ first at some level, `#` comes before `+`, and `+` before a literal, and under
    /// one filter the least value comes first.
    pub fn matching(&self, topic: &str, mut each: impl FnMut(&V)) {
        self.root
            .visit(topic, |values| values.iter().for_each(&mut each));
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl<V> Node<V> {
    fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.plus.is_none()
            && self.hash.is_empty()
            && self.ends.is_empty()
    }

    /// Visits the values of each filter that matches, with an empty set for a node where none ends. Returns the number of visited
    /// nodes.
    fn visit<'a>(&'a self, topic: &'a str, mut show: impl FnMut(&'a BTreeSet<V>)) -> usize {
        let mut steps = 0;
        // Literals that wait until the `+` beside them is done: at most one per level.
        let mut waiting = Vec::new();
        let mut next = Some((self, Some(topic)));
        while let Some((node, rest)) = next.or_else(|| waiting.pop()) {
            steps += 1;
            show(&node.hash);
            let Some(rest) = rest else {
                show(&node.ends);
                next = None;
                continue;
            };
            let (level, rest) = cut(rest);
            let literal = node.literals.get(level).map(|child| (child, rest));
            next = match &node.plus {
                Some(plus) => {
                    waiting.extend(literal);
                    Some((&**plus, rest))
                }
                None => literal,
            };
        }
        steps
    }
}

impl<V: Ord> Node<V> {
    /// Removes a value below this node, and nodes that become empty. The recursion is as deep as the filter has levels, at most 256.
    fn remove(&mut self, rest: Option<&str>, value: &V) -> bool {
        let Some(rest) = rest else {
            return self.ends.remove(value);
        };
        match cut(rest) {
            ("#", _) => self.hash.remove(value),
            ("+", rest) => {
                let Some(child) = &mut self.plus else {
                    return false;
                };
                let removed = child.remove(rest, value);
                if child.is_empty() {
                    self.plus = None;
                }
                removed
            }
            (literal, rest) => {
                let Some(child) = self.literals.get_mut(literal) else {
                    return false;
                };
                let removed = child.remove(rest, value);
                if child.is_empty() {
                    self.literals.remove(literal);
                }
                removed
            }
        }
    }
}

/// Returns the first level, and the text after its slash.
fn cut(rest: &str) -> (&str, Option<&str>) {
    rest.split_once('/')
        .map_or((rest, None), |(level, rest)| (level, Some(rest)))
}

impl<V: fmt::Debug> fmt::Debug for Filters<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl<V: fmt::Debug> fmt::Debug for Node<V> {
    /// Visits each node, so that tests can inspect them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        if !self.ends.is_empty() {
            map.entry(&"", &self.ends);
        }
        if !self.hash.is_empty() {
            map.entry(&"#", &self.hash);
        }
        if let Some(plus) = &self.plus {
            map.entry(&"+", plus);
        }
        map.entries(&self.literals).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;

    use super::*;

    fn filter(text: &str) -> Filter {
        text.parse().unwrap()
    }

    #[test]
    fn filters_and_topics_of_the_mqtt_specification() {
        let cases: &[(&str, &str, &[&str], &[&str])] = &[
            (
                "4.7.1.2 # is any number of levels, none included",
                "sport/tennis/player1/#",
                &[
                    "sport/tennis/player1",
                    "sport/tennis/player1/ranking",
                    "sport/tennis/player1/score/wimbledon",
                ],
                &[
                    "sport/tennis",
                    "sport/tennis/player2",
                    "sport/tennis/player11",
                ],
            ),
            (
                "4.7.1.2 the level above",
                "sport/#",
                &["sport", "sport/", "sport/a/b"],
                &["sports", ""],
            ),
            (
                "4.7.1.2 # is everything",
                "#",
                &["a", "/", "a/b/c", "+"],
                &[],
            ),
            (
                "4.7.1.2 + and #",
                "+/tennis/#",
                &["sport/tennis", "/tennis/x"],
                &["tennis", "a/b/tennis"],
            ),
            (
                "4.7.1.3 + is one level",
                "sport/tennis/+",
                &[
                    "sport/tennis/player1",
                    "sport/tennis/player2",
                    "sport/tennis/",
                ],
                &["sport/tennis/player1/ranking", "sport/tennis"],
            ),
            (
                "4.7.1.3 + is one level, not none",
                "sport/+",
                &["sport/"],
                &["sport", "sport/a/b"],
            ),
            (
                "4.7.1.3 + in the middle",
                "sport/+/player1",
                &["sport/x/player1"],
                &["sport/player1"],
            ),
            (
                "4.7.1.3 an empty level is a level",
                "+/+",
                &["/finance"],
                &["finance"],
            ),
            (
                "4.7.1.3 it is below the first",
                "/+",
                &["/finance"],
                &["finance", "//finance"],
            ),
            (
                "4.7.1.3 and not the whole",
                "+",
                &["finance"],
                &["/finance"],
            ),
            (
                "4.7.3 case matters",
                "ACCOUNTS",
                &["ACCOUNTS"],
                &["Accounts"],
            ),
            (
                "4.7.3 spaces may be there",
                "Accounts payable",
                &["Accounts payable"],
                &["Accounts"],
            ),
            (
                "4.7.3 a slash makes another topic",
                "/finance",
                &["/finance"],
                &["finance", "/finance/"],
            ),
            (
                "4.7.2 is not taken over",
                "+/monitor/#",
                &["$SYS/monitor/Clients"],
                &[],
            ),
        ];
        for (name, text, yes, no) in cases {
            let filter = filter(text);
            assert_eq!(filter.to_string(), *text);
            assert_eq!(
                filter.is_literal(),
                !text.contains('+') && !text.contains('#'),
                "{name}"
            );
            let mut filters = Filters::default();
            assert!(filters.insert(&filter, 7));
            let check = |topic: &str, want: bool| {
                assert_eq!(filter.matches(topic), want, "{name}: {topic}");
                let mut found = Vec::new();
                filters.matching(topic, |value| found.push(*value));
                assert_eq!(found, vec![7; want.into()], "{name}: {topic}");
            };
            yes.iter().for_each(|topic| check(topic, true));
            no.iter().for_each(|topic| check(topic, false));
        }
    }

    #[test]
    fn invalid_filters() {
        let (long, longer) = ("x".repeat(255), "é".repeat(128));
        let cases: &[(&str, Option<FilterError>)] = &[
            ("", Some(FilterError::Empty)),
            ("/", None),
            ("//", None),
            (" ", None),
            ("$SYS/#", None),
            (&long, None),
            (&longer, Some(FilterError::TooLong)),
            ("a\0", Some(FilterError::ControlCharacter)),
            ("a/\n/b", Some(FilterError::ControlCharacter)),
            ("\u{85}", Some(FilterError::ControlCharacter)),
            ("a\u{a0}b", None),
            ("sport+", Some(FilterError::PlusInLevel)),
            ("+sport/x", Some(FilterError::PlusInLevel)),
            ("++", Some(FilterError::PlusInLevel)),
            ("+#", Some(FilterError::PlusInLevel)),
            ("+", None),
            ("+/tennis/#", None),
            ("sport/tennis#", Some(FilterError::HashInLevel)),
            ("##", Some(FilterError::HashInLevel)),
            ("sport/tennis/#/ranking", Some(FilterError::HashNotLast)),
            ("#/", Some(FilterError::HashNotLast)),
            ("#/+a", Some(FilterError::HashNotLast)),
            ("a+/#/b", Some(FilterError::PlusInLevel)),
            ("#", None),
            ("/#", None),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse::<Filter>().err(), *want, "{text:?}");
        }
    }

    #[test]
    fn broader_filters_come_first_and_nothing_is_left_of_what_was_removed() {
        let sorted = ["#", "+/#", "+/+", "+/b", "a/#", "a/+", "a/b/#", "a/b"];
        let mut filters = Filters::default();
        for (at, text) in sorted.iter().enumerate().rev() {
            for value in [10 * at + 2, 10 * at + 1] {
                assert!(filters.insert(&filter(text), value));
                assert!(!filters.insert(&filter(text), value));
            }
        }
        let mut found = Vec::new();
        filters.matching("a/b", |value| found.push(*value));
        let want: Vec<usize> = (0..sorted.len())
            .flat_map(|at| [10 * at + 1, 10 * at + 2])
            .collect();
        assert_eq!(found, want);
        for (at, text) in sorted.iter().enumerate() {
            assert!(!filters.is_empty());
            assert!(!filters.remove(&filter("a/b/c"), &1) && !filters.remove(&filter("+/c"), &1));
            for value in [10 * at + 1, 10 * at + 2] {
                assert!(filters.remove(&filter(text), &value));
                assert!(!filters.remove(&filter(text), &value));
            }
        }
        assert!(filters.is_empty());
        assert_eq!(format!("{filters:?}"), "{}");
    }

    #[test]
    fn a_lookup_comes_to_a_node_once_at_most() {
        // Each of `a` and `+` at ten levels: 1024 filters, all of which match, in a tree of 2047 nodes.
        let mut filters = Filters::default();
        for bits in 0..1024_u32 {
            let levels = (0..10).map(|at| if bits >> at & 1 == 0 { "a" } else { "+" });
            filters.insert(&filter(&levels.collect::<Vec<_>>().join("/")), bits);
        }
        let steps = |filters: &Filters<u32>, topic: &str| {
            let mut found = 0;
            (
                filters.root.visit(topic, |values| found += values.len()),
                found,
            )
        };
        let topic = ["a"; 10].join("/");
        assert_eq!(steps(&filters, &topic), (2047, 1024));
        assert_eq!(steps(&filters, "a"), (3, 0));
        // An endless topic costs no more than the depth of the tree.
        assert_eq!(steps(&filters, &"a/".repeat(100_000)), (2047, 0));
        // A filter with the most wildcards costs its own length.
        let mut filters = Filters::default();
        filters.insert(&filter(&["+"; 128].join("/")), 1);
        assert_eq!(steps(&filters, &"a/".repeat(1000)), (129, 0));
        // Literals have no alternatives.
        let mut filters = Filters::default();
        for number in 0..1000 {
            filters.insert(&filter(&format!("rooms/{number}/news")), number);
        }
        assert_eq!(steps(&filters, "rooms/7/news"), (4, 1));
        assert_eq!(steps(&filters, &String::from("rooms/x/news")), (2, 0));
    }

    #[test]
    fn the_deepest_filter_is_put_in_taken_out_and_dropped() {
        for text in ["/".repeat(255), ["+"; 128].join("/")] {
            let mut filters = Filters::default();
            assert!(filters.insert(&filter(&text), 1) && filters.insert(&filter(&text), 2));
            drop(filters.clone());
            assert!(filters.remove(&filter(&text), &1) && filters.remove(&filter(&text), &2));
            assert!(filters.is_empty());
        }
    }
}
