//! The endpoint of the protocol: a route of a router, on any runtime.
//!
//! A connection's task drives its [`Session`]: it feeds it messages, answers, results, signals and time, and does what it wants done. One
//! question or call is in progress at a time.

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use sansws_async::app::{Handler, IntoHandler};
use sansws_async::hub::Hub;
use sansws_async::runtime::{Runtime, sleep};
use sansws_async::{Error, HubEnv, ReadHalf, Result, Transport, Upgrade, WriteHalf};
use sansws_core::close::CloseCode;
use sansws_core::handshake::AcceptOptions;
use sansws_core::hub::{ChannelOptions, Encoding, HubError, Signal};
use sansws_core::message::Message;
use sansws_core::time::Instant;

use crate::application::{Application, handler};
use crate::codes::{Disconnect, Refusal};
use crate::connections::{UserConnections, UserPermit};
use crate::farewell::Farewell;
use crate::options::Options;
use crate::protocol::{ClientInfo, Codec, ConnectRequest, PublishRequest, SubscribeRequest};
use crate::session::{Answer, Connect, HubCall, HubResult, Output, Question, Session, Subscribe};
use crate::token::TokenKeys;

/// The endpoint of the protocol.
///
/// ```ignore
/// let options = Options::default().namespace("chat", Namespace::default().subscribe());
/// let hub = Hub::with_options(options.configure(HubOptions::default()));
/// let centrifuge = Centrifuge::new(&hub, options)
///     .on_connect(async |request| Ok(Connect::user("ada")))
///     .on_rpc("echo", async |_, data| Ok(data));
/// let router = Router::new().route("/connection/websocket", centrifuge).hub(&hub);
/// ```
pub struct Centrifuge<R> {
    pub(crate) hub: Hub<R>,
    pub(crate) options: Arc<Options>,
    application: Application,
    users: UserConnections,
}

impl<R> Clone for Centrifuge<R> {
    fn clone(&self) -> Self {
        Self {
            hub: self.hub.clone(),
            options: Arc::clone(&self.options),
            application: self.application.clone(),
            users: self.users.clone(),
        }
    }
}

impl<R> fmt::Debug for Centrifuge<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Centrifuge")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

impl<R: Runtime + HubEnv> Centrifuge<R> {
    /// Creates an endpoint over a hub whose options [`Options::configure`] has prepared.
    pub fn new(hub: &Hub<R>, options: Options) -> Self {
        Self {
            hub: hub.clone(),
            options: Arc::new(options),
            application: Application::default(),
            users: UserConnections::default(),
        }
    }

    /// Accepts tokens that these keys verify, for connections and for subscriptions.
    #[must_use]
    pub fn tokens(mut self, keys: TokenKeys) -> Self {
        self.application.tokens = Some(keys);
        self
    }

    /// Decides who a client is that has no token. Without this handler, such clients are refused.
    #[must_use]
    pub fn on_connect<F>(
        mut self,
        call: impl Fn(ConnectRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Connect, Refusal>> + Send + 'static,
    {
        self.application.on_connect = Some(handler(call));
        self
    }

    /// Decides whether a client may subscribe without a token, in all namespaces.
    #[must_use]
    pub fn on_subscribe<F>(
        mut self,
        call: impl Fn(ClientInfo, SubscribeRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Subscribe, Refusal>> + Send + 'static,
    {
        self.application.on_subscribe =
            Some(handler(move |(client, request)| call(client, request)));
        self
    }

    /// Decides whether a client may publish where its namespace does not grant it; returns the payload to publish.
    #[must_use]
    pub fn on_publish<F>(
        mut self,
        call: impl Fn(ClientInfo, PublishRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Refusal>> + Send + 'static,
    {
        self.application.on_publish = Some(handler(move |(client, request)| call(client, request)));
        self
    }

    /// Adds a method that clients can call; it takes and returns a payload.
    #[must_use]
    pub fn on_rpc<F>(
        mut self,
        method: &str,
        call: impl Fn(ClientInfo, Vec<u8>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Refusal>> + Send + 'static,
    {
        let call = handler(move |(client, data)| call(client, data));
        self.application.methods.insert(method.into(), call);
        self
    }

    /// Takes messages that clients send without waiting for a reply.
    #[must_use]
    pub fn on_message<F>(
        mut self,
        call: impl Fn(ClientInfo, Vec<u8>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.application.on_message = Some(handler(move |(client, data)| call(client, data)));
        self
    }

    /// Decides until when a connection goes on, instead of verifying the token; `None`: it does not expire any more.
    #[must_use]
    pub fn on_refresh<F>(
        mut self,
        call: impl Fn(ClientInfo, String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<Instant>, Refusal>> + Send + 'static,
    {
        self.application.on_refresh = Some(handler(move |(client, token)| call(client, token)));
        self
    }

    /// Is called once for each client that had connected, when it is gone: with the server's code and reason, or those of its Close
    /// frame, or 1006 when the connection was lost.
    ///
    /// It is called also when a handler panicked, or when a shutdown dropped the connection, and must therefore not wait: to do more,
    /// send it to a task.
    #[must_use]
    pub fn on_disconnect(
        mut self,
        call: impl Fn(ClientInfo, Disconnect) + Send + Sync + 'static,
    ) -> Self {
        self.application.on_disconnect = Some(Arc::new(call));
        self
    }

    /// Runs a connection to its end.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn run<T: Transport + Send + 'static>(self, upgrade: Upgrade<T>) -> Result {
        let offers = upgrade.header("sec-websocket-protocol").unwrap_or_default();
        let is_protobuf = offers
            .split(',')
            .any(|offer| offer.trim() == Codec::PROTOBUF);
        let codec = if is_protobuf {
            Codec::Protobuf
        } else {
            Codec::Json
        };
        let socket = upgrade
            .accept_with(AcceptOptions {
                subprotocol: is_protobuf.then(|| Codec::PROTOBUF.to_owned()),
                ..AcceptOptions::default()
            })
            .await?;
        let (reader, writer) = socket.split();
        let farewell = Farewell::new(self.application.on_disconnect.clone());
        let connection = Connection {
            centrifuge: self,
            codec,
            writer,
            permit: OnceLock::new(),
        };
        connection.run(reader, farewell).await
    }
}

/// Distinguishes this endpoint from other handlers.
#[derive(Debug)]
pub enum Protocol {}

impl<T, R> IntoHandler<T, Protocol> for Centrifuge<R>
where
    T: Transport + Send + 'static,
    R: Runtime + HubEnv,
{
    type Running = Pin<Box<dyn Future<Output = Result> + Send>>;

    fn into_handler(self) -> Handler<T> {
        let run = move |upgrade: Upgrade<T>| {
            let this = self.clone();
            async move { this.run(upgrade).await }
        };
        run.into_handler()
    }
}

/// A connection, without its reading half.
struct Connection<T: Transport, R> {
    centrifuge: Centrifuge<R>,
    codec: Codec,
    writer: WriteHalf<T>,
    /// That of its user, if the number of its connections is limited.
    permit: OnceLock<UserPermit>,
}

/// An event that a connection's task waits for.
enum Event {
    Message(Option<Message>),
    Answer(Answer),
    Result(HubResult),
    Signal(Signal),
    Time,
}

type Work<'a> = Pin<Box<dyn Future<Output = Event> + Send + 'a>>;

/// Work in progress, which a session waits for.
enum Pending {
    Ask(Question),
    Call(HubCall),
}

impl<T: Transport + Send + 'static, R: Runtime + HubEnv> Connection<T, R> {
    async fn run(mut self, mut reader: ReadHalf<T>, mut farewell: Farewell) -> Result {
        let result = self.serve(&mut reader, &mut farewell).await;
        farewell.note_closed(reader.closed());
        let Some(end) = result? else { return Ok(()) };
        let code = CloseCode::new(end.code).unwrap_or(CloseCode::INTERNAL);
        self.writer.start_close(Some(code), &end.reason);
        farewell.note_end(&end);
        Ok(())
    }

    /// Serves the client until it leaves; returns how the server ends the connection, if it does.
    async fn serve(
        &mut self,
        reader: &mut ReadHalf<T>,
        farewell: &mut Farewell,
    ) -> Result<Option<Disconnect>> {
        let options = Arc::clone(&self.centrifuge.options);
        let mut session = Session::new(options, self.codec, now::<R>());
        loop {
            farewell.note_client(session.client());
            let mut pending = None;
            while pending.is_none()
                && let Some(output) = session.poll()
            {
                match output {
                    Output::Ask(question) => pending = Some(Pending::Ask(question)),
                    Output::Call(call) => pending = Some(Pending::Call(call)),
                    Output::Send(message) => self.writer.send(message).await?,
                    other => {
                        if let Some(end) = self.act(other).await? {
                            return Ok(Some(end));
                        }
                    }
                }
            }
            let mut work = pending.map(|pending| self.work(&session, pending));
            loop {
                let is_working = work.is_some();
                let event = self.next(&session, reader, work.as_mut()).await?;
                let is_done = matches!(event, Event::Answer(_) | Event::Result(_));
                match event {
                    Event::Message(None) => return Ok(None),
                    Event::Message(Some(message)) => session.receive(now::<R>(), &message),
                    Event::Answer(answer) => session.answer(now::<R>(), answer),
                    Event::Result(result) => session.hub_result(now::<R>(), result),
                    Event::Signal(signal) => session.signal(now::<R>(), &signal),
                    Event::Time => session.tick(now::<R>()),
                }
                if is_done || !is_working {
                    break;
                }
                // The connection is lent to the work: what is due meanwhile goes through the queue.
                while let Some(output) = session.poll() {
                    if let Some(end) = self.act(output).await? {
                        return Ok(Some(end));
                    }
                }
            }
        }
    }

    /// Does what a session wants done; returns how the connection ends, if it does.
    async fn act(&self, output: Output) -> Result<Option<Disconnect>> {
        match output {
            Output::Send(message) | Output::SendInOrder(message) => {
                self.writer.send_in_order(&message).await?;
            }
            Output::Leave(channel) => drop(self.writer.leave(&channel)?),
            Output::Release => self.writer.hold_queue(false)?,
            Output::Close(end) => return Ok(Some(end)),
            Output::Ask(_) | Output::Call(_) => {}
        }
        Ok(None)
    }

    /// Waits for the next event.
    async fn next(
        &self,
        session: &Session,
        reader: &mut ReadHalf<T>,
        mut work: Option<&mut Work<'_>>,
    ) -> Result<Event> {
        let wants_input = session.wants_input();
        let is_open = session.client().is_some();
        let wait = session.deadline().map(|at| {
            let wait = at.as_micros().saturating_sub(now::<R>().as_micros());
            Duration::from_micros(wait)
        });
        let mut time = pin!(async {
            match wait {
                Some(wait) => sleep::<R>(wait).await,
                None => pending().await,
            }
        });
        let mut signal = pin!(self.writer.signal());
        let mut message = pin!(reader.receive());
        poll_fn(|cx| {
            if let Some(work) = &mut work
                && let Poll::Ready(event) = work.as_mut().poll(cx)
            {
                return Poll::Ready(Ok(event));
            }
            if is_open && let Poll::Ready(signal) = signal.as_mut().poll(cx) {
                return Poll::Ready(Ok(Event::Signal(signal?)));
            }
            if wants_input && let Poll::Ready(message) = message.as_mut().poll(cx) {
                return Poll::Ready(Ok(Event::Message(message?)));
            }
            time.as_mut().poll(cx).map(|()| Ok(Event::Time))
        })
        .await
    }

    fn work<'a>(&'a self, session: &Session, pending: Pending) -> Work<'a> {
        let client = session.client().cloned().unwrap_or_default();
        match pending {
            Pending::Ask(question) => Box::pin(async {
                let Centrifuge {
                    application,
                    options,
                    ..
                } = &self.centrifuge;
                let answer = application.answer(options, now::<R>(), client, question);
                Event::Answer(answer.await)
            }),
            Pending::Call(call) => Box::pin(async {
                let result = self.call(call).await;
                Event::Result(result.unwrap_or_else(|error| match error {
                    Error::Hub(error) => HubResult::Failed(error),
                    _ => HubResult::Failed(HubError::Gone),
                }))
            }),
        }
    }

    async fn call(&self, call: HubCall) -> Result<HubResult, Error> {
        let hub = &self.centrifuge.hub;
        Ok(match call {
            HubCall::Open { user } => {
                if let (Some(user), Some(most)) = (&user, self.centrifuge.options.user_connections)
                {
                    let Some(permit) = self.centrifuge.users.admit(user, most) else {
                        return Ok(HubResult::Failed(HubError::TooManyChannels));
                    };
                    self.permit.get_or_init(|| permit);
                }
                let id = self.writer.open_channel(ChannelOptions {
                    user,
                    encoding: Encoding::Format(self.codec.format()),
                    ..ChannelOptions::default()
                })?;
                self.writer.hold_queue(true)?;
                HubResult::Opened(id)
            }
            HubCall::Join(channel, join) => {
                HubResult::Joined(self.writer.join_with(&channel, join).await?)
            }
            HubCall::Publish {
                channel,
                message,
                info,
            } => {
                let publish = self.writer.publish(channel.to_string(), message);
                publish.info(&info).await?;
                HubResult::Published
            }
            HubCall::Presence(channel) => HubResult::Presence(hub.presence(&channel).await?),
            HubCall::History(query) => HubResult::History(hub.query_history(query).await?),
        })
    }
}

fn now<R: HubEnv>() -> Instant {
    R::now()
}
