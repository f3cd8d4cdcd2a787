//! A chat whose page uses the public client library of the Centrifuge protocol; the page's own code is `pages/talk.js`.
//!
//! `pages/library.sh` gets the library from npm; it is read when the server starts. Without it, the page says how to get it.

use std::time::Duration;

use sansws_async::app::{Route, Router};
use sansws_async::hub::Hub;
use sansws_async::runtime::Runtime;
use sansws_async::{ConnectionPolicy, HubEnv, Transport};
use sansws_centrifuge::{Access, Centrifuge, ClientError, Connect, Disconnect, Namespace, Options};
use sansws_core::hub::HistoryOptions;
use serde::{Deserialize, Serialize};

use crate::chat;
use crate::pages::file;

/// Where `pages/library.sh` puts the library.
const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pages/vendor/centrifuge.js");

/// Maximum number of characters of a line.
const TEXT: usize = 2000;

/// The first message of a page: its user.
#[derive(Deserialize)]
struct Hello {
    name: String,
}

/// A line, as it is published.
#[derive(Deserialize, Serialize)]
struct Line {
    text: String,
}

/// Returns the options of the protocol: rooms with a history, of which a page recovers what it missed.
pub fn protocol() -> Options {
    let rooms = Namespace::default()
        .recovery(HistoryOptions {
            messages: 100,
            recovery: 100,
            bytes: 256 << 10,
            age: Duration::from_secs(3600),
        })
        .join_leave()
        .read(Access::Subscribers);
    Options::default().namespace("talk", rooms)
}

/// Returns the page with what it loads, and the endpoint of its library. The options of the hub are [configured](Options::configure) with
/// those of the [`protocol`].
pub fn router<T, E>(hub: &Hub<E>) -> Router<T>
where
    T: Transport + Send + 'static,
    E: Runtime + HubEnv,
{
    let policy = ConnectionPolicy::default().config(chat::config());
    let endpoint = Route::new("/connection/websocket", endpoint(hub));
    let router = Router::new().add(endpoint.policy(policy).hub(hub));
    let Ok(library) = std::fs::read_to_string(LIBRARY) else {
        return router.get("/", file("text/html", include_str!("../pages/absent.html")));
    };
    router
        .get("/", file("text/html", include_str!("../pages/talk.html")))
        .get(
            "/talk.css",
            file("text/css", include_str!("../pages/talk.css")),
        )
        .get(
            "/talk.js",
            file("text/javascript", include_str!("../pages/talk.js")),
        )
        .get("/centrifuge.js", file("text/javascript", &library))
}

/// Returns the endpoint: users have the names that they give, rooms are those of the other chat, and lines are text.
fn endpoint<E: HubEnv>(hub: &Hub<E>) -> Centrifuge<E> {
    Centrifuge::new(hub, protocol())
        .on_connect(async |request| {
            let hello: Option<Hello> = serde_json::from_slice(&request.data).ok();
            let name = hello.map(|hello| hello.name.trim().to_owned());
            let name = name.filter(|name| chat::check("lobby", name).is_ok());
            let refused = Disconnect {
                code: 4500,
                reason: "a name has 1 to 24 characters".into(),
            };
            Ok(Connect::user(&name.ok_or(refused)?))
        })
        .on_subscribe(async |client, request| {
            let room = request.channel.strip_prefix("talk:").unwrap_or_default();
            match chat::check(room, &client.user) {
                Ok(_) => Ok(sansws_centrifuge::Subscribe::default()),
                Err(_) => {
                    Err(ClientError::new(400, "a room has 1 to 32 letters, digits, _ or -").into())
                }
            }
        })
        .on_publish(async |_, request| {
            let line: Option<Line> = serde_json::from_slice(&request.data).ok();
            let line = line
                .filter(|line| !line.text.trim().is_empty() && line.text.chars().count() <= TEXT);
            let line =
                line.ok_or_else(|| ClientError::new(400, "a text has 1 to 2000 characters"))?;
            serde_json::to_vec(&line).map_err(|_| ClientError::internal().into())
        })
}
