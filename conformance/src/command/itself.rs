//! The command `self`: tests sansws, and tungstenite for comparison.

use std::io;
use std::process::ExitCode;

use sansws_conformance::report::Agent;
use sansws_conformance::run::memory::Subject;
use sansws_conformance::script::Peer;
use sansws_conformance::subjects::{
    Core, Tungstenite, on_event_loop, on_smol, on_threads, on_tokio,
};
use sansws_conformance::suite::Suite;

use super::options::Common;
use super::tell::Teller;
use super::{BOTH, stop_on_interrupt};

const OURS: &str = "sansws";

/// Tests all of them, in both roles.
pub fn run(common: &Common) -> io::Result<ExitCode> {
    let earlier = common.earlier()?;
    let suite = common.suite(&BOTH)?;
    stop_on_interrupt(&suite)?;
    let mut agents = Vec::new();
    for peer in [Peer::Server, Peer::Client] {
        agents.push(in_memory(&suite, "sansws-core", peer, || {
            Box::new(Core::new(peer))
        }));
    }
    agents.push(on_tokio::with_server(|url| {
        server(&suite, "sansws-tokio", url)
    })??);
    agents.push(client(&suite, "sansws-tokio", on_tokio::echo)?);
    agents.push(on_smol::with_server(|url| {
        server(&suite, "sansws-smol", url)
    })??);
    agents.push(client(&suite, "sansws-smol", on_smol::echo)?);
    agents.push(on_threads::with_server(|url| {
        server(&suite, "sansws-std", url)
    })??);
    agents.push(client(&suite, "sansws-std", on_threads::echo)?);
    agents.push(on_event_loop::with_server(|url| {
        server(&suite, "sansws-mio", url)
    })??);
    agents.push(client(&suite, "sansws-mio", on_event_loop::echo)?);
    for peer in [Peer::Server, Peer::Client] {
        agents.push(in_memory(&suite, "tungstenite", peer, || {
            Box::new(Tungstenite::new(peer))
        }));
    }
    let ours = |agent: &Agent| agent.name.starts_with(OURS);
    common.finish(&suite, agents, &ours, &earlier)
}

fn teller(suite: &Suite, name: &str, peer: Peer) -> Teller {
    Teller::new(&format!("{name} {}", peer.as_str()), suite.count(peer))
}

fn in_memory(
    suite: &Suite,
    name: &str,
    peer: Peer,
    make: impl Fn() -> Box<dyn Subject> + Sync,
) -> Agent {
    let teller = teller(suite, name, peer);
    suite.in_memory_told(name, peer, make, &|case, outcome| {
        teller.tell(case, outcome)
    })
}

fn server(suite: &Suite, name: &str, url: &str) -> io::Result<Agent> {
    let teller = teller(suite, name, Peer::Server);
    suite.test_told(name, url, &|case, outcome| teller.tell(case, outcome))
}

fn client(suite: &Suite, name: &str, echo: fn(&str)) -> io::Result<Agent> {
    let teller = teller(suite, name, Peer::Client);
    suite.test_client_told(name, echo, &|case, outcome| teller.tell(case, outcome))
}
