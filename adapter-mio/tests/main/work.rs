//! Futures and timers of a connection: they get its data, their failures close it, and its end drops them.

use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use sansws_mio::metrics::{RequestKind, StatusClass};
use sansws_mio::{
    AcceptOptions, CloseCode, Config, Endpoint, Error, Hub, Incoming, Response, Result, Router,
    Scope, ServerOptions, Socket, app,
};
use sansws_std::{ConnectOptions, WebSocket, connect};

use crate::support::{Running, echo};

/// A promise that another thread keeps.
#[derive(Clone, Default)]
struct Promise(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Promise {
    fn keep(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        state.1.drain(..).for_each(Waker::wake);
    }

    async fn kept(self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Reports that it is dropped.
struct Told(Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// Begins the work that messages name; its data are the number of results.
struct Work {
    promise: Promise,
    tell: Sender<&'static str>,
}

impl Endpoint for Work {
    type Data = u32;

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<u32> {
        Ok(0)
    }

    fn message(&mut self, socket: &mut Socket<'_, u32>, message: Incoming<'_>) -> Result {
        let promise = self.promise.clone().kept();
        let count = |socket: &mut Socket<'_, u32>| {
            *socket.data() += 1;
            let count = socket.data().to_string();
            let _ = socket.send(count);
            Ok(())
        };
        match message.text()? {
            "wait" => socket.spawn(promise, move |socket, ()| count(socket)),
            "later" => drop(socket.after(Duration::from_millis(1), count)),
            "never" => {
                let timer = socket.after(Duration::ZERO, |_| Err("it was cancelled".into()));
                socket.context().cancel(timer);
            }
            "forever" => {
                let told = Told(self.tell.clone());
                socket.spawn(pending::<()>(), move |_, ()| {
                    drop(told);
                    Ok(())
                });
            }
            "fail" => socket.spawn(promise, |_, ()| Err(Error::close(CloseCode::POLICY, "no"))),
            "panic" => socket.spawn(promise, |_, ()| panic!("after its future")),
            "future" => {
                let failing = async { panic!("in its future") };
                socket.spawn(failing, |_, ()| Ok(()));
            }
            "timer" => drop(socket.after(Duration::ZERO, |_| panic!("in its timer"))),
            // Other connections have no data here.
            "lent" => {
                let id = socket.id();
                socket.context().spawn(pending_once(), move |within, ()| {
                    let mut lent = within.socket(id).unwrap();
                    lent.spawn(promise, |socket, ()| {
                        let _ = socket.send("lent");
                        Ok(())
                    });
                });
            }
            other => panic!("{other}"),
        }
        let _ = socket.send("begun");
        Ok(())
    }
}

/// Wakes its task, and is ready when it is polled again.
async fn pending_once() {
    let mut was_polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn serve() -> (Running, Promise, std::sync::mpsc::Receiver<&'static str>) {
    let (promise, (tell, told)) = (Promise::default(), channel());
    let kept = promise.clone();
    let server = Running::new(move || Work {
        promise: kept,
        tell,
    });
    (server, promise, told)
}

fn begin(server: &Running, work: &str) -> WebSocket {
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    socket.send_text(work).unwrap();
    assert_eq!(text(&mut socket), "begun");
    socket
}

fn text(socket: &mut WebSocket) -> String {
    let text = socket.receive_timeout(Duration::from_secs(30)).unwrap();
    text.unwrap().as_text().unwrap().to_owned()
}

/// The code with which the server closes.
fn code(mut socket: WebSocket) -> u16 {
    match socket.receive_timeout(Duration::from_secs(30)) {
        Ok(None) => socket.closed().unwrap().code(),
        Err(Error::Disconnect(closed)) => closed.code(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn results_come_with_the_data_of_their_connection() {
    let (server, promise, _) = serve();
    let mut socket = begin(&server, "wait");
    let mut other = begin(&server, "wait");
    socket.send_text("wait").unwrap();
    assert_eq!(text(&mut socket), "begun");
    promise.keep();
    assert_eq!(
        (text(&mut socket), text(&mut socket)),
        ("1".into(), "2".into())
    );
    assert_eq!(text(&mut other), "1");
    socket.send_text("later").unwrap();
    assert_eq!(text(&mut socket), "begun");
    assert_eq!(text(&mut socket), "3");
    socket.send_text("never").unwrap();
    assert_eq!(text(&mut socket), "begun");
    socket.send_text("later").unwrap();
    assert_eq!(text(&mut socket), "begun");
    assert_eq!(text(&mut socket), "4");
    assert_eq!(text(&mut begin(&server, "lent")), "lent");
}

#[test]
fn errors_and_panics_close_their_connection_alone() {
    let (server, promise, _) = serve();
    let mut bystander = begin(&server, "wait");
    let waiting = ["fail", "panic"].map(|work| begin(&server, work));
    promise.keep();
    assert_eq!(waiting.map(code), [1008, 1011]);
    for work in ["future", "timer"] {
        assert_eq!(code(begin(&server, work)), 1011, "{work}");
    }
    assert_eq!(text(&mut bystander), "1");
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 3);
}

#[test]
fn the_end_of_a_connection_drops_what_it_waits_for() {
    let (server, promise, told) = serve();
    for end in [false, true] {
        let mut socket = begin(&server, "forever");
        socket.send_text("wait").unwrap();
        assert_eq!(text(&mut socket), "begun");
        assert!(told.try_recv().is_err());
        if end {
            socket.close(1000, "").unwrap();
        }
        drop(socket);
        assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
    }
    // Nobody takes the results.
    promise.keep();
    assert_eq!(text(&mut begin(&server, "wait")), "1");
    let handle = server.handle.clone();
    server.close();
    assert_eq!(handle.metrics().handlers_failed, 0);
}

#[test]
fn a_publication_tells_its_result() {
    struct Publisher;
    impl Endpoint for Publisher {
        type Data = ();

        fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
            Ok(())
        }

        fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
            let publication = socket.publication("lobby", message.into_message());
            socket.spawn(publication.id("once"), |socket, published| {
                let result = published.map(|published| published.again);
                let _ = socket.send(format!("{:?}", result.map_err(|error| error.to_string())));
                Ok(())
            });
            Ok(())
        }
    }
    let hub = Hub::new();
    let with_hub = hub.clone();
    let server = Running::new(move || Router::new().route("/", Publisher).hub(&with_hub));
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    for again in ["Ok(false)", "Ok(true)"] {
        socket.send_text("hello").unwrap();
        assert_eq!(text(&mut socket), again);
    }
    let without_hub = Running::new(move || Router::new().route("/", Publisher));
    let mut socket = connect(without_hub.url(), ConnectOptions::default()).unwrap();
    socket.send_text("hello").unwrap();
    assert!(
        text(&mut socket).contains("hub"),
        "it names what is missing"
    );
}

/// Sends requests, each after the answer to the one before, and returns all that the server says until it ends the connection.
fn ask(server: &Running, requests: &[&str]) -> String {
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    for request in requests {
        stream.write_all(request.as_bytes()).unwrap();
    }
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

/// A server of pages that take time, at most this.
fn pages(promise: &Promise, tell: &Sender<&'static str>, handshake: Option<Duration>) -> Running {
    let (kept, tell) = (promise.clone(), tell.clone());
    let mut options = ServerOptions::default();
    let mut config = Config::default();
    config.timeouts.handshake = handshake;
    options.config = Arc::new(config);
    Running::with(options, move || {
        let page = move |scope: Scope| {
            let (promise, told) = (kept.clone(), Told(tell.clone()));
            let path = scope.path().to_owned();
            async move {
                let _told = told;
                match path.as_str() {
                    "/wait" => promise.kept().await,
                    "/late" => pending().await,
                    "/fail" => return Err("no reason".into()),
                    "/reject" => return Err(Error::reject(Response::text(402, "pay\n"))),
                    "/panic" => panic!("in a page's future"),
                    _ => {}
                }
                let body = String::from_utf8_lossy(scope.body()).into_owned();
                Ok(Response::text(200, format!("{path} {body}\n")))
            }
        };
        Router::new()
            .add(app::deferred(["GET", "HEAD", "POST"], "/{path}", page))
            .route("/{path}", echo)
    })
}

#[test]
fn pages_may_answer_later() {
    let (promise, (tell, _told)) = (Promise::default(), channel());
    let server = pages(&promise, &tell, None);
    let end = "Connection: close\r\n";
    // Answers keep the order of their requests, which came together.
    let waiting = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&server, &[&get("/wait", ""), &get("/now", end)]));
        // Others go on meanwhile.
        assert!(ask(&server, &[&get("/now", end)]).contains("/now"));
        promise.keep();
        asking.join().unwrap()
    });
    let (first, second) = (waiting.find("/wait \n"), waiting.find("/now \n"));
    assert!(first.is_some() && first < second, "{waiting}");
    let post = "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert!(ask(&server, &[post]).contains("/body hello"));
    for (path, status) in [("/fail", "500"), ("/reject", "402"), ("/panic", "500")] {
        let said = ask(&server, &[&get(path, end)]);
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {said}"
        );
    }
    let put = get("/now", end).replace("GET", "PUT");
    assert!(ask(&server, &[&put]).starts_with("HTTP/1.1 405 "));
    // The path has an endpoint too.
    let url = format!("{}now", server.url());
    let mut socket = connect(url, ConnectOptions::default()).unwrap();
    socket.send_text("hello").unwrap();
    assert_eq!(text(&mut socket), "hello");
}

#[test]
fn a_page_that_is_late_is_given_up() {
    let (promise, (tell, told)) = (Promise::default(), channel());
    let server = pages(&promise, &tell, Some(Duration::from_millis(50)));
    let said = ask(&server, &[&get("/late", "")]);
    assert!(
        said.starts_with("HTTP/1.1 503 ") && said.contains("in time"),
        "{said}"
    );
    assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
    // RFC 9110 9.3.2: "the server MUST NOT send content in the response" to HEAD.
    let said = ask(&server, &[&get("/late", "").replace("GET", "HEAD")]);
    assert!(
        said.starts_with("HTTP/1.1 503 ") && said.ends_with("\r\n\r\n"),
        "{said}"
    );
    // So is one whose body does not come.
    let post = "POST /now HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n";
    assert!(ask(&server, &[post]).starts_with("HTTP/1.1 408 "));
    let metrics = server.handle.metrics();
    let classes = [StatusClass::ClientError, StatusClass::ServerError];
    let pages = classes.map(|class| metrics.responses(RequestKind::Page, class));
    assert_eq!(pages, [1, 2], "none of them was invalid");
}

#[test]
fn a_page_ends_with_its_client() {
    let (promise, (tell, told)) = (Promise::default(), channel());
    let server = pages(&promise, &tell, None);
    let mut client = std::net::TcpStream::connect(server.address).unwrap();
    // Bytes behind the request are read only then.
    let requests = [get("/late", ""), get("/now", "")].concat();
    client.write_all(requests.as_bytes()).unwrap();
    assert!(ask(&server, &[&get("/now", "Connection: close\r\n")]).contains("/now"));
    assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
    assert!(told.recv_timeout(Duration::from_millis(20)).is_err());
    drop(client);
    assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
    while server.handle.open() > 0 {
        std::thread::yield_now();
    }
}
