//! The cluster's own Redis, which writes everything to disk before it answers: nothing is lost, whatever is killed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::part::Part;
use super::{LOOK, Result, balancer};

/// Either works.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

pub(super) fn part(directory: &Path, address: SocketAddr) -> Result<Part> {
    let Some(program) = PROGRAMS.into_iter().find_map(balancer::find) else {
        return Err("neither redis-server nor valkey-server is installed here \
            (Debian: `apt-get install redis-server`); or name one that runs, by --redis"
            .into());
    };
    let mut part = Part::new("redis", program, directory);
    let port = address.port().to_string();
    part.arguments(&["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
    part.arguments(&["--appendonly", "yes", "--appendfsync", "always"]);
    part.arguments(&["--maxmemory-policy", "noeviction"]);
    part.arguments(&["--dir", &directory.to_string_lossy()]);
    part.note = format!("at {address}");
    Ok(part)
}

/// Returns whether it answers, and has loaded its data.
pub(super) fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, LOOK)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG\r\n")
    };
    ask().unwrap_or(false)
}
