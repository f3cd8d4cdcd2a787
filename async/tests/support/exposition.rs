//! A strict reader of Prometheus' exposition format 0.0.4.

use std::collections::BTreeMap;

/// The samples, by name and labels as they are written.
pub type Samples = BTreeMap<String, f64>;

fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':');
    first
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// The labels between braces, each a name and a value without escapes.
fn labels(text: &str) -> Vec<(&str, &str)> {
    text.split(',')
        .map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            let value = value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            assert!(is_name(name) && !name.starts_with("__"), "{label}");
            let value = value.unwrap();
            assert!(!value.contains(['"', '\\']), "{label}");
            (name, value)
        })
        .collect()
}

/// Reads a text, and says what is wrong with it by a panic.
pub fn read(text: &str) -> Samples {
    assert!(text.ends_with('\n'), "the last line has an end");
    let mut samples = Samples::new();
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut helped, mut family, mut kind) = ("", "", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && help.trim() == help, "{line}");
            helped = name;
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            (family, kind) = rest.split_once(' ').unwrap();
            assert_eq!(family, helped, "what it is stands before its type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
            assert!(family.starts_with("sansws_") && is_name(family), "{line}");
            assert!(
                families.insert(family, kind).is_none(),
                "{family} comes twice"
            );
            continue;
        }
        let (id, value) = line.rsplit_once(' ').unwrap();
        let (name, inside) = match id.split_once('{') {
            Some((name, rest)) => (name, Some(rest.strip_suffix('}').unwrap())),
            None => (id, None),
        };
        let inside = inside.map(labels).unwrap_or_default();
        let part = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("{line} in {family}"));
        match kind {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&part), "{line}"),
            _ => assert_eq!(part, "", "{line}"),
        }
        assert_eq!(
            part == "_bucket",
            inside.iter().any(|(name, _)| *name == "le")
        );
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0, "{line}");
        assert!(
            samples.insert(id.into(), value).is_none(),
            "{id} comes twice"
        );
    }
    for (family, kind) in families {
        let own = |id: &str| {
            id.strip_prefix(family)
                .is_some_and(|rest| !rest.starts_with('_') || kind == "histogram")
        };
        assert!(samples.keys().any(|id| own(id)), "{family} has no sample");
        if kind == "histogram" {
            check_histogram(family, text, &samples);
        }
    }
    samples
}

fn check_histogram(family: &str, text: &str, samples: &Samples) {
    let begin = format!("{family}_bucket{{le=\"");
    let buckets: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix(&begin))
        .map(|rest| {
            let (end, count) = rest.split_once("\"} ").unwrap();
            (
                end.replace("+Inf", "inf").parse().unwrap(),
                count.parse().unwrap(),
            )
        })
        .collect();
    assert!(
        buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
        "{family}"
    );
    let last = buckets.last().unwrap();
    assert_eq!(
        (last.0, last.1),
        (f64::INFINITY, samples[&format!("{family}_count")])
    );
    assert!(samples.contains_key(&format!("{family}_sum")), "{family}");
}
