//! The examples, each as a process; in one program, since linking is what a build of tests takes longest for. Tests with a browser have
//! programs of their own.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/page.rs"]
mod page;

mod alerts;
mod axum;
mod chat;
mod demo;
mod events;
mod from_fastwebsockets;
mod from_tungstenite;
mod game;
mod guards;
mod httparena;
mod links;
mod proxies;
mod reconnect;
mod rooms;
mod small;
mod smoke;
mod survival;
mod tower;
