//! Channels expire by the clock of the system, which may have been set since the process started.
//! RFC 7519 section 4.1.4.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use sansws_common::hub::internal::LoopNode;
use sansws_common::hub::{Hub, HubEnv, HubRef};
use sansws_core::hub::{ChannelOptions, Instruction, Target};
use sansws_core::time::{Duration, Instant};

/// The clock of the process, in seconds.
static NOW: AtomicU64 = AtomicU64::new(10_000);

struct Env;

impl HubEnv for Env {
    fn now() -> Instant {
        Instant::ZERO + Duration::from_secs(NOW.load(Ordering::SeqCst))
    }

    fn unix_time() -> Instant {
        Self::now() + Duration::from_secs(7_200)
    }
}

#[test]
fn a_channel_expires_when_the_clock_of_the_system_says() {
    let hub = Hub::<Env>::new();
    let mut node = LoopNode::new(&HubRef::from(&hub));
    let channel = hub.open_channel(ChannelOptions::default()).unwrap();
    let target = Target::Channel(channel.id());
    let mut expired = || {
        node.turn(Waker::noop());
        let mut taking = std::pin::pin!(channel.take(1));
        let taken = taking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        matches!(taken, Poll::Ready(taken) if taken.close.is_some())
    };
    let expires = Env::unix_time() + Duration::from_secs(10);
    hub.instruct(target, Instruction::SetExpiry(Some(expires)))
        .unwrap();
    NOW.fetch_add(9, Ordering::SeqCst);
    assert!(!expired());
    NOW.fetch_add(2, Ordering::SeqCst);
    assert!(expired());
}
