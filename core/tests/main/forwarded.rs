//! The client of a request: the claims of proxies, and those that strangers put in front. RFC 7239 sections 4 and 6.

use sansws_core::error::InvalidInput;
use sansws_core::http::forwarded::{Network, Trusted, TrustedHeaders, client};

/// The result of `client` for a peer, as "address secure host".
fn found(peer: &str, headers: TrustedHeaders, fields: &[(&str, &str)]) -> String {
    let trusted = Trusted::new(["10.0.0.0/8", "2001:db8:1::/48"]).unwrap();
    let fields = fields.iter().copied().collect();
    let found = client(&fields, peer.parse().unwrap(), &trusted.writing(headers));
    let secure = match found.secure {
        Some(true) => " tls",
        Some(false) => " plain",
        None => "",
    };
    let host = found.host.map(|host| std::format!(" {host}"));
    std::format!("{}{secure}{}", found.address, host.unwrap_or_default())
}

#[test]
fn the_client_behind_proxies() {
    const F: &str = "Forwarded";
    const X: &str = "X-Forwarded-For";
    const XP: &str = "X-Forwarded-Proto";
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case<'_>] = &[
        ("nothing said", "10.0.0.1", &[], "10.0.0.1"),
        (
            "a stranger is not believed",
            "192.0.2.1",
            &[(F, "for=1.2.3.4"), (X, "1.2.3.4")],
            "192.0.2.1",
        ),
        (
            "4: one element",
            "10.0.0.1",
            &[(F, "for=192.0.2.43;proto=https;by=x")],
            "192.0.2.43 tls",
        ),
        (
            "4: host in quotes",
            "10.0.0.1",
            &[(F, "For=192.0.2.43; host=\"a.example:1\";Proto=http")],
            "192.0.2.43 plain a.example:1",
        ),
        (
            "4: IPv6 with a port",
            "10.0.0.1",
            &[(F, "for=\"[2001:db8:cafe::17]:4711\"")],
            "2001:db8:cafe::17",
        ),
        (
            "6: with a hidden port",
            "10.0.0.1",
            &[(F, "for=\"192.0.2.43:_x\"")],
            "192.0.2.43",
        ),
        (
            "a mapped peer and a mapped client",
            "::ffff:10.0.0.1",
            &[(F, "for=\"[::ffff:192.0.2.1]\"")],
            "192.0.2.1",
        ),
        (
            "trusted hops are passed over",
            "10.0.0.1",
            &[(
                F,
                "for=6.6.6.6, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http",
            )],
            "192.0.2.1 tls",
        ),
        (
            "over several fields",
            "10.0.0.1",
            &[
                (F, "for=6.6.6.6"),
                (F, "for=192.0.2.1"),
                (F, "for=10.0.0.2"),
            ],
            "192.0.2.1",
        ),
        (
            "all trusted: the outermost",
            "10.0.0.1",
            &[(F, "for=10.0.0.3, for=10.0.0.2")],
            "10.0.0.3",
        ),
        (
            "6.3: hidden by a trusted hop",
            "10.0.0.1",
            &[(F, "for=192.0.2.1, for=_gazonk;proto=https")],
            "10.0.0.1 tls",
        ),
        (
            "6.2: unknown to the second hop",
            "10.0.0.1",
            &[(F, "for=6.6.6.6, for=unknown, for=10.0.0.2")],
            "10.0.0.2",
        ),
        ("no for", "10.0.0.1", &[(F, "proto=https")], "10.0.0.1 tls"),
        (
            "malformed before a good hop",
            "10.0.0.1",
            &[(F, "for=\", for=\"[2001:db8::1]\"")],
            "2001:db8::1",
        ),
        (
            "quotes opened in front",
            "10.0.0.1",
            &[(F, "for=6.6.6.6;x=\", for=192.0.2.1")],
            "192.0.2.1",
        ),
        (
            "quotes opened in a field before",
            "10.0.0.1",
            &[(F, "for=\"x"), (F, "for=192.0.2.1")],
            "192.0.2.1",
        ),
        (
            "malformed behind a trusted hop",
            "10.0.0.1",
            &[(F, "for=x y, for=10.0.0.2")],
            "10.0.0.2",
        ),
        (
            "malformed at the end",
            "10.0.0.1",
            &[(F, "for=192.0.2.1, for=")],
            "10.0.0.1",
        ),
        (
            "an escape in quotes",
            "10.0.0.1",
            &[(F, "x=\"a\\\",b\";for=192.0.2.1")],
            "192.0.2.1",
        ),
        (
            "twice in one element",
            "10.0.0.1",
            &[(F, "for=192.0.2.1;for=192.0.2.2")],
            "10.0.0.1",
        ),
        (
            "IPv6 without brackets",
            "10.0.0.1",
            &[(F, "for=\"2001:db8::1\"")],
            "2001:db8::1",
        ),
        (
            "an empty element",
            "10.0.0.1",
            &[(F, "for=192.0.2.1, ")],
            "10.0.0.1",
        ),
        (
            "X, alone",
            "10.0.0.1",
            &[(X, "6.6.6.6, 192.0.2.1, 10.0.0.2"), (XP, "https")],
            "192.0.2.1 tls",
        ),
        (
            "X, over fields",
            "10.0.0.1",
            &[(X, "6.6.6.6"), (X, "192.0.2.1")],
            "192.0.2.1",
        ),
        (
            "X, IPv6 and ports",
            "10.0.0.1",
            &[(X, "192.0.2.1:80, 2001:db8:1::1")],
            "192.0.2.1",
        ),
        (
            "X, brackets",
            "10.0.0.1",
            &[(X, "[2001:db8::1]:80")],
            "2001:db8::1",
        ),
        (
            "X, garbage",
            "10.0.0.1",
            &[(X, "192.0.2.1, example.org")],
            "10.0.0.1",
        ),
        (
            "X, port out of shape",
            "10.0.0.1",
            &[(X, "192.0.2.1:+1")],
            "10.0.0.1",
        ),
        ("X, empty", "10.0.0.1", &[(X, "")], "10.0.0.1"),
        (
            "X, as many protocols",
            "10.0.0.1",
            &[(X, "192.0.2.1, 10.0.0.2"), (XP, "https, http")],
            "192.0.2.1 tls",
        ),
        (
            "X, some protocols",
            "10.0.0.1",
            &[(X, "6.6.6.6, 192.0.2.1, 10.0.0.2"), (XP, "https, http")],
            "192.0.2.1",
        ),
        (
            "X, host",
            "10.0.0.1",
            &[(X, "192.0.2.1"), ("X-Forwarded-Host", "a.example")],
            "192.0.2.1 a.example",
        ),
        (
            "both, and they agree",
            "10.0.0.1",
            &[
                (F, "for=192.0.2.1;proto=https"),
                (X, "192.0.2.1"),
                (XP, "https"),
            ],
            "192.0.2.1 tls",
        ),
        (
            "both, one says more",
            "10.0.0.1",
            &[(F, "for=192.0.2.1;proto=https;host=evil"), (X, "192.0.2.1")],
            "192.0.2.1",
        ),
        (
            "both, and they do not",
            "10.0.0.1",
            &[(F, "for=6.6.6.6"), (X, "192.0.2.1")],
            "10.0.0.1",
        ),
        (
            "both, and one is malformed",
            "10.0.0.1",
            &[(F, "for="), (X, "192.0.2.1")],
            "10.0.0.1",
        ),
    ];
    for (name, peer, fields, want) in cases {
        let got = found(peer, TrustedHeaders::Any, fields);
        assert_eq!(got, *want, "{name}");
    }
    let both = [(F, "for=6.6.6.6"), (X, "192.0.2.1")];
    assert_eq!(
        found("10.0.0.1", TrustedHeaders::Forwarded, &both),
        "6.6.6.6"
    );
    assert_eq!(
        found("10.0.0.1", TrustedHeaders::XForwarded, &both),
        "192.0.2.1"
    );
}

#[test]
fn a_long_list_is_followed_so_far() {
    let list = ["10.0.0.2"; 1_000].join(", ");
    assert_eq!(
        found(
            "10.0.0.1",
            TrustedHeaders::Any,
            &[("X-Forwarded-For", &list)]
        ),
        "10.0.0.2"
    );
    let list = std::format!("192.0.2.1, {}", ["10.0.0.2"; 32].join(", "));
    assert_eq!(
        found(
            "10.0.0.1",
            TrustedHeaders::Any,
            &[("X-Forwarded-For", &list)]
        ),
        "10.0.0.2"
    );
}

#[test]
fn networks() {
    let cases: &[(&str, &str, bool)] = &[
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("10.1.2.3/8", "10.9.9.9", true),
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.0", false),
        ("192.0.2.1/32", "192.0.2.1", true),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("::1", "::1", true),
        ("::1", "::2", false),
        ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "fe00::1", false),
    ];
    for (network, address, want) in cases {
        let network: Network = network.parse().unwrap();
        assert_eq!(
            network.contains(address.parse().unwrap()),
            *want,
            "{network:?} {address}"
        );
    }
    for bad in [
        "",
        "/8",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0/8",
        "a",
        "::1/8/8",
    ] {
        assert_eq!(
            bad.parse::<Network>(),
            Err(InvalidInput::BadNetwork),
            "{bad}"
        );
        assert_eq!(Trusted::new([bad]), Err(InvalidInput::BadNetwork));
    }
    assert!(!Trusted::default().contains("10.0.0.1".parse().unwrap()));
}
