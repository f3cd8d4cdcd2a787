//! Messages queued while there is no connection.
//! RFC 6455 section 10.4: bounded in number and in bytes.
//! Knows no connection.

use std::collections::VecDeque;

use sansws_core::error::SendError;
use sansws_core::message::Message;

/// The messages, oldest first.
#[derive(Debug)]
pub struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    pub most_messages: usize,
    pub most_bytes: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            most_messages: 256,
            most_bytes: 1 << 20,
        }
    }
}

impl Queue {
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes the message, unless it does not fit; then it stays with the caller.
    pub fn push(&mut self, message: &mut Option<Message>) -> Result<(), SendError> {
        let bytes = message.as_ref().map_or(0, Message::len);
        let full = self.messages.len() >= self.most_messages
            || bytes > self.most_bytes.saturating_sub(self.bytes);
        if full {
            return Err(SendError::QueueFull);
        }
        self.bytes += bytes;
        self.messages.extend(message.take());
        Ok(())
    }

    pub fn front(&self) -> Option<&Message> {
        self.messages.front()
    }

    pub fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes -= message.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn bounded_both_ways() {
        let mut queue = Queue {
            most_messages: 3,
            most_bytes: 10,
            ..Queue::default()
        };
        let mut put = |bytes: usize| {
            let mut message = Some(Message::Binary(vec![0; bytes]));
            let put = queue.push(&mut message);
            assert_eq!(message.is_some(), put.is_err());
            put
        };
        assert_eq!(put(11), Err(SendError::QueueFull));
        assert_eq!(put(6), Ok(()));
        assert_eq!(put(5), Err(SendError::QueueFull));
        assert_eq!(put(4), Ok(()));
        assert_eq!(put(0), Ok(()));
        assert_eq!(put(0), Err(SendError::QueueFull));
        queue.pop();
        assert_eq!((queue.len(), queue.bytes), (2, 4));
        assert_eq!(queue.front().map(Message::len), Some(4));
        queue.pop();
        queue.pop();
        queue.pop();
        assert!(queue.is_empty() && queue.bytes == 0);
    }
}
