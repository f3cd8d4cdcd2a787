//! Reads the sources of a crate as a graph: which file uses which. For the tests that hold the map of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of lines of a file.
pub const LONGEST: usize = 600;

/// The files of a crate, by module path: `hub::node` for `hub/node.rs`, `hub` for `hub/mod.rs`.
pub struct Map {
    pub sources: BTreeMap<String, String>,
}

impl Map {
    /// Reads `src` of the crate at `root`.
    pub fn read(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref().join("src");
        let mut paths = Vec::new();
        collect(&root, &mut paths);
        let sources = paths.iter().map(|path| {
            let file = path.strip_prefix(&root).unwrap().with_extension("");
            let parts: Vec<_> = file.iter().map(|part| part.to_str().unwrap()).collect();
            (parts.join("::"), fs::read_to_string(path).unwrap())
        });
        Self::new(sources)
    }

    /// A map of sources given by path.
    pub fn new(sources: impl IntoIterator<Item = (String, String)>) -> Self {
        let named = sources.into_iter().map(|(path, source)| {
            let module = match path.as_str() {
                "lib" => "",
                path => path.strip_suffix("::mod").unwrap_or(path),
            };
            (module.to_string(), source)
        });
        Self {
            sources: named.collect(),
        }
    }

    /// The code of a file: without comments and tests.
    pub fn code(source: &str) -> String {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The files that each file uses. A folder's `mod.rs` and the files under it count as one idea: uses between them are left out.
    pub fn graph(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let exports = self.exports();
        let mut graph = BTreeMap::new();
        for (module, source) in &self.sources {
            let code = Self::code(source);
            let mut used = BTreeSet::new();
            for path in uses(&code) {
                if let Some(path) = self.resolve(module, &path)
                    && let Some(file) = self.file_of(&path, &exports)
                    && !is_within(module, file)
                    && !is_within(file, module)
                {
                    used.insert(file);
                }
            }
            graph.insert(module.as_str(), used);
        }
        graph
    }

    /// Groups of files that use each other in a circle.
    pub fn circles(&self) -> Vec<Vec<&str>> {
        let graph = self.graph();
        let reach = |from: &str| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&str> = graph[from].iter().copied().collect();
            while let Some(file) = next.pop() {
                if seen.insert(file) {
                    next.extend(&graph[file]);
                }
            }
            seen
        };
        let reach: BTreeMap<&str, _> = graph.keys().map(|file| (*file, reach(file))).collect();
        let mut circles: Vec<Vec<&str>> = Vec::new();
        for (file, reached) in &reach {
            let circle = reached.iter().filter(|other| reach[*other].contains(file));
            let circle: Vec<&str> = circle.copied().collect();
            if !circle.is_empty() && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }

    /// The re-exports: a path, and the path that it stands for.
    fn exports(&self) -> BTreeMap<String, String> {
        let mut exports = BTreeMap::new();
        for (module, source) in &self.sources {
            for statement in statements(&Self::code(source)) {
                if !statement.is_public {
                    continue;
                }
                for path in &statement.paths {
                    let name = path.rsplit("::").next().unwrap_or_default();
                    if let Some(target) = self.resolve(module, path) {
                        exports.insert(join(module, name), target);
                    }
                }
            }
        }
        exports
    }

    /// The path from the root of the crate; `None` for another crate's.
    fn resolve(&self, module: &str, path: &str) -> Option<String> {
        if let Some(rest) = path.strip_prefix("crate::") {
            return Some(rest.into());
        }
        let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
        let mut rest = path;
        let mut is_relative = false;
        while let Some((first, behind)) = rest.split_once("::") {
            match first {
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            (rest, is_relative) = (behind, true);
        }
        let first = rest.split("::").next().unwrap_or_default();
        let own = join(&base.join("::"), first);
        (is_relative || self.sources.contains_key(&own)).then(|| join(&base.join("::"), rest))
    }

    /// The file in which what a path names stands.
    fn file_of(&self, path: &str, exports: &BTreeMap<String, String>) -> Option<&str> {
        let mut path = path.to_string();
        // As often as something may be passed on.
        for _ in 0..8 {
            let mut end = path.len();
            let next = loop {
                let prefix = &path[..end];
                let whole = end == path.len();
                match exports.get(prefix) {
                    Some(target)
                        if target != prefix && (whole || !self.sources.contains_key(prefix)) =>
                    {
                        break format!("{target}{}", &path[end..]);
                    }
                    _ => {}
                }
                if let Some((file, _)) = self.sources.get_key_value(prefix) {
                    return Some(file.as_str());
                }
                end = path[..end].rfind("::")?;
            };
            path = next;
        }
        None
    }
}

fn join(base: &str, name: &str) -> String {
    if base.is_empty() {
        name.into()
    } else {
        format!("{base}::{name}")
    }
}

fn is_within(module: &str, folder: &str) -> bool {
    module == folder
        || module
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with("::"))
}

struct Statement {
    is_public: bool,
    paths: Vec<String>,
}

/// The `use` statements of a file.
fn statements(code: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = &code[..at];
        let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
        if !line.is_empty() && !line.starts_with("pub") {
            continue;
        }
        let tree = code[at + 4..].split(';').next().unwrap_or_default();
        let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut paths = Vec::new();
        expand("", &tree, &mut paths);
        all.push(Statement {
            is_public: !line.is_empty(),
            paths,
        });
    }
    all
}

/// The paths of a use tree.
fn expand(prefix: &str, tree: &str, into: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let path = format!("{prefix}{path}");
        into.push(path.trim_end_matches("::self").into());
        return;
    };
    let prefix = format!("{prefix}{head}");
    let (mut depth, mut start) = (0, 0);
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[start..at], into);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inner[start..].trim().is_empty() {
        expand(&prefix, &inner[start..], into);
    }
}

/// All paths into the own crate that a file names, in `use` or in place.
fn uses(code: &str) -> Vec<String> {
    let mut all: Vec<String> = statements(code)
        .into_iter()
        .filter(|statement| !statement.is_public)
        .flat_map(|statement| statement.paths)
        .collect();
    for word in ["crate::", "super::"] {
        for (at, _) in code.match_indices(word) {
            let end = code[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            let path = &code[at..end.map_or(code.len(), |end| at + end)];
            all.push(path.trim_end_matches(':').into());
        }
    }
    all
}

fn collect(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, all);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            all.push(path);
        }
    }
}
