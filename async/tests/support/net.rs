//! Servers in memory, one script for each connection, and a connector that dials them on virtual time.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sansws_async::internal::{connect, receive_request};
use sansws_async::{Client, ClientState, ConnectOptions, Connector, Error, Result, WebSocket};
use sansws_core::config::Config;
use sansws_core::http::Url;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

use super::wire::{Task, Wire};

type Job = Pin<Box<dyn Future<Output = Result> + Send>>;
type Script = Box<dyn FnOnce(WebSocket<Wire>, Ends) -> Job + Send>;

/// Both ends of a connection, to cut it.
#[derive(Clone)]
pub struct Ends {
    client: Wire,
}

impl Ends {
    /// The server vanishes: nothing more comes from it.
    pub fn cut(&self) {
        self.client.end();
    }
}

enum Step {
    Fail(Error),
    /// Nobody ever answers.
    Silence,
    Open(Script),
}

/// A network of scripted servers; clones are the same.
#[derive(Clone, Default)]
pub struct Net(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Instant,
    steps: VecDeque<Step>,
    dials: usize,
    /// Attempts that are going on.
    dialing: usize,
    sleepers: Vec<(Instant, Waker)>,
    servers: Vec<Task<Job>>,
    wires: Vec<Wire>,
    seed: u64,
}

impl Net {
    /// With a seed that says in which sizes octets move.
    pub fn new(seed: u64) -> Self {
        let net = Self::default();
        net.state().seed = seed;
        net
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The next attempt fails.
    pub fn fail(&self, error: impl Into<Error>) {
        self.state().steps.push_back(Step::Fail(error.into()));
    }

    /// The next attempt comes to no end.
    pub fn silence(&self) {
        self.state().steps.push_back(Step::Silence);
    }

    /// The next attempt meets a server that does this. When it is done, it waits for the end of TCP.
    pub fn open<F>(&self, script: impl FnOnce(WebSocket<Wire>, Ends) -> F + Send + 'static)
    where
        F: Future<Output = Result> + Send + 'static,
    {
        let script: Script = Box::new(move |socket, ends| Box::pin(script(socket, ends)));
        self.state().steps.push_back(Step::Open(script));
    }

    pub fn dials(&self) -> usize {
        self.state().dials
    }

    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// Steps that no attempt has come to.
    pub fn left(&self) -> usize {
        self.state().steps.len()
    }

    fn start(&self, wire: Wire, server: Job) {
        let mut state = self.state();
        state.wires.push(wire);
        state.servers.push(Task::new(server));
    }

    /// One turn of each server; whether any was awake.
    fn serve(&self) -> bool {
        let mut servers = std::mem::take(&mut self.state().servers);
        let mut any = false;
        for server in &mut servers {
            any |= server.turn();
            if let Some(Err(error)) = &server.done {
                panic!("a server fails: {error}");
            }
        }
        servers.retain(|server| server.done.is_none());
        let mut state = self.state();
        servers.append(&mut state.servers);
        state.servers = servers;
        any
    }

    pub fn pass(&self, time: Duration) {
        let mut state = self.state();
        state.now = state.now + time;
        let now = state.now;
        let (due, left): (Vec<_>, Vec<_>) = std::mem::take(&mut state.sleepers)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        state.sleepers = left;
        let wires = state.wires.clone();
        drop(state);
        for (_, waker) in due {
            waker.wake();
        }
        wires.iter().for_each(|wire| wire.pass(time));
    }

    /// Runs all until nothing is awake.
    pub fn settle<F: Future>(&self, task: &mut Task<F>) {
        while task.turn() | self.serve() {}
    }

    /// Runs a future to its end, time included.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut task = Task::new(future);
        for _ in 0..100_000 {
            self.settle(&mut task);
            if let Some(done) = task.done.take() {
                while self.serve() {}
                return done;
            }
            self.pass(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    /// Runs a future for so long; what it came to, if it did.
    pub fn run_for<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        let mut task = Task::new(future);
        let end = self.now() + time;
        loop {
            self.settle(&mut task);
            if task.done.is_some() || self.now() >= end {
                return task.done;
            }
            self.pass(Duration::from_millis(10));
        }
    }
}

/// Counts an attempt as long as it lives.
struct Attempt(Net);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.state().dialing -= 1;
    }
}

impl Connector for Net {
    type Transport = Wire;
    type Dialing = Pin<Box<dyn Future<Output = Result<WebSocket<Wire>, Error>> + Send>>;
    type Sleeping = Sleep;

    fn dial(&self, url: &Url, dial: &ConnectOptions) -> Self::Dialing {
        let mut state = self.state();
        state.dials += 1;
        state.dialing += 1;
        assert_eq!(state.dialing, 1, "two attempts at once");
        let step = state.steps.pop_front().unwrap_or(Step::Silence);
        let (url, dial) = (url.clone(), dial.clone());
        let seed = state.seed + state.dials as u64;
        let (net, attempt) = (self.clone(), Attempt(self.clone()));
        Box::pin(async move {
            let _attempt = attempt;
            turn().await;
            let script = match step {
                Step::Fail(error) => return Err(error),
                Step::Silence => return std::future::pending().await,
                Step::Open(script) => script,
            };
            let (one, two) = Wire::pair(seed);
            let ends = Ends {
                client: one.clone(),
            };
            let server: Job = Box::pin(async move {
                let config = Arc::new(Config::default());
                let socket = receive_request(two, config).await?.accept().await?;
                script(socket, ends).await
            });
            net.start(one.clone(), server);
            connect(
                one,
                &url,
                dial.options,
                dial.config,
                Seed::new([seed as u8; 32]),
            )
            .await
        })
    }

    fn sleep(&self, time: Duration) -> Sleep {
        Sleep(self.clone(), self.now() + time)
    }

    fn now(&self) -> Instant {
        self.now()
    }

    fn seed(&self) -> Result<Seed, Error> {
        Ok(Seed::new([self.state().seed as u8; 32]))
    }
}

pub struct Sleep(Net, Instant);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state();
        if state.now >= self.1 {
            return Poll::Ready(());
        }
        state.sleepers.push((self.1, cx.waker().clone()));
        Poll::Pending
    }
}

/// Lets others have a turn.
pub async fn turn() {
    let mut turned = false;
    poll_fn(|cx| {
        if turned {
            return Poll::Ready(());
        }
        turned = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls a future at most `patience` times, in turns of their own, then drops it.
pub async fn impatient<F: Future>(future: F, patience: u64) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), patience);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        if left < 4 {
            cx.waker().wake_by_ref();
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Receives until the state is waiting or stopped.
pub async fn until_offline(client: &mut Client<Net>) {
    loop {
        let up = matches!(client.state(), ClientState::Connecting | ClientState::Open);
        if !up {
            return;
        }
        let mut receiving = pin!(client.receive());
        poll_fn(|cx| {
            let _ = receiving.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        turn().await;
    }
}
