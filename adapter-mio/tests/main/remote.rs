//! Handles, timers, and loops of one's own.

use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use sansws_mio::{
    AcceptOptions, CloseCode, Config, ConnectionId, Endpoint, Error, EventLoop, Incoming, Limits,
    PreparedMessage, Result, Scope, Sent, ServerOptions, Socket,
};
use sansws_std::{ConnectOptions, connect};

use crate::support::{Running, echo};

/// Tells the ids of its connections.
struct Porter(Sender<ConnectionId>);

impl Endpoint for Porter {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
        self.0.send(socket.id())?;
        Ok(())
    }

    fn message(&mut self, _: &mut Socket<'_, ()>, _: Incoming<'_>) -> Result {
        Ok(())
    }
}

#[test]
fn other_threads_send_run_and_close() {
    let (tell, told) = channel();
    let server = Running::new(move || Porter(tell));
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    let id = told.recv().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let remote = server.remote.clone();
            std::thread::spawn(move || {
                for count in 0..500 {
                    assert!(remote.send(id, format!("{thread} {count}")));
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..2_000 {
        let text = socket.receive_text().unwrap().unwrap();
        let (thread, count) = text.split_once(' ').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(count.parse(), Ok(next[thread]));
        next[thread] += 1;
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert!(
        server
            .remote
            .send_prepared(id, &PreparedMessage::new("for many"))
    );
    assert_eq!(socket.receive_text().unwrap().as_deref(), Some("for many"));
    // A closure that panics ends nothing.
    assert!(server.remote.run(|_| panic!("a closure's mistake")));
    let (give, take) = channel();
    server.remote.run(move |within| {
        let _ = give.send((within.connections(), within.open()));
    });
    assert_eq!(take.recv().unwrap(), (1, vec![id]));
    assert!(server.remote.close(id, CloseCode::POLICY, "enough"));
    assert!(socket.receive().is_err());
    assert_eq!(socket.closed().unwrap().reason, "enough");
    drop(socket);
    // Its place is taken by another; the id refers to nothing.
    while server.handle.open() > 0 {}
    let mut other = connect(server.url(), ConnectOptions::default()).unwrap();
    let new = told.recv().unwrap();
    assert_ne!(id, new);
    assert!(server.remote.send(id, "for the first"));
    assert!(server.remote.send(new, "for the second"));
    assert_eq!(
        other.receive_text().unwrap().as_deref(),
        Some("for the second")
    );
    let remote = server.remote.clone();
    server.close();
    assert!(!remote.send(new, "late") && !remote.run(|_| {}));
}

#[test]
fn a_slow_peer_of_other_threads_is_closed_rather_than_told_half() {
    let (tell, told) = channel();
    let limits = Limits {
        write_queue: 1 << 16,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let server = Running::with(ServerOptions::default().config(config), move || {
        Porter(tell)
    });
    let mut socket = connect(server.url(), ConnectOptions::default()).unwrap();
    let id = told.recv().unwrap();
    // The loop writes at the end of its turns: a burst in one turn is more than any socket takes.
    let message = PreparedMessage::new(vec![7; 1 << 20].as_slice());
    for _ in 0..64 {
        server.remote.send_prepared(id, &message);
    }
    // The peer does not read before all of them were sent.
    let (sent, all_sent) = channel();
    server.remote.run(move |_| sent.send(()).unwrap());
    all_sent.recv().unwrap();
    let mut received = 0;
    let end = loop {
        match socket.receive() {
            Ok(Some(message)) => received += usize::from(message.len() == 1 << 20),
            other => break other,
        }
    };
    let Err(Error::Disconnect(closed)) = end else {
        panic!("{end:?} after {received}")
    };
    assert_eq!((closed.code(), closed.reason.as_str()), (1013, "too slow"));
    assert!(received < 64);
}

#[test]
fn timers_run_in_order_and_can_be_forgotten() {
    let mut event_loop = EventLoop::new().unwrap();
    let (tell, told) = channel();
    let within = event_loop.context();
    for millis in [30, 10, 20] {
        let tell = tell.clone();
        within.after(Duration::from_millis(millis), move |_| {
            tell.send(millis).unwrap()
        });
    }
    let forgotten = within.after(Duration::ZERO, |_| panic!("it was forgotten"));
    within.cancel(forgotten);
    within.cancel(forgotten);
    // One that panics does no harm, and timers may set timers.
    within.after(Duration::from_millis(35), |_| panic!("a timer's mistake"));
    let rc = Rc::new(());
    within.after(Duration::from_millis(40), move |within| {
        let rc = Rc::clone(&rc);
        within.after(Duration::from_millis(1), move |within| {
            drop(rc);
            within.stop();
        });
    });
    event_loop.run().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [10, 20, 30]);
}

#[test]
fn a_loop_ends_when_another_thread_says_so() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let stopper = {
        let handle = handle.clone();
        std::thread::spawn(move || handle.stop())
    };
    event_loop.run().unwrap();
    stopper.join().unwrap();
    assert!(!handle.run(|_| {}));
}

#[test]
fn a_callback_sends_to_other_connections_and_to_its_own_by_id() {
    let server = Running::new(|| {
        |socket: &mut Socket<'_, ()>, message: Incoming<'_>| {
            let text = message.text()?.to_owned();
            let within = socket.context();
            for id in within.open() {
                assert_eq!(within.send(id, text.as_str()), Sent::Sent);
            }
            Ok(())
        }
    });
    let mut all: Vec<_> = (0..20)
        .map(|_| connect(server.url(), ConnectOptions::default()).unwrap())
        .collect();
    for round in 0..20 {
        all[round].send_text(format!("round {round}")).unwrap();
        for socket in &mut all {
            assert_eq!(
                socket.receive_text().unwrap(),
                Some(format!("round {round}"))
            );
        }
    }
}

#[test]
fn dropping_everything_at_once_leaves_nothing() {
    let server = Running::new(|| echo);
    let sockets: Vec<_> = (0..50)
        .map(|_| connect(server.url(), ConnectOptions::default()).unwrap())
        .collect();
    drop(sockets);
    while server.handle.open() > 0 {}
}
