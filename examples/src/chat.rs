//! Chat rooms: who is in which, what was said, and a mailbox for each member.
//!
//! Everything that grows has a bound: rooms, members, names, texts, history, and what waits for a member. Whoever does not take
//! what others say is shown out with 1013; nobody waits for him. What is sent to a room is framed once, for all.
//!
//! Text messages of JSON. To the client: `welcome` (first), `joined`, `left`, `said`, `error`; from it: `say`. A `kind` tells
//! them apart.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender, bounded};
use futures_lite::future::{or, yield_now};
use sansws_core::close::CloseCode;
use sansws_core::config::{Config, Limits};
use sansws_core::drive::{Error, Policy, ReadHalf, Result, Transport, Upgrade, WriteHalf};
use sansws_core::message::Prepared;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Meter, milliseconds};

/// Most rooms.
const ROOMS: usize = 100;
/// Most members of a room.
const MEMBERS: usize = 100;
/// Lines of history in a room.
const HISTORY: usize = 50;
/// Lines that wait for a member.
const MAILBOX: usize = 64;
/// Most characters in the name of a room.
const ROOM: usize = 32;
/// Most characters in the name of a person.
const NAME: usize = 24;
/// Most characters in a text.
const TEXT: usize = 2000;

/// What holds for connections to a room: short messages, and not many that wait.
pub fn policy() -> Policy {
    Policy::default().config(Config {
        limits: Limits {
            message: 32 << 10,
            write_queue: 64 << 10,
            ..Limits::default()
        },
        ..Config::default()
    })
}

/// The handler: the path's `{room}` is entered as the query's `name`.
pub async fn member<T: Transport + Send + 'static>(upgrade: Upgrade<T>) -> Result {
    let rooms: Arc<Rooms> = upgrade.state()?;
    let room: String = upgrade.param("room")?;
    let name = upgrade.query_value("name").unwrap_or_default().into_owned();
    let socket = upgrade.accept().await?;
    // Accepted before it is judged: a page never sees the status of a refusal, but it sees a close code and its reason.
    let seat = rooms.enter(&room, name.trim())?;
    let (read, write) = socket.split();
    or(seat.shown_out(), or(seat.hear(read), seat.tell(write))).await
}

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Request {
    Say { text: String },
}

/// All rooms. A room without members keeps its history until its place is needed.
#[derive(Debug, Default)]
pub struct Rooms {
    all: Mutex<All>,
    meter: Arc<Meter>,
}

#[derive(Debug, Default)]
struct All {
    rooms: BTreeMap<String, Room>,
    /// Numbers members, and the moments at which rooms were left.
    count: u64,
}

#[derive(Debug, Default)]
struct Room {
    members: Vec<Member>,
    history: VecDeque<Said>,
    /// When the last member left.
    left: u64,
}

#[derive(Debug)]
struct Member {
    id: u64,
    name: String,
    mailbox: Sender<Prepared>,
    /// Dropped with the member: his handler sees it at once, whatever waits in his mailbox.
    _here: Sender<Infallible>,
}

/// A line of history.
#[derive(Clone, Debug, Serialize)]
struct Said {
    from: String,
    text: String,
    at: u64,
}

impl Rooms {
    /// Rooms whose messages `meter` counts.
    pub fn new(meter: Arc<Meter>) -> Self {
        Self {
            meter,
            ..Self::default()
        }
    }

    /// Enters a room; the seat is left when it is dropped. Who has a name that is taken gets a number behind it.
    ///
    /// # Errors
    /// The close code and reason for a bad name, a bad room, or no place.
    fn enter(self: Arc<Self>, room: &str, name: &str) -> Result<Seat> {
        let is_fine = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if room.is_empty() || room.chars().count() > ROOM || !room.chars().all(is_fine) {
            return Err(refused("a room is 1 to 32 letters, digits, _ or -"));
        }
        if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
            return Err(refused("a name is 1 to 24 characters"));
        }
        let (mailbox, lines) = bounded(MAILBOX);
        let (here, gone) = bounded(1);
        let mut all = self.all();
        all.count += 1;
        let id = all.count;
        let place = all.place(room).ok_or_else(|| busy("too many rooms"))?;
        if place.members.len() >= MEMBERS {
            return Err(busy("the room is full"));
        }
        let name = place.free(name);
        place.members.push(Member {
            id,
            name: name.clone(),
            mailbox,
            _here: here,
        });
        let (people, history) = (place.people(), &place.history);
        // First in his mailbox, since nobody else may say anything before the lock is open.
        let welcome = json!({"kind": "welcome", "name": name, "room": room, "people": people, "history": history});
        place.tell(id, &welcome);
        let joined = json!({"kind": "joined", "name": name, "people": people});
        place.tell_all(joined, Some(id));
        drop(all);
        Ok(Seat {
            rooms: self,
            room: room.into(),
            name,
            id,
            lines,
            gone,
        })
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(why: &str) -> Error {
    Error::close(CloseCode::POLICY, why)
}

fn busy(why: &str) -> Error {
    Error::close(CloseCode::AGAIN, why)
}

impl All {
    /// The room, made if need be; then the room that was left longest ago gives way.
    fn place(&mut self, name: &str) -> Option<&mut Room> {
        if !self.rooms.contains_key(name) && self.rooms.len() >= ROOMS {
            let empty = |(_, room): &(&String, &Room)| room.members.is_empty();
            let oldest = self.rooms.iter().filter(empty);
            let oldest = oldest.min_by_key(|(_, room)| room.left)?.0.clone();
            self.rooms.remove(&oldest);
        }
        Some(self.rooms.entry(name.into()).or_default())
    }
}

impl Room {
    fn people(&self) -> Value {
        self.members.iter().map(|member| &*member.name).collect()
    }

    /// `name`, or `name-2` and so on when it is taken.
    fn free(&self, name: &str) -> String {
        let is_free = |name: &String| self.members.iter().all(|member| member.name != *name);
        let numbered = (2..).map(|number| {
            let tail = format!("-{number}");
            let head: String = name.chars().take(NAME - tail.len()).collect();
            head + &tail
        });
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(is_free).unwrap_or_default()
    }

    /// Says something in the name of a member.
    fn say(&mut self, from: &str, text: String) {
        // Never the same time twice: so that author and time tell one line from another.
        let last = self.history.back().map_or(0, |said| said.at);
        let said = Said {
            from: from.into(),
            text,
            at: milliseconds().max(last + 1),
        };
        let Said { from, text, at } = &said;
        self.tell_all(
            json!({"kind": "said", "from": from, "text": text, "at": at}),
            None,
        );
        self.history.push_back(said);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// Puts a line into one mailbox; whether there was room for it.
    fn tell(&self, id: u64, line: &Value) -> bool {
        let member = self.members.iter().find(|member| member.id == id);
        let line = Prepared::new(line.to_string().as_str());
        member.is_some_and(|member| member.mailbox.try_send(line).is_ok())
    }

    /// Puts a line into all mailboxes. Members without room for it are shown out, which is told to the others in turn.
    fn tell_all(&mut self, line: Value, except: Option<u64>) {
        let mut lines = VecDeque::from([line]);
        while let Some(line) = lines.pop_front() {
            let line = Prepared::new(line.to_string().as_str());
            let is_late = |member: &mut Member| {
                Some(member.id) != except && member.mailbox.try_send(line.clone()).is_err()
            };
            let late: Vec<Member> = self.members.extract_if(.., is_late).collect();
            lines.extend(late.iter().map(|member| self.left(&member.name)));
        }
    }

    fn left(&self, name: &str) -> Value {
        json!({"kind": "left", "name": name, "people": self.people()})
    }
}

/// A place in a room.
struct Seat {
    rooms: Arc<Rooms>,
    room: String,
    name: String,
    id: u64,
    lines: Receiver<Prepared>,
    gone: Receiver<Infallible>,
}

impl Seat {
    /// Takes what the member says.
    async fn hear<T: Transport>(&self, mut read: ReadHalf<T>) -> Result {
        while let Some(text) = read.receive_text().await? {
            self.rooms.meter.count(text.len());
            // What is not JSON closes with 1007.
            let value: Value = serde_json::from_str(&text)?;
            match serde_json::from_value(value) {
                Ok(Request::Say { text }) => self.say(text),
                Err(_) => self.answer("only `say`, with a `text`"),
            }
            // Who says much at once gives the others the time to take it.
            yield_now().await;
        }
        Ok(())
    }

    /// Says to the member what the room says.
    async fn tell<T: Transport>(&self, mut write: WriteHalf<T>) -> Result {
        while let Ok(line) = self.lines.recv().await {
            write.send_prepared(&line).await?;
            self.rooms.meter.count(line.payload().len());
        }
        Err(busy("too slow"))
    }

    /// Waits until the room has shown the member out.
    async fn shown_out(&self) -> Result {
        let _ = self.gone.recv().await;
        Err(busy("too slow"))
    }

    fn say(&self, text: String) {
        let length = text.chars().count();
        if length > TEXT || text.trim().is_empty() {
            return self.answer("a text is 1 to 2000 characters");
        }
        if let Some(room) = self.rooms.all().rooms.get_mut(&self.room) {
            room.say(&self.name, text);
        }
    }

    /// Says to the member alone what was wrong.
    fn answer(&self, text: &str) {
        if let Some(room) = self.rooms.all().rooms.get_mut(&self.room) {
            room.tell(self.id, &json!({"kind": "error", "text": text}));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.rooms.all();
        all.count += 1;
        let now = all.count;
        let Some(room) = all.rooms.get_mut(&self.room) else {
            return;
        };
        let place = room.members.iter().position(|member| member.id == self.id);
        if let Some(place) = place {
            let member = room.members.remove(place);
            let left = room.left(&member.name);
            room.tell_all(left, None);
        }
        room.left = now;
    }
}
