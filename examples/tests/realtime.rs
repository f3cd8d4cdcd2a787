//! Public client libraries of the Centrifuge protocol, unmodified, against `realtime`: npm `centrifuge` in Node and PyPI
//! `centrifuge-python`, in JSON and protobuf, on each runtime; alone, and over Redis while a server and Redis are restarted.
//! `centrifuge/setup.sh` and `adapter-redis/tests/setup.sh` install what that needs.

mod support;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{RUNTIMES, Running, listening};

/// Each runtime, and an event loop.
const ALL: [&str; 3] = [RUNTIMES[0], RUNTIMES[1], "mio"];

const REALTIME: &str = env!("CARGO_BIN_EXE_realtime");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/centrifuge");
const PATH: &str = "/connection/websocket";

fn server(runtime: &str, more: &[&str]) -> (Running, String) {
    let mut arguments = vec!["--runtime", runtime];
    if !more.contains(&"--listen") {
        arguments.extend(["--listen", "127.0.0.1:0"]);
    }
    arguments.extend(more);
    listening(REALTIME, &arguments)
}

fn script(name: &str, arguments: &[&str]) -> Command {
    let mut script = match name.strip_suffix(".py") {
        Some(_) => Command::new(Path::new(FOLDER).join(".venv/bin/python")),
        None => Command::new("node"),
    };
    script.arg(name).args(arguments).current_dir(FOLDER);
    script
}

/// Runs a script to its end, in both codecs.
fn passes(name: &str, url: &str) {
    passes_with(name, url, &[]);
}

fn passes_with(name: &str, url: &str, more: &[&str]) {
    for codec in ["json", "protobuf"] {
        passes_by("websocket", codec, name, url, more);
    }
}

fn passes_by(transport: &str, codec: &str, name: &str, url: &str, more: &[&str]) {
    let mut script = script(name, &[&format!("{url}{PATH}"), codec]);
    let output = script.args(more).env("TRANSPORT", transport).output();
    let output = output.expect("it is there: run examples/tests/centrifuge/setup.sh");
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "done\n", "{name} {transport} {codec}: {error}");
}

#[test]
fn each_command_of_the_javascript_library() {
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--insecure"]);
        passes("commands.mjs", &url);
    }
}

#[test]
fn each_command_of_the_python_library() {
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--insecure"]);
        passes("commands.py", &url);
    }
}

#[test]
fn tokens_rights_and_the_http_api() {
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--secret", "secret"]);
        passes("tokens.mjs", &url);
    }
}

#[test]
fn the_http_api_changes_channels_and_connections() {
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--insecure"]);
        passes("api.mjs", &url);
    }
}

#[test]
fn differences_between_publications_are_understood() {
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--insecure"]);
        passes("delta.mjs", &url);
    }
}

#[test]
fn a_slow_client_is_closed_and_recovers() {
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--insecure"]);
        passes("slow.mjs", &url);
    }
}

#[test]
fn everything_works_without_websockets() {
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--insecure"]);
        let (_other, secret) = server(runtime, &["--secret", "secret"]);
        for (transport, codec) in [
            ("http_stream", "json"),
            ("http_stream", "protobuf"),
            ("sse", "json"),
        ] {
            for name in ["commands.mjs", "api.mjs", "delta.mjs"] {
                passes_by(transport, codec, name, &url, &[]);
            }
            passes_by(transport, codec, "tokens.mjs", &secret, &[]);
        }
    }
}

#[test]
fn tokens_are_verified_with_the_keys_of_a_file() {
    let folder = folder("keys");
    let folder = folder.to_str().unwrap();
    let made = script("keys.mjs", &["make", folder]).status().unwrap();
    assert!(made.success());
    let (_server, url) = server("tokio", &["--jwks", &format!("{folder}/jwks.json")]);
    passes_with("keys.mjs", &url, &[folder]);
}

/// An empty folder for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("realtime-{name}"));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The first block of a language in the guide, for a server's address.
fn guide(language: &str, url: &str) -> String {
    let guide = include_str!("../../docs/clients.md");
    let start = format!("```{language}\n");
    let (_, block) = guide.split_once(&start).expect("the guide has it");
    let (block, _) = block.split_once("\n```").unwrap();
    block.replace("ws://127.0.0.1:8000", url)
}

#[test]
fn the_page_and_the_python_service_of_the_guide_say_hello() {
    for (language, ending, hello) in [
        ("javascript", "mjs", "{ text: 'hello' }"),
        ("python", "py", "{'text': 'hello'}"),
    ] {
        let name = format!("guide-{language}.{ending}");
        let (_server, url) = server("tokio", &["--insecure"]);
        // Pages have a WebSocket; old versions of Node have none.
        let url = url.as_str();
        let code = guide(language, url).replace("chat:tea", "plain:tea");
        let code = match language {
            "javascript" => {
                format!("import WebSocket from 'ws';\nglobalThis.WebSocket = WebSocket;\n{code}\n")
            }
            _ => code,
        };
        std::fs::write(Path::new(FOLDER).join(&name), code).unwrap();
        let mut script = script(&name, &[]);
        let mut child = script.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let _running = Running(child);
        let first = out.lines().map_while(Result::ok).next();
        assert_eq!(first.as_deref(), Some(hello), "{language}");
    }
}

/// The tests expect a server at a fixed address, which is replaced.
#[test]
fn the_python_librarys_own_tests_pass() {
    let sdist = Path::new(FOLDER).join(".sdist");
    let source = std::fs::read_dir(&sdist).expect("run examples/tests/centrifuge/setup.sh");
    let mut folders = source
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let tests = folders.next().unwrap().join("tests");
    for runtime in ALL {
        let (_server, url) = server(runtime, &["--secret", "secret"]);
        let address = url.trim_start_matches("ws://");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{runtime}"));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(&tests).arg(folder.join("tests"));
        assert!(copy.status().unwrap().success());
        for entry in std::fs::read_dir(folder.join("tests")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "py") {
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(&path, text.replace("localhost:8000", address)).unwrap();
            }
        }
        let output = Command::new(Path::new(FOLDER).join(".venv/bin/python"))
            .args(["-m", "unittest", "discover", "-s", "tests", "-t", "."])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{runtime}: {said}");
        assert!(said.contains("\nOK"), "{runtime}: {said}");
    }
}

/// A Redis server that writes to disk before it answers, so that a restart loses nothing.
fn redis(port: u16, folder: &Path) -> Running {
    let program = ["redis-server", "valkey-server"]
        .into_iter()
        .find_map(|program| {
            let mut redis = Command::new(program);
            redis
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                ])
                .args(["--appendonly", "yes", "--appendfsync", "always"])
                .arg("--dir")
                .arg(folder)
                .stdout(Stdio::null());
            redis.spawn().ok()
        });
    let redis = Running(program.expect("it is there: run adapter-redis/tests/setup.sh"));
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return redis;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("Redis does not listen");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn two_servers_are_one() {
    let folder = folder("both");
    let port = free_port();
    let _redis = redis(port, &folder);
    let redis_url = format!("redis://127.0.0.1:{port}");
    let linked = ["--insecure", "--redis", &redis_url];
    let servers = ALL.map(|runtime| server(runtime, &linked));
    let [tokio, smol, mio] = servers.each_ref().map(|(_, url)| url);
    for (url, other, transport, codec) in [
        (tokio, smol, "websocket", "json"),
        (smol, mio, "websocket", "json"),
        (mio, tokio, "websocket", "protobuf"),
        (tokio, smol, "http_stream", "json"),
        (tokio, mio, "http_stream", "protobuf"),
        (mio, smol, "http_stream", "json"),
    ] {
        let mut script = script("cluster.mjs", &[&format!("{url}{PATH}"), codec, other]);
        // The commands beside a stream may reach any of the servers.
        script.env("TRANSPORT", transport);
        script.env("EMULATION", other.replace("ws:", "http:"));
        let output = script.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "done\n",
            "{codec}: {error}"
        );
    }
}

#[test]
fn nothing_is_missed_or_doubled_while_servers_and_redis_are_restarted() {
    for (runtime, codec, transport, watchers, count) in [
        ("tokio", "json", "websocket", "python", "10000"),
        ("smol", "protobuf", "websocket", "python browser", "4000"),
        ("mio", "json", "websocket", "python browser", "4000"),
        ("tokio", "json", "http_stream", "browser", "4000"),
        ("mio", "protobuf", "http_stream", "browser", "4000"),
    ] {
        let folder = folder(&format!("{runtime}-{transport}"));
        let port = free_port();
        let mut running = Some(redis(port, &folder));
        let redis_url = format!("redis://127.0.0.1:{port}");
        let linked = ["--insecure", "--redis", &redis_url];
        let (mut first, url) = server(runtime, &linked);
        let (_other, other) = server(runtime, &linked);
        let address = url.trim_start_matches("ws://").to_owned();
        let again: Vec<&str> = linked
            .iter()
            .copied()
            .chain(["--listen", &address])
            .collect();
        let mut child = script(
            "recovery.mjs",
            &[&format!("{url}{PATH}"), codec, &other, count],
        );
        child.env("TRANSPORT", transport).env("WATCHERS", watchers);
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut child = Running(child);
        let mut last = String::new();
        for line in out.lines().map_while(Result::ok) {
            match line.as_str() {
                "published 1/4" => {
                    // Killed.
                    drop(first);
                    (first, _) = server(runtime, &again);
                }
                "published 2/4" => {
                    // Cut off: it is silent for longer than its clients wait, and then gone.
                    let cut = running.as_mut().unwrap();
                    cut.signal("STOP");
                    std::thread::sleep(Duration::from_secs(4));
                    cut.signal("CONT");
                    drop(running.take());
                    running = Some(redis(port, &folder));
                }
                "published 3/4" => {
                    // Drained.
                    first.signal("TERM");
                    drop(first.0.wait());
                    (first, _) = server(runtime, &again);
                }
                _ => {}
            }
            last = line;
        }
        drop(first);
        assert!(child.0.wait().unwrap().success(), "{runtime} {transport}");
        assert_eq!(last, "done", "{runtime} {transport}");
    }
}

/// HAProxy, configured as in the guide, in front of these servers.
fn balancer(folder: &Path, servers: &[String]) -> (Running, String) {
    let example = include_str!("../../docs/haproxy.cfg");
    let (head, _) = example.split_once("    server ").unwrap();
    let port = free_port();
    let mut settings = head.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
    for (number, address) in servers.iter().enumerate() {
        settings += &format!("    server node{number} {address}\n");
    }
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, settings).unwrap();
    let programs = ["haproxy", "/usr/sbin/haproxy"].into_iter();
    let started = programs.map(|program| {
        let mut haproxy = Command::new(program);
        haproxy.arg("-db").arg("-f").arg(&file);
        haproxy.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    });
    let child = started.filter_map(Result::ok).next();
    let child = Running(child.expect("it is there: run adapter-redis/tests/setup.sh"));
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return (child, format!("ws://127.0.0.1:{port}"));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("HAProxy does not listen");
}

#[test]
fn nothing_is_missed_or_doubled_while_nodes_of_three_are_killed() {
    for (codec, transport, third, watchers, count) in [
        ("json", "websocket", "mio", "python browser", "10000"),
        ("protobuf", "http_stream", "mio", "browser", "4000"),
    ] {
        let folder = folder(&format!("three-{transport}"));
        let port = free_port();
        let _redis = redis(port, &folder);
        let redis_url = format!("redis://127.0.0.1:{port}");
        let linked = ["--insecure", "--redis", &redis_url];
        let mut nodes: Vec<Option<Running>> = Vec::new();
        let mut addresses = Vec::new();
        for runtime in ["tokio", "smol", third] {
            let (node, url) = server(runtime, &linked);
            nodes.push(Some(node));
            addresses.push(url.trim_start_matches("ws://").to_owned());
        }
        let (_balancer, url) = balancer(&folder, &addresses);
        let arguments = [&format!("{url}{PATH}"), codec, &url, count, "11", "6"];
        let mut script = script("recovery.mjs", &arguments);
        script.env("TRANSPORT", transport).env("WATCHERS", watchers);
        script.stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut child = Running(child);
        let mut last = String::new();
        for line in out.lines().map_while(Result::ok) {
            match line.as_str() {
                // Killed, and back later.
                "published 1/4" => drop(nodes[0].take()),
                "published 2/4" => {
                    let again: Vec<&str> = linked
                        .iter()
                        .copied()
                        .chain(["--listen", &addresses[0]])
                        .collect();
                    nodes[0] = Some(server("tokio", &again).0);
                }
                "published 3/4" => drop(nodes[1].take()),
                _ => {}
            }
            last = line;
        }
        assert!(child.0.wait().unwrap().success(), "{codec} {transport}");
        assert_eq!(last, "done", "{codec} {transport}");
    }
}
