//! Hubs that are linked by somebody else: two of them, through a broker that the test carries for.

use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sansws_async::Error;
use sansws_async::hub::Link;
use sansws_async::test_kit::TestHub;
use sansws_core::hub::{
    Broker, ChannelOptions, Filter, GroupOptions, HistoryOptions, HubError, HubOptions, NodeId,
    OutagePolicy,
};
use sansws_core::time::Instant;

/// The carrier of commands and events.
struct Wire {
    broker: Broker,
    links: Vec<Link>,
}

fn poll<F: Future>(work: Pin<&mut F>) -> Poll<F::Output> {
    work.poll(&mut Context::from_waker(Waker::noop()))
}

impl Wire {
    /// Hubs of which each has another node.
    fn new(hubs: usize, options: HubOptions) -> (Self, Vec<TestHub>) {
        let broker = Broker::new(Arc::new(options.clone()), 7);
        let (hubs, links) = (0..hubs).map(|_| TestHub::linked(options.clone())).unzip();
        (Self { broker, links }, hubs)
    }

    /// Carries all that waits.
    fn carry(&mut self) {
        loop {
            let mut moved = false;
            for (at, link) in self.links.iter_mut().enumerate() {
                let cx = Context::from_waker(Waker::noop());
                while let Poll::Ready((node, command)) = link.poll_next(&cx) {
                    moved = true;
                    self.broker.handle(Instant::ZERO, name(at, node), command);
                }
            }
            while let Some((node, event)) = self.broker.poll_event() {
                moved = true;
                let (at, node) = (node.0 as usize >> 56, NodeId(node.0 & !(0xff << 56)));
                let own = self.links[at].nodes();
                let node = own.iter().find(|own| own.0 & !(0xff << 56) == node.0);
                self.links[at].deliver(*node.unwrap(), event);
            }
            if !moved {
                return;
            }
        }
    }

    fn done<R>(&mut self, work: impl Future<Output = R>) -> R {
        let mut work = pin!(work);
        for _ in 0..1_000 {
            if let Poll::Ready(done) = poll(work.as_mut()) {
                return done;
            }
            self.carry();
        }
        panic!("it does not end");
    }
}

/// The test's hubs draw the same ids: the broker knows them by the place of their link too.
fn name(at: usize, node: NodeId) -> NodeId {
    NodeId((node.0 & !(0xff << 56)) | (at as u64) << 56)
}

fn history() -> HubOptions {
    HubOptions::default().groups(GroupOptions::default().history(HistoryOptions::default()))
}

fn all() -> Filter {
    "#".parse().unwrap()
}

#[test]
fn a_publication_reaches_another_hub_and_its_publisher_gets_the_position() {
    let (mut wire, hubs) = Wire::new(2, history());
    wire.links.iter().for_each(Link::up);
    let mut subscription = hubs[1].subscribe(all()).unwrap();
    wire.carry();
    {
        let mut publishing = pin!(hubs[0].publish("lobby", "hello").into_future());
        assert!(
            poll(publishing.as_mut()).is_pending(),
            "nobody has answered"
        );
        let published = wire.done(publishing).unwrap();
        assert_eq!(published.position.unwrap().offset, 1);
    }
    let received = wire.done(subscription.receive()).unwrap().unwrap();
    assert_eq!(received.as_text(), Some("hello"));
    // A publisher that does not wait is not told.
    let published = hubs[1].publish("lobby", "again").try_publish().unwrap();
    assert_eq!(published.position, None);
    wire.carry();
    let kept = wire.done(hubs[0].history("lobby", 10)).unwrap();
    assert_eq!(
        (kept.publications.len(), kept.position.unwrap().offset),
        (2, 2)
    );
    let presence = wire.done(hubs[0].presence("lobby")).unwrap();
    assert_eq!(presence.count, 0);
}

#[test]
fn a_link_begins_down_and_what_waits_for_an_answer_fails_when_it_breaks() {
    let (mut wire, hubs) = Wire::new(1, history());
    let hub = &hubs[0];
    let asked = wire.done(hub.presence("lobby"));
    assert_eq!(asked, Err(HubError::Down));
    wire.links[0].up();
    {
        let mut asking = pin!(hub.presence("lobby"));
        assert!(poll(asking.as_mut()).is_pending());
        let mut publishing = pin!(hub.publish("lobby", "lost?").into_future());
        assert!(poll(publishing.as_mut()).is_pending());
        wire.links[0].down();
        assert_eq!(poll(asking.as_mut()), Poll::Ready(Err(HubError::Down)));
        let lost = poll(publishing.as_mut());
        assert!(matches!(lost, Poll::Ready(Err(Error::Hub(HubError::Down)))));
    }
    // On its own it serves its own.
    let mut subscription = hub.subscribe(all()).unwrap();
    let published = hub.publish("lobby", "alone").try_publish().unwrap();
    assert_eq!(published.position, None);
    let received = wire.done(subscription.receive()).unwrap().unwrap();
    assert_eq!(
        (received.as_text(), received.position),
        (Some("alone"), None)
    );
    // When it is back it says again what it wants.
    wire.links[0].up();
    wire.carry();
    hub.publish("lobby", "together").try_publish().unwrap();
    let received = wire.done(subscription.receive()).unwrap().unwrap();
    assert_eq!(received.as_text(), Some("together"));
    assert_eq!(received.position.unwrap().offset, 1);
}

#[test]
fn without_a_link_for_good_a_hub_refuses_where_it_is_told_to() {
    let options = HubOptions {
        on_outage: OutagePolicy::Refuse,
        ..history()
    };
    let (mut wire, hubs) = Wire::new(1, options);
    wire.links[0].up();
    assert!(hubs[0].publish("lobby", "x").try_publish().is_ok());
    drop(wire.links.pop());
    let refused = hubs[0].publish("lobby", "x").try_publish();
    assert!(matches!(refused, Err(Error::Hub(HubError::Down))));
}

#[test]
fn publishers_wait_for_a_link_that_is_behind() {
    let (mut wire, hubs) = Wire::new(1, HubOptions::default());
    wire.links[0].up();
    wire.carry();
    let mut sent = 0;
    let refused = loop {
        match hubs[0].publish("lobby", "x").try_publish() {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100_000, "it takes all");
    };
    assert!(matches!(refused, Error::Hub(HubError::Backpressure)));
    let mut waiting = pin!(hubs[0].publish("lobby", "waits").into_future());
    assert!(poll(waiting.as_mut()).is_pending());
    wire.done(waiting).unwrap();
    assert_eq!(wire.broker.counters().published, sent + 1);
}

#[test]
fn a_subscription_ends_with_the_last_handle_of_its_hub_and_its_link() {
    struct Woken(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Woken(false.into()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    // In one process: what was published before comes first.
    let hub = TestHub::new();
    let mut subscription = hub.subscribe(all()).unwrap();
    hub.publish("lobby", "the last").try_publish().unwrap();
    let other = hub.clone();
    let channel = hub.open_channel(ChannelOptions::default()).unwrap();
    drop(hub);
    let Poll::Ready(Some(Ok(last))) = pin!(subscription.receive()).poll(&mut cx) else {
        panic!("something was published");
    };
    assert_eq!(last.as_text(), Some("the last"));
    drop(channel);
    assert!(pin!(subscription.receive()).poll(&mut cx).is_pending());
    assert!(!woken.0.load(std::sync::atomic::Ordering::Relaxed));
    drop(other);
    assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed));
    let end = pin!(subscription.receive()).poll(&mut cx);
    assert!(matches!(end, Poll::Ready(None)));
    let (code, _) = subscription.closed().unwrap();
    assert_eq!(code.get(), 1001);
    // As long as a link brings publications of others, it goes on.
    let (mut wire, mut hubs) = Wire::new(2, history());
    wire.links.iter().for_each(Link::up);
    let mut subscription = hubs[1].subscribe(all()).unwrap();
    wire.carry();
    drop(hubs.pop());
    hubs[0].publish("lobby", "hello").try_publish().unwrap();
    let received = wire.done(subscription.receive()).unwrap().unwrap();
    assert_eq!(received.as_text(), Some("hello"));
    assert!(pin!(subscription.receive()).poll(&mut cx).is_pending());
    drop(wire.links.pop());
    let end = pin!(subscription.receive()).poll(&mut cx);
    assert!(matches!(end, Poll::Ready(None)));
}
