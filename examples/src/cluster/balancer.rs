//! HAProxy in front of the nodes, configured as in `docs/haproxy.cfg`.

use std::fmt::Write;
use std::fs::write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Result;
use super::part::Part;

/// The documentation's example; its servers and its address are replaced.
const EXAMPLE: &str = include_str!("../../../docs/haproxy.cfg");

pub(super) fn part(directory: &Path, listen: SocketAddr, nodes: &[Part]) -> Result<Part> {
    let Some(program) = find("haproxy") else {
        return Err("haproxy is not installed (Debian: `apt-get install haproxy`)".into());
    };
    let file = directory.join("haproxy.cfg");
    write(&file, settings(listen, nodes)?)?;
    let mut part = Part::new("haproxy", program, directory);
    // In the foreground.
    part.arguments(&["-db", "-f", &file.to_string_lossy()]);
    part.note = format!("at {listen}");
    Ok(part)
}

fn settings(listen: SocketAddr, nodes: &[Part]) -> Result<String> {
    let (head, _) = EXAMPLE
        .split_once("    server ")
        .ok_or("docs/haproxy.cfg has no server line")?;
    let mut settings = head.replace("127.0.0.1:8080", &listen.to_string());
    for node in nodes {
        writeln!(settings, "    server {} {}", node.name, node.address)?;
    }
    Ok(settings)
}

/// Returns the path of a program, if it is installed.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers outside a user's `PATH`.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places
        .map(|place| place.join(program))
        .find(|file| file.is_file())
}
