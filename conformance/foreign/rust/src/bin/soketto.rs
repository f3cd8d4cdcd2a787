//! soketto.

use futures_util::io::{BufReader, BufWriter};
use sansws_foreign::{LARGEST, Result, dial, run};
use soketto::connection::Builder;
use soketto::extension::deflate::Deflate;
use soketto::handshake::client::ServerResponse;
use soketto::handshake::server::Response;
use soketto::handshake::{Client, Server};
use soketto::{Data, Mode};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

type Io = BufReader<BufWriter<Compat<TcpStream>>>;

#[tokio::main]
async fn main() -> Result<()> {
    run(serve, echo).await
}

fn buffered(tcp: TcpStream) -> Io {
    BufReader::new(BufWriter::new(tcp.compat()))
}

async fn serve(tcp: TcpStream) -> Result<()> {
    let mut server = Server::new(buffered(tcp));
    server.add_extension(Box::new(Deflate::new(Mode::Server)));
    let key = match server.receive_request().await {
        Ok(request) => request.key(),
        Err(error) => {
            let refusal = Response::Reject { status_code: 400 };
            server.send_response(&refusal).await?;
            return Err(error.into());
        }
    };
    let accept = Response::Accept { key, protocol: None };
    server.send_response(&accept).await?;
    echo_all(server.into_builder()).await.map(|_| ())
}

async fn echo(url: String) -> Result<String> {
    let (tcp, host, path) = dial(&url).await?;
    let mut client = Client::new(buffered(tcp), &host, &path);
    client.add_extension(Box::new(Deflate::new(Mode::Client)));
    let ServerResponse::Accepted { .. } = client.handshake().await? else {
        return Err("not accepted".into());
    };
    echo_all(client.into_builder()).await
}

async fn echo_all(mut builder: Builder<Io>) -> Result<String> {
    builder.set_max_message_size(LARGEST);
    builder.set_max_frame_size(LARGEST);
    let (mut sender, mut receiver) = builder.finish();
    let mut message = Vec::new();
    let mut first = String::new();
    while let Ok(data) = receiver.receive_data(&mut message).await {
        if first.is_empty() {
            first = String::from_utf8_lossy(&message).into_owned();
        }
        match data {
            Data::Text(_) => sender.send_text(std::str::from_utf8(&message)?).await?,
            Data::Binary(_) => sender.send_binary_mut(&mut message).await?,
        }
        sender.flush().await?;
        message.clear();
    }
    Ok(first)
}
