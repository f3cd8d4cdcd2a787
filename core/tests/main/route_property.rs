//! Properties of routes: the order of registration is of no matter, the tree does as a list would, and a path that was
//! made leads back. RFC 3986 section 3.3.

use std::collections::BTreeMap;
use std::fmt::Display;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sansws_core::route::{Pattern, Route, Router, Routes};

/// Few words, so that patterns and paths meet often.
const WORDS: &[&str] = &[
    "a",
    "b",
    "7",
    "-7",
    "7.5",
    "a.b",
    "",
    "a%2Fb",
    "%37",
    "%61",
    "caf\u{e9}",
];
const KINDS: &[&str] = &["int", "uint", "float", "uuid", "slug", "str"];

/// Segments: literals, or converters in braces. Names are given by place, so that a pattern is known by its segments.
fn segments() -> impl Strategy<Value = Vec<String>> {
    let literal = select(WORDS).prop_map(str::to_owned);
    let param = select(KINDS).prop_map(|kind| format!("{{{kind}}}"));
    let segment = prop_oneof![literal, param];
    (vec(segment, 1..5), prop::bool::weighted(0.2)).prop_map(|(mut segments, tail)| {
        if tail {
            segments.push("{path}".into());
        }
        segments
    })
}

fn pattern(segments: &[String]) -> String {
    let named = segments.iter().enumerate().map(|(at, segment)| {
        segment
            .strip_prefix('{')
            .map_or_else(|| format!("/{segment}"), |kind| format!("/{{p{at}:{kind}"))
    });
    named.collect()
}

fn path() -> impl Strategy<Value = String> {
    vec(select(WORDS), 1..7).prop_map(|words| format!("/{}", words.join("/")))
}

/// Patterns that can be told apart, by their decoded shape.
fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    vec(segments(), 1..30).prop_map(|all| {
        let shaped = all.into_iter().map(|segments| {
            let shape: Vec<_> = segments.iter().map(|text| decoded(text)).collect();
            (shape, segments)
        });
        shaped.collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

fn routes(patterns: &[Vec<String>]) -> Routes<()> {
    let all = patterns
        .iter()
        .map(|segments| Route::new(pattern(segments), ()));
    all.collect::<Router<()>>().build().unwrap()
}

fn lead(routes: &Routes<()>, path: &str) -> Option<String> {
    Some(routes.find("GET", path).ok()?.pattern.to_string())
}

/// The words of this file hold but three escapes.
fn decoded(text: &str) -> String {
    text.replace("%2F", "/")
        .replace("%37", "7")
        .replace("%61", "a")
}

/// The naive matcher: all patterns, each by itself; of those that match, the one whose ranks are the least.
fn naive(patterns: &[Vec<String>], path: &str) -> Option<String> {
    let words: Vec<&str> = path.split('/').skip(1).collect();
    let ranks = |segments: &Vec<String>| {
        let mut ranks = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let word = decoded(words.get(at)?);
            let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
            let (fits, rank) = match segment.as_str() {
                "{uuid}" => (false, 1),
                "{uint}" => (digits(&word), 2),
                "{int}" => (digits(word.trim_start_matches('-')), 3),
                "{float}" => (["7", "-7", "7.5"].contains(&word.as_str()), 4),
                "{slug}" => (["a", "b", "7", "-7"].contains(&word.as_str()), 5),
                "{str}" => (!word.is_empty(), 6),
                "{path}" => {
                    ranks.push(7);
                    return (words[at..] != [""]).then_some(ranks);
                }
                literal => (decoded(literal) == word, 0),
            };
            ranks.push(rank);
            if !fits {
                return None;
            }
        }
        (ranks.len() == words.len()).then_some(ranks)
    };
    let all = patterns
        .iter()
        .filter_map(|segments| Some((ranks(segments)?, segments)));
    all.min().map(|(_, segments)| pattern(segments))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_tree_does_as_the_naive_matcher((patterns, paths) in (table(), vec(path(), 20))) {
        let routes = routes(&patterns);
        for path in paths {
            prop_assert_eq!(lead(&routes, &path), naive(&patterns, &path), "{}", path);
        }
    }

    #[test]
    fn each_pattern_is_found_by_a_path_of_its_own((patterns, at) in (table(), any::<prop::sample::Index>())) {
        let chosen = &patterns[at.index(patterns.len())];
        let words = chosen.iter().map(|segment| match segment.as_str() {
            "{uuid}" => "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "{int}" => "-7",
            "{uint}" => "7",
            "{float}" => "7.5",
            "{slug}" => "b",
            "{str}" => "caf\u{e9}",
            "{path}" => "x/%2F/",
            literal => literal,
        });
        let path = format!("/{}", words.collect::<Vec<_>>().join("/"));
        let parsed: Pattern = pattern(chosen).parse().unwrap();
        prop_assert!(parsed.matches(&path).unwrap().is_some(), "{} {}", path, parsed);
        prop_assert!(lead(&routes(&patterns), &path).is_some());
    }

    #[test]
    fn matching_is_independent_of_the_order_of_registration(
        (patterns, shuffled) in table().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        paths in vec(path(), 20),
    ) {
        let (one, other) = (routes(&patterns), routes(&shuffled));
        for path in paths {
            prop_assert_eq!(lead(&one, &path), lead(&other, &path), "{}", path);
        }
    }

    #[test]
    fn a_prefix_is_only_a_way_to_write_patterns(patterns in table(), cut in 0..4_usize, paths in vec(path(), 20)) {
        let whole = routes(&patterns);
        let parts = patterns.iter().fold(Router::new(), |router, segments| {
            let text = pattern(segments);
            let slash = text.match_indices('/').nth(cut).map_or(text.len(), |(at, _)| at);
            let (prefix, rest) = text.split_at(slash);
            // A trailing slash of a prefix is dropped, so an empty segment can't end one.
            if prefix.ends_with('/') {
                return router.route(text, ());
            }
            router.mount(prefix, Router::with_prefix("/gone").route(rest, ()))
        });
        let parts = parts.build().unwrap();
        for path in paths {
            prop_assert_eq!(lead(&whole, &path), lead(&parts, &path), "{}", path);
        }
    }

    #[test]
    fn url_for_round_trips(
        room in "\\PC{1,12}|[a/%.{}?# ]{1,6}",
        id in any::<i64>(),
        count in any::<u64>(),
        x in any::<f64>().prop_filter("finite", |x| x.is_finite()),
        file in vec("\\PC{0,5}|[.%a]{0,3}", 1..5),
    ) {
        let file = file.join("/");
        let routes = Router::with_prefix("/caf\u{e9} %2F/{id:int}")
            .add(Route::new("/{room}/{count:uint}/{x:float}/{file:path}", ()).named("all"))
            .build()
            .unwrap();
        let values: [(&str, &dyn Display); 5] =
            [("room", &room), ("id", &id), ("count", &count), ("x", &x), ("file", &file)];
        let dots = |text: &str| text == "." || text == "..";
        let sent = !dots(&room) && !file.is_empty() && !file.split('/').any(dots);
        let Ok(path) = routes.url_for("all", &values) else {
            prop_assert!(!sent);
            return Ok(());
        };
        prop_assert!(sent && path.is_ascii());
        let params = routes.find("GET", &path).unwrap().params;
        prop_assert_eq!(params.get::<String>("room").unwrap(), room);
        prop_assert_eq!(params.get::<i64>("id").unwrap(), id);
        prop_assert_eq!(params.get::<u64>("count").unwrap(), count);
        prop_assert_eq!(params.get::<f64>("x").unwrap(), x);
        prop_assert_eq!(params.get::<String>("file").unwrap(), file);
    }

    #[test]
    fn no_path_and_no_pattern_panics(text in "[/{}:a7%.\\-]{0,24}|\\PC{0,12}", path in "[/a7%F.\\-]{0,24}|\\PC{0,12}") {
        if let Ok(routes) = Router::new().route(&*text, ()).route("/{a}/{b:path}", ()).build() {
            let _ = routes.find("GET", &path).map(|found| found.params.iter().count());
        }
    }
}
