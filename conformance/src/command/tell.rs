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
            if let Ok(style) =
                ProgressStyle::with_template("{prefix:24} {bar:30} {pos}/{len} {elapsed} {msg}")
            {
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
            // Text from a peer may contain anything.
            let why: String = why
                .chars()
                .map(|letter| if letter.is_control() { '?' } else { letter })
                .collect();
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

    fn counted(&self) -> String {
        let counts = Verdict::ALL.iter().zip(&self.counts);
        let told: Vec<String> = counts
            .map(|(verdict, count)| (verdict, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| {
                colour(*verdict)
                    .apply_to(format!("{count} {verdict}"))
                    .to_string()
            })
            .collect();
        told.join(", ")
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
    }
}

/// Shows the changes since the baseline, and returns whether nothing is worse.
pub fn comparison(comparison: &Comparison) -> bool {
    say!();
    for change in &comparison.worse {
        say!("{} {change}", style("worse: ").red());
    }
    for change in &comparison.better {
        say!("{} {change}", style("better:").green());
    }
    say!(
        "{} worse, {} better than the baseline",
        comparison.worse.len(),
        comparison.better.len()
    );
    comparison.worse.is_empty()
}
