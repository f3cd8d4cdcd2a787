//! The command line.

mod itself;
mod lists;
mod servers;
mod tell;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sansws_conformance::report::baseline::Baseline;
use sansws_conformance::report::{self, Agent};
use sansws_conformance::suite::Suite;

/// Tests WebSocket servers and clients against RFC 6455 and RFC 7692.
///
/// A server under test must echo each message it receives, text as text and binary as binary, of up to 16 MiB.
/// A client under test must connect to `wsconform serve` and echo in the same way.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 all cases passed, 1 some case failed, 2 nothing could be run.\n\n\
    Examples:\n  wsconform test ws://127.0.0.1:9001\n  wsconform test wss://localhost:9001 --ca root.pem --only '6.*,7.*' --out report\n  \
    wsconform serve 127.0.0.1:9002 --once\n  wsconform explain 6.4.1"
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Test the server at a URL.
    Test {
        /// The URL of the server, such as ws://127.0.0.1:9001
        url: String,
        /// The name of the server in reports.
        #[arg(long, default_value = "server")]
        agent: String,
        /// Trust the certificates in this PEM file instead of the system's.
        #[arg(long, value_name = "PEM")]
        ca: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Test the clients that connect, over the control paths of the classic suite.
    Serve {
        /// The address to listen on, such as 127.0.0.1:9002; with port 0 the system chooses one.
        #[arg(default_value = "127.0.0.1:9002")]
        address: String,
        /// Serve over TLS with these PEM files.
        #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
        tls: Vec<PathBuf>,
        /// Exit once a client has requested its report.
        #[arg(long)]
        once: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Test sansws: core in memory, all adapters over sockets, in both roles; and tungstenite for comparison.
    #[command(name = "self")]
    Itself {
        #[command(flatten)]
        common: Common,
    },
    /// List the cases.
    List {
        #[command(flatten)]
        choice: Choice,
    },
    /// Show what a case sends, what it expects, and which text requires it.
    Explain {
        /// The number of the case, such as 6.4.1
        case: String,
    },
}

/// Selects cases.
#[derive(Debug, Args)]
struct Choice {
    /// Run only cases whose number matches one of these globs, such as '6.*,12.1.*'
    #[arg(long, value_delimiter = ',', value_name = "GLOBS")]
    only: Vec<String>,
    /// Skip cases whose number matches one of these globs.
    #[arg(long, value_delimiter = ',', value_name = "GLOBS")]
    skip: Vec<String>,
}

/// Options of a run and its reports.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    choice: Choice,
    /// Send 100 messages instead of 1000 in cases 12.* and 13.*
    #[arg(long)]
    quick: bool,
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
    /// Fail only on cases that are worse than in this index.json.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

fn positive(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("must be a number of seconds above 0 and at most 3600".into()),
    }
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
    fn suite(&self) -> Suite {
        let suite = self
            .only
            .iter()
            .fold(Suite::new(), |suite, glob| suite.only(glob));
        self.skip.iter().fold(suite, |suite, glob| suite.skip(glob))
    }
}

impl Common {
    fn suite(&self) -> Suite {
        let mut suite = self
            .choice
            .suite()
            .timeout(Duration::from_secs_f64(self.timeout));
        if self.quick {
            suite = suite.quick();
        }
        if let Some(seed) = self.seed {
            suite = suite.seed(seed);
        }
        if let Some(jobs) = self.jobs {
            suite = suite.jobs(jobs.into());
        }
        suite
    }

    /// Reads the earlier results before the run, so that a bad file is found early.
    fn earlier(&self) -> io::Result<Option<Baseline>> {
        let read = |path| Baseline::read(path).map_err(io::Error::other);
        self.baseline.as_deref().map(read).transpose()
    }

    /// Writes the reports, compares them with earlier results, and returns the exit code.
    fn finish(
        &self,
        suite: &Suite,
        agents: Vec<Agent>,
        judged: &dyn Fn(&Agent) -> bool,
        earlier: Option<&Baseline>,
    ) -> io::Result<ExitCode> {
        let report = suite.report(agents);
        tell::summary(&report);
        if let Some(dir) = &self.out {
            let formats: Vec<report::Format> =
                self.format.iter().map(|format| (*format).into()).collect();
            for path in report::write(&report, dir, &formats)? {
                tell::say!("wrote {}", path.display());
            }
        }
        let well = match earlier {
            Some(baseline) => tell::comparison(&baseline.compare(&report)),
            None => report
                .agents
                .iter()
                .filter(|agent| judged(agent))
                .all(|agent| agent.worst().is_good()),
        };
        let ran = report.agents.iter().any(|agent| !agent.entries.is_empty());
        if !ran && !suite.is_stopped() {
            return Err(io::Error::other("no case was run: see `wsconform list`"));
        }
        Ok(if well && !suite.is_stopped() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }
}

/// Runs a command.
pub fn run(options: Options) -> ExitCode {
    let done = match &options.command {
        Command::Test {
            url,
            agent,
            ca,
            common,
        } => servers::test(url, agent, ca.as_deref(), common),
        Command::Serve {
            address,
            tls,
            once,
            common,
        } => servers::serve(address, tls, *once, common),
        Command::Itself { common } => itself::run(common),
        Command::List { choice } => lists::list(&choice.suite()),
        Command::Explain { case } => lists::explain(&Suite::new(), case),
    };
    done.unwrap_or_else(|error| {
        eprintln!("wsconform: {error}");
        ExitCode::from(2)
    })
}

/// ^C stops the suite, and the report is still written; a second one ends the program at once.
fn stop_on_interrupt(suite: &Suite) -> io::Result<()> {
    let stop = suite.stopper();
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(io::Error::other)
}
