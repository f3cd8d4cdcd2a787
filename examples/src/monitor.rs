//! The live state of all nodes: each publishes its metrics once a second to a group of the hub, and a page draws them, for each node and in
//! total. If hubs are linked, every page sees every node; a silent node is shown as gone.
//!
//! It also serves operators' programs: `/metrics` for Prometheus, `/health/live` and `/health/ready`.

use std::fs::read_to_string;
use std::time::{Duration, Instant};

use sansws_async::app::{Route, Router};
use sansws_async::hub::Hub;
use sansws_async::metrics::{CodeClass, HandshakeFailure, RejectReason};
use sansws_async::{Error, HubEnv, Result, ServerHandle, Transport, Upgrade};
use sansws_core::http::Response;
use sansws_core::hub::{FilterError, GroupOptions, HubError, HubOptions, SlowConsumerPolicy};
use sansws_redis::Status;
use serde_json::{Map, Value, json};

use crate::{milliseconds, pages};

/// The group of the pages. It has no history, because each node reports again a second later.
const GROUP: &str = "$nodes";

/// The time between two reports.
const PERIOD: Duration = Duration::from_secs(1);

/// Linux counts the CPU time of a process in ticks; this many make a second.
const TICKS: f64 = 100.0;

/// Reports the state of one node.
#[derive(Debug)]
pub struct Monitor<O> {
    name: String,
    handle: ServerHandle,
    hub: Hub<O>,
    began: Instant,
    /// Distinguishes this run of the node from the previous one.
    run: u64,
    link: Option<Status>,
}

impl<O> Clone for Monitor<O> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            handle: self.handle.clone(),
            hub: self.hub.clone(),
            link: self.link.clone(),
            ..*self
        }
    }
}

/// Adds the rule for the group of the pages: a page that reads slowly gets the newest report of each node.
///
/// # Errors
/// Never: the filter is valid.
pub fn rule(options: HubOptions) -> Result<HubOptions, FilterError> {
    let group = GroupOptions::default().slow_consumer(SlowConsumerPolicy::KeepLatest);
    Ok(options.rule(GROUP.parse()?, group))
}

impl<O: HubEnv + 'static> Monitor<O> {
    /// Creates the monitor of the server behind `handle`, whose connections use `hub`. Names of nodes must be unique.
    pub fn new(name: &str, handle: ServerHandle, hub: &Hub<O>) -> Self {
        Self {
            name: name.into(),
            handle,
            hub: hub.clone(),
            began: now(),
            run: milliseconds(),
            link: None,
        }
    }

    /// Also reports the link to the other nodes.
    #[must_use]
    pub fn linked(mut self, link: Status) -> Self {
        self.link = Some(link);
        self
    }

    /// Returns routes to the page at `/dashboard` and to those for programs. On a public network, serve these on a separate listener.
    pub fn router<T: Transport + Send + 'static>(&self) -> Router<T> {
        Router::new()
            .get("/dashboard", pages::monitor())
            .get("/monitor.css", pages::monitor_css())
            .get("/monitor.js", pages::monitor_js())
            .add(Route::new("/dashboard/nodes", watcher).hub(&self.hub))
            .add(self.page("/metrics", Self::metrics))
            // Checked by the supervisor, to restart a server that hangs: one that drains, is full or has lost its backplane is alive.
            .add(self.page("/health/live", |_| Response::text(200, "alive\n")))
            // Checked by the load balancer.
            .add(self.page("/health/ready", Self::health))
            .add(self.page("/health", Self::health))
    }

    /// A page that is served even while the server is full or drains.
    fn page<T: Transport>(&self, path: &str, answer: fn(&Self) -> Response) -> Route<T> {
        let monitor = self.clone();
        let page = move |_| core::future::ready(answer(&monitor));
        Route::get(path, page).always()
    }

    fn metrics(&self) -> Response {
        let mut response =
            sansws_async::prometheus_response(&self.handle.metrics(), Some(&self.hub.metrics()));
        if let Some(link) = &self.link {
            response.body.extend(link.to_prometheus().into_bytes());
        }
        response
    }

    fn health(&self) -> Response {
        self.handle.health(Some(&self.hub.metrics())).response()
    }

    /// Reports forever; `sleep` is the runtime's.
    ///
    /// # Errors
    /// When the hub refuses the reports.
    pub async fn run(&self, sleep: impl AsyncFn(Duration)) -> Result<(), Error> {
        loop {
            match self.publish() {
                // A node that is behind or cut off sends the next report in a second.
                Ok(()) | Err(Error::Hub(HubError::Backpressure)) => {}
                Err(error) => return Err(error),
            }
            sleep(PERIOD).await;
        }
    }

    fn publish(&self) -> Result<(), Error> {
        let report = self.report().to_string();
        let publish = self.hub.publish(GROUP, report.clone());
        match publish.key(&self.name).without_history().try_publish() {
            // Tell the pages that are open here, even if the hub serves nobody without its backplane.
            Err(Error::Hub(HubError::Down)) => {
                for page in self.hub.members(GROUP) {
                    self.hub.send_to(page, report.clone())?;
                }
                Ok(())
            }
            published => published.map(|_| ()),
        }
    }

    /// Returns the metrics, with absolute counters: rates between two reports are right even if others in between are lost.
    fn report(&self) -> Value {
        let (server, hub) = (self.handle.metrics(), self.hub.metrics());
        let (done, held) = (&hub.hub.counters, &hub.hub.gauges);
        let health = self.handle.health(Some(&hub));
        let closed: Map<String, Value> = CodeClass::ALL
            .iter()
            .map(|class| (class.label().into(), server.closed(*class).into()))
            .collect();
        let all = |counts: &mut dyn Iterator<Item = u64>| counts.sum::<u64>();
        json!({
            "node": self.name,
            "run": self.run,
            "at": milliseconds(),
            "status": health.status.as_str(),
            "reason": health.reason,
            "backplane": hub.backplane.as_str(),
            "uptime": now().duration_since(self.began).as_secs(),
            "cpu_seconds": cpu_seconds(),
            "memory": memory_bytes(),
            "connections": server.connections,
            "websockets": server.websockets(),
            "accepted": server.accepted,
            "refused": all(&mut RejectReason::ALL.iter().map(|why| server.turned_away(*why))),
            "failed": all(&mut HandshakeFailure::ALL.iter().map(|why| server.failed(*why))),
            "handlers_failed": server.handlers_failed,
            "received": server.messages_received,
            "sent": server.messages_sent,
            "bytes_received": server.bytes_received,
            "bytes_sent": server.bytes_sent,
            "published": done.published,
            "put": done.received,
            "fan_out": done.fan_out,
            "largest_fan_out": done.largest_fan_out,
            "delivered": done.delivered,
            "groups": held.groups,
            "channels": held.channels,
            "waiting": held.waiting,
            "waiting_bytes": held.waiting_bytes,
            "history_bytes": hub.history_bytes,
            "gaps": done.gaps,
            "downs": done.downs,
            "dropped": {
                "newest": done.dropped_newest,
                "oldest": done.dropped_oldest,
                "conflated": done.dropped_conflated,
                "aged": done.dropped_aged,
                "unfit": done.dropped_unfit,
                "expired": done.expired,
                "discarded": done.discarded,
                "flooded": server.messages_dropped,
                "slow": done.closed_slow,
            },
            "closed": closed,
        })
    }
}

/// Serves an open page.
async fn watcher<T: Transport>(upgrade: Upgrade<T>) -> Result {
    let mut socket = upgrade.accept().await?;
    socket.join(GROUP).await?;
    // The page sends nothing that matters, but its end does.
    while socket.receive().await?.is_some() {}
    Ok(())
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
    Instant::now()
}

/// Returns the CPU time that this process has used, in seconds; `None` without `/proc`.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may contain anything; the third field follows it.
    let fields = stat.rsplit_once(") ")?.1;
    let mut times = fields.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) / TICKS)
}

/// Returns the resident memory of this process, in bytes; `None` without `/proc`.
pub(crate) fn memory_bytes() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
