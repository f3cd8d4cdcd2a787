//! One promise, four adapters: rude peers, which are no library, receive equal bytes from each server, and each client reports odd servers
//! in equal words.

#[cfg(target_os = "linux")]
mod addresses;
mod always;
mod authentication;
mod both_ways;
mod clients;
mod control;
mod dialing;
mod ending;
mod events;
mod extremes;
#[cfg(unix)]
mod listening;
mod losses;
mod pages;
mod per_address;
mod reconnecting;
mod requests;
mod scripts;
mod servers;
mod streams;
mod telling;

/// An adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    Tokio,
    Smol,
    Std,
    Mio,
}

impl Adapter {
    pub const ALL: [Self; 4] = [Self::Tokio, Self::Smol, Self::Std, Self::Mio];
}

/// Does the same on all adapters at once, and returns what came of it.
pub fn on_each<R: Send>(work: impl Fn(Adapter) -> R + Sync) -> Vec<(Adapter, R)> {
    std::thread::scope(|scope| {
        let started = Adapter::ALL.map(|adapter| {
            let work = &work;
            (adapter, scope.spawn(move || work(adapter)))
        });
        let ended = started.map(|(adapter, running)| {
            let result = running.join();
            (
                adapter,
                result.unwrap_or_else(|_| panic!("{adapter:?} failed")),
            )
        });
        ended.into()
    })
}
