//! tokio's timer, which waits for sockets when it is late.
//! Knows nothing of connections.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use sansws_async::runtime::Timer;
use tokio::time::{Sleep, sleep_until};

/// An alarm that rings later than this says more about our process than about a peer: it was stopped, or a thread was busy.
const LATE: Duration = Duration::from_millis(100);

/// How long such an alarm waits for the readiness of sockets.
const GRACE: Duration = Duration::from_millis(50);

/// A tokio alarm.
///
/// tokio remembers which sockets are ready, and asks the system only between tasks. After a pause of the process it may wake the tasks of all
/// timers that are due before it has asked: a peer would be judged while its pong waits in the kernel. An alarm that is late therefore
/// rings a little later still, once. So it does when a test advances tokio's paused clock past it.
#[derive(Debug)]
pub struct TokioTimer(Pin<Box<Alarm>>);

pin_project! {
    /// All of it in one box: an open connection holds no more than the pointer.
    #[derive(Debug)]
    struct Alarm {
        #[pin]
        sleep: Sleep,
        // It was late, and waits for the sockets.
        waited: bool,
    }
}

impl Timer for TokioTimer {
    fn new(at: Instant) -> Self {
        Self(Box::pin(Alarm {
            sleep: sleep_until(at.into()),
            waited: false,
        }))
    }

    fn reset(&mut self, at: Instant) {
        let alarm = self.0.as_mut().project();
        alarm.sleep.reset(at.into());
        *alarm.waited = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.0.as_mut().project();
        ready!(alarm.sleep.as_mut().poll(cx));
        let now = tokio::time::Instant::now();
        if *alarm.waited || now.saturating_duration_since(alarm.sleep.deadline()) < LATE {
            return Poll::Ready(());
        }
        *alarm.waited = true;
        alarm.sleep.as_mut().reset(now + GRACE);
        alarm.sleep.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use sansws_async::runtime::{ByteStream, Runtime};
    use tokio::net::TcpListener;
    use tokio::runtime::Builder;

    use super::*;
    use crate::{Tcp, Tokio};

    /// Where the allocator's line for a connection ends, and that of the alarm.
    #[test]
    fn an_alarm_is_small() {
        assert_eq!(size_of::<TokioTimer>(), size_of::<usize>());
        assert!(size_of::<Alarm>() <= 120, "{}", size_of::<Alarm>());
    }

    /// The process was stopped, and meanwhile the peer's answer came: tokio has not asked the system yet.
    #[test]
    fn a_late_alarm_does_not_overtake_input_that_has_arrived() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let first = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut peer = std::net::TcpStream::connect(address).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = Tcp::new(stream).unwrap();
            let mut into = [0; 8];
            poll_fn(|cx| {
                assert!(stream.poll_read(cx, &mut into).is_pending());
                Poll::Ready(())
            })
            .await;
            peer.write_all(b"pong").unwrap();
            let due = Tokio::now().checked_sub(Duration::from_secs(1)).unwrap();
            let mut timer = TokioTimer::new(due);
            poll_fn(|cx| match stream.poll_read(cx, &mut into) {
                Poll::Ready(count) => Poll::Ready(Some(count.unwrap())),
                Poll::Pending => timer.poll(cx).map(|()| None),
            })
            .await
        });
        assert_eq!(first, Some(4));
        // It rings nevertheless, if nothing comes.
        runtime.block_on(async {
            let due = Tokio::now().checked_sub(Duration::from_secs(1)).unwrap();
            let mut timer = TokioTimer::new(due);
            poll_fn(|cx| timer.poll(cx)).await;
        });
    }
}
