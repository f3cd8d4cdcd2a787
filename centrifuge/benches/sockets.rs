//! The server's CPU time for a delivery with the protocol beside that of a plain group, over sockets: a server on tokio, and one on an event
//! loop, each in a process of its own, with a room of 1 000 members for each kind. Rounds alternate, and the medians are compared. Linux only.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prost::Message as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sansws_centrifuge::protocol::{self, Codec};
use sansws_centrifuge::{Access, Centrifuge, Namespace, Options};
use sansws_core::config::Config;
use sansws_core::hub::{HistoryOptions, HubOptions};
use serde_json::{Value, json};

const MEMBERS: usize = 1_000;
/// Publications of a round, of which as many are in flight.
const BATCHES: usize = 10;
const IN_FLIGHT: usize = 4;
const ROUNDS: usize = 41;
/// Octets of a payload, as in `examples/bench`.
const SIZE: usize = 125;

type Failure = Box<dyn std::error::Error>;

fn options() -> Options {
    let namespace = Namespace::default().recovery(HistoryOptions::default());
    let mut options = Options::default().namespace(
        "chat",
        namespace
            .subscribe()
            .anonymous_subscribe()
            .publish(Access::Clients)
            .anonymous_publish(),
    );
    options.anonymous = true;
    // Nobody answers pings here.
    options.ping = Duration::from_secs(3_600);
    options
}

/// Nobody answers these pings either.
fn config() -> Config {
    let mut config = Config::default();
    config.timeouts.ping = None;
    config
}

/// The group of the plain kind, which has the history that the channels have.
const GROUP: &str = "chat:plain";

/// Is the server until its input ends.
fn serve(on: &str) -> Result<(), Failure> {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let options = options();
    let of_hub = options.configure(HubOptions::default());
    match on {
        "tokio" => {
            use sansws_tokio::{Hub, Router, Server, ServerOptions};
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let hub = Hub::with_options(of_hub);
                let centrifuge = Centrifuge::new(&hub, options);
                let router = Router::new()
                    .route("/member", plain_member)
                    .route("/publisher", plain_publisher)
                    .route("/connection/websocket", centrifuge)
                    .hub(&hub);
                let options = ServerOptions::default().config(config());
                let server = Server::bind("127.0.0.1:0").await?.options(options);
                println!("{}", server.local_addr()?);
                Ok(server.serve(router).await?)
            })
        }
        _ => {
            use sansws_mio::{Hub, Router, Server, ServerOptions};
            let hub = Hub::with_options(of_hub);
            let centrifuge = Centrifuge::new(&hub, options);
            let router = Router::new()
                .route("/member", PlainMember)
                .route("/publisher", on_loop_publisher)
                .route("/connection/websocket", centrifuge)
                .hub(&hub);
            let options = ServerOptions::default().config(config());
            let server = Server::bind("127.0.0.1:0")?.options(options);
            println!("{}", server.local_addr()?);
            Ok(server.serve(router)?)
        }
    }
}

async fn plain_member(upgrade: sansws_tokio::Upgrade) -> sansws_tokio::Result {
    let mut socket = upgrade.accept().await?;
    socket.join(GROUP).await?;
    while socket.receive().await?.is_some() {}
    Ok(())
}

async fn plain_publisher(upgrade: sansws_tokio::Upgrade) -> sansws_tokio::Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.publish(GROUP, message).await?;
    }
    Ok(())
}

struct PlainMember;

impl sansws_mio::Endpoint for PlainMember {
    type Data = ();

    fn upgrade(
        &mut self,
        _: &mut sansws_mio::Scope,
        _: &mut sansws_mio::AcceptOptions,
    ) -> sansws_mio::Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut sansws_mio::Socket<'_, ()>) -> sansws_mio::Result {
        Ok(socket.join(GROUP)?)
    }
}

fn on_loop_publisher(
    socket: &mut sansws_mio::Socket<'_, ()>,
    message: sansws_mio::Incoming<'_>,
) -> sansws_mio::Result {
    Ok(socket.publish(GROUP, message.into_message())?)
}

/// What members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Protocol(Codec),
}

const KINDS: [Kind; 3] = [
    Kind::Plain,
    Kind::Protocol(Codec::Json),
    Kind::Protocol(Codec::Protobuf),
];

impl Kind {
    /// Each kind has a channel of its own.
    const fn channel(self) -> &'static str {
        match self {
            Self::Plain => GROUP,
            Self::Protocol(Codec::Json) => "chat:json",
            Self::Protocol(Codec::Protobuf) => "chat:protobuf",
        }
    }

    fn dial(self, address: SocketAddr, path: &str) -> Result<Client, Failure> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (path, offer) = match self {
            Self::Plain => (path, String::new()),
            Self::Protocol(Codec::Json) => ("/connection/websocket", String::new()),
            Self::Protocol(Codec::Protobuf) => (
                "/connection/websocket",
                format!("Sec-WebSocket-Protocol: {}\r\n", Codec::PROTOBUF),
            ),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        stream.set_nonblocking(true)?;
        let mut client = Client {
            stream,
            buffer: Vec::new(),
        };
        if self != Self::Plain {
            client.ask(self, &json!({"id": 1, "connect": {}}))?;
        }
        Ok(client)
    }

    /// Returns a command as a message, in a frame whose mask changes nothing.
    fn frame(self, command: &Value) -> Result<Vec<u8>, Failure> {
        let (opcode, payload) = match self {
            Self::Protocol(Codec::Protobuf) => {
                let command: protocol::Command = serde_json::from_value(command.clone())?;
                (0x82, command.encode_length_delimited_to_vec())
            }
            _ => (0x81, command.to_string().into_bytes()),
        };
        Ok(framed(opcode, &payload))
    }

    fn publication(self) -> Result<Vec<u8>, Failure> {
        let data = "x".repeat(SIZE - 2);
        match self {
            Self::Plain => Ok(framed(0x81, json!(data).to_string().as_bytes())),
            Self::Protocol(_) => {
                let publish = json!({"channel": self.channel(), "data": data});
                self.frame(&json!({"id": 3, "publish": publish}))
            }
        }
    }
}

fn framed(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut frame = vec![opcode];
    match u8::try_from(length) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Sends a command, and waits for its reply.
    fn ask(&mut self, kind: Kind, command: &Value) -> Result<(), Failure> {
        let frame = kind.frame(command)?;
        self.stream.write_all(&frame)?;
        self.receive(1)
    }

    /// Waits for messages. It does not sleep: the server should not pay for waking it.
    fn receive(&mut self, mut messages: usize) -> Result<(), Failure> {
        let began = Instant::now();
        let mut room = [0; 4096];
        while messages > 0 {
            match self.stream.read(&mut room) {
                Ok(0) => return Err("the server has left".into()),
                Ok(count) => self
                    .buffer
                    .extend_from_slice(room.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if began.elapsed() > Duration::from_secs(60) {
                        return Err("nothing comes any more".into());
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            while messages > 0
                && let Some(length) = whole(&self.buffer)
            {
                self.buffer.drain(..length);
                messages -= 1;
            }
        }
        Ok(())
    }
}

/// Returns the length of the first frame, if it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = match bytes {
        [_, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        [_, 126, ..] | [] | [_] => return None,
        [_, length, ..] => 2 + usize::from(*length),
    };
    (bytes.len() >= length).then_some(length)
}

/// The members of a room, who publishes to them, and what deliveries have cost.
struct Room {
    members: Vec<Client>,
    publisher: Client,
    publication: Vec<u8>,
    kind: Kind,
    costs: Vec<f64>,
}

impl Room {
    fn open(kind: Kind, address: SocketAddr) -> Result<Self, Failure> {
        let mut members = Vec::new();
        for _ in 0..MEMBERS {
            let mut member = kind.dial(address, "/member")?;
            if kind != Kind::Plain {
                let subscribe = json!({"id": 2, "subscribe": {"channel": kind.channel()}});
                member.ask(kind, &subscribe)?;
            }
            members.push(member);
        }
        // Nothing tells a plain member that it has joined.
        std::thread::sleep(Duration::from_millis(100));
        Ok(Self {
            members,
            publisher: kind.dial(address, "/publisher")?,
            publication: kind.publication()?,
            kind,
            costs: Vec::new(),
        })
    }

    fn round(&mut self, server: &Server) -> Result<(), Failure> {
        let before = server.cpu_ns()?;
        for _ in 0..BATCHES {
            let batch = self.publication.repeat(IN_FLIGHT);
            self.publisher.stream.write_all(&batch)?;
            for member in &mut self.members {
                member.receive(IN_FLIGHT)?;
            }
            if self.kind != Kind::Plain {
                self.publisher.receive(IN_FLIGHT)?;
            }
        }
        let deliveries = BATCHES * IN_FLIGHT * MEMBERS;
        self.costs
            .push((server.cpu_ns()? - before) as f64 / deliveries as f64);
        Ok(())
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(on: &str) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", on])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse()?;
        Ok(Self { child, address })
    }

    /// The CPU time of all its threads so far.
    fn cpu_ns(&self) -> Result<u64, Failure> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let first = stat.split_whitespace().next().ok_or("no number")?;
            total += first.parse::<u64>()?;
        }
        Ok(total)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Failure> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, serving, on] = &*arguments
        && serving == "serve"
    {
        return serve(on);
    }
    for on in ["tokio", "mio"] {
        let server = Server::start(on)?;
        let rooms = KINDS.map(|kind| Room::open(kind, server.address));
        let mut rooms = rooms.into_iter().collect::<Result<Vec<_>, _>>()?;
        // The first is for the caches, and for the kernel, to which all connections are new.
        for round in 0..=ROUNDS {
            for room in &mut rooms {
                room.round(&server)?;
                if round == 0 {
                    room.costs.clear();
                }
            }
        }
        let costs: Vec<Vec<f64>> = rooms.iter().map(|room| room.costs.clone()).collect();
        let [plain, json, protobuf] = &*costs else {
            return Err("there are three rooms".into());
        };
        let over = |costs: &Vec<f64>| {
            let ratios = costs.iter().zip(plain).map(|(cost, plain)| cost / plain);
            median(ratios.collect())
        };
        println!(
            "{on}: plain {:.0} ns of CPU time per delivery; over plain: JSON {:.3}, protobuf {:.3}",
            median(plain.clone()),
            over(json),
            over(protobuf),
        );
    }
    Ok(())
}
