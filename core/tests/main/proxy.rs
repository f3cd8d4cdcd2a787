//! The words of proxies: the PROXY protocol at every split, and never an octet past it; answers to clients. RFC 9110, RFC 1928.

use proptest::collection::vec;
use proptest::prelude::*;
use sansws_core::config::Limits;
use sansws_core::proxy::{Proxy, ProxyError, ProxyHeader, Source, TunnelStep};

/// Reads a header off `stream`, at most `most` octets at a time; what it is, and what it left.
fn read(mut stream: &[u8], most: usize) -> (Result<Source, ProxyError>, &[u8]) {
    let mut header = ProxyHeader::new();
    loop {
        let need = header.need();
        assert!(need > 0);
        let (bytes, rest) = stream.split_at(need.min(most).min(stream.len()));
        stream = rest;
        match header.receive(bytes) {
            Ok(None) => {}
            Ok(Some(source)) => return (Ok(source), stream),
            Err(error) => return (Err(error), stream),
        }
    }
}

fn peer(source: &str, destination: &str) -> Result<Source, ProxyError> {
    Ok(Source::Peer {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    })
}

/// Version 2: command, family, and what follows the length.
fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

const V4: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 9, 0x01, 0x00, 0x01, 0xbb];

fn check(cases: &[(&str, Vec<u8>, Result<Source, ProxyError>)]) {
    for (name, bytes, want) in cases {
        let mut stream = bytes.clone();
        if want.is_ok() {
            stream.extend(b"\x16\x03\x01 TLS");
        }
        for most in [usize::MAX, 1, 2, 3, 5, 7, 11, 13] {
            let (got, rest) = read(&stream, most);
            assert_eq!(got, *want, "{name}, {most}");
            if want.is_ok() {
                assert_eq!(rest, b"\x16\x03\x01 TLS", "{name}, {most}");
            }
        }
    }
}

#[test]
fn version_1() {
    const LONGEST: &str = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(LONGEST.len(), 107);
    let v4 = || peer("192.168.0.1:56324", "192.168.0.11:443");
    let bad = || Err(ProxyError::Malformed);
    let cases = [
        (
            "TCP4",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            v4(),
        ),
        (
            "the shortest TCP4",
            "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
            peer("0.0.0.0:0", "0.0.0.0:0"),
        ),
        (
            "the shortest TCP6",
            "PROXY TCP6 :: :: 0 0\r\n",
            peer("[::]:0", "[::]:0"),
        ),
        (
            "TCP6",
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
            peer("[2001:db8::1]:1", "[2001:db8::2]:65535"),
        ),
        ("UNKNOWN", "PROXY UNKNOWN\r\n", Ok(Source::Unknown)),
        (
            "UNKNOWN and more",
            "PROXY UNKNOWN 1 2 x\r\n",
            Ok(Source::Unknown),
        ),
        ("the longest", LONGEST, Ok(Source::Unknown)),
        (
            "too long",
            &LONGEST.replace("UNKNOWN", "UNKNOWN "),
            Err(ProxyError::TooLong),
        ),
        (
            "endless",
            &"PROXY TCP4 ".repeat(20),
            Err(ProxyError::TooLong),
        ),
        (
            "no CR",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\nGET",
            bad(),
        ),
        (
            "CR within",
            "PROXY TCP4 192.168.0.1\r192.168.0.11 56324 443\r\n",
            bad(),
        ),
        (
            "UDP",
            "PROXY UDP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            bad(),
        ),
        (
            "lower case",
            "PROXY tcp4 192.168.0.1 192.168.0.11 56324 443\r\n",
            bad(),
        ),
        (
            "other family",
            "PROXY TCP6 192.168.0.1 192.168.0.11 56324 443\r\n",
            bad(),
        ),
        (
            "two spaces",
            "PROXY TCP4 192.168.0.1  192.168.0.11 56324 443\r\n",
            bad(),
        ),
        (
            "a space behind",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n",
            bad(),
        ),
        (
            "port too large",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 65536\r\n",
            bad(),
        ),
        (
            "port with a zero",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 0443\r\n",
            bad(),
        ),
        (
            "port with a sign",
            "PROXY TCP4 192.168.0.1 192.168.0.11 +5634 443\r\n",
            bad(),
        ),
        (
            "address with zeroes",
            "PROXY TCP4 192.168.0.01 192.168.0.11 56324 443\r\n",
            bad(),
        ),
        (
            "no port",
            "PROXY TCP4 192.168.0.1 192.168.0.111 56324\r\n",
            bad(),
        ),
        ("HTTP", "GET / HTTP/1.1\r\n", Err(ProxyError::Signature)),
        (
            "almost",
            "PROXYTCP4 192.168.0.1",
            Err(ProxyError::Signature),
        ),
        (
            "cut",
            "PROXY TCP4 192.168.0.1 192.168.0.11 563",
            Err(ProxyError::EndOfInput),
        ),
        ("nothing", "", Err(ProxyError::EndOfInput)),
    ];
    check(&cases.map(|(name, line, want)| (name, line.as_bytes().to_vec(), want)));
}

#[test]
fn version_2() {
    let v4 = || peer("192.0.2.1:256", "192.0.2.9:443");
    let with_extensions = [V4, b"\x01\x00\x02h2\x20\x00\x01\x00"].concat();
    let mut v6 = [0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 80, 90);
    let other = |bytes: &[u8]| [b"\r\n\r\n\0\r\nQUIT\n", bytes].concat();
    check(&[
        ("TCP4", second(0x21, 0x11, V4), v4()),
        (
            "extensions are skipped",
            second(0x21, 0x11, &with_extensions),
            v4(),
        ),
        (
            "TCP6",
            second(0x21, 0x21, &v6),
            peer("[::1]:80", "[::2]:90"),
        ),
        ("local", second(0x20, 0x00, b""), Ok(Source::Unknown)),
        (
            "local, whatever follows",
            second(0x20, 0x77, b"abc"),
            Ok(Source::Unknown),
        ),
        (
            "unspecified",
            second(0x21, 0x00, b"abc"),
            Ok(Source::Unknown),
        ),
        ("UDP", second(0x21, 0x12, V4), Ok(Source::Unknown)),
        ("Unix", second(0x21, 0x31, &[0; 216]), Ok(Source::Unknown)),
        (
            "the longest",
            second(0x21, 0x11, &[1; 4096]),
            peer("1.1.1.1:257", "1.1.1.1:257"),
        ),
        (
            "too long",
            second(0x21, 0x11, &[1; 4097]),
            Err(ProxyError::TooLong),
        ),
        (
            "too long, and not there",
            other(b"\x21\x11\xff\xff"),
            Err(ProxyError::TooLong),
        ),
        (
            "TCP4 cut",
            second(0x21, 0x11, &V4[..11]),
            Err(ProxyError::Malformed),
        ),
        (
            "TCP6 cut",
            second(0x21, 0x21, &v6[..35]),
            Err(ProxyError::Malformed),
        ),
        (
            "another version",
            second(0x11, 0x11, V4),
            Err(ProxyError::Unassigned),
        ),
        (
            "another command",
            second(0x22, 0x11, V4),
            Err(ProxyError::Unassigned),
        ),
        (
            "another family",
            second(0x21, 0x41, V4),
            Err(ProxyError::Unassigned),
        ),
        (
            "another protocol",
            second(0x21, 0x10, V4),
            Err(ProxyError::Unassigned),
        ),
        (
            "cut",
            other(b"\x21\x11\0\x0c\x01"),
            Err(ProxyError::EndOfInput),
        ),
        (
            "another signature",
            b"\r\n\r\n\0\r\nQUIT\r..".to_vec(),
            Err(ProxyError::Signature),
        ),
        (
            "an empty request",
            b"\r\n\r\nGET / HTTP/1.1".to_vec(),
            Err(ProxyError::Signature),
        ),
    ]);
}

#[test]
fn more_than_was_asked_for_is_refused() {
    let mut header = ProxyHeader::new();
    assert_eq!(
        header.receive(b"PROXY UNKNOWN\r\n"),
        Err(ProxyError::Excess)
    );
}

/// Whole headers, and garbage that begins like one.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let body = vec(any::<u8>(), 0..300);
    let line = "(PROXY )?(TCP4|TCP6|UNKNOWN|)[ 0-9.:a-f]{0,60}(\r\n|\r|\n|)";
    prop_oneof![
        vec(any::<u8>(), 0..40),
        (any::<u8>(), any::<u8>(), body.clone())
            .prop_map(|(command, family, body)| second(command, family, &body)),
        (0x20..0x22u8, body).prop_map(|(command, body)| second(command, 0x21, &body)),
        line.prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_split_reads_the_same_and_no_byte_behind_the_header(
        header in stream(), behind in vec(any::<u8>(), 0..50), most in 1..20usize,
    ) {
        let stream = [header.clone(), behind].concat();
        let (whole, rest) = read(&stream, usize::MAX);
        let (split, rest_of_split) = read(&stream, most);
        prop_assert_eq!(whole, split);
        if whole.is_ok() {
            prop_assert_eq!(rest, rest_of_split);
            let taken = &stream[..stream.len() - rest.len()];
            if taken.starts_with(b"PROXY") {
                prop_assert_eq!(taken.iter().filter(|byte| **byte == b'\n').count(), 1);
                prop_assert!(taken.ends_with(b"\r\n") && taken.len() <= 107);
            } else {
                prop_assert_eq!(taken.len(), 16 + usize::from(taken[14]) * 256 + usize::from(taken[15]));
            }
        }
    }
    #[test]
    fn a_proxy_that_answers_anything_makes_no_client_panic(
        answer in vec(prop_oneof![0..6u8, any::<u8>()], 0..60), http in any::<bool>(), most in 1..20usize,
    ) {
        let head = [b"HTTP/1.1 200".as_slice(), &answer, b"\r\n\r\n"].concat();
        let proxy = if http {
            "http://proxy:3128"
        } else {
            "socks5://proxy"
        };
        let proxy: Proxy = proxy.parse().unwrap();
        let mut proxy = proxy.handshake("a", 1, &Limits::default()).unwrap();
        let mut rest = if http { head.as_slice() } else { answer.as_slice() };
        loop {
            proxy.written(proxy.output().len());
            prop_assert!(proxy.need() > 0 && proxy.output().is_empty());
            let (now, later) = rest.split_at(proxy.need().min(most).min(rest.len()));
            rest = later;
            if proxy.receive(now) != Ok(TunnelStep::More) {
                break;
            }
        }
    }
}
