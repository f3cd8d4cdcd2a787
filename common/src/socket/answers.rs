//! How many answers a received message can have.
//! Knows no connection.

/// The number of answers to a message before which the state of the connection does not matter: they may be lost without an error if the
/// connection ended meanwhile, and input behind the message is not looked at before they are sent. An application that sends more, and
/// receives nothing, has to learn of the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers(u8);

impl Answers {
    /// A message was received.
    pub const ALL: Self = Self(16);
    /// No message was received since the last one was sent.
    pub const NONE: Self = Self(0);

    /// Returns whether there may be another one.
    pub const fn is_left(self) -> bool {
        self.0 > 0
    }

    /// Takes one; `false` if none is left.
    pub const fn take(&mut self) -> bool {
        let is_left = self.is_left();
        self.0 = self.0.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::Answers;

    #[test]
    fn each_is_taken_once() {
        let mut answers = Answers::ALL;
        assert_eq!((0..20).filter(|_| answers.take()).count(), 16);
        assert_eq!(answers, Answers::NONE);
        assert_eq!(answers, Answers::default());
    }
}
