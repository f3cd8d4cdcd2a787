//! The load balancers of the guide, configured as it shows, in front of a server that tells what reaches it.
//! `adapter-redis/tests/setup.sh` installs them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::Running;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server whose pages are the heads of their requests. Returns its address.
fn mirror() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = { lines.map_while(Result::ok) }
                    .take_while(|line| !line.is_empty())
                    .collect();
                let body = head.join("\n");
                let length = body.len();
                let _ = write!(
                    { stream },
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            });
        }
    });
    address
}

/// Returns what this balancer passes on of a request with such fields, in lower case.
fn passed_on(port: u16, fields: &str) -> String {
    for _ in 0..400 {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let request = format!(
                "GET /rooms/a HTTP/1.1\r\nHost: chat.example:8443\r\n{fields}Connection: close\r\n\r\n"
            );
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let _ = stream.read_to_string(&mut answer);
        }
        if answer.contains(" 200 ") {
            return answer.to_lowercase();
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("the balancer does not answer");
}

fn start(program: &str, arguments: &[&str], file: &Path) -> Running {
    let places = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    let place = places.map(|place| Path::new(place).join(program));
    let place = place.iter().find(|place| place.exists());
    let child = Command::new(place.expect("it is there: run adapter-redis/tests/setup.sh"))
        .args(arguments)
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap())
}

#[test]
fn balancers_pass_on_no_address_or_scheme_that_a_client_made_up() {
    let server = mirror();
    let haproxy = include_str!("../../../docs/haproxy.cfg");
    let nginx = include_str!("../../../docs/nginx.conf");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let pid = folder.join("proxies-nginx.pid");
    let whole = format!(
        "daemon off; master_process off; pid {}; error_log stderr;",
        pid.display()
    );
    for (name, text, arguments) in [
        ("haproxy", haproxy, &["-db", "-f"][..]),
        ("nginx", nginx, &["-g", &whole, "-c"]),
    ] {
        // One that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let text = text
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
            .replace("127.0.0.1:8081", &server)
            .replace("127.0.0.1:8082", &server)
            .replace("127.0.0.1:8083", &server);
        let file = folder.join(format!("proxies-{name}"));
        std::fs::write(&file, text).unwrap();
        let _balancer = start(name, arguments, &file);
        let made_up = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a\r\n\
                       Forwarded: for=192.0.2.2;proto=https\r\n";
        for fields in ["", made_up] {
            let head = passed_on(port, fields);
            let is = |line: &str| head.lines().any(|one| one == line);
            assert!(is("host: chat.example:8443"), "{name}: {head}");
            assert!(is("x-forwarded-proto: http"), "{name}: {head}");
            // The last address is the one that the balancer has seen.
            let last = head
                .lines()
                .rfind(|line| line.starts_with("x-forwarded-for:"));
            assert!(last.unwrap().ends_with("127.0.0.1"), "{name}: {head}");
            assert!(!head.contains("\nforwarded:"), "{name}: {head}");
            assert!(!head.contains("x-forwarded-host:"), "{name}: {head}");
        }
    }
}
