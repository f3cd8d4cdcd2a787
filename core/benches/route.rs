//! Routes beside matchit, on the table of matchit's own benchmark (the paths of GitHub's REST API, version 3), and on
//! tables that grow.
//!
//! Run: `cargo bench -p sansws-core --bench route`
//! See: nanoseconds a lookup, and the ratio of ours to matchit, all measured in turns in one run. Matchit does not decode;
//! ours checks escapes and the method, and reads parameters from the path when they are asked for.

use std::hint::black_box;
use std::time::Instant as Clock;

use sansws_core::route::{Route, Router, Routes};

/// How often each is measured; the fastest counts, since noise only adds.
const ROUNDS: usize = 60;

/// Lookups of one round, about.
const LOOKUPS: usize = 20_000;

type Theirs = matchit::Router<usize>;

struct Table {
    name: &'static str,
    ours: Routes<usize>,
    theirs: Theirs,
    paths: Vec<String>,
}

impl Table {
    fn new(name: &'static str, patterns: &[String], paths: Vec<String>) -> Self {
        let routes = patterns.iter().zip(0..);
        let ours = routes.clone().map(|(pattern, n)| Route::new(pattern, n));
        let ours = ours.collect::<Router<_>>().build();
        let mut theirs = Theirs::new();
        for (pattern, n) in routes {
            theirs
                .insert(pattern, n)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        Self {
            name,
            ours: ours.unwrap_or_else(|errors| panic!("{errors}")),
            theirs,
            paths,
        }
    }
}

/// Lookups alone; the sum of what was found.
fn find_ours(table: &Table) -> usize {
    let find = |path| table.ours.find("GET", black_box(path));
    let all = table.paths.iter().map(|path| find(path.as_str()));
    all.map(|found| black_box(found).map_or(1, |found| *found.endpoint))
        .sum()
}

fn find_theirs(table: &Table) -> usize {
    let find = |path| table.theirs.at(black_box(path));
    let all = table.paths.iter().map(|path| find(path.as_str()));
    all.map(|found| black_box(found).map_or(1, |found| *found.value))
        .sum()
}

/// Lookups, and each parameter read; the sum of their lengths.
fn read_ours(table: &Table) -> usize {
    let found = table
        .paths
        .iter()
        .filter_map(|path| table.ours.find("GET", black_box(path)).ok());
    let lengths = |(name, value): (&str, std::borrow::Cow<'_, str>)| {
        black_box(name).len() + black_box(value).len()
    };
    found
        .map(|found| found.params.iter().map(lengths).sum::<usize>())
        .sum()
}

fn read_theirs(table: &Table) -> usize {
    let found = table
        .paths
        .iter()
        .filter_map(|path| table.theirs.at(black_box(path)).ok());
    let lengths = |(name, value): (&str, &str)| black_box(name).len() + black_box(value).len();
    found
        .map(|found| found.params.iter().map(lengths).sum::<usize>())
        .sum()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn nanoseconds(table: &Table, work: fn(&Table) -> usize) -> (f64, usize) {
    let passes = (LOOKUPS / table.paths.len()).max(1);
    let start = Clock::now();
    let sum = (0..passes).map(|_| work(black_box(table))).sum();
    let time = start.elapsed().as_nanos() as f64;
    (time / (passes * table.paths.len()) as f64, sum)
}

fn measure(table: &Table, what: &str, works: [fn(&Table) -> usize; 2]) {
    let mut best = [f64::MAX; 2];
    for _ in 0..ROUNDS {
        let [ours, theirs] = works.map(|work| nanoseconds(table, work));
        assert_eq!(ours.1, theirs.1, "both find the same");
        best = [best[0].min(ours.0), best[1].min(theirs.0)];
    }
    let [ours, theirs] = best;
    let name = format!("{}, {what}", table.name);
    println!(
        "{name:<40} {ours:>8.1} {theirs:>8.1} {:>8.2}",
        ours / theirs
    );
}

fn main() {
    println!(
        "{:<40} {:>8} {:>8} {:>8}",
        "ns a lookup", "ours", "matchit", "ratio"
    );
    let rest: Vec<String> = REST.split_whitespace().map(str::to_owned).collect();
    assert_eq!(rest.len(), 130);
    // As matchit does: parameters stand for their names; then values of a likely length.
    let short = rest.iter().map(|path| path.replace(['{', '}'], ""));
    let long = short.clone().map(|path| {
        let values = [
            ("p1", "rust-lang"),
            ("p2", "hello-world"),
            ("p3", "1296269"),
            ("p4", "open"),
        ];
        values
            .iter()
            .fold(path, |path, (name, value)| path.replace(name, value))
    });
    let missing = long.clone().map(|path| path + "/nothing/here");
    let mut tables = vec![
        Table::new("130 routes, matchit's paths", &rest, short.collect()),
        Table::new("130 routes, longer values", &rest, long.collect()),
        Table::new("130 routes, paths that miss", &rest, missing.collect()),
    ];
    for (name, count) in [
        ("10 siblings", 10),
        ("1 000 siblings", 1_000),
        ("100 000 siblings", 100_000),
    ] {
        let patterns: Vec<_> = (0..count)
            .map(|n| format!("/api/thing{n:06}/{{id}}/edit"))
            .collect();
        let paths = (0..10).map(|n| format!("/api/thing{:06}/17/edit", n * count / 10));
        tables.push(Table::new(name, &patterns, paths.collect()));
    }
    for table in &tables {
        measure(table, "find", [find_ours, find_theirs]);
        measure(table, "find and read", [read_ours, read_theirs]);
    }
}

const REST: &str = "
    /authorizations /authorizations/{p1} /applications/{p1}/tokens/{p2} /events /repos/{p1}/{p2}/events
    /networks/{p1}/{p2}/events /orgs/{p1}/events /users/{p1}/received_events /users/{p1}/received_events/public
    /users/{p1}/events /users/{p1}/events/public /users/{p1}/events/orgs/{p2} /feeds /notifications
    /repos/{p1}/{p2}/notifications /notifications/threads/{p1} /notifications/threads/{p1}/subscription
    /repos/{p1}/{p2}/stargazers /users/{p1}/starred /user/starred /user/starred/{p1}/{p2}
    /repos/{p1}/{p2}/subscribers /users/{p1}/subscriptions /user/subscriptions /repos/{p1}/{p2}/subscription
    /user/subscriptions/{p1}/{p2} /users/{p1}/gists /gists /gists/{p1} /gists/{p1}/star
    /repos/{p1}/{p2}/git/blobs/{p3} /repos/{p1}/{p2}/git/commits/{p3} /repos/{p1}/{p2}/git/refs
    /repos/{p1}/{p2}/git/tags/{p3} /repos/{p1}/{p2}/git/trees/{p3} /issues /user/issues /orgs/{p1}/issues
    /repos/{p1}/{p2}/issues /repos/{p1}/{p2}/issues/{p3} /repos/{p1}/{p2}/assignees /repos/{p1}/{p2}/assignees/{p3}
    /repos/{p1}/{p2}/issues/{p3}/comments /repos/{p1}/{p2}/issues/{p3}/events /repos/{p1}/{p2}/labels
    /repos/{p1}/{p2}/labels/{p3} /repos/{p1}/{p2}/issues/{p3}/labels /repos/{p1}/{p2}/milestones/{p3}/labels
    /repos/{p1}/{p2}/milestones/ /repos/{p1}/{p2}/milestones/{p3} /emojis /gitignore/templates
    /gitignore/templates/{p1} /meta /rate_limit /users/{p1}/orgs /user/orgs /orgs/{p1} /orgs/{p1}/members
    /orgs/{p1}/members/{p2} /orgs/{p1}/public_members /orgs/{p1}/public_members/{p2} /orgs/{p1}/teams /teams/{p1}
    /teams/{p1}/members /teams/{p1}/members/{p2} /teams/{p1}/repos /teams/{p1}/repos/{p2}/{p3} /user/teams
    /repos/{p1}/{p2}/pulls /repos/{p1}/{p2}/pulls/{p3} /repos/{p1}/{p2}/pulls/{p3}/commits
    /repos/{p1}/{p2}/pulls/{p3}/files /repos/{p1}/{p2}/pulls/{p3}/merge /repos/{p1}/{p2}/pulls/{p3}/comments
    /user/repos /users/{p1}/repos /orgs/{p1}/repos /repositories /repos/{p1}/{p2} /repos/{p1}/{p2}/contributors
    /repos/{p1}/{p2}/languages /repos/{p1}/{p2}/teams /repos/{p1}/{p2}/tags /repos/{p1}/{p2}/branches
    /repos/{p1}/{p2}/branches/{p3} /repos/{p1}/{p2}/collaborators /repos/{p1}/{p2}/collaborators/{p3}
    /repos/{p1}/{p2}/comments /repos/{p1}/{p2}/commits/{p3}/comments /repos/{p1}/{p2}/commits
    /repos/{p1}/{p2}/commits/{p3} /repos/{p1}/{p2}/readme /repos/{p1}/{p2}/keys /repos/{p1}/{p2}/keys/{p3}
    /repos/{p1}/{p2}/downloads /repos/{p1}/{p2}/downloads/{p3} /repos/{p1}/{p2}/forks /repos/{p1}/{p2}/hooks
    /repos/{p1}/{p2}/hooks/{p3} /repos/{p1}/{p2}/releases /repos/{p1}/{p2}/releases/{p3}
    /repos/{p1}/{p2}/releases/{p3}/assets /repos/{p1}/{p2}/stats/contributors /repos/{p1}/{p2}/stats/commit_activity
    /repos/{p1}/{p2}/stats/code_frequency /repos/{p1}/{p2}/stats/participation /repos/{p1}/{p2}/stats/punch_card
    /repos/{p1}/{p2}/statuses/{p3} /search/repositories /search/code /search/issues /search/users
    /legacy/issues/search/{p1}/{p2}/{p3}/{p4} /legacy/repos/search/{p1} /legacy/user/search/{p1}
    /legacy/user/email/{p1} /users/{p1} /user /users /user/emails /users/{p1}/followers /user/followers
    /users/{p1}/following /user/following /user/following/{p1} /users/{p1}/following/{p2} /users/{p1}/keys
    /user/keys /user/keys/{p1}
";
