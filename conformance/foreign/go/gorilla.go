// gorilla/websocket, whose compression takes no context over.
package main

import (
	"net/http"

	"github.com/gorilla/websocket"
)

func answer(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{EnableCompression: true, CheckOrigin: func(*http.Request) bool { return true }}
	if ws, err := upgrader.Upgrade(w, r, nil); err == nil {
		echoAll(ws)
	}
}

func echo(url string) (string, error) {
	dialer := websocket.Dialer{EnableCompression: true}
	ws, _, err := dialer.Dial(url, nil)
	if err != nil {
		return "", err
	}
	return echoAll(ws), nil
}

func echoAll(ws *websocket.Conn) (first string) {
	defer ws.Close()
	ws.SetReadLimit(largest)
	for {
		kind, data, err := ws.ReadMessage()
		if err != nil {
			return first
		}
		if first == "" {
			first = string(data)
		}
		if ws.WriteMessage(kind, data) != nil {
			return first
		}
	}
}
