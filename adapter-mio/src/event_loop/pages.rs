//! Pages whose answers take time: the future of a page is polled on the loop, and its connection waits for it.
//! Knows no byte.

use sansws_common::Scope;
use sansws_common::contain::contain;
use sansws_common::error::{HandlerError, Result};
use sansws_common::server::answer::failed;
use sansws_core::http::Response;
use sansws_core::internal::{Framing, MAX_MEANWHILE};

use super::opening::{Answering, DeferredPage, Next, Opening, Phase};
use super::peer::Stage;
use super::requests::answer;
use super::{Loop, Served};
use crate::id::ConnectionId;

impl Loop {
    /// Has a page work on its answer.
    pub(super) fn defer(
        &mut self,
        slot: usize,
        opening: &mut Opening,
        served: &Served,
        page: &DeferredPage,
        scope: Scope,
        framing: Framing,
    ) -> Next {
        let route = scope.pattern().cloned();
        let working = match (contain(|| page(scope)), self.id(slot)) {
            (Ok(working), Some(id)) => Ok((working, id)),
            (Err(panic), _) => Err(panic),
            (Ok(_), None) => return Next::Over,
        };
        match working {
            Ok((working, id)) => {
                opening.phase = Phase::Answering(Box::new(Answering {
                    framing,
                    route,
                    answer: None,
                }));
                self.work_for(id, working, move |within, answer| {
                    within.take_answer(id, answer.map_err(Into::into).and_then(|answer| answer));
                });
                Next::Wait
            }
            Err(panic) => {
                let response = failed(&panic.into(), route.as_ref(), &served.handle);
                answer(opening, served, response, framing, false)
            }
        }
    }

    /// Takes the answer of a page to its connection, unless that waits no more.
    fn take_answer(&mut self, id: ConnectionId, answer: Result<Response, HandlerError>) {
        let Some(slot) = self.slot(id) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(slot)
            && let Stage::Opening(opening) = &mut peer.stage
            && let Phase::Answering(answering) = &mut opening.phase
        {
            answering.answer = Some(answer);
            self.touch(slot);
        }
    }

    /// Answers once the page has. If the client leaves before, the page is dropped.
    pub(super) fn answer_deferred(
        &mut self,
        slot: usize,
        opening: &mut Opening,
        served: &Served,
    ) -> Next {
        let Phase::Answering(answering) = &mut opening.phase else {
            return Next::Step;
        };
        let Some(answered) = answering.answer.take() else {
            // Beyond that, its end is not seen.
            if opening.input.len() >= MAX_MEANWHILE {
                return Next::Wait;
            }
            return self.fill_or_end(slot, opening, served);
        };
        let (framing, route) = (answering.framing, answering.route.take());
        let response =
            answered.unwrap_or_else(|error| failed(&error, route.as_ref(), &served.handle));
        answer(opening, served, response, framing, false)
    }
}
