//! How `wsconform` is run: peers that are no WebSocket servers, or end in the middle; lists of what is expected; peers that it starts.

use crate::support::program::{Threads, answer_handshake, echo, run, scratch, wsconform};

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansws_conformance::http::Head;
use sansws_conformance::serve::Server;
use sansws_conformance::{Suite, Verdict};

/// The command line of an echo peer, which is a command of the program itself.
fn as_peer(role: &str) -> String {
    format!("exec '{}' peer {role}", env!("CARGO_BIN_EXE_wsconform"))
}

fn drain(mut stream: TcpStream) {
    let mut part = [0; 4096];
    while stream.read(&mut part).is_ok_and(|count| count > 0) {}
}

#[test]
fn a_url_without_a_websocket_server_fails_before_any_case() {
    let http = |answer: &'static [u8]| {
        Threads::serve(move |_, mut stream| {
            let _ = stream.write_all(answer);
            drain(stream);
            true
        })
    };
    let silent = Threads::serve(|_, stream| {
        drain(stream);
        true
    });
    let ending = Threads::serve(|_, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        true
    });
    let web = http(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let mail = http(b"220 mail.example ESMTP\r\n");
    let secure = web.url().replace("ws://", "wss://");
    for (url, says) in [
        (
            web.url(),
            "answers a WebSocket handshake with `HTTP/1.1 404 Not Found`",
        ),
        (silent.url(), "answers no handshake within 300ms"),
        (
            ending.url(),
            "ends the connection, and answers no handshake",
        ),
        (mail.url(), "something that is not HTTP"),
        (
            secure,
            "does not speak TLS there; does ws:// in place of wss:// work?",
        ),
    ] {
        let (code, out, error) = run(&["test", &url, "--timeout", "0.3"]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(
            error.contains(says) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_server_that_dies_in_the_middle_ends_the_run_with_its_own_exit_code() {
    let server = Threads::serve(|number, stream| {
        // However slowly the others are served, none after these is.
        let lives = number < 20;
        if lives {
            echo(stream);
        }
        lives
    });
    let dir = scratch("running-gone");
    let (code, out, error) = run(&[
        "test",
        &server.url(),
        "--only",
        "1.*,2.*,6.*",
        "--out",
        dir.to_str().unwrap(),
        "--format",
        "json,html",
    ]);
    assert_eq!(code, Some(3), "{out}{error}");
    assert!(out.contains("stopped: gone since case "), "{out}");
    let index = std::fs::read_to_string(dir.join("index.json")).unwrap();
    // Cases run beside each other, in no certain order.
    let ran = index.matches("\"behavior\"").count();
    assert!((1..100).contains(&ran), "{ran} of 172 cases");
    let page = std::fs::read_to_string(dir.join("index.html")).unwrap();
    assert!(page.contains("gone since case "));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let server = Threads::serve(|_, mut stream| {
        if answer_handshake(&mut stream) {
            drain(stream);
        }
        true
    });
    let (code, out, error) = run(&[
        "test",
        &server.url(),
        "--timeout",
        "0.25",
        "--skip",
        "9.*,12.*,13.*",
    ]);
    assert_eq!(code, Some(3), "{out}{error}");
    assert!(out.contains("stopped: silent since case "), "{out}");
    assert!(out.contains("waited shorter"), "{out}");
}

#[test]
fn a_server_that_never_ends_tcp_is_waited_for_a_few_times_only() {
    let server = Threads::serve(|_, stream| {
        // Both sides have closed, and TCP stays open until the suite ends it.
        if let Some(stream) = echo(stream) {
            drain(stream);
        }
        true
    });
    let (code, out, error) = run(&[
        "test",
        &server.url(),
        "--timeout",
        "0.5",
        "--only",
        "1.*,6.2.*,7.7.*",
    ]);
    assert_eq!(code, Some(1), "{out}{error}");
    assert!(out.contains("FAILED BY CLIENT"), "{out}");
    assert!(
        out.contains("note: after 5 waits for the end of TCP in vain"),
        "{out}"
    );
}

#[test]
fn cases_that_a_baseline_lacks_are_new_and_fail() {
    let server = Threads::echo();
    let dir = scratch("running-baseline");
    let dir = dir.to_str().unwrap();
    let baseline = format!("{dir}/index.json");
    let url = server.url();
    let (code, _, _) = run(&[
        "test", &url, "--only", "1.1.*", "--out", dir, "--format", "json",
    ]);
    assert_eq!(code, Some(0));
    let again = |only: &str| run(&["test", &url, "--only", only, "--baseline", &baseline]);
    let (code, out, _) = again("1.1.*,1.2.1");
    assert_eq!(code, Some(0), "{out}");
    let (code, out, _) = again("1.1.*,22.1.2");
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("new:    server: case 22.1.2: NON-STRICT"),
        "{out}"
    );
    let (code, _, error) = run(&["test", &url, "--baseline", "/no/such/file"]);
    assert_eq!(code, Some(2));
    assert!(
        error.contains("/no/such/file: the baseline cannot be read: No such file"),
        "{error}"
    );
    std::fs::write(&baseline, "[]").unwrap();
    let (code, _, error) = again("1.1.1");
    assert_eq!(code, Some(2));
    assert!(
        error.contains("is not an index.json: invalid type"),
        "{error}"
    );
}

#[test]
fn expected_failures_are_listed_with_reasons_and_stale_lines_are_told() {
    let server = Threads::echo();
    let dir = scratch("running-expected");
    std::fs::create_dir_all(&dir).unwrap();
    let list = dir.join("expected.tsv");
    let list = list.to_str().unwrap();
    let url = server.url();
    let with = |only: &str, more: &[&str]| {
        let base = ["test", &url, "--only", only];
        run(&[&base, more].concat())
    };
    let (code, out, _) = with("1.1.*,22.1.*", &["--write-expect", list]);
    assert_eq!(code, Some(1), "{out}");
    let text = std::fs::read_to_string(list).unwrap();
    assert!(text.contains("22.1.2\tNON-STRICT\t"), "{text}");
    let (code, out, _) = with("1.1.*,22.1.*", &["--expect", list]);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("0 unexpected, 10 as expected, 0 stale lines"),
        "{out}"
    );
    // One that passes, one whose verdict is another, one that was not run.
    let other = "1.1.1\tFAILED\tbad day\n22.1.2\tFAILED\tno\n22.1.[13]\tNON-STRICT\ttwo of them\n9.1.1\tFAILED\tlater\n";
    std::fs::write(list, other).unwrap();
    let (code, out, _) = with(
        "1.1.*,22.1.1,22.1.2,22.1.3",
        &["--expect", list, "--write-expect", list],
    );
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("unexpected: server: case 22.1.2: NON-STRICT"),
        "{out}"
    );
    assert!(
        out.contains("1 unexpected, 2 as expected, 2 stale lines"),
        "{out}"
    );
    let text = std::fs::read_to_string(list).unwrap();
    assert!(
        text.contains("22.1.[13]\tNON-STRICT\ttwo of them\n") && !text.contains("bad day"),
        "{text}"
    );
    for (line, says) in [
        ("1.1.1", "line 1 of the expected failures: it has not CASE"),
        (
            "#\n1.1.1\tOK\tx",
            "line 2 of the expected failures: \"OK\" is no verdict that does not pass",
        ),
        ("1.1.1\tFAILED\t", "it has no reason"),
    ] {
        std::fs::write(list, line).unwrap();
        let (code, _, error) = with("1.1.1", &["--expect", list]);
        assert_eq!(code, Some(2), "{line}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_mildest_verdict_that_fails_can_be_set() {
    let server = Threads::echo();
    let fails = |verdict: &str| {
        let (code, _, error) = run(&[
            "test",
            &server.url(),
            "--only",
            "22.1.2",
            "--fail-on",
            verdict,
        ]);
        (code, error)
    };
    assert_eq!(fails("non-strict").0, Some(1));
    assert_eq!(fails("FAILED").0, Some(0));
    let (code, error) = fails("bad");
    assert_eq!(code, Some(2));
    assert!(
        error.contains("must be one of informational, non-strict, wrong-code"),
        "{error}"
    );
}

#[test]
fn several_servers_are_tested_in_one_run() {
    let servers = [Threads::echo(), Threads::echo()];
    let [one, two] = [servers[0].url(), servers[1].url()];
    let (code, out, _) = run(&[
        "test", &one, &two, "--only", "1.1.1", "--agent", "a", "--agent", "b",
    ]);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("\na (server)\n") && out.contains("\nb (server)\n"),
        "{out}"
    );
    let (code, _, error) = run(&["test", &one, &two, "--agent", "a"]);
    assert_eq!(code, Some(2));
    assert!(
        error.contains("there are 2 URLs, and 1 names for them"),
        "{error}"
    );
}

#[test]
fn requests_have_the_fields_that_were_asked_for() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let server = Threads::serve(move |_, mut stream| {
        let mut head = Vec::new();
        let mut one = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut one).is_ok_and(|count| count > 0) {
            head.push(one[0]);
        }
        let Some((head, _)) = Head::read(&head) else {
            return true;
        };
        let response = Head::response(&head).with("Sec-WebSocket-Protocol", "chat");
        let _ = stream.write_all(&response.write());
        seeing.lock().unwrap().push(head);
        // The message, and then the Close frame, come back unmasked.
        let socket = tungstenite::WebSocket::from_raw_socket(
            stream,
            tungstenite::protocol::Role::Server,
            None,
        );
        let mut socket = socket;
        while let Ok(message) = socket.read() {
            if message.is_text() || message.is_binary() {
                let _ = socket.send(message);
            }
        }
        true
    });
    let url = server.url();
    let options = [
        "--header",
        "Authorization: Bearer x y",
        "--header",
        "X-Two:2",
        "--origin",
        "https://example.com",
        "--subprotocol",
        "mqtt",
        "--subprotocol",
        "chat",
    ];
    let (code, out, error) = run(&[&["test", &url, "--only", "1.1.2"], &options[..]].concat());
    assert_eq!(code, Some(0), "{out}{error}");
    for head in seen.lock().unwrap().iter() {
        assert_eq!(head.field("Authorization"), Some("Bearer x y"));
        assert_eq!(head.field("X-Two"), Some("2"));
        assert_eq!(head.field("Origin"), Some("https://example.com"));
        assert_eq!(head.field("Sec-WebSocket-Protocol"), Some("mqtt, chat"));
    }
    // Not offered, it is a fault.
    let (code, out, _) = run(&["test", &url, "--only", "1.1.2"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("it chose the subprotocol `chat`, which was not offered"),
        "{out}"
    );
    for bad in [
        "no colon",
        "a b: c",
        "Host: x",
        "Sec-WebSocket-Key: x",
        "X: a\nb",
    ] {
        let (code, _, error) = run(&["test", &url, "--header", bad]);
        assert_eq!(code, Some(2), "{bad}: {error}");
    }
}

#[test]
fn a_server_is_started_waited_for_and_ended() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("ws://127.0.0.1:{port}");
    let command = as_peer("server");
    let (code, out, error) = run(&["test", &url, "--only", "1.1.*", "--exec", &command]);
    assert_eq!(code, Some(0), "{out}{error}");
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "it still listens"
    );
    let (code, _, error) = run(&["test", &url, "--exec", "exit 7"]);
    assert_eq!(code, Some(2));
    assert!(
        error.contains("`exit 7` ended before it listened: exit status: 7"),
        "{error}"
    );
    let taken = Threads::echo();
    let (code, _, error) = run(&["test", &taken.url(), "--exec", "sleep 100"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("something listens at 127.0.0.1"), "{error}");
}

#[test]
fn a_client_is_started_and_the_run_ends_with_it() {
    let dir = scratch("running-client");
    let command = as_peer("client");
    let (code, out, error) = run(&[
        "serve",
        "127.0.0.1:0",
        "--only",
        "1.1.*,21.1.*",
        "--exec",
        &command,
        "--out",
        dir.to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert_eq!(code, Some(0), "{out}{error}");
    let index = std::fs::read_to_string(dir.join("index.json")).unwrap();
    assert!(index.contains("21.1.3"), "{index}");
    // One that never comes leaves nothing to report.
    let dir = scratch("running-nobody");
    let (code, out, error) = run(&[
        "serve",
        "127.0.0.1:0",
        "--exec",
        "true",
        "--out",
        dir.to_str().unwrap(),
    ]);
    assert_eq!(code, Some(2), "{out}");
    assert!(error.contains("no client came"), "{error}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn a_client_that_neither_connects_nor_exits_is_ended() {
    let serve = |idle: &str, command: &str| {
        let common = ["serve", "127.0.0.1:0", "--only", "1.1.1"];
        run(&[&common[..], &["--idle", idle, "--exec", command]].concat())
    };
    let (code, out, error) = serve("0.3", "sleep 1000");
    assert_eq!(code, Some(2), "{out}");
    let says = "no client came: `sleep 1000` had no connection for 3s, and was ended; see --idle";
    assert!(error.contains(says), "{error}");
    // One that has requested its report is only late to leave.
    let command = format!("{}; sleep 1000", as_peer("client").replace("exec ", ""));
    let (code, out, error) = serve("3", &command);
    assert_eq!(code, Some(0), "{out}{error}");
    assert!(error.contains("had no connection for 3s"), "{error}");
    // Another one was not done.
    let part = "import os, socket, time; from urllib.parse import urlsplit\n\
                url = urlsplit(os.environ['WSCONFORM_URL'])\n\
                peer = socket.create_connection((url.hostname, url.port))\n\
                peer.sendall(b'GET /runCase?case=1&agent=a HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')\n\
                peer.recv(1)\ntime.sleep(1000)";
    let file = scratch("running-part.py");
    std::fs::write(&file, part).unwrap();
    let (code, out, error) = serve("3", &format!("python3 {}", file.display()));
    assert_eq!(code, Some(3), "{out}{error}");
}

#[test]
fn unwritable_reports_and_empty_selections_fail_before_the_run() {
    let file = scratch("running-file");
    std::fs::write(&file, "").unwrap();
    let under = file.join("reports");
    let file = file.to_str().unwrap();
    let nobody = "ws://127.0.0.1:1";
    for (arguments, says) in [
        (
            &["test", nobody, "--out", under.to_str().unwrap()][..],
            "cannot write to",
        ),
        (
            &["test", nobody, "--only", "1.*,99.*"],
            "no case for servers matches `99.*`",
        ),
        (
            &["test", nobody, "--only", "21.*"],
            "no case for servers matches `21.*`",
        ),
        (
            &["test", nobody, "--skip", "6.4.9"],
            "no case for servers matches `6.4.9`",
        ),
        (
            &["serve", "127.0.0.1:0", "--only", "20.*,x", "--exec", "true"],
            "no case for clients matches `20.*`, `x`",
        ),
        (
            &["serve", "127.0.0.1:0", "--tls", file, "absent.key"],
            &format!("{file}: no certificate in it"),
        ),
        (
            &["serve", "127.0.0.1:0", "--tls", "absent.pem", file],
            "absent.pem: ",
        ),
        (&["self", "--only", "99.*"], "no case matches `99.*`"),
        (&["list", "--only", "1.*,99.*"], "no case matches `99.*`"),
        (&["explain", "6.4.1", "99.*"], "no case matches `99.*`"),
        (&["explain", ""], "an empty pattern matches no case"),
        (&["list", "--only", ""], "an empty pattern matches no case"),
        (
            &["self", "--only", "6.*,"],
            "an empty pattern matches no case",
        ),
        (
            &["test", nobody, "--skip", ""],
            "an empty pattern matches no case",
        ),
    ] {
        let (code, out, error) = run(arguments);
        assert_eq!(
            (code, out.as_str()),
            (Some(2), ""),
            "{arguments:?}: {error}"
        );
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

/// Nothing of how the suite is made shows, whatever the case.
#[test]
fn cases_are_explained_in_words() {
    let (code, all, error) = run(&["explain", "*"]);
    assert_eq!(code, Some(0), "{error}");
    for word in [
        "Frames(", "Chop", "None", "Some(", "Want", "Trips", "{ ", "opcode: ",
    ] {
        let line = all.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
    let (_, one, _) = run(&["explain", "6.4.1", "26.5.1"]);
    for line in [
        "6.4.1 UTF-8 (classic)",
        "Send text (11 octets, FIN 0).",
        "Expect nothing for 1s.",
        "The RFC leaves it open for servers: the verdict is INFORMATIONAL at worst.",
        "The verdict for clients stands on a MUST.",
    ] {
        assert!(one.contains(line), "{line}: {one}");
    }
}

#[test]
fn nothing_is_announced_before_the_port_is_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, out, error) = run(&["serve", &address]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("cannot listen on"), "{error}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_without_clients_writes_nothing() {
    let dir = scratch("running-interrupt");
    let mut program = wsconform()
        .args(["serve", "127.0.0.1:0", "--out", dir.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("listening on ")));
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-INT", &program.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(lines.count(), 1, "only how long it took");
    let output = program.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no client came")
    );
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}

/// Runs its arguments on a terminal of 80 columns, and copies what they write.
#[cfg(unix)]
const TERMINAL: &str = "
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
try:
    while True:
        os.write(1, os.read(terminal, 4096))
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[cfg(unix)]
#[test]
fn the_progress_line_fits_80_columns() {
    let server = Threads::echo();
    let output = Command::new("python3")
        .args(["-c", TERMINAL, env!("CARGO_BIN_EXE_wsconform")])
        .args(["test", &server.url(), "--only", "1.*,2.*,6.*,22.1.*"])
        .args([
            "--agent",
            "a-server-with-a-name-that-is-much-too-long/1.2.3",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = Vec::new();
    for line in text
        .split(['\r', '\n'])
        .filter(|line| line.contains("passed"))
    {
        // Without the sequences that colour it.
        let plain: String = line
            .split('\u{1b}')
            .enumerate()
            .map(|(at, part)| match at {
                0 => part,
                _ => part
                    .find(char::is_alphabetic)
                    .map_or("", |end| &part[end + 1..]),
            })
            .collect();
        // Text that fills the row above it, the result of a case, is no part of it.
        let bar = &plain[plain.find("a-server").unwrap()..];
        assert!(bar.trim_end().chars().count() <= 80, "{plain:?}");
        lines.push(bar.to_owned());
    }
    let last = lines.last().unwrap();
    assert!(
        last.contains("182/182") && last.contains(", 12 not"),
        "{last:?}"
    );
}

/// One that completes each handshake and says nothing more. It stops as soon as the suite refuses to go on.
#[test]
fn a_client_that_falls_silent_is_given_up() {
    let suite = Suite::new().timeout(Duration::from_millis(100));
    let server = Server::bind(&suite, "127.0.0.1:0", None).unwrap();
    let address = server.local_addr().unwrap();
    let mute = |case: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        let target = format!("/runCase?case={case}&agent=mute");
        let key = sansws_conformance::http::key([7; 16]);
        let request = Head::request(&target, &address.to_string(), &key);
        stream.write_all(&request.write()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        !answer.starts_with(b"HTTP/1.1 503 ")
    };
    let went = std::thread::scope(|scope| {
        scope.spawn(|| server.run());
        let went = (1..500).take_while(|case| mute(*case)).count();
        suite.stopper().store(true, Ordering::Relaxed);
        went
    });
    assert!((30..200).contains(&went), "{went} cases");
    let agents = server.agents();
    let over = agents[0].over.clone().unwrap();
    assert!(over.starts_with("silent since case 1."), "{over}");
    assert_eq!(agents[0].worst(), Verdict::Failed);
}
