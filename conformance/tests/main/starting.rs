//! `wsconform init`, whose servers are run as they were written; the config file; and the steps of the CI workflow.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::foreign;
use crate::support::program::{Threads, scratch, wsconform};

/// Runs the program in a directory: its exit code, and what it wrote.
fn run_in(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = with_tools(wsconform().current_dir(dir).args(arguments));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// An empty directory.
fn folder(name: &str) -> PathBuf {
    let dir = scratch(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs a command that finds the packages of the interop peers, and those of Debian for Go.
fn with_tools(command: &mut Command) -> std::process::Output {
    let interop = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_wsconform"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = vec![
        interop.join(".venv/bin"),
        program.parent().unwrap().to_owned(),
    ];
    all.extend(std::env::split_paths(&path));
    command
        .env("PATH", std::env::join_paths(all).unwrap())
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .output()
        .unwrap()
}

fn shell(dir: &Path, line: &str) {
    let output = with_tools(Command::new("bash").current_dir(dir).args(["-ec", line]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said}");
}

/// A URL that nothing listens at.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("ws://{}", listener.local_addr().unwrap())
}

/// Replaces a text in a file.
fn edit(path: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{text}");
    std::fs::write(path, text.replace(old, new)).unwrap();
}

/// Writes what is for a language.
fn written(name: &str, language: &str) -> PathBuf {
    foreign::setup();
    let dir = folder(name);
    let (code, out) = run_in(&dir, &["init", language]);
    assert_eq!(code, Some(0), "{out}");
    edit(&dir.join("wsconform.toml"), "ws://127.0.0.1:9001", &free());
    dir
}

/// Writes what is for a language, prepares it, and runs the suite as the written file says.
fn starts(language: &str, prepare: &str) -> PathBuf {
    let dir = written(&format!("starting-{language}"), language);
    // Existing files are not overwritten.
    let (code, out) = run_in(&dir, &["init", language]);
    assert!(code == Some(2) && out.contains("is there already"), "{out}");
    shell(&dir, prepare);
    let (code, out) = run_in(&dir, &["test"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("echo-server (server)\n  classic   246: 2"),
        "{out}"
    );
    let index = std::fs::read_to_string(dir.join("wsconform/report/index.json")).unwrap();
    assert!(index.contains("\"echo-server\""));
    dir
}

/// Where the packages of Node are.
fn node_modules() -> String {
    format!(
        "ln -s '{}/interop/node_modules' .",
        env!("CARGO_MANIFEST_DIR")
    )
}

#[test]
fn the_server_that_is_written_in_python_is_run() {
    starts("python", "true");
}

#[test]
fn the_server_that_is_written_in_node_is_run() {
    starts("node", &node_modules());
}

#[test]
fn the_server_that_is_written_in_go_is_run() {
    // Without the module proxy: the library is a package of Debian.
    starts("go", "cd wsconform && go build -o echo-server main.go");
}

#[test]
fn the_server_that_is_written_in_rust_is_run() {
    let dir = starts(
        "rust",
        "cargo build --quiet --release --manifest-path wsconform/Cargo.toml",
    );
    std::fs::remove_dir_all(dir.join("wsconform/target")).unwrap();
}

#[test]
fn options_on_the_command_line_win_over_those_of_the_file() {
    let dir = folder("starting-config");
    let server = Threads::echo();
    let config = format!(
        "only = [\"1.1.*\"]\nout = \"report\"\nformat = [\"json\"]\ntimeout = 3.5\n\n[test]\nurls = [\"{}\"]\nagent = [\"file\"]\n\n[serve]\nonce = true\n",
        server.url()
    );
    std::fs::write(dir.join("wsconform.toml"), &config).unwrap();
    let (code, out) = run_in(&dir, &["test"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("file: 8 cases") && out.contains("classic     8: 8 OK"),
        "{out}"
    );
    assert!(dir.join("report/index.json").exists() && !dir.join("report/index.html").exists());
    // A list replaces the list; names belong to URLs.
    let (code, out) = run_in(&dir, &["test", "--only", "1.2.1,2.1"]);
    assert!(code == Some(0) && out.contains("file: 2 cases"), "{out}");
    let (code, out) = run_in(
        &dir,
        &["test", &server.url(), &format!("{}/again", server.url())],
    );
    assert!(code == Some(0) && !out.contains("file: "), "{out}");
    // Another file.
    std::fs::rename(dir.join("wsconform.toml"), dir.join("other.toml")).unwrap();
    let (code, out) = run_in(&dir, &["test", "--config", "other.toml", "--agent", "flag"]);
    assert!(code == Some(0) && out.contains("flag: 8 cases"), "{out}");
    let (code, out) = run_in(&dir, &["test"]);
    assert!(code == Some(2) && out.contains("no URL"), "{out}");
}

#[test]
fn a_client_is_tested_by_the_options_of_the_file() {
    let dir = folder("starting-serve");
    let peer = format!("exec '{}' peer client", env!("CARGO_BIN_EXE_wsconform"));
    let config =
        format!("only = [\"1.1.*\"]\n[serve]\naddress = \"127.0.0.1:0\"\nexec = \"{peer}\"\n");
    std::fs::write(dir.join("wsconform.toml"), config).unwrap();
    let (code, out) = run_in(&dir, &["serve"]);
    assert!(
        code == Some(0) && out.contains("classic     8: 8 OK"),
        "{out}"
    );
}

#[test]
fn mistakes_in_the_file_are_named_with_their_place() {
    let dir = folder("starting-mistakes");
    for (text, says) in [
        ("quick = true\nonyl = [\"1.*\"]\n", "line 2, column 1"),
        ("quick = true\nonyl = [\"1.*\"]\n", "unknown field `onyl`"),
        ("\n\n[test]\nurl = \"ws://h\"\n", "line 4, column 1"),
        ("[serve]\nurls = []\n", "unknown field `urls`"),
        ("timeout = \"long\"\n", "line 1, column 11"),
        ("timeout = -1\n", "must be a number of seconds above 0"),
        ("fail-on = \"bad\"\n", "must be one of informational"),
        ("only = [\n", "line 1"),
    ] {
        std::fs::write(dir.join("wsconform.toml"), text).unwrap();
        let (code, out) = run_in(&dir, &["test", "ws://127.0.0.1:1"]);
        assert_eq!(code, Some(2), "{out}");
        let named = out.starts_with("wsconform: wsconform.toml: ");
        assert!(named && out.contains(says), "{text:?}: {out}");
    }
    let (code, out) = run_in(&dir, &["test", "--config", "none.toml"]);
    assert!(code == Some(2) && out.contains("none.toml: "), "{out}");
}

/// The value behind a key of a workflow, of each line that has it.
fn values<'a>(workflow: &'a str, key: &str) -> Vec<&'a str> {
    let lines = workflow.lines().map(str::trim_start);
    lines.filter_map(|line| line.strip_prefix(key)).collect()
}

/// The steps of the reusable workflow, with the inputs of a project in each language.
#[test]
fn the_steps_of_the_ci_workflow_are_run() {
    let ci = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ci");
    let read = |name: &str| std::fs::read_to_string(ci.join(name)).unwrap();
    let workflow = read("wsconform.yml");
    let steps = values(&workflow, "run: ");
    assert_eq!(steps.len(), 3, "{steps:?}");
    for language in ["python", "node", "go"] {
        let project = read(&format!("{language}.yml"));
        let [prepare] = values(&project, "prepare: ")[..] else {
            panic!("{project}");
        };
        // Without the module proxy: the library is a package of Debian.
        let prepare = prepare.replace("go mod tidy && go build", "go build -o echo-server main.go");
        let dir = written(&format!("starting-ci-{language}"), language);
        for step in &steps {
            let line = step
                .replace("${{ inputs.prepare }}", &prepare)
                .replace("${{ inputs.arguments }}", "--only '1.*,7.1.1'");
            assert!(!line.contains("${{"), "{line}");
            shell(&dir, &line);
        }
        let [path] = values(&workflow, "path: ")[..] else {
            panic!("{workflow}");
        };
        assert!(dir.join(path).join("index.html").exists(), "{language}");
    }
}
