//! Endpoints with a fault each, and what the suite must find in them.

use std::fmt::Debug;

use sansws_conformance::engine::Outcome;
use sansws_conformance::report::Agent;
use sansws_conformance::{Peer, Suite, Verdict};

/// A fault, the role of the endpoint that has it, the case that must find it, and the verdict.
pub type Mutant<F> = (F, Peer, &'static str, Verdict);

/// Each mutant is caught by its case, and the endpoint without the fault is not. `outcome` runs a case.
pub fn are_caught<F: Copy + Debug>(
    mutants: &[Mutant<F>],
    outcome: impl Fn(&str, Peer, Option<F>) -> Outcome,
) {
    let mut wrong = Vec::new();
    for (fault, peer, case, verdict) in mutants {
        let mutant = outcome(case, *peer, Some(*fault));
        let role = peer.as_str();
        let found = mutant.worst();
        // Its sentence explains the worst of what it did.
        let lesser = ["INFORMATIONAL:", "NON-STRICT:", "as expected"];
        let explains = !lesser.iter().any(|before| mutant.says.starts_with(before));
        if found != *verdict || found == Verdict::Failed && !explains {
            wrong.push(format!(
                "{fault:?} {role}: {case} says {found}: {}",
                mutant.says
            ));
        }
        let twin = outcome(case, *peer, None);
        let found = twin.worst();
        if !found.is_good() {
            wrong.push(format!(
                "sound twin of {fault:?}: {case} says {found}: {}",
                twin.says
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every fault that can be planted is in the table. `source` declares them, one a line.
pub fn are_complete<F: Debug>(mutants: &[Mutant<F>], source: &str, least: usize) {
    let (_, body) = source.split_once('{').unwrap();
    let names = body
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','));
    let mut count = 0;
    for name in names {
        count += 1;
        let known = mutants
            .iter()
            .any(|(fault, ..)| format!("{fault:?}") == name);
        assert!(known, "{name} is caught by no case");
    }
    assert!(count >= least, "{count} faults");
}

/// The endpoint without a fault passes all cases that were run.
pub fn is_sound(suite: &Suite, agent: &Agent) {
    let bad: Vec<String> = { agent.entries.iter() }
        .filter(|entry| !entry.outcome.worst().is_good())
        .map(|entry| {
            let case = &suite.cases()[entry.case];
            let verdict = entry.outcome.worst();
            format!("{} {verdict}: {}", case.id, entry.outcome.says)
        })
        .collect();
    assert!(
        bad.is_empty(),
        "{}:\n{}",
        agent.peer.as_str(),
        bad.join("\n")
    );
}
