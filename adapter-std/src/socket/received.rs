//! One event of the input, owned.
//! RFC 6455 section 6.2.
//! Knows no stream.

use sansws_common::socket::read_ahead::{Control, Item};
use sansws_core::config::Config;
use sansws_core::connection::Event;
use sansws_core::message::{Assembly, Message};

/// The result of decoding one event.
#[derive(Debug)]
pub(super) enum Received {
    /// A message, or a chunk of one.
    Item(Item),
    /// A control frame for the application.
    Control(Control),
    /// The peer's Close frame: its code and reason.
    Close(Option<sansws_core::close::CloseCode>, String),
    /// Another control frame.
    Other,
}

impl Received {
    /// Owns an event; a message that lies in the assembly is taken from it. Returns `None` for no event.
    pub(super) fn of(event: Option<Event<'_>>, config: &Config) -> Option<Self> {
        let keeps = config.keeps_control_frames();
        Some(match event? {
            Event::Text(text) => Self::whole(text.into()),
            Event::Binary(bytes) => Self::whole(bytes.into()),
            Event::Piece(piece) => Self::Item(Item {
                message: piece.payload.to_message(),
                piece: Some((piece.first, piece.last)),
            }),
            Event::Ping(bytes) if keeps => Self::Control(Control::Ping(bytes.into())),
            Event::Pong(bytes) if keeps => Self::Control(Control::Pong(bytes.into())),
            Event::Ping(_) | Event::Pong(_) => Self::Other,
            Event::Close(close) => Self::Close(close.code, close.reason.into()),
        })
    }

    /// Takes an assembled message without a copy.
    pub(super) fn assembled(is_text: bool, assembly: &mut Assembly) -> Self {
        Self::whole(if is_text {
            Message::Text(assembly.take_text())
        } else {
            Message::Binary(assembly.take_bytes())
        })
    }

    const fn whole(message: Message) -> Self {
        Self::Item(Item {
            message,
            piece: None,
        })
    }
}
