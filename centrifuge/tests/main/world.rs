//! A session over a hub in memory, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sansws_centrifuge::protocol::{Codec, Reply};
use sansws_centrifuge::session::{
    Answer, Connect, HubCall, HubResult, Output, Question, Session, Subscribe,
};
use sansws_centrifuge::{Access, Disconnect, Namespace, Options};
use sansws_core::hub::{
    ChannelId, ChannelOptions, Encoding, HistoryOptions, HubOptions, LocalHub, Output as HubOutput,
    PublishOptions, Query, QueryResult, Signal, Taken,
};
use sansws_core::message::{Message, PreparedMessage};
use sansws_core::random::Seed;
use sansws_core::time::Instant;
use serde_json::Value;

/// A client's session, and the hub that it uses.
pub struct World {
    pub now: Instant,
    pub hub: LocalHub,
    pub session: Session,
    codec: Codec,
    pub id: Option<ChannelId>,
    /// The messages to the client, in order.
    pub sent: Vec<Value>,
    pub closed: Option<Disconnect>,
    pub questions: Vec<Question>,
    /// The application's answers; without one, everything is granted.
    pub answers: Vec<Answer>,
    /// Questions are left open.
    pub is_slow: bool,
    pub answers_pings: bool,
    signals: Vec<Signal>,
}

pub fn options() -> Options {
    let open = |namespace: Namespace| {
        let namespace = namespace.subscribe().publish(Access::Subscribers);
        namespace.read(Access::Subscribers)
    };
    let history = HistoryOptions {
        messages: 5,
        recovery: 5,
        ..HistoryOptions::default()
    };
    let recovery = open(Namespace::default().recovery(history).join_leave());
    let mut options = Options::default()
        .namespace("chat", recovery)
        .namespace("plain", open(Namespace::default()))
        .namespace("closed", Namespace::default().recovery(history).presence());
    options.anonymous = true;
    options.max_channels = 3;
    options
}

impl World {
    pub fn new(options: Options) -> Self {
        Self::with_codec(options, Codec::Json)
    }

    pub fn with_codec(options: Options, codec: Codec) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let hub = Arc::new(options.configure(HubOptions::default()));
        Self {
            now,
            hub: LocalHub::new(Seed::new([3; 32]), hub),
            session: Session::new(Arc::new(options), codec, now),
            codec,
            id: None,
            sent: Vec::new(),
            closed: None,
            questions: Vec::new(),
            answers: Vec::new(),
            is_slow: false,
            answers_pings: true,
            signals: Vec::new(),
        }
    }

    /// A session that is connected.
    pub fn connected(options: Options) -> Self {
        let mut world = Self::new(options);
        world.send(r#"{"id":1,"connect":{}}"#);
        assert!(world.take()[0]["connect"]["client"].is_string());
        world
    }

    pub fn send(&mut self, text: &str) {
        self.send_message(&text.into());
    }

    pub fn send_message(&mut self, message: &Message) {
        self.session.receive(self.now, message);
        self.settle();
    }

    /// Returns the messages to the client since the last call.
    pub fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.sent)
    }

    /// Sends a command; returns the only message that follows.
    pub fn ask(&mut self, text: &str) -> Value {
        self.send(text);
        let all = self.take();
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        all.into_iter().next().unwrap()
    }

    pub fn publish(&mut self, group: &str, text: &str) {
        let none = PublishOptions::default();
        self.hub
            .publish(
                self.now,
                None,
                group,
                PreparedMessage::new(text),
                none,
                None,
            )
            .unwrap();
        self.settle();
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.session.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.session.tick(self.now);
            self.settle();
            if self.answers_pings && self.sent.last() == Some(&serde_json::json!({})) {
                self.send("{}");
            }
        }
        self.now = end;
    }

    pub fn close_code(&self) -> Option<u16> {
        self.closed.as_ref().map(|closed| closed.code)
    }

    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.session.poll() {
                moved = true;
                self.act(output);
            }
            while let Some(output) = self.hub.poll_output(self.now) {
                if let HubOutput::Signal(_, signal) = output {
                    moved = true;
                    self.session.signal(self.now, &signal);
                    self.signals.push(signal);
                }
            }
            if !moved {
                break;
            }
        }
        self.pull();
    }

    /// Returns the messages that the hub has queued for the client.
    fn pull(&mut self) {
        let Some(id) = self.id else { return };
        while let Taken::Message(bytes) = self
            .hub
            .take(self.now, id, |frame, _| frame.payload().to_vec())
        {
            self.got(&bytes);
        }
    }

    /// Parses what the client was sent.
    fn got(&mut self, mut bytes: &[u8]) {
        match self.codec {
            Codec::Json => {
                let text = std::str::from_utf8(bytes).unwrap();
                let values = text.lines().map(|line| serde_json::from_str(line).unwrap());
                self.sent.extend(values);
            }
            Codec::Protobuf => {
                while !bytes.is_empty() {
                    let reply = Reply::decode_length_delimited(&mut bytes).unwrap();
                    self.sent.push(serde_json::to_value(&reply).unwrap());
                }
            }
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Send(Message::Text(text)) => self.got(text.as_bytes()),
            Output::Send(Message::Binary(bytes)) => self.got(&bytes),
            Output::SendInOrder(message) => {
                let id = self.id.unwrap();
                let message = PreparedMessage::from(message);
                self.hub.send_to(self.now, id, message).unwrap();
            }
            Output::Ask(question) => {
                self.questions.push(question.clone());
                if self.is_slow {
                    return;
                }
                let granted = match question {
                    Question::Connect(_) => Answer::Connect(Connect::user("ada")),
                    Question::Subscribe(_, true) => Answer::Subscribe(Subscribe::default()),
                    Question::Rpc(request) => Answer::Data(request.data),
                    Question::Message(_) => Answer::Data(Vec::new()),
                    Question::Refresh(_) | Question::SubRefresh(_) => {
                        Answer::Expires(Some(self.now + Duration::from_secs(60)))
                    }
                    _ => {
                        Answer::Refused(sansws_centrifuge::ClientError::permission_denied().into())
                    }
                };
                let answer = self.answers.pop().unwrap_or(granted);
                self.session.answer(self.now, answer);
            }
            Output::Call(call) => {
                let result = self.call(call);
                self.session.hub_result(self.now, result);
            }
            Output::Leave(group) => drop(self.hub.leave(self.now, self.id.unwrap(), &group)),
            Output::Release => self.hub.hold(self.id.unwrap(), false).unwrap(),
            Output::Close(closed) => self.closed = Some(closed),
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, call: HubCall) -> HubResult {
        match call {
            HubCall::Open { user } => {
                let opened = self.hub.open(
                    self.now,
                    ChannelOptions {
                        user,
                        encoding: Encoding::Format(match self.codec {
                            Codec::Json => 0,
                            Codec::Protobuf => 1,
                        }),
                        ..ChannelOptions::default()
                    },
                );
                let id = match opened {
                    Ok(id) => id,
                    Err(error) => return HubResult::Failed(error),
                };
                self.hub.hold(id, true).unwrap();
                self.id = Some(id);
                HubResult::Opened(id)
            }
            HubCall::Join(group, join) => {
                let joined = self.hub.join(self.now, self.id.unwrap(), &group, join);
                match joined {
                    Ok(Some(joined)) => HubResult::Joined(joined),
                    Ok(None) => self.output(|output| match output {
                        HubOutput::Joined(_, _, joined) => {
                            Some(joined.map_or_else(HubResult::Failed, HubResult::Joined))
                        }
                        _ => None,
                    }),
                    Err(error) => HubResult::Failed(error),
                }
            }
            HubCall::Publish {
                channel,
                message,
                info,
            } => {
                let options = PublishOptions {
                    info: Some(info.into()),
                    ..PublishOptions::default()
                };
                let message = PreparedMessage::from(message);
                let published = self
                    .hub
                    .publish(self.now, self.id, &channel, message, options, None);
                published.map_or_else(HubResult::Failed, |()| HubResult::Published)
            }
            HubCall::Presence(group) => self.query(Query::Presence(group)),
            HubCall::History(query) => self.query(Query::History(query)),
            other => panic!("{other:?}"),
        }
    }

    fn query(&mut self, query: Query) -> HubResult {
        if let Err(error) = self.hub.ask(query) {
            return HubResult::Failed(error);
        }
        self.output(|output| match output {
            HubOutput::Answer(_, Ok(QueryResult::History(history))) => {
                Some(HubResult::History(history))
            }
            HubOutput::Answer(_, Ok(QueryResult::Presence(presence))) => {
                Some(HubResult::Presence(presence))
            }
            _ => None,
        })
    }

    fn output(&mut self, mut pick: impl FnMut(HubOutput) -> Option<HubResult>) -> HubResult {
        loop {
            let output = self.hub.poll_output(self.now).expect("the hub answers");
            if let Some(result) = pick(output) {
                return result;
            }
        }
    }
}
