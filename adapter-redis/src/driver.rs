//! Carries between a hub, the machine and Redis.
//! Decides nothing but when to connect.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};
use sansws_async::hub::Link;
use sansws_async::internal::{caught, panic_message};
use sansws_core::hub::{Command, Event};
use sansws_core::policy::Retries;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};
use tracing::{info, warn};

use crate::connection::{Answers, Asking, Connection, Connector};
use crate::keys::Keys;
use crate::machine::Machine;
use crate::options::{RedisOptions, SetupError};
use crate::runtime::{Runtime, Sleep};
use crate::scripts::Scripts;
use crate::status::{State, Status};

/// Requests that go out together at most.
const TOGETHER: usize = 512;

/// Groups of requests that are on their way at a time: what comes meanwhile is gathered.
const ON_THEIR_WAY: usize = 4;

/// Commands that are taken before something else has its turn.
const AT_ONCE: usize = 1_024;

/// Events that are delivered before it is looked whether readers need a turn.
const EVENTS: usize = 256;

/// How long a connection must have held for the waits to begin anew.
const SETTLED: Duration = Duration::from_secs(10);

/// How long the end may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Links a hub with others through Redis, for as long as it runs.
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
    /// Makes the link of a hub that was made with [`hub_options`](crate::hub_options). Nothing is connected before [`run`](Self::run) is
    /// awaited.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(link: Link, runtime: Runtime, options: RedisOptions) -> Result<Self, SetupError> {
        if link.options().lease.is_none() {
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

    /// How the link is, from now on.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Connects, carries, and connects again, until [`Status::close`] is called. Spawn it on the runtime that was chosen.
    pub async fn run(mut self) {
        let mut down = None;
        loop {
            // A panic here is a fault of ours: it is told as any other end of a connection, and the link begins anew.
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
                    // What has arrived is not lost.
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

    async fn connect(&mut self) -> Option<Result<Connection, String>> {
        // The connector and the scripts are lent, the rest goes on.
        let Self {
            connector,
            scripts,
            link,
            machine,
            status,
            ..
        } = self;
        let connecting = connector.connect(scripts);
        let connected = unless_closed(status, link, machine, connecting).await?;
        Some(connected.map_err(|error| error.to_string()))
    }

    async fn unless_closed<R>(&mut self, work: impl Future<Output = R>) -> Option<R> {
        unless_closed(&self.status, &mut self.link, &mut self.machine, work).await
    }

    /// Carries until the connection is over.
    async fn serve(&mut self, connection: Connection) -> End {
        self.machine.connected(self.link.now(), connection.time);
        self.link.up();
        let mut carrying = Carrying {
            connection,
            asking: FuturesUnordered::new(),
            sleep: None,
            closing: None,
        };
        poll_fn(|cx| carrying.poll(self, cx)).await
    }
}

/// However it ends, dropped by its runtime too, its status says so.
impl Drop for Redis {
    fn drop(&mut self) {
        self.status.set(State::Closed);
    }
}

/// Returns why a link began anew.
fn told(panic: &(dyn core::any::Any + Send)) -> String {
    format!("the link panicked: {}", panic_message(panic))
}

/// Polls work while there is no connection: commands are taken and forgotten. `None` when the link is to end.
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

/// A connection, and what is on its way.
struct Carrying {
    connection: Connection,
    asking: FuturesUnordered<Asking>,
    sleep: Option<(Instant, Sleep)>,
    /// Until when the end may take.
    closing: Option<Instant>,
}

impl Carrying {
    fn poll(&mut self, redis: &mut Redis, cx: &mut Context<'_>) -> Poll<End> {
        // Others have their turn too.
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

    /// Carries what there is. Says whether there was anything.
    fn step(&mut self, redis: &mut Redis, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut moved = self.close(redis, cx)?;
        // What readers have not taken yet is not added to.
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

    /// Takes what Redis says: what came before an answer is taken before it.
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
                    if let Err(failure) = &answer {
                        warn!(error.message = %failure.0, "Redis refused a request");
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

    /// Sends requests.
    fn ask(&mut self, redis: &mut Redis) -> bool {
        let mut moved = false;
        while self.asking.len() < ON_THEIR_WAY {
            let mut calls = Vec::new();
            while calls.len() < TOGETHER
                && let Some((id, request)) = redis.machine.poll_request()
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

    /// Does what is due, and sets the alarm for what comes next.
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

    /// Says goodbye for all nodes, once, and ends when that has arrived.
    fn close(&mut self, redis: &mut Redis, cx: &Context<'_>) -> Result<bool, End> {
        if !redis.status.is_closing(cx.waker()) {
            return Ok(false);
        }
        if self.closing.is_none() {
            let now = redis.link.now();
            self.closing = Some(now + GOODBYE);
            for node in redis.link.nodes() {
                redis.machine.command(now, node, Command::Goodbye);
                redis.link.deliver(node, Event::Down);
            }
            return Ok(true);
        }
        if redis.machine.is_idle() {
            return Err(End::Closed);
        }
        Ok(false)
    }
}

/// Delivers events, those of one node that follow each other together, until there are no more or readers need a turn. Returns whether
/// there were any.
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

/// Another seed, of the same entropy.
fn half(seed: &Seed) -> Seed {
    let mut octets = [0; 32];
    octets
        .iter_mut()
        .zip(seed.nonce().0)
        .for_each(|(to, from)| *to = !from);
    Seed::new(octets)
}
