//! The scenarios, by what they look at.

mod closing;
mod deflate;
mod handshake;
mod limits;
mod messages;
mod serving;
mod tls;
mod tungstenite;
mod unix;
