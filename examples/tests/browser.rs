//! The demo page in a real browser, while its server restarts: `browser/demo.mjs`, for each runtime.
//! `browser/setup.sh` installs what that needs.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{RUNTIMES, Running, listening, start};

const DEMO: &str = env!("CARGO_BIN_EXE_demo");

#[test]
fn two_people_talk_and_the_page_outlives_a_restart() {
    for runtime in RUNTIMES {
        let (server, url) = start(DEMO, runtime);
        let mut server = Some(server);
        let address = url.trim_start_matches("http://");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{runtime}"));
        let mut script = Command::new("node")
            .arg("demo.mjs")
            .args([Path::new(&url), &folder])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
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
        for shot in ["desktop", "dark", "phone"] {
            let shot = folder.join(shot).with_extension("png");
            assert!(shot.metadata().unwrap().len() > 10_000, "{shot:?}");
        }
    }
}
