//! The fuzzing server, which tests the clients that connect to it.
//! It has the control paths of the classic suite, so that existing clients work unchanged.

mod incoming;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use smol::Timer;
use smol::future::FutureExt;
use smol::net::{TcpListener, TcpStream};

use self::incoming::Incoming;
use crate::case::{Case, Pace, case};
use crate::engine::{Outcome, Patience};
use crate::frame::text;
use crate::http::query;
use crate::report::{Agent, Entry};
use crate::script::{Peer, Script};
use crate::setting::Past;
use crate::suite::{Progress, Suite};
use crate::target::accepted;
use crate::watch::Watch;

/// Called when a client requests its report.
pub type Reported<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// The state of a client.
struct Known {
    outcomes: BTreeMap<usize, Outcome>,
    /// Its connections so far.
    past: Past,
    watch: Watch,
}

/// A listener, and the results of its clients.
pub struct Server<'a> {
    suite: &'a Suite,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    chosen_http1: Vec<usize>,
    chosen_http2: Vec<usize>,
    agents: Mutex<BTreeMap<String, Known>>,
    open: Mutex<Open>,
    progress: Progress<'a>,
    reported: Reported<'a>,
}

/// The connections of now.
struct Open {
    count: usize,
    /// When the last of them began or ended.
    changed: Instant,
    /// A client has connected.
    has_come: bool,
}

impl std::fmt::Debug for Server<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// Returns the time.
#[expect(
    clippy::disallowed_methods,
    reason = "tells how long clients stay away"
)]
fn clock() -> Instant {
    Instant::now()
}

/// Maximum number of clients in cases that mostly wait.
const CLIENTS: usize = 16;

/// Maximum number of connections at a time.
const MOST: usize = 256;

impl<'a> Server<'a> {
    /// Listens. With port 0 the system chooses one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(
        suite: &'a Suite,
        address: &str,
        tls: Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        Ok(Self {
            suite,
            listener: smol::block_on(TcpListener::bind(address))?,
            tls,
            chosen_http1: suite.chosen_over(Peer::Client, false),
            chosen_http2: suite.chosen_over(Peer::Client, true),
            agents: Mutex::default(),
            open: Mutex::new(Open {
                count: 0,
                changed: clock(),
                has_come: false,
            }),
            progress: &|_, _| {},
            reported: &|_| {},
        })
    }

    /// Sets a function to call after each case.
    pub fn on_case(mut self, progress: Progress<'a>) -> Self {
        self.progress = progress;
        self
    }

    /// Sets a function to call when a client requests its report.
    pub fn on_report(mut self, reported: Reported<'a>) -> Self {
        self.reported = reported;
        self
    }

    /// Returns the address that it listens on.
    ///
    /// # Errors
    /// An error of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns the number of its cases for a client that connects over HTTP/2, or over HTTP/1.1.
    pub const fn count(&self, http2: bool) -> usize {
        self.chosen(http2).len()
    }

    /// Returns the numbers, from 1, of the cases of a pace.
    fn numbers(&self, pace: Pace) -> Vec<usize> {
        let is_of = |at: &usize| {
            self.suite
                .cases()
                .get(*at)
                .is_some_and(|case| case.pace == pace)
        };
        let numbered = self.chosen(self.suite.is_http2()).iter().zip(1..);
        numbered
            .filter(|(at, _)| is_of(at))
            .map(|(_, number)| number)
            .collect()
    }

    /// Returns the results so far.
    pub fn agents(&self) -> Vec<Agent> {
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let ran = agents
            .iter()
            .filter(|(_, known)| !known.outcomes.is_empty());
        ran.map(|(name, known)| {
            let entry = |(case, outcome): (&usize, &Outcome)| Entry {
                case: *case,
                outcome: outcome.clone(),
            };
            Agent {
                notes: known.watch.notes(),
                over: known.watch.over(),
                ..Agent::new(
                    name,
                    Peer::Client,
                    known.outcomes.iter().map(entry).collect(),
                )
            }
        })
        .collect()
    }

    /// Returns for how long no client has been connected; zero while one is.
    pub fn idle(&self) -> Duration {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.count {
            0 => open.changed.elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// Returns whether a client has ever connected.
    pub fn has_come(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.has_come
    }

    fn count_open(&self, change: isize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.has_come = true;
        open.count = open.count.saturating_add_signed(change);
        open.changed = clock();
    }

    /// Serves until the suite is stopped.
    pub fn run(&self) {
        self.run_until(&|| false);
    }

    /// Serves until the suite is stopped, or nothing is left to do; then running cases may finish.
    pub fn run_until(&self, done: &(dyn Fn() -> bool + Sync)) {
        let free = smol::lock::Semaphore::new(MOST);
        let executor = smol::Executor::new();
        let accept = async {
            while !self.suite.is_stopped() && !done() {
                let permit = free.acquire().await;
                let next = async { Some(self.listener.accept().await) };
                let wake = async {
                    Timer::after(Duration::from_millis(50)).await;
                    None
                };
                match next.or(wake).await {
                    Some(Ok((tcp, _))) => {
                        self.count_open(1);
                        executor
                            .spawn(async move {
                                self.connection(tcp).await;
                                self.count_open(-1);
                                drop(permit);
                            })
                            .detach();
                    }
                    Some(Err(_)) => drop(Timer::after(Duration::from_millis(100)).await),
                    None => {}
                }
            }
            // Cases end by themselves, within their time.
            while !executor.is_empty() {
                Timer::after(Duration::from_millis(5)).await;
            }
        };
        smol::block_on(executor.run(accept));
    }

    async fn connection(&self, tcp: TcpStream) {
        let silence = self.suite.patience().silence;
        let Ok(stream) = accepted(tcp, self.tls.as_ref(), silence).await else {
            return;
        };
        let late = async {
            Timer::after(silence).await;
            None
        };
        let Some(mut incoming) = Incoming::read(stream).or(late).await else {
            return;
        };
        let target = incoming.target();
        let agent = query(&target, "agent").map_or_else(|| "unnamed".into(), decode);
        let number = query(&target, "case").and_then(|number| number.parse::<usize>().ok());
        let path = target.split('?').next().unwrap_or_default();
        let chosen = self.chosen(incoming.is_http2());
        let case = number
            .and_then(|number| chosen.get(number.checked_sub(1)?))
            .and_then(|at| Some((*at, self.suite.cases().get(*at)?)));
        match (path, case) {
            ("/getCaseCount", _) => {
                let count = chosen.len().to_string();
                self.say(&mut incoming, &agent, count).await;
            }
            ("/runCase", Some((at, case))) => {
                self.run_case(incoming, (at, case), &target, agent).await;
            }
            ("/getCaseInfo", Some((_, case))) => {
                let info = serde_json::json!({ "id": case.id, "description": case.does });
                self.say(&mut incoming, &agent, info.to_string()).await;
            }
            ("/getCaseStatus", Some((at, _))) => {
                let behavior = self.with(&agent, |known| {
                    let outcome = known.outcomes.get(&at);
                    outcome.map(|outcome| outcome.behavior.as_str())
                });
                let status = serde_json::json!({ "behavior": behavior.flatten() });
                self.say(&mut incoming, &agent, status.to_string()).await;
            }
            ("/updateReports", _) => {
                (self.reported)(&agent);
                self.say(&mut incoming, &agent, String::new()).await;
            }
            _ => {
                let body = format!(
                    "There is nothing at {path}.\nClients ask for /getCaseCount, /runCase?case=N&agent=A, /getCaseInfo?case=N, \
                     /getCaseStatus?case=N&agent=A and /updateReports?agent=A.\n"
                );
                incoming.refuse("404 Not Found", &body).await;
            }
        }
    }

    async fn run_case(
        &self,
        mut incoming: Incoming,
        (at, case): (usize, &Case),
        target: &str,
        agent: String,
    ) {
        let patience = self.suite.patience();
        let found = self.with(&agent, |known| match known.watch.over() {
            Some(_) => None,
            None => Some(known.watch.patience(case)),
        });
        // Agents beyond a bound are not watched.
        let Some(patience) = found.unwrap_or(Some(patience)) else {
            let body = "This client was silent for too long: no more cases are run.\n";
            return incoming.refuse("503 Service Unavailable", body).await;
        };
        let outcome = self
            .case(&mut incoming, case, (target, &agent), patience)
            .await;
        (self.progress)(case, &outcome);
        self.with(&agent, |known| {
            known.watch.saw(case, &outcome);
            if known.watch.suspects() {
                known.watch.alive(false);
            }
            known.outcomes.insert(at, outcome);
        });
    }

    /// Returns the cases of a client that connects over HTTP/2, or over HTTP/1.1.
    const fn chosen(&self, http2: bool) -> &Vec<usize> {
        match http2 {
            true => &self.chosen_http2,
            false => &self.chosen_http1,
        }
    }

    /// Does something with what is known of an agent; `None` for agents beyond a bound.
    fn with<R>(&self, agent: &str, use_it: impl FnOnce(&mut Known) -> R) -> Option<R> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.len() >= MOST && !agents.contains_key(agent) {
            return None;
        }
        let new = || Known {
            outcomes: BTreeMap::new(),
            past: Past::default(),
            watch: Watch::new(self.suite.patience()),
        };
        Some(use_it(agents.entry(agent.into()).or_insert_with(new)))
    }

    async fn case(
        &self,
        incoming: &mut Incoming,
        case: &Case,
        (target, agent): (&str, &str),
        patience: Patience,
    ) -> Outcome {
        let port = self.local_addr().map_or(0, |address| address.port());
        let mut setting = self
            .suite
            .setting(Peer::Client, target, &format!(":{port}"));
        setting.past = self
            .with(agent, |known| known.past.clone())
            .unwrap_or_default();
        let stop = || self.suite.is_stopped();
        incoming.run(case, &setting, patience, &stop).await
    }

    /// Sends a text, if there is one, and closes.
    async fn say(&self, incoming: &mut Incoming, agent: &str, message: String) {
        let answer = case("0", "", "", "", move |_| match message.as_str() {
            "" => Script::new().close(),
            message => Script::new().send([text(message)]).close(),
        });
        let patience = self.suite.patience();
        self.case(incoming, &answer, ("/", agent), patience).await;
    }
}

/// Percent-decodes a value of a query.
fn decode(value: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((first, later)) = rest.split_first() {
        let digits = later.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits
            .filter(|_| *first == b'%')
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        rest = match byte {
            Some(byte) => {
                out.push(byte);
                later.get(2..).unwrap_or_default()
            }
            None => {
                out.push(if *first == b'+' { b' ' } else { *first });
                later
            }
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Suite {
    /// Tests a client: `run` is called with the URL of each case, and must connect there and echo each message until the connection
    /// ends. Its result does not matter: the suite decides the verdict.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn test_client(&self, name: &str, run: impl Fn(&str) + Sync) -> io::Result<Agent> {
        self.test_client_told(name, run, &|_, _| {})
    }

    /// Tests a client, and reports each finished case.
    ///
    /// # Errors
    /// As for [`test_client`](Self::test_client).
    pub fn test_client_told(
        &self,
        name: &str,
        run: impl Fn(&str) + Sync,
        progress: Progress<'_>,
    ) -> io::Result<Agent> {
        let server = Server::bind(self, "127.0.0.1:0", None)?.on_case(progress);
        let address = server.local_addr()?;
        let done = AtomicBool::new(false);
        let all = |pace: Pace, threads: usize| {
            let todo = Mutex::new(server.numbers(pace).into_iter());
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        loop {
                            let next = todo.lock().unwrap_or_else(PoisonError::into_inner).next();
                            let over = server.with(name, |known| known.watch.over().is_some());
                            let go_on = !self.is_stopped() && over != Some(true);
                            let Some(number) = next.filter(|_| go_on) else {
                                return;
                            };
                            run(&format!(
                                "ws://{address}/runCase?case={number}&agent={name}"
                            ));
                        }
                    });
                }
            });
        };
        std::thread::scope(|scope| {
            scope.spawn(|| server.run_until(&|| done.load(Ordering::Relaxed)));
            std::thread::scope(|both| {
                both.spawn(|| all(Pace::Waits, CLIENTS));
                both.spawn(|| all(Pace::Works, self.jobs_at_a_time()));
            });
            all(Pace::Alone, 1);
            done.store(true, Ordering::Relaxed);
        });
        Ok(server
            .agents()
            .pop()
            .unwrap_or_else(|| Agent::new(name, Peer::Client, Vec::new())))
    }
}
