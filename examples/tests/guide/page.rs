//! The page shows what runs: its Rust is that of the tests.

use std::collections::BTreeMap;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/from-nexios.md");

const TESTS: [&str; 4] = [
    include_str!("nexios.rs"),
    include_str!("groups.rs"),
    include_str!("starlette.rs"),
    include_str!("axum.rs"),
];

/// The snippets by name, without the indentation that they have in common.
fn snippets() -> BTreeMap<&'static str, String> {
    let mut all = BTreeMap::new();
    for part in TESTS
        .iter()
        .flat_map(|test| test.split("// ours: ").skip(1))
    {
        let (name, rest) = part.split_once('\n').unwrap();
        let (body, _) = rest.split_once("// end\n").expect(name);
        let lines = body.trim_end().lines();
        let full = lines.clone().filter(|line| !line.is_empty());
        let indent = full.map(|line| line.len() - line.trim_start().len()).min();
        let cut = |line: &str| line.get(indent.unwrap()..).unwrap_or("").to_owned() + "\n";
        let known = all.insert(name, lines.map(cut).collect());
        assert_eq!(known, None, "{name} is there twice");
    }
    all
}

#[test]
fn the_page_shows_what_runs() {
    let (page, snippets) = (std::fs::read_to_string(PAGE).unwrap(), snippets());
    let (mut fresh, mut shown) = (String::new(), Vec::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        fresh += line;
        fresh += "\n";
        // Other people's Rust is marked `rust,ignore`.
        assert_ne!(line, "```rust", "which snippet is it? After:\n{fresh}");
        let name = line.strip_prefix("<!-- ours: ");
        let Some(name) = name.and_then(|name| name.strip_suffix(" -->")) else {
            continue;
        };
        assert_eq!(lines.next(), Some("```rust"), "{name}");
        assert!(lines.any(|line| line == "```"), "{name} has no end");
        let snippet = snippets.get(name);
        let snippet = snippet.unwrap_or_else(|| panic!("there is no snippet {name}"));
        fresh += &format!("```rust\n{snippet}```\n");
        shown.push(name);
    }
    shown.sort_unstable();
    assert!(shown.iter().eq(snippets.keys()), "shown: {shown:?}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PAGE, &fresh).unwrap();
    } else {
        assert!(
            fresh == page,
            "the page is old: run this test with UPDATE=1"
        );
    }
}
