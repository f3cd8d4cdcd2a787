//! Live numbers: what the process costs and carries, measured once a second and told to all who watch.
//!
//! A watcher that is slow misses numbers and gets the newest: one waits for him, never two.

use std::fs::read_to_string;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, bounded};
use futures_lite::future::or;
use sansws_core::drive::{Gate, Result, Transport, Upgrade};
use sansws_core::message::Prepared;
use serde_json::json;

use crate::{Meter, milliseconds};

/// Between two measurements.
const PERIOD: Duration = Duration::from_secs(1);

/// Ticks in a second, in which Linux counts the time that a process has used.
const TICKS: f64 = 100.0;

/// The numbers of a server.
#[derive(Debug)]
pub struct Board {
    gate: Gate,
    meter: Arc<Meter>,
    begun: Instant,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    newest: Option<Prepared>,
    all: Vec<Sender<Prepared>>,
}

/// What only grows; numbers per second are the difference of two.
struct Totals {
    taken: Instant,
    messages: u64,
    octets: u64,
    cpu: Option<f64>,
}

/// The handler: tells the numbers to whoever comes.
pub async fn watcher<T: Transport + Send + 'static>(upgrade: Upgrade<T>) -> Result {
    let board: Arc<Board> = upgrade.state()?;
    let (mut read, mut write) = upgrade.accept().await?.split();
    let numbers = board.watch();
    let tell = async {
        while let Ok(line) = numbers.recv().await {
            write.send_prepared(&line).await?;
            board.meter.count(line.payload().len());
        }
        Ok(())
    };
    // Nothing is asked, so what is said is not listened to; but the end is.
    let hear = async {
        while read.receive().await?.is_some() {}
        Ok(())
    };
    or(hear, tell).await
}

impl Board {
    /// The numbers of the server behind `gate`, whose handlers count on `meter`.
    pub fn new(gate: Gate, meter: Arc<Meter>) -> Self {
        Self {
            gate,
            meter,
            begun: now(),
            watchers: Mutex::default(),
        }
    }

    /// Measures for ever; `sleep` is the runtime's.
    pub async fn run(&self, sleep: impl AsyncFn(Duration)) {
        let mut before = self.totals();
        loop {
            sleep(PERIOD).await;
            let totals = self.totals();
            self.publish(self.numbers(&before, &totals));
            before = totals;
        }
    }

    fn watch(&self) -> Receiver<Prepared> {
        let (sender, receiver) = bounded(1);
        let mut watchers = self.watchers();
        if let Some(newest) = watchers.newest.clone() {
            let _ = sender.try_send(newest);
        }
        watchers.all.push(sender);
        receiver
    }

    fn publish(&self, line: Prepared) {
        let mut watchers = self.watchers();
        watchers
            .all
            .retain(|watcher| watcher.force_send(line.clone()).is_ok());
        watchers.newest = Some(line);
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn totals(&self) -> Totals {
        let (messages, octets) = self.meter.totals();
        Totals {
            taken: now(),
            messages,
            octets,
            cpu: cpu_seconds(),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "they are drawn, with three digits"
    )]
    fn numbers(&self, before: &Totals, totals: &Totals) -> Prepared {
        let seconds = totals.taken.duration_since(before.taken).as_secs_f64();
        let per_second = |before: u64, now: u64| (now.saturating_sub(before)) as f64 / seconds;
        let cpu = before.cpu.zip(totals.cpu);
        let numbers = json!({
            "at": milliseconds(),
            "connections": self.gate.open(),
            "messages_per_second": per_second(before.messages, totals.messages),
            "octets_per_second": per_second(before.octets, totals.octets),
            "cpu_percent": cpu.map(|(before, now)| (now - before) / seconds * 100.0),
            "memory_kib": memory_kib(),
            "uptime_seconds": totals.taken.duration_since(self.begun).as_secs(),
        });
        Prepared::new(numbers.to_string().as_str())
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
    Instant::now()
}

/// The processor time that this process has used; `None` where there is no `/proc`.
fn cpu_seconds() -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything; what is behind it begins with the third field.
    let fields = stat.rsplit_once(") ")?.1;
    let mut times = fields.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) / TICKS)
}

/// The memory that this process has in use, in KiB; `None` where there is no `/proc`.
fn memory_kib() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
