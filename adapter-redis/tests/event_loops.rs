//! Event loops whose hubs are linked through a real Redis, by links on threads of their own.

mod server;

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sansws_core::hub::{
    ChannelOptions, GroupOptions, HistoryOptions, HubOptions, Joined, OutagePolicy, Position,
    PresenceMode, PublishOptions, Recovered,
};
use sansws_mio::{
    AcceptOptions, Endpoint, Error, Hub, HubError, Incoming, Listener, Result, Router, Scope,
    ServerHandle, Socket,
};
use sansws_redis::{Redis, RedisOptions, Runtime, State, Status, hub_options};
use sansws_std::{ConnectOptions, WebSocket, connect};
use server::{Server, until};

/// Joins the group of its path, says where that stands, and publishes what it receives to all but itself.
struct Room;

struct Member {
    group: String,
    user: Option<String>,
    since: Option<Position>,
}

impl Endpoint for Room {
    type Data = Member;

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<Member> {
        let since = request.query_value("since").map(|since| since.parse());
        Ok(Member {
            group: request.param("group")?,
            user: request.query_value("user").map(Into::into),
            since: since.transpose().map_err(Error::Hub)?,
        })
    }

    fn open(&mut self, socket: &mut Socket<'_, Member>) -> Result {
        let (group, since) = (socket.data().group.clone(), socket.data().since);
        let user = socket.data().user.clone();
        socket.open_channel(ChannelOptions {
            user,
            ..ChannelOptions::default()
        })?;
        Ok(socket.join_since(&group, since)?)
    }

    fn joined(&mut self, socket: &mut Socket<'_, Member>, _: &str, joined: Joined) -> Result {
        let how = match joined.recovered {
            Recovered::Fresh => "fresh".to_owned(),
            Recovered::Complete(count) => format!("complete {count}"),
            other => format!("{other:?}"),
        };
        let position = joined.position.unwrap();
        let _ = socket.send(format!("{position} {how}"));
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, Member>, message: Incoming<'_>) -> Result {
        let mut options = PublishOptions::default();
        options.exclude.push(socket.channel()?);
        let group = socket.data().group.clone();
        Ok(socket.publish_with(&group, message.into_message(), options)?)
    }
}

/// A server on two loops, and its link.
struct Linked {
    hub: Hub,
    status: Status,
    linking: Option<JoinHandle<()>>,
    address: SocketAddr,
    handle: ServerHandle,
    serving: Option<JoinHandle<Result<(), Error>>>,
}

impl Linked {
    fn new(redis: &Server) -> Self {
        let groups = GroupOptions::default()
            .history(HistoryOptions::default())
            .presence(PresenceMode::Members {
                grace: Duration::from_millis(100),
            });
        let mut options = HubOptions::default().groups(groups);
        options.on_outage = OutagePolicy::Refuse;
        options.lease = Some(Duration::from_secs(1));
        options.check = Some(Duration::from_secs(1));
        let (hub, link) = Hub::linked(hub_options(options));
        let options = RedisOptions::one(redis.url(), "loops");
        let redis = Redis::new(link, Runtime::Tokio, options).unwrap();
        let status = redis.status();
        let linking = Some(redis.run_on_thread().unwrap());
        let listener = Listener::bind_shared("127.0.0.1:0").unwrap();
        let mut server = sansws_mio::Server::new(listener);
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        let router = hub.clone();
        let serving = thread::spawn(move || {
            server.serve_on_threads(2, |_| Router::new().route("/{group}", Room).hub(&router))
        });
        let this = Self {
            hub,
            status,
            linking,
            address,
            handle,
            serving: Some(serving),
        };
        this.up();
        this
    }

    fn up(&self) {
        until("the link is up", || {
            matches!(self.status.state(), State::Up { .. })
        });
    }

    /// Returns a member, and where the group stood when it came.
    fn enter(&self, path: &str) -> (WebSocket, String) {
        let url = format!("ws://{}/{path}", self.address);
        let mut socket = connect(url, ConnectOptions::default()).unwrap();
        let position = text(&mut socket);
        (socket, position)
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        self.handle.drop_all();
        self.status.close();
        if !thread::panicking() {
            self.serving.take().unwrap().join().unwrap().unwrap();
            self.linking.take().unwrap().join().unwrap();
            assert_eq!(self.status.state(), State::Closed);
        }
    }
}

fn text(socket: &mut WebSocket) -> String {
    let message = socket.receive_timeout(Duration::from_secs(20)).unwrap();
    message.unwrap().as_text().unwrap().to_owned()
}

#[test]
fn members_of_two_servers_see_one_order_and_recover_on_the_other() {
    const EACH: usize = 40;
    let redis = Server::start(&[]);
    let (one, two) = (Linked::new(&redis), Linked::new(&redis));
    let (mut near, first) = one.enter("lobby");
    let (mut far, _) = two.enter("lobby");
    let (mut speaker, _) = one.enter("lobby");
    assert!(first.ends_with(" fresh"), "{first}");
    for number in 0..EACH {
        speaker.send_text(format!("one {number}")).unwrap();
        two.hub
            .publish("lobby", format!("two {number}"))
            .try_publish()
            .unwrap();
    }
    let heard: Vec<String> = (0..2 * EACH).map(|_| text(&mut near)).collect();
    let also: Vec<String> = (0..2 * EACH).map(|_| text(&mut far)).collect();
    assert_eq!(heard, also);
    // A client that comes back to the other server gets the messages that it missed.
    drop(near);
    let since = first.split(' ').next().unwrap();
    let (mut back, first) = two.enter(&format!("lobby?since={since}"));
    assert_eq!(first.split_once(' ').unwrap().1, "complete 80");
    drop((back.close(1000, ""), far, speaker));
}

#[test]
fn presence_spans_servers_and_direct_messages_reach_any_of_them() {
    let redis = Server::start(&[]);
    let (one, two) = (Linked::new(&redis), Linked::new(&redis));
    let (mut ada, _) = one.enter("lobby?user=ada");
    let (mut bob, _) = two.enter("lobby?user=bob");
    let users = |of: &Linked| -> Vec<String> {
        let (tell, told) = std::sync::mpsc::channel();
        let hub = of.hub.clone();
        // Any thread may wait for an answer.
        let asking = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let presence = runtime.unwrap().block_on(hub.presence("lobby"));
            tell.send(presence.unwrap()).unwrap();
        });
        asking.join().unwrap();
        let presence = told.recv().unwrap();
        let members = presence.members.iter();
        members.map(|one| one.user.to_string()).collect()
    };
    until("all see both", || {
        users(&one) == ["ada", "bob"] && users(&two) == ["ada", "bob"]
    });
    two.hub.send_to_user("ada", "hello ada").unwrap();
    one.hub.send_to_user("bob", "hello bob").unwrap();
    assert_eq!(text(&mut ada), "hello ada");
    assert_eq!(text(&mut bob), "hello bob");
    let id = two.hub.members("lobby")[0];
    one.hub.send_to(id, "by its address").unwrap();
    assert_eq!(text(&mut bob), "by its address");
    // A server that ends takes its users along.
    drop((two, bob));
    until("one is left", || users(&one) == ["ada"]);
}

#[test]
fn a_restart_of_redis_costs_time_and_no_message() {
    let mut redis = Server::durable();
    let (one, two) = (Linked::new(&redis), Linked::new(&redis));
    let (mut far, _) = two.enter("lobby");
    let publish = |number: usize| loop {
        match one
            .hub
            .publish("lobby", number.to_string())
            .id(&number.to_string())
            .try_publish()
        {
            Ok(_) => return,
            Err(Error::Hub(HubError::Down | HubError::Backpressure)) => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    };
    for number in 0..50 {
        publish(number);
        assert_eq!(text(&mut far), number.to_string());
    }
    redis.kill();
    until("the link is down", || {
        !matches!(one.status.state(), State::Up { .. })
    });
    until("publications are refused", || {
        let published = one.hub.publish("other", "lost").try_publish();
        matches!(published, Err(Error::Hub(HubError::Down)))
    });
    redis.restart();
    one.up();
    two.up();
    for number in 50..100 {
        publish(number);
        assert_eq!(text(&mut far), number.to_string());
    }
    drop(far);
}

#[test]
fn a_join_that_redis_refuses_closes_the_connection_unless_the_endpoint_knows_better() {
    let redis = Server::durable();
    let one = Linked::new(&redis);
    redis.cli(&["SET", "loops:{taken}:m", "not a hash"]);
    let url = format!("ws://{}/taken", one.address);
    let mut ada = connect(url, ConnectOptions::default()).unwrap();
    assert!(ada.receive().is_err());
    assert_eq!(ada.closed().unwrap().code(), 1013);
    redis.cli(&["DEL", "loops:{taken}:m"]);
    let (mut ada, _) = one.enter("taken");
    one.hub.publish("taken", "there").try_publish().unwrap();
    assert_eq!(text(&mut ada), "there");
}
