//! A node behind its lock, with its inbox and outbox.
//! Knows the state machine and its outputs; the hub carries them to other nodes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;

use crate::hub::outlets::Outlets;
use crate::hub::signals::Signals;
use crate::hub::wake_flag::WakeFlag;
use sansws_core::hub::{
    BackplaneCommand, BackplaneEvent, ChannelId, ChannelOptions, Hub, HubError, HubOptions, Joined,
    Left, NodeId, Output, Published, QueryResult, Token,
};
use sansws_core::time::Instant;

/// Number of events in an inbox beyond which the sender helps.
const CROWDED: usize = 1024;

/// Number of deliveries of one pass through an inbox, after which readers have a turn.
const DELIVERIES: u64 = 1 << 16;

/// Number of publications in a row before other tasks have a turn.
const PUBLICATIONS: u32 = 256;

/// A node.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    state: Mutex<State>,
    outbox: Mutex<VecDeque<BackplaneCommand>>,
    inbox: Mutex<VecDeque<BackplaneEvent>>,
    /// It belongs to a thread.
    taken: AtomicBool,
    /// No handle of the hub is left.
    over: AtomicBool,
    /// Its timers and inbox are being driven.
    driven: AtomicBool,
    driver: Arc<AtomicWaker>,
    /// When its driver wakes by itself.
    armed: AtomicU64,
    /// Tasks that take over driving when the driver goes.
    heirs: Mutex<Vec<Waker>>,
    /// Publishers wait for its readers to have a turn.
    waited_for: AtomicBool,
    /// The number of publications.
    begun: AtomicU32,
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) hub: Hub,
    /// By slot.
    bells: Vec<Option<Arc<WakeFlag>>>,
    joins: BTreeMap<(ChannelId, Arc<str>), Joining>,
    publications: BTreeMap<Token, Waiting<Result<Published, HubError>>>,
    pub(super) signals: Signals,
    answers: BTreeMap<Token, Waiting<Result<QueryResult, HubError>>>,
    /// Publishers that wait for room.
    publishers: Vec<Waker>,
    /// Wakers of tasks whose answers will not come.
    disappointed: Vec<Waker>,
    /// For the connections of the event loop that drives it, if one does.
    pub(super) mail: Option<Mail>,
}

/// News of a node for connections of its event loop: those without a wake flag.
#[derive(Debug, Default)]
pub struct Mail {
    /// Slots of channels with messages to take.
    pub woken: Vec<u32>,
    /// The results of joins.
    pub joined: Vec<(ChannelId, Arc<str>, Result<Joined, HubError>)>,
    /// Channels with signals to take.
    pub signalled: Vec<ChannelId>,
}

impl Mail {
    /// Returns whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.woken.is_empty() && self.joined.is_empty() && self.signalled.is_empty()
    }
}

/// A join whose answer has not been taken.
#[derive(Debug, Default)]
struct Joining {
    wakers: Vec<Waker>,
    /// Number of futures that will take the answer.
    futures: u32,
    /// The answer. Without a future, it belonged to one that was dropped before it looked: the next join takes it.
    joined: Option<Result<Joined, HubError>>,
}

/// An answer that a future waits for.
#[derive(Debug)]
enum Waiting<R> {
    For(Waker),
    Done(R),
}

/// Wakers to wake once no lock is held.
#[derive(Default)]
pub(super) struct Wakes {
    bells: Vec<Arc<WakeFlag>>,
    pub(super) wakers: Vec<Waker>,
    drivers: Vec<Arc<AtomicWaker>>,
}

impl Wakes {
    pub(super) fn wake(self) {
        self.drivers.iter().for_each(|driver| driver.wake());
        self.wakers.into_iter().for_each(Waker::wake);
        self.bells.iter().for_each(|bell| bell.ring());
    }
}

impl Node {
    pub(super) fn new(id: NodeId, options: Arc<HubOptions>) -> Self {
        let mut hub = Hub::new(id, options);
        hub.track_turns();
        Self {
            id,
            state: Mutex::new(State {
                hub,
                bells: Vec::new(),
                joins: BTreeMap::new(),
                publications: BTreeMap::new(),
                signals: Signals::default(),
                answers: BTreeMap::new(),
                publishers: Vec::new(),
                disappointed: Vec::new(),
                mail: None,
            }),
            outbox: Mutex::default(),
            inbox: Mutex::default(),
            taken: AtomicBool::new(false),
            over: AtomicBool::new(false),
            driven: AtomicBool::new(false),
            driver: Arc::default(),
            armed: AtomicU64::new(u64::MAX),
            heirs: Mutex::default(),
            waited_for: AtomicBool::new(false),
            begun: AtomicU32::new(0),
        }
    }

    /// No publication follows: subscriptions end when they look.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// No publication follows: subscriptions end once they have taken what is queued.
    pub(super) fn end_subscriptions(&self) {
        self.end();
        let bells: Vec<_> = self.state().bells.iter().flatten().cloned().collect();
        bells.iter().for_each(|bell| bell.ring());
    }

    /// Returns whether no publication follows.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) const fn id(&self) -> NodeId {
        self.id
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, VecDeque<BackplaneEvent>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, VecDeque<BackplaneCommand>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the outputs of the state machine: commands go to the outbox, the rest to waiting futures. Returns whether there are
    /// commands.
    pub(super) fn settle(&self, state: &mut State, outlets: &Outlets, wakes: &mut Wakes) -> bool {
        let mut has_commands = false;
        let had_mail = state.mail.as_ref().is_some_and(|mail| !mail.is_empty());
        wakes.wakers.append(&mut state.disappointed);
        while let Some(output) = state.hub.poll_output() {
            match output {
                Output::Wake(slot) => {
                    if let Some(Some(bell)) = state.bells.get(slot as usize) {
                        wakes.bells.push(Arc::clone(bell));
                    } else if let Some(mail) = &mut state.mail {
                        mail.woken.push(slot);
                    }
                }
                Output::Command(command) => {
                    has_commands = true;
                    self.outbox().push_back(command);
                }
                Output::Joined(id, group, joined) => {
                    let key = (id, group);
                    if let Some(joining) = state.joins.get_mut(&key) {
                        joining.joined = Some(joined);
                        wakes.wakers.append(&mut joining.wakers);
                    } else if let Some(mail) = state.mail_of(id) {
                        mail.joined.push((id, key.1, joined));
                    }
                }
                Output::Published(token, result) => {
                    answer(&mut state.publications, token, result, wakes);
                }
                Output::Answer(token, result) => {
                    answer(&mut state.answers, token, result, wakes);
                }
                Output::Signal(id, signal) => {
                    let (is_first, waker) = state.signals.put(id, signal);
                    wakes.wakers.extend(waker);
                    if is_first && let Some(mail) = state.mail_of(id) {
                        mail.signalled.push(id);
                    }
                }
                Output::Room => wakes.wakers.append(&mut state.publishers),
                Output::Event(event) => outlets.listeners.tell(&event, &mut wakes.wakers),
            }
        }
        let is_crowded = state.hub.is_crowded();
        if is_crowded != self.is_waited_for() {
            self.waited_for.store(is_crowded, Ordering::Release);
            if is_crowded {
                outlets.crowding.enter();
            } else {
                outlets.crowding.leave(&mut wakes.wakers);
                // Events that arrived meanwhile are in the inbox.
                self.call(wakes);
            }
        }
        if !had_mail && state.mail.as_ref().is_some_and(|mail| !mail.is_empty()) {
            self.call(wakes);
        }
        self.look_at(state.hub.deadline(), wakes);
        has_commands
    }

    /// Something becomes due: wakes its driver, if that would wake later.
    pub(super) fn look_at(&self, at: Option<Instant>, wakes: &mut Wakes) {
        if let Some(at) = at
            && at.as_micros() < self.armed.load(Ordering::Acquire)
        {
            self.arm(at);
            self.call(wakes);
        }
    }

    /// Sets when its driver wakes next.
    pub(super) fn arm(&self, at: Instant) {
        self.armed.store(at.as_micros(), Ordering::Release);
    }

    pub(super) fn has_commands(&self) -> bool {
        !self.outbox().is_empty()
    }

    /// Passes its commands on, in order. Call it while the broker is locked.
    pub(super) fn take_commands(&self, mut give: impl FnMut(BackplaneCommand)) {
        let mut outbox = self.outbox();
        while let Some(command) = outbox.pop_front() {
            give(command);
        }
    }

    /// Puts an event into its inbox. Call it while the broker is locked.
    pub(super) fn put(&self, event: BackplaneEvent) {
        self.inbox().push_back(event);
    }

    /// Puts several events into its inbox, in order.
    pub(super) fn put_all(&self, events: impl IntoIterator<Item = BackplaneEvent>) {
        self.inbox().extend(events);
    }

    /// Processes its inbox; returns whether there are commands then. After `least` events it stops while readers need a turn, if its
    /// driver can continue later.
    pub(super) fn receive(
        &self,
        now: Instant,
        outlets: &Outlets,
        least: usize,
        wakes: &mut Wakes,
    ) -> bool {
        let mut state = self.state();
        let enough = state.hub.total_fan_out() + DELIVERIES;
        for taken in 0_usize.. {
            let mut inbox = self.inbox();
            let is_crowded = state.hub.is_crowded();
            if taken >= least
                && (is_crowded || state.hub.total_fan_out() > enough)
                && self.is_driven()
                && inbox.len() < CROWDED
            {
                if !is_crowded && !inbox.is_empty() {
                    self.call(wakes);
                }
                break;
            }
            // Events that are added meanwhile are processed by the next holder of the state's lock.
            let Some(event) = inbox.pop_front() else {
                break;
            };
            drop(inbox);
            state.hub.receive(now, event);
        }
        self.settle(&mut state, outlets, wakes)
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.inbox().len() >= CROWDED
    }

    /// Claims it for a thread, unless another has.
    pub(super) fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::AcqRel)
    }

    /// Releases it from its thread.
    pub(super) fn release(&self) {
        self.taken.store(false, Ordering::Release);
    }

    /// Returns whether publishers wait for its readers to have a turn.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::Acquire)
    }

    /// Counts a publication; returns whether its publisher has had its turn, and others should have theirs.
    pub(super) fn ends_turn(&self) -> bool {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        begun % PUBLICATIONS == PUBLICATIONS - 1
    }

    pub(super) fn is_driven(&self) -> bool {
        self.driven.load(Ordering::Acquire)
    }

    /// Wakes its driver.
    pub(super) fn call(&self, wakes: &mut Wakes) {
        wakes.drivers.push(Arc::clone(&self.driver));
    }

    /// Is ready once the caller is its driver, and each time after: the waker is woken when something arrives.
    pub(super) fn poll_drive(&self, cx: &Context<'_>, mine: &mut bool) -> Poll<()> {
        if !*mine {
            let mut heirs = self.heirs.lock().unwrap_or_else(PoisonError::into_inner);
            if self.driven.swap(true, Ordering::AcqRel) {
                if !heirs.iter().any(|heir| heir.will_wake(cx.waker())) {
                    heirs.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            *mine = true;
        }
        self.driver.register(cx.waker());
        Poll::Ready(())
    }

    /// Its driver leaves.
    pub(super) fn leave(&self) {
        let mut heirs = self.heirs.lock().unwrap_or_else(PoisonError::into_inner);
        self.driven.store(false, Ordering::Release);
        let heirs = std::mem::take(&mut *heirs);
        heirs.into_iter().for_each(Waker::wake);
    }

    /// Waits for the answer to a join.
    pub(super) fn poll_joined(
        &self,
        cx: &Context<'_>,
        id: ChannelId,
        group: &Arc<str>,
    ) -> Poll<Result<Joined, HubError>> {
        let mut state = self.state();
        let Some(joining) = state.joins.get_mut(&(id, Arc::clone(group))) else {
            return Poll::Ready(Err(HubError::Gone));
        };
        if let Some(joined) = joining.joined {
            return Poll::Ready(joined);
        }
        if !joining
            .wakers
            .iter()
            .any(|known| known.will_wake(cx.waker()))
        {
            joining.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for the result of a publication.
    pub(super) fn poll_published(
        &self,
        cx: &Context<'_>,
        token: Token,
    ) -> Poll<Result<Published, HubError>> {
        let answer = poll_answer(&mut self.state().publications, token, cx);
        answer.map(|result| result.unwrap_or(Err(HubError::Gone)))
    }

    /// Waits for the answer to a query.
    pub(super) fn poll_answer(
        &self,
        cx: &Context<'_>,
        token: Token,
    ) -> Poll<Result<QueryResult, HubError>> {
        let answer = poll_answer(&mut self.state().answers, token, cx);
        answer.map(|result| result.unwrap_or(Err(HubError::Gone)))
    }

    pub(super) fn forget_answer(&self, token: Token) {
        self.state().answers.remove(&token);
    }

    /// Returns the result of a publication, if it is known; the wait for it ends.
    pub(super) fn end_publication(&self, token: Token) -> Option<Result<Published, HubError>> {
        match self.state().publications.remove(&token)? {
            Waiting::Done(result) => Some(result),
            Waiting::For(_) => None,
        }
    }
}

fn answer<K: Ord, R>(waiting: &mut BTreeMap<K, Waiting<R>>, key: K, result: R, wakes: &mut Wakes) {
    // Without a waiting future there is no entry.
    if let Some(known) = waiting.get_mut(&key)
        && let Waiting::For(waker) = std::mem::replace(known, Waiting::Done(result))
    {
        wakes.wakers.push(waker);
    }
}

/// Returns the answer; `None` when nobody waits for one any more.
fn poll_answer<K: Ord, R>(
    waiting: &mut BTreeMap<K, Waiting<R>>,
    key: K,
    cx: &Context<'_>,
) -> Poll<Option<R>> {
    match waiting.remove(&key) {
        None => Poll::Ready(None),
        Some(Waiting::Done(result)) => Poll::Ready(Some(result)),
        Some(Waiting::For(_)) => {
            waiting.insert(key, Waiting::For(cx.waker().clone()));
            Poll::Pending
        }
    }
}

impl State {
    pub(super) fn open(
        &mut self,
        now: Instant,
        open: ChannelOptions,
    ) -> Result<(ChannelId, Arc<WakeFlag>), HubError> {
        let id = self.hub.open(now, open)?;
        Ok((id, self.bell(id)))
    }

    /// Returns the mail of the event loop, if the channel is one of its connections.
    fn mail_of(&mut self, id: ChannelId) -> Option<&mut Mail> {
        let bell = self.bells.get(id.slot() as usize);
        self.mail
            .as_mut()
            .filter(|_| !matches!(bell, Some(Some(_))))
    }

    /// Returns the wake flag of an open channel.
    pub(super) fn bell(&mut self, id: ChannelId) -> Arc<WakeFlag> {
        let (slot, bell) = (id.slot() as usize, Arc::new(WakeFlag::default()));
        if self.bells.len() <= slot {
            self.bells.resize(slot + 1, None);
        }
        if let Some(place) = self.bells.get_mut(slot) {
            *place = Some(Arc::clone(&bell));
        }
        bell
    }

    pub(super) fn closed(&mut self, now: Instant, id: ChannelId) {
        self.hub.closed(now, id);
        self.signals.forget(id);
        if let Some(place) = self.bells.get_mut(id.slot() as usize) {
            *place = None;
        }
        self.disappoint(id);
    }

    pub(super) fn retire(&mut self, now: Instant, id: ChannelId) {
        self.hub.retire(now, id);
        let waker = self.signals.end(id);
        self.disappointed.extend(waker);
        self.disappoint(id);
    }

    /// Ends the waits for joins of a channel.
    fn disappoint(&mut self, id: ChannelId) {
        let disappointed = &mut self.disappointed;
        self.joins.retain(|(known, _), joining| {
            if *known == id {
                disappointed.append(&mut joining.wakers);
            }
            *known != id
        });
    }

    /// Registers a future for the answer to a join.
    pub(super) fn expect_join(&mut self, id: ChannelId, group: &Arc<str>) {
        let joining = self.joins.entry((id, Arc::clone(group))).or_default();
        joining.futures += 1;
    }

    /// Returns the answer to a join whose future was dropped before it looked.
    pub(super) fn take_joined(&mut self, id: ChannelId, group: &Arc<str>) -> Option<Joined> {
        let key = (id, Arc::clone(group));
        let joining = self.joins.get(&key)?;
        let joined = joining.joined.filter(|_| joining.futures == 0)?;
        self.joins.remove(&key);
        // It may have been made to leave since; after a failure it joins again.
        let is_member = self.hub.groups_of(id).contains(group);
        joined.ok().filter(|_| is_member)
    }

    /// A future is done with a join, with or without its answer. If no other waits and there is no answer, the join has not happened.
    pub(super) fn end_join(&mut self, now: Instant, id: ChannelId, group: &Arc<str>, taken: bool) {
        let key = (id, Arc::clone(group));
        let Some(joining) = self.joins.get_mut(&key) else {
            return;
        };
        joining.futures -= 1;
        if joining.futures > 0 {
            return;
        }
        let unheard = joining.joined.is_some() && !taken;
        if joining.joined.is_none() {
            self.hub.cancel_join(now, id, group);
        }
        if !unheard {
            self.joins.remove(&key);
        }
    }

    /// A channel leaves a group: the result of its join no longer matters.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        id: ChannelId,
        group: &str,
    ) -> Result<Left, HubError> {
        self.joins.remove(&(id, group.into()));
        self.hub.leave(now, id, group)
    }

    /// Registers a wait for the result of a publication.
    pub(super) fn expect_publication(&mut self, token: Token) {
        let nobody = Waiting::For(Waker::noop().clone());
        self.publications.insert(token, nobody);
    }

    /// Registers a wait for the answer to a query.
    pub(super) fn expect_answer(&mut self, token: Token) {
        let nobody = Waiting::For(Waker::noop().clone());
        self.answers.insert(token, nobody);
    }

    /// Wakes this waker when there is room for publishers.
    pub(super) fn wait_for_room(&mut self, waker: &Waker) {
        if !self.publishers.iter().any(|known| known.will_wake(waker)) {
            self.publishers.push(waker.clone());
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
