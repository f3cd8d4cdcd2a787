//! Records how a connection ended, once, and reports it to the receiver and to senders.
//! RFC 6455 sections 7.1.5 (the code) and 7.1.7 (failing).
//! Knows no bytes; what is recorded and reported is `sansws_common`'s `Ending`.

use crate::metrics::ClosedBy;
use crate::socket::engine::{Engine, Error, Result};
use crate::transport::Transport;
use sansws_common::socket::ending::{Ending, vanished};
use sansws_core::close::{CloseCode, Closed, LossCause};
use sansws_core::error::{SendError, Violation};
use sansws_core::http::Url;

impl<T: Transport> Engine<T> {
    fn ending(&self) -> Option<&Ending> {
        self.rare.as_ref().map(|rare| &rare.ending)
    }

    /// Returns whether it has ended.
    #[inline]
    pub(super) fn is_ended(&self) -> bool {
        self.ending().is_some_and(Ending::is_known)
    }

    /// Returns whether the end was reported to the receiver.
    pub(super) fn is_end_reported(&self) -> bool {
        self.ending().is_some_and(Ending::is_reported)
    }

    /// Records that the peer closed.
    pub(super) fn note_close(&mut self, code: Option<CloseCode>, reason: String) {
        self.note_end(|ending| ending.note_close(code, reason));
    }

    /// Records that the peer broke the protocol.
    pub(super) fn note_violation(&mut self, violation: Violation) {
        self.note_end(|ending| ending.note_violation(violation));
    }

    /// Records that the connection was lost.
    pub(super) fn note_lost(&mut self, cause: LossCause) {
        self.note_end(|ending| ending.note_lost(cause));
    }

    /// Ends it for the handles that other tasks hold: nothing drives it any more.
    pub(crate) fn cut_off(&mut self) {
        if self.is_ended() {
            return;
        }
        self.rare_mut().ended = true;
        self.connection.end_of_input();
        self.connection.end_of_output(self.transport.now());
        self.note_lost(LossCause::Aborted);
        self.wakers.wake_all();
    }

    /// Tells `tracing` how the connection of a client to this URL ended, once it has and is dropped.
    pub(crate) fn tell_client(&mut self, url: Url) {
        self.rare_mut().ending.tell_client(url);
    }

    /// Only the first end counts.
    pub(super) fn note_end(&mut self, note: impl FnOnce(&mut Ending)) {
        if !self.is_ended() {
            self.leave_hub();
            note(&mut self.rare_mut().ending);
        }
    }

    /// Returns the side that closed first, and the code of the first Close frame. An open connection is cut off by us.
    pub(crate) fn first_close(&self) -> (ClosedBy, u16) {
        Ending::first_close(
            self.ending(),
            self.rare.as_ref().map_or(0, |rare| rare.said),
        )
    }

    /// Returns the end as an error, however normal it was.
    pub(crate) fn disconnected(&self) -> Error {
        let unknown = || Error::Disconnect(Box::new(vanished()));
        self.ending().map_or_else(unknown, Ending::disconnected)
    }

    /// Returns the end as an error for a sender, however normal it was.
    pub(super) fn end_error(&self) -> Error {
        self.ending()
            .map_or_else(|| self.disconnected(), Ending::error)
    }

    /// Returns whether a stream of messages has returned its last item.
    pub(crate) fn is_stream_over(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.over)
    }

    pub(crate) fn end_stream(&mut self) {
        self.rare_mut().over = true;
    }

    /// Returns whether input has ended.
    #[inline]
    pub(super) fn has_input_ended(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.ended)
    }

    /// Returns whether it was told to close: what was read ahead is discarded, and nothing is answered.
    pub(super) fn was_told_to_close(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.told)
    }

    /// Returns whether the writing side was shut down.
    pub(super) fn is_shut(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.shut)
    }

    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.ending().and_then(Ending::closed)
    }

    /// Returns whether the error is how the connection ended.
    pub(crate) fn has_met(&self, error: &Error) -> bool {
        self.ending().is_some_and(|ending| ending.has_met(error))
    }

    /// Records a reported error, and the close code for a handler that fails with it.
    pub(crate) fn note_fault(&mut self, error: &Error, code: CloseCode, reason: String) {
        self.rare_mut().ending.note_fault(error, code, reason);
    }

    /// Returns the meaning of an error with this text, if it was reported for this connection: some wrappers hide all but the text.
    pub(crate) fn has_reported(&self, text: &str) -> Option<(CloseCode, String)> {
        let closing = || {
            let is_closing =
                !self.connection.is_open() && Error::from(SendError::Closing).to_string() == text;
            is_closing.then(|| (CloseCode::NORMAL, String::new()))
        };
        self.ending()
            .and_then(|ending| ending.has_reported(text))
            .or_else(closing)
    }

    /// Reports the end to the receiver.
    pub(super) fn report_end(&mut self) -> Result<(), Error> {
        self.rare_mut().ending.report()
    }
}
