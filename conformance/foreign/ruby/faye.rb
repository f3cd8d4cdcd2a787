# Ruby faye-websocket, on EventMachine and Puma; it has no compression by itself.
require 'faye/websocket'
require 'puma'

$stdout.sync = true
app = lambda do |env|
  return [400, {}, []] unless Faye::WebSocket.websocket?(env)
  ws = Faye::WebSocket.new(env, [], max_length: 64 * 1024 * 1024)
  ws.on(:message) { |event| ws.send(event.data) }
  ws.rack_response
end

server = Puma::Server.new(app)
listener = server.add_tcp_listener('127.0.0.1', 0)
puts "listening on ws://127.0.0.1:#{listener.addr[1]}"
server.run.join
