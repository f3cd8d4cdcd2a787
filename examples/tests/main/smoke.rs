//! The examples do what their first lines say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::support::{Client, LONG, RUNTIMES, Running, listening, start};
use sansws_core::config::Timeouts;
use sansws_core::connection::Endpoint;
use sansws_core::connection::endpoint::EndpointEvent;
use sansws_core::handshake::AcceptOptions;
use sansws_core::message::Assembly;
use sansws_core::time::Instant;
use sansws_tokio::{ConnectOptions, Result, Server, ServerHandle, ServerOptions, Upgrade};
use tokio::time::{sleep, timeout};

fn chat(url: &str) {
    for runtime in CLIENTS {
        chat_on(runtime, url);
    }
}

/// The adapter of the terminal client.
const CLIENTS: [&str; 2] = ["tokio", "std"];

fn chat_on(runtime: &str, url: &str) {
    chat_in(&[], runtime, url);
}

/// Chats with variables in the environment.
fn chat_in(variables: &[(&str, &str)], runtime: &str, url: &str) {
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"))
        .args([url, "--runtime", runtime])
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client
        .stdin
        .take()
        .unwrap()
        .write_all("Grüße\nworld\n".as_bytes())
        .unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Grüße\nworld\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("closed: 1000"));
}

/// Accepts connections, opens the tunnels that they ask for, and sends the first line of each request.
fn proxy() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, requests) = channel();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let mut head = BufReader::new(client.try_clone().unwrap());
            let mut lines = (&mut head).lines().map_while(Result::ok);
            let request = lines.next().unwrap();
            lines.find(String::is_empty);
            let target = TcpStream::connect(request.split(' ').nth(1).unwrap()).unwrap();
            if asked.send(request).is_err() {
                return;
            }
            (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (target.try_clone().unwrap(), client);
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                to.shutdown(Shutdown::Write)
            });
            let _ = std::io::copy(&mut head, &mut &target);
            let _ = target.shutdown(Shutdown::Write);
        }
    });
    (address, requests)
}

#[test]
fn the_client_trusts_what_the_environment_names() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("sansws-smoke-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.join(name));
    std::fs::write(&chain, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let [chain, key] = [&chain, &key].map(|path| path.to_str().unwrap());
    let echo = env!("CARGO_BIN_EXE_echo");
    let (_running, url) = listening(echo, &["--listen", "localhost:0", "--tls", chain, key]);
    let url = url.replace("127.0.0.1", "localhost");
    for runtime in CLIENTS {
        chat_in(&[("SSL_CERT_FILE", chain)], runtime, &url);
        let stranger = Command::new(env!("CARGO_BIN_EXE_client"))
            .args([&url, "--runtime", runtime])
            .env("SSL_CERT_FILE", "/dev/null")
            .output()
            .unwrap();
        assert!(!stranger.status.success(), "{stranger:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_client_obeys_the_environment() {
    let echo = env!("CARGO_BIN_EXE_echo");
    let (_running, url) = listening(echo, &["--listen", "127.0.0.1:0"]);
    let (address, requests) = proxy();
    let address = address.to_string();
    let target = url.trim_start_matches("ws://").trim_end_matches('/');
    for runtime in CLIENTS {
        chat_in(&[("http_proxy", &address)], runtime, &url);
        let request = requests.try_recv().unwrap();
        assert_eq!(request, format!("CONNECT {target} HTTP/1.1"));
        let bypassed = [("all_proxy", address.as_str()), ("no_proxy", "127.0.0.0/8")];
        chat_in(&bypassed, runtime, &url);
        chat_in(&[("https_proxy", &address)], runtime, &url);
        assert!(requests.try_recv().is_err(), "no proxy was asked");
    }
    let failed = Command::new(env!("CARGO_BIN_EXE_client"))
        .arg(&url)
        .env("http_proxy", "ftp://example.org")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(
        !failed.status.success() && said.contains("http_proxy"),
        "{said}"
    );
}

#[test]
fn the_client_talks_to_echo_on_either_runtime_and_to_the_custom_loop() {
    let echo = env!("CARGO_BIN_EXE_echo");
    for runtime in ["tokio", "smol"] {
        let (_running, url) = listening(echo, &["--runtime", runtime, "--listen", "127.0.0.1:0"]);
        chat(&url);
    }
    let (_running, url) = listening(env!("CARGO_BIN_EXE_custom-loop"), &["127.0.0.1:0"]);
    chat(&url);
    chat(&url);
}

/// Says something to its first client, and closes.
async fn dismiss(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    socket.send_text("that was all").await?;
    socket.close(1000, "bye").await?;
    Ok(())
}

#[tokio::test]
async fn the_client_ends_when_the_server_closes_though_nobody_presses_enter() {
    for runtime in CLIENTS {
        ends_with_the_server(runtime).await;
    }
}

async fn ends_with_the_server(runtime: &str) {
    let mut server = Server::bind("127.0.0.1:0").await.unwrap();
    let (address, handle) = (server.local_addr().unwrap(), server.handle());
    let serving = tokio::spawn(server.serve(dismiss));
    let mut child = Command::new(env!("CARGO_BIN_EXE_client"))
        .args([&format!("ws://{address}/"), "--runtime", runtime])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open for as long as it runs, as a terminal is.
    let terminal = child.stdin.take();
    let mut running = Running(child);
    let ended = timeout(LONG, async {
        loop {
            match running.0.try_wait().unwrap() {
                Some(status) => break status,
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let status = ended.await.unwrap();
    drop(terminal);
    let text = |from: &mut dyn Read| {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    };
    let (out, err) = (running.0.stdout.take(), running.0.stderr.take());
    assert_eq!(text(&mut out.unwrap()), "that was all\n");
    let err = text(&mut err.unwrap());
    assert!(
        status.success() && err.contains("closed: 1000 bye"),
        "{err}"
    );
    handle.close();
    serving.await.unwrap().unwrap();
}

#[test]
fn the_blocking_client_talks_to_echo_and_to_the_custom_loop() {
    let talk = |url: &str, words: &[&str]| {
        let client = Command::new(env!("CARGO_BIN_EXE_blocking"))
            .arg(url)
            .args(words)
            .output();
        let output = client.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, told) = (text(&output.stdout), text(&output.stderr));
        (output.status.success(), said, told)
    };
    let long = "ö".repeat(40_000);
    let (_echo, on_tokio) = start(env!("CARGO_BIN_EXE_echo"), "tokio");
    let (_loop, in_loop) = listening(env!("CARGO_BIN_EXE_custom-loop"), &["127.0.0.1:0"]);
    for url in [&on_tokio, &in_loop] {
        let (success, said, told) = talk(url, &["Hello", &long, "world"]);
        assert_eq!(said, format!("Hello\n{long}\nworld\n"));
        assert!(success && told == "closed: 1000\n", "{told}");
    }
    // A server that is none.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let refusing = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
    });
    let (success, _, told) = talk(&url, &[]);
    assert!(!success && told.contains("refused: 404"), "{told}");
    refusing.join().unwrap();
    // A server that breaks the protocol gets a Close frame that says so.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let violating = thread::spawn(move || {
        let (mut stream, response) = answer(listener.accept().unwrap().0);
        stream.write_all(&response).unwrap();
        // A masked frame.
        stream.write_all(b"\x81\x81\0\0\0\0x").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        // Behind the frame of "Hello", which is masked.
        let (head, mask, code) = (&rest[11..13], &rest[13..17], &rest[17..19]);
        assert_eq!(head[0], 0x88);
        u16::from_be_bytes([code[0] ^ mask[0], code[1] ^ mask[1]])
    });
    let (success, _, told) = talk(&url, &["Hello"]);
    assert!(!success && told.contains("masked"), "{told}");
    assert_eq!(violating.join().unwrap(), 1002);
}

/// Reads a request; returns the response that accepts it.
fn answer(mut stream: TcpStream) -> (TcpStream, Vec<u8>) {
    let mut head = vec![0; 1024];
    let length = stream.read(&mut head).unwrap();
    let mut endpoint = Endpoint::server(Arc::default(), Instant::ZERO);
    let mut assembly = Assembly::default();
    let step = endpoint.receive(Instant::ZERO, &mut head[..length], &mut assembly);
    let Some(EndpointEvent::Request(request)) = step.unwrap().event else {
        panic!("no request");
    };
    let accepted = endpoint.accept(Instant::ZERO, &request, AcceptOptions::default());
    accepted.unwrap();
    (stream, endpoint.take_output(Vec::new()))
}

/// A process that was stopped, or a machine that was suspended, until after a deadline.
#[cfg(target_os = "linux")]
#[test]
fn the_blocking_client_reads_what_arrived_while_it_was_stopped() {
    use rustix::process::{Pid, Signal, kill_process};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Command::new(env!("CARGO_BIN_EXE_blocking"))
        .arg(format!("ws://{}", listener.local_addr().unwrap()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = Pid::from_child(&client);
    let (stream, _) = listener.accept().unwrap();
    let (mut stream, response) = answer(stream);
    // It waits for the answer by now, or will find it at once.
    thread::sleep(Duration::from_millis(300));
    kill_process(process, Signal::STOP).unwrap();
    let close = [&response, b"\x88\x02\x03\xe8".as_slice()].concat();
    let sent = stream.write_all(&close);
    thread::sleep(Timeouts::default().handshake.unwrap());
    // Before anything can fail: a stopped process would outlive the test.
    kill_process(process, Signal::CONT).unwrap();
    sent.unwrap();
    let mut rest = Vec::new();
    let _ = stream.shutdown(Shutdown::Write);
    stream.read_to_end(&mut rest).unwrap();
    let told = client.wait_with_output().unwrap().stderr;
    assert_eq!(String::from_utf8(told).unwrap(), "closed: 1000\n");
}

/// Octets of memory that a process has, if the system tells.
fn resident(process: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

#[tokio::test]
async fn a_connection_at_rest_holds_little_in_the_custom_loop() {
    const COUNT: usize = 300;
    let (running, url) = listening(env!("CARGO_BIN_EXE_custom-loop"), &["127.0.0.1:0"]);
    let mut clients = Vec::new();
    for _ in 0..COUNT {
        clients.push(Client::connect(&url).await);
    }
    let before = resident(running.0.id());
    let long = "x".repeat(30_000);
    for client in &mut clients {
        client.send(long.as_str()).await;
        assert_eq!(client.text().await.len(), long.len());
    }
    let (Some(before), Some(after)) = (before, resident(running.0.id())) else {
        return;
    };
    // The buffers of the loop, once, and next to nothing for each connection.
    let each = after.saturating_sub(before + (1 << 20)) / COUNT;
    println!(
        "{each} octets for each connection after an echo of {}",
        long.len()
    );
    assert!(each < 1 << 10, "{each} octets");
}

#[tokio::test]
async fn the_custom_loop_answers_who_says_nothing_in_time_and_keeps_who_is_silent() {
    let (_running, url) = listening(env!("CARGO_BIN_EXE_custom-loop"), &["127.0.0.1:0"]);
    let mut quiet = Client::connect(&url).await;
    let address = url.trim_start_matches("ws://").to_owned();
    let late = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = late.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    quiet.send("still here").await;
    assert_eq!(quiet.text().await, "still here");
}

#[tokio::test]
async fn echo_closes_with_1012_on_a_signal() {
    for runtime in RUNTIMES {
        let (mut running, url) = start(env!("CARGO_BIN_EXE_echo"), runtime);
        let mut client = Client::connect(&url).await;
        client.send("Hello").await;
        assert_eq!(client.text().await, "Hello");
        running.signal("INT");
        assert_eq!(client.end().await.0, 1012);
        drop(client);
        assert!(running.0.wait().unwrap().success());
    }
}

#[tokio::test]
async fn axum_closes_with_1012_on_a_signal() {
    for signal in ["TERM", "INT"] {
        let arguments = ["--listen", "127.0.0.1:0"];
        let (mut running, url) = listening(env!("CARGO_BIN_EXE_axum"), &arguments);
        let url = format!("{}/rooms/a", url.replace("http:", "ws:"));
        let mut client = Client::connect(&url).await;
        client.send("Hello").await;
        assert_eq!(client.text().await, "a: Hello");
        running.signal(signal);
        assert_eq!(client.end().await.0, 1012);
        drop(client);
        assert!(running.0.wait().unwrap().success());
    }
}

#[tokio::test]
async fn the_custom_loop_loses_nothing_to_a_peer_that_reads_late() {
    let (_running, url) = listening(env!("CARGO_BIN_EXE_custom-loop"), &["127.0.0.1:0"]);
    let socket = sansws_tokio::connect(&url, ConnectOptions::default())
        .await
        .unwrap();
    let (mut read, mut write) = socket.split();
    let writing = tokio::spawn(async move {
        write.send(vec![7; 2 << 20]).await.unwrap();
        for i in 0..5_000u32 {
            write.send(i.to_be_bytes().to_vec()).await.unwrap();
        }
        write
    });
    sleep(Duration::from_millis(300)).await;
    assert_eq!(
        read.receive_bytes().await.unwrap().map(|all| all.len()),
        Some(2 << 20)
    );
    for i in 0..5_000u32 {
        let got = read.receive_bytes().await.unwrap();
        assert_eq!(got, Some(i.to_be_bytes().to_vec()));
    }
    writing.await.unwrap().close(1000, "").await.unwrap();
}

#[test]
fn the_custom_loop_answers_a_refused_peer_however_much_it_sends() {
    let (_running, url) = listening(env!("CARGO_BIN_EXE_custom-loop"), &["127.0.0.1:0"]);
    let address = url.trim_start_matches("ws://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"nonsense\r\n\r\n").unwrap();
    for _ in 0..10 {
        stream.write_all(&[b'x'; 20_000]).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_server_that_is_full_tells_some_and_closes_on_the_others() {
    let options = ServerOptions::default().max_connections(0);
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let mut server = server.options(options);
    let (address, handle) = (server.local_addr().unwrap(), server.handle());
    let serving = tokio::spawn(server.serve(async |_: Upgrade| Ok(())));
    let told = tokio::task::spawn_blocking(move || {
        let mut streams: Vec<_> = (0..200)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut heads = streams.iter_mut().map(|stream| {
            let mut head = [0; 12];
            (stream.read_exact(&mut head).is_ok(), head)
        });
        heads
            .by_ref()
            .filter(|(whole, head)| *whole && head == b"HTTP/1.1 503")
            .count()
    });
    let told = told.await.unwrap();
    assert!((64..200).contains(&told), "{told}");
    handle.close();
    serving.await.unwrap().unwrap();
}

/// A fuzzing server of two cases: it counts what comes back as it was.
async fn fuzzing(upgrade: Upgrade, handle: ServerHandle) -> Result {
    let path = upgrade.path().to_string();
    let query = upgrade.raw_query().unwrap_or_default().to_string();
    let mut socket = upgrade.accept().await?;
    match path.as_str() {
        "/getCaseCount" => socket.send_text("2").await?,
        "/runCase" => {
            let case = query.split('&').next().unwrap_or_default().to_string();
            socket.send_text(case.clone()).await?;
            assert_eq!(socket.receive_text().await?, Some(case));
            assert!(query.contains("agent=sansws-"));
        }
        "/updateReports" => handle.close(),
        other => panic!("{other}"),
    }
    Ok(())
}

#[tokio::test]
async fn the_testee_goes_through_all_cases_on_either_runtime() {
    for runtime in ["tokio", "smol"] {
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let handle = server.handle();
        let testee = Command::new(env!("CARGO_BIN_EXE_testee"))
            .args(["--runtime", runtime, &url])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let handler = move |upgrade| fuzzing(upgrade, handle.clone());
        server.serve(handler).await.unwrap();
        let output = testee.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "case 1 of 2\ncase 2 of 2\n"
        );
    }
}

#[test]
fn a_burst_loses_nothing_whoever_publishes_it() {
    for (runtime, threads, from) in [
        ("tokio", "1", "client"),
        ("tokio", "2", "handler"),
        ("smol", "1", "handler"),
        ("smol", "2", "client"),
        ("smol", "1", "outside"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_burst"))
            .args(["--runtime", runtime, "--threads", threads, "--from", from])
            .args(["--members", "50", "--messages", "2000"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("100000 deliveries"), "{said}");
    }
}
