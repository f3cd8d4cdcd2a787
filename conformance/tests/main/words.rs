//! No verdict is worse than the word of the RFC that it stands on: only a MUST makes FAILED, a SHOULD at most NON-STRICT, anything else
//! INFORMATIONAL. Endpoints that do nothing right run all cases that stand on less than a MUST.

use std::time::Duration;

use sansws_conformance::engine::Patience;
use sansws_conformance::frame::{close, text};
use sansws_conformance::http::Head;
use sansws_conformance::run::memory::{self, Subject};
use sansws_conformance::script::{Opening, Setting};
use sansws_conformance::verdict::Word;
use sansws_conformance::{Peer, Verdict, cases};

use crate::naive_http2::{Make, NaiveHttp2};

/// The behaviour of an endpoint instead of the requested one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Whim {
    /// It says nothing.
    Silent,
    /// It ends TCP.
    Leaves,
    /// It answers the handshake with 599.
    Refuses,
    /// It closes with 1002.
    Fails,
    /// It closes with a code of its own.
    Closes,
    /// It sends text that nobody sent.
    Babbles,
}

const ALL: [Whim; 6] = [
    Whim::Silent,
    Whim::Leaves,
    Whim::Refuses,
    Whim::Fails,
    Whim::Closes,
    Whim::Babbles,
];

struct Whimsical {
    peer: Peer,
    whim: Whim,
    /// It completes the handshake first.
    opens: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    acted: bool,
}

impl Whimsical {
    fn act(&mut self) {
        if std::mem::replace(&mut self.acted, true) {
            return;
        }
        let key = (self.peer == Peer::Client).then_some([1, 2, 3, 4]);
        let refusal = Head::new("HTTP/1.1 599 No").with("Content-Length", "0");
        match self.whim {
            Whim::Silent | Whim::Leaves => {}
            Whim::Refuses => self.output.extend(refusal.write()),
            Whim::Fails => close(1002, "").write(key, &mut self.output),
            Whim::Closes => close(4321, "").write(key, &mut self.output),
            Whim::Babbles => text("babble").write(key, &mut self.output),
        }
    }
}

impl Subject for Whimsical {
    fn receive(&mut self, _: Duration, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if self.opens {
            let Some((head, length)) = Head::read(&self.input) else {
                return;
            };
            self.opens = false;
            if self.peer == Peer::Server {
                self.output.extend(Head::response(&head).write());
            }
            self.input.drain(..length);
            if self.input.is_empty() {
                return;
            }
        }
        self.act();
    }

    fn end_of_input(&mut self, _: Duration) {
        self.act();
    }

    fn output(&mut self, _: Duration) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn has_ended(&self) -> bool {
        // 5.5.1: once both have closed, the server ends TCP; that rule holds in all cases.
        self.acted && matches!(self.whim, Whim::Leaves | Whim::Fails | Whim::Closes)
    }
}

fn whimsical(peer: Peer, whim: Whim, opens: bool) -> Box<dyn Subject> {
    let setting = Setting::new(peer);
    Box::new(Whimsical {
        peer,
        whim,
        opens,
        input: Vec::new(),
        output: match peer {
            Peer::Server => Vec::new(),
            Peer::Client => Head::request("/", &setting.host, &setting.key()).write(),
        },
        acted: false,
    })
}

/// The endpoint on a stream of HTTP/2.
fn over_http2(peer: Peer, whim: Whim, raw: bool) -> Box<dyn Subject> {
    let opens = !raw || peer == Peer::Client;
    let make: Make = Box::new(move |peer| whimsical(peer, whim, opens));
    let mut endpoint = NaiveHttp2::new(peer, None, make);
    endpoint.lax = true;
    Box::new(endpoint)
}

#[test]
fn only_a_must_makes_a_failure() {
    let (mut ran, mut met) = (0, [0; 3]);
    for case in cases::all() {
        for peer in [Peer::Server, Peer::Client] {
            let word = case.word(peer);
            if !case.is_for(peer) || word == Word::Must {
                continue;
            }
            for whim in ALL {
                let setting = Setting {
                    quick: true,
                    ..Setting::new(peer)
                };
                // Without a handshake nothing of it stands on the case's word.
                let raw = case.script(&setting).opening == Opening::Raw;
                let endpoint = whimsical(peer, whim, !raw || peer == Peer::Client);
                let mut endpoint = match case.is_http2() {
                    false => endpoint,
                    true => over_http2(peer, whim, raw),
                };
                let patience = Patience::default();
                let outcome = memory::run(&case, &setting, patience, endpoint.as_mut());
                let worst = outcome.worst();
                let declined = worst == Verdict::Unimplemented;
                // Frames where HTTP belongs are no answer, whatever the case.
                let garbled = raw && peer == Peer::Server && whim >= Whim::Fails;
                assert!(
                    worst <= word.worst() || declined || garbled,
                    "{} stands on {word}, and {whim:?} as {} gets {worst}: {}",
                    case.id,
                    peer.as_str(),
                    outcome.says
                );
                ran += 1;
                for (count, verdict) in met.iter_mut().zip(Verdict::ALL) {
                    *count += u32::from(worst == verdict);
                }
            }
        }
    }
    // Each kind of verdict is met, so that the endpoints do reach the expectations.
    assert!(
        ran > 100 && met.iter().all(|count| *count > 5),
        "{ran} {met:?}"
    );
}
