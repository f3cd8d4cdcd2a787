//! Watches a peer over the cases of a run: whether it is still there, and which waits are in vain.
//! Knows no case's meaning, and no socket.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::case::Case;
use crate::engine::{Outcome, Patience, Waited};

/// Number of cases in a row that may be lost to silence before the peer is taken for dead.
const MOST_MUTE: u32 = 30;

/// Number of waits in vain after which waits of the same kind become short, and after which they become shorter.
const SHORT: u32 = 5;
const SHORTER: u32 = 20;

/// The shortest waits.
const LEAST_SILENCE: Duration = Duration::from_millis(200);
const LEAST_LINGER: Duration = Duration::from_millis(50);

/// The knowledge of a peer so far.
#[derive(Debug)]
pub struct Watch {
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first of the cases in a row that were lost to silence, and their number.
    mute: Option<(String, u32)>,
    /// Waits in vain for an answer, by family.
    late: BTreeMap<u32, u32>,
    /// Waits in vain for the end of TCP.
    lingering: u32,
    over: Option<String>,
}

impl Watch {
    /// Creates one, with the patience of a peer that is well.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            state: Mutex::default(),
        }
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut State) -> R) -> R {
        use_it(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the patience for a case: waits that were in vain before are shorter.
    pub fn patience(&self, case: &Case) -> Patience {
        let (late, lingering) = self.with(|state| {
            let late = state.late.get(&case.family()).copied().unwrap_or_default();
            (late, state.lingering)
        });
        let Patience {
            silence, linger, ..
        } = self.patience;
        Patience {
            silence: match late {
                0..SHORT => silence,
                SHORT..SHORTER => (silence / 5).max(LEAST_SILENCE.min(silence)),
                SHORTER.. => (silence / 20).max(LEAST_SILENCE.min(silence)),
            },
            linger: match lingering {
                0..SHORT => linger,
                SHORT.. => LEAST_LINGER.min(linger),
            },
            ..self.patience
        }
    }

    /// Takes the outcome of a case.
    pub fn saw(&self, case: &Case, outcome: &Outcome) {
        self.with(|state| match outcome.waited {
            Some(Waited::Answer) => {
                *state.late.entry(case.family()).or_default() += 1;
                let (_, count) = state.mute.get_or_insert_with(|| (case.id.clone(), 0));
                *count += 1;
            }
            Some(Waited::End) => state.lingering += 1,
            None => state.mute = None,
        });
    }

    /// Returns whether so many cases in a row were lost to silence that the peer may be dead. Returns it once: tell by
    /// [`alive`](Self::alive) what was found.
    pub fn suspects(&self) -> bool {
        self.with(|state| {
            let Some((_, count)) = &mut state.mute else {
                return false;
            };
            let many = *count >= MOST_MUTE;
            if many {
                *count = 0;
            }
            many
        })
    }

    /// Takes the result of a look at a peer that was suspected.
    pub fn alive(&self, alive: bool) {
        self.with(|state| {
            let mute = state.mute.take();
            if let (Some((since, _)), false) = (mute, alive) {
                let silent = || format!("silent since case {since}");
                state.over.get_or_insert_with(silent);
            }
        });
    }

    /// The peer cannot be reached any more.
    pub fn gone(&self, case: &Case, why: &str) {
        self.with(|state| {
            let gone = || format!("gone since case {}: {why}", case.id);
            state.over.get_or_insert_with(gone);
        });
    }

    /// Returns why no more cases are run, if so.
    pub fn over(&self) -> Option<String> {
        self.with(|state| state.over.clone())
    }

    /// Returns what a reader of the results must know.
    pub fn notes(&self) -> Vec<String> {
        self.with(|state| {
            let short = |(family, late): (&u32, &u32)| {
                (*late > SHORT).then(|| {
                    format!("after {SHORT} waits for an answer in vain, cases {family}.* waited shorter")
                })
            };
            let lingering = (state.lingering > SHORT).then(|| {
                format!("after {SHORT} waits for the end of TCP in vain, cases waited at most {LEAST_LINGER:?} for it")
            });
            state.late.iter().filter_map(short).chain(lingering).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    fn case(id: &str) -> Case {
        crate::case::case(id, "", "", "", |_| Script::new())
    }

    fn outcome(waited: Option<Waited>) -> Outcome {
        Outcome {
            waited,
            ..Outcome::failed("")
        }
    }

    #[test]
    fn waits_shrink_after_the_same_failure_and_only_then() {
        let full = Patience::default();
        let watch = Watch::new(full);
        for _ in 0..SHORT {
            assert_eq!(watch.patience(&case("6.1")), full);
            watch.saw(&case("6.1"), &outcome(Some(Waited::Answer)));
            watch.saw(&case("6.2"), &outcome(None));
        }
        assert_eq!(watch.patience(&case("6.3")).silence, full.silence / 5);
        assert_eq!(watch.patience(&case("7.1")), full);
        assert_eq!(watch.notes().len(), 0);
        for _ in SHORT..=SHORTER {
            watch.saw(&case("6.1"), &outcome(Some(Waited::Answer)));
            watch.saw(&case("6.1"), &outcome(Some(Waited::End)));
        }
        assert_eq!(watch.patience(&case("6.3")).silence, full.silence / 20);
        assert_eq!(watch.patience(&case("7.1")).silence, full.silence);
        assert_eq!(watch.patience(&case("7.1")).linger, LEAST_LINGER);
        assert_eq!(watch.notes().len(), 2, "{:?}", watch.notes());
        assert_eq!(watch.over(), None);
    }

    #[test]
    fn a_peer_that_says_nothing_any_more_is_given_up() {
        let watch = Watch::new(Patience::default());
        for number in 1..MOST_MUTE {
            watch.saw(
                &case(&format!("1.{number}")),
                &outcome(Some(Waited::Answer)),
            );
        }
        watch.saw(&case("2.1"), &outcome(None));
        assert!(!watch.suspects());
        for number in 1..=MOST_MUTE {
            watch.saw(
                &case(&format!("3.{number}")),
                &outcome(Some(Waited::Answer)),
            );
        }
        assert!(watch.suspects() && !watch.suspects());
        watch.alive(false);
        assert_eq!(watch.over().unwrap(), "silent since case 3.1");
        watch.gone(&case("4.1"), "refused");
        assert_eq!(watch.over().unwrap(), "silent since case 3.1");
    }
}
