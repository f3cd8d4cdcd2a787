//! One application on a server of each adapter, and a peer that says what it likes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sansws_async::app::{Auth, Credential, PerAddress};
use sansws_async::metrics::ServerMetrics;
use sansws_async::tls::rustls::{ClientConfig, ClientConnection, ServerConfig, StreamOwned};
use sansws_async::{Error, ServerHandle};
use sansws_core::config::Config;
use sansws_core::http::Response;
use sansws_core::http::forwarded::Trusted;
use sansws_core::limits::TrafficLimits;

use super::Adapter;

/// How long a test waits before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The settings of a server.
#[derive(Clone, Default)]
pub struct Setup {
    pub config: Config,
    pub traffic: Option<TrafficLimits>,
    pub lifetime: Option<Duration>,
    pub max_connections: Option<usize>,
    pub tls: Option<Arc<ServerConfig>>,
    pub proxied: bool,
    /// Its listener closes when it drains.
    pub closes_on_drain: bool,
    /// The proxies that may report the addresses of clients.
    pub trusted: Trusted,
    /// It has a page that is served always, `/live`.
    pub always: bool,
    /// Its outermost layer.
    pub addresses: Option<PerAddress>,
    /// Its echo is lent messages; except on mio, which always lends them.
    pub lends: bool,
    /// A request whose query is `hold` meets the test here twice, and holds up its thread in between.
    pub hold: Option<Arc<Barrier>>,
    /// It drains before anybody comes.
    pub drains: bool,
    /// It shuts down over this time, while the peer waits for an answer.
    pub closes: Option<Duration>,
}

/// A running server. It ends with this value.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

/// The body of the page `/big`: more than the buffers of the system.
pub const BIG: usize = 6 << 20;

/// Makes the options of a server of this adapter.
macro_rules! options {
    ($ws:ident, $setup:expr) => {{
        let mut policy = $ws::ConnectionPolicy::default();
        policy.traffic = $setup.traffic.clone();
        policy.lifetime = $setup.lifetime;
        $ws::ServerOptions::default()
            .config($setup.config.clone())
            .max_connections($setup.max_connections.unwrap_or(64))
            .trusted($setup.trusted.clone())
            .policy(policy)
    }};
}

macro_rules! listener {
    ($listener:expr, $setup:expr) => {{
        let mut listener = $listener;
        if let Some(tls) = $setup.tls.clone() {
            listener = listener.tls(tls);
        }
        if $setup.proxied {
            listener = listener.proxy_protocol();
        }
        if $setup.closes_on_drain {
            listener = listener.close_on_drain();
        }
        listener
    }};
}

/// A user who may see the pages of [`auths`].
pub struct User(String);

fn verified(credential: Credential) -> Option<User> {
    match (credential.user, &*credential.secret) {
        (None, "s3cret") => Some(User("token".into())),
        (Some(user), "open: sesame") => Some(User(user)),
        _ => None,
    }
}

fn user(scope: &sansws_async::Scope) -> Response {
    let user = scope.state::<User>();
    Response::text(
        200,
        user.map_or_else(|_| "nobody".into(), |user| user.0.clone()),
    )
}

/// Pages that need a user, and the layers that find one.
fn auths<V: Copy>(verify: V) -> [(&'static str, Auth<V>); 4] {
    [
        ("/bearer", Auth::bearer(verify).or_query("token")),
        ("/basic", Auth::basic(verify).realm("a\"b")),
        ("/cookie", Auth::cookie("session", verify)),
        (
            "/maybe",
            Auth::bearer(verify).or_cookie("session").optional(),
        ),
    ]
}

/// Adds the pages that need a user, and the layers: a limit perhaps, and one that refuses, panics or waits if the query says so.
macro_rules! layered {
    ($ws:ident, $router:expr, $setup:expr, $verify:expr, $user:expr) => {{
        let mut router = $router;
        for (path, auth) in auths($verify) {
            router = router.add($ws::Route::get(path, $user).layer(auth));
        }
        if $setup.always {
            router = router.add($ws::Route::get("/live", $user).always());
        }
        if let Some(addresses) = $setup.addresses.clone() {
            router = router.layer(addresses);
        }
        let hold = $setup.hold.clone();
        router.layer(move |scope: &mut $ws::Scope| match scope.raw_query() {
            Some("refuse") => Err(Response::text(403, "a layer refuses\n")),
            Some("panic") => panic!("on purpose"),
            Some("hold") => {
                for _ in 0..2 {
                    hold.as_ref().map(|hold| hold.wait());
                }
                Ok(())
            }
            _ => Ok(()),
        })
    }};
}

/// Serves on an async runtime.
macro_rules! on_runtime {
    ($ws:ident, $setup:expr, $tell:expr) => {
        async move {
            use $ws::{Result, Router, Scope, Server, Upgrade};

            async fn echo(upgrade: Upgrade, lends: bool) -> Result {
                let mut socket = upgrade.accept().await?;
                if lends {
                    let first = socket.receive_with(|message, out| out.send(message));
                    if let Some(sent) = first.await? {
                        sent?;
                        socket
                            .receive_each(|message, out| out.send(message))
                            .await?;
                    }
                    return Ok(());
                }
                while let Some(message) = socket.receive().await? {
                    socket.send(message).await?;
                }
                Ok(())
            }
            async fn breaks(upgrade: Upgrade) -> Result {
                let _socket = upgrade.accept().await?;
                Err("it breaks".into())
            }
            async fn panics(upgrade: Upgrade) -> Result {
                let _socket = upgrade.accept().await?;
                panic!("on purpose");
            }
            async fn fails(_: Upgrade) -> Result {
                Err("it fails".into())
            }
            async fn rejects(upgrade: Upgrade) -> Result {
                let response = Response::text(403, "no entry\n").with("X-Why", "test");
                Ok(upgrade.reject(response).await?)
            }
            async fn page(_: Scope) -> Result<Response> {
                Ok(Response::text(200, "a page\n"))
            }
            async fn body(scope: Scope) -> Result<Response> {
                Ok(Response::text(
                    200,
                    format!("{} bytes\n", scope.body().len()),
                ))
            }
            async fn big(_: Scope) -> Result<Response> {
                Ok(Response::text(200, "x".repeat(BIG)))
            }
            async fn page_fails(_: Scope) -> Result<Response> {
                Err("it fails".into())
            }
            async fn page_panics(_: Scope) -> Result<Response> {
                panic!("on purpose")
            }
            let lends = $setup.lends;
            let router = Router::new()
                .route("/echo", move |upgrade| echo(upgrade, lends))
                .route("/breaks", breaks)
                .route("/panics", panics)
                .route("/fails", fails)
                .route("/rejects", rejects)
                .get("/page", page)
                .post("/body", body)
                .get("/big", big)
                .get("/page/fails", page_fails)
                .get("/page/panics", page_panics);
            let bound = $ws::Listener::bind("127.0.0.1:0").await?;
            let mut server = Server::new(listener!(bound, $setup)).options(options!($ws, $setup));
            let _ = $tell.send((server.local_addr()?, server.handle()));
            async fn verify(credential: Credential) -> Option<User> {
                verified(credential)
            }
            let user = async |scope: Scope| user(&scope);
            server
                .serve(layered!($ws, router, $setup, verify, user))
                .await
        }
    };
}

fn on_std(setup: &Setup, tell: impl FnOnce((SocketAddr, ServerHandle))) -> Result<(), Error> {
    use sansws_std::{Listener, Result, Router, Scope, Server, Upgrade};

    fn echo(upgrade: Upgrade, lends: bool) -> Result {
        let mut socket = upgrade.accept()?;
        if lends {
            if let Some(sent) = socket.receive_with(|message, out| out.send(message))? {
                sent?;
                socket.receive_each(|message, out| out.send(message))?;
            }
            return Ok(());
        }
        while let Some(message) = socket.receive()? {
            socket.send(message)?;
        }
        Ok(())
    }
    fn breaks(upgrade: Upgrade) -> Result {
        let _socket = upgrade.accept()?;
        Err("it breaks".into())
    }
    fn panics(upgrade: Upgrade) -> Result {
        let _socket = upgrade.accept()?;
        panic!("on purpose");
    }
    fn fails(_: Upgrade) -> Result {
        Err("it fails".into())
    }
    fn rejects(upgrade: Upgrade) -> Result {
        let response = Response::text(403, "no entry\n").with("X-Why", "test");
        Ok(upgrade.reject(response)?)
    }
    let lends = setup.lends;
    let router = Router::new()
        .route("/echo", move |upgrade| echo(upgrade, lends))
        .route("/breaks", breaks)
        .route("/panics", panics)
        .route("/fails", fails)
        .route("/rejects", rejects)
        .get("/page", "a page\n")
        .post("/body", |scope: Scope| {
            Ok(Response::text(
                200,
                format!("{} bytes\n", scope.body().len()),
            ))
        })
        .get("/big", |_: Scope| Ok(Response::text(200, "x".repeat(BIG))))
        .get("/page/fails", |_: Scope| -> Result<Response> {
            Err("it fails".into())
        })
        .get("/page/panics", |_: Scope| -> &'static str {
            panic!("on purpose")
        });
    let bound = Listener::bind("127.0.0.1:0")?;
    let mut server = Server::new(listener!(bound, setup)).options(options!(sansws_std, setup));
    tell((server.local_addr()?, server.handle()));
    let user = |scope: Scope| Ok(user(&scope));
    server.serve(layered!(sansws_std, router, setup, verified, user))
}

fn on_mio(setup: &Setup, tell: impl FnOnce((SocketAddr, ServerHandle))) -> Result<(), Error> {
    use sansws_mio::{
        AcceptOptions, Endpoint, Incoming, Listener, Result, Router, Scope, Sent, Server, Socket,
    };

    /// Echoes; what does not fit waits, and the peer with it.
    struct Echo;
    impl Endpoint for Echo {
        type Data = Option<sansws_mio::Message>;
        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<Self::Data> {
            Ok(None)
        }
        fn message(
            &mut self,
            socket: &mut Socket<'_, Self::Data>,
            message: Incoming<'_>,
        ) -> Result {
            let message = message.into_message();
            if socket.send(&message) == Sent::Full {
                *socket.data() = Some(message);
                socket.pause();
            }
            Ok(())
        }
        fn drained(&mut self, socket: &mut Socket<'_, Self::Data>) -> Result {
            if let Some(message) = socket.data().take() {
                assert!(socket.send(message).is_accepted());
                socket.resume();
            }
            Ok(())
        }
    }
    struct Breaks;
    impl Endpoint for Breaks {
        type Data = ();
        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
            Ok(())
        }
        fn open(&mut self, _: &mut Socket<'_, ()>) -> Result {
            Err("it breaks".into())
        }
    }
    struct Panics;
    impl Endpoint for Panics {
        type Data = ();
        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
            Ok(())
        }
        fn open(&mut self, _: &mut Socket<'_, ()>) -> Result {
            panic!("on purpose")
        }
    }
    struct Fails;
    impl Endpoint for Fails {
        type Data = ();
        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
            Err("it fails".into())
        }
    }
    struct Rejects;
    impl Endpoint for Rejects {
        type Data = ();
        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
            let response = Response::text(403, "no entry\n").with("X-Why", "test");
            Err(Error::reject(response))
        }
    }
    let router = Router::new()
        .route("/echo", Echo)
        .route("/breaks", Breaks)
        .route("/panics", Panics)
        .route("/fails", Fails)
        .route("/rejects", Rejects)
        .get("/page", "a page\n")
        .post("/body", |scope: Scope| {
            Ok(Response::text(
                200,
                format!("{} bytes\n", scope.body().len()),
            ))
        })
        .get("/big", |_: Scope| Ok(Response::text(200, "x".repeat(BIG))))
        .get("/page/fails", |_: Scope| -> Result<Response> {
            Err("it fails".into())
        })
        .get("/page/panics", |_: Scope| -> &'static str {
            panic!("on purpose")
        });
    let bound = Listener::bind("127.0.0.1:0")?;
    let mut server = Server::new(listener!(bound, setup)).options(options!(sansws_mio, setup));
    tell((server.local_addr()?, server.handle()));
    let user = |scope: Scope| Ok(user(&scope));
    server.serve(layered!(sansws_mio, router, setup, verified, user))
}

impl Running {
    pub fn start(adapter: Adapter, setup: &Setup) -> Self {
        let (tell, told) = channel();
        let setup = setup.clone();
        let thread = thread::spawn(move || match adapter {
            Adapter::Tokio => {
                crate::runtimes::on_tokio::block_on(on_runtime!(sansws_tokio, setup, tell))
            }
            Adapter::Smol => smol::block_on(on_runtime!(sansws_smol, setup, tell)),
            Adapter::Std => on_std(&setup, |told| tell.send(told).unwrap()),
            Adapter::Mio => on_mio(&setup, |told| tell.send(told).unwrap()),
        });
        let (address, handle) = told.recv_timeout(PATIENCE).unwrap();
        Self {
            address,
            handle,
            thread: Some(thread),
        }
    }

    /// Waits until `serve` has returned.
    pub fn ended(&mut self) {
        let thread = self.thread.take().unwrap();
        until(|| thread.is_finished());
        thread.join().unwrap().unwrap();
    }

    /// Waits until no connection is left, and returns the metrics.
    pub fn settled(&self) -> ServerMetrics {
        until(|| self.handle.open() == 0);
        self.handle.metrics()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.drop_all();
        if !thread::panicking() && self.thread.is_some() {
            self.ended();
        }
    }
}

/// Waits for something to become true.
pub fn until(mut is_so: impl FnMut() -> bool) {
    let pause = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    while !is_so() {
        assert!(waited < PATIENCE, "it does not become so");
        thread::sleep(pause);
        waited += pause;
    }
}

/// A peer without a library.
pub enum Peer {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// How the other side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order; over TLS, with its last words.
    Clean,
    /// TLS was cut off.
    Cut,
    Reset,
}

impl Peer {
    pub fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        match tls {
            None => Self::Plain(tcp),
            Some(tls) => {
                let name = "localhost".try_into().unwrap();
                let tls = ClientConnection::new(Arc::clone(tls), name).unwrap();
                Self::Secure(Box::new(StreamOwned::new(tls, tcp)))
            }
        }
    }

    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Secure(tls) => &tls.sock,
        }
    }

    /// Ends its side.
    pub fn shut(&mut self) {
        if let Self::Secure(tls) = self {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }

    /// Reads to the end.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let (mut all, mut some) = (Vec::new(), vec![0; 64 << 10]);
        let end = loop {
            match self.read(&mut some) {
                Ok(0) => break End::Clean,
                Ok(count) => all.extend_from_slice(&some[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break End::Cut,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(error) => panic!("{error:?} after {} bytes", all.len()),
            }
        };
        (all, end)
    }
}

impl Read for Peer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(into),
            Self::Secure(tls) => tls.read(into),
        }
    }
}

impl Write for Peer {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(from),
            Self::Secure(tls) => tls.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Secure(tls) => tls.flush(),
        }
    }
}
