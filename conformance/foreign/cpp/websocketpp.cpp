// websocketpp, with its compression.

#include <iostream>
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/extensions/permessage_deflate/enabled.hpp>
#include <websocketpp/server.hpp>

constexpr std::size_t LARGEST = 64 << 20;

struct Config : websocketpp::config::asio {
    struct permessage_deflate_config {};
    typedef websocketpp::extensions::permessage_deflate::enabled<permessage_deflate_config> permessage_deflate_type;
};

typedef websocketpp::server<Config> Server;

int main() {
    Server server;
    server.clear_access_channels(websocketpp::log::alevel::all);
    server.clear_error_channels(websocketpp::log::elevel::all);
    server.set_max_message_size(LARGEST);
    server.init_asio();
    server.set_message_handler([&](websocketpp::connection_hdl peer, Server::message_ptr message) {
        websocketpp::lib::error_code ignored;
        server.send(peer, message->get_payload(), message->get_opcode(), ignored);
    });
    server.listen(websocketpp::lib::asio::ip::tcp::endpoint(websocketpp::lib::asio::ip::address_v4::loopback(), 0));
    server.start_accept();
    websocketpp::lib::asio::error_code error;
    std::cout << "listening on ws://127.0.0.1:" << server.get_local_endpoint(error).port() << std::endl;
    server.run();
}
