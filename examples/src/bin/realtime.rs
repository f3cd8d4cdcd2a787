//! The server for public client libraries of the Centrifuge protocol: namespaces, tokens, an HTTP API.
//!
//! Run: `cargo run --release --bin realtime -- --insecure`
//! See: `listening on ws://127.0.0.1:8000`; then, in Node, `new Centrifuge("ws://127.0.0.1:8000/connection/websocket")` of the npm package
//! `centrifuge`. Publish from a shell: `curl -H 'X-API-Key: test-api-key' -d '{"channel":"recovery:a","data":{"n":1}}'
//! http://127.0.0.1:8000/api/publish`. With `--secret S`, clients need a JWT, signed with that secret.

use std::error::Error;
use std::future::ready;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sansws_async::HubEnv;
use sansws_async::app::Route;
use sansws_async::hub::Hub;
use sansws_centrifuge::{Access, Centrifuge, Namespace, Options as Protocol, TokenKeys};
use sansws_core::hub::{HistoryOptions, HubOptions, OutagePolicy};
use sansws_examples::{Runtime, RuntimeOrLoop, log, run};
use sansws_redis::{Redis, RedisOptions, hub_options};

/// Serves clients of the Centrifuge protocol.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on, or an event loop.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: RuntimeOrLoop,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: String,
    /// Anybody may connect, subscribe and publish, even without a token.
    #[arg(long)]
    insecure: bool,
    /// The secret that signs tokens.
    #[arg(long)]
    secret: Option<String>,
    /// A file with a JSON Web Key Set, whose keys verify tokens.
    #[arg(long)]
    jwks: Option<PathBuf>,
    /// The URL of a Redis server that links this server with others.
    #[arg(long)]
    redis: Option<String>,
    /// The prefix of all keys in Redis.
    #[arg(long, default_value = "realtime")]
    prefix: String,
    /// The key of the HTTP API.
    #[arg(long, default_value = "test-api-key")]
    api_key: String,
    /// Clients have no methods to call.
    #[arg(long)]
    no_rpc: bool,
    /// Seconds between pings.
    #[arg(long, default_value = "25")]
    ping: u64,
}

/// How long clients are told to leave, after SIGTERM or ^C.
const DRAIN: Duration = Duration::from_secs(1);

fn history(messages: usize) -> HistoryOptions {
    HistoryOptions {
        messages,
        recovery: messages,
        bytes: 64 << 20,
        age: Duration::from_secs(300),
    }
}

/// Each namespace shows some options.
fn namespaces(options: &Options) -> Protocol {
    let open = |namespace: Namespace| {
        let namespace = namespace.publish(Access::Subscribers);
        namespace.read(Access::Subscribers)
    };
    let mut protocol = Protocol::default()
        .default_namespace(open(
            Namespace::default()
                .recovery(history(100))
                .force_join_leave(),
        ))
        .namespace(
            "recovery",
            open(
                Namespace::default()
                    .recovery(history(10_000))
                    .join_leave()
                    .deltas(),
            ),
        )
        .namespace(
            "smallhistory",
            open(Namespace::default().recovery(history(2))),
        )
        .namespace(
            "delta",
            open(Namespace::default().recovery(history(100)).deltas()),
        )
        .namespace("news", Namespace::default().subscribe().positions())
        .namespace("plain", open(Namespace::default().subscribe()));
    // Commands beside a stream may reach any server.
    protocol.fallback_secret = options
        .secret
        .clone()
        .or_else(|| Some(options.api_key.clone()));
    protocol.insecure = options.insecure;
    protocol.personal_channels = true;
    protocol.ping = Duration::from_secs(options.ping);
    protocol.pong = protocol.pong.min(protocol.ping / 2);
    protocol
}

/// Returns the keys that verify tokens, if there are any.
fn keys(options: &Options) -> Result<Option<TokenKeys>, Box<dyn Error>> {
    if options.secret.is_none() && options.jwks.is_none() {
        return Ok(None);
    }
    let mut keys = TokenKeys::default();
    if let Some(secret) = &options.secret {
        keys = keys.hmac(secret.as_bytes());
    }
    if let Some(path) = &options.jwks {
        keys = keys.jwks(&std::fs::read_to_string(path)?)?;
    }
    Ok(Some(keys))
}

/// Returns the hub, and what links it with those of other servers.
fn hub<E: HubEnv>(
    options: &Options,
    protocol: &Protocol,
    runtime: sansws_redis::Runtime,
) -> Result<(Hub<E>, Option<Redis>), Box<dyn Error>> {
    let mut of_hub = protocol.configure(HubOptions::default());
    // A client of a recoverable channel must not miss what another server published meanwhile.
    of_hub.on_outage = OutagePolicy::Refuse;
    let Some(url) = &options.redis else {
        return Ok((Hub::with_options(of_hub), None));
    };
    let (hub, link) = Hub::linked(hub_options(of_hub));
    let redis = RedisOptions::one(url, &options.prefix);
    Ok((hub, Some(Redis::new(link, runtime, redis)?)))
}

/// Returns the endpoint, which is written once for all runtimes and loops.
fn endpoint<E: HubEnv>(
    hub: &Hub<E>,
    protocol: Protocol,
    keys: Option<TokenKeys>,
    options: &Options,
) -> Centrifuge<E> {
    let mut centrifuge = Centrifuge::new(hub, protocol);
    if !options.no_rpc {
        centrifuge = centrifuge.on_rpc("echo", async |_, data| Ok(data));
    }
    match keys {
        Some(keys) => centrifuge.tokens(keys),
        None => centrifuge,
    }
}

/// Serves on one event loop.
fn on_event_loop(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut server = sansws_mio::Server::bind(options.listen.as_str())?.drain_on_signal(DRAIN);
    println!("listening on ws://{}", server.local_addr()?);
    let protocol = namespaces(options);
    let (hub, link) = hub(options, &protocol, sansws_redis::Runtime::Tokio)?;
    let centrifuge = endpoint(&hub, protocol, keys(options)?, options);
    let (handle, of_hub) = (server.handle(), hub.clone());
    let health = move |_| Ok(handle.health(Some(&of_hub.metrics())).response());
    let router = sansws_mio::Router::new()
        .get("/health", health)
        .mount("/api", centrifuge.loop_api(&options.api_key))
        .merge(centrifuge.loop_fallbacks())
        .route("/connection/websocket", centrifuge)
        .hub(&hub);
    // The link has a thread of its own.
    let link = link.map(|link| Ok::<_, std::io::Error>((link.status(), link.run_on_thread()?)));
    let link = link.transpose()?;
    let served = server.serve(router);
    if let Some((status, thread)) = link {
        status.close();
        thread.join().map_err(|_| "the link to Redis panicked")?;
    }
    Ok(served?)
}

fn main() -> Result<(), Box<dyn Error>> {
    log();
    let options = Options::parse();
    let Some(runtime) = options.runtime.runtime() else {
        return on_event_loop(&options);
    };
    let protocol = namespaces(&options);
    let keys = keys(&options)?;
    run!(runtime, adapter, async {
        let mut server = adapter::Server::bind(options.listen.as_str())
            .await?
            .drain_on_signal(DRAIN);
        println!("listening on ws://{}", server.local_addr()?);
        let of_redis = match runtime {
            Runtime::Tokio => sansws_redis::Runtime::Tokio,
            Runtime::Smol => sansws_redis::Runtime::Smol,
        };
        let (hub, link): (adapter::Hub, _) = hub(&options, &protocol, of_redis)?;
        let centrifuge = endpoint(&hub, protocol, keys, &options);
        let (handle, of_hub) = (server.handle(), hub.clone());
        let health = Route::get("/health", move |_| {
            ready(handle.health(Some(&of_hub.metrics())).response())
        });
        let router = adapter::Router::new()
            .add(health.always())
            .mount("/api", centrifuge.api(&options.api_key))
            .merge(centrifuge.fallbacks())
            .route("/connection/websocket", centrifuge)
            .hub(&hub);
        let status = link.as_ref().map(Redis::status);
        let serving = async {
            let served = server.serve(router).await;
            status.iter().for_each(sansws_redis::Status::close);
            served
        };
        let linking = async {
            if let Some(link) = link {
                link.run().await;
            }
        };
        futures_lite::future::zip(serving, linking).await.0?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok(())
}
