//! A page shows what runs: its Rust is that of the tests. A snippet stands between `// ours: name` and `// end`.

use std::collections::BTreeMap;

/// The snippets by name, without the indentation that they have in common.
fn snippets(tests: &[&'static str]) -> BTreeMap<&'static str, String> {
    let mut all = BTreeMap::new();
    for part in tests
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

/// Compares the Rust of a page with the snippets of these tests; `UPDATE=1` writes them into it.
pub fn shows_what_runs(path: &str, tests: &[&'static str]) {
    let (page, snippets) = (std::fs::read_to_string(path).unwrap(), snippets(tests));
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
        std::fs::write(path, &fresh).unwrap();
    } else {
        assert!(
            fresh == page,
            "the page is old: run this test with UPDATE=1"
        );
    }
}
