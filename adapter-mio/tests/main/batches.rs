//! Connections that are ready at once: the loop reads from all of them before it writes to any, unless callbacks are slow.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use sansws_mio::{
    AcceptOptions, CloseCode, ConnectionId, Endpoint, Incoming, Result, Scope, Sent, Socket,
};
use sansws_std::{ConnectOptions, WebSocket, connect};

use crate::support::Running;

/// Echoes, and does to all others as it is told.
struct Acts {
    others: Vec<ConnectionId>,
    gate: Receiver<()>,
}

impl Endpoint for Acts {
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<()> {
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
        self.others.push(socket.id());
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        let others = self.others.iter().copied();
        let others: Vec<_> = others.filter(|id| *id != socket.id()).collect();
        match message.text()? {
            "close the others" => {
                let within = socket.context();
                others
                    .into_iter()
                    .for_each(|id| within.close(id, CloseCode::POLICY, ""));
            }
            "abort the others" => {
                let within = socket.context();
                others.into_iter().for_each(|id| within.abort(id));
            }
            "tell the others" => {
                let within = socket.context();
                let told = others.into_iter().map(|id| within.send(id, "news"));
                assert!(told.into_iter().all(Sent::is_accepted));
            }
            "slow" => std::thread::sleep(Duration::from_millis(5)),
            "slow end" => {
                std::thread::sleep(Duration::from_millis(5));
                socket.close(CloseCode::NORMAL, "");
            }
            "wait" => self.gate.recv()?,
            _ => assert!(socket.send(message).is_accepted()),
        }
        Ok(())
    }
}

fn serve() -> (Running, Sender<()>) {
    let (open, gate) = channel();
    let acts = move || Acts {
        others: Vec::new(),
        gate,
    };
    (Running::new(acts), open)
}

/// Lets all of these messages arrive before the loop reads any, in this order.
fn at_once(server: &Running, said: &mut [(&mut WebSocket, &str)]) {
    let (go, may_go) = channel::<()>();
    let waits = move |_: &mut _| {
        let _ = may_go.recv();
    };
    assert!(server.remote.run(waits));
    for (socket, text) in said {
        socket.send(*text).unwrap();
    }
    drop(go);
}

fn dial(server: &Running) -> WebSocket {
    connect(server.url(), ConnectOptions::default()).unwrap()
}

fn text(socket: &mut WebSocket) -> String {
    let message = socket.receive_timeout(Duration::from_secs(30)).unwrap();
    message.unwrap().as_text().unwrap().to_owned()
}

#[test]
fn all_are_answered_however_many_are_ready() {
    let (server, _gate) = serve();
    let mut all: Vec<_> = (0..150).map(|_| dial(&server)).collect();
    for round in 0..3 {
        let round = format!("round {round}");
        let mut said: Vec<_> = all.iter_mut().map(|one| (one, &*round)).collect();
        at_once(&server, &mut said);
        assert!(all.iter_mut().all(|one| text(one) == round));
    }
}

#[test]
fn what_another_callback_does_to_a_connection_follows_its_answer() {
    let (server, _gate) = serve();
    let (mut one, mut two) = (dial(&server), dial(&server));
    at_once(
        &server,
        &mut [(&mut one, "first"), (&mut two, "tell the others")],
    );
    assert_eq!([text(&mut one), text(&mut one)], ["first", "news"]);

    at_once(
        &server,
        &mut [(&mut one, "again"), (&mut two, "close the others")],
    );
    assert_eq!(text(&mut one), "again");
    assert!(one.receive().unwrap_err().to_string().contains("1008"));

    let mut three = dial(&server);
    at_once(
        &server,
        &mut [(&mut three, "lost"), (&mut two, "abort the others")],
    );
    assert!(three.receive().is_err());
    // The place of one that was dropped is another's now.
    let mut four = dial(&server);
    at_once(&server, &mut [(&mut two, "still here"), (&mut four, "too")]);
    assert_eq!([text(&mut two), text(&mut four)], ["still here", "too"]);
}

#[test]
fn after_a_slow_callback_answers_do_not_wait_for_other_callbacks() {
    let (server, open) = serve();
    let (mut one, mut two) = (dial(&server), dial(&server));
    two.send("slow").unwrap();
    two.send("done").unwrap();
    assert_eq!(text(&mut two), "done");
    at_once(&server, &mut [(&mut one, "an answer"), (&mut two, "wait")]);
    // The second callback waits for this.
    assert_eq!(text(&mut one), "an answer");
    open.send(()).unwrap();
}

/// The turn of one that closes is whole, and stands between those whose answers wait.
#[test]
fn a_slow_callback_that_closes_ends_the_wait_of_those_before_it() {
    let (server, open) = serve();
    let [mut one, mut two, mut three] = [(); 3].map(|()| dial(&server));
    at_once(
        &server,
        &mut [
            (&mut one, "an answer"),
            (&mut two, "slow end"),
            (&mut three, "wait"),
        ],
    );
    assert_eq!(text(&mut one), "an answer");
    assert_eq!(two.receive().unwrap(), None);
    open.send(()).unwrap();
}
