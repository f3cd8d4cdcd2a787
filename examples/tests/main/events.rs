//! The page's side of `docs/events.md`, in Node, against a server that asks and is asked.
//! `centrifuge/setup.sh` installs what that needs.

use std::path::Path;
use std::process::{Command, Stdio};

use sansws_tokio::app::EventSocket;
use sansws_tokio::{Result, Router, Server, Upgrade};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/centrifuge");

/// The application of the guide.
async fn calculator(upgrade: Upgrade) -> Result {
    let mut events = EventSocket::new(upgrade.accept().await?);
    let name: String = events.request("name", &()).await??;
    events.emit("hello", &name).await?;
    while let Some(event) = events.next().await? {
        match event.name() {
            "add" => {
                let [a, b]: [i64; 2] = events.data(&event)?;
                events.reply(&event, &(a + b)).await?;
            }
            "ask" => {
                let refused = events.request::<_, i64>("unknown", &1).await?;
                let reason = refused.unwrap_err().reason;
                events.reply(&event, &reason).await?;
            }
            _ => events.refuse(&event, "unknown event").await?,
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_page_of_the_guide_asks_and_is_asked() {
    let mut server = Server::bind("127.0.0.1:0").await.unwrap();
    let (address, handle) = (server.local_addr().unwrap(), server.handle());
    let router = Router::new().route("/calculator", calculator);
    let serving = tokio::spawn(async move { server.serve(router).await });
    let guide = include_str!("../../../docs/events.md");
    let (_, page) = guide.split_once("```javascript\n").unwrap();
    let (page, _) = page.split_once("\n```").unwrap();
    let script = format!(
        "import WebSocket from 'ws';\nglobalThis.WebSocket = WebSocket;\n{page}
const said = [];
let greeted;
const greeting = new Promise((resolve) => (greeted = resolve));
const page = connect('ws://{address}/calculator', {{ name: () => 'Ada', hello: (name) => greeted(name) }});
// Before the connection is open.
said.push(await page.request('add', [0, 1]));
said.push(await greeting, await page.request('add', [1, 2]), await page.request('ask'));
said.push(await page.request('fly').catch(({{ message }}) => message));
page.emit('fly');
said.push((await Promise.all([1, 2, 3].map((n) => page.request('add', [n, n])))).join());
console.log(JSON.stringify(said));
process.exit(0);
"
    );
    let file = Path::new(FOLDER).join("guide-events.mjs");
    std::fs::write(&file, script).unwrap();
    let run = move || {
        let mut node = Command::new("node");
        node.arg(&file).current_dir(FOLDER);
        node.stderr(Stdio::inherit()).output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let output = output.expect("run examples/tests/centrifuge/setup.sh");
    let said = String::from_utf8_lossy(&output.stdout);
    let want = "[1,\"Ada\",3,\"unknown event\",\"unknown event\",\"2,4,6\"]\n";
    assert_eq!(said, want);
    handle.drop_all();
    serving.await.unwrap().unwrap();
}
