//! A run in memory, in virtual time: no socket, no waiting.
//! Any sans-IO endpoint can be the [`Subject`].

use std::time::Duration;

use crate::case::Case;
use crate::engine::{Outcome, Patience, Run, Wire};
use crate::inbox::End;
use crate::script::Setting;

/// An endpoint under test that is a state machine and echoes each message.
pub trait Subject {
    /// Takes received bytes.
    fn receive(&mut self, now: Duration, bytes: &[u8]);

    /// The suite shut down its side of TCP.
    fn end_of_input(&mut self, now: Duration);

    /// Returns the bytes to write now.
    fn output(&mut self, now: Duration) -> Vec<u8>;

    /// Returns whether its side of TCP is over, once its output was taken.
    fn has_ended(&self) -> bool;

    /// Returns whether it wants to read.
    fn wants_input(&self) -> bool {
        true
    }

    /// Returns when to call it for a timeout.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Handles the passage of time.
    fn tick(&mut self, now: Duration) {
        let _ = now;
    }
}

/// Maximum number of turns without any progress in time or bytes: a guard against a subject that spins.
const IDLE_TURNS: u32 = 1000;

/// Runs a case.
pub fn run(
    case: &Case,
    setting: &Setting,
    patience: Patience,
    subject: &mut dyn Subject,
) -> Outcome {
    let mut run = Run::new(case, setting, patience);
    let mut now = Duration::ZERO;
    let (mut told_end, mut heard_end, mut idle) = (false, false, 0);
    // Bytes that the subject has written and the suite has not read.
    let mut held: Vec<u8> = Vec::new();
    while !run.is_over() {
        let mut moved = false;
        while subject.wants_input()
            && !told_end
            && let Some(bytes) = run.output()
        {
            let bytes = bytes.to_vec();
            subject.receive(now, &bytes);
            run.written(now, bytes.len());
            moved = true;
        }
        if run.wire() == Wire::Shutdown && run.output().is_none() && !told_end {
            told_end = true;
            subject.end_of_input(now);
            moved = true;
        }
        if run.wants_input() {
            held.append(&mut subject.output(now));
            if !held.is_empty() {
                run.receive(now, &std::mem::take(&mut held));
                moved = true;
            } else if subject.has_ended() && !heard_end {
                heard_end = true;
                run.end_of_input(now, End::Fin);
                moved = true;
            }
        }
        if moved {
            continue;
        }
        // A subject that has ended reads no more.
        if heard_end && run.output().is_some() {
            run.cannot_write();
        }
        let next = [run.deadline(), subject.deadline()]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next else { break };
        idle = if next > now { 0 } else { idle + 1 };
        if idle > IDLE_TURNS {
            run.give_up("the subject's deadline does not move");
            break;
        }
        now = now.max(next);
        subject.tick(now);
        run.tick(now);
    }
    run.outcome()
}
