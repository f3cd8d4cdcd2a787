//! A process of the cluster.

use std::fs::{File, read_to_string};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{LOOK, Result};

/// Number of log lines to show when a process fails.
const LAST: usize = 3;

/// A process, which can be restarted.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    /// Its description.
    pub(super) note: String,
    /// The address that it listens on.
    pub(super) address: SocketAddr,
    pub(super) state: State,
    program: PathBuf,
    arguments: Vec<String>,
    /// The file of its stderr.
    log: PathBuf,
    child: Option<Child>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Runs,
    /// It has exited, and will be restarted.
    Starts {
        at: Instant,
    },
}

impl Part {
    pub(super) fn new(name: &str, program: impl Into<PathBuf>, directory: &Path) -> Self {
        Self {
            name: name.into(),
            note: String::new(),
            address: ([127, 0, 0, 1], 0).into(),
            state: State::Runs,
            program: program.into(),
            arguments: Vec::new(),
            log: directory.join(format!("{name}.log")),
            child: None,
        }
    }

    pub(super) fn arguments(&mut self, more: &[&str]) {
        self.arguments.extend(more.iter().map(ToString::to_string));
    }

    /// Starts it, with its output in its log.
    pub(super) fn start(&mut self) -> Result {
        let log = File::create(&self.log)?;
        self.spawn(&[], log.into())?;
        self.state = State::Runs;
        Ok(())
    }

    /// Starts it with additional arguments, and returns its output if that is a pipe.
    pub(super) fn spawn(&mut self, more: &[&str], out: Stdio) -> Result<Option<ChildStdout>> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(more)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            // ^C at the terminal is only for the program that started it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let out = child.stdout.take();
        self.child = Some(child);
        Ok(out)
    }

    /// Waits until it is ready.
    pub(super) fn until_ready(
        &mut self,
        limit: Duration,
        stop: &Receiver<()>,
        mut ready: impl FnMut() -> bool,
    ) -> Result {
        let began = now();
        while !ready() {
            if self.has_ended()?.is_some() {
                return Err(self.failed("has exited; its last output:"));
            }
            if now().duration_since(began) > limit {
                return Err(self.failed("is not ready; its last output:"));
            }
            let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(LOOK) else {
                return Err("stopped".into());
            };
        }
        Ok(())
    }

    /// Checks it, and returns whether to start it now.
    pub(super) fn look(&mut self, restart: Duration) -> Result<bool> {
        match self.state {
            State::Runs => {
                if let Some(how) = self.has_ended()? {
                    let (name, seconds) = (&self.name, restart.as_secs());
                    println!("  {name} has exited ({how}), restarting in {seconds} s");
                    self.state = State::Starts {
                        at: now() + restart,
                    };
                }
                Ok(false)
            }
            State::Starts { at } => Ok(now() >= at),
        }
    }

    fn has_ended(&mut self) -> Result<Option<String>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        Ok(child.try_wait()?.map(|status| status.to_string()))
    }

    /// Returns an error with its last output.
    pub(super) fn failed(&self, what: &str) -> Box<dyn std::error::Error> {
        let said = read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.len().saturating_sub(LAST);
        let last = lines.get(last..).unwrap_or_default().join("\n  ");
        format!("{} {what}\n  {last}", self.name).into()
    }

    /// Returns its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Returns a line that describes it.
    pub(super) fn line(&self) -> String {
        let Self { name, note, .. } = self;
        format!("{name} {note}, process {}", self.id())
    }

    /// Asks it to exit.
    pub(super) fn terminate(&mut self) {
        let Some(child) = &mut self.child else {
            return;
        };
        // After it was waited for, its id may belong to another process.
        if let Ok(None) = child.try_wait()
            && let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(id, Signal::TERM);
        }
    }

    /// Waits until it exits, and kills it if that takes too long.
    pub(super) fn end(&mut self, limit: Duration) {
        let began = now();
        while let Ok(None) = self.has_ended() {
            if self.child.is_none() {
                return;
            }
            if now().duration_since(began) > limit {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
    Instant::now()
}
