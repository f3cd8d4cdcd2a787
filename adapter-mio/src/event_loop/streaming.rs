//! The turn of a connection whose response is streamed: writes, calls back, and looks whether the peer is there.
//! RFC 9112 sections 7.1 and 9.6 (how a connection ends after its last response).
//! Knows no byte.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use sansws_common::Scope;
use sansws_common::contain::contain;
use sansws_common::error::{Error, HandlerError};
use sansws_common::metrics::RequestKind;
use sansws_common::server::answer::{counted, encodable, failed, written_head};
use sansws_core::close::LossCause;
use sansws_core::error::SendError;
use sansws_core::handshake::AcceptOptions;
use sansws_core::internal::Framing;

use super::opening::{ConnectionPolicy, Next, Opening, StreamHost};
use super::peer::{Flushed, Stage};
use super::requests::answer;
use super::streamed::Streamed;
use super::{Loop, ROUNDS, Served};
use crate::message::Outgoing;

/// The result of a round.
enum Turn {
    /// Another round.
    Round,
    /// It waits for its socket or its deadline.
    Wait,
    /// Its socket is to be dropped.
    Over,
}

impl Loop {
    /// Lets the endpoint decide on a request, and begins the response.
    #[expect(clippy::too_many_arguments, reason = "one decision needs all of these")]
    pub(super) fn begin_stream(
        &mut self,
        slot: usize,
        opening: &mut Opening,
        served: &Rc<Served>,
        mut scope: Scope,
        StreamHost { host, format }: &StreamHost,
        policy: &ConnectionPolicy,
        framing: Framing,
    ) -> Next {
        let route = scope.pattern().cloned();
        let mut accept = AcceptOptions::default();
        let called = contain(|| host.call(|host| host.upgrade(&mut scope, &mut accept)));
        let called = called.map_err(HandlerError::from);
        let made = called.and_then(|called| called.unwrap_or_else(|| Err(Error::Panic.into())));
        let key = match made {
            Ok(key) => key,
            Err(error) => {
                let response = failed(&error, route.as_ref(), &served.handle);
                return answer(opening, served, response, framing, false);
            }
        };
        let response = format.head(&accept.fields);
        // Bytes behind the request are no further request: the connection ends with this response.
        let last = Framing {
            keep_alive: false,
            ..framing
        };
        let response = match encodable(response) {
            Ok(head) => counted(head, RequestKind::Page, &served.handle),
            Err(instead) => {
                let _ = contain(|| host.call(|host| host.forget(key)));
                return answer(opening, served, instead, last, false);
            }
        };
        let (bytes, has_body) = written_head(&response, last);
        let Some(peer) = self.peers.get_mut(slot).filter(|_| has_body) else {
            let _ = contain(|| host.call(|host| host.forget(key)));
            return opening.end_with(bytes, self.now, &served.options.config.timeouts);
        };
        let config = policy.config.as_ref().unwrap_or(&served.options.config);
        let streamed = Streamed::new(Arc::clone(config), *format, bytes);
        peer.stage = Stage::Streaming(Box::new(streamed));
        peer.flags.streamed = true;
        self.attach(slot, opening, (host.clone(), key), policy, &mut scope);
        Next::Open
    }

    pub(super) fn streaming_turn(&mut self, slot: usize) {
        for _ in 0..ROUNDS {
            match self.streaming_round(slot) {
                Turn::Round => {}
                Turn::Wait => return,
                Turn::Over => return self.remove(slot),
            }
        }
        self.flush(slot);
        self.come_again(slot);
    }

    /// Writes, then calls back or looks at the peer.
    fn streaming_round(&mut self, slot: usize) -> Turn {
        let flushed = self.flush(slot);
        let Some(peer) = self.peers.get_mut(slot) else {
            return Turn::Wait;
        };
        if flushed == Flushed::Done && std::mem::take(&mut peer.flags.owed) {
            self.drained(slot);
            return Turn::Round;
        }
        peer.leave_hub_if_over();
        let Stage::Streaming(streamed) = &mut peer.stage else {
            return Turn::Over;
        };
        if streamed.is_cut() {
            return Turn::Over;
        }
        if let Some(closed) = streamed.begin_last() {
            let called = self.call(slot, |host, at, within| host.closing(at, within, &closed));
            if let Err(error) = called.and_then(|done| done.unwrap_or(Ok(()))) {
                self.fail(slot, error);
            }
            if let Some(streamed) = self.streamed(slot) {
                streamed.end_body();
            }
            return Turn::Round;
        }
        if flushed == Flushed::Done
            && let Some(closed) = streamed.ended().cloned()
        {
            peer.ending().note_close(closed.code, closed.reason);
            self.tell_close(slot);
            // TCP may go on for a while.
            self.drop_tasks(slot);
            if self
                .peers
                .get(slot)
                .is_some_and(|peer| peer.publishing == 0)
            {
                self.close_channel(slot);
            }
            return self.shut_stream(slot);
        }
        self.look(slot)
    }

    /// Ends the writing side: a reset would destroy the end of the response.
    fn shut_stream(&mut self, slot: usize) -> Turn {
        let Some(peer) = self.peers.get_mut(slot) else {
            return Turn::Wait;
        };
        match peer.stream.shut_down() {
            // The end of TLS is output that is yet to be taken, and has a time for that.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Round,
            Err(_) => return Turn::Over,
            Ok(()) => {}
        }
        let Stage::Streaming(streamed) = &mut peer.stage else {
            return Turn::Over;
        };
        let until = self.now + streamed.config().timeouts.to_end();
        streamed.shut(until);
        Turn::Round
    }

    /// Reads what the peer sends meanwhile, which nobody needs, to notice that it leaves.
    fn look(&mut self, slot: usize) -> Turn {
        let Some(peer) = self.peers.get_mut(slot) else {
            return Turn::Wait;
        };
        let Stage::Streaming(streamed) = &mut peer.stage else {
            return Turn::Over;
        };
        if !peer.flags.readable {
            return Turn::Wait;
        }
        match peer.stream.read(&mut self.buffers.input) {
            Ok(arrived) if arrived.count > 0 => {
                if arrived.drained && !peer.flags.hung_up {
                    peer.flags.readable = false;
                }
                if streamed.ignore(arrived.count) {
                    return Turn::Round;
                }
                Turn::Over
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                peer.flags.readable = false;
                Turn::Wait
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Turn::Round,
            Ok(_) => {
                peer.ending().note_lost(LossCause::EndOfStream);
                Turn::Over
            }
            Err(error) => {
                peer.ending().note_failed(error);
                Turn::Over
            }
        }
    }

    pub(super) fn streamed(&mut self, slot: usize) -> Option<&mut Streamed> {
        match &mut self.peers.get_mut(slot)?.stage {
            Stage::Streaming(streamed) => Some(streamed),
            Stage::Opening(_) | Stage::Connecting(_) | Stage::Open(_) | Stage::Over => None,
        }
    }

    /// Puts a message into the output of a streamed response; `None`: it is none.
    pub(super) fn put_in_stream(
        &mut self,
        slot: usize,
        message: &Outgoing<'_>,
    ) -> Option<Result<(), SendError>> {
        let has_room = self.streamed(slot)?.has_room();
        // Much was sent in one turn: the socket may take it.
        if !has_room && self.peers.get(slot).is_some_and(|peer| !peer.flags.blocked) {
            self.flush(slot);
        }
        // The peer may have turned out to be gone.
        let put = self.streamed(slot).map(|streamed| {
            let (kind, bytes) = message.parts();
            streamed.put(kind, bytes)
        });
        self.touch(slot);
        Some(put.unwrap_or(Err(SendError::Closing)))
    }
}
