//! The pings of the suite that wait for a pong.
//! RFC 6455 section 5.5.3.

use std::collections::VecDeque;

use crate::frame::{Frame, opcode};

/// Tells pongs that answer a ping from those that nobody asked for.
#[derive(Debug, Default)]
pub(super) struct Pongs {
    /// The payloads of unanswered pings, oldest first.
    asked: VecDeque<Vec<u8>>,
    /// The number of pongs that answered none.
    pub(super) unasked: u32,
}

impl Pongs {
    /// Remembers the pings among these frames, the invalid ones too. A ping whose payload follows in other pieces is remembered by
    /// [`asks`](Self::asks).
    pub(super) fn sent(&mut self, frames: &[Frame]) {
        let whole = |frame: &&Frame| frame.opcode == opcode::PING && frame.claim.is_none();
        let payloads = frames.iter().filter(whole);
        self.asked.extend(payloads.map(|ping| ping.payload.clone()));
    }

    /// Remembers a ping with this payload, unless one is remembered already.
    pub(super) fn asks(&mut self, payload: &[u8]) {
        if !self.asked.iter().any(|asked| asked == payload) {
            self.asked.push_back(payload.to_vec());
        }
    }

    /// Returns whether a pong answers a ping. It answers earlier ones as well: "the endpoint MAY elect to send a Pong frame for only the
    /// most recently processed Ping frame."
    pub(super) fn answers(&mut self, payload: &[u8]) -> bool {
        match self.asked.iter().position(|asked| asked == payload) {
            Some(at) => {
                self.asked.drain(..=at);
                true
            }
            None => {
                self.unasked += 1;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ping, text};

    #[test]
    fn a_pong_answers_its_ping_and_those_before_it() {
        let mut pongs = Pongs::default();
        pongs.sent(&[
            ping("1"),
            text("1"),
            ping("2"),
            ping("3"),
            ping("4").claim(9),
        ]);
        pongs.asks(b"5");
        for (payload, answers) in [("0", false), ("2", true), ("1", false), ("2", false)] {
            assert_eq!(pongs.answers(payload.as_bytes()), answers, "{payload}");
        }
        assert!(pongs.answers(b"3") && pongs.answers(b"5") && !pongs.answers(b"4"));
        assert_eq!(pongs.unasked, 4);
    }
}
