//! The command line.

mod config;
mod echo;
mod explain;
mod init;
mod itself;
mod lists;
mod options;
mod peer;
mod servers;
mod tell;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use sansws_conformance::script::Peer;
use sansws_conformance::suite::Suite;

use self::echo::Role;
use self::init::Language;
use self::options::{Choice, Common};
use self::servers::Client;

/// Tests WebSocket servers and clients against RFC 6455 and RFC 7692.
///
/// A server under test must echo each message it receives, text as text and binary as binary, of up to 16 MiB.
/// A client under test must connect to `wsconform serve` and echo in the same way.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 all cases passed, 1 some case failed, 2 nothing could be run, 3 the peer was gone before the end.\n\n\
    Examples:\n  wsconform test ws://127.0.0.1:9001\n  wsconform test wss://localhost:9001 --ca root.pem --only '6.*,7.*' --out report\n  \
    wsconform test ws://127.0.0.1:9001 --exec 'node server.mjs' --expect expected.tsv\n  \
    wsconform serve 127.0.0.1:0 --exec 'node client.mjs {url}'\n  wsconform explain 6.4.1 '25.9.*'"
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Test the servers at these URLs.
    Test {
        /// The URL of a server, such as ws://127.0.0.1:9001
        #[arg(value_name = "URL")]
        urls: Vec<String>,
        /// The name of a server in reports, once for each URL.
        #[arg(long, value_name = "NAME")]
        agent: Vec<String>,
        /// Read options from this file; by default from wsconform.toml, if it is there.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        dialing: Dialing,
        /// Start the server by this command, wait for its port, and end it after the run.
        #[arg(long, value_name = "CMD")]
        exec: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Test the clients that connect, over the control paths of the classic suite.
    Serve {
        /// The address to listen on, such as 127.0.0.1:9002; with port 0 the system chooses one.
        #[arg(default_value = "127.0.0.1:9002")]
        address: String,
        /// Read options from this file; by default from wsconform.toml, if it is there.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Serve over TLS with these PEM files.
        #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
        tls: Vec<PathBuf>,
        /// Exit once a client has requested its report.
        #[arg(long)]
        once: bool,
        /// Start the client by this command, in which {url} stands for our URL; exit once it has ended.
        #[arg(long, value_name = "CMD")]
        exec: Option<String>,
        /// How many seconds the client of --exec may go without a connection before it is ended; ten times as many before its first, since it may be built.
        #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = options::positive)]
        idle: f64,
        #[command(flatten)]
        common: Common,
    },
    /// Test sansws: core in memory, all adapters over sockets, in both roles; and tungstenite for comparison.
    #[command(name = "self")]
    Itself {
        #[command(flatten)]
        common: Common,
    },
    /// Write wsconform.toml, and an echo server in a language, to start from.
    Init {
        /// The language of the echo server.
        language: Language,
        /// The directory to write to.
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Be an echo peer, to try the suite on: sansws on tokio.
    Peer {
        /// Whether to be a server or a client.
        role: Role,
        /// The URL to listen at, or that of the suite; by default that of --exec.
        #[arg(env = "WSCONFORM_URL", value_name = "URL")]
        url: String,
    },
    /// List the cases.
    List {
        #[command(flatten)]
        choice: Choice,
    },
    /// Show what cases send, what they expect, and which text requires it.
    Explain {
        /// Numbers of cases, such as 6.4.1, or globs, such as '6.4.*'
        #[arg(required = true, value_name = "CASES")]
        cases: Vec<String>,
    },
}

/// How servers are reached, and what requests have in addition.
#[derive(Debug, Args)]
struct Dialing {
    /// Trust the certificates in this PEM file instead of the system's, as roots and as the server's own.
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// Trust any certificate.
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// Add this field to each request, such as 'Authorization: Bearer x'; may be repeated.
    #[arg(long, value_name = "FIELD", value_parser = field)]
    header: Vec<(String, String)>,
    /// Offer this subprotocol; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = token)]
    subprotocol: Vec<String>,
    /// Send this Origin, the scheme and host of a page.
    #[arg(long, value_parser = value)]
    origin: Option<String>,
}

impl Dialing {
    /// Returns the suite with these options.
    fn suite(&self, mut suite: Suite) -> Suite {
        if let Some(path) = &self.ca {
            suite = suite.roots(path);
        }
        if self.insecure {
            suite = suite.insecure();
        }
        let origin = self.origin.iter().map(|origin| ("Origin", origin));
        let fields = self
            .header
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        let suite =
            { fields.chain(origin) }.fold(suite, |suite, (name, value)| suite.field(name, value));
        let names = self.subprotocol.iter();
        names.fold(suite, |suite, name| suite.subprotocol(name))
    }
}

/// The fields that the suite writes itself.
const OWN: [&str; 6] = [
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
];

/// Parses a field such as `Name: value`.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, text) = text.split_once(':').ok_or("must be like 'Name: value'")?;
    let name = token(name)?;
    if OWN.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
        return Err(format!("{name} is the suite's to write"));
    }
    if name.eq_ignore_ascii_case("Sec-WebSocket-Protocol") {
        return Err("use --subprotocol".into());
    }
    Ok((name, value(text)?))
}

/// Parses a token of HTTP.
fn token(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !text.is_empty() && text.bytes().all(good) {
        true => Ok(text.into()),
        false => Err(format!("{text:?} is no token")),
    }
}

/// Parses the value of a field.
fn value(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        true => Err("must not hold control characters".into()),
        false => Ok(text.into()),
    }
}

/// Both roles.
const BOTH: [Peer; 2] = [Peer::Server, Peer::Client];

/// Runs the command of these arguments.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let done = config::parse(arguments).and_then(|options| execute(&options));
    done.unwrap_or_else(|error| {
        // Not `eprintln`, which panics when nobody reads.
        let _ = writeln!(io::stderr(), "wsconform: {error}");
        ExitCode::from(2)
    })
}

fn execute(options: &Options) -> io::Result<ExitCode> {
    match &options.command {
        Command::Test {
            urls,
            agent,
            dialing,
            exec,
            common,
            ..
        } => servers::test(urls, agent, dialing, exec.as_deref(), common),
        Command::Serve {
            address,
            tls,
            once,
            exec,
            idle,
            common,
            ..
        } => {
            let client = exec.as_deref().map(|command| Client {
                command,
                idle: Duration::from_secs_f64(*idle),
            });
            servers::serve(address, tls, *once, client, common)
        }
        Command::Itself { common } => itself::run(common),
        Command::Init { language, dir } => init::run(*language, dir),
        Command::Peer { role, url } => echo::run(*role, url),
        Command::List { choice } => choice.suite(&BOTH).and_then(|suite| lists::list(&suite)),
        Command::Explain { cases } => {
            let suite = cases
                .iter()
                .fold(Suite::new(), |suite, glob| suite.only(glob));
            options::all_match(suite, &BOTH).and_then(|suite| explain::explain(&suite))
        }
    }
}

/// ^C stops the suite, and the report is still written; a second one ends the program at once.
fn stop_on_interrupt(suite: &Suite) -> io::Result<()> {
    let stop = suite.stopper();
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            peer::end_now();
            std::process::exit(130);
        }
    })
    .map_err(io::Error::other)
}
