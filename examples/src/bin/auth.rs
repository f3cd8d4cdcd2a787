//! Authentication: a session cookie, an origin check, and a session that is renewed while the connection is open.
//!
//! Run: `cargo run --release --bin auth -- --runtime smol --listen 127.0.0.1:9008`
//! See: `listening on http://127.0.0.1:9008`; get `/login?user=ada&password=lovelace`: the response sets a cookie. With it, the WebSocket
//! `/private` greets; without it, or from a page of another host, it is refused. Ten seconds before a session ends the server sends
//! `{"kind":"expiring"}`; a client that does not answer `{"kind":"renew"}` is closed with 4001, and may log in and reconnect.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use futures_lite::future::or;
use sansws_async::app::{Auth, Credential, Route};
use sansws_async::{Error as Failure, Result as Outcome, Scope, Transport, Upgrade};
use sansws_core::close::CloseCode;
use sansws_core::http::Response;
use sansws_examples::{Runtime, milliseconds, run};
use serde_json::{Value, json};

/// Serves users who have logged in.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9008")]
    listen: String,
    /// How long a session lasts, in milliseconds.
    #[arg(long, default_value_t = 60_000)]
    session: u64,
    /// How long before its end the client is warned, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    notice: u64,
}

/// Maximum number of sessions at once.
const SESSIONS: usize = 1_000;

/// A user.
#[derive(Clone, Debug)]
struct User {
    name: String,
    token: String,
}

/// Sessions by token, with their user and their end.
#[derive(Debug, Default)]
struct Sessions(Mutex<BTreeMap<String, (String, u64)>>);

impl Sessions {
    fn open(&self, name: &str, life: u64) -> Option<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = milliseconds();
        all.retain(|_, (_, until)| *until > now);
        if all.len() >= SESSIONS {
            return None;
        }
        all.insert(token.clone(), (name.to_owned(), now + life));
        Some(token)
    }

    /// Returns the user of a session.
    fn find(&self, token: &str) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, until) = all.get(token)?;
        (*until > milliseconds()).then(|| name.clone())
    }

    /// Returns what is left of a session, in milliseconds; `renew` sets its end to so long from now.
    fn left(&self, token: &str, renew: Option<u64>) -> u64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = milliseconds();
        let Some((_, until)) = all.get_mut(token) else {
            return 0;
        };
        if let Some(life) = renew.filter(|_| *until > now) {
            *until = now + life;
        }
        until.saturating_sub(now)
    }
}

/// A password in a query ends up in logs: post a real one over TLS, to the server of the site.
async fn login(scope: Scope, sessions: Arc<Sessions>, life: u64) -> Response {
    let value = |name| scope.query_value(name).unwrap_or_default().into_owned();
    let name = value("user");
    if name != "ada" || value("password") != "lovelace" {
        return Response::text(403, "wrong user or password\n");
    }
    match sessions.open(&name, life) {
        Some(token) => Response::text(200, "welcome\n").with(
            "Set-Cookie",
            format!("session={token}; HttpOnly; SameSite=Strict; Path=/"),
        ),
        None => Response::text(503, "too many sessions\n"),
    }
}

/// Talks to a user who has logged in, while the session lasts.
async fn private<T: Transport>(
    upgrade: Upgrade<T>,
    sessions: Arc<Sessions>,
    options: Options,
    sleep: impl AsyncFn(Duration),
) -> Outcome {
    let user = upgrade.state::<User>()?;
    let mut socket = upgrade.accept().await?;
    socket
        .send_json(&json!({"kind": "hello", "name": user.name}))
        .await?;
    let mut warned = false;
    loop {
        let left = sessions.left(&user.token, None);
        if left == 0 {
            let code = CloseCode::try_from(4001)?;
            return Err(Failure::close(code, "the session has ended"));
        }
        let wait = if warned {
            left
        } else {
            left.saturating_sub(options.notice)
        };
        // Whichever comes first; the one that is dropped loses nothing.
        let got = or(
            async { Some(socket.receive_json::<Value>().await) },
            async {
                sleep(Duration::from_millis(wait)).await;
                None
            },
        );
        match got.await {
            Some(message) => match message? {
                None => return Ok(()),
                Some(message) if message.get("kind").is_some_and(|kind| kind == "renew") => {
                    sessions.left(&user.token, Some(options.session));
                    warned = false;
                    socket.send_json(&json!({"kind": "renewed"})).await?;
                }
                Some(message) => {
                    let echo = json!({"kind": "echo", "of": message});
                    socket.send_json(&echo).await?;
                }
            },
            None if !warned => {
                warned = true;
                socket.send_json(&json!({"kind": "expiring"})).await?;
            }
            None => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let sessions = Arc::new(Sessions::default());
    let known = Arc::clone(&sessions);
    let verify = move |credential: Credential| {
        let name = known.find(&credential.secret);
        let token = credential.secret;
        async move { name.map(|name| User { name, token }) }
    };
    run!(options.runtime, adapter, async {
        let (opened, settings) = (Arc::clone(&sessions), options.clone());
        let handler = move |upgrade: adapter::Upgrade| {
            let (sessions, options) = (Arc::clone(&sessions), settings.clone());
            private(upgrade, sessions, options, adapter::sleep)
        };
        let life = options.session;
        let router = adapter::Router::new()
            .get("/login", move |scope| {
                login(scope, Arc::clone(&opened), life)
            })
            .add(Route::new("/private", handler).layer(Auth::cookie("session", verify)));
        let server = adapter::Server::bind(options.listen.as_str()).await?;
        println!("listening on http://{}", server.local_addr()?);
        server.serve(router).await
    })?;
    Ok(())
}
