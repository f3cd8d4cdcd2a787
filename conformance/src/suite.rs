//! A selection of cases, and running them.
//! Knows which cases may run in parallel, but not what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol::lock::Semaphore;

use crate::case::{Case, Pace};
use crate::engine::{Outcome, Patience, Waited};
use crate::report::{Agent, Entry, Report};
use crate::run::memory::{self, Subject};
use crate::run::stream;
use crate::script::{Peer, Setting};
use crate::setting::Past;
use crate::target::{Stream, Target};
use crate::verdict::Verdict;
use crate::watch::Watch;

/// Maximum number of cases that wait at once.
const WAITING: usize = 64;

/// The case that tells whether a server is alive: an echo.
const ECHO: &str = "1.1.2";

/// Number of attempts to reach a server that was reached before: it may be restarting.
const ATTEMPTS: u32 = 10;

/// Maximum number of cases that are run again because an answer was late. A server that is late more often is slow by itself.
const LATE: usize = 16;

/// Called after each case.
pub type Progress<'a> = &'a (dyn Fn(&Case, &Outcome) + Send + Sync);

/// A selection of cases, and how to run them.
///
/// ```
/// use sansws_conformance::{Peer, Suite, Verdict};
/// # use sansws_conformance::subjects::Core;
///
/// let suite = Suite::new().only("1.*").only("5.*").quick();
/// let results = suite.in_memory("core", Peer::Server, || Box::new(Core::new(Peer::Server)));
/// assert_eq!(results.worst(), Verdict::Ok);
/// ```
#[derive(Debug)]
pub struct Suite {
    cases: Vec<Case>,
    only: Vec<String>,
    skip: Vec<String>,
    quick: bool,
    seed: u64,
    fields: Vec<(String, String)>,
    protocols: Vec<String>,
    jobs: usize,
    patience: Patience,
    pub(crate) roots: Option<PathBuf>,
    pub(crate) insecure: bool,
    http2: bool,
    stop: Arc<AtomicBool>,
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// Selects all cases.
    pub fn new() -> Self {
        Self {
            cases: crate::cases::all(),
            only: Vec::new(),
            skip: Vec::new(),
            quick: false,
            seed: RandomState::new().build_hasher().finish() >> 32,
            fields: Vec::new(),
            protocols: Vec::new(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            patience: Patience::default(),
            roots: None,
            insecure: false,
            http2: false,
            stop: Arc::default(),
        }
    }

    /// Selects cases whose number matches this glob, such as `6.*`, in addition to other given globs.
    pub fn only(mut self, glob: impl Into<String>) -> Self {
        self.only.push(glob.into());
        self
    }

    /// Skips cases whose number matches this glob.
    pub fn skip(mut self, glob: impl Into<String>) -> Self {
        self.skip.push(glob.into());
        self
    }

    /// Sends 100 messages instead of 1000 in cases 12.* and 13.*, and 25 of those beyond 16 KiB.
    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }

    /// Sets the seed of the keys, nonces and masks of all cases; by default it differs for each suite. Reports name it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a field to each request, such as `Authorization`.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sets the maximum number of CPU-bound cases at a time; default: one per core.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// Sets how long a peer may be silent while the suite waits for it; default 5 s.
    pub fn timeout(mut self, silence: Duration) -> Self {
        self.patience.silence = silence;
        self.patience.linger = self.patience.linger.min(silence);
        self
    }

    /// Trusts the certificates in this PEM file when it connects to `wss://`, instead of the system's.
    pub fn roots(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots = Some(path.into());
        self
    }

    /// Accepts any certificate when it connects to `wss://`.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Runs all cases over HTTP/2 (RFC 8441) that leave the opening handshake to the suite, and no other. Without it, only the cases about
    /// HTTP/2 run over it, if the server speaks it.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Offers this subprotocol in each request, in addition to others; a server may choose it.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.protocols.push(name.into());
        self
    }

    /// Returns a flag that stops the run: running cases are aborted, others are not started.
    pub fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Returns all cases.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Returns its timeouts.
    pub const fn patience(&self) -> Patience {
        self.patience
    }

    pub(crate) const fn is_http2(&self) -> bool {
        self.http2
    }

    pub(crate) const fn jobs_at_a_time(&self) -> usize {
        self.jobs
    }

    /// Returns whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Returns the given globs that match no case for any of these peers.
    pub fn unmatched(&self, peers: &[Peer]) -> Vec<&str> {
        let matches = |glob: &&String| {
            self.cases.iter().any(|case| {
                peers.iter().any(|peer| case.is_for(*peer))
                    && glob_match::glob_match(glob, &case.id)
            })
        };
        let globs = self.only.iter().chain(&self.skip);
        globs
            .filter(|glob| !matches(glob))
            .map(String::as_str)
            .collect()
    }

    /// Returns the indices of the selected cases for such a peer.
    pub fn chosen(&self, peer: Peer) -> Vec<usize> {
        let matches =
            |globs: &[String], id: &str| globs.iter().any(|glob| glob_match::glob_match(glob, id));
        self.cases
            .iter()
            .enumerate()
            .filter(|(_, case)| case.is_for(peer))
            .filter(|(_, case)| self.only.is_empty() || matches(&self.only, &case.id))
            .filter(|(_, case)| !matches(&self.skip, &case.id))
            .map(|(at, _)| at)
            .collect()
    }

    /// Returns the indices of the selected cases for such a peer that run over HTTP/2, or of those that do not.
    pub fn chosen_over(&self, peer: Peer, http2: bool) -> Vec<usize> {
        let fits = |case: &Case| match (self.http2, http2) {
            (true, true) => case.fits_http2(peer),
            (true, false) => false,
            (false, _) => case.is_http2() == http2,
        };
        let mut chosen = self.chosen(peer);
        chosen.retain(|at| self.cases.get(*at).is_some_and(fits));
        chosen
    }

    /// Returns the number of selected cases for such a peer that speaks HTTP/1.1, or HTTP/2 if all cases run over that.
    pub fn count(&self, peer: Peer) -> usize {
        self.chosen_over(peer, self.http2).len()
    }

    /// Makes a report of results.
    pub fn report(&self, agents: Vec<Agent>) -> Report<'_> {
        let made = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_secs());
        Report {
            cases: &self.cases,
            agents,
            made,
            quick: self.quick,
            seed: self.seed,
        }
    }

    pub(crate) fn setting(&self, peer: Peer, target: &str, host: &str) -> Setting {
        Setting {
            peer,
            target: target.into(),
            host: host.into(),
            quick: self.quick,
            seed: self.seed,
            fields: self.fields.clone(),
            protocols: self.protocols.clone(),
            past: Past::default(),
            http2: self.http2,
            secure: false,
        }
    }

    /// Runs the selected cases in memory, each with its own endpoint.
    pub fn in_memory(
        &self,
        name: &str,
        peer: Peer,
        make: impl Fn() -> Box<dyn Subject> + Sync,
    ) -> Agent {
        self.in_memory_told(name, peer, make, &|_, _| {})
    }

    /// Runs the selected cases in memory, and reports each finished case.
    pub fn in_memory_told(
        &self,
        name: &str,
        peer: Peer,
        make: impl Fn() -> Box<dyn Subject> + Sync,
        progress: Progress<'_>,
    ) -> Agent {
        let setting = self.setting(peer, "/", "memory:9001");
        let todo = Mutex::new(self.chosen_over(peer, self.http2).into_iter());
        let entries = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let next = lock(&todo).next();
                        let Some((at, case)) = next.and_then(|at| Some((at, self.cases.get(at)?)))
                        else {
                            return;
                        };
                        if self.is_stopped() {
                            return;
                        }
                        let outcome = memory::run(case, &setting, self.patience, make().as_mut());
                        progress(case, &outcome);
                        let entry = Entry { case: at, outcome };
                        lock(&entries).push(entry);
                    }
                });
            }
        });
        let entries = entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        Agent::new(name, peer, entries)
    }

    /// Tests the server at this URL, which echoes each message.
    ///
    /// # Errors
    /// When nothing can be run: an invalid URL, nothing listens there, or what does answers no handshake with 101.
    pub fn test(&self, name: &str, url: &str) -> io::Result<Agent> {
        // Check this once, instead of in each case.
        self.reach(url)?;
        self.test_told(name, url, &|_, _| {})
    }

    /// Checks whether the server at this URL can be reached, and answers a handshake with 101.
    ///
    /// # Errors
    /// A description of what is there instead.
    pub fn reach(&self, url: &str) -> io::Result<()> {
        let dial = self.dial(url)?;
        let reached = match self.http2 {
            true => self.reach_http2(&dial),
            // One that speaks HTTP/2 alone is a WebSocket server too.
            false => self.reach_http1(&dial).or_else(|why| {
                let chosen = !self.chosen_over(Peer::Server, true).is_empty();
                let found = chosen && self.reach_http2(&dial).is_ok();
                found.then_some(()).ok_or(why)
            }),
        };
        reached.map_err(|what| io::Error::other(format!("{url}: {what}")))
    }

    /// Like [`test`](Self::test), and reports each finished case. Cases that fail because an answer did not come in time, at most 16, are run
    /// again when all others are done, and get the better verdict, of which a note tells. Call [`reach`](Self::reach) first to check whether anything listens:
    /// here each case would have to find out by itself.
    ///
    /// # Errors
    /// An invalid URL, or roots that cannot be read.
    pub fn test_told(&self, name: &str, url: &str, progress: Progress<'_>) -> io::Result<Agent> {
        let dial = self.dial(url)?;
        let plan = self.plan(&dial);
        let alone = plan.http1.is_empty();
        let mut setting = self.setting(Peer::Server, &dial.target.path, &dial.target.authority);
        setting.secure = dial.target.secure;
        let over_http2 = Setting {
            http2: true,
            ..setting.clone()
        };
        let entries = Mutex::new(Vec::new());
        let watch = Watch::new(self.patience);
        let stop = || self.is_stopped() || watch.over().is_some();
        let run = async |case: &Case, patience: Patience| {
            let http2 = alone || case.is_http2();
            let setting = if http2 { &over_http2 } else { &setting };
            let mut stream = connect(&dial.target, dial.over(http2), patience).await?;
            io::Result::Ok(stream::run(case, setting, patience, &mut stream, &[], &stop).await)
        };
        let done = |case: &Case, at: usize, outcome: Outcome| {
            progress(case, &outcome);
            let entry = Entry { case: at, outcome };
            lock(&entries).push(entry);
        };
        // Outcomes of cases whose answers were late, by their places.
        let late = Mutex::new(BTreeMap::new());
        let one = async |at: usize| {
            let Some(case) = self.cases.get(at).filter(|_| !stop()) else {
                return;
            };
            let outcome = match run(case, watch.patience(case)).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    watch.gone(case, &error.to_string());
                    return;
                }
            };
            // A case that was cut short because the peer is gone proves nothing.
            if watch.over().is_some() && outcome.worst() == Verdict::Failed {
                return;
            }
            watch.saw(case, &outcome);
            if watch.suspects() {
                let echo = self.cases.iter().find(|case| case.id == ECHO);
                let alive = match echo {
                    Some(echo) => run(echo, self.patience).await.ok(),
                    None => None,
                };
                watch.alive(alive.is_some_and(|outcome| outcome.waited.is_none()));
            }
            if is_late(case, &outcome) {
                lock(&late).insert(at, outcome);
            } else {
                done(case, at, outcome);
            }
        };
        let mut all = [plan.http1, plan.http2].concat();
        all.sort_unstable();
        self.schedule(&all, &one);
        // Other cases may have kept the server busy.
        let again = lock(&late).len() <= LATE;
        let improved = Mutex::new(BTreeSet::new());
        let once_more = async |at: usize| {
            let first = lock(&late).remove(&at);
            let (Some(case), Some(first)) = (self.cases.get(at), first) else {
                return;
            };
            let second = match again && !stop() {
                true => run(case, self.patience).await.ok(),
                false => None,
            };
            let better = second.filter(|second| second.worst() < first.worst() && !stop());
            if better.is_some() {
                lock(&improved).insert(at);
            }
            done(case, at, better.unwrap_or(first));
        };
        let late_ones: Vec<usize> = lock(&late).keys().copied().collect();
        self.schedule(&late_ones, &once_more);
        let entries = entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Agent {
            notes: plan
                .notes
                .into_iter()
                .chain(watch.notes())
                .chain(self.note_on_late(&lock(&improved)))
                .collect(),
            over: watch.over(),
            ..Agent::new(name, Peer::Server, entries)
        })
    }

    /// Returns a note on cases that were late at first, for readers of the results: a server that hangs now and then is among the causes.
    fn note_on_late(&self, improved: &BTreeSet<usize>) -> Option<String> {
        let ids: Vec<&str> = improved
            .iter()
            .filter_map(|at| Some(self.cases.get(*at)?.id.as_str()))
            .collect();
        (!ids.is_empty()).then(|| {
            format!(
                "answers did not come in time at first, and came when the case was run again: {}",
                ids.join(", ")
            )
        })
    }

    /// Runs cases in parallel where possible: `jobs` CPU-bound ones at a time, many that wait, and those that measure time alone.
    fn schedule<F: Future<Output = ()> + Send>(
        &self,
        chosen: &[usize],
        one: &(impl Fn(usize) -> F + Sync),
    ) {
        let of = |pace: Pace| -> Vec<usize> {
            let paced = |at: &usize| self.cases.get(*at).is_some_and(|case| case.pace == pace);
            chosen.iter().copied().filter(paced).collect()
        };
        let (works, waits) = (Semaphore::new(self.jobs), Semaphore::new(WAITING));
        let executor = smol::Executor::new();
        let tasks: Vec<_> = [(Pace::Waits, &waits), (Pace::Works, &works)]
            .into_iter()
            .flat_map(|(pace, free)| of(pace).into_iter().map(move |at| (at, free)))
            .map(|(at, free)| {
                executor.spawn(async move {
                    let _permit = free.acquire().await;
                    one(at).await;
                })
            })
            .collect();
        let all = async {
            for task in tasks {
                task.await;
            }
        };
        // Helpers run until everything is done; then the sender is dropped, and they stop.
        let (done, wait) = smol::channel::bounded::<()>(1);
        std::thread::scope(|scope| {
            for _ in 1..self.jobs {
                let wait = wait.clone();
                let executor = &executor;
                scope.spawn(move || {
                    smol::block_on(executor.run(async move { wait.recv().await.err() }))
                });
            }
            smol::block_on(executor.run(all));
            drop(done);
        });
        for at in of(Pace::Alone) {
            smol::block_on(one(at));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether a case failed because an answer did not come in time, while other cases ran.
fn is_late(case: &Case, outcome: &Outcome) -> bool {
    outcome.waited == Some(Waited::Answer)
        && outcome.worst() == Verdict::Failed
        && case.pace != Pace::Alone
}

async fn connect(
    target: &Target,
    tls: Option<&Arc<rustls::ClientConfig>>,
    patience: Patience,
) -> io::Result<Box<dyn Stream>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match target.connect(tls, patience.silence).await {
            Err(_) if attempts < ATTEMPTS => {
                smol::Timer::after(Duration::from_millis(100)).await;
            }
            done => return done,
        }
    }
}

impl Agent {
    /// Returns results in the order of the cases' numbers.
    pub fn new(name: &str, peer: Peer, mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.case);
        Self {
            name: name.into(),
            peer,
            entries,
            notes: Vec::new(),
            over: None,
        }
    }

    /// Returns the worst verdict; FAILED if the peer was gone before all cases were run.
    pub fn worst(&self) -> Verdict {
        let gone = self.over.as_ref().map(|_| Verdict::Failed);
        let all = self.entries.iter().map(|entry| entry.outcome.worst());
        all.chain(gone).max().unwrap_or(Verdict::Ok)
    }
}

/// Lists the cases that did not pass, for the message of an assertion.
impl std::fmt::Display for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cases = crate::cases::all();
        write!(f, "{} ({})", self.name, self.peer.as_str())?;
        if let Some(over) = &self.over {
            write!(f, "\nstopped: {over}")?;
        }
        for entry in self
            .entries
            .iter()
            .filter(|entry| !entry.outcome.worst().is_good())
        {
            let id = cases.get(entry.case).map_or("?", |case| case.id.as_str());
            write!(
                f,
                "\n{id} {}: {}",
                entry.outcome.worst(),
                entry.outcome.says
            )?;
        }
        Ok(())
    }
}
