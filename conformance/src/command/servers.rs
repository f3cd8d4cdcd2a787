//! The commands `test` and `serve`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use sansws_conformance::report::Agent;
use sansws_conformance::script::Peer;
use sansws_conformance::serve::Server;
use sansws_conformance::target::server_tls;

use super::tell::{Teller, say};
use super::{Common, stop_on_interrupt};

/// Selects all agents.
fn all(_: &Agent) -> bool {
    true
}

/// Tests a server.
pub fn test(url: &str, agent: &str, roots: Option<&Path>, common: &Common) -> io::Result<ExitCode> {
    let earlier = common.earlier()?;
    let mut suite = common.suite();
    if let Some(path) = roots {
        suite = suite.roots(path);
    }
    stop_on_interrupt(&suite)?;
    suite.reach(url)?;
    let teller = Teller::new(agent, suite.chosen(Peer::Server).len());
    let results = suite.test_told(agent, url, &|case, outcome| teller.tell(case, outcome))?;
    drop(teller);
    common.finish(&suite, vec![results], &all, earlier.as_ref())
}

/// Tests clients.
pub fn serve(address: &str, tls: &[PathBuf], once: bool, common: &Common) -> io::Result<ExitCode> {
    let earlier = common.earlier()?;
    let suite = common.suite();
    stop_on_interrupt(&suite)?;
    let (tls, scheme) = match tls {
        [chain, key] => (Some(server_tls(chain, key)?), "wss"),
        _ => (None, "ws"),
    };
    let teller = Teller::new("clients", suite.chosen(Peer::Client).len());
    let stop = suite.stopper();
    let told = |case: &_, outcome: &_| teller.tell(case, outcome);
    let reported = |agent: &str| {
        say!("{agent} requested its report");
        if once {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let server = Server::bind(&suite, address, tls)
        .map_err(|error| io::Error::other(format!("cannot listen on {address}: {error}")))?
        .on_case(&told)
        .on_report(&reported);
    say!("listening on {scheme}://{}", server.local_addr()?);
    server.run();
    let agents = server.agents();
    drop(server);
    // Stopping is the normal end of `serve`: only the verdicts count.
    suite.stopper().store(false, Ordering::Relaxed);
    common.finish(&suite, agents, &all, earlier.as_ref())
}
