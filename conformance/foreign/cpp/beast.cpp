// Boost.Beast, with its compression; a thread for each connection.

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <iostream>
#include <thread>

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

constexpr std::size_t LARGEST = 64 << 20;

void echo(tcp::socket socket) try {
    beast::websocket::stream<tcp::socket> ws(std::move(socket));
    beast::websocket::permessage_deflate deflate;
    deflate.server_enable = true;
    ws.set_option(deflate);
    ws.read_message_max(LARGEST);
    ws.accept();
    for (;;) {
        beast::flat_buffer message;
        ws.read(message);
        ws.text(ws.got_text());
        ws.write(message.data());
    }
} catch (const std::exception&) {
}

int main() {
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    std::cout << "listening on ws://127.0.0.1:" << acceptor.local_endpoint().port() << std::endl;
    for (;;) std::thread(echo, acceptor.accept()).detach();
}
