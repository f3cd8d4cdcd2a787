//! Paths made from routes: they are encoded, lead back, and are refused where they would not. RFC 3986 section 2.1.

use std::fmt::Display;

use sansws_core::route::{Route, Router, UrlError};

#[test]
fn url_for_encodes_and_leads_back() {
    let routes = Router::from([
        Route::new("/rooms/{room}", ()).named("room"),
        Route::new("/caf\u{e9} %7B%2F/{id:int}", ()).named("literal"),
        Route::new("/files/{file:path}", ()).named("file"),
        Route::new("", ()).named("root"),
    ])
    .build()
    .unwrap();
    let cases: &[(&str, &[(&str, &str)], &str)] = &[
        ("room", &[("room", "a/b c?#%")], "/rooms/a%2Fb%20c%3F%23%25"),
        ("room", &[("room", "x:y@z;~")], "/rooms/x:y@z;~"),
        ("literal", &[("id", "-7")], "/caf%C3%A9%20%7B%2F/-7"),
        ("file", &[("file", "a b/../\u{e9}")], ""),
        (
            "file",
            &[("file", "a b/.x/\u{e9}/")],
            "/files/a%20b/.x/%C3%A9/",
        ),
        ("root", &[], "/"),
    ];
    for (name, values, want) in cases {
        let shown: Vec<(&str, &dyn Display)> = values
            .iter()
            .map(|(name, value)| (*name, value as &dyn Display))
            .collect();
        let Ok(path) = routes.url_for(name, &shown) else {
            assert_eq!(*want, "", "{name}");
            continue;
        };
        assert_eq!(path, *want);
        let found = routes.find("GET", &path).unwrap();
        let got: Vec<_> = found.params.iter().collect();
        let values: Vec<_> = values.iter().map(|(n, v)| (*n, (*v).into())).collect();
        assert_eq!(got, values);
    }
}

#[test]
fn url_for_refuses_what_would_not_lead_back() {
    let routes = Router::from([
        Route::new("/{id:int}/{room}", ()).named("room"),
        Route::new("/{file:path}", ()).named("file"),
    ])
    .build()
    .unwrap();
    let unfit = |name: &str, value: &str| UrlError::Unfit {
        name: name.into(),
        value: value.into(),
    };
    let cases: &[(&str, &[(&str, &dyn Display)], UrlError)] = &[
        ("nope", &[], UrlError::UnknownRoute("nope".into())),
        ("room", &[("id", &1)], UrlError::Missing("room".into())),
        (
            "room",
            &[("id", &1), ("room", &2), ("x", &3)],
            UrlError::Unknown("x".into()),
        ),
        ("room", &[("id", &"one"), ("room", &2)], unfit("id", "one")),
        ("room", &[("id", &1), ("room", &"")], unfit("room", "")),
        ("room", &[("id", &1), ("room", &"..")], unfit("room", "..")),
        ("file", &[("file", &"")], unfit("file", "")),
        ("file", &[("file", &"a/../b")], unfit("file", "a/../b")),
    ];
    for (name, values, want) in cases {
        assert_eq!(routes.url_for(name, values).as_ref(), Err(want));
    }
}
