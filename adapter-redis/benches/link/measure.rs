//! One run: processes, their members, and the CPU time that all of it took.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::roles::{Orders, Role, address};
use crate::server::Server;

/// What is published.
pub struct Load {
    pub messages: usize,
    pub in_flight: usize,
    /// On each node.
    pub members: usize,
    pub every: Option<Duration>,
}

/// What a run cost, in microseconds of CPU for each message.
pub struct Cost {
    pub publisher: f64,
    /// All nodes together.
    pub nodes: f64,
    pub redis: f64,
    pub rate: f64,
    /// How long messages took.
    latencies: Vec<u64>,
}

impl Cost {
    pub fn processes(&self) -> f64 {
        self.publisher + self.nodes
    }

    pub fn together(&self) -> f64 {
        self.processes() + self.redis
    }

    pub fn latency(&self, percentile: usize) -> u64 {
        let at = self.latencies.len() * percentile / 100;
        self.latencies
            .get(at.min(self.latencies.len() - 1))
            .copied()
            .unwrap_or(0)
    }
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Process {
    fn start(orders: Orders, url: &str) -> Self {
        let (name, value) = orders.environment(url);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = address(line.trim()).expect("it says where it listens");
        Self {
            child,
            input,
            output,
            address,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process so far, in microseconds.
fn cpu(id: u32) -> f64 {
    // Of the first thread and all others: in nanoseconds, where the kernel has it; else in ticks of 10 ms.
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let text =
            std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        let nanos: f64 = text
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0.0);
        nanos / 1_000.0
    };
    tasks.map(of_task).sum()
}

/// Connects, and waits until the server says that this one is a member.
fn member(role: Role, address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    if role != Role::BareNode {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
    }
    let mut said = [0; 4];
    socket.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"\x81\x02in");
    socket
}

/// Reads all messages, and notes how long they took when that is wanted.
fn read_all(mut socket: TcpStream, messages: usize, wants_times: bool) -> Vec<u64> {
    let mut times = Vec::new();
    if wants_times {
        let mut frame = [0; 127];
        for _ in 0..messages {
            socket.read_exact(&mut frame).unwrap();
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_micros() as u64;
            let text = std::str::from_utf8(&frame[2..]).unwrap();
            let sent: u64 = text.trim().parse().unwrap();
            times.push(now.saturating_sub(sent));
        }
        return times;
    }
    let mut left = messages * 127;
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "a member was closed; {left} octets are missing");
        left -= read;
    }
    times
}

pub fn run(server: &Server, role: Role, nodes: usize, load: &Load) -> Cost {
    let url = server.url();
    let orders = |messages| Orders {
        role,
        messages,
        in_flight: load.in_flight,
        every: load.every.map_or(0, |every| every.as_micros() as u64),
    };
    let mut publisher = Process::start(orders(load.messages), &url);
    let receiving: Vec<Process> = if role == Role::Local {
        Vec::new()
    } else {
        (0..nodes)
            .map(|_| Process::start(orders(0), &url))
            .collect()
    };
    let addresses: Vec<SocketAddr> = match role {
        Role::Local => vec![publisher.address],
        _ => receiving.iter().map(|process| process.address).collect(),
    };
    let members = addresses
        .iter()
        .flat_map(|address| (0..load.members).map(|_| member(role, *address)));
    let members: Vec<TcpStream> = members.collect();
    let readers: Vec<_> = members
        .into_iter()
        .map(|socket| {
            let (messages, wants_times) = (load.messages, load.every.is_some());
            std::thread::spawn(move || read_all(socket, messages, wants_times))
        })
        .collect();
    let ids: Vec<u32> = receiving.iter().map(|process| process.child.id()).collect();
    let measure = |publisher: &Process| {
        (
            cpu(publisher.child.id()),
            ids.iter().map(|id| cpu(*id)).sum::<f64>(),
            cpu(server.id()),
        )
    };
    let before = measure(&publisher);
    let began = Instant::now();
    publisher.input.write_all(b"\n").unwrap();
    let mut line = String::new();
    publisher.output.read_line(&mut line).unwrap();
    let mut latencies: Vec<u64> = readers
        .into_iter()
        .flat_map(|reader| reader.join().unwrap())
        .collect();
    let took = began.elapsed().as_secs_f64();
    let after = measure(&publisher);
    latencies.sort_unstable();
    let each = |after: f64, before: f64| (after - before) / load.messages as f64;
    Cost {
        publisher: each(after.0, before.0),
        nodes: each(after.1, before.1),
        redis: if role == Role::Local {
            0.0
        } else {
            each(after.2, before.2)
        },
        rate: load.messages as f64 / took,
        latencies,
    }
}
