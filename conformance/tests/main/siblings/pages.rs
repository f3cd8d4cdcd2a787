//! What a page may be: a function, a text or a response.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};

use sansws_async::{Error, ServerHandle};
use sansws_core::http::Response;

use super::{Adapter, on_each};

const PAGES: [(&str, &str); 9] = [
    ("GET", "/text"),
    ("HEAD", "/text"),
    ("POST", "/text"),
    ("GET", "/owned"),
    ("GET", "/html"),
    ("GET", "/function/7"),
    ("GET", "/function/no"),
    ("POST", "/posted"),
    ("GET", "/missing"),
];

/// Serves pages of each kind.
fn serve(adapter: Adapter, tell: &Sender<(SocketAddr, ServerHandle)>) -> Result<(), Error> {
    macro_rules! pages {
        ($ws:ident, $function:expr) => {
            $ws::Router::new()
                .get("/text", "fine\n")
                .get("/owned", String::from("owned\n"))
                .get("/html", Response::html(203, "<p>fine"))
                .get("/function/{number}", $function)
                .post("/posted", "taken\n")
                .fallback("nothing here\n")
        };
    }
    macro_rules! server {
        ($ws:ident, $listener:expr) => {{
            let mut server = $ws::Server::new($listener);
            let told = (server.local_addr()?, server.handle());
            tell.send(told).unwrap();
            server
        }};
    }
    macro_rules! on_runtime {
        ($ws:ident) => {
            async move {
                async fn function(scope: $ws::Scope) -> $ws::Result<String> {
                    Ok(format!("{}\n", scope.param::<u8>("number")? + 1))
                }
                let listener = $ws::Listener::bind("127.0.0.1:0").await?;
                server!($ws, listener).serve(pages!($ws, function)).await
            }
        };
    }
    macro_rules! blocking {
        ($ws:ident) => {{
            fn function(scope: $ws::Scope) -> $ws::Result<String> {
                Ok(format!("{}\n", scope.param::<u8>("number")? + 1))
            }
            let listener = $ws::Listener::bind("127.0.0.1:0")?;
            server!($ws, listener).serve(pages!($ws, function))
        }};
    }
    match adapter {
        Adapter::Tokio => crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio)),
        Adapter::Smol => crate::runtimes::on_smol::block_on(on_runtime!(sansws_smol)),
        Adapter::Std => blocking!(sansws_std),
        Adapter::Mio => blocking!(sansws_mio),
    }
}

#[test]
fn a_page_is_a_function_a_text_or_a_response() {
    let heard = on_each(|adapter| {
        let (tell, told) = channel();
        let server = std::thread::spawn(move || serve(adapter, &tell));
        let (address, handle) = told.recv().unwrap();
        let answers = PAGES.map(|(method, path)| {
            let mut peer = TcpStream::connect(address).unwrap();
            let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
            write!(peer, "{head}Content-Length: 0\r\n\r\n").unwrap();
            let mut answer = String::new();
            peer.read_to_string(&mut answer).unwrap();
            answer
        });
        handle.close();
        server.join().unwrap().unwrap();
        answers
    });
    let (
        _,
        [
            text,
            head,
            posted,
            owned,
            html,
            function,
            invalid,
            taken,
            missing,
        ],
    ) = &heard[0];
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.ends_with("\r\n\r\nfine\n"), "{text}");
    assert_eq!(text.strip_suffix("fine\n"), Some(&**head));
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    assert!(owned.ends_with("\r\n\r\nowned\n"), "{owned}");
    assert!(html.starts_with("HTTP/1.1 203 "), "{html}");
    assert!(html.contains("text/html"), "{html}");
    assert!(function.ends_with("\r\n\r\n8\n"), "{function}");
    assert!(invalid.starts_with("HTTP/1.1 400 "), "{invalid}");
    assert!(taken.ends_with("\r\n\r\ntaken\n"), "{taken}");
    assert!(missing.ends_with("\r\n\r\nnothing here\n"), "{missing}");
    for (adapter, answers) in &heard[1..] {
        assert_eq!(answers, &heard[0].1, "{adapter:?}");
    }
}
