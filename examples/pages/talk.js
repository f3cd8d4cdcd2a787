// A chat with the public client library `centrifuge`: it connects, reconnects, subscribes again and recovers what was missed. The room is
// the hash of the address. Received data enters the page as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const room = decodeURIComponent(location.hash.slice(1)) || "lobby";
const make = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });

$("room").textContent = document.title = `#${room}`;
$("name").value = sessionStorage.getItem("talk.name") || `guest-${Math.random().toString(36).slice(2, 6)}`;

const client = new Centrifuge(`${location.origin.replace("http", "ws")}/connection/websocket`, {
  getData: async () => ({ name: $("name").value }),
  minReconnectDelay: 100,
  maxReconnectDelay: 5000,
});
const chat = client.newSubscription(`talk:${room}`, { joinLeave: true });

// Lines are in the order of their offsets. What a history and a push both have is shown once.
function show({ data, info, offset }) {
  const lines = [...$("lines").children];
  if (lines.some((line) => line.offset === offset)) return;
  const line = Object.assign(make("li", data.text), { offset });
  line.prepend(make("b", info.user));
  $("lines").insertBefore(line, lines.find((other) => other.offset > offset) ?? null);
  line.scrollIntoView();
}

// Uses what the server answers. When the connection breaks meanwhile, it is asked again once the room is subscribed again.
async function ask(request, use) {
  try {
    use(await request);
  } catch (error) {
    if (client.state === "connected") throw error;
  }
}

function present() {
  return ask(chat.presence(), ({ clients }) => {
    const users = new Set(Object.values(clients).map(({ user }) => user));
    $("people").replaceChildren(...[...users].sort().map((user) => make("li", user)));
  });
}

chat.on("publication", show);
chat.on("join", present);
chat.on("leave", present);
chat.on("subscribed", ({ recovered }) => {
  present();
  if (recovered) return;
  $("lines").replaceChildren();
  ask(chat.history({ limit: 100, reverse: true }), ({ publications }) => publications.reverse().forEach(show));
});

function say(status) {
  $("status").textContent = $("status").className = status;
}

chat.on("unsubscribed", ({ reason }) => say(reason));
client.on("connecting", ({ code }) => say(code ? "reconnecting…" : "connecting…"));
client.on("connected", () => say("connected"));
client.on("disconnected", ({ reason }) => say(reason));

// Another name is another user: the connection begins anew.
$("name").addEventListener("change", () => {
  sessionStorage.setItem("talk.name", $("name").value);
  client.disconnect();
  client.connect();
});

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("note").textContent = "";
  try {
    await chat.publish({ text: $("message").value });
    $("message").value = "";
  } catch (error) {
    $("note").textContent = `Not sent: ${error.message}.`;
  }
});

addEventListener("hashchange", () => location.reload());
chat.subscribe();
client.connect();
