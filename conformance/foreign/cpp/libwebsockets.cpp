// libwebsockets, with its compression.

#include <libwebsockets.h>

#include <cstdio>
#include <deque>
#include <string>

struct Message {
    std::string data;
    bool binary;
};

struct Session {
    std::string partial;
    std::deque<Message> *queue;
};

static int callback(lws *ws, lws_callback_reasons reason, void *user, void *in, size_t length) {
    auto *session = static_cast<Session *>(user);
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        new (session) Session{{}, new std::deque<Message>};
        break;
    case LWS_CALLBACK_CLOSED:
        delete session->queue;
        session->~Session();
        break;
    case LWS_CALLBACK_RECEIVE:
        session->partial.append(static_cast<char *>(in), length);
        if (lws_is_final_fragment(ws) && lws_remaining_packet_payload(ws) == 0) {
            session->queue->push_back({std::move(session->partial), lws_frame_is_binary(ws) != 0});
            session->partial.clear();
            lws_callback_on_writable(ws);
        }
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (!session->queue->empty()) {
            Message message = std::move(session->queue->front());
            session->queue->pop_front();
            std::string buffer = std::string(LWS_PRE, '\0') + message.data;
            auto *start = reinterpret_cast<unsigned char *>(buffer.data()) + LWS_PRE;
            if (lws_write(ws, start, message.data.size(), message.binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0) return -1;
            if (!session->queue->empty()) lws_callback_on_writable(ws);
        }
        break;
    default:
        break;
    }
    return 0;
}

int main() {
    lws_set_log_level(0, nullptr);
    const lws_protocols protocols[] = {{"echo", callback, sizeof(Session), 65536, 0, nullptr, 0}, {}};
    const lws_extension extensions[] = {{"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"}, {}};
    lws_context_creation_info info{};
    info.port = 0;
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.extensions = extensions;
    info.options = LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    lws_context *context = lws_create_context(&info);
    lws_vhost *vhost = lws_create_vhost(context, &info);
    std::printf("listening on ws://127.0.0.1:%d\n", lws_get_vhost_listen_port(vhost));
    std::fflush(stdout);
    while (lws_service(context, 0) >= 0) {
    }
}
