//! The config file: options beside those of the command line, which win.
//! It becomes arguments, so that both have the same meaning and the same checks.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{fs, io};

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use serde::Deserialize;

use super::Options;

/// The file that is read if it is there.
pub const FILE: &str = "wsconform.toml";

/// The options of a file, by their names on the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Config {
    only: Vec<String>,
    skip: Vec<String>,
    quick: bool,
    http2: bool,
    seed: Option<u64>,
    jobs: Option<u16>,
    timeout: Option<f64>,
    out: Option<String>,
    format: Vec<String>,
    fail_on: Option<String>,
    baseline: Option<String>,
    expect: Option<String>,
    test: Test,
    serve: Serve,
}

/// The options of `wsconform test` alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Test {
    urls: Vec<String>,
    agent: Vec<String>,
    exec: Option<String>,
    ca: Option<String>,
    insecure: bool,
    header: Vec<String>,
    subprotocol: Vec<String>,
    origin: Option<String>,
}

/// The options of `wsconform serve` alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Serve {
    address: Option<String>,
    tls: Vec<String>,
    once: bool,
    exec: Option<String>,
    idle: Option<f64>,
}

/// An option as arguments: its name, and its values; none for a flag.
type Flag = (&'static str, Vec<String>);

fn many(name: &'static str, values: Vec<String>) -> Vec<Flag> {
    values
        .into_iter()
        .map(|value| (name, vec![value]))
        .collect()
}

fn one<T: ToString>(name: &'static str, value: Option<T>) -> Vec<Flag> {
    many(name, value.iter().map(T::to_string).collect())
}

fn flag(name: &'static str, on: bool) -> Vec<Flag> {
    if on {
        vec![(name, Vec::new())]
    } else {
        Vec::new()
    }
}

impl Config {
    /// Returns the options of a command, and its positional arguments.
    fn flags(self, command: &str) -> (Vec<Flag>, Flag) {
        let mut all = [
            many("only", self.only),
            many("skip", self.skip),
            flag("quick", self.quick),
            flag("http2", self.http2),
            one("seed", self.seed),
            one("jobs", self.jobs),
            one("timeout", self.timeout),
            one("out", self.out),
            many("format", self.format),
            one("fail-on", self.fail_on),
            one("baseline", self.baseline),
            one("expect", self.expect),
        ]
        .concat();
        if command == "serve" {
            let Serve {
                address,
                tls,
                once,
                exec,
                idle,
            } = self.serve;
            all.extend([flag("once", once), one("exec", exec), one("idle", idle)].concat());
            if !tls.is_empty() {
                all.push(("tls", tls));
            }
            return (all, ("address", address.into_iter().collect()));
        }
        let test = self.test;
        all.extend(
            [
                many("agent", test.agent),
                one("exec", test.exec),
                one("ca", test.ca),
                flag("insecure", test.insecure),
                many("header", test.header),
                many("subprotocol", test.subprotocol),
                one("origin", test.origin),
            ]
            .concat(),
        );
        (all, ("urls", test.urls))
    }
}

/// Returns the options of the command line, and those of the config file that are not on it.
///
/// # Errors
/// A file that cannot be read, or whose content is wrong. A command line that is wrong ends the program.
pub fn parse(mut arguments: Vec<OsString>) -> io::Result<Options> {
    let matches = Options::command()
        .try_get_matches_from(&arguments)
        .unwrap_or_else(|error| error.exit());
    if let Some((command @ ("test" | "serve"), given)) = matches.subcommand() {
        let named = given.get_one::<PathBuf>("config").cloned();
        let path = named.clone().unwrap_or_else(|| FILE.into());
        if named.is_some() || path.exists() {
            let about = |what: String| io::Error::other(format!("{}: {what}", path.display()));
            let text = fs::read_to_string(&path).map_err(|error| about(error.to_string()))?;
            let config: Config = toml::from_str(&text).map_err(|error| about(error.to_string()))?;
            arguments.extend(missing(config, command, given));
            let matches = Options::command().try_get_matches_from(&arguments);
            let matches = matches.map_err(|error| about(error.to_string()))?;
            return Options::from_arg_matches(&matches).map_err(|error| about(error.to_string()));
        }
    }
    Ok(Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// Returns the options that the command line does not have.
fn missing(config: Config, command: &str, given: &ArgMatches) -> Vec<OsString> {
    let is_given = |name: &str| {
        let id = name.replace('-', "_");
        let has = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
        match name {
            // Names belong to URLs, and one way to trust excludes the other.
            "agent" => has("agent") || has("urls"),
            "ca" | "insecure" => has("ca") || has("insecure"),
            _ => has(&id),
        }
    };
    let (flags, (place, values)) = config.flags(command);
    let mut all = Vec::new();
    for (name, values) in flags.into_iter().filter(|(name, _)| !is_given(name)) {
        match values.as_slice() {
            // A value may begin with a hyphen.
            [value] => all.push(format!("--{name}={value}").into()),
            values => {
                all.push(format!("--{name}").into());
                all.extend(values.iter().map(OsString::from));
            }
        }
    }
    if !is_given(place) && !values.is_empty() {
        all.push("--".into());
        all.extend(values.into_iter().map(OsString::from));
    }
    all
}
