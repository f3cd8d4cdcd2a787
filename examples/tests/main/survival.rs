//! A server as a process: it survives more clients than file descriptors and signals under load, and logs them.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Client, LONG, RUNTIMES, Running};
use sansws_tokio::{ConnectOptions, Error, connect};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::channel;
use tokio::time::{sleep, timeout};

/// The adapter of the echo server.
const ON: [&str; 4] = [RUNTIMES[0], RUNTIMES[1], "std", "mio"];

/// Starts an echo server by a shell that may prepare it; gives what it says on stderr as it comes.
fn echo(runtime: &str, prepare: &str, log: &str) -> (Running, String, Arc<Mutex<String>>) {
    let program = env!("CARGO_BIN_EXE_echo");
    let mut child = Command::new("sh")
        .args([
            "-c",
            &format!("{prepare} exec {program} --runtime {runtime} --listen 127.0.0.1:0"),
        ])
        .env("RUST_LOG", log)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let running = Running(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).unwrap();
    let url = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned();
    let said = Arc::new(Mutex::new(String::new()));
    let saying = Arc::clone(&said);
    std::thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            saying.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    (running, url, said)
}

async fn says(said: &Mutex<String>, what: &str) {
    let waiting = async {
        while !said.lock().unwrap().contains(what) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let came = timeout(LONG, waiting).await;
    assert!(came.is_ok(), "{what}: {}", said.lock().unwrap());
}

#[tokio::test]
async fn more_clients_than_file_descriptors_make_accepting_pause_and_go_on() {
    for runtime in ON {
        let (_running, url, said) = echo(runtime, "ulimit -n 40;", "warn");
        let mut before = Client::connect(&url).await;
        let address = url.strip_prefix("ws://").unwrap();
        let crowd: Vec<_> = (0..60)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        says(&said, "accepting failed").await;
        // Open connections are served as ever.
        before.send("still here").await;
        assert_eq!(before.text().await, "still here");
        drop(crowd);
        says(&said, "accepting resumed").await;
        let mut after = Client::connect(&url).await;
        after.send("again").await;
        assert_eq!(after.text().await, "again");
        // It is said once, not at each attempt.
        let said = said.lock().unwrap();
        assert!(said.matches("accepting failed").count() <= 5, "{said}");
    }
}

#[tokio::test]
async fn as_many_clients_as_file_descriptors_are_no_news() {
    for runtime in ON {
        let (_running, url, said) = echo(runtime, "ulimit -n 40;", "warn");
        let (tell, mut told) = channel(64);
        for _ in 0..64 {
            let (tell, url) = (tell.clone(), url.clone());
            // The last ones need not get in.
            tokio::spawn(async move { tell.send(Client::connect(&url).await).await });
        }
        says(&said, "accepting failed").await;
        let mut open = vec![timeout(LONG, told.recv()).await.unwrap().unwrap()];
        while let Ok(Some(client)) = timeout(Duration::from_millis(200), told.recv()).await {
            open.push(client);
        }
        // Each that leaves makes room for one that waits, and accepting fails again.
        for _ in 0..10 {
            let mut client = open.remove(0);
            client.0.close(1000, "").await.unwrap();
            open.push(timeout(LONG, told.recv()).await.unwrap().unwrap());
        }
        let said = said.lock().unwrap();
        let lines = said.matches("accepting").count();
        assert!(lines <= 5, "{runtime}: {said}");
    }
}

#[tokio::test]
async fn each_connection_is_a_span() {
    for runtime in ON {
        let (_running, url, said) = echo(runtime, "", "sansws=debug");
        let mut client = Client::connect(&url).await;
        client.send("hello").await;
        client.text().await;
        client.0.close(1000, "").await.unwrap();
        says(&said, "a connection ended").await;
        let said = said.lock().unwrap();
        for field in [
            "connection{",
            "client.address=127.0.0.1 ",
            "websocket.close_code=1000",
        ] {
            assert!(said.contains(field), "{field}: {said}");
        }
    }
}

#[tokio::test]
async fn a_signal_under_load_closes_all_in_time_and_every_echo_is_whole() {
    for runtime in ON {
        let (running, url, _) = echo(runtime, "", "warn");
        let mut clients = Vec::new();
        for _ in 0..50 {
            let socket = connect(&url, ConnectOptions::default()).await.unwrap();
            let (mut reader, mut writer) = socket.split();
            // So many are under way; a slow machine must be able to finish them.
            let window = Arc::new(Semaphore::new(32));
            let room = Arc::clone(&window);
            let sending = tokio::spawn(async move {
                let mut number = 0_u64;
                loop {
                    room.acquire().await.unwrap().forget();
                    if writer.send_text(number.to_string()).await.is_err() {
                        break;
                    }
                    number += 1;
                }
            });
            clients.push(tokio::spawn(async move {
                let mut want = 0_u64;
                let code = loop {
                    match reader.receive_text().await {
                        // No echo is missing and none comes twice, up to the very end.
                        Ok(Some(text)) => assert_eq!(text, want.to_string()),
                        Ok(None) => break reader.closed().unwrap().code(),
                        Err(Error::Disconnect(closed)) => break closed.code(),
                        Err(error) => panic!("{error}"),
                    }
                    want += 1;
                    window.add_permits(1);
                };
                sending.abort();
                (want, code)
            }));
        }
        sleep(Duration::from_millis(300)).await;
        running.signal("TERM");
        let mut running = running;
        for client in clients {
            let (echoes, code) = timeout(LONG, client).await.unwrap().unwrap();
            assert!(echoes > 0);
            assert!(code == 1012, "{code}");
        }
        let gone = async {
            while running.0.try_wait().unwrap().is_none() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, gone).await.unwrap();
        assert!(running.0.wait().unwrap().success());
    }
}
