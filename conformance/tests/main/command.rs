//! The program `wsconform`: what it says, and how it ends.

use crate::support::program::{answer_handshake, run, scratch, wsconform};

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sansws_conformance::subjects::{on_smol, on_tokio};

#[test]
fn nothing_that_listens_is_said_at_once_in_one_line_with_exit_code_2() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (code, out, error) = run(&["test", &format!("ws://127.0.0.1:{port}")]);
    assert_eq!(
        (code, out.as_str(), error.lines().count()),
        (Some(2), "", 1),
        "{error}"
    );
    assert!(error.contains("cannot reach"), "{error}");
}

#[test]
fn runs_that_cannot_start_exit_with_2() {
    for arguments in [
        &["test", "http:/x"][..],
        &["explain", "99.9"],
        &["self", "--only", "99.*"],
        &["list", "--only", "zz"],
        &["self", "--baseline", "/no/such/file"],
        &["serve", "256.0.0.1:1"],
        &["test", "ws://127.0.0.1:1", "--timeout", "0"],
        &["test", "ws://127.0.0.1:1", "ws://127.0.0.1:1/"],
        &["test", "ws://a:1", "ws://b:1", "--agent=x", "--agent=x"],
    ] {
        let (code, _, error) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(!error.is_empty() && !error.contains("panicked"), "{error}");
    }
}

#[test]
fn cases_are_listed_and_explained() {
    let (code, out, _) = run(&["list", "--only", "6.4.*,20.1.1"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("6.4.1") && out.contains("20.1.1") && out.ends_with("5 cases\n"),
        "{out}"
    );
    let (code, out, _) = run(&["explain", "7.1.6"]);
    assert_eq!(code, Some(0));
    for part in [
        "256 KiB",
        "RFC 6455",
        "INFORMATIONAL",
        "servers and clients",
        "stands on a MUST",
        "Send text (262144 octets), a Close frame 1000 (2 octets), and a ping (0 octets).",
    ] {
        assert!(out.contains(part), "{out}");
    }
}

#[test]
fn a_good_server_is_exit_code_0_with_reports_and_a_bad_one_is_exit_code_1() {
    let dir = scratch("command-good");
    let dir = dir.to_str().unwrap();
    let (code, out, error) =
        on_tokio::with_server(|url| run(&["test", url, "--only", "1.*", "--out", dir])).unwrap();
    assert_eq!(code, Some(0), "{out}{error}");
    assert!(out.contains("16: 16 OK"), "{out}");
    for file in [
        "index.html",
        "index.json",
        "junit.xml",
        "server_case_1_1_1.json",
    ] {
        assert!(PathBuf::from(dir).join(file).exists(), "{file}");
    }
}

/// `serve`, and a client that knows the control addresses of the classic suite.
#[test]
fn a_client_is_tested_by_the_control_addresses() {
    let dir = scratch("command-serve");
    let mut server = wsconform()
        .args([
            "serve",
            "127.0.0.1:0",
            "--once",
            "--only",
            "1.1.*",
            "--out",
            dir.to_str().unwrap(),
            "--format",
            "json",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let url = lines
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        .unwrap();
    assert_eq!(ask(&url, "/getCaseCount"), "8");
    assert!(ask(&url, "/getCaseInfo?case=2").contains("\"id\":\"1.1.2\""));
    for case in 1..=8 {
        on_smol::echo(&format!("{url}/runCase?case={case}&agent=my%20client"));
    }
    assert!(ask(&url, "/getCaseStatus?case=3&agent=my%20client").contains("\"behavior\":\"OK\""));
    ask(&url, "/updateReports?agent=my%20client");
    let rest: Vec<String> = lines.collect();
    assert_eq!(server.wait().unwrap().code(), Some(0), "{rest:?}");
    let index = std::fs::read_to_string(dir.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["my client"]["1.1.8"]["behavior"], "OK");
}

/// The text that a control address answers with.
fn ask(url: &str, path: &str) -> String {
    let (mut socket, _) = tungstenite::connect(format!("{url}{path}")).unwrap();
    loop {
        match socket.read() {
            Ok(tungstenite::Message::Text(text)) => {
                // Read on until the server has closed.
                while socket.read().is_ok() {}
                return text.as_str().into();
            }
            Ok(_) => {}
            Err(_) => return String::new(),
        }
    }
}

/// ^C writes the report of what ran.
#[cfg(unix)]
#[test]
fn an_interrupt_still_writes_the_report() {
    let dir = scratch("command-interrupt");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    // The first connection is answered; others are taken by the system, and nobody answers them.
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        answer_handshake(&mut stream);
        listener
    });
    let mut program = wsconform()
        .args([
            "test",
            &url,
            "--only",
            "1.1.*",
            "--jobs",
            "1",
            "--timeout",
            "600",
            "--out",
            dir.to_str().unwrap(),
            "--format",
            "json",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "server: 8 cases");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let killed = Command::new("kill")
        .args(["-INT", &program.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(program.wait().unwrap().code(), Some(1), "{rest:?}");
    let index = std::fs::read_to_string(dir.join("index.json")).unwrap();
    assert!(index.contains("1.1.1"), "{index}");
    drop(answering.join().unwrap());
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    for arguments in [&["list"][..], &["explain", "*"]] {
        let mut program = wsconform()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(program.stdout.take());
        let ended = program.wait_with_output().unwrap();
        let error = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), error.as_str()), (Some(0), ""));
    }
    let mut program = wsconform()
        .args(["explain", "99.9"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(program.stderr.take());
    assert_eq!(program.wait().unwrap().code(), Some(2));
}

#[test]
fn the_echo_peer_reports_where_it_listens() {
    let mut peer = wsconform()
        .args(["peer", "server", "ws://127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(peer.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap();
    let (code, out, error) = run(&["test", url, "--only", "1.1.*"]);
    assert_eq!(code, Some(0), "{out}{error}");
    // Two paths of one server are two agents.
    let (code, out, error) = run(&[
        "test",
        &format!("{url}/a"),
        &format!("{url}/b"),
        "--only",
        "1.1.1",
    ]);
    peer.kill().unwrap();
    peer.wait().unwrap();
    assert_eq!(code, Some(0), "{out}{error}");
    assert!(
        out.contains("/a (server)") && out.contains("/b (server)"),
        "{out}"
    );

    let (code, _, error) = run(&["peer", "server", "wss://127.0.0.1:0"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("use ws://"), "{error}");
}
