//! Pages in a real browser, for each runtime: the chat while a window reloads and is cut off (`browser/chat.mjs`), the demo, a page over the
//! public client library, while its server restarts (`browser/demo.mjs`), the dashboard of several nodes (`browser/nodes.mjs`), and the public
//! client library in a page, over each of its transports (`browser/clients.mjs`).
//! `browser/setup.sh` installs what that needs.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{RUNTIMES, Running, listening, start};

const CHAT: &str = env!("CARGO_BIN_EXE_chat");
const DEMO: &str = env!("CARGO_BIN_EXE_demo");
const REALTIME: &str = env!("CARGO_BIN_EXE_realtime");

fn folder(name: &str, runtime: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{runtime}"))
}

fn script(name: &str, url: &str, folder: &Path) -> Command {
    let mut script = Command::new("node");
    script
        .arg(name)
        .args([Path::new(url), folder])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser"))
        .stdout(Stdio::piped());
    script
}

fn has_shots(folder: &Path) {
    for shot in ["desktop", "dark", "phone"] {
        let shot = folder.join(shot).with_extension("png");
        assert!(shot.metadata().unwrap().len() > 10_000, "{shot:?}");
    }
}

#[test]
fn a_page_that_reloads_or_is_cut_off_misses_nothing() {
    for runtime in RUNTIMES {
        let (_server, url) = start(CHAT, runtime);
        let folder = folder("chat", runtime);
        let output = script("chat.mjs", &url, &folder).output();
        let output = output.expect("node is there: run examples/tests/browser/setup.sh");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "ok\n", "{runtime}");
        has_shots(&folder);
    }
}

#[test]
fn the_dashboard_shows_each_node_and_all_together() {
    for runtime in RUNTIMES {
        let (_server, url) = start(DEMO, runtime);
        let folder = folder("nodes", runtime);
        let output = script("nodes.mjs", &url, &folder).output();
        let output = output.expect("node is there: run examples/tests/browser/setup.sh");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "ok\n", "{runtime}");
        has_shots(&folder);
    }
}

#[test]
fn the_client_library_in_a_page_uses_each_of_its_transports() {
    for runtime in [RUNTIMES[0], RUNTIMES[1], "mio"] {
        let arguments = [
            "--runtime",
            runtime,
            "--listen",
            "127.0.0.1:0",
            "--insecure",
        ];
        let (_server, url) = listening(REALTIME, &arguments);
        let output = script("clients.mjs", &url, &folder("clients", runtime)).output();
        let output = output.expect("node is there: run examples/tests/browser/setup.sh");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "ok\n", "{runtime}");
    }
}

#[test]
fn two_people_talk_and_the_page_outlives_a_restart() {
    for runtime in RUNTIMES {
        let (server, url) = start(DEMO, runtime);
        let mut server = Some(server);
        let address = url.trim_start_matches("http://");
        let folder = folder("demo", runtime);
        let mut script = script("demo.mjs", &url, &folder)
            .stdin(Stdio::piped())
            .spawn()
            .expect("node is there: run examples/tests/browser/setup.sh");
        let (mut tell, told) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let mut script = Running(script);
        let mut said = Vec::new();
        for line in BufReader::new(told).lines().map_while(Result::ok) {
            if line == "ready to restart" {
                let mut old = server.take().unwrap();
                old.signal("TERM");
                assert!(old.0.wait().unwrap().success());
                let (new, _) = listening(DEMO, &["--runtime", runtime, "--listen", address]);
                server = Some(new);
                tell.write_all(b"restarted\n").unwrap();
            }
            said.push(line);
        }
        let status = script.0.wait().unwrap();
        assert!(status.success(), "{runtime}: {said:?}");
        assert_eq!(said, ["ready to restart", "ok"]);
        has_shots(&folder);
    }
}
