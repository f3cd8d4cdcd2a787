// A client by the WebSocket of browsers, which several runtimes have.

export const opener = (WebSocket) => (url, onMessage) =>
  new Promise((resolve) => {
    const ws = new WebSocket(url);
    ws.binaryType = 'arraybuffer';
    ws.onmessage = ({ data }) => {
      onMessage(data);
      ws.send(data);
    };
    ws.onerror = () => {};
    ws.onclose = resolve;
  });
