//! Typed JSON: a to-do list for each connection. Errors of a request are reported as JSON; invalid JSON ends the connection.
//!
//! Run: `cargo run --release --bin json-api -- --runtime smol --listen 127.0.0.1:9003`
//! See: `listening on ws://127.0.0.1:9003`; then `cargo run --bin client -- ws://127.0.0.1:9003/tasks`, and type
//! `{"id":1,"do":"add","text":"milk"}`: `{"id":1,"ok":1}`. `{"id":2,"do":"done","task":7}` is an error, `{` closes with 1007.

use std::collections::BTreeMap;
use std::error::Error;

use clap::Parser;
use sansws_async::{Json, Result as Outcome, Transport, Upgrade};
use sansws_examples::{Runtime, run};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Maximum number of tasks of a connection.
const TASKS: usize = 100;

/// Serves to-do lists.
#[derive(Debug, Parser)]
struct Options {
    /// The runtime to run on.
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: Runtime,
    /// The address to listen on; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:9003")]
    listen: String,
}

/// A request of a client. The reply has its `id`.
#[derive(Deserialize)]
struct Request {
    id: u64,
    #[serde(flatten)]
    call: Call,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Call {
    Add { text: String },
    Done { task: u64 },
    List,
}

#[derive(Serialize)]
struct Reply {
    /// `None` if the request had no readable id.
    id: Option<u64>,
    #[serde(flatten)]
    outcome: Answer,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Value),
    Error { code: &'static str, text: String },
}

#[derive(Default)]
struct Tasks {
    open: BTreeMap<u64, String>,
    last: u64,
}

async fn tasks<T: Transport>(upgrade: Upgrade<T>) -> Outcome {
    let mut socket = upgrade.accept().await?;
    let mut tasks = Tasks::default();
    // A binary message is an error that closes with 1003.
    while let Some(text) = socket.receive_text().await? {
        // Invalid JSON is an error that closes with 1007.
        let Json(value) = socket.parse::<Json<Value>>(text)?;
        let reply = match serde_json::from_value(value) {
            Ok(Request { id, call }) => Reply {
                id: Some(id),
                outcome: tasks.call(call),
            },
            // JSON, but not a request: report it, and let the client go on.
            Err(error) => Reply {
                id: None,
                outcome: fault("bad_request", error.to_string()),
            },
        };
        socket.send_json(&reply).await?;
    }
    Ok(())
}

impl Tasks {
    fn call(&mut self, call: Call) -> Answer {
        match call {
            Call::Add { .. } if self.open.len() >= TASKS => {
                fault("full", format!("there are {TASKS} tasks"))
            }
            Call::Add { text } => {
                self.last += 1;
                self.open.insert(self.last, text);
                Answer::Ok(json!(self.last))
            }
            Call::Done { task } => match self.open.remove(&task) {
                Some(text) => Answer::Ok(json!(text)),
                None => fault("not_found", format!("there is no task {task}")),
            },
            Call::List => Answer::Ok(json!(self.open)),
        }
    }
}

fn fault(code: &'static str, text: String) -> Answer {
    Answer::Error { code, text }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { runtime, listen } = Options::parse();
    run!(runtime, adapter, async {
        let server = adapter::Server::bind(listen.as_str()).await?;
        println!("listening on ws://{}", server.local_addr()?);
        let router = adapter::Router::new().route("/tasks", tasks);
        server.serve(router).await
    })?;
    Ok(())
}
