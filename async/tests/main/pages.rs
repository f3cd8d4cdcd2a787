//! Pages: any method, bounded bodies, a fallback, queries as values.
//! RFC 9110 sections 9, 10.1.1, 15.5.6 and 15.5.14; RFC 9112 sections 3 and 6.

use crate::support;

use sansws_async::app::Route;
use sansws_async::{ConnectionPolicy, Result, Scope};
use sansws_core::config::{Config, Limits};
use sansws_core::http::Response;
use support::app::{Routes, Up, echo, run, serve};

/// A request with a method and a body, as octets.
fn request(method: &str, path: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n{body}").into_bytes()
}

#[test]
fn pages_for_any_method_have_a_bounded_body() {
    async fn echoes(scope: Scope) -> Result<String> {
        let text = core::str::from_utf8(scope.body())?;
        Ok(format!("{} {text}", scope.method))
    }
    run(async {
        let small = Limits {
            body: 8,
            ..Limits::default()
        };
        let small = Config {
            limits: small,
            ..Config::default()
        };
        let server = serve(
            Routes::new()
                .post("/post", echoes)
                .add(Route::page(["PUT", "DELETE"], "/thing/{id}", echoes))
                .add(
                    Route::post("/small", echoes).policy(ConnectionPolicy::default().config(small)),
                )
                .add(
                    Route::post("/members", echoes)
                        .layer(|_: &mut Scope| Err::<(), _>(Response::text(403, "members only\n"))),
                )
                .post("/sum", async |scope: Scope| -> Result<String> {
                    let numbers: Vec<u8> = scope.json()?;
                    Ok(numbers.iter().sum::<u8>().to_string())
                })
                .get("/page", "a page")
                .route("/socket", echo),
        );
        let answer = server.post("/post", "hello").await?;
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, &b"POST hello"[..])
        );
        assert_eq!(server.post("/sum", "[1, 2]").await?.body, b"3");
        assert_eq!(server.post("/sum", "[1, 2").await?.status, 400);
        assert_eq!(server.post("/small", "12345678").await?.status, 200);
        assert_eq!(server.post("/small", "123456789").await?.status, 413);
        assert_eq!(
            server.post("/members", "x".repeat(1 << 20)).await?.status,
            403
        );
        assert_eq!(server.post("/nowhere", "hello").await?.status, 404);
        // The wrong method is that, whatever its body.
        for (path, allow) in [
            ("/page", "GET, HEAD"),
            ("/thing/7", "DELETE, PUT"),
            ("/socket", "GET"),
        ] {
            let answer = server.post(path, "x".repeat(100 << 10)).await?;
            assert_eq!(answer.status, 405, "{path}");
            assert_eq!(answer.fields.get_str("allow"), Some(allow), "{path}");
        }
        // One request after the other, in any framing; a body that nobody reads ends the connection.
        let all = [
            request(
                "PUT",
                "/thing/1",
                "Transfer-Encoding: chunked\r\n",
                "3\r\nabc\r\n0\r\n\r\n",
            ),
            request("DELETE", "/thing/1", "", ""),
            request("POST", "/post", "Content-Length: 2\r\n", "de"),
            request("POST", "/page", "Content-Length: 2\r\n", "fg"),
            request("POST", "/post", "", ""),
        ]
        .concat();
        let answer = server.exchange(&all).await?;
        let text = String::from_utf8_lossy(&answer);
        let got: Vec<&str> = ["PUT abc", "DELETE ", "POST de", " 405 "]
            .into_iter()
            .filter(|part| text.contains(part))
            .collect();
        assert_eq!(
            (got.len(), text.matches("HTTP/1.1").count()),
            (4, 4),
            "{text}"
        );
        // Framing that two readers could see differently, and what waits to be told to go on.
        let both = "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n";
        let answer = server.exchange(&request("POST", "/post", both, "")).await?;
        assert!(answer.starts_with(b"HTTP/1.1 400 "));
        let waits = "Content-Length: 2\r\nExpect: 100-continue\r\n";
        let answer = server
            .exchange(&request("POST", "/post", waits, ""))
            .await?;
        assert!(answer.starts_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 "));
        // Pages of other hosts post nothing.
        let foreign = "Origin: https://evil.example\r\nContent-Length: 0\r\n";
        let answer = server
            .exchange(&request("POST", "/post", foreign, ""))
            .await?;
        assert!(answer.starts_with(b"HTTP/1.1 403 "));
        Ok(())
    });
}

#[test]
fn a_fallback_answers_where_no_route_leads_to() {
    run(async {
        let inner = Routes::with_prefix("/in")
            .get("/page", "inner")
            .fallback("not asked");
        let server = serve(Routes::new().route("/socket", echo).merge(inner).fallback(
            async |scope: Scope| {
                Response::text(404, format!("{} {}?\n", scope.method, scope.path()))
            },
        ));
        assert_eq!(server.get("/nowhere").await?.body, b"GET /nowhere?\n");
        assert_eq!(server.get("/in/nowhere").await?.body, b"GET /in/nowhere?\n");
        assert_eq!(
            server.post("/nowhere", "x").await?.body,
            b"POST /nowhere?\n"
        );
        assert_eq!(server.get("/in/page").await?.body, b"inner");
        let answer = server.expect_reject("/nowhere", 404).await;
        assert_eq!(answer.body, b"GET /nowhere?\n");
        assert_eq!(server.post("/in/page", "").await?.status, 405);
        server.connect("/socket").await?.close(1000, "").await?;
        Ok(())
    });
}

#[test]
fn a_query_as_a_value_and_400_where_it_does_not_fit() {
    #[derive(serde::Deserialize)]
    struct Wanted {
        name: String,
        #[serde(default)]
        limit: u32,
        since: Option<i64>,
    }
    async fn wants(upgrade: Up) -> Result {
        let Wanted { name, limit, since } = upgrade.query()?;
        let mut socket = upgrade.accept().await?;
        socket
            .send_text(format!("{name} {limit} {since:?}"))
            .await?;
        Ok(())
    }
    run(async {
        let page = async |scope: Scope| -> Result<String> { Ok(scope.query::<Wanted>()?.name) };
        let server = serve(Routes::new().route("/", wants).get("/page", page));
        for (query, want) in [
            ("?name=Ada+L&limit=7&other=x", "Ada L 7 None"),
            ("?name=%C3%A9&since=-3#part", "é 0 Some(-3)"),
        ] {
            let mut socket = server.connect(&format!("/{query}")).await?;
            socket.expect_text(want).await;
        }
        for query in ["", "?", "?limit=7", "?name=a&limit=-1", "?name=a&since=zzz"] {
            let answer = server.expect_reject(&format!("/{query}"), 400).await;
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.starts_with("the query is invalid: "), "{text}");
            assert_eq!(
                server.get(&format!("/page{query}")).await?.status,
                if query.contains("name") && !query.contains("zzz") && !query.contains("-1") {
                    200
                } else {
                    400
                }
            );
        }
        assert_eq!(server.handle().metrics().handlers_failed, 0);
        Ok(())
    });
}

#[test]
fn a_request_line_of_four_words_is_400_and_another_version_505() {
    run(async {
        let server = serve(Routes::new().get("/", "a page"));
        for (line, status) in [
            ("GET / two HTTP/1.1", "400"),
            ("GET /  HTTP/1.1", "400"),
            ("GET / nonsense", "400"),
            ("GET / HTTP/1.0", "505"),
            ("GET / HTTP/2.0", "505"),
        ] {
            let bytes = format!("{line}\r\nHost: test\r\n\r\n");
            let answer = server.exchange(bytes.as_bytes()).await?;
            let want = format!("HTTP/1.1 {status} ");
            assert!(
                answer.starts_with(want.as_bytes()),
                "{line}: {}",
                answer.escape_ascii()
            );
        }
        Ok(())
    });
}
