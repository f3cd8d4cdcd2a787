//! The processes that are measured: this program again, told what to be.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, Value, cmd};
use sansws_core::hub::{GroupOptions, HistoryOptions, HubOptions};
use sansws_redis::{Redis, RedisOptions, Runtime, hub_options};
use sansws_tokio::{Hub, Result, Router, Upgrade};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server with a hub of its own that publishes, too.
    Local,
    /// Subscribes by the `redis` crate, and writes frames.
    BareNode,
    /// A server that is linked.
    Node,
    /// The same, and what is published is kept.
    NodeWithHistory,
}

/// The variable by which a process knows what it is.
const VARIABLE: &str = "SANSWS_BENCH_ROLE";

/// What a process is told: whether it publishes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    pub role: Role,
    /// It publishes so many messages when it is told to; none: it has members.
    pub messages: usize,
    pub in_flight: usize,
    /// Microseconds between messages.
    pub every: u64,
}

impl Orders {
    pub fn environment(&self, url: &str) -> (&'static str, String) {
        let role = self.role as u8;
        let text = format!(
            "{role} {} {} {} {url}",
            self.messages, self.in_flight, self.every
        );
        (VARIABLE, text)
    }
}

/// Is one of the processes, if it was started as one.
pub fn be_one() -> bool {
    let Ok(text) = std::env::var(VARIABLE) else {
        return false;
    };
    let words: Vec<&str> = text.split(' ').collect();
    let [role, messages, in_flight, every, url] = words[..] else {
        panic!("{text}");
    };
    let role = [
        Role::Local,
        Role::BareNode,
        Role::Node,
        Role::NodeWithHistory,
    ][role.parse::<usize>().unwrap()];
    let orders = Orders {
        role,
        messages: messages.parse().unwrap(),
        in_flight: in_flight.parse().unwrap(),
        every: every.parse().unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match role {
        Role::BareNode => runtime.block_on(bare(orders, url)),
        _ => runtime.block_on(node(orders, url)),
    }
    true
}

/// 125 octets, of which the first say when it was published.
fn message() -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    format!("{:<125}", now.as_micros())
}

/// Waits for a line.
async fn told() {
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()))
        .await
        .unwrap()
        .unwrap();
}

async fn publish_all<F: Future<Output = ()>>(orders: Orders, publish: impl Fn(String) -> F) {
    told().await;
    let mut flying = FuturesUnordered::new();
    for _ in 0..orders.messages {
        if orders.every > 0 {
            tokio::time::sleep(Duration::from_micros(orders.every)).await;
        }
        flying.push(publish(message()));
        if flying.len() >= orders.in_flight {
            flying.next().await;
        }
    }
    while flying.next().await.is_some() {}
    println!("done");
    told().await;
}

async fn room(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    socket.join("room").await?;
    socket.send_text("in").await?;
    while socket.receive().await?.is_some() {}
    Ok(())
}

async fn node(orders: Orders, url: &str) {
    let mut groups = GroupOptions::default();
    if orders.role == Role::NodeWithHistory {
        groups = groups.history(HistoryOptions::default());
    }
    let mut options = HubOptions::default().groups(groups);
    options.queue_limits.messages = 1 << 20;
    options.queue_limits.bytes = 1 << 30;
    let hub = if orders.role == Role::Local {
        Hub::with_options(options)
    } else {
        let (hub, link) = Hub::linked(hub_options(options));
        let redis = Redis::new(link, Runtime::Tokio, RedisOptions::one(url, "bench")).unwrap();
        let status = redis.status();
        tokio::spawn(redis.run());
        while !status.is_up() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        hub
    };
    let server = sansws_tokio::Server::bind("127.0.0.1:0").await.unwrap();
    println!("listening {}", server.local_addr().unwrap());
    let router = Router::new().route("/", room).hub(&hub);
    let serving = tokio::spawn(async move { server.serve(router).await });
    if orders.messages > 0 {
        publish_all(orders, |text| {
            let publishing = hub.publish("room", text);
            async move {
                publishing.await.unwrap();
            }
        })
        .await;
    } else {
        serving.await.unwrap().unwrap();
    }
}

/// What arrived and was not written yet.
#[derive(Default)]
struct Arrived {
    frames: Vec<u8>,
    waker: Option<std::task::Waker>,
}

async fn bare(orders: Orders, url: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening {}", listener.local_addr().unwrap());
    let client = Client::open(format!("{url}?protocol=resp3")).unwrap();
    let arrived: Arc<Mutex<Arrived>> = Arc::default();
    let sink = Arc::clone(&arrived);
    let config = AsyncConnectionConfig::new().set_push_sender(move |info: PushInfo| {
        if let (PushKind::Message, Some(Value::BulkString(text))) = (info.kind, info.data.get(1)) {
            let mut arrived = sink.lock().unwrap();
            arrived.frames.extend([0x81, text.len() as u8]);
            arrived.frames.extend(text);
            arrived
                .waker
                .take()
                .into_iter()
                .for_each(std::task::Waker::wake);
        }
        Ok::<(), redis::aio::SendError>(())
    });
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap();
    if orders.messages > 0 {
        return publish_all(orders, |text| {
            let mut connection = connection.clone();
            async move {
                let _: u64 = cmd("PUBLISH")
                    .arg("room")
                    .arg(text)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
            }
        })
        .await;
    }
    connection.subscribe("room").await.unwrap();
    let sockets: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let accepted = Arc::clone(&sockets);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            socket.write_all(b"\x81\x02in").await.unwrap();
            accepted.lock().unwrap().push(socket);
        }
    });
    loop {
        let frames = std::future::poll_fn(|cx| {
            let mut arrived = arrived.lock().unwrap();
            if arrived.frames.is_empty() {
                arrived.waker = Some(cx.waker().clone());
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(std::mem::take(&mut arrived.frames))
        })
        .await;
        let mut all = std::mem::take(&mut *sockets.lock().unwrap());
        for socket in &mut all {
            socket.write_all(&frames).await.unwrap();
        }
        sockets.lock().unwrap().append(&mut all);
    }
}

/// Where a process listens, from what it says.
pub fn address(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening ")?.parse().ok()
}
