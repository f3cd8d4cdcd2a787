//! The pages of the chat and of the dashboard, embedded in the programs that serve them.

use sansws_async::Transport;
use sansws_async::app::Router;
use sansws_core::http::Response;

const PAGE: &str = include_str!("../pages/index.html");

/// Returns the chat page, with or without the server's metrics.
pub fn router<T: Transport + Send + 'static>(numbers: bool) -> Router<T> {
    let alone = PAGE.replacen("<html ", "<html data-alone ", 1);
    let page = if numbers { PAGE } else { &alone };
    Router::new()
        .get("/", file("text/html", page))
        .get(
            "/app.css",
            file("text/css", include_str!("../pages/app.css")),
        )
        .get(
            "/app.js",
            file("text/javascript", include_str!("../pages/app.js")),
        )
}

/// Returns the page of the chat and what it loads, for an event loop.
pub fn on_loop() -> sansws_mio::Router {
    let alone = PAGE.replacen("<html ", "<html data-alone ", 1);
    sansws_mio::Router::new()
        .get("/", file("text/html", &alone))
        .get(
            "/app.css",
            file("text/css", include_str!("../pages/app.css")),
        )
        .get(
            "/app.js",
            file("text/javascript", include_str!("../pages/app.js")),
        )
}

/// Returns the page that shows the state of all nodes.
pub(crate) fn monitor() -> Response {
    file("text/html", include_str!("../pages/monitor.html"))
}

pub(crate) fn monitor_css() -> Response {
    file("text/css", include_str!("../pages/monitor.css"))
}

pub(crate) fn monitor_js() -> Response {
    file("text/javascript", include_str!("../pages/monitor.js"))
}

/// Returns a response with a file that is part of the program.
pub(crate) fn file(kind: &str, content: &str) -> Response {
    Response::bytes(200, &format!("{kind}; charset=utf-8"), content)
        .with("Cache-Control", "no-cache")
        .with("X-Content-Type-Options", "nosniff")
}
