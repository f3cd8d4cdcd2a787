//! Clients on a loop: names, TCP, proxies, TLS, redirects, and the opening handshake.
//! RFC 6455 section 4.1; RFC 9110 section 9.3.6 and RFC 1928 for proxies.
//! Knows when to go on; `sansws-core` decides on steps.

use std::any::Any;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use mio::Token;
use sansws_common::ConnectOptions;
use sansws_common::client::trace;
use sansws_common::contain::contain;
use sansws_common::error::{Error, Result};
use sansws_core::connection::Connection;
use sansws_core::handshake::Redirects;
use sansws_core::http::Url;

use super::connecting::{Connecting, Phase, Shaking, tunnel};
use super::peer::{Attached, Peer, Pending, Stage};
use super::{Handler, Loop};
use crate::id::ConnectionId;
use crate::stream::Stream;

/// Number of threads that look up names for one loop.
const RESOLVERS: usize = 4;

/// A name to look up, and whom to tell.
type LookUp = Box<dyn FnOnce() + Send>;

/// Looks up names, on threads of its own: the system's resolver blocks.
#[derive(Default)]
pub(super) struct Resolver(Option<Sender<LookUp>>);

impl Resolver {
    fn look_up(&mut self, work: LookUp) -> Result<(), Error> {
        let queue = match &self.0 {
            Some(queue) => queue,
            None => {
                let (queue, work) = channel::<LookUp>();
                let work = Arc::new(Mutex::new(work));
                for _ in 0..RESOLVERS {
                    let work = Arc::clone(&work);
                    let named = thread::Builder::new().name("sansws-resolver".into());
                    let started = named.spawn(move || {
                        loop {
                            let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
                            match next {
                                Ok(next) => next(),
                                Err(_) => return,
                            }
                        }
                    });
                    started.map_err(|error| Error::no_thread(&error))?;
                }
                self.0.insert(queue)
            }
        };
        let sent = queue.send(work);
        Ok(sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?)
    }
}

/// The result of a step.
enum Next {
    Step,
    /// Wait for the socket, or for what is looked up.
    Wait,
    Open,
}

impl Loop {
    /// Starts to connect; the endpoint of `handler` is told how it ends, and so is `tracing` if this `is_traced`.
    pub(crate) fn connect(
        &mut self,
        url: Url,
        dial: ConnectOptions,
        handler: Handler,
        data: Box<dyn Any>,
        is_traced: bool,
    ) -> Result<ConnectionId, Error> {
        if self.is_ending {
            return Err(Error::other(
                "the loop is ending: it opens no more connections",
            ));
        }
        let serial = self.next_serial();
        let traced = is_traced.then(|| url.clone());
        if let Some(url) = &traced {
            trace::connects(url);
        }
        let connecting = Connecting {
            phase: Phase::Resolving,
            traced,
            redirects: Redirects::new(url, dial.options.clone(), dial.redirects),
            deadline: None,
            lookup: None,
            is_given_up: false,
            dial,
            handler,
            data,
        };
        let stage = Stage::Connecting(Box::new(connecting));
        let mut peer = Peer::new(serial, Stream::unconnected(), stage);
        peer.flags.client = true;
        let slot = self.peers.insert(Box::new(peer));
        self.clients += 1;
        // It begins at the end of this turn: no callback is called from another one.
        self.come_again(slot);
        Ok(ConnectionId {
            home: self.mailbox.home(),
            slot: u32::try_from(slot).unwrap_or(u32::MAX),
            serial,
        })
    }

    /// One turn: does all that can be done now.
    pub(super) fn connecting_turn(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let Stage::Connecting(mut connecting) = std::mem::replace(&mut peer.stage, Stage::Over)
        else {
            return;
        };
        loop {
            if connecting.is_given_up {
                return self.fail_to_connect(slot, *connecting, aborted());
            }
            // It may call code of the application: a verifier of certificates.
            let next = contain(|| self.dial_step(slot, &mut connecting));
            let next = match next.and_then(|next| next) {
                Err(Error::Io(error))
                    if error.kind() == io::ErrorKind::WouldBlock
                        && connecting.deadline.is_some_and(|at| at <= self.now) =>
                {
                    Err(Self::late(&mut connecting))
                }
                next => next,
            };
            let next = match next {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    Ok(Next::Wait)
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {
                    Ok(Next::Step)
                }
                Err(Error::Refused(response)) => self.redirect(slot, &mut connecting, response),
                next => next,
            };
            match next {
                Ok(Next::Step) => {}
                Ok(Next::Wait) => {
                    if let Some(peer) = self.peers.get_mut(slot) {
                        peer.stage = Stage::Connecting(connecting);
                    }
                    return;
                }
                Ok(Next::Open) => {
                    if let Some(url) = &connecting.traced {
                        trace::connect_ended(url, None);
                        if let (Some(url), Some(peer)) =
                            (trace::wanted(url), self.peers.get_mut(slot))
                        {
                            peer.ending().tell_client(url);
                        }
                    }
                    self.opened(slot);
                    return self.open_turn(slot);
                }
                Err(error) => return self.fail_to_connect(slot, *connecting, error),
            }
        }
    }

    /// Returns the error of a deadline; if only the rest of a refusal is late, the refusal.
    fn late(connecting: &mut Connecting) -> Error {
        if let Phase::Handshake(shaking) = &mut connecting.phase
            && shaking.is_refused()
            && let Some(refused) = shaking.give_up()
        {
            return refused;
        }
        connecting.timeout()
    }

    /// Follows a redirect, if that is allowed.
    fn redirect(
        &mut self,
        slot: usize,
        connecting: &mut Connecting,
        response: Box<sansws_core::http::Response>,
    ) -> Result<Next, Error> {
        if !connecting.redirects.follow(&response)? {
            return Err(Error::Refused(response));
        }
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.stream.deregister(&self.registry);
            peer.stream = Stream::unconnected();
        }
        connecting.phase = Phase::Resolving;
        Ok(Next::Step)
    }

    /// Goes on by one step.
    fn dial_step(&mut self, slot: usize, connecting: &mut Connecting) -> Result<Next, Error> {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else {
            return Ok(Next::Wait);
        };
        let timeouts = &connecting.dial.config.timeouts;
        match &mut connecting.phase {
            Phase::Resolving => {
                if connecting.lookup.is_some() {
                    return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
                }
                connecting.deadline = timeouts.connect.map(|wait| now + wait);
                match known_addresses(connecting.url(), &connecting.dial) {
                    Some(addresses) => connecting.race(addresses),
                    None => {
                        let (host, port) = connecting.dial.first_hop(connecting.redirects.url());
                        let host = String::from(host);
                        let lookup = connecting.lookup.insert(Arc::new(()));
                        let lookup = Arc::downgrade(lookup);
                        return self.resolve(slot, lookup, host, port).map(|()| Next::Wait);
                    }
                }
            }
            Phase::Racing(race) => {
                let step = race.step(now, &self.registry, Token(slot));
                let step = step.map_err(|error| {
                    let url = connecting.redirects.url();
                    connecting.dial.dial_failed(url, error)
                });
                let Some(socket) = step? else {
                    if connecting.deadline.is_none_or(|at| at > now) {
                        return Ok(Next::Wait);
                    }
                    race.end(&self.registry);
                    return Err(Error::ConnectTimeout(None));
                };
                if let Ok(address) = socket.peer_addr() {
                    connecting.dial.reached(address);
                }
                peer.stream = Stream::tcp(socket);
                connecting.phase = Phase::Connected;
            }
            Phase::Connected => {
                connecting.deadline = timeouts.connect.map(|wait| now + wait);
                let limits = &connecting.dial.config.limits;
                let url = connecting.redirects.url();
                match connecting.dial.proxy_for(url) {
                    None => connecting.phase = Phase::Reached,
                    #[cfg(feature = "tls")]
                    Some(proxy) if proxy.is_secure() && peer.stream.tls().is_none() => {
                        let config = connecting.dial.proxy_tls.clone();
                        let host = proxy.host().to_owned();
                        self.secure(slot, &host, config)?;
                        connecting.phase = Phase::ProxyTls;
                    }
                    #[cfg(not(feature = "tls"))]
                    Some(proxy) if proxy.is_secure() => {
                        return Err(Error::other("an https:// proxy needs the feature `tls`"));
                    }
                    Some(proxy) => {
                        let handshake = proxy.handshake(url.host(), url.port(), limits)?;
                        connecting.phase = Phase::Tunnel(Box::new(handshake));
                    }
                }
            }
            #[cfg(feature = "tls")]
            Phase::ProxyTls => {
                peer.stream.shake_hands()?;
                connecting.phase = Phase::Connected;
            }
            Phase::Tunnel(handshake) => {
                tunnel(handshake, &mut peer.stream)?;
                connecting.phase = Phase::Reached;
            }
            Phase::Reached => {
                // Both handshakes share one timeout.
                connecting.deadline = timeouts.handshake.map(|wait| now + wait);
                let url = connecting.redirects.url();
                if url.is_secure() {
                    #[cfg(feature = "tls")]
                    {
                        let (host, config) = (url.host().to_owned(), connecting.dial.tls.clone());
                        self.secure(slot, &host, config)?;
                        connecting.phase = Phase::Tls;
                    }
                    #[cfg(not(feature = "tls"))]
                    return Err(Error::other("wss:// needs the feature `tls`"));
                } else {
                    connecting.phase = shaking(connecting)?;
                }
            }
            #[cfg(feature = "tls")]
            Phase::Tls => {
                peer.stream.shake_hands()?;
                connecting.phase = shaking(connecting)?;
            }
            Phase::Handshake(shaking) => {
                let answer = shaking.step(&mut peer.stream);
                if answer.is_err() && shaking.is_refused() {
                    let until = timeouts.refusal_until(now, connecting.deadline);
                    connecting.deadline = Some(until);
                }
                let (opened, seed, rest) = answer?;
                let config = Arc::clone(&connecting.dial.config);
                let connection = Connection::client(config, &opened.agreement, seed, now);
                let data = std::mem::replace(&mut connecting.data, Box::new(()));
                let handler = connecting.handler.endpoint().cloned().ok_or(Error::Panic)?;
                let adopted = contain(|| handler.call(|host| host.adopt(data)));
                let Some(key) = adopted?.flatten() else {
                    return Err(Error::Panic);
                };
                let Some(peer) = self.peers.get_mut(slot) else {
                    return Ok(Next::Wait);
                };
                peer.stage = Stage::Open(connection);
                peer.endpoint = Some(Attached { handler, key });
                peer.extras().opened = Some(Box::new(opened));
                peer.flags.readable = true;
                if !rest.is_empty() {
                    peer.flags.held = true;
                    peer.pending = Some(Box::new(Pending {
                        kept: rest,
                        ..Pending::default()
                    }));
                }
                return Ok(Next::Open);
            }
        }
        Ok(Next::Step)
    }

    /// Looks up a name; the connection goes on when the answer is there. A lookup that nobody waits for any more is skipped.
    fn resolve(
        &mut self,
        slot: usize,
        lookup: Weak<()>,
        host: String,
        port: u16,
    ) -> Result<(), Error> {
        let handle = self.handle();
        let work = move || {
            if lookup.strong_count() == 0 {
                return;
            }
            let found = (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            handle.run(move |within| within.resolved(slot, &lookup, found));
        };
        self.resolver.look_up(Box::new(work))
    }

    fn resolved(&mut self, slot: usize, lookup: &Weak<()>, found: io::Result<Vec<SocketAddr>>) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let Stage::Connecting(connecting) = &mut peer.stage else {
            return;
        };
        let awaited = connecting
            .lookup
            .take_if(|own| Weak::ptr_eq(&Arc::downgrade(own), lookup));
        if awaited.is_none() {
            return;
        }
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(error) => {
                if let Stage::Connecting(connecting) =
                    std::mem::replace(&mut peer.stage, Stage::Over)
                {
                    let error = connecting.dial.lookup_failed(connecting.url(), error);
                    self.fail_to_connect(slot, *connecting, error);
                }
                return;
            }
        };
        connecting.race(addresses);
        self.turn(slot);
    }

    /// Adds TLS to a stream, inside what there is. Without a configuration, the roots of the system are trusted.
    #[cfg(feature = "tls")]
    fn secure(
        &mut self,
        slot: usize,
        host: &str,
        config: Option<Arc<rustls::ClientConfig>>,
    ) -> Result<(), Error> {
        let config = match config {
            Some(config) => config,
            None => sansws_common::tls::shared_client()?,
        };
        let connection = super::connecting::tls(host, config)?;
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.stream.secure(connection);
        }
        Ok(())
    }

    /// Gives a connection up that is not open yet, because the loop ends; returns whether it was one.
    pub(super) fn give_up_connecting(&mut self, slot: usize) -> bool {
        let Some(peer) = self.peers.get_mut(slot) else {
            return false;
        };
        match std::mem::replace(&mut peer.stage, Stage::Over) {
            Stage::Connecting(connecting) => {
                self.fail_to_connect(slot, *connecting, aborted());
                true
            }
            stage => {
                peer.stage = stage;
                false
            }
        }
    }

    /// Tells the endpoint that a connection was not opened, and forgets it.
    fn fail_to_connect(&mut self, slot: usize, connecting: Connecting, error: Error) {
        let Connecting {
            mut phase,
            traced,
            handler,
            data,
            dial,
            redirects,
            ..
        } = connecting;
        if let Phase::Racing(race) = &mut phase {
            race.end(&self.registry);
        }
        self.remove(slot);
        let error = dial.name_timeout(redirects.url(), error);
        if let Some(url) = &traced {
            trace::connect_ended(url, Some(&error));
        }
        self.tell_failure(&handler, data, error);
    }

    /// Keeps a client that waits, so that it learns of the end of the loop; returns its key.
    pub(crate) fn keep_client(&mut self, client: Handler) -> usize {
        self.waiting.insert(client)
    }

    /// Lets a client go that has waited.
    pub(crate) fn release_client(&mut self, key: usize) {
        drop(self.waiting.try_remove(key));
    }

    /// Tells all waiting clients that there is no other connection.
    pub(super) fn end_waiting(&mut self) {
        for client in std::mem::take(&mut self.waiting).drain() {
            self.tell_failure(&client, Box::new(()), aborted());
        }
    }

    /// Tells an endpoint that there is no connection; it gets the data back.
    pub(crate) fn tell_failure(&mut self, handler: &Handler, data: Box<dyn Any>, error: Error) {
        let called = contain(|| handler.call(|host| host.failed(self, data, error)));
        if called.is_err() {
            let _ = contain(|| tracing::error!("a callback of a client panicked"));
        }
    }
}

/// Returns the error of a connection that is given up before it is open.
pub(crate) fn aborted() -> Error {
    io::Error::from(io::ErrorKind::ConnectionAborted).into()
}

/// Returns the addresses of the first hop, if they need not be looked up.
fn known_addresses(url: &Url, dial: &ConnectOptions) -> Option<Vec<SocketAddr>> {
    if let Some(addresses) = dial.addresses(url) {
        return Some(addresses);
    }
    let (host, port) = dial.first_hop(url);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok()?;
    Some(vec![SocketAddr::new(address, port)])
}

fn shaking(connecting: &Connecting) -> Result<Phase, Error> {
    let shaking = Shaking::new(connecting.url(), &connecting.redirects, &connecting.dial)?;
    Ok(Phase::Handshake(Box::new(shaking)))
}
