//! CPU affinity and process limits.

use rustix::io::Result;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One CPU for the load generator, another for the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpus {
    pub(crate) load: usize,
    pub(crate) server: usize,
}

impl Cpus {
    /// The first two CPUs this process may use, if there are two.
    pub(crate) fn pick() -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        Some(Self {
            load: cpus.next()?,
            server: cpus.next()?,
        })
    }
}

/// Keeps this thread, and those it will start, on one CPU.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    sched_setaffinity(None, &only(cpu))
}

/// Whether a process runs on this CPU alone.
pub(crate) fn is_pinned(pid: u32, cpu: usize) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some() && sched_getaffinity(pid).is_ok_and(|set| set == only(cpu))
}

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}

/// Raises the soft limit of open files to the hard one.
pub(crate) fn raise_open_files() -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(());
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
}
