//! An echo as somebody who measures would write it: all messages that are there are fed, and then flushed together.

use std::fmt::Display;

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};

use crate::runtime::ServeResult;

/// Echoes until the end. `answer` returns the echo of a message, or nothing for a control frame.
pub(super) async fn echo<M, E: Display>(
    mut ws: impl Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    answer: impl Fn(M) -> Option<M>,
) -> ServeResult {
    let failed = |error: E| anyhow::anyhow!("{error}");
    while let Some(message) = ws.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            if let Some(answer) = answer(message.map_err(failed)?) {
                ws.feed(answer).await.map_err(failed)?;
            }
            next = ws.next().now_or_never().flatten();
        }
        ws.flush().await.map_err(failed)?;
    }
    Ok(())
}
