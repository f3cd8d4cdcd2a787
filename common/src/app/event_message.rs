//! Events, requests and replies as messages, and their JSON.
//! RFC 8259. Written out, because an application that derives nothing for serde then compiles none of its macros.
//! Knows no connection.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use sansws_core::message::Message;

const EVENT: &str = "event";
const ID: &str = "id";
const REPLY: &str = "reply";
const DATA: &str = "data";
const ERROR: &str = "error";

/// An event from the peer, as `next` of an adapter's `EventSocket` returns it.
///
/// ```
/// use sansws_common::app::ReceivedEvent;
///
/// /// Returns the reason for a refusal, if the event is unknown.
/// fn refusal(event: &ReceivedEvent) -> Option<String> {
///     match event.name() {
///         "moved" | "left" => None,
///         name if event.wants_reply() => Some(format!("no event {name}")),
///         name => {
///             println!("an unknown event: {name}");
///             None
///         }
///     }
/// }
/// # let _ = refusal;
/// ```
#[derive(Debug)]
pub struct ReceivedEvent {
    name: String,
    data: Option<Box<RawValue>>,
    pub(super) id: Option<u64>,
}

/// The peer refused a request.
///
/// ```
/// use sansws_common::app::RequestRefused;
///
/// /// Returns the position, unless the page refused to tell it.
/// fn position(reply: Result<(f64, f64), RequestRefused>) -> Option<(f64, f64)> {
///     match reply {
///         Ok(position) => Some(position),
///         Err(RequestRefused { reason }) => {
///             println!("the page did not tell its position: {reason}");
///             None
///         }
///     }
/// }
///
/// let refused = RequestRefused { reason: "hidden".into() };
/// assert_eq!(refused.to_string(), "the request was refused: hidden");
/// assert_eq!(position(Err(refused)), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRefused {
    /// Why, in the peer's words.
    pub reason: String,
}

impl fmt::Display for RequestRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request was refused: {}", self.reason)
    }
}

impl std::error::Error for RequestRefused {}

impl ReceivedEvent {
    /// Returns the number of bytes of its name and data.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.data.as_ref().map_or(0, |data| data.get().len())
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the peer waits for a reply.
    pub const fn wants_reply(&self) -> bool {
        self.id.is_some()
    }

    /// Returns the JSON of its data.
    #[doc(hidden)]
    pub fn json(&self) -> Message {
        json(self.data.as_deref())
    }
}

/// A message on its way to the peer.
pub(super) struct Sent<'a, V: ?Sized> {
    pub(super) event: Option<&'a str>,
    pub(super) id: Option<u64>,
    pub(super) reply: Option<u64>,
    pub(super) data: Option<&'a V>,
    pub(super) error: Option<&'a str>,
}

impl<V: Serialize + ?Sized> Serialize for Sent<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        put(&mut members, EVENT, self.event)?;
        put(&mut members, ID, self.id.as_ref())?;
        put(&mut members, REPLY, self.reply.as_ref())?;
        put(&mut members, DATA, self.data)?;
        put(&mut members, ERROR, self.error)?;
        members.end()
    }
}

/// Writes a member that is there.
fn put<M: SerializeMap, V: Serialize + ?Sized>(
    members: &mut M,
    name: &str,
    value: Option<&V>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| members.serialize_entry(name, value))
}

/// A message from the peer.
#[derive(Debug)]
pub enum EventMessage {
    /// An event, which may be a request.
    Event(ReceivedEvent),
    /// A reply to the request with this id: the JSON of its data.
    Reply(u64, Result<Message, RequestRefused>),
}

/// Returns the JSON of data, which may be missing.
fn json(data: Option<&RawValue>) -> Message {
    Message::Text(data.map_or("null", RawValue::get).into())
}

impl<'de> Deserialize<'de> for EventMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = EventMessage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that is an event or a reply")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<EventMessage, A::Error> {
        let mut event = Member(None);
        let mut id = Member(None);
        let mut reply = Member(None);
        let mut data = Member(None);
        let mut error = Member(None);
        while let Some(Name(name)) = members.next_key()? {
            match name {
                EVENT => event.take(name, &mut members)?,
                ID => id.take(name, &mut members)?,
                REPLY => reply.take(name, &mut members)?,
                DATA => data.take(name, &mut members)?,
                ERROR => error.take(name, &mut members)?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        let (id, data) = (id.value(), data.value());
        match (event.value(), reply.value(), error.value()) {
            (Some(name), None, None) => Ok(EventMessage::Event(ReceivedEvent { name, data, id })),
            (None, Some(reply), None) => Ok(EventMessage::Reply(reply, Ok(json(data.as_deref())))),
            (None, Some(reply), Some(reason)) => {
                Ok(EventMessage::Reply(reply, Err(RequestRefused { reason })))
            }
            _ => Err(A::Error::custom("it is neither an event nor a reply")),
        }
    }
}

/// A member that may be missing or null, and is there once at most.
struct Member<V>(Option<Option<V>>);

impl<'de, V: Deserialize<'de>> Member<V> {
    fn take<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        members: &mut A,
    ) -> Result<(), A::Error> {
        match self.0.replace(members.next_value()?) {
            None => Ok(()),
            Some(_) => Err(A::Error::duplicate_field(name)),
        }
    }

    fn value(self) -> Option<V> {
        self.0.flatten()
    }
}

/// The name of a member; empty where it is none of ours.
struct Name(&'static str);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(Names)
    }
}

struct Names;

impl Visitor<'_> for Names {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, text: &str) -> Result<Name, E> {
        let ours = [EVENT, ID, REPLY, DATA, ERROR];
        Ok(Name(
            ours.into_iter()
                .find(|name| *name == text)
                .unwrap_or_default(),
        ))
    }
}
