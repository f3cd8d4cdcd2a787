// The client of the JDK, java.net.http, which has no compression.

import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

public class Jdk {
    static final int AT_A_TIME = 8;
    static final int CASE_LIMIT = 120;
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    static class Echo implements WebSocket.Listener {
        final CompletableFuture<String> ended = new CompletableFuture<>();
        final StringBuilder text = new StringBuilder();
        final ByteArrayOutputStream binary = new ByteArrayOutputStream();
        String first = "";

        @Override
        public CompletionStage<?> onText(WebSocket ws, CharSequence data, boolean last) {
            text.append(data);
            return answered(ws, last, () -> {
                String message = text.toString();
                text.setLength(0);
                first = first.isEmpty() ? message : first;
                return ws.sendText(message, true);
            });
        }

        @Override
        public CompletionStage<?> onBinary(WebSocket ws, ByteBuffer data, boolean last) {
            byte[] bytes = new byte[data.remaining()];
            data.get(bytes);
            binary.writeBytes(bytes);
            return answered(ws, last, () -> {
                ByteBuffer message = ByteBuffer.wrap(binary.toByteArray());
                binary.reset();
                return ws.sendBinary(message, true);
            });
        }

        CompletionStage<?> answered(WebSocket ws, boolean last, java.util.function.Supplier<CompletionStage<WebSocket>> send) {
            if (!last) {
                ws.request(1);
                return null;
            }
            return send.get().thenRun(() -> ws.request(1));
        }

        @Override
        public CompletionStage<?> onClose(WebSocket ws, int code, String reason) {
            ended.complete(first);
            return null;
        }

        @Override
        public void onError(WebSocket ws, Throwable error) {
            ended.complete(first);
        }
    }

    static String echo(String url) {
        var echo = new Echo();
        WebSocket ws = null;
        try {
            ws = CLIENT.newWebSocketBuilder().buildAsync(URI.create(url), echo).get(CASE_LIMIT, TimeUnit.SECONDS);
            return echo.ended.get(CASE_LIMIT, TimeUnit.SECONDS);
        } catch (Exception error) {
            System.out.println(url + ": " + error);
            if (ws != null) ws.abort();
            return "";
        }
    }

    public static void main(String[] args) throws Exception {
        String url = args[1], agent = args[2];
        int count = Integer.parseInt(echo(url + "/getCaseCount"));
        var next = new AtomicInteger();
        var workers = Executors.newFixedThreadPool(AT_A_TIME);
        for (int i = 0; i < AT_A_TIME; i++) {
            workers.submit(() -> {
                for (int number; (number = next.incrementAndGet()) <= count; ) {
                    echo(url + "/runCase?case=" + number + "&agent=" + agent);
                }
            });
        }
        workers.shutdown();
        workers.awaitTermination(1, TimeUnit.DAYS);
        echo(url + "/updateReports?agent=" + agent);
        System.exit(0);
    }
}
