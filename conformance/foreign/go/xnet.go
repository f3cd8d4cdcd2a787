// golang.org/x/net/websocket, which has no compression.
package main

import (
	"net/http"

	"golang.org/x/net/websocket"
)

type message struct {
	kind byte
	data []byte
}

// Keeps the kind of a message.
var codec = websocket.Codec{
	Marshal: func(v interface{}) ([]byte, byte, error) {
		m := v.(*message)
		return m.data, m.kind, nil
	},
	Unmarshal: func(data []byte, kind byte, v interface{}) error {
		*v.(*message) = message{kind, data}
		return nil
	},
}

func answer(w http.ResponseWriter, r *http.Request) {
	websocket.Server{Handler: func(ws *websocket.Conn) { echoAll(ws) }}.ServeHTTP(w, r)
}

func echo(url string) (string, error) {
	ws, err := websocket.Dial(url, "", "http://127.0.0.1/")
	if err != nil {
		return "", err
	}
	return echoAll(ws), nil
}

func echoAll(ws *websocket.Conn) (first string) {
	defer ws.Close()
	ws.MaxPayloadBytes = largest
	for {
		var m message
		if codec.Receive(ws, &m) != nil {
			return first
		}
		if first == "" {
			first = string(m.data)
		}
		if codec.Send(ws, &m) != nil {
			return first
		}
	}
}
