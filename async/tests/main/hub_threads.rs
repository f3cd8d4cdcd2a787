//! Nodes of several threads: what others publish lies in the inbox of a node while its own readers need a turn.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sansws_async::HubEnv;
use sansws_async::hub::Hub;
use sansws_async::internal::{drive_hubs, hubs_on_this_thread};
use sansws_core::hub::{HubOptions, QueueLimits};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// A time that stands.
struct Still;

impl HubEnv for Still {
    fn now() -> Instant {
        Instant::from_micros(1_000_000)
    }

    fn seed() -> Seed {
        static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Seed::new([next; 32])
    }
}

#[test]
fn a_node_takes_in_no_more_than_its_readers_have_room_for() {
    const MESSAGES: usize = 500;
    let hub = Hub::<Still>::with_options(HubOptions::default().queue_limits(QueueLimits {
        messages: 4,
        ..QueueLimits::default()
    }));
    let of_thread = hub.clone();
    let (ready, is_ready) = mpsc::channel();
    let (published, is_published) = mpsc::channel();
    let _own = hubs_on_this_thread(&[(&hub).into()]);
    let reading = std::thread::spawn(move || {
        let _own = hubs_on_this_thread(&[(&of_thread).into()]);
        let mut cx = Context::from_waker(Waker::noop());
        let no_time = |_: Duration| std::future::pending();
        let mut driving = pin!(drive_hubs(vec![(&of_thread).into()], no_time));
        let mut listener = of_thread.subscribe("#".parse().unwrap()).unwrap();
        assert!(driving.as_mut().poll(&mut cx).is_pending());
        ready.send(()).unwrap();
        is_published.recv().unwrap();
        let mut got = 0;
        while got < MESSAGES {
            assert!(driving.as_mut().poll(&mut cx).is_pending());
            while let Poll::Ready(next) = pin!(listener.receive()).poll(&mut cx) {
                let text = next.unwrap().unwrap().as_text().unwrap().to_owned();
                assert_eq!(text, got.to_string());
                got += 1;
            }
        }
    });
    is_ready.recv().unwrap();
    for number in 0..MESSAGES {
        hub.publish("lobby", number.to_string())
            .try_publish()
            .unwrap();
    }
    published.send(()).unwrap();
    reading.join().unwrap();
}
