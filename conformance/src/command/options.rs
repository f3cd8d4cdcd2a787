//! Options of a run and its reports, and what comes of them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sansws_conformance::Verdict;
use sansws_conformance::report::baseline::Baseline;
use sansws_conformance::report::expected::Expected;
use sansws_conformance::report::{self, Agent, Report};
use sansws_conformance::script::Peer;
use sansws_conformance::suite::Suite;

use super::tell::{self, say};

/// The exit code when the peer was gone before all cases were run.
pub const GONE: u8 = 3;

/// Selects cases.
#[derive(Debug, Args)]
pub struct Choice {
    /// Run only cases whose number matches one of these globs, such as '6.*,12.1.*'
    #[arg(long, value_delimiter = ',', value_name = "GLOBS")]
    only: Vec<String>,
    /// Skip cases whose number matches one of these globs.
    #[arg(long, value_delimiter = ',', value_name = "GLOBS")]
    skip: Vec<String>,
}

/// Options of a run and its reports.
#[derive(Debug, Args)]
pub struct Common {
    #[command(flatten)]
    choice: Choice,
    /// Send 100 messages instead of 1000 in cases 12.* and 13.*, and 25 of those beyond 16 KiB
    #[arg(long)]
    quick: bool,
    /// Run all cases over HTTP/2 that leave the opening handshake to the suite; without this, only those about HTTP/2 do.
    #[arg(long)]
    http2: bool,
    /// Determines the keys, nonces and masks; by default it differs in each run. Reports name it.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Maximum number of CPU-bound cases at a time; by default one per core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How many seconds a peer may be silent while the suite waits for it.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS", value_parser = positive)]
    timeout: f64,
    /// Write reports to this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The formats of the reports.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Format::Html, Format::Json, Format::Junit])]
    format: Vec<Format>,
    /// The mildest verdict that fails the run.
    #[arg(long, value_name = "VERDICT", default_value = "non-strict", value_parser = verdict)]
    fail_on: Verdict,
    /// Fail only on cases that are worse than in this index.json, or that are not in it and do not pass.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Fail only on what this list does not expect: lines of CASE, VERDICT and REASON, between tabs.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Write a list of expected failures for --expect; reasons of the list in --expect are kept.
    #[arg(long, value_name = "FILE")]
    write_expect: Option<PathBuf>,
}

/// Parses a number of seconds.
pub fn positive(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("must be a number of seconds above 0 and at most 3600".into()),
    }
}

/// Parses the name of a verdict, such as `non-strict`.
fn verdict(value: &str) -> Result<Verdict, String> {
    let name = |verdict: Verdict| verdict.as_str().to_lowercase().replace(' ', "-");
    let all = || {
        Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Ok)
    };
    let found = all().find(|verdict| name(*verdict) == value.to_lowercase().replace(' ', "-"));
    found.ok_or_else(|| {
        let names: Vec<String> = all().map(name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A self-contained page.
    Html,
    /// index.json and a file for each case, in the format of the classic suite.
    Json,
    /// JUnit XML.
    Junit,
}

impl From<Format> for report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Html => Self::Html,
            Format::Json => Self::Json,
            Format::Junit => Self::Junit,
        }
    }
}

impl Choice {
    /// Returns the suite with these cases.
    ///
    /// # Errors
    /// A pattern that matches no case for these peers.
    pub fn suite(&self, peers: &[Peer]) -> io::Result<Suite> {
        let only = self
            .only
            .iter()
            .fold(Suite::new(), |suite, glob| suite.only(glob));
        let suite = self.skip.iter().fold(only, |suite, glob| suite.skip(glob));
        all_match(suite, peers)
    }
}

/// Returns the suite, unless one of its patterns matches nothing.
pub fn all_match(suite: Suite, peers: &[Peer]) -> io::Result<Suite> {
    let unmatched = suite.unmatched(peers);
    if unmatched.is_empty() {
        return Ok(suite);
    }
    if unmatched.contains(&"") {
        return Err(io::Error::other(
            "an empty pattern matches no case: name cases such as `6.4.1` or `6.*`; run `wsconform list`",
        ));
    }
    let unmatched = unmatched.join("`, `");
    let whom = match peers {
        [Peer::Server] => " for servers",
        [Peer::Client] => " for clients",
        _ => "",
    };
    Err(io::Error::other(format!(
        "no case{whom} matches `{unmatched}`; run `wsconform list`"
    )))
}

/// Files that are read before a run, so that a bad one is found early.
pub struct Earlier {
    baseline: Option<Baseline>,
    expected: Option<Expected>,
}

impl Common {
    /// Returns the suite with these options.
    ///
    /// # Errors
    /// A pattern that matches no case for these peers.
    pub fn suite(&self, peers: &[Peer]) -> io::Result<Suite> {
        let mut suite = self
            .choice
            .suite(peers)?
            .timeout(Duration::from_secs_f64(self.timeout));
        if self.quick {
            suite = suite.quick();
        }
        if self.http2 {
            suite = suite.http2();
        }
        if let Some(seed) = self.seed {
            suite = suite.seed(seed);
        }
        if let Some(jobs) = self.jobs {
            suite = suite.jobs(jobs.into());
        }
        Ok(suite)
    }

    /// Reads the earlier results and the list, and checks that reports can be written.
    ///
    /// # Errors
    /// A file that cannot be read, or a directory that cannot be written to.
    pub fn earlier(&self) -> io::Result<Earlier> {
        if let Some(dir) = &self.out {
            writable(dir).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot write to {}: {error}", dir.display()),
                )
            })?;
        }
        let about = |path: &Path, error: &dyn std::error::Error| {
            io::Error::other(format!("{}: {error}", path.display()))
        };
        let baseline = |path: &PathBuf| Baseline::read(path).map_err(|error| about(path, &error));
        let expected = |path: &PathBuf| Expected::read(path).map_err(|error| about(path, &error));
        Ok(Earlier {
            baseline: self.baseline.as_ref().map(baseline).transpose()?,
            expected: self.expect.as_ref().map(expected).transpose()?,
        })
    }

    /// Writes the reports, compares them with earlier results, and returns the exit code.
    ///
    /// # Errors
    /// No case was run, or a report cannot be written.
    pub fn finish(
        &self,
        suite: &Suite,
        agents: Vec<Agent>,
        judged: &dyn Fn(&Agent) -> bool,
        earlier: &Earlier,
    ) -> io::Result<ExitCode> {
        let report = suite.report(agents);
        if report.agents.iter().all(|agent| agent.entries.is_empty()) {
            let mut agents = report.agents.iter();
            let over = agents
                .find_map(|agent| agent.over.clone().or_else(|| agent.notes.first().cloned()));
            let why = over.unwrap_or_else(|| "see `wsconform list`".into());
            return Err(io::Error::other(format!("no case was run: {why}")));
        }
        tell::summary(&report);
        if let Some(dir) = &self.out {
            let formats: Vec<report::Format> =
                self.format.iter().map(|format| (*format).into()).collect();
            for path in report::write(&report, dir, &formats)? {
                say!("wrote {}", path.display());
            }
        }
        if let Some(path) = &self.write_expect {
            let list = earlier.expected.clone().unwrap_or_default();
            fs::write(path, list.text(&report))?;
            say!("wrote {}", path.display());
        }
        let well = self.is_well(&report, judged, earlier);
        let gone = report.agents.iter().any(|agent| agent.over.is_some());
        Ok(match (gone, well && !suite.is_stopped()) {
            (true, _) => ExitCode::from(GONE),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => ExitCode::from(1),
        })
    }

    fn is_well(
        &self,
        report: &Report<'_>,
        judged: &dyn Fn(&Agent) -> bool,
        earlier: &Earlier,
    ) -> bool {
        let mut well = true;
        if let Some(baseline) = &earlier.baseline {
            let mut found = baseline.compare(report);
            found
                .fresh
                .retain(|(_, verdicts)| verdicts.worst() >= self.fail_on);
            found
                .worse
                .retain(|change| change.after.worst() >= self.fail_on);
            well &= tell::comparison(&found);
        }
        if let Some(expected) = &earlier.expected {
            let mut found = expected.compare(report);
            found
                .unexpected
                .retain(|(_, _, verdict, _)| *verdict >= self.fail_on);
            well &= tell::expectations(&found);
        }
        if earlier.baseline.is_none() && earlier.expected.is_none() {
            let agents = report.agents.iter().filter(|agent| judged(agent));
            well = { agents }.all(|agent| agent.worst() < self.fail_on);
        }
        well
    }
}

/// Checks that files can be created in a directory, which is created if necessary.
fn writable(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let probe = dir.join(".wsconform");
    fs::File::create(&probe)?.write_all(b"?")?;
    match fs::remove_file(probe) {
        // Another run has tried at the same time.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_begin_at_the_same_time_may_share_a_directory() {
        let dir = std::env::temp_dir().join(format!("wsconform-{}", std::process::id()));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..200).for_each(|_| writable(&dir).unwrap()));
            }
        });
        fs::remove_dir(dir).unwrap();
    }
}
