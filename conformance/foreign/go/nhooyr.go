// nhooyr.io/websocket, which is coder/websocket today.
package main

import (
	"context"
	"net/http"

	"nhooyr.io/websocket"
)

func answer(w http.ResponseWriter, r *http.Request) {
	options := websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionContextTakeover}
	if ws, err := websocket.Accept(w, r, &options); err == nil {
		echoAll(ws)
	}
}

func echo(url string) (string, error) {
	options := websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover}
	ws, _, err := websocket.Dial(context.Background(), url, &options)
	if err != nil {
		return "", err
	}
	return echoAll(ws), nil
}

func echoAll(ws *websocket.Conn) (first string) {
	defer ws.Close(websocket.StatusNormalClosure, "")
	ws.SetReadLimit(largest)
	for {
		kind, data, err := ws.Read(context.Background())
		if err != nil {
			return first
		}
		if first == "" {
			first = string(data)
		}
		if ws.Write(context.Background(), kind, data) != nil {
			return first
		}
	}
}
