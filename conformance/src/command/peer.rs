//! The peer that `--exec` starts: a command in a process group of its own, which is ended with the run.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

/// How often to look whether a port is open, or a process has ended.
const OFTEN: Duration = Duration::from_millis(50);

/// How long a server may take until it listens, in looks.
const MOST_LOOKS: u32 = 600;

/// How long a process may take to end, in looks.
const ENDING: u32 = 40;

/// The process group to end when this program is ended at once; 0 for none.
static GROUP: AtomicI32 = AtomicI32::new(0);

/// A running command.
pub struct Process {
    child: Child,
    command: String,
}

impl Process {
    /// Starts a command with the shell. `{url}` in it stands for the URL, which is in `WSCONFORM_URL` as well.
    pub fn start(command: &str, url: &str) -> io::Result<Self> {
        let text = command.replace("{url}", url);
        let mut shell = Command::new(if cfg!(windows) { "cmd" } else { "sh" });
        shell
            .arg(if cfg!(windows) { "/C" } else { "-c" })
            .arg(&text)
            .env("WSCONFORM_URL", url)
            .stdin(Stdio::null())
            .stdout(io::stderr());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let child = shell.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot run `{text}`: {error}"))
        })?;
        GROUP.store(i32::try_from(child.id()).unwrap_or(0), Ordering::Relaxed);
        Ok(Self {
            child,
            command: text,
        })
    }

    /// Waits until `listens` says so.
    ///
    /// # Errors
    /// The command ends, or the time is over, or the user stops the run.
    pub fn wait_until(&mut self, listens: impl Fn() -> bool, stop: &AtomicBool) -> io::Result<()> {
        for _ in 0..MOST_LOOKS {
            if listens() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "`{}` ended before it listened: {status}",
                    self.command
                )));
            }
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("stopped"));
            }
            std::thread::sleep(OFTEN);
        }
        Err(io::Error::other(format!(
            "`{}` does not listen after {:?}",
            self.command,
            OFTEN * MOST_LOOKS
        )))
    }

    /// Waits until it ends by itself, or `stop` is set; sets `stop` when it has ended.
    pub fn watch(&mut self, stop: &Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(OFTEN),
                Ok(Some(status)) => {
                    if !status.success() {
                        let _ = writeln!(
                            io::stderr(),
                            "wsconform: `{}` ended: {status}",
                            self.command
                        );
                    }
                    stop.store(true, Ordering::Relaxed);
                }
                Err(_) => stop.store(true, Ordering::Relaxed),
            }
        }
    }
}

/// Ends it, and all processes that it started: first as asked, then by force.
impl Drop for Process {
    fn drop(&mut self) {
        signal(false);
        for _ in 0..ENDING {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(OFTEN);
        }
        signal(true);
        let _ = self.child.kill();
        let _ = self.child.wait();
        GROUP.store(0, Ordering::Relaxed);
    }
}

/// Ends the process group by force, if there is one.
pub fn end_now() {
    signal(true);
}

#[cfg(unix)]
fn signal(by_force: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if by_force { Signal::KILL } else { Signal::TERM };
    if let Some(group) = Pid::from_raw(GROUP.load(Ordering::Relaxed)) {
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn signal(_: bool) {}
