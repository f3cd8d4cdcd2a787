//! The commands `test` and `serve`.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sansws_conformance::report::Agent;
use sansws_conformance::script::Peer;
use sansws_conformance::serve::Server;
use sansws_conformance::target::{Target, server_tls};

use super::options::{Common, GONE};
use super::peer::Process;
use super::tell::{Teller, say};
use super::{Dialing, stop_on_interrupt};

/// Selects all agents.
fn all(_: &Agent) -> bool {
    true
}

/// Tests servers, one after another.
pub fn test(
    urls: &[String],
    names: &[String],
    dialing: &Dialing,
    exec: Option<&str>,
    common: &Common,
) -> io::Result<ExitCode> {
    if urls.is_empty() {
        return Err(io::Error::other(
            "no URL: name one, or write `urls` into wsconform.toml (see `wsconform init`)",
        ));
    }
    let targets = urls
        .iter()
        .map(|url| url.parse::<Target>().map_err(io::Error::other))
        .collect::<io::Result<Vec<Target>>>()?;
    let names = named(names, &targets)?;
    let earlier = common.earlier()?;
    let suite = dialing.suite(common.suite(&[Peer::Server])?);
    stop_on_interrupt(&suite)?;
    let _server = exec
        .map(|command| started(command, urls, &targets, &suite.stopper()))
        .transpose()?;
    for url in urls {
        suite.reach(url)?;
    }
    let mut agents = Vec::new();
    for (url, name) in urls.iter().zip(&names) {
        let teller = Teller::new(name, suite.chosen(Peer::Server).len());
        agents.push(suite.test_told(name, url, &|case, outcome| teller.tell(case, outcome))?);
        drop(teller);
    }
    common.finish(&suite, agents, &all, &earlier)
}

/// Returns the name of each server. Reports know servers by their names, so no two are equal.
fn named(names: &[String], targets: &[Target]) -> io::Result<Vec<String>> {
    let names = match (names, targets) {
        ([], [_]) => vec!["server".into()],
        ([], targets) => targets.iter().map(place).collect(),
        (names, targets) if names.len() == targets.len() => names.to_vec(),
        (names, targets) => {
            return Err(io::Error::other(format!(
                "there are {} URLs, and {} names for them",
                targets.len(),
                names.len()
            )));
        }
    };
    let mut known = HashSet::new();
    match names.iter().find(|name| !known.insert(*name)) {
        Some(twice) => Err(io::Error::other(format!(
            "two servers have the name `{twice}`: give each its own by --agent"
        ))),
        None => Ok(names),
    }
}

/// Returns the host, port and path of a server.
fn place(target: &Target) -> String {
    let path = target.path.trim_end_matches('/');
    format!("{}{path}", target.authority)
}

/// Starts the server, and waits until it listens at all URLs.
fn started(
    command: &str,
    urls: &[String],
    targets: &[Target],
    stop: &AtomicBool,
) -> io::Result<Process> {
    let listens =
        |target: &Target| std::net::TcpStream::connect((target.host.as_str(), target.port)).is_ok();
    if let Some(taken) = targets.iter().find(|target| listens(target)) {
        return Err(io::Error::other(format!(
            "something listens at {} already, before the command was run",
            taken.authority
        )));
    }
    let mut server = Process::start(command, urls.first().map_or("", String::as_str))?;
    server.wait_until(|| targets.iter().all(listens), stop)?;
    Ok(server)
}

/// A client to start.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    pub command: &'a str,
    /// How long it may go without a connection.
    pub idle: Duration,
}

/// How many times as long it may go without its first connection: a command may build it.
const BUILDING: u32 = 10;

impl Client<'_> {
    /// Returns how long it may go without a connection.
    fn limit(self, has_come: bool) -> Duration {
        self.idle
            .saturating_mul(if has_come { 1 } else { BUILDING })
    }
}

/// Tests clients.
pub fn serve(
    address: &str,
    tls: &[PathBuf],
    once: bool,
    client: Option<Client<'_>>,
    common: &Common,
) -> io::Result<ExitCode> {
    let earlier = common.earlier()?;
    let suite = common.suite(&[Peer::Client])?;
    let (tls, scheme) = match tls {
        [chain, key] => (Some(server_tls(chain, key)?), "wss"),
        _ => (None, "ws"),
    };
    let server = Server::bind(&suite, address, tls)
        .map_err(|error| io::Error::other(format!("cannot listen on {address}: {error}")))?;
    stop_on_interrupt(&suite)?;
    let teller = Teller::new("clients", suite.count(Peer::Client));
    let stop = suite.stopper();
    let told = |case: &_, outcome: &_| teller.tell(case, outcome);
    let complete = AtomicBool::new(false);
    let reported = |agent: &str| {
        say!("{agent} requested its report");
        complete.store(true, Ordering::Relaxed);
        if once {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let server = server.on_case(&told).on_report(&reported);
    let url = format!("{scheme}://{}", server.local_addr()?);
    say!("listening on {url}");
    let process = client
        .map(|client| Process::start(client.command, &url))
        .transpose()?;
    let ended = AtomicBool::new(false);
    let is_idle = || {
        let is_over = |client: Client<'_>| server.idle() >= client.limit(server.has_come());
        let idle = client.is_some_and(is_over);
        ended.fetch_or(idle, Ordering::Relaxed);
        idle
    };
    std::thread::scope(|scope| {
        if let Some(mut process) = process {
            let stop = suite.stopper();
            scope.spawn(move || process.watch(&stop));
        }
        server.run_until(&is_idle);
        suite.stopper().store(true, Ordering::Relaxed);
    });
    let agents = server.agents();
    drop(server);
    drop(teller);
    let silent = client.filter(|_| ended.into_inner()).map(|client| {
        let (command, idle) = (client.command, client.limit(!agents.is_empty()));
        format!("`{command}` had no connection for {idle:?}, and was ended; see --idle")
    });
    if agents.is_empty() {
        let why = silent.unwrap_or_else(|| "there is nothing to report".into());
        return Err(io::Error::other(format!("no client came: {why}")));
    }
    // Stopping is the normal end of `serve`: only the verdicts count.
    suite.stopper().store(false, Ordering::Relaxed);
    let code = common.finish(&suite, agents, &all, &earlier)?;
    if let Some(why) = silent {
        let _ = writeln!(io::stderr(), "wsconform: {why}");
        if !complete.into_inner() {
            return Ok(ExitCode::from(GONE));
        }
    }
    Ok(code)
}
