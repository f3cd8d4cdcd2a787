//! tokio-tungstenite with an unbounded channel for each connection, after its
//! `server` example. There is a map of connections for each group, and a
//! message goes to its sender as well.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::{StreamExt, TryStreamExt, future};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::groups_of;
use crate::runtime::{self, ServeResult};
use crate::scenario::Mode;

type Members = HashMap<SocketAddr, UnboundedSender<Message>>;
type Groups = Mutex<HashMap<String, Members>>;

pub(super) fn serve(listener: TcpListener, _: Mode) -> ServeResult {
    let groups = Arc::new(Groups::default());
    runtime::tokio(listener, move |stream| connection(stream, groups.clone()))
}

async fn connection(stream: TcpStream, groups: Arc<Groups>) -> ServeResult {
    let address = stream.peer_addr()?;
    let mut names = Vec::new();
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let note = |request: &Request, response: Response| {
        let target = request.uri().path_and_query();
        names = groups_of(target.map_or("/", |target| target.as_str()));
        Ok(response)
    };
    let socket = accept_hdr_async(stream, note).await?;

    let (sender, receiver) = unbounded();
    with(&groups, |groups| {
        for name in &names {
            let members = groups.entry(name.clone()).or_default();
            members.insert(address, sender.clone());
        }
    });
    drop(sender);

    let (outgoing, incoming) = socket.split();
    let publish = incoming
        .try_filter(|message| future::ready(message.is_text() || message.is_binary()))
        .try_for_each(|message| {
            with(&groups, |groups| {
                let members = names.first().and_then(|name| groups.get(name));
                for member in members.into_iter().flat_map(HashMap::values) {
                    member.unbounded_send(message.clone()).ok();
                }
            });
            future::ok(())
        });
    let publish = pin!(publish);
    let forward = pin!(receiver.map(Ok).forward(outgoing));
    let ended = future::select(publish, forward).await;

    with(&groups, |groups| {
        for name in &names {
            if let Some(members) = groups.get_mut(name) {
                members.remove(&address);
            }
        }
    });
    ended.factor_first().0?;
    Ok(())
}

fn with(groups: &Groups, work: impl FnOnce(&mut HashMap<String, Members>)) {
    work(&mut groups.lock().unwrap_or_else(PoisonError::into_inner));
}
