//! Reads the public API of a crate from its sources: which items are reachable, by which path, with which signature. For the tests that
//! hold `api.txt` and the uniqueness of names. Items that are hidden from the documentation are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, TraitItem, UseTree, Visibility};

use super::map::Map;

/// The public API of a crate.
pub struct Api {
    /// Lines of `api.txt`: `path: head`.
    pub lines: BTreeSet<String>,
    /// Types and traits that are declared in the crate: name, and the paths of the modules that declare one.
    pub types: BTreeMap<String, BTreeSet<String>>,
}

impl Api {
    /// Reads the crate at `root`.
    pub fn read(root: impl AsRef<Path>) -> Self {
        Self::of(&Map::read(root))
    }

    /// Reads a crate from its sources.
    pub fn of(map: &Map) -> Self {
        let mut tree = Tree::default();
        for (path, source) in &map.sources {
            let file = syn::parse_file(source).unwrap_or_else(|error| panic!("{path}: {error}"));
            tree.add(path, file.items);
        }
        tree.link();
        let mut api = Self {
            lines: BTreeSet::new(),
            types: BTreeMap::new(),
        };
        api.walk(&tree, "", "", &mut BTreeSet::new());
        api
    }

    /// Returns the number of public types and traits.
    pub fn count(&self) -> usize {
        self.types.values().map(BTreeSet::len).sum()
    }

    /// Lists what a module makes public, under the path by which it is reached.
    fn walk(&mut self, tree: &Tree, module: &str, reached: &str, done: &mut BTreeSet<String>) {
        for entry in tree.modules.get(module).into_iter().flatten() {
            if !entry.is_public {
                continue;
            }
            let path = join(reached, &entry.name);
            match &entry.kind {
                Kind::Module => {
                    self.lines.insert(format!("{path}: mod"));
                    self.walk(tree, &join(module, &entry.name), &path, done);
                }
                Kind::Use(target) => match tree.resolve(module, target) {
                    Some((home, name)) => {
                        // Reached by its own module too: this is a second path.
                        let own = join(&home, &name);
                        if tree.is_public(&home) && own != path {
                            self.lines.insert(format!("{path}: use {own}"));
                        } else {
                            for entry in tree.named(&home, &name) {
                                self.list(tree, &home, entry, &path, done);
                            }
                        }
                    }
                    None => {
                        self.lines.insert(format!("{path}: use {target}"));
                    }
                },
                Kind::Head { .. } => self.list(tree, module, entry, &path, done),
            }
        }
    }

    fn list(
        &mut self,
        tree: &Tree,
        home: &str,
        entry: &Entry,
        path: &str,
        done: &mut BTreeSet<String>,
    ) {
        let Kind::Head {
            head,
            members,
            is_type,
        } = &entry.kind
        else {
            return;
        };
        let own = join(home, &entry.name);
        if *is_type && !done.insert(own.clone()) {
            return;
        }
        self.lines.insert(format!("{path}: {head}"));
        if !is_type {
            return;
        }
        let types = self.types.entry(entry.name.clone()).or_default();
        types.insert(home.to_string());
        for (name, head) in members
            .iter()
            .chain(tree.methods.get(&own).into_iter().flatten())
        {
            self.lines.insert(format!("{path}::{name}: {head}"));
        }
    }
}

/// The declarations of a module.
struct Entry {
    name: String,
    is_public: bool,
    kind: Kind,
}

enum Kind {
    Module,
    /// A `use`: the path as written.
    Use(String),
    Head {
        head: String,
        members: Vec<(String, String)>,
        is_type: bool,
    },
}

/// The modules of a crate.
#[derive(Default)]
struct Tree {
    modules: BTreeMap<String, Vec<Entry>>,
    /// Methods by the path of their type.
    methods: BTreeMap<String, Vec<(String, String)>>,
    /// Macros by name: parameters and body.
    macros: BTreeMap<String, (TokenStream, TokenStream)>,
    /// Blocks of methods whose type is not known yet: module, name of the type, method.
    open: Vec<(String, String, (String, String))>,
}

impl Tree {
    fn add(&mut self, module: &str, items: Vec<Item>) {
        self.modules.entry(module.into()).or_default();
        self.add_items(module, items);
    }

    /// Gives methods to their types, once all modules are known.
    fn link(&mut self) {
        for (module, name, method) in std::mem::take(&mut self.open) {
            let home = self.resolve(&module, &name);
            let home = home.map_or_else(|| join(&module, &name), |(home, name)| join(&home, &name));
            self.methods.entry(home).or_default().push(method);
        }
    }

    fn add_items(&mut self, module: &str, items: Vec<Item>) {
        for item in items {
            self.add_item(module, item);
        }
    }

    fn add_item(&mut self, module: &str, item: Item) {
        let (attributes, visibility) = match &item {
            Item::Struct(item) => (&item.attrs, Some(&item.vis)),
            Item::Enum(item) => (&item.attrs, Some(&item.vis)),
            Item::Union(item) => (&item.attrs, Some(&item.vis)),
            Item::Trait(item) => (&item.attrs, Some(&item.vis)),
            Item::Type(item) => (&item.attrs, Some(&item.vis)),
            Item::Fn(item) => (&item.attrs, Some(&item.vis)),
            Item::Const(item) => (&item.attrs, Some(&item.vis)),
            Item::Static(item) => (&item.attrs, Some(&item.vis)),
            Item::Mod(item) => (&item.attrs, Some(&item.vis)),
            Item::Use(item) => (&item.attrs, Some(&item.vis)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Macro(item) => (&item.attrs, None),
            _ => return,
        };
        if is_test(attributes) {
            return;
        }
        let is_public = visibility.is_some_and(is_public) && !is_hidden(attributes);
        match item {
            Item::Mod(item) => {
                let name = item.ident.to_string();
                if let Some((_, items)) = item.content {
                    self.add_items(&join(module, &name), items);
                }
                self.push(module, name, is_public, Kind::Module);
            }
            Item::Use(item) => {
                let mut all = Vec::new();
                leaves("", &item.tree, &mut all);
                for (name, path) in all {
                    self.push(module, name, is_public, Kind::Use(path));
                }
            }
            Item::Impl(item) => {
                if item.trait_.is_some() {
                    return;
                }
                let syn::Type::Path(own) = &*item.self_ty else {
                    return;
                };
                let segments = own.path.segments.iter().map(|part| part.ident.to_string());
                let name = segments.collect::<Vec<_>>().join("::");
                for member in item.items {
                    if let Some(method) = method(member) {
                        self.open.push((module.into(), name.clone(), method));
                    }
                }
            }
            Item::Macro(item) => self.add_macro(module, item),
            item => self.add_declared(module, item, is_public),
        }
    }

    fn add_declared(&mut self, module: &str, item: Item, is_public: bool) {
        let (name, head, members, is_type) = match item {
            Item::Struct(item) => {
                let head = tokens(&["struct"], &item.ident, &item.generics);
                (item.ident, head, fields(&item.fields, false), true)
            }
            Item::Enum(item) => {
                let head = tokens(&["enum"], &item.ident, &item.generics);
                let variants = item.variants.iter().flat_map(variant).collect();
                (item.ident, head, variants, true)
            }
            Item::Trait(item) => {
                let bounds = &item.supertraits;
                let bounds = if bounds.is_empty() {
                    String::new()
                } else {
                    format!(": {}", text(bounds))
                };
                let head = tokens(&["trait"], &item.ident, &item.generics) + &bounds;
                let members = item.items.into_iter().filter_map(demanded).collect();
                (item.ident, head, members, true)
            }
            Item::Type(item) => {
                let head = tokens(&["type"], &item.ident, &item.generics);
                let head = format!("{head} = {}", text(&item.ty));
                (item.ident, head, Vec::new(), true)
            }
            Item::Fn(item) => {
                let head = text(&item.sig);
                (item.sig.ident, head, Vec::new(), false)
            }
            Item::Const(item) => {
                let head = format!("const {}: {}", item.ident, text(&item.ty));
                (item.ident, head, Vec::new(), false)
            }
            Item::Static(item) => {
                let head = format!("static {}: {}", item.ident, text(&item.ty));
                (item.ident, head, Vec::new(), false)
            }
            _ => return,
        };
        let kind = Kind::Head {
            head,
            members,
            is_type,
        };
        self.push(module, name.to_string(), is_public, kind);
    }

    /// Macros that declare items stand in the file that uses them, above their use. Two shapes occur: `name!(Type)`, which writes methods of
    /// a type, and `name! { Type { member … } }`, which declares one.
    fn add_macro(&mut self, module: &str, item: syn::ItemMacro) {
        if let Some(name) = item.ident {
            if item
                .attrs
                .iter()
                .any(|attribute| attribute.path().is_ident("macro_export"))
            {
                let kind = Kind::Head {
                    head: format!("macro {name}!"),
                    members: Vec::new(),
                    is_type: false,
                };
                self.push("", name.to_string(), true, kind);
            }
            let mut groups = item.mac.tokens.into_iter().filter_map(|token| match token {
                TokenTree::Group(group) => Some(group.stream()),
                _ => None,
            });
            if let (Some(parameters), Some(body)) = (groups.next(), groups.next()) {
                self.macros.insert(name.to_string(), (parameters, body));
            }
            return;
        }
        let name = item.mac.path.to_token_stream().to_string();
        let Some((parameters, body)) = self.macros.get(&name) else {
            return;
        };
        let arguments = item.mac.tokens;
        if parameters.to_string().replace(' ', "") == "$name:ident" {
            let body = replaced(body.clone(), &arguments);
            let file: syn::File = syn::parse2(body).unwrap();
            self.add_items(module, file.items);
            return;
        }
        let body = body.to_string();
        let Some(kind) = ["struct", "enum"]
            .into_iter()
            .find(|kind| body.contains(&format!("pub {kind} $ name")))
        else {
            return;
        };
        let mut declared = arguments
            .into_iter()
            .skip_while(|token| !matches!(token, TokenTree::Ident(_)));
        let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(group))) =
            (declared.next(), declared.next())
        else {
            return;
        };
        let members = entries(group.stream());
        let kind = Kind::Head {
            head: format!("{kind} {name}"),
            members,
            is_type: true,
        };
        self.push(module, name.to_string(), true, kind);
    }

    fn push(&mut self, module: &str, name: String, is_public: bool, kind: Kind) {
        let entries = self.modules.entry(module.into()).or_default();
        entries.push(Entry {
            name,
            is_public,
            kind,
        });
    }

    /// The declarations of a name: a type and a function may share it.
    fn named<'a>(&'a self, module: &str, name: &str) -> impl Iterator<Item = &'a Entry> {
        let entries = self.modules.get(module).into_iter().flatten();
        let name = name.to_string();
        entries.filter(move |entry| entry.name == name)
    }

    /// Returns whether a module is reached by its own path.
    fn is_public(&self, module: &str) -> bool {
        let mut above = "";
        module
            .split("::")
            .filter(|part| !part.is_empty())
            .all(|part| {
                let is_public = self
                    .named(above, part)
                    .any(|entry| entry.is_public && matches!(entry.kind, Kind::Module));
                above = &module[..above.len() + if above.is_empty() { 0 } else { 2 } + part.len()];
                is_public
            })
    }

    /// Returns the module that declares what a path names, and its name there; `None` for another crate's.
    fn resolve(&self, module: &str, path: &str) -> Option<(String, String)> {
        let mut parts: Vec<&str> = path.split("::").collect();
        let mut at = module.to_string();
        loop {
            match *parts.first()? {
                "crate" => at = String::new(),
                "self" => {}
                "super" => at = at.rsplit_once("::").map_or("", |(above, _)| above).into(),
                _ => break,
            }
            parts.remove(0);
        }
        let (name, folders) = parts.split_last()?;
        for folder in folders {
            let entry = self
                .named(&at, folder)
                .find(|entry| !matches!(entry.kind, Kind::Head { .. }))?;
            at = match &entry.kind {
                Kind::Use(target) if *target != path => {
                    let (home, name) = self.resolve(&at, target)?;
                    join(&home, &name)
                }
                _ => join(&at, folder),
            };
        }
        let entry = self.named(&at, name).next()?;
        match &entry.kind {
            Kind::Use(target) if *target != path || !folders.is_empty() => {
                self.resolve(&at, target)
            }
            Kind::Use(_) => None,
            _ => Some((at, (*name).into())),
        }
    }
}

fn join(base: &str, name: &str) -> String {
    if base.is_empty() {
        name.into()
    } else {
        format!("{base}::{name}")
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    let mut attributes = attributes.iter();
    attributes.any(|attribute| {
        attribute.to_token_stream().to_string().replace(' ', "") == "#[doc(hidden)]"
    })
}

fn is_test(attributes: &[Attribute]) -> bool {
    let mut attributes = attributes.iter();
    attributes
        .any(|attribute| attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]")
}

/// The names that a `use` brings, and the paths that they stand for.
fn leaves(prefix: &str, tree: &UseTree, into: &mut Vec<(String, String)>) {
    match tree {
        UseTree::Path(path) => leaves(&join(prefix, &path.ident.to_string()), &path.tree, into),
        UseTree::Name(name) if name.ident == "self" => {
            let own = prefix.rsplit("::").next().unwrap_or_default();
            into.push((own.into(), prefix.into()));
        }
        UseTree::Name(name) => into.push((
            name.ident.to_string(),
            join(prefix, &name.ident.to_string()),
        )),
        UseTree::Rename(name) => into.push((
            name.rename.to_string(),
            join(prefix, &name.ident.to_string()),
        )),
        UseTree::Glob(_) => into.push(("*".into(), join(prefix, "*"))),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| leaves(prefix, tree, into)),
    }
}

/// A public method or constant of an `impl` block.
fn method(member: ImplItem) -> Option<(String, String)> {
    match member {
        ImplItem::Fn(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
            Some((item.sig.ident.to_string(), text(&item.sig)))
        }
        ImplItem::Const(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => Some((
            item.ident.to_string(),
            format!("const {}: {}", item.ident, text(&item.ty)),
        )),
        _ => None,
    }
}

/// A member of a trait.
fn demanded(member: TraitItem) -> Option<(String, String)> {
    match member {
        TraitItem::Fn(item) if !is_hidden(&item.attrs) => {
            let provided = if item.default.is_some() {
                " { … }"
            } else {
                ""
            };
            Some((item.sig.ident.to_string(), text(&item.sig) + provided))
        }
        TraitItem::Const(item) => Some((
            item.ident.to_string(),
            format!("const {}: {}", item.ident, text(&item.ty)),
        )),
        TraitItem::Type(item) => {
            let bounds = if item.bounds.is_empty() {
                String::new()
            } else {
                format!(": {}", text(&item.bounds))
            };
            Some((
                item.ident.to_string(),
                format!("type {}{bounds}", item.ident),
            ))
        }
        _ => None,
    }
}

fn variant(variant: &syn::Variant) -> Vec<(String, String)> {
    let name = variant.ident.to_string();
    let mut all = vec![(name.clone(), String::from("variant"))];
    let fields = fields(&variant.fields, true).into_iter();
    all.extend(fields.map(|(field, head)| (format!("{name}::{field}"), head)));
    all
}

/// The public fields of a struct, or all those of a variant.
fn fields(fields: &Fields, all: bool) -> Vec<(String, String)> {
    let fields = fields.iter().enumerate();
    fields
        .filter(|(_, field)| (all || is_public(&field.vis)) && !is_hidden(&field.attrs))
        .map(|(at, field)| {
            let name = field
                .ident
                .as_ref()
                .map_or_else(|| at.to_string(), ToString::to_string);
            (name, text(&field.ty))
        })
        .collect()
}

/// The members of a declaration in a macro's words: `#[doc] name: type = …,`.
fn entries(stream: TokenStream) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut current: Vec<TokenTree> = Vec::new();
    let mut end = |current: &mut Vec<TokenTree>| {
        let name = current
            .iter()
            .position(|token| matches!(token, TokenTree::Ident(_)));
        if let Some(at) = name {
            let rest = current[at + 1..]
                .iter()
                .take_while(|token| token.to_string() != "=");
            let head = text(&rest.cloned().collect::<TokenStream>());
            let head = head.trim_start_matches(':').trim();
            let head = if head.is_empty() { "variant" } else { head };
            all.push((current[at].to_string(), head.to_string()));
        }
        current.clear();
    };
    for token in stream {
        if token.to_string() == "," {
            end(&mut current);
        } else {
            current.push(token);
        }
    }
    end(&mut current);
    all
}

/// A macro's body with `$name` replaced.
fn replaced(body: TokenStream, name: &TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut tokens = body.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '$' => {
                tokens.next();
                out.extend(name.clone());
            }
            TokenTree::Group(group) => {
                let inner = replaced(group.stream(), name);
                out.extend([TokenTree::Group(proc_macro2::Group::new(
                    group.delimiter(),
                    inner,
                ))]);
            }
            token => out.extend([token]),
        }
    }
    out
}

fn tokens(words: &[&str], name: &syn::Ident, generics: &syn::Generics) -> String {
    let clause = generics
        .where_clause
        .as_ref()
        .map_or_else(String::new, |clause| format!(" {}", text(clause)));
    format!("{} {name}{}{clause}", words.join(" "), text(generics))
}

/// Tokens as a line, spaced as Rust is.
fn text(tokens: &impl ToTokens) -> String {
    let mut line = tokens.to_token_stream().to_string().replace('\n', " ");
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" < ", "<"),
        ("< ", "<"),
        (" > ", "> "),
        (" >", ">"),
        (" ,", ","),
        (" ;", ";"),
        (" : ", ": "),
        ("& ", "&"),
        (" (", "("),
        (" )", ")"),
        ("( ", "("),
        ("[ ", "["),
        (" ]", "]"),
        ("> (", ">("),
        ("> ,", ">,"),
        ("> )", ">)"),
        ("> >", ">>"),
        ("> ;", ">;"),
        (",)", ")"),
        (",>", ">"),
        ("->", " ->"),
        ("=(", "= ("),
        ("->(", "-> ("),
        (",(", ", ("),
        ("  ", " "),
    ] {
        line = line.replace(from, to);
    }
    line.trim().into()
}

/// Compares the API with its golden file; `UPDATE=1` writes it.
pub fn compare(api: &Api, golden: impl AsRef<Path>, most: usize) {
    let mut text = String::new();
    for line in &api.lines {
        text.push_str(line);
        text.push('\n');
    }
    let golden = golden.as_ref();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(golden, &text).unwrap();
    }
    let want = fs::read_to_string(golden).unwrap_or_default();
    let want: BTreeSet<String> = want.lines().map(String::from).collect();
    let added: Vec<_> = api.lines.difference(&want).collect();
    let gone: Vec<_> = want.difference(&api.lines).collect();
    let count = api.count();
    assert!(
        added.is_empty() && gone.is_empty(),
        "the public API changed ({count} types); UPDATE=1 writes {}\nadded: {added:#?}\nremoved: {gone:#?}",
        golden.display(),
    );
    assert!(count <= most, "{count} public types, more than {most}");
}
