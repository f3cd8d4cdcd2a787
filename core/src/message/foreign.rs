//! Messages to and from the types of other crates, each behind a feature with the name of its crate.

use crate::message::Message;

#[cfg(feature = "bytes")]
mod of_bytes {
    use super::Message;
    use bytes::Bytes;

    /// A binary message. Nothing is copied if these are the only handle of their memory.
    impl From<Bytes> for Message {
        fn from(bytes: Bytes) -> Self {
            Self::Binary(bytes.into())
        }
    }

    /// The payload of either kind, not copied.
    impl From<Message> for Bytes {
        fn from(message: Message) -> Self {
            message.into_bytes().into()
        }
    }
}

#[cfg(feature = "tungstenite")]
mod of_tungstenite {
    use super::Message;
    use alloc::string::String;

    /// Text or binary, not copied.
    impl From<Message> for tungstenite::Message {
        fn from(message: Message) -> Self {
            match message {
                Message::Text(text) => Self::Text(text.into()),
                Message::Binary(bytes) => Self::Binary(bytes.into()),
            }
        }
    }

    /// # Errors
    /// The value itself, if it is a control frame or a raw frame: those are no messages here.
    impl TryFrom<tungstenite::Message> for Message {
        type Error = tungstenite::Message;

        fn try_from(message: tungstenite::Message) -> Result<Self, tungstenite::Message> {
            match message {
                tungstenite::Message::Text(text) => Ok(Self::Text(String::from(text.as_str()))),
                tungstenite::Message::Binary(bytes) => Ok(Self::Binary(bytes.into())),
                other => Err(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(any(feature = "bytes", feature = "tungstenite"))]
    use alloc::vec;

    #[test]
    #[cfg(feature = "bytes")]
    fn bytes_are_taken_and_given_without_a_copy() {
        let memory = vec![7; 100_000];
        let place = memory.as_ptr();
        let message = Message::from(bytes::Bytes::from(memory));
        assert_eq!(message.as_bytes().as_ptr(), place);
        let bytes = bytes::Bytes::from(message);
        assert_eq!((bytes.as_ptr(), bytes.len()), (place, 100_000));
        assert_eq!(bytes::Bytes::from(Message::from("hi")), "hi");
    }

    #[test]
    #[cfg(feature = "tungstenite")]
    fn messages_of_tungstenite_become_ours_and_its_control_frames_do_not() {
        use tungstenite::Message as Theirs;
        for ours in [Message::from("hi"), Message::from(vec![1, 2])] {
            let theirs = Theirs::from(ours.clone());
            assert_eq!(theirs.is_text(), ours.as_text().is_some());
            assert_eq!(Message::try_from(theirs), Ok(ours));
        }
        let ping = Theirs::Ping(vec![1].into());
        assert_eq!(Message::try_from(ping.clone()), Err(ping));
    }
}
