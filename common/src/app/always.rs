//! Pages that are served always, and the answers to connections that are not admitted.
//! RFC 9110 section 15.6.4 (503).
//! Knows no byte: an adapter reads the request, if there may be such a page, and writes the answer.

use sansws_core::handshake::Refusal;
use sansws_core::http::{RequestHead, Response};
use sansws_core::internal::Framing;
use sansws_core::time::Instant;

use super::page::Page;
use super::service::{App, Decision};
use crate::contain::contain;
use crate::metrics::RequestKind;
use crate::server::answer::{counted, failed, judge};
use crate::server::connect_info::ConnectInfo;
use crate::server::handle::ServerHandle;
use crate::server::options::ServerOptions;
use crate::server::scope::{Head, Scope};

/// Returns the answer of a page. A panic is a failure of the application.
#[doc(hidden)]
pub fn answer_of(page: &Page, scope: Scope, handle: &ServerHandle) -> Response {
    let route = scope.pattern().cloned();
    let answered = contain(|| page(scope)).map_err(Into::into);
    answered
        .and_then(|answer| answer)
        .unwrap_or_else(|error| failed(&error, route.as_ref(), handle))
}

impl<H: Clone, B: Clone> App<H, B> {
    /// Returns the answer to a connection that is not admitted, and counts it: 503, or that of a page that is served always. The head of its
    /// request need be read only if the application [has](Self::has_always) such a page.
    #[doc(hidden)]
    pub fn refuse(
        &self,
        head: Option<RequestHead>,
        options: &ServerOptions<B>,
        arrival: &ConnectInfo,
        now: Instant,
        handle: &ServerHandle,
    ) -> (Response, Framing) {
        let head = head.filter(|head| self.is_always(head));
        let head = head.and_then(|head| judge(head, self.is_plain()).ok());
        if let Some(head) = head {
            let framing = Framing {
                head: matches!(&head, Head::Plain(head) if head.method == "HEAD"),
                ..Framing::default()
            };
            let mut scope = options.scope(head, arrival, now);
            let response = match self.decide(&mut scope) {
                Decision::Answer(response) => Some(response),
                // A refused connection gets only a short time.
                Decision::Page(..) if scope.has_body() => None,
                Decision::Page(page, _) => Some(answer_of(&page, scope, handle)),
                Decision::Failed(error, route) => Some(failed(&error, route.as_ref(), handle)),
                Decision::Handle(..) => None,
            };
            if let Some(response) = response {
                return (counted(response, RequestKind::Page, handle), framing);
            }
        }
        handle.counters().turned_away(handle.why_away());
        (Refusal::Busy.response(), Framing::default())
    }
}
