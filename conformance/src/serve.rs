//! The fuzzing server, which tests the clients that connect to it.
//! It has the control paths of the classic suite, so that existing clients work unchanged.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

use crate::case::{Case, Pace, case};
use crate::engine::Outcome;
use crate::frame::text;
use crate::http::{Head, query};
use crate::report::{Agent, Entry};
use crate::run::stream;
use crate::script::{Chop, Peer, Script, Step};
use crate::setting::Past;
use crate::suite::{Progress, Suite};
use crate::target::{Stream, accepted};

/// Called when a client requests its report.
pub type Reported<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A listener, and the results of its clients.
pub struct Server<'a> {
    suite: &'a Suite,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    chosen: Vec<usize>,
    agents: Mutex<BTreeMap<String, BTreeMap<usize, Outcome>>>,
    /// The connections of each agent so far.
    pasts: Mutex<BTreeMap<String, Past>>,
    progress: Progress<'a>,
    reported: Reported<'a>,
}

impl std::fmt::Debug for Server<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// Maximum length of the head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

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
            chosen: suite.chosen(Peer::Client),
            agents: Mutex::default(),
            pasts: Mutex::default(),
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

    /// Returns the number of its cases.
    pub fn count(&self) -> usize {
        self.chosen.len()
    }

    /// Returns the numbers, from 1, of the cases of a pace.
    fn numbers(&self, pace: Pace) -> Vec<usize> {
        let is_of = |at: &usize| {
            self.suite
                .cases()
                .get(*at)
                .is_some_and(|case| case.pace == pace)
        };
        let numbered = self.chosen.iter().zip(1..);
        numbered
            .filter(|(at, _)| is_of(at))
            .map(|(_, number)| number)
            .collect()
    }

    /// Returns the results so far.
    pub fn agents(&self) -> Vec<Agent> {
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents
            .iter()
            .map(|(name, outcomes)| {
                let entry = |(case, outcome): (&usize, &Outcome)| Entry {
                    case: *case,
                    outcome: outcome.clone(),
                };
                Agent::new(name, Peer::Client, outcomes.iter().map(entry).collect())
            })
            .collect()
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
                    Some(Ok((tcp, _))) => executor
                        .spawn(async move {
                            self.connection(tcp).await;
                            drop(permit);
                        })
                        .detach(),
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
        let Ok(mut stream) = accepted(tcp, self.tls.as_ref(), silence).await else {
            return;
        };
        let late = async {
            Timer::after(silence).await;
            None
        };
        let Some((head, received)) = read_head(&mut stream).or(late).await else {
            return;
        };
        let target = head.target().to_owned();
        let agent = query(&target, "agent").map_or_else(|| "unnamed".into(), decode);
        let number = query(&target, "case").and_then(|number| number.parse::<usize>().ok());
        let path = target.split('?').next().unwrap_or_default();
        let chosen = number
            .and_then(|number| self.chosen.get(number.checked_sub(1)?))
            .and_then(|at| Some((*at, self.suite.cases().get(*at)?)));
        match (path, chosen) {
            ("/getCaseCount", _) => {
                self.say(
                    &mut stream,
                    &received,
                    &agent,
                    self.chosen.len().to_string(),
                )
                .await
            }
            ("/runCase", Some((at, case))) => {
                let outcome = self
                    .case(&mut stream, &received, case, &target, &agent)
                    .await;
                (self.progress)(case, &outcome);
                let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
                agents.entry(agent).or_default().insert(at, outcome);
            }
            ("/getCaseInfo", Some((_, case))) => {
                let info = serde_json::json!({ "id": case.id, "description": case.does });
                self.say(&mut stream, &received, &agent, info.to_string())
                    .await;
            }
            ("/getCaseStatus", Some((at, _))) => {
                let status = {
                    let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
                    let outcome = agents.get(&agent).and_then(|outcomes| outcomes.get(&at));
                    outcome
                        .map(|outcome| serde_json::json!({ "behavior": outcome.behavior.as_str() }))
                };
                let status = status.unwrap_or_else(|| serde_json::json!({ "behavior": null }));
                self.say(&mut stream, &received, &agent, status.to_string())
                    .await;
            }
            ("/updateReports", _) => {
                (self.reported)(&agent);
                self.say(&mut stream, &received, &agent, String::new())
                    .await;
            }
            _ => refuse(&mut stream, path).await,
        }
    }

    /// Returns what is known of an agent's connections. Agents beyond a bound have no past.
    fn past(&self, agent: &str) -> Past {
        let mut pasts = self.pasts.lock().unwrap_or_else(PoisonError::into_inner);
        if pasts.len() >= MOST && !pasts.contains_key(agent) {
            return Past::default();
        }
        pasts.entry(agent.into()).or_default().clone()
    }

    async fn case(
        &self,
        stream: &mut Box<dyn Stream>,
        received: &[u8],
        case: &Case,
        target: &str,
        agent: &str,
    ) -> Outcome {
        let port = self.local_addr().map_or(0, |address| address.port());
        let mut setting = self
            .suite
            .setting(Peer::Client, target, &format!(":{port}"));
        setting.past = self.past(agent);
        let stop = || self.suite.is_stopped();
        stream::run(
            case,
            &setting,
            self.suite.patience(),
            stream,
            received,
            &stop,
        )
        .await
    }

    /// Sends a text, if there is one, and closes.
    async fn say(
        &self,
        stream: &mut Box<dyn Stream>,
        received: &[u8],
        agent: &str,
        message: String,
    ) {
        let answer = case("0", "", "", "", move |_| {
            let script = Script::raw().step(Step::Respond {
                make: Box::new(|request| Head::response(request).write()),
                opens: true,
                chop: Chop::Whole,
            });
            let script = match message.as_str() {
                "" => script,
                message => script.send([text(message)]),
            };
            script.close()
        });
        self.case(stream, received, &answer, "/", agent).await;
    }
}

/// The head of a request, and all bytes that arrived with it.
async fn read_head(stream: &mut Box<dyn Stream>) -> Option<(Head, Vec<u8>)> {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while all.len() < LONGEST_HEAD {
        if let Some((head, _)) = Head::read(&all) {
            return Some((head, all));
        }
        let count = stream
            .read(&mut part)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        all.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    None
}

async fn refuse(stream: &mut Box<dyn Stream>, path: &str) {
    let body = format!(
        "There is nothing at {path}.\nClients ask for /getCaseCount, /runCase?case=N&agent=A, /getCaseInfo?case=N, \
         /getCaseStatus?case=N&agent=A and /updateReports?agent=A.\n"
    );
    let head = Head::new("HTTP/1.1 404 Not Found")
        .with("Content-Type", "text/plain; charset=utf-8")
        .with("Content-Length", &body.len().to_string())
        .with("Connection", "close");
    let bytes = [head.write(), body.into_bytes()].concat();
    let _ = stream.write_all(&bytes).await;
    let _ = stream.close().await;
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
                            let Some(number) = next.filter(|_| !self.is_stopped()) else {
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
