//! Clients that stay in a group whatever happens to servers, and check each number: none twice, none missing without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_core::hub::Position;
use sansws_tokio::{ConnectOptions, WebSocket, connect};

/// The observations of all clients.
#[derive(Debug, Default)]
pub struct Seen {
    /// The text at each position, by group: all clients must see equal texts.
    ledger: Mutex<BTreeMap<String, BTreeMap<(u64, u64), String>>>,
    /// The publications that servers acknowledged.
    acknowledged: Mutex<Vec<(String, Position, String)>>,
    pub faults: Mutex<Vec<String>>,
    pub received: AtomicU64,
    pub reconnects: AtomicU64,
    /// Messages that were reported as lost, or may have been.
    pub gaps: AtomicU64,
    /// Recoveries that were not complete.
    pub incomplete: AtomicU64,
    pub recovered: AtomicU64,
    pub refused: AtomicU64,
    published: AtomicU64,
    joined: AtomicUsize,
    stop: AtomicBool,
}

impl Seen {
    fn fault(&self, text: String) {
        let mut faults = self.faults.lock().unwrap();
        if faults.len() < 20 {
            faults.push(text);
        }
    }

    fn saw(&self, group: &str, position: Position, text: &str) {
        self.received.fetch_add(1, Ordering::Relaxed);
        let mut ledger = self.ledger.lock().unwrap();
        let of_group = ledger.entry(group.to_owned()).or_default();
        let place = (position.epoch, position.offset);
        let known = of_group.entry(place).or_insert_with(|| text.to_owned());
        if known != text {
            let text = format!("{group} {position}: one client saw {known:?}, another {text:?}");
            drop(ledger);
            self.fault(text);
        }
    }

    /// Whether what servers acknowledged stands where they said.
    fn check_acknowledged(&self) {
        let ledger = self.ledger.lock().unwrap();
        for (group, position, text) in self.acknowledged.lock().unwrap().iter() {
            let place = (position.epoch, position.offset);
            let seen = ledger.get(group).and_then(|of_group| of_group.get(&place));
            if seen != Some(text) {
                self.fault(format!(
                    "{group} {position}: {text:?} was acknowledged, and {seen:?} was received"
                ));
            }
        }
    }
}

/// Where clients go to: the servers that there are now.
pub type Servers = Arc<Mutex<Vec<SocketAddr>>>;

/// Many clients, and those who publish.
pub struct Crowd {
    pub seen: Arc<Seen>,
    pub servers: Servers,
    groups: Vec<String>,
    /// Where each client stands.
    places: Vec<Arc<Mutex<Option<Position>>>>,
    of: Vec<String>,
    publishers: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    /// Starts `clients` clients in `groups` groups, spread over the servers.
    pub async fn enter(servers: Vec<SocketAddr>, clients: usize, groups: usize) -> Self {
        let mut crowd = Self {
            seen: Arc::default(),
            servers: Arc::new(Mutex::new(servers)),
            groups: (0..groups).map(|n| format!("room/{n}")).collect(),
            places: Vec::new(),
            of: Vec::new(),
            publishers: Vec::new(),
        };
        for n in 0..clients {
            let group = crowd.groups[n % groups].clone();
            let place = Arc::default();
            let client = Client {
                n,
                group: group.clone(),
                seen: Arc::clone(&crowd.seen),
                servers: Arc::clone(&crowd.servers),
                place: Arc::clone(&place),
                missing: 0,
                unknown: false,
            };
            tokio::spawn(client.stay());
            crowd.places.push(place);
            crowd.of.push(group);
        }
        crowd
            .until("all are in", |crowd| {
                crowd.seen.joined.load(Ordering::Relaxed) >= clients
            })
            .await;
        crowd
    }

    /// On each server somebody publishes to all groups in turn, so often.
    pub fn publish(&mut self, publishers: usize, every: Duration) {
        for n in 0..publishers {
            let publisher = Publisher {
                n,
                groups: self.groups.clone(),
                seen: Arc::clone(&self.seen),
                servers: Arc::clone(&self.servers),
                every,
            };
            self.publishers.push(tokio::spawn(publisher.go_on()));
        }
    }

    pub async fn until(&self, what: &str, holds: impl FnMut(&Self) -> bool) {
        assert!(
            self.within(18_000, holds).await,
            "not within three minutes: {what}; {}; {:?}",
            self.report(),
            self.seen.faults.lock().unwrap()
        );
    }

    /// Waits until something holds, so many times 10 ms; returns whether it did.
    async fn within(&self, times: u32, mut holds: impl FnMut(&Self) -> bool) -> bool {
        for _ in 0..times {
            if holds(self) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    pub fn report(&self) -> String {
        let seen = &self.seen;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} published, {} refused, {} received, {} reconnects, {} recovered, {} incomplete, {} reported as lost",
            of(&seen.published),
            of(&seen.refused),
            of(&seen.received),
            of(&seen.reconnects),
            of(&seen.recovered),
            of(&seen.incomplete),
            of(&seen.gaps),
        )
    }

    /// Until so many more messages were published.
    pub async fn published(&self, more: u64) {
        let before = self.seen.published.load(Ordering::Relaxed);
        self.until("more is published", |crowd| {
            crowd.seen.published.load(Ordering::Relaxed) >= before + more
        })
        .await;
    }

    /// Publishes a last message to each group, and waits until all have it; then nothing may be wrong.
    /// Where history is kept, what was acknowledged was received, too. Where it is not, the last message may be lost as any other,
    /// which is reported, so another one follows until all have it.
    pub async fn finish(mut self, history: bool) -> Arc<Seen> {
        self.seen.stop.store(true, Ordering::Relaxed);
        for publisher in self.publishers.drain(..) {
            publisher.await.unwrap();
        }
        let mut last = BTreeMap::new();
        for group in &self.groups {
            last.insert(group.clone(), self.publish_last(group).await);
        }
        for _ in 0..20 {
            let all_have_it = self.within(500, |crowd| crowd.behind(&last).is_empty());
            if history || all_have_it.await {
                break;
            }
            for group in self.behind(&last) {
                let position = self.publish_last(&group).await;
                last.insert(group, position);
            }
        }
        self.until("all have the last message", |crowd| {
            crowd.behind(&last).is_empty()
        })
        .await;
        if history {
            self.seen.check_acknowledged();
        }
        println!("  {}", self.report());
        let faults = self.seen.faults.lock().unwrap().clone();
        assert!(faults.is_empty(), "{faults:#?}");
        Arc::clone(&self.seen)
    }

    /// The groups of which not all clients have the last message.
    fn behind(&self, last: &BTreeMap<String, Position>) -> BTreeSet<String> {
        let places = self.places.iter().zip(&self.of);
        places
            .filter(|(place, group)| *place.lock().unwrap() != Some(last[*group]))
            .map(|(_, group)| group.clone())
            .collect()
    }

    async fn publish_last(&self, group: &str) -> Position {
        for attempt in 0..200 {
            if let Some(Some(position)) =
                publish_once(&self.servers, attempt, group, "the last").await
            {
                return position;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nothing can be published to {group}");
    }
}

async fn publish_once(
    servers: &Servers,
    n: usize,
    group: &str,
    text: &str,
) -> Option<Option<Position>> {
    let (mut socket, _) = enter(servers, n, group, None).await?;
    socket.send_text(text).await.ok()?;
    while let Ok(Some(said)) = socket.receive_text().await {
        match said.split_once(' ')? {
            ("A", rest) => {
                let (position, _) = rest.split_once(' ')?;
                return Some(position.parse().ok());
            }
            ("E", _) => return Some(None),
            _ => {}
        }
    }
    None
}

/// Connects to one of the servers, and joins.
async fn enter(
    servers: &Servers,
    n: usize,
    group: &str,
    since: Option<Position>,
) -> Option<(WebSocket, String)> {
    let address = {
        let servers = servers.lock().unwrap();
        servers.get(n % servers.len().max(1)).copied()?
    };
    let since = since
        .map(|position| format!("?since={position}"))
        .unwrap_or_default();
    let url = format!("ws://{address}/{group}{since}");
    let mut socket = tokio::time::timeout(
        Duration::from_secs(10),
        connect(&url, ConnectOptions::default()),
    )
    .await
    .ok()?
    .ok()?;
    let said = tokio::time::timeout(Duration::from_secs(30), async {
        let mut early = Vec::new();
        loop {
            match socket.receive_text().await {
                Ok(Some(said)) if said.starts_with("J ") => return Some((said, early)),
                // Replayed messages come before the answer.
                Ok(Some(said)) => early.push(said),
                _ => return None,
            }
        }
    });
    let (said, early) = said.await.ok()??;
    Some((
        socket,
        early
            .into_iter()
            .chain([said])
            .collect::<Vec<_>>()
            .join("\n"),
    ))
}

struct Client {
    n: usize,
    group: String,
    seen: Arc<Seen>,
    servers: Servers,
    place: Arc<Mutex<Option<Position>>>,
    /// Number of messages reported as lost that are not accounted for yet.
    missing: u64,
    /// Something was lost, nobody knows how much.
    unknown: bool,
}

impl Client {
    async fn stay(mut self) {
        let mut attempt = 0;
        loop {
            let since = *self.place.lock().unwrap();
            // Another server than before: any can do it.
            if let Some((mut socket, said)) =
                enter(&self.servers, self.n + attempt, &self.group, since).await
            {
                if attempt == 0 {
                    self.seen.joined.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.seen.reconnects.fetch_add(1, Ordering::Relaxed);
                }
                for line in said.lines() {
                    self.take(line);
                }
                while let Ok(Some(line)) = socket.receive_text().await {
                    self.take(&line);
                }
                attempt += 1;
            } else if attempt > 0 {
                attempt += 1;
            }
            let wait = 50 + (self.n as u64 * 7 + attempt as u64 * 13) % 200;
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn take(&mut self, line: &str) {
        let Some((kind, rest)) = line.split_once(' ') else {
            return;
        };
        match kind {
            "J" => self.joined(rest),
            "M" => {
                let (position, text) = rest.split_once(' ').unwrap();
                self.message(position, text);
            }
            "G" => match rest.parse::<u64>() {
                Ok(count) => {
                    self.missing += count;
                    self.seen.gaps.fetch_add(count, Ordering::Relaxed);
                }
                Err(_) => {
                    self.unknown = true;
                    self.seen.gaps.fetch_add(1, Ordering::Relaxed);
                }
            },
            "S" => self.seen.fault(format!("client {} was too slow", self.n)),
            _ => {}
        }
    }

    fn joined(&mut self, rest: &str) {
        let (position, how) = rest.split_once(' ').unwrap();
        let position: Option<Position> = position.parse().ok();
        let mut place = self.place.lock().unwrap();
        if how.starts_with("complete") {
            self.seen.recovered.fetch_add(1, Ordering::Relaxed);
            // The missed messages come behind this, and are checked like all others.
        } else {
            if place.is_some() {
                self.seen.incomplete.fetch_add(1, Ordering::Relaxed);
            }
            (self.missing, self.unknown) = (0, false);
            *place = position;
        }
    }

    fn message(&mut self, position: &str, text: &str) {
        let Ok(position) = position.parse::<Position>() else {
            return self
                .seen
                .fault(format!("client {}: {text:?} has no position", self.n));
        };
        self.seen.saw(&self.group, position, text);
        let before = self.place.lock().unwrap().replace(position);
        if let Some(before) = before {
            let missed = position.offset.wrapping_sub(before.offset).wrapping_sub(1);
            let is_next = position.epoch == before.epoch && missed == self.missing;
            if !is_next && !self.unknown {
                self.seen.fault(format!(
                    "client {} in {}: {position} came after {before}, and {} were reported as lost",
                    self.n, self.group, self.missing
                ));
            }
        }
        (self.missing, self.unknown) = (0, false);
    }
}

struct Publisher {
    n: usize,
    groups: Vec<String>,
    seen: Arc<Seen>,
    servers: Servers,
    every: Duration,
}

impl Publisher {
    async fn go_on(self) {
        let mut count = 0_usize;
        while !self.seen.stop.load(Ordering::Relaxed) {
            // Of a group of its own, so that it hears nothing but its answers.
            let Some((mut socket, _)) =
                enter(&self.servers, self.n, &format!("quiet/{}", self.n), None).await
            else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            while !self.seen.stop.load(Ordering::Relaxed) {
                let group = &self.groups[(self.n + count) % self.groups.len()];
                count += 1;
                let text = format!("p{}-{count}", self.n);
                if socket
                    .send_text(format!("to {group} {text}"))
                    .await
                    .is_err()
                {
                    break;
                }
                let Ok(Some(said)) = socket.receive_text().await else {
                    break;
                };
                match said.split_once(' ') {
                    Some(("A", rest)) => {
                        let (position, _) = rest.split_once(' ').unwrap();
                        let position = position.parse().unwrap();
                        let mut acknowledged = self.seen.acknowledged.lock().unwrap();
                        acknowledged.push((group.clone(), position, text));
                        self.seen.published.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => drop(self.seen.refused.fetch_add(1, Ordering::Relaxed)),
                }
                tokio::time::sleep(self.every).await;
            }
        }
    }
}

/// A present member that records presence changes.
pub struct Watcher {
    changes: Arc<Mutex<Vec<(usize, String)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watcher {
    pub async fn enter(address: SocketAddr, group: &str, user: &str) -> Self {
        let url = format!("ws://{address}/{group}?user={user}");
        let mut socket = connect(&url, ConnectOptions::default()).await.unwrap();
        let changes: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
        let noted = Arc::clone(&changes);
        let task = tokio::spawn(async move {
            while let Ok(Some(line)) = socket.receive_text().await {
                if let Some(change) = line.strip_prefix("P ") {
                    let mut words = change.splitn(3, ' ');
                    let count = words.nth(1).unwrap().parse().unwrap();
                    noted
                        .lock()
                        .unwrap()
                        .push((count, words.next().unwrap_or_default().to_owned()));
                }
            }
        });
        Self { changes, task }
    }

    /// How many were there after each change, and who came and went.
    pub fn changes(&self) -> Vec<(usize, String)> {
        self.changes.lock().unwrap().clone()
    }

    pub async fn until(&self, what: &str, mut holds: impl FnMut(&[(usize, String)]) -> bool) {
        for _ in 0..2_000 {
            if holds(&self.changes()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 20 s: {what}: {:?}", self.changes());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
