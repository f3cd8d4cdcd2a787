//! Commands, replies and pushes.
//! One type serves both codecs: `prost` writes it as protobuf, `serde` as JSON, where fields with their default value are left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::codec::raw;

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $member:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field])* #[serde(skip_serializing_if = "is_default")] pub $member: $type,)*
        }
    )*};
}

/// Messages whose fields are there in JSON even with their default value: client libraries read them without a check.
macro_rules! full_messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $member:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field])* pub $member: $type,)*
        }
    )*};
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

messages! {
    /// A command of a client.
    Command {
        /// Its number, which the reply repeats; 0: there is no reply.
        #[prost(uint32, tag = "1")]
        id: u32,
        /// Authenticate.
        #[prost(message, optional, tag = "4")]
        connect: Option<ConnectRequest>,
        /// Subscribe to a channel.
        #[prost(message, optional, tag = "5")]
        subscribe: Option<SubscribeRequest>,
        /// Unsubscribe from a channel.
        #[prost(message, optional, tag = "6")]
        unsubscribe: Option<ChannelRequest>,
        /// Publish to a channel.
        #[prost(message, optional, tag = "7")]
        publish: Option<PublishRequest>,
        /// Ask for the clients in a channel.
        #[prost(message, optional, tag = "8")]
        presence: Option<ChannelRequest>,
        /// Ask for the number of clients in a channel.
        #[prost(message, optional, tag = "9")]
        presence_stats: Option<ChannelRequest>,
        /// Ask for kept publications.
        #[prost(message, optional, tag = "10")]
        history: Option<HistoryRequest>,
        /// Ask for a sign of life.
        #[prost(message, optional, tag = "11")]
        ping: Option<Empty>,
        /// Send a message to the server, without a reply.
        #[prost(message, optional, tag = "12")]
        send: Option<DataMessage>,
        /// Call a method.
        #[prost(message, optional, tag = "13")]
        rpc: Option<RpcRequest>,
        /// Extend the connection with a new token.
        #[prost(message, optional, tag = "14")]
        refresh: Option<RefreshRequest>,
        /// Extend a subscription with a new token.
        #[prost(message, optional, tag = "15")]
        sub_refresh: Option<SubRefreshRequest>,
    }
    /// A message of the server: the reply to a command, a push, or, if empty, a ping.
    Reply {
        /// The number of the command.
        #[prost(uint32, tag = "1")]
        id: u32,
        /// Why the command failed.
        #[prost(message, optional, tag = "2")]
        error: Option<Error>,
        /// A push.
        #[prost(message, optional, tag = "4")]
        push: Option<Push>,
        /// The result of `connect`.
        #[prost(message, optional, tag = "5")]
        connect: Option<ConnectResult>,
        /// The result of `subscribe`.
        #[prost(message, optional, tag = "6")]
        subscribe: Option<SubscribeResult>,
        /// The result of `unsubscribe`.
        #[prost(message, optional, tag = "7")]
        unsubscribe: Option<Empty>,
        /// The result of `publish`.
        #[prost(message, optional, tag = "8")]
        publish: Option<Empty>,
        /// The result of `presence`.
        #[prost(message, optional, tag = "9")]
        presence: Option<PresenceResult>,
        /// The result of `presence_stats`.
        #[prost(message, optional, tag = "10")]
        presence_stats: Option<PresenceStatsResult>,
        /// The result of `history`.
        #[prost(message, optional, tag = "11")]
        history: Option<HistoryResult>,
        /// The result of `ping`.
        #[prost(message, optional, tag = "12")]
        ping: Option<Empty>,
        /// The result of `rpc`.
        #[prost(message, optional, tag = "13")]
        rpc: Option<RpcResult>,
        /// The result of `refresh`.
        #[prost(message, optional, tag = "14")]
        refresh: Option<RefreshResult>,
        /// The result of `sub_refresh`.
        #[prost(message, optional, tag = "15")]
        sub_refresh: Option<SubRefreshResult>,
    }
    /// A message that no command asked for.
    Push {
        /// The channel that it is about.
        #[prost(string, tag = "2")]
        channel: String,
        /// A publication in the channel.
        #[prost(message, optional, tag = "4")]
        r#pub: Option<Publication>,
        /// A client joined the channel.
        #[prost(message, optional, tag = "5")]
        join: Option<Membership>,
        /// A client left the channel.
        #[prost(message, optional, tag = "6")]
        leave: Option<Membership>,
        /// The server ended the subscription.
        #[prost(message, optional, tag = "7")]
        unsubscribe: Option<Ended>,
        /// A message to this client alone.
        #[prost(message, optional, tag = "8")]
        message: Option<DataMessage>,
        /// The server subscribed the client.
        #[prost(message, optional, tag = "9")]
        subscribe: Option<SubscribePush>,
        /// The server changed when the connection expires.
        #[prost(message, optional, tag = "12")]
        refresh: Option<SubRefreshResult>,
        /// The server ends the connection, on transports without close codes.
        #[prost(message, optional, tag = "11")]
        disconnect: Option<Disconnected>,
    }
    /// Nothing.
    Empty {}
    /// Why a command failed.
    Error {
        /// The code: see [`ClientError`](crate::ClientError).
        #[prost(uint32, tag = "1")]
        code: u32,
        /// A text for people.
        #[prost(string, tag = "2")]
        message: String,
        /// Whether a later attempt may succeed.
        #[prost(bool, tag = "3")]
        temporary: bool,
    }
    /// A code and its text, of a subscription.
    Ended {
        /// The code.
        #[prost(uint32, tag = "2")]
        code: u32,
        /// A text for people.
        #[prost(string, tag = "3")]
        reason: String,
    }
    /// A code and its text, of a connection.
    Disconnected {
        /// The code.
        #[prost(uint32, tag = "1")]
        code: u32,
        /// A text for people.
        #[prost(string, tag = "2")]
        reason: String,
    }
    /// A client that joined or left.
    Membership {
        /// The client.
        #[prost(message, optional, tag = "1")]
        info: Option<ClientInfo>,
    }
    /// A client, as others see it.
    ClientInfo {
        /// The user; empty if unknown.
        #[prost(string, tag = "1")]
        user: String,
        /// The client: one connection.
        #[prost(string, tag = "2")]
        client: String,
        /// Information from the connection's token or handler.
        #[prost(bytes = "vec", tag = "3")]
        #[serde(with = "raw")]
        conn_info: Vec<u8>,
        /// Information from the subscription's token or handler.
        #[prost(bytes = "vec", tag = "4")]
        #[serde(with = "raw")]
        chan_info: Vec<u8>,
    }
    /// A publication.
    Publication {
        /// The payload.
        #[prost(bytes = "vec", tag = "4")]
        #[serde(with = "raw")]
        data: Vec<u8>,
        /// The client that published it.
        #[prost(message, optional, tag = "5")]
        info: Option<ClientInfo>,
        /// Its number in the channel; 0: it has none.
        #[prost(uint64, tag = "6")]
        offset: u64,
        /// Its tags.
        #[prost(btree_map = "string, string", tag = "7")]
        tags: BTreeMap<String, String>,
        /// Whether the payload is the difference from the previous publication.
        #[prost(bool, tag = "8")]
        delta: bool,
        /// When it was published, in milliseconds since the Unix epoch.
        #[prost(int64, tag = "9")]
        time: i64,
    }
    /// A payload.
    DataMessage {
        /// The payload.
        #[prost(bytes = "vec", tag = "1")]
        #[serde(with = "raw")]
        data: Vec<u8>,
    }
    /// The server subscribed the client to a channel.
    SubscribePush {
        /// Whether it can be recovered.
        #[prost(bool, tag = "1")]
        recoverable: bool,
        /// The epoch of the channel.
        #[prost(string, tag = "4")]
        epoch: String,
        /// The position of the channel.
        #[prost(uint64, tag = "5")]
        offset: u64,
        /// Whether publications have positions.
        #[prost(bool, tag = "6")]
        positioned: bool,
        /// A payload of the application.
        #[prost(bytes = "vec", tag = "7")]
        #[serde(with = "raw")]
        data: Vec<u8>,
    }
    /// Authenticate.
    ConnectRequest {
        /// A JWT.
        #[prost(string, tag = "1")]
        token: String,
        /// A payload for the application.
        #[prost(bytes = "vec", tag = "2")]
        #[serde(with = "raw")]
        data: Vec<u8>,
        /// Server-side subscriptions to recover.
        #[prost(btree_map = "string, message", tag = "3")]
        subs: BTreeMap<String, SubscribeRequest>,
        /// The name of the client library or program.
        #[prost(string, tag = "4")]
        name: String,
        /// Its version.
        #[prost(string, tag = "5")]
        version: String,
        /// Header fields that the client could not send.
        #[prost(btree_map = "string, string", tag = "6")]
        headers: BTreeMap<String, String>,
    }
    /// The result of `connect`.
    ConnectResult {
        /// The id of the connection.
        #[prost(string, tag = "1")]
        client: String,
        /// The version of the server.
        #[prost(string, tag = "2")]
        version: String,
        /// Whether the connection expires.
        #[prost(bool, tag = "3")]
        expires: bool,
        /// When, in seconds from now.
        #[prost(uint32, tag = "4")]
        ttl: u32,
        /// A payload of the application.
        #[prost(bytes = "vec", tag = "5")]
        #[serde(with = "raw")]
        data: Vec<u8>,
        /// Server-side subscriptions.
        #[prost(btree_map = "string, message", tag = "6")]
        subs: BTreeMap<String, SubscribeResult>,
        /// The time between pings, in seconds.
        #[prost(uint32, tag = "7")]
        ping: u32,
        /// Whether pings are to be answered.
        #[prost(bool, tag = "8")]
        pong: bool,
        /// A secret that later commands are sent with, on transports that only receive.
        #[prost(string, tag = "9")]
        session: String,
    }
    /// Commands of a client whose transport only receives.
    EmulationRequest {
        /// The secret that the client was told when it connected.
        #[prost(string, tag = "2")]
        session: String,
        /// The commands, in protobuf.
        #[prost(bytes = "vec", tag = "3")]
        #[serde(with = "raw")]
        data: Vec<u8>,
    }
    /// Extend the connection.
    RefreshRequest {
        /// A JWT.
        #[prost(string, tag = "1")]
        token: String,
    }
    /// The result of `refresh`.
    RefreshResult {
        /// The id of the connection.
        #[prost(string, tag = "1")]
        client: String,
        /// The version of the server.
        #[prost(string, tag = "2")]
        version: String,
        /// Whether the connection expires.
        #[prost(bool, tag = "3")]
        expires: bool,
        /// When, in seconds from now.
        #[prost(uint32, tag = "4")]
        ttl: u32,
    }
    /// Subscribe to a channel.
    SubscribeRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        channel: String,
        /// A JWT.
        #[prost(string, tag = "2")]
        token: String,
        /// Whether to recover from the position.
        #[prost(bool, tag = "3")]
        recover: bool,
        /// The epoch of the position.
        #[prost(string, tag = "6")]
        epoch: String,
        /// The offset of the position.
        #[prost(uint64, tag = "7")]
        offset: u64,
        /// A payload for the application.
        #[prost(bytes = "vec", tag = "8")]
        #[serde(with = "raw")]
        data: Vec<u8>,
        /// Whether positions are wanted.
        #[prost(bool, tag = "9")]
        positioned: bool,
        /// Whether recovery is wanted.
        #[prost(bool, tag = "10")]
        recoverable: bool,
        /// Whether to report clients that join and leave.
        #[prost(bool, tag = "11")]
        join_leave: bool,
        /// The format of differences between publications that the client understands, such as `fossil`.
        #[prost(string, tag = "12")]
        delta: String,
        /// Features: bit 2 rejects what cannot be recovered.
        #[prost(int64, tag = "14")]
        flag: i64,
    }
    /// The result of `subscribe`.
    SubscribeResult {
        /// Whether the subscription expires.
        #[prost(bool, tag = "1")]
        expires: bool,
        /// When, in seconds from now.
        #[prost(uint32, tag = "2")]
        ttl: u32,
        /// Whether it can be recovered.
        #[prost(bool, tag = "3")]
        recoverable: bool,
        /// The epoch of the channel.
        #[prost(string, tag = "6")]
        epoch: String,
        /// The publications that were missed.
        #[prost(message, repeated, tag = "7")]
        publications: Vec<Publication>,
        /// Whether all of them are there.
        #[prost(bool, tag = "8")]
        recovered: bool,
        /// The position: that of the request if it was recovered, otherwise that of the channel.
        #[prost(uint64, tag = "9")]
        offset: u64,
        /// Whether publications have positions.
        #[prost(bool, tag = "10")]
        positioned: bool,
        /// A payload of the application.
        #[prost(bytes = "vec", tag = "11")]
        #[serde(with = "raw")]
        data: Vec<u8>,
        /// Whether the client asked for recovery.
        #[prost(bool, tag = "12")]
        was_recovering: bool,
        /// Whether publications are differences.
        #[prost(bool, tag = "13")]
        delta: bool,
    }
    /// Extend a subscription.
    SubRefreshRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        channel: String,
        /// A JWT.
        #[prost(string, tag = "2")]
        token: String,
    }
    /// The result of `sub_refresh`.
    SubRefreshResult {
        /// Whether the subscription expires.
        #[prost(bool, tag = "1")]
        expires: bool,
        /// When, in seconds from now.
        #[prost(uint32, tag = "2")]
        ttl: u32,
    }
    /// A command about a channel.
    ChannelRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        channel: String,
    }
    /// Publish to a channel.
    PublishRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        channel: String,
        /// The payload.
        #[prost(bytes = "vec", tag = "2")]
        #[serde(with = "raw")]
        data: Vec<u8>,
    }
    /// A position in a channel.
    StreamPosition {
        /// The number of a publication.
        #[prost(uint64, tag = "1")]
        offset: u64,
        /// The epoch.
        #[prost(string, tag = "2")]
        epoch: String,
    }
    /// Ask for kept publications.
    HistoryRequest {
        /// The channel.
        #[prost(string, tag = "1")]
        channel: String,
        /// Maximum number; 0: only the position, negative: all.
        #[prost(int32, tag = "7")]
        limit: i32,
        /// Only those after this position, or before it if reversed.
        #[prost(message, optional, tag = "8")]
        since: Option<StreamPosition>,
        /// Newest first.
        #[prost(bool, tag = "9")]
        reverse: bool,
    }
    /// Call a method.
    RpcRequest {
        /// The argument.
        #[prost(bytes = "vec", tag = "1")]
        #[serde(with = "raw")]
        data: Vec<u8>,
        /// The method.
        #[prost(string, tag = "2")]
        method: String,
    }
    /// The result of a method.
    RpcResult {
        /// The result.
        #[prost(bytes = "vec", tag = "1")]
        #[serde(with = "raw")]
        data: Vec<u8>,
    }
}

full_messages! {
    /// The clients in a channel.
    PresenceResult {
        /// By client id.
        #[prost(btree_map = "string, message", tag = "1")]
        presence: BTreeMap<String, ClientInfo>,
    }
    /// The number of clients in a channel.
    PresenceStatsResult {
        /// Connections.
        #[prost(uint32, tag = "1")]
        num_clients: u32,
        /// Users.
        #[prost(uint32, tag = "2")]
        num_users: u32,
    }
    /// Kept publications.
    HistoryResult {
        /// The publications.
        #[prost(message, repeated, tag = "1")]
        publications: Vec<Publication>,
        /// The epoch of the channel.
        #[prost(string, tag = "2")]
        epoch: String,
        /// The position of the channel.
        #[prost(uint64, tag = "3")]
        offset: u64,
    }
}
