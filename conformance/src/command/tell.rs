//! Output on the terminal: progress and results.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use console::{Style, style};
use indicatif::{ProgressBar, ProgressStyle};
use sansws_conformance::Verdict;
use sansws_conformance::case::Case;
use sansws_conformance::engine::Outcome;
use sansws_conformance::report::Report;
use sansws_conformance::report::baseline::Comparison;
use sansws_conformance::report::expected::Compared;

/// Writes a line, and ignores a closed output.
macro_rules! say {
    ($($part:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}
pub(super) use say;

/// Shows finished cases: as a bar with counts on a terminal, otherwise as one line each.
pub struct Teller {
    agent: String,
    begun: Instant,
    bar: Option<ProgressBar>,
    counts: [AtomicUsize; Verdict::ALL.len()],
}

impl Teller {
    /// Creates one for `count` cases of an agent.
    pub fn new(agent: &str, count: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(count as u64);
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix:18!} {bar:16} {pos:>4}/{len:4} {elapsed:>4} {msg}",
            ) {
                bar.set_style(style);
            }
            bar.set_prefix(agent.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if bar.is_none() {
            say!("{agent}: {count} cases");
        }
        #[expect(clippy::disallowed_methods, reason = "the duration of a run is shown")]
        let begun = Instant::now();
        Self {
            agent: agent.into(),
            begun,
            bar,
            counts: [const { AtomicUsize::new(0) }; Verdict::ALL.len()],
        }
    }

    /// Shows a finished case.
    pub fn tell(&self, case: &Case, outcome: &Outcome) {
        let verdict = outcome.worst();
        if let Some(count) = self.counts.get(verdict as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let line = || {
            let seconds = outcome.duration.as_secs_f64();
            let why = if verdict == Verdict::Ok {
                ""
            } else {
                outcome.says.as_str()
            };
            let why = printable(why);
            format!(
                "{:10} {:16} {seconds:7.3} s  {why}",
                case.id,
                colour(verdict).apply_to(verdict)
            )
        };
        match &self.bar {
            None => say!("{}", line()),
            Some(bar) => {
                if !verdict.is_good() {
                    bar.println(line());
                }
                bar.set_message(self.counted());
                bar.inc(1);
            }
        }
    }

    /// Returns the counts of what passed and what did not. The whole line fits 80 columns.
    fn counted(&self) -> String {
        let sum = |good: bool| -> usize {
            let counts = Verdict::ALL.iter().zip(&self.counts);
            counts
                .filter(|(verdict, _)| verdict.is_good() == good)
                .map(|(_, count)| count.load(Ordering::Relaxed))
                .sum()
        };
        let passed = colour(Verdict::Ok).apply_to(format!("{} passed", sum(true)));
        match sum(false) {
            0 => passed.to_string(),
            count => {
                let others = colour(Verdict::Failed).apply_to(format!("{count} not"));
                format!("{passed}, {others}")
            }
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        match &self.bar {
            Some(bar) => bar.finish(),
            None => say!(
                "{}: {:.1} s",
                self.agent,
                self.begun.elapsed().as_secs_f64()
            ),
        }
    }
}

/// Returns the colour of a verdict, where colours are enabled.
pub fn colour(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ok => Style::new().green(),
        Verdict::Informational => Style::new().cyan(),
        Verdict::NonStrict | Verdict::Unimplemented => Style::new().yellow(),
        Verdict::Unclean | Verdict::WrongCode | Verdict::FailedByClient | Verdict::Failed => {
            Style::new().red()
        }
    }
}

/// Shows the results of each agent, for classic and new cases.
pub fn summary(report: &Report<'_>) {
    say!();
    say!("seed {}", report.seed);
    for agent in &report.agents {
        say!("{} ({})", style(&agent.name).bold(), agent.peer.as_str());
        for (what, classic) in [("classic", true), ("new", false)] {
            let of = |verdict: Verdict| {
                let entries = agent.entries.iter().filter(|entry| {
                    report
                        .cases
                        .get(entry.case)
                        .is_some_and(|case| case.is_classic() == classic)
                        && entry.outcome.worst() == verdict
                });
                entries.count()
            };
            let counts: Vec<(Verdict, usize)> = Verdict::ALL
                .iter()
                .map(|verdict| (*verdict, of(*verdict)))
                .collect();
            let all: usize = counts.iter().map(|(_, count)| count).sum();
            if all == 0 {
                continue;
            }
            let told: Vec<String> = counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(verdict, count)| {
                    colour(verdict)
                        .apply_to(format!("{count} {verdict}"))
                        .to_string()
                })
                .collect();
            say!("  {what:8} {all:4}: {}", told.join(", "));
        }
        for note in &agent.notes {
            say!("  note: {note}");
        }
        if let Some(over) = &agent.over {
            let of = report.cases.iter().filter(|case| case.is_for(agent.peer));
            say!(
                "  {}: {over}; of {} cases {} were run",
                style("stopped").red(),
                of.count(),
                agent.entries.len()
            );
        }
    }
}

/// Shows the changes since the baseline, and returns whether nothing is worse.
pub fn comparison(comparison: &Comparison) -> bool {
    say!();
    for change in &comparison.worse {
        say!("{} {change}", style("worse: ").red());
    }
    for (place, verdicts) in &comparison.fresh {
        say!("{} {place}: {verdicts}", style("new:   ").red());
    }
    for change in &comparison.better {
        say!("{} {change}", style("better:").green());
    }
    say!(
        "{} worse, {} better than the baseline, {} that it does not know and that do not pass, {} that were not run",
        comparison.worse.len(),
        comparison.better.len(),
        comparison.fresh.len(),
        comparison.missing.len()
    );
    comparison.worse.is_empty() && comparison.fresh.is_empty()
}

/// Shows what the list of expected failures does not expect, and its stale lines; returns whether all was expected.
pub fn expectations(compared: &Compared) -> bool {
    say!();
    for (agent, case, verdict, says) in &compared.unexpected {
        let says = printable(says);
        say!(
            "{} {agent}: case {case}: {verdict}: {says}",
            style("unexpected:").red()
        );
    }
    for line in &compared.stale {
        say!("{} {line}", style("stale:").yellow());
    }
    say!(
        "{} unexpected, {} as expected, {} stale lines",
        compared.unexpected.len(),
        compared.expected,
        compared.stale.len()
    );
    compared.unexpected.is_empty()
}

/// Text from a peer may contain anything.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}
