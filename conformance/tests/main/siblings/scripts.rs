//! The input of rude peers to a server.

pub const KEY: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The output of a peer.
pub struct Script {
    pub name: &'static str,
    /// In several writes.
    pub says: Vec<Vec<u8>>,
    /// It ends its side then.
    pub shuts: bool,
}

pub fn script(name: &'static str, says: impl Into<Vec<u8>>) -> Script {
    Script {
        name,
        says: vec![says.into()],
        shuts: true,
    }
}

pub fn upgrade(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{KEY}\r\n")
}

pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub fn after_upgrade(name: &'static str, frames: &[Vec<u8>]) -> Script {
    let mut says = upgrade("/echo").into_bytes();
    says.extend(frames.concat());
    Script {
        name,
        says: vec![says],
        shuts: false,
    }
}

pub fn scripts() -> Vec<Script> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut all = vec![
        script("a page", get("/page")),
        script("pages in a row", get("/page").repeat(3)),
        script("a page that fails", get("/page/fails")),
        script("a page that panics", get("/page/panics")),
        script("no page", get("/nowhere")),
        script("a websocket's path", get("/echo")),
        script("HTTP/1.0", "GET /page HTTP/1.0\r\n\r\n"),
        script(
            "HTTP/1.0 with a host",
            "GET /page HTTP/1.0\r\nHost: a\r\n\r\n",
        ),
        script(
            "HTTP/1.0 kept alive",
            "GET /page HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /page HTTP/1.0\r\nHost: a\r\n\r\n",
        ),
        script("HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        script("HTTP/0.9", "GET /page\r\n"),
        script(
            "absolute form",
            "GET http://a/page HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        script(
            "absolute form of another",
            "GET http://b:80/page?q HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        script(
            "absolute upgrade",
            format!("GET http://a/echo HTTP/1.1\r\nHost: a\r\n{KEY}\r\n"),
        ),
        script("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        script("connect", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        script("head", "HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n"),
        script(
            "head of nothing",
            "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        script("delete", "DELETE /page HTTP/1.1\r\nHost: a\r\n\r\n"),
        script("no host", "GET /page HTTP/1.1\r\n\r\n"),
        script(
            "two hosts",
            "GET /page HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ),
        script("empty lines first", format!("\r\n\r\n{}", get("/page"))),
        script("bare line feeds", "GET /page HTTP/1.1\nHost: a\n\n"),
        script(
            "a folded field",
            "GET /page HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        ),
        script(
            "garbage",
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03 hello hello hello hello",
        ),
        script("nothing", ""),
        script("half a head", "GET /page HTTP/1.1\r\nHos"),
        script(
            "a head too long",
            format!("GET /page HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000)),
        ),
        script(
            "fields too many",
            format!("GET /page HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200)),
        ),
        script(
            "a body",
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        ),
        script(
            "a body and a page",
            format!(
                "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello{}",
                get("/page")
            ),
        ),
        script(
            "a body in chunks",
            "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        script(
            "chunks that are none",
            "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n0\r\n\r\n",
        ),
        script(
            "half a body",
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
        ),
        script(
            "a body too long",
            format!(
                "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{}",
                "x".repeat(100_000)
            ),
        ),
        script(
            "chunks too long",
            format!(
                "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n{}\r\n0\r\n\r\n",
                "x".repeat(100_000)
            ),
        ),
        script(
            "two lengths",
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        ),
        script(
            "length and chunks",
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        script(
            "a body of a get",
            format!(
                "GET /page HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello{}",
                get("/page")
            ),
        ),
        script(
            "a body of nowhere",
            format!(
                "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello{}",
                get("/page")
            ),
        ),
        script(
            "a post to a page",
            format!(
                "POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello{}",
                get("/page")
            ),
        ),
        script(
            "a post of another origin",
            "POST /body HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nContent-Length: 5\r\n\r\nhello",
        ),
        script(
            "expects to go on",
            "POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        ),
        script(
            "closes",
            "GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /page HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        script("big", get("/big")),
        script(
            "big and closes, more behind",
            format!(
                "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{}",
                "x".repeat(50_000)
            ),
        ),
        script("big twice", get("/big").repeat(2)),
        script("upgrade", upgrade("/echo")),
        script("upgrade of nothing", upgrade("/nowhere")),
        script("upgrade of a page", upgrade("/page")),
        script("upgrade that fails", upgrade("/fails")),
        script(
            "upgrade that is rejected",
            format!("{}{}", upgrade("/rejects"), get("/page")),
        ),
        script("upgrade that breaks", upgrade("/breaks")),
        script("upgrade that panics", upgrade("/panics")),
        script(
            "upgrade by post",
            format!("POST /echo HTTP/1.1\r\nHost: a\r\n{KEY}\r\n"),
        ),
        script(
            "upgrade with a body",
            format!("GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n{KEY}\r\nabc"),
        ),
        script(
            "upgrade over HTTP/1.0",
            format!("GET /echo HTTP/1.0\r\nHost: a\r\n{KEY}\r\n"),
        ),
        script(
            "upgrade without a key",
            "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
        ),
        script(
            "upgrade of version 8",
            "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ),
        script(
            "upgrade from another page",
            format!("GET /echo HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n{KEY}\r\n"),
        ),
        script(
            "upgrade to h2c",
            "GET /page HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        ),
        after_upgrade("closes at once", &[frame(0x88, &1000_u16.to_be_bytes())]),
        after_upgrade("closes without a code", &[frame(0x88, &[])]),
        after_upgrade("closes with one byte", &[frame(0x88, &[3])]),
        after_upgrade(
            "closes with a code that is none",
            &[frame(0x88, &1005_u16.to_be_bytes())],
        ),
        after_upgrade(
            "closes with text that is none",
            &[frame(0x88, b"\x03\xe8\xff")],
        ),
        after_upgrade("closes with 4000", &[frame(0x88, b"\x0f\xa0so")]),
        after_upgrade(
            "says something and closes",
            &[frame(0x81, b"hello"), frame(0x88, b"\x03\xe8")],
        ),
        after_upgrade(
            "closes and goes on",
            &[
                frame(0x88, b"\x03\xe8"),
                frame(0x81, b"hello"),
                frame(0x89, b""),
            ],
        ),
        after_upgrade(
            "closes inside a message",
            &[frame(0x01, b"hello"), frame(0x88, b"\x03\xe8")],
        ),
        after_upgrade(
            "fragments",
            &[
                frame(0x01, b"he"),
                frame(0x00, b""),
                frame(0x89, b"p"),
                frame(0x00, b"l"),
                frame(0x80, b"lo"),
                frame(0x88, b"\x03\xe8"),
            ],
        ),
        after_upgrade(
            "empty messages",
            &[frame(0x81, b""), frame(0x82, b""), frame(0x88, b"\x03\xe8")],
        ),
        after_upgrade("text that is none", &[frame(0x81, b"hello\xff")]),
        after_upgrade(
            "text that is none behind a message",
            &[frame(0x81, b"hello"), frame(0x81, b"\xff")],
        ),
        after_upgrade("reserved bits", &[frame(0xc1, b"hello")]),
        after_upgrade("an opcode that is none", &[frame(0x83, b"hello")]),
        after_upgrade("a frame without a mask", &[vec![0x81, 1, b'a']]),
        after_upgrade("a continuation of nothing", &[frame(0x80, b"hello")]),
        after_upgrade("text in text", &[frame(0x01, b"he"), frame(0x81, b"hello")]),
        after_upgrade("a long ping", &[frame(0x89, &[7; 126])]),
        after_upgrade("a ping in fragments", &[frame(0x09, &[7; 6])]),
        after_upgrade(
            "a message too large",
            &[vec![0x82, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4]],
        ),
        after_upgrade(
            "a length of 2^63",
            &[vec![0x82, 0xff, 0x80, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4]],
        ),
        after_upgrade(
            "a length that is not minimal",
            &[vec![0x82, 0xfe, 0, 5, 1, 2, 3, 4, 1, 2, 3, 4, 5]],
        ),
        after_upgrade(
            "pings",
            &[
                frame(0x89, b"one"),
                frame(0x89, b"two"),
                frame(0x88, b"\x03\xe8"),
            ],
        ),
        after_upgrade(
            "pongs",
            &[
                frame(0x8a, b"one"),
                frame(0x8a, b""),
                frame(0x88, b"\x03\xe8"),
            ],
        ),
        after_upgrade(
            "a megabyte",
            &[frame(0x82, &vec![7; 1 << 20]), frame(0x88, b"\x03\xe8")],
        ),
    ];
    let mut page_first = get("/page").into_bytes();
    page_first.extend(upgrade("/echo").as_bytes());
    page_first.extend(frame(0x81, b"hello"));
    page_first.extend(frame(0x88, b"\x03\xe8"));
    all.push(Script {
        name: "a page, an upgrade, a message, a close",
        says: vec![page_first.clone()],
        shuts: false,
    });
    all.push(Script {
        name: "the same byte by byte",
        says: page_first.chunks(1).map(Vec::from).collect(),
        shuts: false,
    });
    let mut message = upgrade("/echo").into_bytes();
    message.extend(frame(0x81, b"hello"));
    all.push(Script {
        name: "a message and the end",
        says: vec![message],
        shuts: true,
    });
    let mut message = upgrade("/echo").into_bytes();
    message.extend(&frame(0x81, b"hello")[..7]);
    all.push(Script {
        name: "half a message and the end",
        says: vec![message],
        shuts: true,
    });
    all
}

/// Bursts of everything that a peer may send.
pub fn floods() -> Vec<Script> {
    let close = frame(0x88, b"\x03\xe8");
    let many = |one: Vec<u8>, count: usize| vec![one.repeat(count), close.clone()];
    let mut fragments = vec![frame(0x01, b"a")];
    fragments.extend(vec![frame(0x00, b""); 1_000]);
    fragments.push(frame(0x80, b"b"));
    vec![
        after_upgrade("messages", &many(frame(0x81, b"hello"), 2_000)),
        after_upgrade("empty messages", &many(frame(0x82, b""), 2_000)),
        after_upgrade("pings", &many(frame(0x89, b"hello"), 10_000)),
        after_upgrade(
            "pings between messages",
            &many([frame(0x89, b"hello"), frame(0x81, b"a")].concat(), 500),
        ),
        after_upgrade("pongs", &many(frame(0x8a, b"hello"), 10_000)),
        after_upgrade("fragments", &many(fragments.concat(), 3)),
        after_upgrade(
            "fragments without end",
            &[frame(0x01, b"a"), frame(0x00, b"").repeat(70_000)],
        ),
        after_upgrade("long messages", &many(frame(0x82, &[7; 100_000]), 20)),
    ]
}
