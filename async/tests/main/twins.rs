//! The adapters are twins: their public names are equal, and neither depends on the other's runtime. What lies below depends on none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Stacks that run on tokio alone.
const OF_TOKIO: [&str; 2] = ["hyper", "axum"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The public names that a source file declares, functions and methods included.
fn names(source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .fold(String::new(), |code, line| code + " " + line);
    let mut all = BTreeSet::new();
    for item in code.split(" pub ").skip(1) {
        if let Some(path) = item.strip_prefix("use ") {
            let path = path.split(';').next().unwrap_or_default();
            all.extend(used(path).map(|name| format!("use {name}")));
            continue;
        }
        // `async fn name`, `const fn name`, `struct Name`, `mod name`, `field: Type`
        let head = item
            .split(['(', '{', '<', ';', ':', '='])
            .next()
            .unwrap_or_default();
        let words: Vec<&str> = head.split_whitespace().collect();
        all.insert(words.join(" "));
    }
    all
}

/// The names that a `use` brings: the last of each path, or what it is renamed to.
fn used(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.split_once('{').map_or(path, |(_, inner)| inner);
    inner
        .trim_end_matches([' ', '}'])
        .split(',')
        .map(|name| {
            let name = name.rsplit_once(" as ").map_or(name, |(_, new)| new);
            name.rsplit("::").next().unwrap_or_default().trim()
        })
        .filter(|name| !name.is_empty())
}

#[test]
fn names_are_read() {
    let source = "
        //! pub use not::This;
        mod one;
        pub mod two;
        pub use a::{B, c::D as E,\n F};
        pub use g as h;
        pub type T<S = X> = Y<S>;
        impl A { pub async fn bind(address: A) -> B {} pub(crate) fn hidden() {} }
        pub struct K { pub field: u8 }";
    let want = [
        "async fn bind",
        "field",
        "mod two",
        "struct K",
        "type T",
        "use B",
        "use E",
        "use F",
        "use h",
    ];
    assert_eq!(names(source), want.map(String::from).into());
}

/// The types of an adapter that are its runtime's own.
const OWN: [&str; 5] = [
    "use Tokio",
    "use Tcp",
    "use Smol",
    "use Socket",
    "use Compat",
];

#[test]
fn public_names_are_equal() {
    for (file, macro_name) in [
        ("lib.rs", "adapter!("),
        ("test_kit.rs", "adapter_test_kit!("),
    ] {
        let [tokio, smol] = ["adapter-tokio", "adapter-smol"].map(|adapter| {
            let path = workspace().join(adapter).join("src").join(file);
            let source = fs::read_to_string(path).unwrap();
            assert!(source.contains(macro_name), "{adapter}: {file}");
            let mut names = names(&source);
            names.retain(|name| !OWN.contains(&name.as_str()));
            names
        });
        let of_tokio = OF_TOKIO.map(|name| format!("mod {name}"));
        let shared: BTreeSet<_> = tokio
            .into_iter()
            .filter(|name| !of_tokio.contains(name))
            .collect();
        assert_eq!(shared, smol, "tokio's and smol's {file}");
    }
}

/// Maximum number of lines of an adapter besides its documentation and tests: one implementation of `Runtime`, aliases.
const ADAPTER: usize = 350;

#[test]
fn an_adapter_is_short() {
    for adapter in ["adapter-tokio", "adapter-smol"] {
        let lines: usize = ["lib.rs", "adapter.rs", "test_kit.rs"]
            .map(|file| fs::read_to_string(workspace().join(adapter).join("src").join(file)))
            .map(|source| {
                let is_code = |line: &&str| !line.trim_start().starts_with("//");
                let source = source.unwrap();
                let (code, _tests) = source.split_once("\n#[cfg(test)]").unwrap_or((&source, ""));
                code.lines().filter(is_code).count()
            })
            .iter()
            .sum();
        assert!(lines < ADAPTER, "{adapter}: {lines} lines");
    }
}

#[test]
fn features_are_equal() {
    let features = |adapter: &str| {
        let manifest = fs::read_to_string(workspace().join(adapter).join("Cargo.toml")).unwrap();
        let section = manifest.split("[features]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        let names = section.lines().filter_map(|line| line.split_once(" = "));
        names
            .map(|(name, _)| name.to_string())
            .collect::<BTreeSet<_>>()
    };
    let mut tokio = features("adapter-tokio");
    assert!(tokio.contains("tls"), "{tokio:?}");
    for name in OF_TOKIO {
        tokio.remove(name);
    }
    assert_eq!(tokio, features("adapter-smol"));
}

/// The names of all crates that `package` needs to run.
fn tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace())
        .args(["tree", "--offline", "-p", package, "-e", "normal"])
        .args(["--all-features", "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect();
    assert!(all.contains(package), "{all:?}");
    all
}

fn of_tokio(name: &str) -> bool {
    name == "tokio" || name.starts_with("tokio-") || name == "sansws-tokio"
}

fn of_smol(name: &str) -> bool {
    ["smol", "blocking", "polling", "sansws-smol"].contains(&name) || name.starts_with("async-")
}

#[test]
fn each_knows_one_runtime() {
    for (package, own, other) in [
        (
            "sansws-tokio",
            of_tokio as fn(&str) -> bool,
            of_smol as fn(&str) -> bool,
        ),
        ("sansws-smol", of_smol, of_tokio),
    ] {
        let all = tree(package);
        let of_other: Vec<_> = all.iter().filter(|name| other(name)).collect();
        assert!(of_other.is_empty(), "{package} needs {of_other:?}");
        let of_own = all.iter().filter(|name| own(name)).count();
        assert!(of_own > 1, "{package} without its runtime: {all:?}");
    }
}

#[test]
fn the_async_layer_knows_none() {
    let all = tree("sansws-async");
    let found: Vec<_> = all
        .iter()
        .filter(|name| of_tokio(name) || of_smol(name))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_core_knows_nothing_async() {
    let all = tree("sansws-core");
    let is_async = |name: &&String| {
        of_tokio(name)
            || of_smol(name)
            || name.starts_with("futures")
            || ["atomic-waker", "rustls", "tracing", "sansws-async"].contains(&name.as_str())
    };
    let found: Vec<_> = all.iter().filter(is_async).collect();
    assert!(found.is_empty(), "{found:?}");
}
