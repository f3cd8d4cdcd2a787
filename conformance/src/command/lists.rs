//! `list` and `explain`.

use std::io::{self, Write};
use std::process::ExitCode;

use console::style;
use sansws_conformance::case::{Case, Pace};
use sansws_conformance::cases::family_title;
use sansws_conformance::script::{Opening, Peer, Setting};
use sansws_conformance::suite::Suite;

use super::tell::say;

/// Shows the chosen cases.
pub fn list(suite: &Suite) -> io::Result<ExitCode> {
    let mut chosen = [suite.chosen(Peer::Server), suite.chosen(Peer::Client)].concat();
    chosen.sort_unstable();
    chosen.dedup();
    let mut out = io::stdout().lock();
    let (mut family, mut count) = (0, 0);
    for case in chosen.iter().filter_map(|at| suite.cases().get(*at)) {
        if case.family() != family {
            family = case.family();
            writeln!(
                out,
                "\n{}",
                style(format!("{family}. {}", family_title(family))).bold()
            )?;
        }
        writeln!(out, "{:10} {:8} {}", case.id, who(case), case.does)?;
        count += 1;
    }
    if count == 0 {
        return Err(io::Error::other(
            "no case has such a number; run `wsconform list`",
        ));
    }
    writeln!(out, "\n{count} cases")?;
    Ok(ExitCode::SUCCESS)
}

fn who(case: &Case) -> &'static str {
    case.peer.map_or("both", Peer::as_str)
}

/// Shows all details of a case.
pub fn explain(suite: &Suite, id: &str) -> io::Result<ExitCode> {
    let Some(case) = suite.cases().iter().find(|case| case.id == id) else {
        return Err(io::Error::other(format!(
            "there is no case {id}; run `wsconform list`"
        )));
    };
    say!("{} {}", style(&case.id).bold(), family_title(case.family()));
    say!("  sends    {}", case.does);
    say!("  expects  {}", case.expects);
    say!("  rule     {}", case.rule);
    let [server, client] = [Peer::Server, Peer::Client].map(|peer| case.word(peer));
    match server == client {
        true => say!("  word     {client}"),
        false => say!("  word     {server} for servers, {client} for clients"),
    }
    if let Some(why) = case.freedom {
        say!("  verdict  INFORMATIONAL: {why}");
    }
    say!(
        "  tests    {}",
        case.peer.map_or("servers and clients", |peer| match peer {
            Peer::Server => "servers",
            Peer::Client => "clients",
        })
    );
    say!(
        "  pace     {}",
        match case.pace {
            Pace::Works => "runs in parallel",
            Pace::Waits => "mostly waits, runs in parallel",
            Pace::Alone => "measures time, runs alone",
        }
    );
    let setting = Setting::new(case.peer.unwrap_or(Peer::Server));
    let script = case.script(&setting);
    say!(
        "  script   {}",
        match &script.opening {
            Opening::Plain => "open".into(),
            Opening::Deflate(params) => {
                let offers: Vec<String> = params.iter().map(|params| params.write()).collect();
                format!("open with {}", offers.join(", "))
            }
            Opening::Raw => "(opens by itself)".to_owned(),
        }
    );
    for step in script.steps.iter().take(40) {
        say!("           {step:?}");
    }
    if script.steps.len() > 40 {
        say!("           … {} more steps", script.steps.len() - 40);
    }
    Ok(ExitCode::SUCCESS)
}
