//! The server process: what runs in it, and its handle in the parent.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;

use crate::peers::PEERS;
use crate::scenario::Mode;
use crate::system::{self, Cpus};
use crate::tls;

/// Is one server until stdin closes.
pub(crate) fn serve(name: &str, mode: Mode, cpu: Option<usize>) -> Result<()> {
    let peer = PEERS
        .iter()
        .find(|peer| peer.name == name)
        .with_context(|| format!("no peer is called {name}"))?;
    // The parent looks whether this worked.
    cpu.map(system::pin).transpose().ok();
    system::raise_open_files().context("raising the limit of open files")?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(|| {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        std::process::exit(0);
    });
    let certificate = if mode == Mode::Tls {
        tls::certificate()?
    } else {
        &[]
    };
    writeln!(io::stdout(), "{port} {}", STANDARD.encode(certificate))?;
    io::stdout().flush()?;
    (peer.serve)(listener, mode).map_err(|error| anyhow!(error))
}

/// Where a server listens, and whom it says it is.
#[derive(Debug, Default)]
pub(crate) struct Door {
    pub(crate) port: u16,
    /// In DER; empty without TLS.
    pub(crate) certificate: Vec<u8>,
}

/// A running server process. It is killed when this is dropped, and it ends by
/// itself when this process ends in any other way.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) door: Door,
    /// Whether it stays on the CPU it was given.
    pub(crate) pinned: bool,
}

impl Server {
    pub(crate) fn start(peer: &str, mode: Mode, cpus: Option<Cpus>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let value = mode.to_possible_value().context("a mode has a name")?;
        command.args(["serve", peer, "--mode", value.get_name()]);
        if let Some(cpus) = cpus {
            command.args(["--cpu", &cpus.server.to_string()]);
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the server")?;
        let mut server = Self {
            child,
            door: Door::default(),
            pinned: false,
        };
        let output = server.child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(output.take(8 << 10)).read_line(&mut line)?;
        let (port, certificate) = line.split_once(' ').context("the server printed no port")?;
        server.door = Door {
            port: port.parse().context("the server printed no port")?,
            certificate: STANDARD.decode(certificate.trim())?,
        };
        server.pinned = cpus.is_some_and(|cpus| system::is_pinned(server.child.id(), cpus.server));
        Ok(server)
    }

    /// The CPU time of all its threads so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(self.proc("task"))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            total += first_number(&stat).context("schedstat has no number")?;
        }
        Ok(total)
    }

    /// The resident memory in octets.
    pub(crate) fn resident(&self) -> Result<u64> {
        if let Ok(rollup) = fs::read_to_string(self.proc("smaps_rollup"))
            && let Some(rss) = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))
        {
            let kib = first_number(rss).context("Rss is no number")?;
            return Ok(kib * 1024);
        }
        let statm = fs::read_to_string(self.proc("statm"))?;
        let pages: u64 = match statm.split_whitespace().nth(1) {
            Some(pages) => pages.parse()?,
            None => bail!("statm is too short"),
        };
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// The most memory that was ever resident, in octets.
    pub(crate) fn peak(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(first_number).context("status has no VmHWM")?;
        Ok(kib * 1024)
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
