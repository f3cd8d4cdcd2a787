//! Routes of any patterns and any path: the tree does as its patterns do one by one, in whatever order they were added.
//! RFC 3986 section 3.3.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sansws_core::route::{Miss, Pattern, Route, Router, Routes};

fn routes<'a>(patterns: impl Iterator<Item = &'a str>) -> Option<Routes<()>> {
    let all = patterns.map(|pattern| Route::new(pattern, ()));
    all.collect::<Router<()>>().build().ok()
}

fuzz_target!(|input: (Vec<&str>, &str)| {
    let (patterns, path) = input;
    let parsed: Vec<Pattern> = patterns
        .iter()
        .filter_map(|pattern| pattern.parse().ok())
        .collect();
    let (Some(forth), Some(back)) = (
        routes(patterns.iter().copied()),
        routes(patterns.iter().rev().copied()),
    ) else {
        return;
    };
    let lead = |routes: &Routes<()>| {
        let found = routes.find("GET", path);
        found.map(|found| found.pattern.to_string())
    };
    let found = lead(&forth);
    assert_eq!(found, lead(&back), "the order of registration");
    let alone: Vec<String> = parsed
        .iter()
        .filter(|pattern| matches!(pattern.matches(path), Ok(Some(_))))
        .map(ToString::to_string)
        .collect();
    match found {
        Ok(pattern) => assert!(alone.contains(&pattern), "{pattern} of {alone:?}"),
        Err(Miss::NotFound) => assert!(alone.is_empty(), "{alone:?}"),
        Err(_) => {}
    }
});
