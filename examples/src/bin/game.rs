//! A game on an event loop: fields whose players move, and a tick 20 times a second that tells all players of a field where everyone is.
//!
//! Run: `cargo run --release --bin game -- --listen 127.0.0.1:9007`
//! See: `listening on ws://127.0.0.1:9007`; connect two `client` examples to `ws://127.0.0.1:9007/field/meadow?name=ada`, and type
//! `{"dx":1,"dy":0}` to walk, `{"dx":0,"dy":0}` to stand still. A field is a group of the hub: its state is framed once a tick, however many
//! players see it. A player whose connection is slow misses states and gets the newest one, because nobody needs old positions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error as Failure;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use sansws_mio::{
    AcceptOptions, CloseCode, Closed, ConnectionId, Endpoint, Error, GroupOptions, Hub, HubError,
    HubOptions, Incoming, Loop, Result, Router, Scope, Server, SlowConsumerPolicy, Socket,
};
use serde::{Deserialize, Serialize};

/// The time between two ticks.
const TICK: Duration = Duration::from_millis(50);
/// The length of a side of a field.
const SIDE: i32 = 100;
/// Maximum number of players of a field.
const PLAYERS: usize = 200;
/// Maximum number of fields.
const FIELDS: usize = 100;

/// Serves the game.
#[derive(Debug, Parser)]
struct Options {
    /// The adapter: a game is one event loop.
    #[arg(long, default_value = "mio", value_parser = ["mio"])]
    runtime: String,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9007")]
    listen: String,
}

/// A player, as all others see it.
#[derive(Debug, Serialize)]
struct Player {
    name: String,
    x: i32,
    y: i32,
    #[serde(skip)]
    walks: Walk,
}

/// A message of a client: its walk from now on.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Walk {
    dx: i32,
    dy: i32,
}

/// The message to all players of a field after each tick.
#[derive(Serialize)]
struct State<'a> {
    tick: u64,
    players: Vec<&'a Player>,
}

/// The fields, which callbacks and the tick share: they run on one thread, one at a time.
#[derive(Default)]
struct World {
    fields: BTreeMap<String, BTreeMap<ConnectionId, Player>>,
    tick: u64,
    /// The tick is armed. Without players there is none.
    runs: bool,
}

impl World {
    /// Moves everyone.
    fn advance(&mut self) {
        self.tick += 1;
        for player in self.fields.values_mut().flat_map(BTreeMap::values_mut) {
            player.x = (player.x + player.walks.dx).clamp(0, SIDE - 1);
            player.y = (player.y + player.walks.dy).clamp(0, SIDE - 1);
        }
    }
}

/// The endpoint of the players.
struct Game {
    world: Rc<RefCell<World>>,
    hub: Hub,
}

/// The data of a connection: its field and its name.
struct Seat {
    field: String,
    name: String,
}

impl Endpoint for Game {
    type Data = Seat;

    fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<Seat> {
        let name = request.query_value("name").unwrap_or_default();
        Ok(Seat {
            field: request.param("field")?,
            name: name.chars().take(24).collect(),
        })
    }

    fn open(&mut self, socket: &mut Socket<'_, Seat>) -> Result {
        let id = socket.id();
        let Seat { field, name } = socket.data();
        let (field, name) = (field.clone(), name.clone());
        {
            let mut world = self.world.borrow_mut();
            if !world.fields.contains_key(&field) && world.fields.len() >= FIELDS {
                return Err(Error::close(CloseCode::AGAIN, "too many fields"));
            }
            let players = world.fields.entry(field.clone()).or_default();
            if players.len() >= PLAYERS {
                return Err(Error::close(CloseCode::AGAIN, "the field is full"));
            }
            let walks = Walk::default();
            let (x, y) = (SIDE / 2, SIDE / 2);
            players.insert(id, Player { name, x, y, walks });
            if !std::mem::replace(&mut world.runs, true) {
                let (shared, hub) = (Rc::clone(&self.world), self.hub.clone());
                let within = socket.context();
                within.after(TICK, move |within| tick(within, shared, hub));
            }
        }
        Ok(socket.join(&field)?)
    }

    fn message(&mut self, socket: &mut Socket<'_, Seat>, message: Incoming<'_>) -> Result {
        // Invalid JSON closes with 1007.
        let Walk { dx, dy } = message.json()?;
        let mut world = self.world.borrow_mut();
        let players = world.fields.get_mut(&socket.data().field);
        if let Some(player) = players.and_then(|players| players.get_mut(&socket.id())) {
            player.walks = Walk {
                dx: dx.clamp(-1, 1),
                dy: dy.clamp(-1, 1),
            };
        }
        Ok(())
    }

    fn close(&mut self, socket: &mut Socket<'_, Seat>, _: &Closed) {
        let (id, field) = (socket.id(), socket.data().field.clone());
        let mut world = self.world.borrow_mut();
        if let Some(players) = world.fields.get_mut(&field) {
            players.remove(&id);
            if players.is_empty() {
                world.fields.remove(&field);
            }
        }
    }
}

/// Advances the world, tells all players, and comes again after a while.
fn tick(within: &mut Loop, shared: Rc<RefCell<World>>, hub: Hub) {
    {
        let mut world = shared.borrow_mut();
        if world.fields.is_empty() {
            world.runs = false;
            return;
        }
        world.advance();
        for (field, players) in &world.fields {
            let state = State {
                tick: world.tick,
                players: players.values().collect(),
            };
            match hub.publish_json(field, &state).key("state").try_publish() {
                // The next state is as good.
                Ok(_) | Err(Error::Hub(HubError::Backpressure)) => {}
                Err(error) => eprintln!("a state was not published: {error}"),
            }
        }
    }
    within.after(TICK, move |within| tick(within, shared, hub));
}

fn main() -> Result<(), Box<dyn Failure>> {
    let Options { listen, .. } = Options::parse();
    sansws_examples::log();
    let server = Server::bind(listen.as_str())?;
    println!("listening on ws://{}", server.local_addr()?);
    let newest = GroupOptions::default().slow_consumer(SlowConsumerPolicy::KeepLatest);
    let hub = Hub::with_options(HubOptions::default().groups(newest));
    let game = Game {
        world: Rc::default(),
        hub: hub.clone(),
    };
    let router = Router::new().route("/field/{field:slug}", game).hub(&hub);
    server
        .drain_on_signal(Duration::from_secs(1))
        .serve(router)?;
    Ok(())
}
