//! A world: nodes, what links them, clients, and virtual time.
//! Time goes from one thing that is due to the next; all that is due at one moment is done in a fixed order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sansws_core::config::Config;
use sansws_core::hub::{ChannelId, Hub, HubCounters, NodeId, Position, PublishRequest, Token};
use sansws_core::route::{Router, Routes};
use sansws_core::time::{Duration, Instant};

use crate::hold;
use crate::model::{Check, Model};
use crate::plane::{Link, Plane};
use crate::random::{Random, Trace};
use crate::session::Session;
use crate::setup::{Setup, server_config};

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Room,
    User,
}

/// A node, and its link to the others.
#[derive(Debug)]
pub struct Node {
    pub hub: Hub,
    pub link: Link,
    /// Sessions by their places.
    pub slots: BTreeMap<u32, usize>,
    /// Messages that wait to be published.
    pub held: VecDeque<PublishRequest>,
    pub tokens: BTreeMap<Token, String>,
    /// Members that are to be told who is present, when that is known.
    pub asked: BTreeMap<Token, (ChannelId, String)>,
    /// When members are told again who is present.
    pub refresh: Option<Instant>,
    pub draining: bool,
    /// How often its link broke.
    pub downs: u64,
    /// Messages that were taken.
    pub taken: u64,
    /// The newest change of presence that it was told of, by group.
    pub heard: BTreeMap<String, (u64, u64)>,
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
    pub plane: Plane,
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
    /// Something went wrong between the nodes.
    pub disturbed: bool,
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
        let plane = Plane::new(&setup);
        let mut world = Self {
            now: Instant::from_micros(1_000_000),
            random: Random::new(seed ^ 0xcafe),
            trace: Trace::EMPTY,
            steps: 0,
            plane,
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
            disturbed: false,
            setup,
        };
        for at in 0..world.setup.nodes {
            let node = world.fresh_node(at);
            world.nodes.push(node);
        }
        world
    }

    pub fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    /// A node that takes a place.
    pub fn fresh_node(&mut self, at: usize) -> Node {
        let id = NodeId(0xa000 + self.fresh());
        let mut hub = Hub::new(id, Arc::clone(&self.setup.options));
        hub.listen(true, true);
        if self.setup.turns {
            hub.track_turns();
        }
        Node {
            hub,
            link: Link::new(self, at),
            slots: BTreeMap::new(),
            held: VecDeque::new(),
            tokens: BTreeMap::new(),
            asked: BTreeMap::new(),
            refresh: None,
            draining: false,
            downs: 0,
            taken: 0,
            heard: BTreeMap::new(),
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
        let nodes = self
            .nodes
            .iter()
            .flat_map(|node| [node.link.due(), node.hub.deadline(), node.refresh]);
        let sessions = self.live.iter().map(|at| self.sessions[*at].due());
        let all = nodes.chain(sessions).chain([self.plane.due()]);
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
        moved |= self.tick_plane()?;
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            if node.hub.deadline().is_some_and(|at| at <= now) {
                node.hub.tick(now);
                moved = true;
                self.flush(at)?;
            }
            moved |= self.tick_link(at)?;
            let node = &mut self.nodes[at];
            if node.refresh.is_some_and(|at| at <= now) {
                node.refresh = Some(now + Duration::from_millis(40));
                if self.hears_of_all(at) {
                    self.nodes[at].refresh = None;
                    self.refresh(at)?;
                }
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
            self.nodes[at].hub.goodbye();
            self.flush(at)?;
            let node = self.fresh_node(at);
            let mut old = core::mem::replace(&mut self.nodes[at], node);
            self.retire(&mut old)?;
            hold!(
                old.hub.snapshot().gauges.channels == 0,
                "membership: a drained node has channels"
            );
        }
        Ok(())
    }

    /// The counters of all nodes together.
    pub fn counters(&self) -> HubCounters {
        let mut all = HubCounters::default();
        for node in &self.nodes {
            all.add(&node.hub.snapshot().counters);
        }
        all
    }
}
