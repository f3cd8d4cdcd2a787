//! Requests as Redis commands, and Redis's answers as replies.
//! The scripts are in `scripts/`. They need Redis 6.2 (`XTRIM MINID`), or 7.0 with `Sharded` (`SPUBLISH`).
//! Knows no connection.

use core::num::TryFromIntError;

use redis::{Cmd, Value, cmd};
use sansws_core::hub::{HistoryOptions, NodeId, Position, Present};
use sansws_core::time::{Duration, Instant};

use crate::call::{Arguments, Call, Expect, Known};
use crate::keys::{Keys, parse_seat, seat_name};
use crate::name::Name;
use crate::request::{Channel, Entry, GIVEN_UP, Mark, Reply, Request};
use crate::wire::Messages;

/// How long an empty group without publications is remembered, in milliseconds: a day.
const LIFE: u64 = 24 * 3600 * 1000;

macro_rules! script {
    ($name:literal) => {
        concat!(
            include_str!("scripts/common.lua"),
            include_str!(concat!("scripts/", $name, ".lua"))
        )
    };
}

/// The scripts, and the names of keys.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    keys: Keys,
    sharded: bool,
    position: Known,
    publish: Known,
    read: Known,
    remove: Known,
    presence: Known,
    present: Known,
    registry: Known,
}

impl Scripts {
    pub(crate) fn new(keys: Keys, sharded: bool) -> Self {
        Self {
            keys,
            sharded,
            position: Known::new(script!("position")),
            publish: Known::new(script!("publish")),
            read: Known::new(script!("read")),
            remove: Known::new(script!("remove")),
            presence: Known::new(script!("presence")),
            present: Known::new(script!("present")),
            registry: Known::new(script!("registry")),
        }
    }

    pub(crate) const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the code of all scripts, to be loaded in advance.
    pub(crate) fn codes(&self) -> [&'static str; 7] {
        let all = [
            &self.position,
            &self.publish,
            &self.read,
            &self.remove,
            &self.presence,
            &self.present,
            &self.registry,
        ];
        all.map(|known| known.code)
    }

    /// Returns what a connection must be allowed: to subscribe, and the commands of the script, which returns those that are forbidden.
    pub(crate) fn rights(&self) -> (Vec<(&'static str, Cmd)>, Cmd) {
        let rights = self.keys.rights();
        let (words, publish): (&[&'static str], _) = if self.sharded {
            let words = &["SUBSCRIBE", "UNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"];
            (words, "SPUBLISH")
        } else {
            (&["SUBSCRIBE", "UNSUBSCRIBE"], "PUBLISH")
        };
        let words = words
            .iter()
            .map(|word| (*word, cmd(word).arg(&rights).take()));
        let mut script = cmd("EVAL");
        script
            .arg(include_str!("scripts/rights.lua"))
            .arg(1)
            .arg(&rights)
            .arg(&rights)
            .arg(publish);
        (words.collect(), script)
    }

    /// Returns a channel of each kind, with the commands that try it.
    pub(crate) fn channels(&self) -> [(String, [Cmd; 2]); 5] {
        let channels = [
            Channel::Group("rights".into()),
            Channel::Node(NodeId(0)),
            Channel::Watch,
            Channel::Control,
            Channel::Presence,
        ];
        channels.map(|channel| {
            let name = self.keys.channel(&channel);
            let commands = ["SUBSCRIBE", "UNSUBSCRIBE"].map(|word| cmd(word).arg(&name).take());
            (name, commands)
        })
    }

    /// Whether messages of a channel stay on one shard.
    const fn is_sharded(&self, channel: &Channel) -> bool {
        self.sharded && matches!(channel, Channel::Group(_) | Channel::Node(_))
    }

    const fn publish_word(&self, channel: &Channel) -> &'static str {
        if self.is_sharded(channel) {
            "SPUBLISH"
        } else {
            "PUBLISH"
        }
    }

    /// Returns the command for a request.
    pub(crate) fn call(&self, request: Request) -> Call {
        let keys = &self.keys;
        match request {
            Request::Subscribe(channel) => {
                let word = if self.is_sharded(&channel) {
                    "SSUBSCRIBE"
                } else {
                    "SUBSCRIBE"
                };
                Call::plain(cmd(word).arg(keys.channel(&channel)).take())
            }
            Request::Unsubscribe(channel) => {
                let word = if self.is_sharded(&channel) {
                    "SUNSUBSCRIBE"
                } else {
                    "UNSUBSCRIBE"
                };
                Call::plain(cmd(word).arg(keys.channel(&channel)).take())
            }
            Request::Send { channel, payload } => {
                let word = self.publish_word(&channel);
                Call::plain(cmd(word).arg(keys.channel(&channel)).arg(payload).take())
            }
            Request::Position {
                group,
                ours,
                first,
                fresh,
            } => {
                let mut arguments = Arguments::new([keys.meta(&group), keys.stream(&group)])
                    .epoch(fresh)
                    .number(LIFE)
                    .flag(first);
                if let Some(Mark { position, time }) = ours {
                    arguments = arguments
                        .epoch(position.epoch)
                        .number(position.offset)
                        .number(time);
                }
                arguments.call(&self.position, Expect::Position)
            }
            Request::Publish {
                group,
                messages,
                saved,
                id,
                keep,
                watched,
                fresh,
            } => {
                let numbers = if saved { messages.count() } else { 0 };
                self.publish(&group, id, keep, watched, fresh)
                    .number(numbers as u64)
                    .with(messages.into_bytes())
                    .call(&self.publish, Expect::Published)
            }
            Request::Read {
                group,
                since,
                keep,
                fresh,
            } => Arguments::new([keys.meta(&group), keys.stream(&group)])
                .number(keep.map_or(0, |keep| keep.recovery as u64))
                .number(age(keep))
                .number(most(keep))
                .epoch(fresh)
                .number(life(keep))
                .epoch(since.epoch)
                .number(since.offset)
                .call(&self.read, Expect::Kept),
            Request::History { group, limit, keep } => {
                Arguments::new([keys.meta(&group), keys.stream(&group)])
                    .number(limit.min(i32::MAX as usize) as u64)
                    .number(age(keep))
                    .number(most(keep))
                    .call(&self.read, Expect::Kept)
            }
            Request::RemoveHistory(group) => {
                Arguments::new([keys.meta(&group), keys.stream(&group)])
                    .call(&self.remove, Expect::Done)
            }
            Request::Presence { group, members } => {
                Arguments::new([keys.meta(&group), keys.users(&group)])
                    .flag(members)
                    .call(&self.present, Expect::Presence)
            }
            Request::Enter {
                group,
                incarnation,
                users,
                fresh,
            } => {
                let mut arguments = self.presence(&group, incarnation, "enter", fresh);
                for Present {
                    user,
                    metadata,
                    said,
                } in users
                {
                    let metadata = metadata.map_or_else(|| "0".into(), |text| format!("1{text}"));
                    arguments = arguments
                        .with(user.as_bytes())
                        .number(said.as_micros())
                        .with(metadata);
                }
                arguments.call(&self.presence, Expect::Incarnation)
            }
            Request::Exit {
                group,
                incarnation,
                users,
                fresh,
            } => {
                let what = if users.is_some() { "exit" } else { "clear" };
                let mut arguments = self.presence(&group, incarnation, what, fresh);
                if users.is_none() {
                    arguments = arguments.number(micros(GIVEN_UP) / 1_000);
                }
                for user in users.into_iter().flatten() {
                    arguments = arguments.with(user.as_bytes());
                }
                arguments.call(&self.presence, Expect::Done)
            }
            Request::Register {
                incarnation,
                groups,
                lease,
            } => self.registry(
                "register",
                incarnation,
                micros(lease),
                &groups,
                Expect::Incarnation,
            ),
            Request::Unregister {
                incarnation,
                groups,
                whole,
            } => {
                let what = if whole { "clear" } else { "unregister" };
                self.registry(what, incarnation, micros(GIVEN_UP), &groups, Expect::Done)
            }
            Request::Groups(incarnation) => {
                self.registry("groups", incarnation, 0, &[], Expect::Groups)
            }
            Request::Beat {
                incarnation,
                watching,
                lease,
            } => {
                let watching = Name::from(if watching { "1" } else { "0" });
                self.registry(
                    "beat",
                    incarnation,
                    micros(lease),
                    &[watching],
                    Expect::Beat,
                )
            }
        }
    }

    fn publish(
        &self,
        group: &Name,
        id: Option<Name>,
        keep: Option<HistoryOptions>,
        watched: bool,
        fresh: u64,
    ) -> Arguments {
        let keys = &self.keys;
        let channel = Channel::Group(Name::clone(group));
        let mut arguments = Arguments::new([keys.meta(group), keys.stream(group)]);
        if let Some(id) = id {
            arguments.keys.push(keys.id(group, &id));
        }
        let watch = if watched {
            keys.channel(&Channel::Watch)
        } else {
            String::new()
        };
        arguments
            .epoch(fresh)
            .with(keys.channel(&channel))
            .with(self.publish_word(&channel))
            .with(watch)
            .with(group.as_bytes())
            .number(life(keep))
            .number(most(keep))
            .number(keep.map_or(0, |keep| keep.bytes as u64))
            .number(age(keep))
    }

    fn presence(
        &self,
        group: &Name,
        incarnation: crate::request::Incarnation,
        what: &str,
        fresh: u64,
    ) -> Arguments {
        let keys = &self.keys;
        let channel = Channel::Group(Name::clone(group));
        Arguments::new([
            keys.meta(group),
            keys.users(group),
            keys.present(group, incarnation),
        ])
        .with(what)
        .number(LIFE)
        .with(keys.channel(&channel))
        .with(self.publish_word(&channel))
        .with(keys.channel(&Channel::Presence))
        .with(group.as_bytes())
        .epoch(fresh)
    }

    fn registry(
        &self,
        what: &str,
        incarnation: crate::request::Incarnation,
        lease: u64,
        rest: &[Name],
        expect: Expect,
    ) -> Call {
        let keys = &self.keys;
        let mut arguments = Arguments::new([
            keys.incarnations(),
            keys.dead(),
            keys.watchers(),
            keys.places(incarnation),
            keys.given_up(),
        ])
        .with(what)
        .with(seat_name(incarnation))
        .number(lease);
        for argument in rest {
            arguments = arguments.with(argument.as_bytes());
        }
        arguments.call(&self.registry, expect)
    }
}

/// The longest time in milliseconds: an expiry after it is still a number of Redis.
const LONGEST: u64 = u64::MAX >> 22;

fn micros(duration: Duration) -> u64 {
    bounded(duration.as_micros(), LONGEST << 10)
}

fn bounded(time: u128, most: u64) -> u64 {
    u64::try_from(time).map_or(most, |time| time.min(most))
}

/// The maximum age of kept messages, in milliseconds; 0 keeps nothing.
fn age(keep: Option<HistoryOptions>) -> u64 {
    keep.map_or(0, |keep| bounded(keep.age.as_millis(), LONGEST).max(1))
}

/// Maximum number of messages that are kept.
fn most(keep: Option<HistoryOptions>) -> u64 {
    keep.map_or(0, |keep| keep.messages.max(1) as u64)
}

/// How long a group is remembered, in milliseconds: longer than its history.
fn life(keep: Option<HistoryOptions>) -> u64 {
    LIFE.max(age(keep).saturating_mul(2))
}

/// Redis's answer does not match the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unexpected;

impl From<TryFromIntError> for Unexpected {
    fn from(_: TryFromIntError) -> Self {
        Self
    }
}

/// Parses a reply.
pub(crate) fn reply(expect: Expect, value: Value) -> Result<Reply, Unexpected> {
    match expect {
        Expect::Done => return Ok(Reply::Done),
        Expect::Incarnation if number(&value)? == 0 => return Ok(Reply::GivenUp),
        Expect::Incarnation => return Ok(Reply::Done),
        _ => {}
    }
    let mut values = Values(list(value)?.into_iter());
    Ok(match expect {
        Expect::Done | Expect::Incarnation => Reply::Done,
        Expect::Position => Reply::Position {
            mark: Mark {
                position: values.position()?,
                time: values.number()?,
            },
            newest: values.number()?,
        },
        Expect::Published => {
            let position = values.position()?;
            match values.0.next() {
                Some(time) => Reply::Published {
                    before: position,
                    time: number(&time)?,
                },
                None => Reply::Again(position),
            }
        }
        Expect::Kept if values.0.len() == 0 => Reply::Kept {
            position: None,
            floor: 0,
            entries: Vec::new(),
        },
        Expect::Kept => {
            let position = Some(values.position()?);
            let (floor, from) = (values.number()?, values.number()?);
            let mut entries = Vec::new();
            for entry in list(values.next()?)? {
                let mut entry = Values(list(entry)?.into_iter());
                let (last, time) = (entry.number()?, entry.number()?);
                let count = entry.number()?;
                let messages = bytes(entry.next()?)?;
                let messages = Messages::of(messages, usize::try_from(count)?);
                let mut offset = last.checked_sub(count).ok_or(Unexpected)?;
                for message in messages.iter() {
                    offset += 1;
                    if offset > from {
                        let message = message.map_err(|_| Unexpected)?.to_vec();
                        entries.push(Entry {
                            offset,
                            time,
                            message,
                        });
                    }
                }
            }
            Reply::Kept {
                position,
                floor,
                entries,
            }
        }
        Expect::Presence => {
            let epoch = values.epoch()?;
            let (version, count) = (values.number()?, values.number()?);
            let mut members = Vec::new();
            let mut all = Values(list(values.next()?)?.into_iter());
            while let Some(user) = all.0.next() {
                let value = text(all.next()?)?;
                let (_, said) = value.split_once(':').ok_or(Unexpected)?;
                let (said, metadata) = said.split_once(':').ok_or(Unexpected)?;
                members.push(Present {
                    user: text(user)?.into(),
                    metadata: metadata.strip_prefix('1').map(Into::into),
                    said: Instant::from_micros(said.parse().map_err(|_| Unexpected)?),
                });
            }
            // As a broker in memory reports it.
            members.sort_by(|one, other| one.user.cmp(&other.user));
            Reply::Presence {
                epoch,
                version,
                count: usize::try_from(count)?,
                members,
            }
        }
        Expect::Groups => {
            let names = values.0.map(|name| text(name).map(Name::from));
            Reply::Groups(names.collect::<Result<_, _>>()?)
        }
        Expect::Beat => Reply::Beat {
            anew: values.number()? > 0,
            watched: values.number()? > 0,
            time: values.number()?,
            dead: list(values.next()?)?
                .into_iter()
                .map(|incarnation| parse_seat(&text(incarnation)?).ok_or(Unexpected))
                .collect::<Result<_, _>>()?,
        },
    })
}

struct Values(std::vec::IntoIter<Value>);

impl Values {
    fn next(&mut self) -> Result<Value, Unexpected> {
        self.0.next().ok_or(Unexpected)
    }

    fn number(&mut self) -> Result<u64, Unexpected> {
        number(&self.next()?)
    }

    fn epoch(&mut self) -> Result<u64, Unexpected> {
        let epoch = bytes(self.next()?)?;
        let epoch = epoch.first_chunk().ok_or(Unexpected)?;
        Ok(u64::from_be_bytes(*epoch))
    }

    fn position(&mut self) -> Result<Position, Unexpected> {
        Ok(Position {
            epoch: self.epoch()?,
            offset: self.number()?,
        })
    }
}

fn list(value: Value) -> Result<Vec<Value>, Unexpected> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        _ => Err(Unexpected),
    }
}

fn bytes(value: Value) -> Result<Vec<u8>, Unexpected> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        _ => Err(Unexpected),
    }
}

fn text(value: Value) -> Result<String, Unexpected> {
    String::from_utf8(bytes(value)?).map_err(|_| Unexpected)
}

fn number(value: &Value) -> Result<u64, Unexpected> {
    match value {
        Value::Int(number) => Ok(u64::try_from(*number)?),
        _ => Err(Unexpected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_all_commands_are_tried() {
        let rights = include_str!("scripts/rights.lua");
        for code in Scripts::new(Keys::new("app"), false).codes() {
            for call in code.split("call('").skip(1) {
                let (word, _) = call.split_once('\'').unwrap();
                assert!(rights.contains(&format!("try('{word}'")), "{word}");
            }
        }
    }
}
