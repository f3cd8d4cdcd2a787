//! Named events and requests with replies, as far as they do not wait: ids, limits, and what each message means.
//! `event_message` has the format.
//! Knows no connection: texts come out, messages go in.

use std::collections::VecDeque;

use sansws_core::close::{CloseCode, Closed};
use sansws_core::message::Message;
use serde::Serialize;

use super::event_message::{EventMessage, ReceivedEvent, RequestRefused, Sent};
use crate::error::{Error, Result};
use crate::socket::ending::vanished;

/// Maximum number of events that wait while a request waits for its reply.
const MOST: usize = 256;

/// Maximum number of bytes of their names and data.
const MOST_BYTES: usize = 1 << 20;

/// The part of an adapter's `EventSocket` that is the same on all of them.
#[derive(Debug)]
pub struct EventProtocol {
    /// The id of the last request.
    last: u64,
    /// Events that arrived while a request waited.
    waiting: VecDeque<ReceivedEvent>,
}

impl EventProtocol {
    /// Creates the state of a connection on which nothing was said.
    #[expect(
        clippy::new_without_default,
        reason = "it is made with its connection only"
    )]
    pub const fn new() -> Self {
        Self {
            last: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Returns the text of an event.
    ///
    /// # Errors
    /// [`Error::Json`] when the data cannot be serialized.
    pub fn event<V: Serialize + ?Sized>(name: &str, data: &V) -> Result<String, Error> {
        Ok(serde_json::to_string(&Sent {
            event: Some(name),
            id: None,
            reply: None,
            data: Some(data),
            error: None,
        })?)
    }

    /// Returns the id and the text of a new request.
    ///
    /// # Errors
    /// [`Error::Json`] when the data cannot be serialized.
    pub fn request<V: Serialize + ?Sized>(
        &mut self,
        name: &str,
        data: &V,
    ) -> Result<(u64, String), Error> {
        self.last += 1;
        let text = serde_json::to_string(&Sent {
            event: Some(name),
            id: Some(self.last),
            reply: None,
            data: Some(data),
            error: None,
        })?;
        Ok((self.last, text))
    }

    /// Returns the text of the reply to an event, or of its refusal; `None` if the peer does not wait for one.
    ///
    /// # Errors
    /// [`Error::Json`] when the data cannot be serialized.
    pub fn answer<V: Serialize + ?Sized>(
        event: &ReceivedEvent,
        answer: Result<&V, &str>,
    ) -> Result<Option<String>, Error> {
        if event.id.is_none() {
            return Ok(None);
        }
        Ok(Some(serde_json::to_string(&Sent {
            event: None,
            id: None,
            reply: event.id,
            data: answer.ok(),
            error: answer.err(),
        })?))
    }

    /// Takes the first of the events that arrived while a request waited.
    pub fn take_kept(&mut self) -> Option<ReceivedEvent> {
        self.waiting.pop_front()
    }

    /// Takes a message that arrived while the request `id` waits. Returns its reply, if it is that: the JSON of its data, or the refusal. An
    /// event is kept for [`take_kept`](Self::take_kept), and replies to requests that were given up are ignored.
    ///
    /// # Errors
    /// A Close with 1008 when too many events are kept.
    pub fn receive(
        &mut self,
        id: u64,
        message: EventMessage,
    ) -> Result<Option<Result<Message, RequestRefused>>> {
        match message {
            EventMessage::Reply(of, reply) if of == id => Ok(Some(reply)),
            EventMessage::Reply(..) => Ok(None),
            EventMessage::Event(event) if !self.has_room(&event) => {
                let why = "too many events before a reply";
                Err(Error::close(CloseCode::POLICY, why))
            }
            EventMessage::Event(event) => {
                self.waiting.push_back(event);
                Ok(None)
            }
        }
    }

    /// Returns the error of a request whose connection ended so before the reply. None can come, however normal the end is: a handler that
    /// meets it has not failed.
    pub fn unanswered(closed: Option<Closed>) -> Error {
        Error::Disconnect(closed.unwrap_or_else(vanished).into())
    }

    /// Returns whether an event may wait behind the others.
    fn has_room(&self, event: &ReceivedEvent) -> bool {
        let bytes: usize = self.waiting.iter().map(ReceivedEvent::bytes).sum();
        self.waiting.len() < MOST && bytes + event.bytes() <= MOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> EventMessage {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_request_gets_its_own_reply_and_no_other() {
        let mut protocol = EventProtocol::new();
        let (first, _) = protocol.request("slow", &()).unwrap();
        // It was given up.
        let (second, text) = protocol.request("name", &1).unwrap();
        assert_eq!(text, r#"{"event":"name","id":2,"data":1}"#);
        for late in [
            format!(r#"{{"reply":{first},"data":"late"}}"#),
            r#"{"event":"moved"}"#.into(),
            r#"{"reply":3,"data":"early"}"#.into(),
        ] {
            let received = protocol.receive(second, message(&late)).unwrap();
            assert!(received.is_none(), "{late}");
        }
        let reply = protocol.receive(second, message(r#"{"reply":2,"data":"Ada"}"#));
        assert_eq!(reply.unwrap(), Some(Ok(Message::Text(r#""Ada""#.into()))));
        let reply = protocol.receive(second, message(r#"{"reply":2}"#));
        assert_eq!(reply.unwrap(), Some(Ok(Message::Text("null".into()))));
        let refused = RequestRefused {
            reason: "no".into(),
        };
        let reply = protocol.receive(second, message(r#"{"reply":2,"error":"no"}"#));
        assert_eq!(reply.unwrap(), Some(Err(refused)));
        assert_eq!(protocol.take_kept().unwrap().name(), "moved");
        assert!(protocol.take_kept().is_none());
    }

    #[test]
    fn so_many_events_are_kept_and_no_more() {
        let mut protocol = EventProtocol::new();
        let (id, _) = protocol.request("name", &()).unwrap();
        for _ in 0..MOST {
            let received = protocol.receive(id, message(r#"{"event":"e"}"#));
            assert!(received.unwrap().is_none());
        }
        let error = protocol.receive(id, message(r#"{"event":"e"}"#));
        let error = Error::from(error.unwrap_err());
        assert!(matches!(&error, Error::Close(close) if close.0 == CloseCode::POLICY));
        // Few, but long: the name counts.
        let mut protocol = EventProtocol::new();
        let data = "x".repeat(MOST_BYTES - "name".len() - r#""""#.len());
        let event = |rest: &str| message(&format!(r#"{{"event":"name","data":"{data}{rest}"}}"#));
        assert!(protocol.receive(1, event("x")).is_err());
        assert!(protocol.receive(1, event("")).unwrap().is_none());
        assert!(protocol.receive(1, message(r#"{"event":"e"}"#)).is_err());
    }
}
