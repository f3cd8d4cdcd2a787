//! A server in memory.
//! RFC 6455 section 4.
//! Uses the loop that serves sockets; only the bytes stay in memory.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use crate::client::connect::connect;
use crate::client::options::ConnectOptions;
use crate::error::{Error, Result};
use crate::hub::drive_hubs;
use crate::runtime::{Io, Runtime, Sleep, Stream, now};
use crate::server::builder::Wire;
use crate::server::connect_info::ConnectInfo;
use crate::server::connection_task::serve;
use crate::server::handle::{Admission, ServerHandle};
use crate::server::options::ServerOptions;
use crate::server::request_loop::refuse;
use crate::server::service::{IntoService, Service};
use crate::test_kit::clock::Clock;
use crate::test_kit::pipe::{MemoryStream, MemoryTransport};
use crate::test_kit::socket::TestSocket;
use crate::test_kit::world::World;
use crate::transport::Transport;
use sansws_core::http::{RequestHead, Response};
use sansws_core::internal::{Body, parse_response};
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

/// A server without a socket, for tests: handshake, frames, limits and timers are those of a real one, the bytes stay in memory, and time
/// is virtual. Time advances only while a test waits, as soon as nothing else can happen.
///
/// It runs on the thread of the test, under any runtime or none. Handlers may wait for each other, and for the adapter's `sleep`, which is
/// virtual here too. Work that they start elsewhere, such as threads, timers of a runtime and a database, takes real time, for which
/// virtual time does not wait: use [`in_real_time`](Self::in_real_time) for it.
///
/// ```
/// use sansws_async::app::Router;
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Json, Result, Scope, ServerOptions, Upgrade};
///
/// async fn add(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     while let Some((a, b)) = socket.receive_json::<(i64, i64)>().await? {
///         socket.send_json(&(a + b)).await?;
///     }
///     Ok(())
/// }
///
/// # async fn run() -> Result {
/// let router = Router::new().route("/add", add).get("/health", async |_: Scope| "up");
/// // In an adapter: `test_kit::server(router)`.
/// let server = TestServer::over(router, ServerOptions::default(), MemoryTransport::new)?;
/// let mut socket = server.connect("/add").await?;
/// socket.send_json(&(2, 3)).await?;
/// assert_eq!(socket.expect_json::<i64>().await, 5);
/// assert_eq!(server.handle().open(), 1);
/// assert_eq!(server.get("/health").await?.body, b"up");
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
pub struct TestServer {
    world: World,
    options: Arc<ServerOptions>,
    handle: ServerHandle,
    begin: Rc<Begin>,
    connections: Cell<u16>,
}

/// Starts to serve a connection.
type Begin = dyn Fn(&TestServer, MemoryStream, SocketAddr);

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("open", &self.handle.open())
            .finish_non_exhaustive()
    }
}

impl TestServer {
    /// Serves `service`; `transport` makes a transport of one end of a connection, with the time of the clock. An adapter has a shorter
    /// function for it.
    ///
    /// # Errors
    /// When routes conflict.
    pub fn over<T, S>(
        service: S,
        options: ServerOptions,
        transport: impl Fn(MemoryStream, &Clock) -> T + 'static,
    ) -> Result<Self, Error>
    where
        T: Transport + 'static,
        S: IntoService<T>,
        S::Service: 'static,
    {
        let service = service.into_service(&options)?;
        let handle = ServerHandle::new(options.max_connections);
        let hubs = service.hubs();
        let begin = move |server: &Self, stream, peer| {
            let transport = transport(stream, server.world.clock());
            let options = Arc::clone(&server.options);
            let arrival = ConnectInfo {
                begun: transport.now(),
                peer: Some(peer),
                secure: false,
            };
            match server.handle.admit() {
                Some(Admission::In(ticket)) => {
                    let serving = serve(transport, options, service.clone(), ticket, arrival);
                    server.world.spawn(async move {
                        serving.await;
                    });
                }
                Some(Admission::Away(away)) => {
                    let service = service.clone();
                    server.world.spawn(async move {
                        let _ = refuse(transport, &options, &service, arrival, &away).await;
                    });
                }
                None => drop(transport),
            }
        };
        let world = World::default();
        for hub in &hubs {
            let clock = world.clock().clone();
            hub.use_clock(move || clock.now());
        }
        let clock = world.clock().clone();
        let sleep = move |time| {
            let clock = clock.clone();
            async move { clock.sleep(time).await }
        };
        world.spawn(drive_hubs(hubs, sleep));
        Ok(Self {
            world,
            options: Arc::new(options),
            handle,
            begin: Rc::new(begin),
            connections: Cell::new(0),
        })
    }

    /// Uses real time: handlers may wait for anything, and expectations wait for up to 10 seconds. `now` returns the time, and `sleep`
    /// waits. An adapter has a shorter function for it.
    #[must_use]
    pub fn in_real_time<S: Future<Output = ()> + 'static>(
        self,
        now: impl Fn() -> Instant + 'static,
        sleep: impl Fn(Duration) -> S + 'static,
    ) -> Self {
        self.world.set_pace(now, sleep);
        self
    }

    /// Connects to a path, such as `/rooms/lobby?name=ada`.
    ///
    /// # Errors
    /// As a client's: [`Error::Refused`] with the response when it was rejected.
    pub async fn connect(&self, path: &str) -> Result<TestSocket, Error> {
        self.connect_with(path, ConnectOptions::default()).await
    }

    /// Connects with subprotocols, header fields, limits, timeouts.
    pub async fn connect_with(
        &self,
        path: &str,
        dial: ConnectOptions,
    ) -> Result<TestSocket, Error> {
        let url = Error::parse_url(&format!("ws://test{path}"))?;
        let transport = MemoryTransport::new(self.open(), self.world.clock());
        let mut seed = [7; 32];
        for (byte, count) in seed.iter_mut().zip(self.connections.get().to_be_bytes()) {
            *byte = count;
        }
        let connecting = connect(transport, &url, dial.options, dial.config, Seed::new(seed));
        let deadline = self.world.clock().now() + self.world.patience();
        match self.world.run(deadline, connecting).await {
            Some(socket) => Ok(TestSocket::new(self.world.clone(), socket?)),
            None if self.world.is_virtual() => {
                let note = self.world.note();
                Err(Error::other(format!("nothing was answered{note}")))
            }
            None => Err(Error::ConnectTimeout(None)),
        }
    }

    /// Connects, and expects to be rejected with `status`; returns the response.
    #[track_caller]
    pub fn expect_reject(&self, path: &str, status: u16) -> impl Future<Output = Response> {
        self.expect_reject_with(path, ConnectOptions::default(), status)
    }

    /// Connects with subprotocols, header fields, limits and timeouts.
    #[track_caller]
    pub fn expect_reject_with(
        &self,
        path: &str,
        dial: ConnectOptions,
        status: u16,
    ) -> impl Future<Output = Response> {
        let at = std::panic::Location::caller();
        async move {
            match self.connect_with(path, dial).await {
                Err(Error::Refused(response)) if response.status == status => *response,
                other => {
                    let note = self.world.note();
                    panic!("{at}: a rejection with {status} was expected, not {other:?}{note}")
                }
            }
        }
    }

    /// Gets a page.
    ///
    /// # Errors
    /// [`Error::Io`] when the answer is incomplete.
    pub async fn get(&self, path: &str) -> Result<Response, Error> {
        let head = RequestHead {
            method: "GET".into(),
            target: path.into(),
            fields: [("Host", "test")].into_iter().collect(),
        };
        self.request(&head).await
    }

    /// Sends a plain request, and reads the response.
    ///
    /// # Errors
    /// [`Error::Io`] when the answer is incomplete.
    pub async fn request(&self, head: &RequestHead) -> Result<Response, Error> {
        self.request_with(head, b"").await
    }

    /// Posts a body to a page.
    ///
    /// # Errors
    /// [`Error::Io`] when the answer is incomplete.
    pub async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Result<Response, Error> {
        let body = body.as_ref();
        let length = format!("{}", body.len());
        let head = RequestHead {
            method: "POST".into(),
            target: path.into(),
            fields: [("Host", "test"), ("Content-Length", length.as_str())]
                .into_iter()
                .collect(),
        };
        self.request_with(&head, body).await
    }

    /// Sends a plain request with a body, whose length is in its head, and reads the response.
    ///
    /// # Errors
    /// [`Error::Io`] when the answer is incomplete.
    pub async fn request_with(&self, head: &RequestHead, body: &[u8]) -> Result<Response, Error> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", head.method, head.target).into_bytes();
        for (name, value) in head.fields.iter() {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"Connection: close\r\n\r\n");
        bytes.extend_from_slice(body);
        let answer = self.exchange(&bytes).await?;
        let end = answer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .map(|at| at + 4)
            .ok_or(std::io::ErrorKind::UnexpectedEof)
            .map_err(std::io::Error::from)?;
        let (head, body) = answer.split_at(end);
        let head = parse_response(head, &self.options.config.limits).map_err(|error| {
            let text: String = format!("{error:?}");
            Error::other(text)
        })?;
        let body = match head.fields.get("transfer-encoding") {
            Some(_) => unchunked(body)?,
            None => body.to_vec(),
        };
        Ok(Response {
            status: head.status,
            fields: head.fields,
            body,
        })
    }

    /// Sends bytes on a new connection, and returns the answer until it ends.
    ///
    /// # Errors
    /// [`Error::Io`] when it does not end.
    pub async fn exchange(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut stream = self.open();
        let (mut left, mut answer) = (bytes, Vec::new());
        let exchange = poll_fn(|cx| {
            while !left.is_empty() {
                match stream.poll_write(cx, &[IoSlice::new(left)])? {
                    Poll::Ready(count) => left = left.get(count..).unwrap_or_default(),
                    Poll::Pending => break,
                }
            }
            loop {
                let mut buffer = [0; 4096];
                match stream.poll_read(cx, &mut buffer)? {
                    Poll::Ready(0) => return Poll::Ready(Ok(())),
                    Poll::Ready(count) => {
                        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        let deadline = self.world.clock().now() + self.world.patience();
        let ended: Option<std::io::Result<()>> = self.world.run(deadline, exchange).await;
        ended.unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into()))?;
        Ok(answer)
    }

    /// Runs any future of the test, such as two of its sockets at once; `None` when virtual time reaches the limit first.
    pub async fn run<R>(&self, time: Duration, work: impl Future<Output = R>) -> Option<R> {
        let deadline = self.world.clock().now() + time;
        self.world.run(deadline, work).await
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, time: Duration) {
        let deadline = self.world.clock().now() + time;
        self.world.run(deadline, pending::<()>()).await;
    }

    /// Returns the clock of the server.
    pub fn clock(&self) -> &Clock {
        self.world.clock()
    }

    /// Returns the handle of the server, to drain or close it.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    fn open(&self) -> MemoryStream {
        let count = self.connections.get().wrapping_add(1);
        self.connections.set(count);
        let (client, server) = MemoryStream::pair();
        let begin = Rc::clone(&self.begin);
        begin(self, server, SocketAddr::from((Ipv4Addr::LOCALHOST, count)));
        client
    }
}

impl TestServer {
    /// Serves `service` as a server on the runtime `R` would, in memory and in virtual time.
    ///
    /// # Errors
    /// When routes conflict.
    pub fn on<R, S>(service: S, options: ServerOptions) -> Result<Self, Error>
    where
        R: Runtime,
        S: IntoService<Wire<R>>,
        S::Service: 'static,
    {
        Self::over(service, options, |stream: MemoryStream, clock: &Clock| {
            Io::in_time_of(clock, Stream::Memory(stream))
        })
    }

    /// Serves in real time, by the clock and the timers of the runtime `R`; see [`in_real_time`](Self::in_real_time).
    #[must_use]
    pub fn in_real_time_on<R: Runtime>(self) -> Self {
        self.in_real_time(now::<R>, Sleep::<R>::new)
    }
}

/// Returns a body without its framing in chunks.
fn unchunked(bytes: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut body = Body::chunked();
    let taken = body.take(bytes);
    let taken = taken.map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
    if taken < bytes.len() || !body.is_whole() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body.into_bytes())
}
