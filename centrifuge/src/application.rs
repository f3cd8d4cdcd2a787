//! The application's handlers, behind tokens and options.
//! Each question of a session has its answer here; without a handler that grants it, the answer is no.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sansws_core::time::Instant;

use crate::codes::{ClientError, Disconnect, Refusal};
use crate::farewell::OnDisconnect;
use crate::options::Options;
use crate::protocol::{ClientInfo, ConnectRequest, PublishRequest, SubscribeRequest};
use crate::session::{Answer, Connect, Question, Subscribe};
use crate::token::{TokenError, TokenKeys};

type Answering<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send>>;
type Handler<A, T> = Arc<dyn Fn(A) -> Answering<T> + Send + Sync>;

/// A method that clients call.
type Method = Handler<(ClientInfo, Vec<u8>), Vec<u8>>;

/// The handlers. All are optional.
#[derive(Clone, Default)]
pub(crate) struct Application {
    pub(crate) tokens: Option<TokenKeys>,
    pub(crate) on_connect: Option<Handler<ConnectRequest, Connect>>,
    pub(crate) on_subscribe: Option<Handler<(ClientInfo, SubscribeRequest), Subscribe>>,
    pub(crate) on_publish: Option<Handler<(ClientInfo, PublishRequest), Vec<u8>>>,
    pub(crate) on_message: Option<Handler<(ClientInfo, Vec<u8>), ()>>,
    pub(crate) on_refresh: Option<Handler<(ClientInfo, String), Option<Instant>>>,
    pub(crate) on_disconnect: Option<OnDisconnect>,
    pub(crate) methods: BTreeMap<String, Method>,
}

/// Erases the type of a handler.
pub(crate) fn handler<A, T, F>(call: impl Fn(A) -> F + Send + Sync + 'static) -> Handler<A, T>
where
    F: Future<Output = Result<T, Refusal>> + Send + 'static,
{
    Arc::new(move |argument| Box::pin(call(argument)))
}

impl Application {
    /// Answers a question of a session.
    pub(crate) async fn answer(
        &self,
        options: &Options,
        now: Instant,
        client: ClientInfo,
        question: Question,
    ) -> Answer {
        let answer = match question {
            Question::Connect(request) => self.connect(options, now, request).await,
            Question::Subscribe(request, granted) => {
                self.subscribe(now, client, request, granted).await
            }
            Question::Publish(request) => match &self.on_publish {
                Some(handler) => handler((client, request)).await.map(Answer::Data),
                None => Err(ClientError::permission_denied().into()),
            },
            Question::Rpc(request) => match self.methods.get(&request.method) {
                Some(handler) => handler((client, request.data)).await.map(Answer::Data),
                None if self.methods.is_empty() => Err(ClientError::not_available().into()),
                None => Err(ClientError::method_not_found().into()),
            },
            Question::Message(data) => match &self.on_message {
                Some(handler) => handler((client, data))
                    .await
                    .map(|()| Answer::Data(Vec::new())),
                None => Err(Disconnect::not_available().into()),
            },
            Question::Refresh(token) => self.refresh(now, client, token).await,
            Question::SubRefresh(request) => match &self.tokens {
                Some(keys) => keys
                    .subscription(now, &request.token, &client.user, &request.channel)
                    .map(|grant| Answer::Expires(grant.expires))
                    .map_err(|error| of_token(error, ClientError::permission_denied().into())),
                None => Err(ClientError::not_available().into()),
            },
        };
        answer.unwrap_or_else(Answer::Refused)
    }

    async fn connect(
        &self,
        options: &Options,
        now: Instant,
        request: ConnectRequest,
    ) -> Result<Answer, Refusal> {
        if let (Some(keys), false) = (&self.tokens, request.token.is_empty()) {
            let connect = keys.connection(now, &request.token);
            let connect =
                connect.map_err(|error| of_token(error, Disconnect::invalid_token().into()));
            return connect.map(Answer::Connect);
        }
        if let Some(handler) = &self.on_connect {
            return handler(request).await.map(Answer::Connect);
        }
        if options.insecure || options.anonymous {
            return Ok(Answer::Connect(Connect::default()));
        }
        Err(Disconnect::bad_request().into())
    }

    async fn subscribe(
        &self,
        now: Instant,
        client: ClientInfo,
        request: SubscribeRequest,
        granted: bool,
    ) -> Result<Answer, Refusal> {
        if let (Some(keys), false) = (&self.tokens, request.token.is_empty()) {
            let grant = keys.subscription(now, &request.token, &client.user, &request.channel);
            let grant =
                grant.map_err(|error| of_token(error, ClientError::permission_denied().into()));
            return grant.map(Answer::Subscribe);
        }
        if let Some(handler) = &self.on_subscribe {
            return handler((client, request)).await.map(Answer::Subscribe);
        }
        if granted {
            return Ok(Answer::Subscribe(Subscribe::default()));
        }
        Err(ClientError::permission_denied().into())
    }

    async fn refresh(
        &self,
        now: Instant,
        client: ClientInfo,
        token: String,
    ) -> Result<Answer, Refusal> {
        if let Some(handler) = &self.on_refresh {
            return handler((client, token)).await.map(Answer::Expires);
        }
        let keys = self
            .tokens
            .as_ref()
            .ok_or_else(ClientError::not_available)?;
        let invalid = || Refusal::from(Disconnect::invalid_token());
        let connect = keys.connection(now, &token);
        let connect = connect.map_err(|error| of_token(error, invalid()))?;
        if connect.user != client.user {
            return Err(invalid());
        }
        Ok(Answer::Expires(connect.expires))
    }
}

fn of_token(error: TokenError, invalid: Refusal) -> Refusal {
    match error {
        TokenError::Expired => ClientError::token_expired().into(),
        TokenError::Invalid => invalid,
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<&String> = self.methods.keys().collect();
        f.debug_struct("Application")
            .field("tokens", &self.tokens)
            .field("methods", &methods)
            .finish_non_exhaustive()
    }
}
