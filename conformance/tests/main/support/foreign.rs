//! Foreign peers as child processes: Python `websockets` and Node `ws`, from the folder `interop`.

use core::time::Duration;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use super::LIMIT;

/// The language of a foreign peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    Node,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Installs the peers and the proxies, once; every test that needs them fails when that fails.
pub fn setup() {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let output = Command::new(folder().join("setup.sh"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    });
    if let Err(why) = done {
        panic!("setup.sh failed: {why}");
    }
}

/// A running child. It ends with this value, also when the test panics; what it wrote is shown then.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    first_line: Receiver<String>,
    /// Disconnected once the child has closed its stdout, which it does by ending.
    ended: Receiver<()>,
    text: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    fn start(language: Language, script: &str, arguments: &[String]) -> Self {
        setup();
        let (program, file) = match language {
            Language::Python => (folder().join(".venv/bin/python"), format!("{script}.py")),
            Language::Node => (PathBuf::from("node"), format!("{script}.mjs")),
        };
        let mut command = Command::new(program);
        command.current_dir(folder()).arg(&file).args(arguments);
        Self::spawn(&mut command, format!("{file} {}", arguments.join(" ")))
    }

    /// Starts any program; `name` is what it is called when it fails.
    pub fn spawn(command: &mut Command, name: String) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let text = Arc::new(Mutex::new(String::new()));
        let (line, first_line) = channel();
        let (end, ended) = channel();
        let readers = vec![
            read_lines(child.stdout.take().unwrap(), &text, Some((line, end))),
            read_lines(child.stderr.take().unwrap(), &text, None),
        ];
        Self {
            name,
            stdin: child.stdin.take(),
            child,
            first_line,
            ended,
            text,
            readers,
        }
    }

    /// Returns its output so far.
    pub fn text(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for its end; `None` when it is late.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        match self.ended.recv_timeout(limit) {
            Err(RecvTimeoutError::Disconnected) => self.child.wait().ok(),
            Ok(()) | Err(RecvTimeoutError::Timeout) => None,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        // Both do nothing when the child has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.text());
        }
    }
}

/// Collects what a child writes; the first line is also sent, and the end is shown by dropping the other sender.
fn read_lines(
    stream: impl Read + Send + 'static,
    text: &Arc<Mutex<String>>,
    tell: Option<(Sender<String>, Sender<()>)>,
) -> JoinHandle<()> {
    let text = Arc::clone(text);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
            drop(text);
            if let Some((first, _)) = &tell {
                let _ = first.send(line);
            }
        }
    })
}

/// Runs a foreign client to its end: whether it was content, and what it wrote.
pub fn run_client(language: Language, url: &str, scenario: &str, more: &[&str]) -> (bool, String) {
    let mut arguments = vec![url.to_string(), scenario.to_string()];
    arguments.extend(more.iter().map(ToString::to_string));
    let mut client = Process::start(language, "client", &arguments);
    let Some(status) = client.wait(LIMIT) else {
        panic!("{} did not end", client.name);
    };
    let text = client.text();
    // 1 is a difference; anything else is a mistake in the call.
    assert!(
        matches!(status.code(), Some(0 | 1)),
        "{}: {status}: {text}",
        client.name
    );
    (status.success(), text)
}

/// Runs another script than `client` to its end, which must be a success.
pub fn run_script(language: Language, script: &str, arguments: &[String], limit: Duration) {
    let mut process = Process::start(language, script, arguments);
    let ended = process.wait(limit);
    let text = process.text();
    assert!(
        ended.is_some_and(|status| status.success()),
        "{script}: {ended:?}: {text}"
    );
}

/// Runs a foreign client that must be content.
pub fn content(language: Language, url: &str, scenario: &str, more: &[&str]) {
    let (fine, text) = run_client(language, url, scenario, more);
    assert!(fine, "{language:?} client, {scenario} {more:?}: {text}");
}

/// A foreign server.
#[derive(Debug)]
pub struct ForeignServer {
    process: Process,
    pub port: u16,
}

impl ForeignServer {
    pub fn start(language: Language, arguments: &[String]) -> Self {
        Self::start_script(language, "server", arguments)
    }

    /// Starts another script than `server`.
    pub fn start_script(language: Language, script: &str, arguments: &[String]) -> Self {
        let process = Process::start(language, script, arguments);
        let Ok(line) = process.first_line.recv_timeout(LIMIT) else {
            panic!("{} says no port", process.name);
        };
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let port = said
            .get("port")
            .and_then(serde_json::Value::as_u64)
            .unwrap();
        Self {
            process,
            port: u16::try_from(port).unwrap(),
        }
    }

    /// Ends it by the end of its stdin.
    pub fn stop(mut self) {
        self.process.stdin = None;
        let ended = self.process.wait(Duration::from_secs(10));
        assert!(ended.is_some(), "{} goes on", self.process.name);
    }
}
