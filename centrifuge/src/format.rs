//! Publications and notices of the hub as pushes, in both codecs: each is encoded once for all clients of a node.

use std::collections::BTreeMap;

use sansws_core::close::CloseCode;
use sansws_core::hub::{Format, HubOptions, Notice, Position, Publication as Published};
use sansws_core::message::Message;

use crate::codes::Disconnect;
use crate::fossil;
use crate::options::Options;
use crate::protocol::{ClientInfo, Codec, Membership, Publication, Push, Reply};

impl Options {
    /// Adds what the hub needs: the options of the namespaces, and the formats of the codecs. Create the hub with the result. The options of
    /// groups without a namespace or a rule become those of [`default`](Self::default), and formats that `hub` had are dropped: add yours to
    /// the result.
    pub fn configure(&self, mut hub: HubOptions) -> HubOptions {
        hub.groups = self.default.group();
        for (name, namespace) in &self.namespaces {
            hub = hub.namespace(name, namespace.group());
        }
        // The user, the id and both kinds of information.
        hub.max_metadata = hub.max_metadata.max(8192);
        let groups = self.max_channels.saturating_add(1);
        hub.groups_per_channel = hub.groups_per_channel.max(groups);
        let codecs = [Codec::Json, Codec::Protobuf];
        let full = codecs.map(|codec| format(codec, self.clone(), publication));
        let differing = codecs.map(|codec| differing(codec, self.clone()));
        hub.formats = full.into_iter().chain(differing).collect();
        hub
    }
}

/// Returns a format of a codec.
fn format(
    codec: Codec,
    options: Options,
    publication: impl Fn(Codec, &Published, bool) -> Publication + Send + Sync + 'static,
) -> Format {
    let of_notices = options.clone();
    let slow = Disconnect::slow();
    let format = Format::new(
        move |published| {
            let positioned = options.of(&published.group)?.is_positioned();
            let publication = publication(codec, published, positioned);
            Some(pushed(codec, published, publication))
        },
        move |notice| {
            let Notice::Presence(change) = notice else {
                return None;
            };
            if !of_notices.of(&change.group)?.tells_presence() {
                return None;
            }
            presence(codec, change)
        },
    );
    match CloseCode::new(slow.code) {
        Some(code) => format.close_slow(code, &slow.reason),
        None => format,
    }
}

/// Returns the format of a codec with differences.
fn differing(codec: Codec, options: Options) -> Format {
    let of_differences = options.clone();
    format(codec, options, full).delta(move |base, published| {
        let positioned = of_differences.of(&published.group)?.is_positioned();
        let publication = difference(codec, base, published, positioned)?;
        Some(pushed(codec, published, publication))
    })
}

fn pushed(codec: Codec, published: &Published, publication: Publication) -> Message {
    let push = Push {
        channel: published.group.to_string(),
        r#pub: Some(publication),
        ..Push::default()
    };
    self::push(codec, push)
}

/// Returns a publication as clients see it.
pub(crate) fn publication(codec: Codec, published: &Published, positioned: bool) -> Publication {
    let numbered = positioned && !published.unsaved;
    let position = published.position.filter(|_| numbered);
    let tags = published.tags.iter().flat_map(|tags| tags.iter());
    Publication {
        data: codec.published(published.as_bytes()),
        info: published.info.as_deref().and_then(client_info),
        offset: position.map_or(0, |position| position.offset),
        tags: tags
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect::<BTreeMap<_, _>>(),
        delta: false,
        time: 0,
    }
}

/// Returns a publication in full, as clients with differences see it: in JSON, its payload is a string.
pub(crate) fn full(codec: Codec, published: &Published, positioned: bool) -> Publication {
    let mut publication = publication(codec, published, positioned);
    publication.data = codec.quoted(publication.data);
    publication
}

/// Returns a publication as the difference from the one before it, if that is shorter.
fn difference(
    codec: Codec,
    base: &Published,
    published: &Published,
    positioned: bool,
) -> Option<Publication> {
    let mut publication = publication(codec, published, positioned);
    let delta = fossil::delta(&codec.published(base.as_bytes()), &publication.data);
    if delta.len() >= publication.data.len() {
        return None;
    }
    publication.data = codec.quoted(delta);
    publication.delta = true;
    Some(publication)
}

/// Returns a push as a message.
pub(crate) fn push(codec: Codec, push: Push) -> Message {
    codec.encode(&Reply {
        push: Some(push),
        ..Reply::default()
    })
}

/// Parses the information about a client that the hub carries.
pub(crate) fn client_info(text: &str) -> Option<ClientInfo> {
    serde_json::from_str(text).ok()
}

/// Returns the epoch of a position as clients see it.
pub(crate) fn epoch(position: Position) -> String {
    format!("{:x}", position.epoch)
}

/// Joins and leaves, in one message.
fn presence(codec: Codec, change: &sansws_core::hub::PresenceChange) -> Option<Message> {
    let member = |present: &sansws_core::hub::Present| Membership {
        info: Some(
            present
                .metadata
                .as_deref()
                .and_then(client_info)
                .unwrap_or_else(|| ClientInfo {
                    client: present.user.to_string(),
                    ..ClientInfo::default()
                }),
        ),
    };
    let channel = change.group.to_string();
    let joined = change.joined.iter().map(|present| Push {
        channel: channel.clone(),
        join: Some(member(present)),
        ..Push::default()
    });
    let left = change.left.iter().map(|present| Push {
        channel: channel.clone(),
        leave: Some(member(present)),
        ..Push::default()
    });
    let mut all: Option<Message> = None;
    for one in joined.chain(left).map(|one| push(codec, one)) {
        all = Some(match (all, one) {
            (Some(Message::Text(all)), Message::Text(one)) => Message::Text(all + "\n" + &one),
            (Some(Message::Binary(mut all)), Message::Binary(one)) => {
                all.extend(one);
                Message::Binary(all)
            }
            (_, one) => one,
        });
    }
    all
}
