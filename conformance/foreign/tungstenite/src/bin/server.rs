//! Echo server on tungstenite, for wsconform: a thread for each connection.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

use sansws_foreign_tungstenite::{config, echo};
use tungstenite::accept_with_config;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on ws://{}", listener.local_addr()?);
    for tcp in listener.incoming() {
        let tcp = tcp?;
        thread::spawn(move || serve(tcp));
    }
    Ok(())
}

fn serve(tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    if let Ok(mut socket) = accept_with_config(tcp, config()) {
        let _ = echo(&mut socket);
    }
}
