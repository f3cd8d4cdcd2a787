//! The HTTP API for programs in other languages: a POST of JSON for each method, with a key in `X-API-Key`.
//! Methods, parameters and results are those of Centrifugo's server API, as far as the hub has the notion.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sansws_async::app::Router;
use sansws_async::runtime::Runtime;
use sansws_async::{Error, HubEnv, Scope, Transport};
use sansws_core::http::Response;
use sansws_core::hub::{HistoryQuery, HubError, Position, Target};
use sansws_core::internal::is_name;
use sansws_core::message::Message;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::codes::{ClientError, Disconnect, Refusal, Unsubscribe};
use crate::endpoint::Centrifuge;
use crate::format;
use crate::protocol::{
    ClientInfo, Codec, HistoryResult, PresenceResult, PresenceStatsResult, RpcResult,
    StreamPosition,
};
use crate::session::{Control, is_equal};

/// The parameters of all methods.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    channel: String,
    channels: Vec<String>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    idempotency_key: Option<String>,
    skip_history: bool,
    tags: std::collections::BTreeMap<String, String>,
    user: String,
    client: String,
    code: Option<u32>,
    reason: Option<String>,
    disconnect: Option<Reason>,
    whitelist: Vec<String>,
    expired: bool,
    expire_at: Option<u64>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    pattern: String,
    method: String,
    params: Option<Box<RawValue>>,
    limit: i64,
    since: Option<StreamPosition>,
    reverse: bool,
}

impl Parameters {
    /// Returns when it expires. Clients in languages where each number has a value send 0 for never.
    fn expiry(&self) -> Option<u64> {
        self.expire_at.filter(|seconds| *seconds > 0)
    }
}

/// Several calls, each `{"method": {parameters}}`.
#[derive(Deserialize)]
struct Batch {
    commands: Vec<std::collections::BTreeMap<String, Parameters>>,
}

#[derive(Deserialize)]
struct Reason {
    code: u16,
    reason: String,
}

/// A result in JSON. It is text, so that payloads are passed on as they were given: a [`Value`](serde_json::Value) holds neither all numbers nor
/// any depth, nor the order of names.
type Json = Box<RawValue>;

impl<R: Runtime + HubEnv> Centrifuge<R> {
    /// Returns a router with the methods of the HTTP API, for requests with this key: `.mount("/api", centrifuge.api("key"))`. An empty key
    /// admits nobody.
    pub fn api<T: Transport + Send + 'static>(&self, key: &str) -> Router<T> {
        let (this, key): (_, Arc<str>) = (self.clone(), key.into());
        Router::new().post("/{method}", move |scope: Scope| {
            let (this, key) = (this.clone(), Arc::clone(&key));
            async move { this.answer(&key, &scope).await }
        })
    }
}

impl<R: HubEnv> Centrifuge<R> {
    /// Answers a request of the HTTP API.
    pub(crate) async fn answer(&self, key: &str, scope: &Scope) -> Response {
        let given = scope.header("x-api-key").or_else(|| {
            let given = scope.header("authorization")?;
            given.strip_prefix("apikey ")
        });
        // A key that was forgotten admits nobody.
        let is_right = |given: &str| !key.is_empty() && is_equal(given.as_bytes(), key.as_bytes());
        if !given.is_some_and(is_right) {
            return Response::text(401, "unauthorized\n");
        }
        let method: Result<String, Error> = scope.param("method");
        let method = method.unwrap_or_default();
        let body = if method == "batch" {
            let Ok(batch) = serde_json::from_slice(scope.body()) else {
                return Response::text(400, "the body is not the JSON of a batch\n");
            };
            self.batch(batch).await
        } else {
            let Ok(parameters) = serde_json::from_slice(scope.body()) else {
                return Response::text(400, "the body is not the JSON of a method\n");
            };
            reply("result", self.method(&method, &parameters).await)
        };
        Response::bytes(
            200,
            "application/json",
            String::from(Box::<str>::from(body)),
        )
    }

    /// Calls methods one after the other; a reply stands under the name of its method.
    async fn batch(&self, batch: Batch) -> Json {
        let mut replies = Vec::new();
        for command in batch.commands {
            for (method, parameters) in command {
                replies.push(reply(&method, self.method(&method, &parameters).await));
            }
        }
        named("replies", &replies)
    }

    async fn method(&self, method: &str, p: &Parameters) -> Result<Json, ClientError> {
        match method {
            "publish" => self.publish(&p.channel, p).await,
            "broadcast" => {
                let mut responses = Vec::new();
                for channel in &p.channels {
                    responses.push(reply("result", self.publish(channel, p).await));
                }
                Ok(named("responses", &responses))
            }
            "presence" => {
                let infos = self.infos(&p.channel).await?;
                let clients = infos.into_iter().map(|info| (info.client.clone(), info));
                Ok(raw(&PresenceResult {
                    presence: clients.collect(),
                }))
            }
            "presence_stats" => {
                let infos = self.infos(&p.channel).await?;
                let mut users: Vec<&String> = infos.iter().map(|info| &info.user).collect();
                users.sort_unstable();
                users.dedup();
                let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                Ok(raw(&PresenceStatsResult {
                    num_clients: number(infos.len()),
                    num_users: number(users.len()),
                }))
            }
            "history" => self.history(p).await,
            "history_remove" => {
                if self.namespace(&p.channel)?.history.is_none() {
                    return Err(ClientError::not_available());
                }
                let removed = self.hub.remove_history(&p.channel).await;
                removed.map(|()| raw(&json!({}))).map_err(of_hub)
            }
            "disconnect" => {
                let standard = Disconnect::force_no_reconnect();
                let (code, reason) = match &p.disconnect {
                    Some(given) => (given.code, given.reason.clone()),
                    None => (standard.code, standard.reason),
                };
                let is_possible = (3000..5000).contains(&code) && reason.len() <= 123;
                if !is_possible {
                    return Err(ClientError::bad_request());
                }
                let control = Control::Disconnect {
                    code,
                    reason,
                    except: p.whitelist.clone(),
                };
                self.control(p, &control)
            }
            "refresh" => {
                let expire_at = if p.expired { Some(0) } else { p.expiry() };
                self.control(p, &Control::Refresh { expire_at })
            }
            "unsubscribe" => {
                self.namespace(&p.channel)?;
                let standard = Unsubscribe::by_server();
                let control = Control::Unsubscribe {
                    channel: p.channel.clone(),
                    code: p.code.unwrap_or(standard.code),
                    reason: p.reason.clone().unwrap_or(standard.reason),
                };
                self.control(p, &control)
            }
            "subscribe" => {
                self.namespace(&p.channel)?;
                let control = Control::Subscribe {
                    channel: p.channel.clone(),
                    info: text(p.info.as_deref(), p.b64info.as_deref())?,
                    data: text(p.data.as_deref(), p.b64data.as_deref())?,
                    expire_at: p.expiry(),
                };
                self.control(p, &control)
            }
            "rpc" => self.rpc(p).await,
            "channels" => {
                let groups = self.hub.groups();
                let shown = |group: &&Arc<str>| p.pattern.is_empty() || fits(&p.pattern, group);
                let channels = groups.iter().filter(shown).map(|group| {
                    let clients = json!({"num_clients": self.hub.count(group)});
                    (group.to_string(), clients)
                });
                Ok(raw(
                    &json!({"channels": channels.collect::<serde_json::Map<_, _>>()}),
                ))
            }
            "info" => {
                let gauges = self.hub.metrics().hub.gauges;
                Ok(raw(&json!({"nodes": [{
                    "version": env!("CARGO_PKG_VERSION"),
                    "num_clients": gauges.channels,
                    "num_channels": gauges.groups,
                }]})))
            }
            _ => Err(ClientError::method_not_found()),
        }
    }

    /// Calls a method of the application, on behalf of no client.
    async fn rpc(&self, p: &Parameters) -> Result<Json, ClientError> {
        let methods = &self.application.methods;
        let method = methods.get(&p.method);
        let method = method.ok_or_else(ClientError::method_not_found)?;
        let params = p.params.as_deref().map_or("null", RawValue::get);
        let answer = method((ClientInfo::default(), params.as_bytes().to_vec())).await;
        let data = answer.map_err(|refusal| match refusal {
            Refusal::Error(error) => error,
            Refusal::Disconnect(_) => ClientError::permission_denied(),
        })?;
        Ok(raw(&RpcResult { data }))
    }

    fn namespace(&self, channel: &str) -> Result<&crate::Namespace, ClientError> {
        if !is_name(channel) {
            return Err(ClientError::bad_request());
        }
        self.options
            .of(channel)
            .ok_or_else(ClientError::unknown_channel)
    }

    async fn publish(&self, channel: &str, p: &Parameters) -> Result<Json, ClientError> {
        let positioned = self.namespace(channel)?.is_positioned();
        let message = match (&p.data, &p.b64data) {
            (_, Some(text)) => {
                let data = STANDARD
                    .decode(text)
                    .map_err(|_| ClientError::bad_request())?;
                Codec::to_message(data)
            }
            (Some(data), None) => Message::Text(data.get().to_owned()),
            (None, None) => return Err(ClientError::bad_request()),
        };
        let tags = p.tags.iter().map(|(name, value)| (&**name, &**value));
        let mut publish = self.hub.publish(channel, message).tags(tags);
        if let Some(id) = p.idempotency_key.as_deref().filter(|id| !id.is_empty()) {
            publish = publish.id(id);
        }
        if p.skip_history {
            publish = publish.without_history();
        }
        let published = publish.await.map_err(|error| match error {
            Error::Hub(error) => of_hub(error),
            _ => ClientError::internal(),
        })?;
        Ok(raw(&match published.position.filter(|_| positioned) {
            Some(position) => {
                json!({"offset": position.offset, "epoch": format::epoch(position)})
            }
            None => json!({}),
        }))
    }

    async fn infos(&self, channel: &str) -> Result<Vec<ClientInfo>, ClientError> {
        let namespace = self.namespace(channel)?;
        if !namespace.keeps_presence() {
            return Err(ClientError::not_available());
        }
        let presence = self.hub.presence(channel).await.map_err(of_hub)?;
        let members = presence.members.iter();
        Ok(members
            .filter_map(|present| format::client_info(present.metadata.as_deref()?))
            .collect())
    }

    async fn history(&self, p: &Parameters) -> Result<Json, ClientError> {
        if self.namespace(&p.channel)?.history.is_none() {
            return Err(ClientError::not_available());
        }
        let most = self.options.max_history;
        let limit = usize::try_from(p.limit).map_or(most, |limit| limit.min(most));
        let mut query = HistoryQuery::new(p.channel.as_str(), limit);
        if let Some(since) = &p.since {
            let offset = since.offset;
            let position = if since.epoch.is_empty() {
                // That of the channel is meant.
                let top = self.hub.history(&p.channel, 0).await.map_err(of_hub)?;
                top.position.map(|top| Position { offset, ..top })
            } else {
                let epoch = u64::from_str_radix(&since.epoch, 16);
                let epoch = epoch.map_err(|_| ClientError::unrecoverable_position())?;
                Some(Position { epoch, offset })
            };
            query = position.into_iter().fold(query, HistoryQuery::since);
        }
        query.reverse = p.reverse;
        let kept = self.hub.query_history(query).await.map_err(of_hub)?;
        let publications = kept.publications.iter();
        let publications = publications.map(|one| format::publication(Codec::Json, one, true));
        Ok(raw(&HistoryResult {
            publications: publications.collect(),
            epoch: kept.position.map_or_else(String::new, format::epoch),
            offset: kept.position.map_or(0, |position| position.offset),
        }))
    }

    /// Sends a control to the sessions of a client or a user, on all nodes.
    fn control(&self, p: &Parameters, control: &Control) -> Result<Json, ClientError> {
        let target = match (p.client.as_str(), p.user.as_str()) {
            ("", "") => return Err(ClientError::bad_request()),
            ("", user) => Target::User(user.into()),
            (client, _) => {
                let id = client.parse().map_err(|_| ClientError::bad_request())?;
                Target::Channel(id)
            }
        };
        let text = serde_json::to_string(control).unwrap_or_default();
        match self.hub.signal(target, &text) {
            // A client that is gone has nothing to end.
            Ok(()) | Err(HubError::Gone) => Ok(raw(&json!({}))),
            Err(error) => Err(of_hub(error)),
        }
    }
}

/// Returns JSON that is given as it is, or in base64.
fn text(given: Option<&RawValue>, base64: Option<&str>) -> Result<Option<String>, ClientError> {
    let Some(base64) = base64 else {
        return Ok(given.map(|given| given.get().to_owned()));
    };
    let bytes = STANDARD.decode(base64).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some).ok_or_else(ClientError::bad_request)
}

/// Returns whether a name matches a pattern, in which `*` stands for any text and `?` for one character.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Whether the pattern so far matches each beginning of the name.
    let mut matches = vec![false; name.len() + 1];
    matches.iter_mut().take(1).for_each(|first| *first = true);
    for part in pattern {
        let before = matches.clone();
        let mut any = false;
        let of_name = [None].into_iter().chain(name.iter().map(Some));
        let earlier = [false].into_iter().chain(before.iter().copied());
        for (((now, before), letter), earlier) in
            matches.iter_mut().zip(&before).zip(of_name).zip(earlier)
        {
            any |= before;
            *now = match part {
                '*' => any,
                '?' => earlier,
                part => earlier && letter == Some(&part),
            };
        }
    }
    matches.last().copied().unwrap_or(false)
}

/// Returns a result under this name, or an error.
fn reply(name: &str, result: Result<Json, ClientError>) -> Json {
    match result {
        Ok(result) => named(name, &result),
        Err(error) => named(
            "error",
            &json!({"code": error.code, "message": error.message}),
        ),
    }
}

fn named(name: &str, value: &impl Serialize) -> Json {
    raw(&std::collections::BTreeMap::from([(name, value)]))
}

fn raw(value: &impl Serialize) -> Json {
    // Serialization of these types does not fail.
    to_raw_value(value).unwrap_or_default()
}

fn of_hub(error: HubError) -> ClientError {
    match error {
        HubError::BadName | HubError::TooLong => ClientError::bad_request(),
        _ => ClientError::internal(),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, want) in [
            ("chat:*", "chat:tea", true),
            ("chat:*", "chat:", true),
            ("chat:*", "chat", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "\u{e9}", true),
            ("?", "", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("tea", "tea", true),
            ("tea", "teas", false),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }
}
