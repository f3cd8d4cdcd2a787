//! The command `init`: writes a config file, and an echo server in a language, to start from.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::config::FILE;
use super::tell::say;

/// The language of the echo server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Python, on `websockets`.
    Python,
    /// Node, on `ws`.
    Node,
    /// Go, on `gorilla/websocket`.
    Go,
    /// Rust, on `tungstenite`.
    Rust,
}

/// The files of a language.
struct Template {
    /// Files: their paths and their contents.
    files: &'static [(&'static str, &'static str)],
    /// The command that prepares the server.
    prepare: &'static str,
    /// The command that starts it.
    exec: &'static str,
}

const PYTHON: Template = Template {
    files: &[("wsconform/echo_server.py", include_str!("echo_server.py"))],
    prepare: "pip install websockets",
    exec: "exec python3 wsconform/echo_server.py",
};

const NODE: Template = Template {
    files: &[("wsconform/echo_server.mjs", include_str!("echo_server.mjs"))],
    prepare: "npm install ws",
    exec: "exec node wsconform/echo_server.mjs",
};

const GO: Template = Template {
    files: &[
        ("wsconform/main.go", include_str!("main.go.txt")),
        ("wsconform/go.mod", include_str!("go.mod.txt")),
    ],
    prepare: "cd wsconform && go mod tidy && go build",
    exec: "exec wsconform/echo-server",
};

const RUST: Template = Template {
    files: &[
        ("wsconform/src/main.rs", include_str!("main.rs.txt")),
        ("wsconform/Cargo.toml", include_str!("Cargo.toml.txt")),
    ],
    prepare: "cargo build --release --manifest-path wsconform/Cargo.toml",
    exec: "exec wsconform/target/release/echo-server",
};

impl Language {
    const fn template(self) -> Template {
        match self {
            Self::Python => PYTHON,
            Self::Node => NODE,
            Self::Go => GO,
            Self::Rust => RUST,
        }
    }
}

/// The config file, in which `EXEC` stands for the command.
const CONFIG: &str = include_str!("wsconform.toml");

/// Writes the files into a directory.
///
/// # Errors
/// One of them is there already, or cannot be written.
pub fn run(language: Language, dir: &Path) -> io::Result<ExitCode> {
    let template = language.template();
    let config = CONFIG.replace("EXEC", template.exec);
    let all: Vec<(PathBuf, &str)> = std::iter::once((FILE, config.as_str()))
        .chain(template.files.iter().copied())
        .map(|(path, text)| (dir.join(path), text))
        .collect();
    if let Some((taken, _)) = all.iter().find(|(path, _)| path.exists()) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is there already: nothing was written", taken.display()),
        ));
    }
    for (path, text) in &all {
        let about =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(about)?;
        }
        fs::write(path, text).map_err(about)?;
        say!("wrote {}", path.display());
    }
    say!("next, in {}:", dir.display());
    say!("  {}", template.prepare);
    say!("  wsconform test");
    Ok(ExitCode::SUCCESS)
}
