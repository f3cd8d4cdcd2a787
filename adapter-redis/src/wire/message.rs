//! A message as stored in Redis.
//! The format stands in the [module](super).

use std::sync::Arc;

use sansws_core::frame::MessageKind;
use sansws_core::hub::{PublishOptions, PublishRequest};
use sansws_core::message::{Payload as Content, PreparedMessage};
use sansws_core::time::Duration;

use super::read::Reader;
use super::{WireError, length, put_channel, put_long, put_name};
use crate::name::Name;

/// The flag of a message without a number, which the script that publishes checks.
pub const UNSAVED: u8 = 1;
const BINARY: u8 = 2;
const SENDER: u8 = 4;
const KEY: u8 = 8;
const EXPIRES: u8 = 16;
const EXCLUDE: u8 = 32;
const EXCLUDE_USERS: u8 = 64;
/// Information of the publisher and tags follow.
const ATTRIBUTES: u8 = 128;

pub(super) fn is_binary(message: &PreparedMessage) -> bool {
    message.kind() == MessageKind::Binary
}

/// Returns a message in wire format, without its group and its id.
pub fn encode(draft: &PublishRequest) -> Vec<u8> {
    let mut out = Vec::with_capacity(draft.message.len() + 32);
    encode_to(draft, &mut out);
    out
}

pub(super) fn encode_to(draft: &PublishRequest, out: &mut Vec<u8>) {
    let options = &draft.options;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(options.without_history, UNSAVED)
        | flag(is_binary(&draft.message), BINARY)
        | flag(draft.sender.is_some(), SENDER)
        | flag(options.key.is_some(), KEY)
        | flag(options.expires.is_some(), EXPIRES)
        | flag(!options.exclude.is_empty(), EXCLUDE)
        | flag(
            !options.exclude_users.is_empty() || !options.exclude_replay.is_empty(),
            EXCLUDE_USERS,
        )
        | flag(options.info.is_some() || options.tags.is_some(), ATTRIBUTES);
    out.push(flags);
    if let Some(sender) = draft.sender {
        put_channel(out, sender);
    }
    if let Some(key) = &options.key {
        put_name(out, key);
    }
    if let Some(expires) = options.expires {
        let micros = u64::try_from(expires.as_micros()).unwrap_or(u64::MAX);
        out.extend(micros.to_be_bytes());
    }
    if !options.exclude.is_empty() {
        out.extend(length(options.exclude.len()));
        for id in &options.exclude {
            put_channel(out, *id);
        }
    }
    if flags & EXCLUDE_USERS != 0 {
        for users in [&options.exclude_users, &options.exclude_replay] {
            out.extend(length(users.len()));
            users.iter().for_each(|user| put_name(out, user));
        }
    }
    if flags & ATTRIBUTES != 0 {
        out.push(u8::from(options.info.is_some()));
        options
            .info
            .iter()
            .for_each(|info| put_long(out, info.as_bytes()));
        let tags = options.tags.as_deref().unwrap_or_default();
        out.extend(length(tags.len()));
        for (name, value) in tags {
            put_long(out, name.as_bytes());
            put_long(out, value.as_bytes());
        }
    }
    out.extend(draft.message.payload());
}

/// Parses a message of a group.
///
/// # Errors
/// [`WireError`].
pub fn decode(group: &Name, bytes: &[u8]) -> Result<PublishRequest, WireError> {
    let mut reader = Reader(bytes);
    let flags = reader.u8()?;
    let has = |flag: u8| flags & flag != 0;
    let sender = has(SENDER).then(|| reader.channel()).transpose()?;
    let key = has(KEY).then(|| reader.name()).transpose()?;
    let expires = has(EXPIRES).then(|| reader.u64()).transpose()?;
    let mut exclude = Vec::new();
    if has(EXCLUDE) {
        for _ in 0..reader.u32()? {
            exclude.push(reader.channel()?);
        }
    }
    let mut users = [Vec::new(), Vec::new()];
    if has(EXCLUDE_USERS) {
        for users in &mut users {
            for _ in 0..reader.u32()? {
                users.push(reader.name()?);
            }
        }
    }
    let [exclude_users, exclude_replay] = users;
    let (mut info, mut tags) = (None, Vec::new());
    if has(ATTRIBUTES) {
        info = match reader.u8()? {
            0 => None,
            1 => Some(Arc::from(reader.long_text()?)),
            _ => return Err(WireError::Unknown),
        };
        for _ in 0..reader.u32()? {
            tags.push((reader.long_text()?.into(), reader.long_text()?.into()));
        }
    }
    let message = if has(BINARY) {
        PreparedMessage::new(Content::Binary(reader.rest()))
    } else {
        PreparedMessage::new(Content::Text(reader.text_to_the_end()?))
    };
    Ok(PublishRequest {
        group: Arc::clone(group),
        message,
        sender,
        options: PublishOptions {
            exclude,
            exclude_users,
            exclude_replay,
            without_history: has(UNSAVED),
            key,
            info,
            tags: Some(tags.into()).filter(|tags: &Arc<[_]>| !tags.is_empty()),
            id: None,
            expires: expires.map(Duration::from_micros),
        },
    })
}
