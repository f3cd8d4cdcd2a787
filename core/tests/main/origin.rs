//! Which pages may connect: origins beside hosts, and the tricks with them. RFC 6455 section 10.2, RFC 6454.

use sansws_core::handshake::OriginError::{self, Foreign, Malformed, Missing, Several};
use sansws_core::handshake::{Origin, OriginPolicy};

type Case<'a> = (
    &'a str,
    &'a [&'a str],
    &'a str,
    Option<bool>,
    Result<(), OriginError>,
);

fn check(policy: &OriginPolicy, cases: &[Case<'_>]) {
    for (name, origins, host, secure, want) in cases {
        let origins = origins.iter().map(|origin| origin.as_bytes());
        assert_eq!(policy.check(origins, host, *secure), *want, "{name}");
    }
}

#[test]
fn same_host() {
    const HOST: &str = "example.org";
    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);
    let cases: &[Case<'_>] = &[
        ("its own page", &["https://example.org"], HOST, YES, Ok(())),
        (
            "in any case",
            &["HTTPS://Example.ORG"],
            "eXample.org",
            YES,
            Ok(()),
        ),
        ("no origin", &[], HOST, YES, Ok(())),
        (
            "http over TLS",
            &["http://example.org"],
            HOST,
            YES,
            Err(Foreign),
        ),
        ("http", &["http://example.org"], HOST, NO, Ok(())),
        (
            "https, TLS ends before us",
            &["https://example.org"],
            HOST,
            NO,
            Ok(()),
        ),
        (
            "https, nothing known",
            &["https://example.org"],
            HOST,
            None,
            Ok(()),
        ),
        (
            "default port given",
            &["https://example.org:443"],
            HOST,
            YES,
            Ok(()),
        ),
        (
            "default port in Host",
            &["https://example.org"],
            "example.org:443",
            YES,
            Ok(()),
        ),
        (
            "empty port in Host",
            &["https://example.org"],
            "example.org:",
            YES,
            Ok(()),
        ),
        (
            "port",
            &["http://localhost:3000"],
            "localhost:3000",
            NO,
            Ok(()),
        ),
        (
            "another port",
            &["http://localhost:3000"],
            "localhost:3001",
            NO,
            Err(Foreign),
        ),
        (
            "no port in Host",
            &["http://localhost:3000"],
            "localhost",
            NO,
            Err(Foreign),
        ),
        (
            "no port in Origin",
            &["http://localhost"],
            "localhost:3000",
            NO,
            Err(Foreign),
        ),
        (
            "port of the other scheme",
            &["https://example.org:80"],
            HOST,
            None,
            Err(Foreign),
        ),
        (
            "suffix",
            &["https://example.org.evil.example"],
            HOST,
            YES,
            Err(Foreign),
        ),
        (
            "prefix",
            &["https://evilexample.org"],
            HOST,
            YES,
            Err(Foreign),
        ),
        (
            "subdomain",
            &["https://a.example.org"],
            HOST,
            YES,
            Err(Foreign),
        ),
        ("parent", &["https://org"], HOST, YES, Err(Foreign)),
        (
            "trailing dot",
            &["https://example.org."],
            HOST,
            YES,
            Err(Foreign),
        ),
        (
            "trailing dot in Host",
            &["https://example.org"],
            "example.org.",
            YES,
            Err(Foreign),
        ),
        (
            "user",
            &["https://example.org@evil.example"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "user before",
            &["https://evil@example.org"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "password",
            &["https://example.org:443@evil.example"],
            HOST,
            YES,
            Err(Malformed),
        ),
        ("path", &["https://example.org/"], HOST, YES, Err(Malformed)),
        (
            "query",
            &["https://example.org?"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "backslash",
            &["https://example.org\\.evil.example"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "two in one",
            &["https://example.org https://b"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "list in one",
            &["https://example.org, https://b"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "two headers",
            &["https://example.org", "https://example.org"],
            HOST,
            YES,
            Err(Several),
        ),
        ("null", &["null"], HOST, YES, Err(Malformed)),
        ("empty", &[""], HOST, YES, Err(Malformed)),
        ("no scheme", &["example.org"], HOST, YES, Err(Malformed)),
        ("scheme alone", &["https://"], HOST, YES, Err(Malformed)),
        ("a file", &["file://"], HOST, YES, Err(Malformed)),
        (
            "another scheme",
            &["tauri://example.org"],
            HOST,
            NO,
            Err(Foreign),
        ),
        (
            "port too large",
            &["https://example.org:65979"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "port with a sign",
            &["https://example.org:+443"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "empty port",
            &["https://example.org:"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "percent",
            &["https://example%2eorg"],
            HOST,
            YES,
            Err(Malformed),
        ),
        (
            "not ASCII",
            &["https://ex\u{e4}mple.org"],
            HOST,
            YES,
            Err(Malformed),
        ),
        ("no Host", &["https://example.org"], "", YES, Err(Foreign)),
        (
            "Host with a user",
            &["https://example.org"],
            "a@example.org",
            YES,
            Err(Foreign),
        ),
        ("IPv6", &["http://[::1]:8080"], "[0:0::1]:8080", NO, Ok(())),
        ("other IPv6", &["http://[::2]"], "[::1]", NO, Err(Foreign)),
        ("IPv6 open", &["http://[::1"], "[::1]", NO, Err(Malformed)),
        (
            "IPv6 and more",
            &["http://[::1].evil.example"],
            "[::1]",
            NO,
            Err(Malformed),
        ),
        ("IPv6 bare", &["http://::1"], "[::1]", NO, Err(Malformed)),
    ];
    check(&OriginPolicy::default(), cases);
    let policy = OriginPolicy::same_host().require();
    check(&policy, &[("none", &[], HOST, YES, Err(Missing))]);
    let bad: [&[u8]; 1] = [b"https://\xff"];
    assert_eq!(policy.check(bad, HOST, None), Err(Malformed));
}

#[test]
fn listed_and_any() {
    let list = [
        "https://Example.org:443",
        "http://localhost:3000",
        "tauri://localhost",
    ];
    let list = OriginPolicy::list(list).unwrap();
    check(
        &list,
        &[
            ("listed", &["https://example.org"], "other", None, Ok(())),
            (
                "with its port",
                &["http://localhost:3000"],
                "other",
                Some(true),
                Ok(()),
            ),
            (
                "of an application",
                &["tauri://localhost"],
                "other",
                None,
                Ok(()),
            ),
            (
                "another scheme",
                &["http://example.org"],
                "other",
                None,
                Err(Foreign),
            ),
            (
                "another port",
                &["http://localhost"],
                "other",
                None,
                Err(Foreign),
            ),
            (
                "its own host is not listed",
                &["https://other"],
                "other",
                None,
                Err(Foreign),
            ),
            (
                "suffix",
                &["https://example.org.evil"],
                "other",
                None,
                Err(Foreign),
            ),
            ("null", &["null"], "other", None, Err(Malformed)),
            ("none", &[], "other", None, Ok(())),
        ],
    );
    check(
        &OriginPolicy::any(),
        &[
            ("null", &["null"], "other", None, Ok(())),
            ("none", &[], "other", None, Ok(())),
        ],
    );
    check(
        &OriginPolicy::any().require(),
        &[("none", &[], "a", None, Err(Missing))],
    );
    for bad in [
        "*",
        "null",
        "example.org",
        "https://example.org/",
        "https://*.example.org",
    ] {
        assert_eq!(OriginPolicy::list([bad]), Err(Malformed), "{bad}");
    }
}

#[test]
fn written_as_it_reads() {
    for (origin, want) in [
        ("HTTP://A:80", "http://a"),
        ("https://a:80", "https://a:80"),
        ("http://[0::1]:81", "http://[::1]:81"),
    ] {
        assert_eq!(origin.parse::<Origin>().unwrap().to_string(), want);
    }
}
