// Jetty's WebSocket server, with its compression.

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.websocket.api.Session;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketError;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketMessage;
import org.eclipse.jetty.websocket.api.annotations.WebSocket;
import org.eclipse.jetty.websocket.server.WebSocketHandler;
import org.eclipse.jetty.websocket.servlet.WebSocketServletFactory;

public class Jetty {
    static final int LARGEST = 64 << 20;

    @WebSocket
    public static class Echo {
        @OnWebSocketMessage
        public void text(Session session, String message) throws IOException {
            session.getRemote().sendString(message);
        }

        @OnWebSocketMessage
        public void binary(Session session, byte[] buffer, int offset, int length) throws IOException {
            session.getRemote().sendBytes(ByteBuffer.wrap(buffer, offset, length));
        }

        @OnWebSocketError
        public void error(Throwable error) {
        }
    }

    public static void main(String[] args) throws Exception {
        var server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(new WebSocketHandler() {
            @Override
            public void configure(WebSocketServletFactory factory) {
                factory.getPolicy().setMaxTextMessageSize(LARGEST);
                factory.getPolicy().setMaxBinaryMessageSize(LARGEST);
                factory.setCreator((request, response) -> new Echo());
            }
        });
        server.start();
        System.out.println("listening on ws://127.0.0.1:" + ((ServerConnector) server.getConnectors()[0]).getLocalPort());
        server.join();
    }
}
