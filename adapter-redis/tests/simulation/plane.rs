//! The links between the nodes of a world: processes, each with a machine of its own, and one Redis in memory.
//! Knows no client. How Redis and its connections fail stands in `trouble.rs`, what they carry in `wires.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{
    BackplaneCommand, BackplaneEvent, ChannelId, HubOptions, NodeId, Position, Presence,
    PresenceMode, PublishRequest, Query,
};
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};
use sansws_redis::machine::{Machine, Metrics};
use sansws_redis::request::{Channel, Reply, Request, RequestId};
use sansws_redis::wire;

use crate::hold;
use crate::memory::{Data, Room, Said, Server, Wire};
use crate::model::Check;
use crate::setup::{GROUPS, LEASE, Setup};
use crate::world::{Node, World};

/// A group goes on with its numbers in another epoch.
pub const NUMBERS_GO_ON: bool = true;

/// How many things can go wrong with Redis.
pub use crate::trouble::TROUBLES;

/// After which time, when all is there, all know the same: who died is cleared away after a lease, and if whoever was to do it died
/// too, after another.
pub const CALM: Duration = Duration::from_millis(LEASE.as_millis() as u64 * 5);

/// How long all is slow in some worlds, from the beginning.
const SLOW_START: Duration = Duration::from_secs(15);

/// Whether all is slow at the beginning.
const fn starts_slowly(setup: &Setup) -> bool {
    setup.seed % 4 == 1
}

/// After which time all nodes know that somebody watches a filter.
pub const fn watching_is_known(setup: &Setup) -> Duration {
    if starts_slowly(setup) {
        SLOW_START
    } else {
        Duration::from_secs(2)
    }
}

/// Copies of what Redis has that are kept, to begin anew with.
const COPIES: usize = 4;

/// The links between all nodes.
#[derive(Debug)]
pub struct Plane {
    options: Arc<HubOptions>,
    pub server: Server,
    pub processes: Vec<Process>,
    /// How many nodes are in one process.
    pub crew: usize,
    pub next_wire: Wire,
    /// How far the clock of Redis is ahead, in microseconds.
    pub ahead: u64,
    /// By how much its clock was set back, in all.
    pub back: Duration,
    /// Redis does nothing until then.
    pub stopped: Instant,
    /// All is slow until then.
    pub slow: Instant,
    /// Redis refuses what concerns groups until then.
    pub refusing: Instant,
    /// Something went wrong already.
    pub troubled: bool,
    /// Messages get lost on the way now and then.
    pub lossy: bool,
    /// Requests overtake each other, as over several connections.
    pub scattered: bool,
    /// As in a cluster: what is not published to a group comes from another server, before or after what is.
    pub loose: bool,
    /// Published payloads, each with the node that published it and its number among all.
    pub drafts: BTreeMap<Vec<u8>, (PublishRequest, NodeId, u64)>,
    /// Which of its messages a node published last, by group.
    pub last: BTreeMap<(NodeId, Arc<str>), u64>,
    /// Earlier states of Redis.
    pub copies: VecDeque<Data>,
    /// Groups whose slot has moved.
    pub moved: BTreeSet<Arc<str>>,
    /// Commands that ended connections left in their sockets.
    pub orphans: VecDeque<(Instant, Wire, Request)>,
}

/// A process: its machine, and its connection to Redis.
#[derive(Debug)]
pub struct Process {
    pub machine: Machine,
    /// The windows that the channels of each node agreed on, as far as it was said.
    pub windows: BTreeMap<NodeId, u16>,
    pub wire: Option<Wire>,
    /// The connection before.
    pub last: Option<Wire>,
    pub up: VecDeque<(Instant, RequestId, Request)>,
    pub down: VecDeque<(Instant, Said)>,
    /// The pushes of another server of a cluster.
    pub pushes: VecDeque<(Instant, Said)>,
    /// When each request was sent that was not answered yet.
    pub asked: BTreeMap<RequestId, Instant>,
    /// The connection ends then, behind what is on its way.
    pub ends: Option<Instant>,
    /// When the process asks Redis for its time, and what that was; then there is a connection.
    pub dials: Option<(Instant, Option<u64>)>,
    /// No connection comes about.
    pub barred: bool,
    /// Nothing passes the connection, and nobody knows.
    pub hushed: bool,
    /// Messages of groups that get lost on the way to it.
    pub lose: u8,
}

impl Process {
    fn new(setup: &Setup, seed: u64, now: Instant) -> Self {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            machine: Machine::new(Arc::clone(&setup.options), &Seed::new(bytes)),
            windows: BTreeMap::new(),
            wire: None,
            last: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            pushes: VecDeque::new(),
            asked: BTreeMap::new(),
            ends: None,
            dials: Some((now, None)),
            barred: false,
            hushed: false,
            lose: 0,
        }
    }

    /// Gives the machine what a node wants.
    fn command(&mut self, now: Instant, id: NodeId, command: BackplaneCommand) {
        match command {
            BackplaneCommand::Windows(windows) => drop(self.windows.insert(id, windows)),
            BackplaneCommand::Goodbye => drop(self.windows.remove(&id)),
            _ => {}
        }
        self.machine.command(now, id, command);
    }

    /// What came since was compressed for no windows but those that somebody has.
    pub fn check_windows(&self, before: Metrics) -> Check {
        let windows = self.windows.values().fold(0, |all, windows| all | windows);
        let after = self.machine.metrics();
        let most = u64::from(windows.count_ones()) * (after.encodes - before.encodes);
        hold!(
            after.deflates - before.deflates <= most,
            "deflates: {} times for the windows {windows:#b} of {} messages",
            after.deflates - before.deflates,
            after.encodes - before.encodes
        );
        Ok(())
    }
}

impl Plane {
    pub fn new(setup: &Setup) -> Self {
        let mut server = Server::new();
        server.pushes_first = setup.seed & 1 == 0;
        Self {
            options: Arc::clone(&setup.options),
            server,
            processes: Vec::new(),
            crew: 1 + usize::from(setup.seed.is_multiple_of(5)),
            next_wire: 0,
            ahead: 1_700_000_000_000_000 + setup.seed * 1_000,
            back: Duration::ZERO,
            stopped: Instant::ZERO,
            refusing: Instant::ZERO,
            slow: if starts_slowly(setup) {
                Instant::ZERO + SLOW_START
            } else {
                Instant::ZERO
            },
            troubled: false,
            lossy: false,
            scattered: setup.seed % 5 < 2,
            loose: setup.seed % 7 < 2,
            drafts: BTreeMap::new(),
            last: BTreeMap::new(),
            copies: VecDeque::new(),
            moved: BTreeSet::new(),
            orphans: VecDeque::new(),
        }
    }

    /// Whether members may have missed the last change of presence in a group, and nobody said so: its slot has moved.
    pub fn misses_presence(&self, group: &str) -> bool {
        self.moved.contains(group)
    }

    /// Whether watchers may hear of a message later than members.
    pub const fn is_loose(&self) -> bool {
        self.loose
    }

    pub fn position(&self, group: &str) -> Option<Position> {
        self.server.group(group).map(|group| group.position)
    }

    fn keeps_members(&self, group: &str) -> bool {
        let mode = self.options.of(group).presence;
        matches!(mode, PresenceMode::Members { .. })
    }

    pub fn presence(&self, group: &str) -> Presence {
        let mut presence = Presence::default();
        if let Some(room) = self.server.room(group)
            && let Reply::Presence {
                epoch,
                version,
                count,
                members,
            } = room.presence(self.keeps_members(group))
        {
            (presence.epoch, presence.version, presence.count) = (epoch, version, count);
            presence.members = members;
        }
        presence
    }

    /// Remembers what Redis has.
    pub fn copy(&mut self) {
        if self.copies.len() >= COPIES {
            self.copies.pop_front();
        }
        self.copies.push_back(self.server.snapshot());
    }
}

/// The way between one node and its process.
#[derive(Debug)]
pub struct Link {
    pub process: usize,
    pub to_machine: VecDeque<(Instant, BackplaneCommand)>,
    pub to_node: VecDeque<(Instant, BackplaneEvent)>,
}

impl Link {
    /// The link of a node that takes a place.
    pub fn new(world: &mut World, at: usize) -> Self {
        let process = at / world.plane.crew;
        while world.plane.processes.len() <= process {
            let process = world.fresh_process();
            world.plane.processes.push(process);
        }
        let is_up = world.plane.processes[process].wire.is_some();
        let mut to_node = VecDeque::new();
        let is_first = at.is_multiple_of(world.plane.crew);
        if !is_up || is_first {
            to_node.push_back((world.now, BackplaneEvent::Down));
        }
        if is_up && is_first {
            // As the first node of a process it beats, also without channels.
            to_node.push_back((world.now, BackplaneEvent::Up));
        }
        Self {
            process,
            to_machine: VecDeque::new(),
            to_node,
        }
    }

    /// When something is due for it.
    pub fn due(&self) -> Option<Instant> {
        let command = self.to_machine.front().map(|(at, _)| *at);
        let event = self.to_node.front().map(|(at, _)| *at);
        command.into_iter().chain(event).min()
    }
}

impl World {
    /// Whether a node is told of what changes in its groups from now on: then who is present there may be looked up.
    pub fn hears_of_all(&self, at: usize) -> bool {
        let link = &self.nodes[at].link;
        let process = &self.plane.processes[link.process];
        process.wire.is_none() || (process.machine.is_idle() && link.to_machine.is_empty())
    }

    pub fn fresh_process(&mut self) -> Process {
        let seed = self.fresh() ^ (self.setup.seed << 24);
        Process::new(&self.setup, seed, self.now)
    }

    /// A short wait within a process: mostly none.
    fn at_once(&mut self) -> Duration {
        let most = self.random.pick(&[0, 0, 0, 200]);
        Duration::from_micros(self.random.below(most + 1))
    }

    /// Passes on what has arrived anywhere.
    pub fn links(&mut self) -> Result<bool, String> {
        let mut moved = self.wires()?;
        for at in 0..self.nodes.len() {
            moved |= self.link(at)?;
        }
        Ok(moved)
    }

    fn link(&mut self, at: usize) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        let process = self.nodes[at].link.process;
        while let Some((_, command)) = self.nodes[at]
            .link
            .to_machine
            .pop_front_if(|(due, _)| *due <= now)
        {
            let id = self.nodes[at].hub.node();
            self.plane.processes[process].command(now, id, command);
            self.drain(process);
            moved = true;
        }
        // Readers that need a turn have it first.
        while !self.nodes[at].hub.is_crowded()
            && let Some((_, event)) = self.nodes[at]
                .link
                .to_node
                .pop_front_if(|(due, _)| *due <= now)
        {
            self.nodes[at].hub.receive(now, event);
            self.flush(at)?;
            moved = true;
        }
        Ok(moved)
    }

    /// Sends what a machine has to say.
    pub fn drain(&mut self, process: usize) {
        while let Some((id, request)) = self.plane.processes[process].machine.poll_request() {
            self.ask(process, id, request);
        }
        while let Some((to, event)) = self.plane.processes[process].machine.poll_event() {
            let at = self
                .nodes
                .iter()
                .position(|node| node.hub.node() == to && node.link.process == process);
            if let Some(at) = at {
                self.put(at, event);
            }
        }
    }

    /// Puts an event on the way to a node.
    pub fn put(&mut self, at: usize, event: BackplaneEvent) {
        let due = self.now + self.at_once();
        let link = &mut self.nodes[at].link;
        let last = link.to_node.back().map_or(due, |(at, _)| *at);
        link.to_node.push_back((last.max(due), event));
    }

    /// Gives the machine of its process what a node wants.
    pub fn send_command(&mut self, at: usize, command: BackplaneCommand) {
        if let BackplaneCommand::Publish { draft, .. } = &command {
            let bytes = wire::encode(draft);
            let number = self.plane.drafts.len() as u64;
            let from = self.nodes[at].hub.node();
            self.plane
                .drafts
                .insert(bytes, (draft.clone(), from, number));
        }
        let due = self.now + self.at_once();
        let link = &mut self.nodes[at].link;
        let last = link.to_machine.back().map_or(due, |(at, _)| *at);
        link.to_machine.push_back((last.max(due), command));
    }

    /// Tells a client who is present in a group, when that is known.
    pub fn ask_present(&mut self, at: usize, id: ChannelId, group: &str) {
        let node = &mut self.nodes[at];
        if let Ok(token) = node.hub.ask(Query::Presence(group.into())) {
            node.asked.insert(token, (id, group.into()));
        }
    }

    pub fn tick_plane(&mut self) -> Result<bool, String> {
        let mut moved = false;
        for at in 0..self.plane.processes.len() {
            let machine = &mut self.plane.processes[at].machine;
            if machine.deadline().is_some_and(|due| due <= self.now) {
                machine.tick(self.now);
                self.drain(at);
                moved = true;
            }
        }
        Ok(moved)
    }

    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the broker's plane has something to do here"
    )]
    pub const fn tick_link(&mut self, _: usize) -> Result<bool, String> {
        Ok(false)
    }

    /// A node has said goodbye: its process goes on with another.
    pub fn retire(&mut self, old: &mut Node) -> Check {
        let id = old.hub.node();
        let process = old.link.process;
        for (_, command) in core::mem::take(&mut old.link.to_machine) {
            self.plane.processes[process].command(self.now, id, command);
            self.drain(process);
        }
        Ok(())
    }

    /// Checks the invariants of every moment.
    pub const fn check_plane(&self) -> Check {
        Ok(())
    }

    /// Checks the invariants at rest.
    pub fn check_plane_kept(&self) -> Check {
        for (at, process) in self.plane.processes.iter().enumerate() {
            hold!(
                process.wire.is_some(),
                "rest: process {at} has no connection"
            );
            // Now and then a node asks where its groups stand.
            let asks = process.asked.values().min();
            hold!(
                process.machine.is_idle()
                    || asks.is_some_and(|at| *at + Duration::from_millis(300) > self.now),
                "rest: process {at} waits for something: {}",
                format!("{:?}", process.machine)
                    .split_once("sweeps: ")
                    .map_or("", |(_, rest)| rest)
            );
        }
        for node in &self.nodes {
            let counters = node.hub.snapshot().counters;
            hold!(
                self.plane.troubled || (counters.gaps <= counters.unwrapped && counters.downs <= 1),
                "calm: {:?} saw gaps though nothing went wrong: {counters:?}",
                node.hub.node()
            );
        }
        let nodes: Vec<NodeId> = self.nodes.iter().map(|node| node.hub.node()).collect();
        let incarnations = self.plane.server.incarnations().all();
        // A node of which nothing was heard hears of no other.
        let somebody = incarnations
            .iter()
            .any(|incarnation| nodes.contains(&incarnation.node));
        for incarnation in &incarnations {
            hold!(
                nodes.contains(&incarnation.node) || !somebody,
                "incarnations: {incarnation:?} is known, and there is no such node"
            );
        }
        for group in GROUPS {
            let room = self.plane.server.room(group);
            for incarnation in room.into_iter().flat_map(Room::incarnations) {
                let groups = self.plane.server.incarnations().groups(incarnation);
                hold!(
                    groups.iter().any(|name| **name == *group),
                    "incarnations: somebody is in {group} on {incarnation:?}, which has a place in {groups:?}"
                );
            }
        }
        let is_other = |channel: &Channel| match channel {
            Channel::Node(node) => !nodes.contains(node),
            Channel::Group(_) | Channel::Watch | Channel::Control | Channel::Presence => false,
        };
        let others = self
            .plane
            .server
            .channels()
            .find(|channel| is_other(channel));
        hold!(
            others.is_none(),
            "rest: {others:?} is subscribed to, and there is no such node"
        );
        for node in nodes {
            let count = incarnations
                .iter()
                .filter(|incarnation| incarnation.node == node)
                .count();
            // One that never had a channel has not been heard of.
            hold!(
                count <= 1,
                "incarnations: {node:?} has {count} of {incarnations:?}"
            );
            let subscribers = self.plane.server.subscribers(&Channel::Node(node));
            hold!(
                subscribers == 1,
                "rest: {subscribers} connections are subscribed to what is meant for {node:?}"
            );
        }
        Ok(())
    }

    /// Checks the invariants when all have gone.
    pub fn check_plane_empty(&self) -> Check {
        let server = &self.plane.server;
        for group in GROUPS {
            let subscribers = server.subscribers(&Channel::Group(group.into()));
            hold!(
                subscribers == 0,
                "rest: {subscribers} connections are subscribed to {group}, where nobody is"
            );
        }
        for incarnation in server.incarnations().all() {
            let groups = server.incarnations().groups(incarnation);
            hold!(
                groups.is_empty(),
                "incarnations: {incarnation:?} has a place in {groups:?}, where nobody is"
            );
        }
        let subscribers = server.subscribers(&Channel::Watch);
        hold!(
            subscribers == 0,
            "rest: {subscribers} connections watch, and nobody does"
        );
        Ok(())
    }

    /// Redis forgets groups by itself.
    pub const fn check_forgotten(&self) -> Check {
        Ok(())
    }
}
