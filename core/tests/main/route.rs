//! Routes: each sentence of what they must mean, as a table. RFC 3986 section 3.3; RFC 9110 sections 9.1 and 15.5.

use sansws_core::route::{
    Miss, ParamError, PathError, Pattern, PatternError, Route, RouteError, Router, Routes,
};

/// Where a path leads: to a pattern, or to a status.
fn lead<E>(routes: &Routes<E>, path: &str) -> Result<String, u16> {
    let found = routes.find("GET", path).map_err(|miss| miss.status())?;
    Ok(found.pattern.to_string())
}

fn routes(patterns: &[&'static str]) -> Routes<()> {
    let routes = patterns.iter().map(|pattern| Route::new(*pattern, ()));
    routes.collect::<Router<()>>().build().unwrap()
}

fn check<E>(routes: &Routes<E>, cases: &[(&str, Result<&str, u16>)]) {
    for (path, want) in cases {
        let got = lead(routes, path);
        assert_eq!(got.as_deref(), want.as_deref(), "{path}");
    }
}

fn faults(router: Router<()>) -> Vec<RouteError> {
    let errors = router.build().expect_err("it has faults");
    errors.iter().cloned().collect()
}

fn conflict(first: &str, second: &str) -> RouteError {
    RouteError::Conflict {
        first: first.into(),
        second: second.into(),
    }
}

/// A converter, texts that it accepts, and texts that it does not.
const CONVERTERS: &[(&str, &str, &str)] = &[
    (
        "int",
        "0 -0 007 %37 9223372036854775807 -9223372036854775808",
        "9223372036854775808 -9223372036854775809 +1 - --1 1.0 1%20 0x1 \u{661} 1/",
    ),
    (
        "uint",
        "0 18446744073709551615",
        "18446744073709551616 -1 +1 1.0",
    ),
    ("float", "1 -1.5 0.1", ".5 5. 1e5 inf nan - 1.2.3 +1"),
    (
        "uuid",
        "67e55044-10b1-426f-9247-bb680e5fe0c8 67E55044-10B1-426F-9247-BB680E5FE0C8",
        "67e5504410b1426f9247bb680e5fe0c8 67e55044-10b1-426f-9247-bb680e5fe0cg \
         67e55044-10b1-426f-9247-bb680e5fe0c 67e550441-0b1-426f-9247-bb680e5fe0c8",
    ),
    ("slug", "a-B_9 -", "a.b a%2Fb caf%C3%A9 a%20b"),
    ("str", "a.b caf%C3%A9 a%2Fb %20 .. +", "a/b a/"),
    ("path", "a a/b a/ / //a %2F", ""),
];

#[test]
fn a_converter_accepts_what_it_says() {
    let check = |converter: &str, text: &str, want: bool| {
        let pattern: Pattern = format!("/x/{{v:{converter}}}").parse().unwrap();
        let routes = Router::new().route(pattern.as_str(), ()).build().unwrap();
        let path = format!("/x/{text}");
        assert_eq!(lead(&routes, &path).is_ok(), want, "{converter} {text}");
        assert_eq!(pattern.matches(&path).unwrap().is_some(), want, "{path}");
    };
    for (converter, accepted, refused) in CONVERTERS {
        for text in accepted.split(' ') {
            check(converter, text, true);
        }
        for text in refused.split_whitespace().chain([""]) {
            check(converter, text, false);
        }
    }
    check("float", &"9".repeat(400), false);
    assert!(routes(&["/{rest:path}"]).find("GET", "/").is_err());
}

#[test]
fn a_custom_converter_comes_from_the_nearest_router_that_has_it() {
    let inner = Router::with_prefix("/in")
        .route("/{v:size}", "inner")
        .converter("size", |text: &str| text == "small");
    let bare = Router::with_prefix("/bare").route("/{v:size}", "bare");
    let routes = Router::new()
        .merge(inner)
        .merge(bare)
        .converter("size", |text: &str| text == "big")
        .build()
        .unwrap();
    check(
        &routes,
        &[
            ("/in/small", Ok("/in/{v:size}")),
            ("/in/big", Err(404)),
            ("/bare/big", Ok("/bare/{v:size}")),
            ("/bare/small", Err(404)),
        ],
    );
}

#[test]
fn the_path_is_split_before_each_segment_is_decoded() {
    let routes = routes(&["/{a}", "/{a}/{b}", "/x%2Fy/z", "/caf\u{e9}/%7Bid%7D"]);
    check(
        &routes,
        &[
            ("/a%2Fb", Ok("/{a}")),
            ("/a%2fb/c", Ok("/{a}/{b}")),
            ("/x%2Fy/z", Ok("/x%2Fy/z")),
            ("/x/y/z", Err(404)),
            ("/caf%c3%A9/%7bid}", Ok("/caf\u{e9}/%7Bid%7D")),
            ("/c%61f\u{e9}/{id}", Ok("/caf\u{e9}/%7Bid%7D")),
        ],
    );
    let found = routes.find("GET", "/a%2Fb/%252F").unwrap();
    let values: Vec<_> = found.params.iter().collect();
    assert_eq!(values, [("a", "a/b".into()), ("b", "%2F".into())]);
}

#[test]
fn a_bad_escape_and_bad_utf8_are_400_wherever_they_stand() {
    let routes = routes(&["/{a}", "/x/{rest:path}"]);
    let cases = [
        ("/%", PathError::Escape),
        ("/a%4", PathError::Escape),
        ("/x/a/%zz", PathError::Escape),
        ("/nowhere/at/all/%GG", PathError::Escape),
        ("/%2/F", PathError::Escape),
        ("/%FF", PathError::Utf8),
        ("/x/%C3/%A9", PathError::Utf8),
    ];
    for (path, want) in cases {
        let miss = routes.find("GET", path).unwrap_err();
        assert_eq!(miss, Miss::BadPath(want), "{path}");
        assert_eq!(miss.status(), 400);
    }
}

const RIVALS: [&str; 12] = [
    "/{a:path}",
    "/{a}",
    "/{a:slug}",
    "/{a:float}",
    "/{a:int}",
    "/{a:uint}",
    "/{a:uuid}",
    "/7",
    "/{a}/end",
    "/7/{b}/x",
    "/{a:int}/{b}/y",
    "/{a:slug}/{b:path}",
];

#[test]
fn literal_beats_typed_beats_slug_beats_str_beats_path_with_backtracking() {
    check(
        &routes(&RIVALS),
        &[
            ("/7", Ok("/7")),
            ("/8", Ok("/{a:uint}")),
            ("/-8", Ok("/{a:int}")),
            ("/8.5", Ok("/{a:float}")),
            ("/67e55044-10b1-426f-9247-bb680e5fe0c8", Ok("/{a:uuid}")),
            ("/a-b", Ok("/{a:slug}")),
            ("/a.b", Ok("/{a}")),
            ("/a.b/c", Ok("/{a:path}")),
            ("/7/k/x", Ok("/7/{b}/x")),
            ("/7/k/y", Ok("/{a:int}/{b}/y")),
            ("/7/k/z", Ok("/{a:slug}/{b:path}")),
            ("/7/end", Ok("/{a:slug}/{b:path}")),
            ("/a.b/end", Ok("/{a}/end")),
            ("/a.b/end/", Ok("/{a:path}")),
            ("/", Err(404)),
        ],
    );
}

#[test]
fn precedence_does_not_depend_on_the_order_of_registration() {
    let forward = routes(&RIVALS);
    let mut patterns = RIVALS;
    for turn in 0..2 * RIVALS.len() {
        patterns.rotate_left(1);
        if turn == RIVALS.len() {
            patterns.reverse();
        }
        let turned = routes(&patterns);
        for path in [
            "/7", "/8", "/a", "/a.b", "/7/k/x", "/7/k/y", "/7/end", "/x/y/z",
        ] {
            assert_eq!(lead(&turned, path), lead(&forward, path), "{patterns:?}");
        }
    }
}

#[test]
fn custom_converters_come_before_built_in_ones_in_the_order_of_their_names() {
    let routes = Router::new()
        .route("/{x:int}", ())
        .route("/{x:odd}", ())
        .route("/{x:big}", ())
        .converter("odd", |text: &str| {
            text.ends_with(['1', '3', '5', '7', '9'])
        })
        .converter("big", |text: &str| text.len() > 3)
        .build()
        .unwrap();
    check(
        &routes,
        &[
            ("/2", Ok("/{x:int}")),
            ("/3", Ok("/{x:odd}")),
            ("/3333", Ok("/{x:big}")),
        ],
    );
}

#[test]
fn two_patterns_that_cannot_be_told_apart_do_not_build_and_both_are_named() {
    let cases = [
        ("/a", "/a"),
        ("", "/"),
        ("/a", "/%61"),
        ("/{a}", "/{b:str}"),
        ("/{a:int}/x", "/{b:int}/x"),
        ("/{a:path}", "/{b:path}"),
    ];
    for (first, second) in cases {
        let show = |pattern: &str| {
            if pattern.is_empty() {
                "/".into()
            } else {
                pattern.to_owned()
            }
        };
        let want = conflict(&show(first), &show(second));
        let got = faults(Router::new().route(first, ()).route(second, ()));
        assert_eq!(got, std::slice::from_ref(&want));
        let text = want.to_string();
        assert!(text.contains(&show(first)) && text.contains(&show(second)));
    }
    for (first, second) in [
        ("/a", "/a/"),
        ("/{a:int}", "/{a:uint}"),
        ("/a", "/A"),
        ("/{a}", "/{a:path}"),
    ] {
        assert!(
            Router::from([Route::new(first, ()), Route::new(second, ())])
                .build()
                .is_ok()
        );
    }
}

#[test]
fn one_name_for_two_custom_converters_at_one_place_is_a_conflict() {
    let one = Router::new()
        .converter("kind", |_: &str| true)
        .route("/{a:kind}/x", ());
    let other = Router::new()
        .converter("kind", |_: &str| false)
        .route("/{a:kind}/y", ());
    let got = faults(Router::new().merge(one.clone()).merge(other));
    assert_eq!(got, [conflict("/{a:kind}/x", "/{a:kind}/y")]);
    assert!(
        Router::with_prefix("/p")
            .merge(one.clone())
            .mount("/q", one)
            .build()
            .is_ok()
    );
}

#[test]
fn pattern_errors_are_returned_when_the_router_is_built() {
    use PatternError::*;
    let cases = [
        ("a", NoSlash),
        ("/{a}/{a:int}", DuplicateName("a".into())),
        ("/{a:integer}", UnknownConverter("integer".into())),
        ("/{a:}", UnknownConverter(String::new())),
        ("/{x-y}", Name("x-y".into())),
        ("/{}", Name(String::new())),
        ("/{1a}", Name("1a".into())),
        ("/{*rest}", Name("*rest".into())),
        ("/{a", Brace("{a".into())),
        ("/a}", Brace("a}".into())),
        ("/v{a}", Brace("v{a}".into())),
        ("/{a}.txt", Brace("{a}.txt".into())),
        ("/{a}{b}", Brace("{a}{b}".into())),
        ("/{{a}}", Brace("{{a}}".into())),
        ("/{a/b}", Brace("{a".into())),
        ("/{a:path}/b", TailNotLast("a".into())),
        ("/{a:path}/", TailNotLast("a".into())),
        ("/%4", Escape(PathError::Escape)),
        ("/%FF", Escape(PathError::Utf8)),
        ("/a?b=1", Query("a?b=1".into())),
        ("/a/../b", Dots("..".into())),
        ("/%2E", Dots("%2E".into())),
    ];
    let mut router = Router::new();
    for (pattern, error) in &cases {
        assert_eq!(pattern.parse::<Pattern>().unwrap_err(), *error, "{pattern}");
        router = router.route(*pattern, ());
    }
    let got = faults(router);
    assert_eq!(got.len(), cases.len(), "all are said at once");
    for (pattern, error) in cases {
        let pattern = pattern.to_owned();
        assert!(got.contains(&RouteError::Pattern { pattern, error }));
    }
}

#[test]
fn a_pattern_has_1_024_segments_at_most_with_its_prefixes() {
    let deep = "/a".repeat(1_023);
    let routes = Router::with_prefix(&deep).route("/{b}", ()).build();
    let path = format!("{deep}/b");
    check(&routes.unwrap(), &[(&path, Ok(&format!("{deep}/{{b}}")))]);
    for more in [2, 100_000] {
        let faults = faults(Router::with_prefix(&deep).route("/b".repeat(more), ()));
        assert!(
            matches!(
                &faults[..],
                [RouteError::Pattern {
                    error: PatternError::TooLong,
                    ..
                }]
            ),
            "{more}"
        );
    }
}

#[test]
fn a_trailing_slash_is_strict() {
    check(
        &routes(&["/a", "/b/", "/c", "/c/", "/d/{id}"]),
        &[
            ("/a", Ok("/a")),
            ("/a/", Err(404)),
            ("/b", Err(404)),
            ("/b/", Ok("/b/")),
            ("/c", Ok("/c")),
            ("/c/", Ok("/c/")),
            ("/d/", Err(404)),
            ("/d/1/", Err(404)),
            ("//a", Err(404)),
            ("/a//", Err(404)),
            ("*", Err(404)),
            ("a", Err(404)),
        ],
    );
}

#[test]
fn the_empty_path_is_the_root() {
    check(&routes(&["/"]), &[("", Ok("/")), ("/", Ok("/"))]);
    check(&routes(&[""]), &[("", Ok("/")), ("/", Ok("/"))]);
}

#[test]
fn prefixes_match_at_segment_borders() {
    let api = Router::with_prefix("/api")
        .route("", ())
        .route("/", ())
        .route("/x", ());
    check(
        &Router::new().merge(api).build().unwrap(),
        &[
            ("/api", Ok("/api")),
            ("/api/", Ok("/api/")),
            ("/api/x", Ok("/api/x")),
            ("/apix", Err(404)),
            ("/apix/x", Err(404)),
            ("/api/xx", Err(404)),
        ],
    );
    let glued = Router::with_prefix("/api").route("x", ());
    let error = PatternError::NoSlash;
    let pattern = "x".to_owned();
    assert_eq!(faults(glued), [RouteError::Pattern { pattern, error }]);
    let error = PatternError::NoSlash;
    let pattern = "api".to_owned();
    assert_eq!(
        faults(Router::with_prefix("api").route("/x", ())),
        [RouteError::Pattern { pattern, error }]
    );
}

#[test]
fn the_prefix_slash_and_the_empty_prefix_merge() {
    for prefix in ["", "/"] {
        let inner = Router::with_prefix(prefix).route("/a", ());
        let routes = Router::with_prefix(prefix)
            .merge(inner.clone())
            .mount("/m/", inner)
            .route("/", ())
            .build()
            .unwrap();
        check(
            &routes,
            &[("/a", Ok("/a")), ("/m/a", Ok("/m/a")), ("/", Ok("/"))],
        );
    }
}

#[test]
fn the_mount_path_replaces_the_routers_own_prefix() {
    let chat = Router::with_prefix("/ws").route("/chat/{room}", ());
    let routes = Router::with_prefix("/v1")
        .mount("/ws-override", chat.clone())
        .mount("", chat)
        .build()
        .unwrap();
    check(
        &routes,
        &[
            ("/v1/ws-override/chat/a", Ok("/v1/ws-override/chat/{room}")),
            ("/v1/chat/a", Ok("/v1/chat/{room}")),
            ("/v1/ws/chat/a", Err(404)),
            ("/v1/ws-override/ws/chat/a", Err(404)),
        ],
    );
}

#[test]
fn prefixes_may_hold_params_that_children_inherit() {
    let users = Router::with_prefix("/users/{user:int}").route("/{what}", ());
    let routes = Router::with_prefix("/{org}")
        .merge(users.clone())
        .build()
        .unwrap();
    let params = routes.find("GET", "/acme/users/7/name").unwrap().params;
    assert_eq!(params.text("org").as_deref(), Some("acme"));
    assert_eq!(params.get("user"), Ok(7));
    assert_eq!(params.text("what").as_deref(), Some("name"));
    let pattern = "/{user}/users/{user:int}/{what}".to_owned();
    let error = PatternError::DuplicateName("user".into());
    assert_eq!(
        faults(Router::with_prefix("/{user}").merge(users)),
        [RouteError::Pattern { pattern, error }]
    );
}

#[test]
fn routers_nest_to_any_depth() {
    const DEPTH: usize = 500;
    let router = (0..DEPTH).fold(Router::new().route("/end", ()), |inner, level| {
        Router::with_prefix(format!("/l{level}")).mount(format!("/{{p{level}}}"), inner)
    });
    let routes = router.build().unwrap();
    let path: String = (0..DEPTH).map(|n| format!("/{n}")).collect();
    // Each router but the outermost is mounted in place of its own prefix.
    let path = format!("/l{}{path}/end", DEPTH - 1);
    let found = routes.find("GET", &path).unwrap();
    assert_eq!(found.params.get("p0"), Ok(DEPTH - 1));
    assert_eq!(found.params.iter().count(), DEPTH);
}

#[test]
fn two_routers_at_one_prefix_merge_and_a_collision_is_an_error() {
    let one = Router::with_prefix("/p").route("/a", ()).route("/{x}", ());
    let two = Router::with_prefix("/p").route("/b", ());
    let routes = Router::new()
        .merge(one.clone())
        .merge(two.clone())
        .build()
        .unwrap();
    check(
        &routes,
        &[
            ("/p/a", Ok("/p/a")),
            ("/p/b", Ok("/p/b")),
            ("/p/c", Ok("/p/{x}")),
        ],
    );
    let three = Router::with_prefix("/p").route("/{y}", ());
    assert_eq!(
        faults(Router::new().merge(one).merge(two).merge(three)),
        [conflict("/p/{x}", "/p/{y}")]
    );
}

#[test]
fn the_path_decides_before_the_method_does() {
    let routes = Router::from([
        Route::new("/a", 1).methods(["POST", "PUT"]),
        Route::new("/a", 2).methods(["GET"]),
        Route::new("/{x}", 3),
    ])
    .build()
    .unwrap();
    let find = |method, path| routes.find(method, path).map(|found| *found.endpoint);
    assert_eq!(find("GET", "/a"), Ok(2));
    assert_eq!(find("PUT", "/a"), Ok(1));
    assert_eq!(find("DELETE", "/b"), Ok(3));
    let miss = find("DELETE", "/a").unwrap_err();
    assert_eq!(
        miss,
        Miss::MethodNotAllowed(["GET", "POST", "PUT"].map(String::from).into())
    );
    assert_eq!(miss.status(), 405);
    assert_eq!(find("get", "/a").unwrap_err().status(), 405);
    assert_eq!(find("GET", "/a/b"), Err(Miss::NotFound));
    assert_eq!(Miss::NotFound.status(), 404);
}

#[test]
fn routes_that_share_a_method_at_one_path_are_a_conflict() {
    let get = || Route::new("/a", ()).methods(["GET", "HEAD"]);
    let cases = [
        (get(), 1),
        (Route::new("/a", ()).methods(["POST", "HEAD"]), 1),
        (Route::new("/a", ()), 1),
        (Route::new("/b", ()), 0),
    ];
    for (other, want) in cases {
        let built = Router::from([get(), other]).build();
        assert_eq!(
            built.map_or_else(|errors| errors.iter().count(), |_| 0),
            want
        );
    }
    let pattern = "/a".to_owned();
    let method = "GET ".to_owned();
    assert_eq!(
        faults(Router::from([Route::new("/a", ()).methods(["GET "])])),
        [RouteError::Method { pattern, method }]
    );
}

#[test]
fn names_are_unique_and_so_are_converters() {
    let router = Router::from([
        Route::new("/a", ()).named("n"),
        Route::new("/b", ()).named("n"),
    ]);
    let name = "n".to_owned();
    let (first, second) = ("/a".to_owned(), "/b".to_owned());
    assert_eq!(
        faults(router),
        [RouteError::NameTaken {
            name,
            first,
            second
        }]
    );
    let router = Router::new()
        .converter("int", |_: &str| true)
        .converter("own", |_: &str| true)
        .converter("own", |_: &str| true);
    let taken = ["int", "own"].map(|name| RouteError::ConverterTaken(name.into()));
    assert_eq!(faults(router), taken);
}

#[test]
fn a_param_that_does_not_fit_its_type_is_told_from_one_that_is_not_there() {
    let routes = routes(&["/{id:int}"]);
    let params = routes.find("GET", "/300").unwrap().params;
    assert_eq!(params.get("id"), Ok(300_i64));
    assert_eq!(params.get::<u8>("id"), Err(ParamError::Unfit("id".into())));
    assert_eq!(
        params.get::<u8>("ID"),
        Err(ParamError::Unknown("ID".into()))
    );
}

#[test]
fn a_plain_segment_is_lent_from_the_path() {
    let routes = routes(&["/{a}/{b}"]);
    let path = String::from("/plain/esc%61ped");
    let params = routes.find("GET", &path).unwrap().params;
    let borrowed = |name| matches!(params.text(name), Some(std::borrow::Cow::Borrowed(_)));
    assert!(borrowed("a"));
    assert!(!borrowed("b"));
}

#[test]
fn routes_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&routes(&["/{a}"]));
}
