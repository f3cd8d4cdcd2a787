//! A world: nodes, their links to the broker, clients, and virtual time.
//! No RFC.
//! Time goes from one thing that is due to the next; all that is due at one moment is done in a fixed order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::hub::{
    Broker, ChannelId, Command, Counters, Draft, Event, Hub, NodeId, Position, Token,
};
use sansws_core::route::{Router, Routes};
use sansws_core::time::{Duration, Instant};

use crate::hold;
use crate::model::{Check, Model};
use crate::random::{Random, Trace};
use crate::session::Session;
use crate::setup::{Setup, server_config};

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Room,
    User,
}

/// A node, and its link to the broker.
#[derive(Debug)]
pub struct Node {
    pub hub: Hub,
    /// The link is there.
    pub linked: bool,
    /// Nothing passes the link, and nobody knows.
    pub hushed: bool,
    /// Messages of groups that are to get lost on the way to it.
    pub lose: u8,
    pub to_broker: VecDeque<(Instant, Command)>,
    pub to_node: VecDeque<(Instant, Event)>,
    /// Sessions by their places.
    pub slots: BTreeMap<u32, usize>,
    /// What waits to be published.
    pub held: VecDeque<Draft>,
    pub tokens: BTreeMap<Token, String>,
    /// When the link comes back by itself.
    pub reconnect: Option<Instant>,
    /// When members are told again who is present.
    pub refresh: Option<Instant>,
    pub draining: bool,
    /// Messages that were taken.
    pub taken: u64,
}

#[derive(Debug, Default)]
pub struct Client {
    pub session: Option<usize>,
    pub known: BTreeMap<String, Position>,
}

#[derive(Debug)]
pub struct World {
    pub setup: Setup,
    pub now: Instant,
    pub random: Random,
    pub trace: Trace,
    pub steps: u64,
    pub broker: Broker,
    pub nodes: Vec<Node>,
    pub clients: Vec<Client>,
    pub sessions: Vec<Session>,
    /// Sessions that are not over.
    pub live: Vec<usize>,
    pub model: Model,
    /// All ids that there ever were.
    pub ids: Vec<ChannelId>,
    pub routes: Routes<Endpoint>,
    pub server: Arc<Config>,
    /// Tags of messages, incarnations of nodes, epochs.
    pub fresh: u64,
    /// Windows that were agreed on.
    pub windows: u16,
    /// When a channel left a group last.
    pub left: Instant,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let setup = Setup::new(seed);
        let routes = Router::new()
            .route("/room/{room}", Endpoint::Room)
            .mount(
                "/user/{user:slug}",
                Router::with_prefix("/nowhere").route("/{shape:int}", Endpoint::User),
            )
            .build()
            .unwrap();
        let broker = Broker::new(Arc::clone(&setup.options), 1 << 32);
        let mut world = Self {
            now: Instant::from_micros(1_000_000),
            random: Random::new(seed ^ 0xcafe),
            trace: Trace::EMPTY,
            steps: 0,
            broker,
            nodes: Vec::new(),
            clients: Vec::new(),
            sessions: Vec::new(),
            live: Vec::new(),
            model: Model::default(),
            ids: Vec::new(),
            routes,
            server: Arc::new(server_config()),
            fresh: 0,
            windows: 0,
            left: Instant::ZERO,
            setup,
        };
        for _ in 0..world.setup.nodes {
            let node = world.fresh_node();
            world.nodes.push(node);
        }
        world
    }

    pub fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    pub fn fresh_node(&mut self) -> Node {
        let id = NodeId(0xa000 + self.fresh());
        let mut hub = Hub::new(id, Arc::clone(&self.setup.options));
        hub.listen(true);
        Node {
            hub,
            linked: true,
            hushed: false,
            lose: 0,
            to_broker: VecDeque::new(),
            to_node: VecDeque::new(),
            slots: BTreeMap::new(),
            held: VecDeque::new(),
            tokens: BTreeMap::new(),
            reconnect: None,
            refresh: None,
            draining: false,
            taken: 0,
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) -> Check {
        let end = self.now + time;
        self.settle()?;
        let mut still = 0;
        while let Some(due) = self.due()
            && due <= end
        {
            still = if due > self.now { 0 } else { still + 1 };
            hold!(still < 100, "time: {due:?} is due for ever");
            self.now = self.now.max(due);
            self.settle()?;
        }
        self.now = end;
        self.settle()
    }

    /// When the next thing is due.
    fn due(&self) -> Option<Instant> {
        let nodes = self.nodes.iter().flat_map(|node| {
            let passes = node.linked && !node.hushed;
            let command = node.to_broker.front().filter(|_| passes);
            let event = node.to_node.front().filter(|_| passes);
            [
                command.map(|(at, _)| *at),
                event.map(|(at, _)| *at),
                node.hub.deadline(),
                node.reconnect,
                node.refresh,
            ]
        });
        let sessions = self.live.iter().map(|at| self.sessions[*at].due());
        let all = nodes.chain(sessions).chain([self.broker.deadline()]);
        all.flatten().min()
    }

    /// Does all that is due.
    pub fn settle(&mut self) -> Check {
        for _ in 0..400 {
            self.steps += 1;
            let mut moved = self.links()?;
            moved |= self.ticks()?;
            for at in self.live.clone() {
                moved |= self.pump(at)?;
            }
            self.bury()?;
            if !moved {
                return self.check_step();
            }
        }
        Err("time: it stands still".into())
    }

    fn ticks(&mut self) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        if self.broker.deadline().is_some_and(|at| at <= now) {
            self.broker.tick(now);
            self.broker_says();
            moved = true;
        }
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            if node.hub.deadline().is_some_and(|at| at <= now) {
                node.hub.tick(now);
                moved = true;
                self.flush(at)?;
            }
            let node = &mut self.nodes[at];
            if node.reconnect.is_some_and(|at| at <= now) {
                self.heal(at)?;
                moved = true;
            }
            let node = &mut self.nodes[at];
            if node.refresh.is_some_and(|at| at <= now) {
                node.refresh = None;
                self.refresh(at)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Forgets sessions that are over, and replaces nodes that have drained.
    fn bury(&mut self) -> Check {
        let sessions = &self.sessions;
        self.live.retain(|at| !sessions[*at].is_over());
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            if !node.draining || !node.slots.is_empty() {
                continue;
            }
            let id = node.hub.node();
            let linked = node.linked;
            self.nodes[at].hub.goodbye();
            self.flush(at)?;
            let node = self.fresh_node();
            let old = core::mem::replace(&mut self.nodes[at], node);
            for (_, command) in old.to_broker {
                if linked {
                    self.broker_does(id, command)?;
                }
            }
            hold!(
                old.hub.snapshot().gauges.channels == 0,
                "membership: a drained node has channels"
            );
        }
        Ok(())
    }

    /// What the nodes have done together.
    pub fn counters(&self) -> Counters {
        let mut all = Counters::default();
        for node in &self.nodes {
            all.add(&node.hub.snapshot().counters);
        }
        all
    }

    /// Breaks the link of a node.
    pub fn part(&mut self, at: usize) -> Check {
        let node = &mut self.nodes[at];
        if !node.linked {
            return Ok(());
        }
        node.linked = false;
        node.hushed = false;
        node.to_broker.clear();
        node.to_node.clear();
        self.broker.unlink(self.now, node.hub.node());
        node.hub.receive(self.now, Event::Down);
        self.flush(at)
    }

    /// Brings the link of a node back.
    pub fn heal(&mut self, at: usize) -> Check {
        let node = &mut self.nodes[at];
        node.reconnect = None;
        node.hushed = false;
        if !node.linked {
            node.linked = true;
            node.hub.receive(self.now, Event::Up);
        }
        self.flush(at)
    }
}
