//! `list`.

use std::io::{self, Write};
use std::process::ExitCode;

use console::style;
use sansws_conformance::case::Case;
use sansws_conformance::cases::family_title;
use sansws_conformance::script::Peer;
use sansws_conformance::suite::Suite;

use super::tell::say;

/// Shows the chosen cases.
pub fn list(suite: &Suite) -> io::Result<ExitCode> {
    let mut chosen = [suite.chosen(Peer::Server), suite.chosen(Peer::Client)].concat();
    chosen.sort_unstable();
    chosen.dedup();
    let (mut family, mut count) = (0, 0);
    for case in chosen.iter().filter_map(|at| suite.cases().get(*at)) {
        if case.family() != family {
            family = case.family();
            say!(
                "\n{}",
                style(format!("{family}. {}", family_title(family))).bold()
            );
        }
        say!("{:10} {:8} {}", case.id, who(case), case.does);
        count += 1;
    }
    if count == 0 {
        return Err(io::Error::other("all cases are skipped"));
    }
    say!("\n{count} cases");
    Ok(ExitCode::SUCCESS)
}

fn who(case: &Case) -> &'static str {
    case.peer.map_or("both", Peer::as_str)
}
