//! Connects a hub, the machine and Redis.
//! Decides only when to connect.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};
use sansws_common::hub::Link;
use sansws_common::hub::internal::{caught, panic_message};
use sansws_core::hub::{BackplaneCommand, BackplaneEvent};
use sansws_core::internal::Retries;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};
use tracing::{info, warn};

use crate::connection::{Answers, Asking, Connection, Connector};
use crate::keys::Keys;
use crate::machine::Machine;
use crate::options::{RedisOptions, SetupError};
use crate::reading::Reading;
use crate::request::Failure;
use crate::runtime::{Runtime, Sleep};
use crate::scripts::Scripts;
use crate::status::{State, Status};

/// Maximum number of requests that are sent together.
const TOGETHER: usize = 512;

/// Maximum number of groups of requests in flight; later requests are gathered.
const ON_THEIR_WAY: usize = 4;

/// Maximum number of commands to take before other work has its turn.
const AT_ONCE: usize = 1_024;

/// Maximum number of events to deliver before checking whether readers need a turn.
const EVENTS: usize = 256;

/// How long a connection must last before the waits start again at the first one.
const SETTLED: Duration = Duration::from_secs(10);

/// How long an orderly end may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Links a hub with others through Redis, for as long as it runs.
///
/// For an example see the [page of the crate](crate).
#[must_use = "nothing is linked unless `run` is awaited"]
pub struct Redis {
    link: Link,
    machine: Machine,
    connector: Connector,
    scripts: Scripts,
    runtime: Runtime,
    retries: Retries,
    status: Status,
}

impl core::fmt::Debug for Redis {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

/// Why a connection is over.
enum End {
    Lost(String),
    Closed,
}

impl Redis {
    /// Creates the link of a hub that was made with [`hub_options`](crate::hub_options). It connects only once [`run`](Self::run) is
    /// awaited.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(link: Link, runtime: Runtime, options: RedisOptions) -> Result<Self, SetupError> {
        let lease = link.options().lease;
        if lease.is_none_or(|lease| lease.as_micros() == 0) {
            return Err(SetupError::NoLease);
        }
        runtime.choose()?;
        let seed = link.seed();
        let scripts = Scripts::new(Keys::new(&options.prefix), options.sharded);
        let retries = Retries::new(options.backoff, &half(&seed));
        let connector = Connector::new(options)?;
        Ok(Self {
            machine: Machine::new(link.options().clone(), &seed),
            link,
            connector,
            scripts,
            runtime,
            retries,
            status: Status::new(),
        })
    }

    /// Returns the status of the link, which stays current.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Connects, carries messages, and reconnects, until [`Status::close`] is called. Spawn it on the chosen runtime.
    pub async fn run(mut self) {
        let mut down = None;
        loop {
            // A panic here is our own fault: it is reported as any other end of a connection, and the link restarts.
            let connected = match caught(self.connect()).await {
                Ok(connected) => connected,
                Err(panic) => Some(Err(told(&*panic))),
            };
            let reason = match connected {
                Some(Ok(connection)) => {
                    let since = self.link.now();
                    self.status.set(State::Up { since });
                    info!(redis.state = "up", "linked through Redis");
                    down = None;
                    let end = match caught(self.serve(connection)).await {
                        Ok(end) => end,
                        Err(panic) => End::Lost(told(&*panic)),
                    };
                    // Messages that have arrived are not lost.
                    poll_fn(|cx| {
                        deliver(&self.link, &mut self.machine, cx);
                        if self.link.is_crowded(cx) {
                            return Poll::Pending;
                        }
                        Poll::Ready(())
                    })
                    .await;
                    let now = self.link.now();
                    self.machine.disconnected(now);
                    self.link.down();
                    if now.since(since) >= SETTLED {
                        self.retries.succeeded();
                    }
                    match end {
                        End::Lost(reason) => reason,
                        End::Closed => break,
                    }
                }
                Some(Err(reason)) => reason,
                None => break,
            };
            let (since, attempts) = down.get_or_insert_with(|| (self.link.now(), 0));
            *attempts += 1;
            warn!(redis.state = "down", error.message = %reason, redis.attempts = *attempts, "no link through Redis");
            self.status.set(State::Down {
                since: *since,
                attempts: *attempts,
                reason,
            });
            self.status.note(self.machine.metrics());
            let wait = self.retries.wait();
            let sleep = self.runtime.sleep(wait);
            if self.unless_closed(sleep).await.is_none() {
                break;
            }
        }
        self.status.note(self.machine.metrics());
    }

    /// Runs the link on a thread of its own, until [`Status::close`] is called: for servers without an async runtime. The hub's nodes are
    /// woken in the loops that drive them.
    ///
    /// # Errors
    /// When the system has no thread or no descriptors left, or the link was made for another runtime than tokio (`Unsupported`).
    #[cfg(feature = "thread")]
    pub fn run_on_thread(self) -> std::io::Result<std::thread::JoinHandle<()>> {
        if self.runtime != Runtime::Tokio {
            return Err(std::io::ErrorKind::Unsupported.into());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("sansws-redis".into())
            .spawn(move || runtime.block_on(self.run()))
    }

    async fn connect(&mut self) -> Option<Result<Connection, String>> {
        // The connector and the scripts are borrowed; everything else goes on.
        let Self {
            connector,
            scripts,
            link,
            machine,
            status,
            ..
        } = self;
        let connecting = connector.connect(scripts);
        unless_closed(status, link, machine, connecting).await
    }

    async fn unless_closed<R>(&mut self, work: impl Future<Output = R>) -> Option<R> {
        unless_closed(&self.status, &mut self.link, &mut self.machine, work).await
    }

    /// Carries messages until the connection is over.
    async fn serve(&mut self, connection: Connection) -> End {
        self.machine.connected(self.link.now(), connection.time);
        self.link.up();
        let mut carrying = Carrying {
            connection,
            asking: FuturesUnordered::new(),
            reading: Reading::default(),
            refused: 0,
            complains_at: Instant::ZERO,
            sleep: None,
            closing: None,
        };
        poll_fn(|cx| carrying.poll(self, cx)).await
    }
}

/// However it ends, even if its runtime drops it, its status reports that.
impl Drop for Redis {
    fn drop(&mut self) {
        self.status.set(State::Closed);
    }
}

/// Returns why a link restarted.
fn told(panic: &(dyn core::any::Any + Send)) -> String {
    format!("the link panicked: {}", panic_message(panic))
}

/// Runs work while there is no connection: commands are taken and dropped. Returns `None` when the link is to end.
async fn unless_closed<R>(
    status: &Status,
    link: &mut Link,
    machine: &mut Machine,
    work: impl Future<Output = R>,
) -> Option<R> {
    let mut work = core::pin::pin!(work);
    poll_fn(|cx| {
        let now = link.now();
        while link.take(cx, AT_ONCE, |node, command| {
            machine.command(now, node, command);
        }) > 0
        {}
        if status.is_closing(cx.waker()) {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// A connection, and its requests in flight.
struct Carrying {
    connection: Connection,
    asking: FuturesUnordered<Asking>,
    reading: Reading,
    /// Number of refused requests since the last log line.
    refused: u64,
    /// When it is logged again.
    complains_at: Instant,
    sleep: Option<(Instant, Sleep)>,
    /// The deadline of an orderly end.
    closing: Option<Instant>,
}

impl Carrying {
    fn poll(&mut self, redis: &mut Redis, cx: &mut Context<'_>) -> Poll<End> {
        // Give other tasks a turn.
        for _ in 0..16 {
            match self.step(redis, cx) {
                Ok(true) => {}
                Ok(false) => {
                    redis.status.note(redis.machine.metrics());
                    return Poll::Pending;
                }
                Err(end) => return Poll::Ready(end),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Carries pending messages. Returns whether there were any.
    fn step(&mut self, redis: &mut Redis, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut moved = self.close(redis, cx)?;
        // Deliver nothing more while readers are behind.
        if !redis.link.is_crowded(cx) {
            moved |= self.hear(redis, cx)?;
        }
        let (link, machine) = (&mut redis.link, &mut redis.machine);
        if !machine.is_crowded() {
            let now = link.now();
            let taken = link.take(cx, AT_ONCE, |node, command| {
                machine.command(now, node, command);
            });
            moved |= taken > 0;
        }
        moved |= deliver(link, machine, cx);
        moved |= self.ask(redis);
        self.wait(redis, cx)?;
        Ok(moved)
    }

    /// Takes messages from Redis: pushes that precede an answer are taken before it.
    fn hear(&mut self, redis: &mut Redis, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut moved = false;
        loop {
            let answers = match Pin::new(&mut self.asking).poll_next(cx) {
                Poll::Ready(Some(answers)) => Some(answers),
                Poll::Ready(None) | Poll::Pending => None,
            };
            let now = redis.link.now();
            let machine = &mut redis.machine;
            let pushed = self.connection.pushed.drain(cx.waker(), |push| {
                machine.push(now, push);
                moved = true;
            });
            let is_last = answers.is_none();
            if let Some(answers) = answers {
                for (id, answer) in Answers::map_err(answers, End::Lost)? {
                    self.reading.answered(id);
                    if let Err(failure) = &answer {
                        self.complain(now, failure);
                    }
                    machine.reply(now, id, answer);
                }
                moved = true;
            }
            pushed.map_err(End::Lost)?;
            if is_last {
                return Ok(moved);
            }
        }
    }

    /// Logs that something was refused, at most once a second.
    fn complain(&mut self, now: Instant, failure: &Failure) {
        self.refused += 1;
        if self.complains_at <= now {
            warn!(error.message = %failure.0, redis.refused = self.refused, "Redis refused a request");
            (self.complains_at, self.refused) = (now + Duration::from_secs(1), 0);
        }
    }

    /// Sends requests.
    fn ask(&mut self, redis: &mut Redis) -> bool {
        let mut moved = false;
        while self.asking.len() < ON_THEIR_WAY {
            let mut calls = Vec::new();
            while calls.len() < TOGETHER
                && let Some((id, request)) = self.reading.next(&mut redis.machine)
            {
                calls.push((id, redis.scripts.call(request)));
            }
            if calls.is_empty() {
                break;
            }
            self.asking.extend(self.connection.ask(calls));
            moved = true;
        }
        moved
    }

    /// Does what is due, and sets the alarm for the next deadline.
    fn wait(&mut self, redis: &mut Redis, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let now = redis.link.now();
            let deadline = [redis.machine.deadline(), self.closing];
            let Some(deadline) = deadline.into_iter().flatten().min() else {
                self.sleep = None;
                return Ok(());
            };
            if deadline <= now {
                if self.closing.is_some_and(|at| at <= now) {
                    return Err(End::Closed);
                }
                redis.machine.tick(now);
                cx.waker().wake_by_ref();
                return Ok(());
            }
            if self.sleep.as_ref().is_none_or(|(at, _)| *at != deadline) {
                let sleep = redis.runtime.sleep(deadline.since(now));
                self.sleep = Some((deadline, sleep));
            }
            let Some((_, sleep)) = &mut self.sleep else {
                return Ok(());
            };
            if Pin::new(sleep).poll(cx).is_pending() {
                return Ok(());
            }
            self.sleep = None;
        }
    }

    /// Removes all nodes from the registry, once, and ends when that is confirmed.
    fn close(&mut self, redis: &mut Redis, cx: &Context<'_>) -> Result<bool, End> {
        if !redis.status.is_closing(cx.waker()) {
            return Ok(false);
        }
        if self.closing.is_none() {
            let now = redis.link.now();
            self.closing = Some(now + GOODBYE);
            for node in redis.link.nodes() {
                redis.machine.command(now, node, BackplaneCommand::Goodbye);
                redis.link.deliver(node, BackplaneEvent::Down);
            }
            return Ok(true);
        }
        if redis.machine.is_idle() {
            return Err(End::Closed);
        }
        Ok(false)
    }
}

/// Delivers events, consecutive ones of a node together, until there are none or readers need a turn. Returns whether there were any.
fn deliver(link: &Link, machine: &mut Machine, cx: &Context<'_>) -> bool {
    let mut moved = false;
    while !link.is_crowded(cx)
        && let Some((node, event)) = machine.poll_event()
    {
        let mut events = vec![event];
        while events.len() < EVENTS
            && let Some(event) = machine.poll_event_of(node)
        {
            events.push(event);
        }
        link.deliver_all(node, events);
        moved = true;
    }
    moved
}

/// Derives another seed from the same entropy.
fn half(seed: &Seed) -> Seed {
    let mut bytes = [0; 32];
    bytes
        .iter_mut()
        .zip(seed.nonce())
        .for_each(|(to, from)| *to = !from);
    Seed::new(bytes)
}
