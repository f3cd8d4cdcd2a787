//! The page of what the suite finds in other libraries, `docs/scoreboard.md`, which `foreign/run.py` writes: that it names the libraries of
//! `foreign/peers.tsv`, and cases that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sansws_conformance::cases;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A generated part of a file.
fn part<'t>(text: &'t str, name: &str) -> &'t str {
    let begin = format!("<!-- {name}: made by foreign/run.py -->");
    let (_, rest) = text.split_once(&begin).unwrap();
    let (part, _) = rest.split_once(&format!("<!-- end of {name} -->")).unwrap();
    part
}

/// The first cells of the rows of a table, without its head.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = table.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = lines.map(|line| line.split(" | ").collect::<Vec<_>>());
    cells
        .skip_while(|cells| !cells[0].starts_with("---"))
        .skip(1)
}

/// Returns the text between the first two of these.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> Option<&'t str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}

/// The libraries and their roles.
fn listed() -> BTreeSet<(String, String)> {
    let list = read("foreign/peers.tsv");
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let peers = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    let roles = peers.flat_map(|cells| {
        let role = |role: &str| (cells[0].to_owned(), role.to_owned());
        cells[2].split(',').map(role).collect::<Vec<_>>()
    });
    roles.collect()
}

#[test]
fn the_page_and_the_table_have_the_libraries_of_the_list() {
    let page = read("../docs/scoreboard.md");
    let of = |name: &str, role: &str| -> Vec<(String, String)> {
        let named = |cells: Vec<&str>| between(cells[0], "[", "]").unwrap().to_owned();
        let names = rows(part(&page, name)).map(named);
        names.map(|name| (name, role.to_owned())).collect()
    };
    let boards = [of("servers", "server"), of("clients", "client")].concat();
    let titles = part(&page, "details").lines().filter_map(|line| {
        let (library, role) = line.strip_prefix("### ")?.rsplit_once(", ")?;
        let (name, _version) = library.rsplit_once(' ')?;
        Some((name.to_owned(), role.to_owned()))
    });
    let readme = read("README.md");
    let short = rows(part(&readme, "found")).filter_map(|cells| {
        let (name, _version) = cells[0].rsplit_once(' ')?;
        Some((name.to_owned(), cells[1].to_owned()))
    });
    let listed = listed();
    assert!(listed.len() > 8, "{listed:?}");
    for found in [boards, titles.collect(), short.collect()] {
        assert_eq!(found.len(), listed.len(), "one is there twice, or missing");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), listed);
    }
}

#[test]
fn each_case_that_the_page_names_exists_and_is_explained_there() {
    let cases: BTreeSet<String> = cases::all().into_iter().map(|case| case.id).collect();
    let page = read("../docs/scoreboard.md");
    let details = part(&page, "details");
    let links = details.split("](#case-").skip(1);
    let linked: BTreeSet<&str> = links
        .filter_map(|link| Some(link.split_once(')')?.0))
        .collect();
    let explained: BTreeSet<&str> = rows(part(&page, "cases"))
        .filter_map(|cells| between(cells[0], "<a id=\"case-", "\"></a>"))
        .collect();
    assert!(linked.len() > 10, "{linked:?}");
    for case in &linked {
        assert!(cases.contains(*case), "the page names {case}");
        assert!(explained.contains(case), "nothing explains {case}");
    }
    for case in explained {
        assert!(cases.contains(case), "the page explains {case}");
    }

    // Cases of extensions that are missing, as `12.*` or `25.3.3–5`.
    let lacking = details
        .lines()
        .filter(|line| line.starts_with("- **UNIMPLEMENTED**"));
    let ranges = lacking.filter_map(|line| Some(line.rsplit_once(": ")?.1));
    for range in ranges.flat_map(|ranges| ranges.split(", ")) {
        let (first, last) = range.split_once('–').unwrap_or((range, ""));
        let branch = first.strip_suffix('*').unwrap_or(first);
        let exists = if branch == first {
            let (parent, _) = first.rsplit_once('.').unwrap();
            let end = format!("{parent}.{last}");
            cases.contains(first) && (last.is_empty() || cases.contains(&end))
        } else {
            cases.iter().any(|case| case.starts_with(branch))
        };
        assert!(exists, "the page names {range}");
    }
}
