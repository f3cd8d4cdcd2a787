//! Finds the patterns that match a path, best first.
//! RFC 3986 section 3.3: the path is read segment by segment.
//! Knows patterns by their segments and a number, but no endpoint and no method.
//!
//! **Precedence.** At each segment a literal is tried first, then the parameters in the order of `Kind::key`, then the tail; if the rest of
//! the path matches nothing, the next is tried. The patterns are sorted before the tree is built, so the order of registration cannot
//! matter.
//!
//! **Cost.** Each node stands for one beginning of a pattern and has one parent, so a lookup visits a node at most once, at one place of
//! the path: backtracking is never exponential in the path. A segment without alternatives costs one step, however many routes there are.
//! Where literals and parameters compete at several levels, the nodes that agree with the path so far are visited; there are never more of
//! them than were registered. (A better bound for all sets is the partial match problem, for which no small table is known.)

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::converter::Kind;
use super::escape::{cut, decode};
use super::pattern::Segment;

/// The remaining segments of a pattern, and its number.
pub(super) type Branch<'a> = (&'a [Segment], usize);

/// Two patterns, by their numbers, that conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clash {
    /// They differ only in the names of parameters.
    Same(usize, usize),
    /// They use different converters with one name at one place, so that neither has precedence.
    Converters(usize, usize),
}

/// The continuations after some segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    literals: Literals,
    /// By precedence.
    params: Box<[(Kind, Self)]>,
    /// The patterns that match the rest of the path.
    tails: Box<[usize]>,
    /// The patterns that end here.
    ends: Box<[usize]>,
}

impl Node {
    /// Builds a tree, and reports each pair of patterns that match the same paths to `clash`.
    pub(super) fn grow(mut all: Vec<Branch<'_>>, clash: &mut impl FnMut(Clash)) -> Self {
        all.sort_by(|(a, _), (b, _)| keys(a).cmp(keys(b)));
        Self::sorted(&all, clash)
    }

    fn sorted(all: &[Branch<'_>], clash: &mut impl FnMut(Clash)) -> Self {
        let mut node = Self::default();
        let (mut literals, mut params) = (Vec::new(), Vec::new());
        for group in all.chunk_by(|(a, _), (b, _)| first(a) == first(b)) {
            let Some(([segment, ..], number)) = group.first() else {
                node.ends = numbers(group, clash);
                continue;
            };
            let mut below = Vec::with_capacity(group.len());
            for (segments, other) in group {
                let Some((own, rest)) = segments.split_first() else {
                    continue;
                };
                if segment.is_like(own) {
                    below.push((rest, *other));
                } else {
                    clash(Clash::Converters(*number, *other));
                }
            }
            match segment {
                Segment::Param {
                    kind: Kind::Path, ..
                } => node.tails = numbers(group, clash),
                Segment::Param { kind, .. } => {
                    params.push((kind.clone(), Self::sorted(&below, clash)));
                }
                Segment::Literal(text) => {
                    literals.push((text.clone(), Self::sorted(&below, clash)));
                }
            }
        }
        node.literals = Literals::new(literals);
        node.params = params.into();
        node
    }

    /// Finds the patterns that match `rest`, the path without its first slash: all that equal the best one.
    ///
    /// `escaped` tells whether there are escapes. They have been checked: a segment with invalid ones matches nothing.
    pub(super) fn find(&self, rest: &str, escaped: bool) -> Option<&[usize]> {
        Walk { escaped, steps: 0 }.from(self, Some(rest))
    }
}

/// Children by their literals: a table with at least twice as many slots, in which a literal is at the slot of its hash or at the next free
/// one. A peer chooses the lookup keys, but not the contents, so it cannot make the occupied slots cluster.
#[derive(Clone, Debug, Default)]
struct Literals {
    places: Box<[Place]>,
}

type Place = Option<(Box<str>, Node)>;

impl Literals {
    fn new(children: Vec<(Box<str>, Node)>) -> Self {
        let mut places: Vec<Place> = Vec::new();
        if !children.is_empty() {
            places.resize_with((2 * children.len()).next_power_of_two(), || None);
        }
        for (literal, child) in children {
            let free =
                around(places.len(), &literal).find(|at| matches!(places.get(*at), Some(None)));
            if let Some(place) = free.and_then(|at| places.get_mut(at)) {
                *place = Some((literal, child));
            }
        }
        Self {
            places: places.into(),
        }
    }

    fn get(&self, text: &str) -> Option<&Node> {
        around(self.places.len(), text)
            .map_while(|at| self.places.get(at)?.as_ref())
            .find(|(literal, _)| **literal == *text)
            .map(|(_, child)| child)
    }
}

/// Iterates over all slots, starting at that of `text`; `count` is a power of two, or 0.
fn around(count: usize, text: &str) -> impl Iterator<Item = usize> + use<> {
    let start = if count > 0 { hash(text) } else { 0 };
    (0..count).map(move |step| start.wrapping_add(step) & (count - 1))
}

/// Hashes eight bytes at a time: xor, multiply, and rotate, so that the high bits, which all bytes affect, come next.
fn hash(text: &str) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(32);
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest
        .iter()
        .fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
    words.chain([rest]).fold(0, mix) as usize
}

/// One lookup.
struct Walk {
    /// Whether anything has to be decoded.
    escaped: bool,
    /// The number of visited nodes.
    steps: usize,
}

impl Walk {
    fn from<'t>(&mut self, node: &'t Node, rest: Option<&str>) -> Option<&'t [usize]> {
        self.steps += 1;
        let Some(rest) = rest else {
            return some(&node.ends);
        };
        let (segment, next) = cut(rest);
        let decoded;
        let text = if self.escaped {
            decoded = decode(segment).ok()?;
            &*decoded
        } else {
            segment
        };
        if let Some(child) = node.literals.get(text)
            && let Some(found) = self.from(child, next)
        {
            return Some(found);
        }
        for (kind, child) in &node.params {
            if kind.accepts(text)
                && let Some(found) = self.from(child, next)
            {
                return Some(found);
            }
        }
        some(&node.tails).filter(|_| !rest.is_empty())
    }
}

/// The numbers of equivalent patterns.
fn numbers(group: &[Branch<'_>], clash: &mut impl FnMut(Clash)) -> Box<[usize]> {
    for (at, (_, second)) in group.iter().enumerate() {
        for (_, first) in group.iter().take(at) {
            clash(Clash::Same(*first, *second));
        }
    }
    group.iter().map(|(_, number)| *number).collect()
}

fn first(segments: &[Segment]) -> Option<(u8, &str)> {
    segments.first().map(Segment::key)
}

fn keys(segments: &[Segment]) -> impl Iterator<Item = (u8, &str)> {
    segments.iter().map(Segment::key)
}

fn some(numbers: &[usize]) -> Option<&[usize]> {
    (!numbers.is_empty()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;
    use crate::route::Pattern;

    fn tree(patterns: &[String]) -> Node {
        let patterns: Vec<Pattern> = patterns.iter().map(|text| text.parse().unwrap()).collect();
        let branches = patterns.iter().map(Pattern::segments).zip(0..).collect();
        Node::grow(branches, &mut |clash| panic!("{clash:?}"))
    }

    /// Returns whether a pattern matched, and the number of visited nodes.
    fn steps(tree: &Node, path: &str) -> (bool, usize) {
        let mut walk = Walk {
            escaped: false,
            steps: 0,
        };
        let found = walk.from(tree, path.strip_prefix('/')).is_some();
        (found, walk.steps)
    }

    fn nodes(node: &Node) -> usize {
        let literals = node.literals.places.iter().flatten();
        let literals = literals.map(|(_, child)| nodes(child));
        let params = node.params.iter().map(|(_, child)| nodes(child));
        1 + literals.chain(params).sum::<usize>()
    }

    #[test]
    fn a_lookup_takes_as_many_steps_among_ten_thousand_routes_as_among_ten() {
        for routes in [10, 100, 1_000, 10_000] {
            let patterns = (0..routes).map(|n| format!("/v1/thing{n}/{{id}}/x"));
            let tree = tree(&patterns.collect::<Vec<_>>());
            assert_eq!(steps(&tree, "/v1/thing7/1/x"), (true, 5), "{routes}");
            assert_eq!(steps(&tree, "/v1/thing7/1/y"), (false, 4), "{routes}");
            assert_eq!(steps(&tree, "/v1/other/1/x"), (false, 2), "{routes}");
        }
    }

    #[test]
    fn a_literal_stands_near_its_place_however_many_siblings_it_has() {
        for count in [10, 1_000, 100_000] {
            let names = (0..count).map(|n| format!("thing-{n}-of-many").into_boxed_str());
            let literals = Literals::new(names.map(|name| (name, Node::default())).collect());
            let tried = |name: &str| {
                around(literals.places.len(), name)
                    .take_while(|at| literals.places[*at].is_some())
                    .count()
            };
            let total: usize = (0..count)
                .map(|n| tried(&format!("thing-{n}-of-many")))
                .sum();
            assert!(total <= 4 * count, "{total} places for {count} literals");
        }
    }

    #[test]
    fn a_path_however_long_comes_to_each_node_once_at_most() {
        // Each segment may be a literal or a parameter, and no pattern matches in the end: the worst case.
        const DEPTH: usize = 7;
        let mut patterns = alloc::vec![String::new()];
        for level in 0..DEPTH {
            let segments = [
                "a".into(),
                format!("{{slug{level}:slug}}"),
                format!("{{str{level}}}"),
            ];
            patterns = patterns
                .iter()
                .flat_map(|start| segments.iter().map(move |end| format!("{start}/{end}")))
                .collect();
        }
        for pattern in &mut patterns {
            pattern.push_str("/end");
        }
        let tree = tree(&patterns);
        let all = nodes(&tree);
        for length in [1, DEPTH, DEPTH + 1, 100, 10_000] {
            let (found, steps) = steps(&tree, &"/a".repeat(length));
            assert!(!found);
            assert!(steps <= all, "{steps} of {all} nodes, {length} segments");
        }
    }

    #[test]
    fn rivals_at_every_level_cost_what_they_add_not_what_they_multiply_to() {
        // Route n has its only parameter at segment n: 2^32 ways to read the path, if nodes were shared and retried.
        const DEPTH: usize = 32;
        let patterns: Vec<_> = (0..DEPTH)
            .map(|n| format!("{}/{{x}}{}/end", "/a".repeat(n), "/a".repeat(DEPTH - n - 1)))
            .collect();
        let (found, steps) = steps(&tree(&patterns), &format!("{}/no", "/a".repeat(DEPTH)));
        assert!(!found);
        assert!(steps <= DEPTH * (DEPTH + 2), "{steps}");
    }
}
