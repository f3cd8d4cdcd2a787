//! Links in the project's pages lead somewhere: to a file of the project, and to a heading of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the project's files are on the web.
const WEB: &str = "https://github.com/sansws/sansws/blob/main/";

/// Folders that hold no page of ours.
const FOREIGN: [&str; 4] = ["target", "node_modules", ".venv", ".git"];

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !FOREIGN.contains(&&*name) {
            pages(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchors of a page: those of its headings, as GitHub and mdBook make them, and those that it sets itself.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let made = headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    });
    let set = prose(text).flat_map(|line| line.split("<a id=\"").skip(1));
    made.chain(set.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())))
        .collect()
}

/// The targets of links in the text and of link definitions.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Code in a line is no link.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for part in plain.split("](").skip(1) {
            found.extend(part.split(')').next().map(str::to_owned));
        }
        if line.starts_with('[') {
            found.extend(line.split("]: ").nth(1).map(str::to_owned));
        }
    }
    found
}

#[test]
fn links_between_pages_lead_to_a_file_and_to_a_heading() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Vec::new();
    pages(root, &mut all);
    let texts: BTreeMap<PathBuf, String> = all
        .into_iter()
        .map(|path| {
            (
                path.canonicalize().unwrap(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    let (mut checked, mut broken) = (0, Vec::new());
    for (page, text) in &texts {
        for target in targets(text) {
            let (place, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = match place.strip_prefix(WEB) {
                Some(inside) => root.join(inside),
                None if place.contains("://") || place.starts_with("mailto:") => continue,
                None if place.is_empty() => page.clone(),
                None => page.parent().unwrap().join(place),
            };
            checked += 1;
            let known = file.canonicalize().is_ok_and(|file| {
                let headings = texts.get(&file).map(|text| anchors(text));
                anchor.is_empty() || headings.is_some_and(|all| all.contains(anchor))
            });
            if !known {
                broken.push(format!(
                    "{}: {target}",
                    page.strip_prefix(root).unwrap().display()
                ));
            }
        }
    }
    assert!(checked > 100, "{checked}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_page_is_in_the_table_of_contents() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let contents = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<String> = targets(&contents).into_iter().collect();
    let mut found = Vec::new();
    pages(&docs, &mut found);
    for page in found {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name == "SUMMARY.md" || listed.contains(&name), "{name}");
    }
}
