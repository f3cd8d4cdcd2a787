//! The examples, each as a process; in one program, since linking is what a build of tests takes longest for. Tests with a browser have
//! programs of their own.

#[path = "../support/mod.rs"]
mod support;

mod axum;
mod chat;
mod demo;
mod guards;
mod reconnect;
mod rooms;
mod small;
mod smoke;
mod survival;
