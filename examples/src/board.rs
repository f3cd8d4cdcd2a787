//! Live metrics of the process, measured once a second and published to all watchers.
//!
//! A slow watcher skips numbers and gets the newest; a new watcher gets the newest at once.

use std::time::{Duration, Instant};

use sansws_async::app::Route;
use sansws_async::hub::Hub;
use sansws_async::{Error, HubEnv, Result, ServerHandle, Transport, Upgrade};
use sansws_core::hub::{
    FilterError, GroupOptions, HistoryOptions, HubError, HubOptions, SlowConsumerPolicy,
};
use serde_json::json;

use crate::monitor::{cpu_seconds, memory_bytes};
use crate::{join_kept, milliseconds};

/// The groups of the watchers: one for each server, because hubs may be linked.
const GROUPS: &str = "numbers/+";

/// The time between two measurements.
const PERIOD: Duration = Duration::from_secs(1);

/// The numbers of a server.
#[derive(Debug)]
pub struct Board<O> {
    group: String,
    handle: ServerHandle,
    hub: Hub<O>,
    begun: Instant,
}

/// Counters; the rates are differences of two of them.
struct Totals {
    taken: Instant,
    published: u64,
    delivered: u64,
    cpu: Option<f64>,
}

/// Makes a hub keep only the newest numbers.
///
/// # Errors
/// Never: the filter is valid.
pub fn rule(options: HubOptions) -> Result<HubOptions, FilterError> {
    let newest = HistoryOptions {
        messages: 1,
        ..HistoryOptions::default()
    };
    let group = GroupOptions::default()
        .history(newest)
        .slow_consumer(SlowConsumerPolicy::KeepLatest);
    Ok(options.rule(GROUPS.parse()?, group))
}

async fn watcher<T: Transport, O: HubEnv>(
    upgrade: Upgrade<T>,
    hub: Hub<O>,
    group: String,
) -> Result {
    let mut socket = upgrade.accept().await?;
    join_kept(&socket, &hub, &group, None).await?;
    // The page sends nothing that matters, but its end does.
    while socket.receive().await?.is_some() {}
    Ok(())
}

impl<O: HubEnv> Board<O> {
    /// Creates the board of the server `name` behind `handle`, whose connections use `hub`.
    pub fn new(name: &str, handle: ServerHandle, hub: &Hub<O>) -> Self {
        Self {
            group: format!("numbers/{name}"),
            handle,
            hub: hub.clone(),
            begun: now(),
        }
    }

    /// Returns a route that sends the numbers to each connection.
    pub fn route<T>(&self, pattern: &str) -> Route<T>
    where
        T: Transport + Send + 'static,
        O: 'static,
    {
        let (hub, group) = (self.hub.clone(), self.group.clone());
        let watch = move |upgrade| watcher(upgrade, hub.clone(), group.clone());
        Route::new(pattern, watch).hub(&self.hub)
    }

    /// Measures forever; `sleep` is the runtime's.
    ///
    /// # Errors
    /// When the hub refuses the numbers.
    pub async fn run(&self, sleep: impl AsyncFn(Duration)) -> Result<(), Error> {
        let mut before = self.totals();
        loop {
            sleep(PERIOD).await;
            let totals = self.totals();
            let numbers = self.numbers(&before, &totals);
            let publish = self.hub.publish(self.group.as_str(), numbers);
            match publish.key(&self.group).try_publish() {
                // A node that is behind or cut off publishes the next numbers in a second.
                Ok(_) | Err(Error::Hub(HubError::Backpressure | HubError::Down)) => {}
                Err(error) => return Err(error),
            }
            before = totals;
        }
    }

    fn totals(&self) -> Totals {
        let counters = self.hub.metrics().hub.counters;
        Totals {
            taken: now(),
            published: counters.published,
            delivered: counters.delivered,
            cpu: cpu_seconds(),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "they are drawn with three digits"
    )]
    fn numbers(&self, before: &Totals, totals: &Totals) -> String {
        let seconds = totals.taken.duration_since(before.taken).as_secs_f64();
        let per_second = |before: u64, now: u64| (now.saturating_sub(before)) as f64 / seconds;
        let cpu = before.cpu.zip(totals.cpu);
        let (published, delivered) = (
            per_second(before.published, totals.published),
            per_second(before.delivered, totals.delivered),
        );
        json!({
            "at": milliseconds(),
            "connections": self.handle.open(),
            "messages_per_second": published + delivered,
            "published_per_second": published,
            "cpu_percent": cpu.map(|(before, now)| (now - before) / seconds * 100.0),
            "memory_kib": memory_bytes().map(|bytes| bytes / 1024),
            "uptime_seconds": totals.taken.duration_since(self.begun).as_secs(),
        })
        .to_string()
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
    Instant::now()
}
