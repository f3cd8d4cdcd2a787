//! The common part of all peers: the command line, the listener, and the client that runs all cases.
//!
//! A library is a file in `bin`: it calls [`run`] with an echo for servers and one for clients, or has a listener of its own.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The limit of a message, where a library takes one.
pub const LARGEST: usize = 64 << 20;

const AT_A_TIME: usize = 8;
const CASE_LIMIT: Duration = Duration::from_secs(120);

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The role that the command line asks for.
pub enum Role {
    Server,
    Client(Client),
}

impl Role {
    pub fn from_args() -> Result<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            ["server"] => Ok(Self::Server),
            ["client", url, agent] => Ok(Self::Client(Client {
                url: url.into(),
                agent: agent.into(),
            })),
            _ => Err("usage: server | client URL AGENT".into()),
        }
    }
}

/// Runs as the command line says. `serve` echoes on a connection; `echo` connects to a URL and echoes, and returns the first message.
pub async fn run<S, E>(
    serve: impl Fn(TcpStream) -> S + Copy,
    echo: impl Fn(String) -> E + Clone + Send + Sync + 'static,
) -> Result<()>
where
    S: Future<Output = Result<()>> + Send + 'static,
    E: Future<Output = Result<String>> + Send + 'static,
{
    match Role::from_args()? {
        Role::Server => serve_all(serve).await,
        Role::Client(client) => client.test(echo).await,
    }
}

/// A server whose library takes a TCP connection.
pub async fn serve_all<S>(serve: impl Fn(TcpStream) -> S) -> Result<()>
where
    S: Future<Output = Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    listening(listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        let _ = tcp.set_nodelay(true);
        // The verdict is that of the suite.
        tokio::spawn(serve(tcp));
    }
}

/// Says where it listens.
pub fn listening(address: SocketAddr) {
    println!("listening on ws://{address}");
}

/// The TCP connection to a URL, and the URL's host and path.
pub async fn dial(url: &str) -> Result<(TcpStream, String, String)> {
    let rest = url.strip_prefix("ws://").ok_or("no ws:// URL")?;
    let (host, path) = rest.split_once('/').ok_or("no path")?;
    let tcp = TcpStream::connect(host).await?;
    tcp.set_nodelay(true)?;
    Ok((tcp, host.into(), format!("/{path}")))
}

/// A client, and the fuzzing server that it tests itself with.
pub struct Client {
    url: String,
    agent: String,
}

impl Client {
    /// Runs all cases.
    pub async fn test<E>(self, echo: impl Fn(String) -> E + Clone + Send + Sync + 'static) -> Result<()>
    where
        E: Future<Output = Result<String>> + Send + 'static,
    {
        let Self { url, agent } = self;
        let count: usize = echo(format!("{url}/getCaseCount")).await?.parse()?;
        let next = Arc::new(AtomicUsize::new(1));
        let mut workers = JoinSet::new();
        for _ in 0..AT_A_TIME {
            let (next, echo, url, agent) = (next.clone(), echo.clone(), url.clone(), agent.clone());
            workers.spawn(async move {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case > count {
                        return;
                    }
                    let ended = timeout(CASE_LIMIT, echo(format!("{url}/runCase?case={case}&agent={agent}"))).await;
                    match ended {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => println!("{case}: {error}"),
                        Err(late) => println!("{case}: {late}"),
                    }
                }
            });
        }
        workers.join_all().await;
        // It has nothing to say.
        let _ = echo(format!("{url}/updateReports?agent={agent}")).await;
        Ok(())
    }
}
