// The page of sansws' chat: /chat/<room>?name=<name>&since=<position>, and the server's numbers at /dashboard if it has them, on the
// origin of the page. Received data enters the page as text, never as markup. No library, no build step.
"use strict";

const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

function attempt(work, otherwise) {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

// A connection that reconnects ------------------------------------------------------------------------------------------------

const BASE = 500; // ms, the longest first wait
const LONGEST = 30_000; // ms, the longest wait of all
const PATIENCE = 10_000; // ms until a connection has to be of use
const STEADY = 5_000; // ms after which a connection counts as good, and the next wait is a first wait again

// Codes after which a retry makes sense. After any other, a second try would end in the same way.
function comesBack(code) {
  return [1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015].includes(code) || (code >= 4000 && code <= 4499);
}

const UNREACHED = "The server cannot be reached";
const MEANING = {
  1000: "The server ended the conversation",
  1001: "The server went away",
  1006: "The connection was lost",
  1008: "The server does not allow it",
  1011: "The server had a problem",
  1012: "The server is restarting",
  1013: "The server is busy",
};

// States: "connecting" until `ready` is called, "open", "waiting" for the next try, "closed" for good or not opened.
class Link {
  state = "closed";
  why = "";
  until = 0;
  #socket = null;
  #timer = 0;
  #clock = 0;
  #failures = 0;
  #readyAt = 0;

  // address: gives the URL. silence: ms without a message after which an open connection counts as lost, 0 for never.
  constructor({ address, silence = 0, onState, onMessage }) {
    Object.assign(this, { address, silence, onState, onMessage });
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => document.hidden || this.now());
  }

  get seconds() {
    return Math.max(1, Math.ceil((this.until - Date.now()) / 1000));
  }

  open() {
    this.stop();
    this.#failures = 0;
    this.#dial();
  }

  // Ends the wait.
  now() {
    if (this.state === "waiting") this.#dial();
  }

  stop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    socket?.close(1000);
    this.#become("closed", "");
  }

  ready() {
    this.#readyAt = Date.now();
    clearTimeout(this.#timer);
    if (this.silence) this.#allow(this.silence);
    this.#become("open", "");
  }

  send(value) {
    this.#socket.send(JSON.stringify(value));
  }

  #dial() {
    const socket = new WebSocket(this.address());
    this.#socket = socket;
    this.#allow(PATIENCE);
    socket.onclose = (event) => this.#ended(socket, event.code, event.reason);
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      if (this.state === "open" && this.silence) this.#allow(this.silence);
      this.onMessage(attempt(() => JSON.parse(event.data), null));
    };
    this.#become("connecting", "");
  }

  #allow(ms) {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ended(socket, 1006, ""), ms);
  }

  #ended(socket, code, reason) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#timer);
    socket.close();
    const meaning = code === 1006 && this.state === "connecting" ? UNREACHED : MEANING[code] ?? "The connection was closed";
    const why = reason ? `${meaning}: ${reason}` : meaning;
    if (!comesBack(code)) return this.#become("closed", `${why} (${code})`);
    if (this.state === "open" && Date.now() - this.#readyAt >= STEADY) this.#failures = 0;
    // Full jitter: a random wait up to the bound, so that many clients do not reconnect at once.
    const wait = Math.random() * Math.min(LONGEST, BASE * 2 ** this.#failures++);
    this.until = Date.now() + wait;
    this.#timer = setTimeout(() => this.now(), wait);
    this.#become("waiting", why);
  }

  #become(state, why) {
    clearInterval(this.#clock);
    Object.assign(this, { state, why });
    if (state === "waiting") this.#clock = setInterval(() => this.onState(this), 250);
    this.onState(this);
  }
}

function address(path) {
  const url = new URL(path, location.origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

// Names and rooms -------------------------------------------------------------------------------------------------------------

const ROOMS = ["lobby", "rust", "tea"];
const KEPT = "sansws.name"; // in the window, and for the next one

function randomName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const how = ["calm", "bright", "quiet", "brave", "gentle", "merry", "swift", "kind"];
  const who = ["otter", "heron", "badger", "wren", "lynx", "marten", "finch", "hare"];
  return `${pick(how)}-${pick(who)}`;
}

function roomOfHash() {
  const hash = location.hash.slice(1);
  return attempt(() => decodeURIComponent(hash), hash).trim().replace(/[^\p{L}\p{N}_-]+/gu, "-").slice(0, 32) || "lobby";
}

// A name has one colour everywhere.
function hueOf(name) {
  let hash = 2166136261;
  for (const sign of name) hash = Math.imul(hash ^ sign.codePointAt(0), 16777619) >>> 0;
  return ((hash ^ (hash >>> 15)) % 24) * 15;
}

// The log ---------------------------------------------------------------------------------------------------------------------

const KEEP = 500; // lines
const PAUSE = 5 * 60_000; // ms, after which the author is named again

const clockTime = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const wholeTime = new Intl.DateTimeFormat([], { dateStyle: "full", timeStyle: "medium" });
const dayOnly = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });

const log = {
  box: $("log"),
  list: $("lines"),
  pinned: true, // whether the end is in view and stays there
  below: 0, // new lines out of view

  clear() {
    this.list.replaceChildren();
    this.pinned = true;
    this.settle();
  },

  say(said, me) {
    const { from, text, at } = said;
    const when = new Date(Number.isFinite(at) ? at : Date.now());
    const line = make("li", { className: from === me ? "line mine" : "line", author: from, said, at: when.getTime() });
    line.dataset.initial = ([...from][0] ?? "?").toUpperCase();
    line.style.setProperty("--hue", hueOf(from));
    const title = wholeTime.format(when);
    const who = make("p", { className: "who" });
    who.append(make("b", { textContent: from }));
    who.append(make("time", { textContent: clockTime.format(when), dateTime: when.toISOString(), title }));
    line.append(who, make("p", { className: "text", textContent: text, title }));
    this.put(line);
    if (!this.pinned) this.below += 1;
    this.settle();
    return line;
  },

  // Of consecutive notes about one person, only the last stays.
  note(text, { about, bad = false, before = null } = {}) {
    let last = this.list.lastElementChild;
    while (last?.classList.contains("note") && last.about !== about) last = last.previousElementSibling;
    if (about && last?.about === about) last.remove();
    this.put(make("li", { className: bad ? "note bad" : "note", textContent: text, about }), before);
    this.settle();
  },

  // The lines to keep over a reload.
  said() {
    return [...this.list.querySelectorAll(".line")].map(({ said }) => said);
  },

  put(line, before = null) {
    this.list.insertBefore(line, before);
    this.group(line);
    this.group(line.nextElementSibling);
    while (this.list.children.length > KEEP) {
      this.list.firstElementChild.remove();
      this.group(this.list.firstElementChild);
    }
  },

  // The first line of an author shows the name; the first of a day has the day above it.
  group(line) {
    if (!line?.classList.contains("line")) return;
    let above = line.previousElementSibling;
    if (above?.className === "day") {
      above.remove();
      above = line.previousElementSibling;
    }
    while (above && !above.at) above = above.previousElementSibling;
    const day = dayOnly.format(line.at);
    const newDay = day !== dayOnly.format(above?.at ?? Date.now());
    if (newDay) line.before(make("li", { className: "day", textContent: day, at: line.at }));
    const follows = line.previousElementSibling === above && above?.author === line.author;
    line.classList.toggle("head", newDay || !follows || line.at - above.at > PAUSE);
  },

  settle() {
    if (this.pinned) {
      this.box.scrollTop = this.box.scrollHeight;
      this.below = 0;
    }
    $("newer").hidden = this.below === 0;
    $("newer").textContent = this.below === 1 ? "1 new message ↓" : `${this.below} new messages ↓`;
  },
};

log.box.addEventListener("scroll", () => {
  log.pinned = log.box.scrollHeight - log.box.scrollTop - log.box.clientHeight < 60;
  if (log.pinned && log.below) log.settle();
});
new ResizeObserver(() => log.settle()).observe(log.box);
$("newer").addEventListener("click", () => {
  log.pinned = true;
  log.settle();
  $("message").focus();
});

// The chat --------------------------------------------------------------------------------------------------------------------

const MAY_WAIT = 20; // messages without a connection

const chat = {
  room: "",
  name: attempt(() => sessionStorage.getItem(KEPT), null) ?? "", // storage may be forbidden
  position: null, // behind the last line that we have, as the server said it
  node: null, // on which we are, where there are several
  people: [],
  epoch: "", // of the list of people: its numbering
  version: 0, // of the list of people
  asked: false, // for the list of people
  again: false, // it is to be asked for once more
  changes: [], // of people, before we were welcome
  first: null, // line of this connection
  unread: 0,
  outbox: [], // { id, text, fate: "queued" | "sent" | "refused", why }
};

chat.link = new Link({
  address() {
    const url = address(`/chat/${encodeURIComponent(chat.room)}`);
    url.searchParams.set("name", chat.name);
    if (chat.position) url.searchParams.set("since", chat.position);
    return url;
  },
  onMessage: heard,
  onState: show,
});

// A window stores each room with its position, so that a reload resumes there. Both are stored together, or not at all.
const keptAt = (room) => `sansws.room.${room}`;

function keep() {
  if (!chat.room) return;
  const { position, outbox } = chat;
  attempt(() => sessionStorage.removeItem(keptAt(chat.room)));
  attempt(() => sessionStorage.setItem(keptAt(chat.room), JSON.stringify({ position, outbox, lines: log.said() })));
}

function restore() {
  const kept = attempt(() => JSON.parse(sessionStorage.getItem(keptAt(chat.room))), null) ?? {};
  Object.assign(chat, { position: kept.position ?? null, outbox: kept.outbox ?? [] });
  for (const line of kept.lines ?? []) log.say(line, chat.name);
  // They may or may not have arrived.
  for (const mine of chat.outbox) if (mine.fate === "sent") mine.fate = "queued";
}

addEventListener("pagehide", keep);

function heard(message) {
  switch (message?.kind) {
    case "said": return said(message);
    case "people": return moved(message);
    case "welcome": return welcome(message);
    case "present": return present(message);
    case "missing": return log.note(`${message.count ?? "Some"} messages were lost here.`);
    case "again": return drop(chat.outbox.find(({ id }) => id === message.id));
    case "error": return refused(message.id, String(message.text));
  }
}

// A position is the epoch of the server's numbering, and a number.
function isBehind(position) {
  const [began, number] = position.split("-");
  const [ours, last] = chat.position?.split("-") ?? [];
  return began !== ours || Number(number) > Number(last);
}

function said({ position, at, line }) {
  if (typeof line?.from !== "string" || typeof line.text !== "string") return;
  if (position && !isBehind(position)) return;
  chat.position = position ?? chat.position;
  const isPast = chat.link.state !== "open";
  const { from, text, id } = line;
  const shown = log.say({ from, text, at }, chat.name);
  if (isPast) chat.first ??= shown;
  if (from === chat.name) return drop(chat.outbox.find((mine) => mine.id === id));
  if (isPast || (document.hasFocus() && !document.hidden)) return;
  chat.unread += 1;
  title();
}

// It follows all missed messages.
function welcome({ people, epoch, version, position, complete, node }) {
  if (!complete) log.note("Older messages are not kept.", { before: chat.first });
  if (position && isBehind(position)) chat.position = position;
  Object.assign(chat, { people, epoch, version, node, asked: false });
  setPeople();
  chat.link.ready();
  chat.changes.splice(0).forEach(moved);
  setTimeout(() => log.box.setAttribute("aria-live", "polite"), 500);
  // Queued messages, and those that were in flight when the connection broke and did not arrive.
  for (const mine of chat.outbox.filter(({ fate }) => fate !== "refused")) send(mine);
}

// Applies a change of presence; changes that are already in the list from `welcome` are skipped.
function moved(change) {
  if (chat.link.state !== "open") return void chat.changes.push(change);
  const { epoch, version, joined, left } = change;
  if (epoch === chat.epoch && version <= chat.version) return;
  // A new epoch, or a change is missing.
  if (epoch !== chat.epoch || version !== chat.version + 1) return void who();
  chat.version = version;
  chat.people = [...chat.people.filter((name) => !left.includes(name) && !joined.includes(name)), ...joined];
  setPeople();
  for (const name of joined) if (name !== chat.name) log.note(`${name} joined`, { about: name });
  for (const name of left) if (name !== chat.name) log.note(`${name} left`, { about: name });
}

function who() {
  // The answer may lack changes that happen while it is in flight.
  chat.again = chat.asked;
  if (chat.asked) return;
  chat.asked = true;
  chat.link.send({ kind: "who" });
}

// The whole list; an older one than ours is ignored.
function present({ people, epoch, version }) {
  chat.asked = false;
  if (epoch === chat.epoch && version < chat.version) return;
  Object.assign(chat, { people, epoch, version });
  setPeople();
  if (chat.again) who();
}

function setPeople() {
  $("count").textContent = chat.people.length || "";
  $("people").replaceChildren(...chat.people.map((name) => {
    const item = make("li");
    item.style.setProperty("--hue", hueOf(name));
    item.append(make("bdi", { textContent: name }));
    if (name === chat.name) item.append(make("span", { className: "soft", textContent: "you" }));
    return item;
  }));
}

function title() {
  document.title = `${chat.unread ? `(${chat.unread}) ` : ""}#${chat.room} · sansws`;
}

for (const event of ["focus", "visibilitychange"]) {
  addEventListener(event, () => {
    if (!document.hidden) chat.unread = 0;
    title();
  });
}

// A message stays in the outbox until the server has published it to all, including us.
const queued = () => chat.outbox.filter(({ fate }) => fate === "queued").length;
const full = () => chat.link.state !== "open" && queued() >= MAY_WAIT;

function send(mine) {
  chat.link.send({ kind: "say", text: mine.text, id: mine.id });
  mine.fate = "sent";
  showOutbox();
}

function refused(id, why) {
  const mine = chat.outbox.find((one) => one.id === id);
  if (!mine) return log.note(why, { bad: true });
  Object.assign(mine, { fate: "refused", why });
  showOutbox();
}

function drop(mine) {
  if (!mine) return;
  chat.outbox = chat.outbox.filter((one) => one !== mine);
  showOutbox();
}

function showOutbox() {
  $("pending").replaceChildren(...chat.outbox.map((mine) => {
    const words = { queued: "waiting for the connection", sent: "sending…", refused: `not sent: ${mine.why}` }[mine.fate];
    const fate = make("p", { className: "fate", textContent: words });
    if (mine.fate !== "sent") {
      const onclick = () => (drop(mine), field.focus());
      fate.append(make("button", { className: "quiet", type: "button", textContent: "Remove", onclick }));
    }
    const item = make("li", { className: `wait ${mine.fate}` });
    item.append(make("p", { className: "text", textContent: mine.text }), fate);
    return item;
  }));
  log.settle();
  allowTyping();
}

function allowTyping() {
  const closed = chat.link.state === "closed";
  field.disabled = closed;
  $("send").disabled = closed || full();
  $("hint").textContent = full() ? `The queue is full: ${MAY_WAIT} messages are waiting.`
    : closed || queued() === 0 ? "" : `${queued()} of at most ${MAY_WAIT} messages are waiting for the connection.`;
}

// Shows the state: a dot and a word at the top; the reason, with a button, above the message field.
function show(link) {
  const { state, why, seconds } = link;
  const root = document.documentElement;
  const joined = chat.name !== "";
  const changed = root.dataset.state !== state;
  root.dataset.state = state;
  root.toggleAttribute("data-joined", joined);
  const words = { open: chat.node ? `connected · ${chat.node}` : "connected", connecting: "connecting…", waiting: `reconnecting in ${seconds} s` };
  $("status").textContent = words[state] ?? (joined ? "closed" : "not joined");
  if (changed && joined) $("announce").textContent = state === "waiting" ? `${why}. Reconnecting.` : why || words[state];

  // The notice stays during the next attempt, so that the page does not jump.
  const [text, button] = $("notice").children;
  if (state !== "connecting") $("notice").hidden = why === "";
  $("notice").classList.toggle("final", state === "closed");
  text.textContent = { waiting: `${why}. Reconnecting in ${seconds} s.`, connecting: "Reconnecting…" }[state] ?? `${why}.`;
  button.textContent = state === "closed" ? "Join again" : "Now";
  button.disabled = state === "connecting";

  if (state === "connecting") {
    Object.assign(chat, { changes: [], first: null });
    log.box.setAttribute("aria-live", "off"); // the past is not read out line by line
  }
  if (state === "closed") {
    chat.people = [];
    setPeople();
  }
  if (state === "open") board.now(); // where one gets through, the other will
  allowTyping();
}

$("notice").lastElementChild.addEventListener("click", () => {
  if (chat.link.state === "closed") chat.link.open();
  else chat.link.now();
  field.focus();
});

const field = $("message");

function fit() {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

field.addEventListener("input", fit);
field.addEventListener("keydown", (event) => {
  // Ignore the Enter that ends an IME composition.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (text === "" || chat.link.state === "closed" || full()) return;
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  const mine = { id, text, fate: "queued", why: "" };
  chat.outbox.push(mine);
  log.pinned = true;
  if (chat.link.state === "open") send(mine);
  else showOutbox();
  field.value = "";
  fit();
  field.focus();
});

function enter() {
  keep();
  Object.assign(chat, { room: roomOfHash(), unread: 0 });
  $("room").textContent = `#${chat.room}`;
  $("me").hidden = chat.name === "";
  $("me").querySelector("b").textContent = chat.name;
  const names = ROOMS.includes(chat.room) ? ROOMS : [...ROOMS, chat.room];
  $("rooms").replaceChildren(...names.map((name) => {
    const link = make("a", { textContent: `#${name}`, href: `#${encodeURIComponent(name)}` });
    if (name === chat.room) link.setAttribute("aria-current", "page");
    return link;
  }));
  title();
  log.clear();
  restore();
  showOutbox();
  if (chat.name) chat.link.open();
}

addEventListener("hashchange", () => roomOfHash() === chat.room || enter());

function ask() {
  $("name").value = chat.name || attempt(() => localStorage.getItem(KEPT), null) || randomName();
  $("cancel").hidden = chat.name === "";
  $("ask").showModal();
  $("name").select();
}

// Without a name the dialog cannot be cancelled.
$("ask").addEventListener("cancel", (event) => chat.name === "" && event.preventDefault());
$("ask").addEventListener("close", () => chat.name || ask());
$("cancel").addEventListener("click", () => $("ask").close());
$("me").querySelector("button").addEventListener("click", ask);
$("name").addEventListener("input", () => $("name").setCustomValidity($("name").value.trim() ? "" : "Enter a name."));
$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  const other = name !== chat.name;
  chat.name = name;
  for (const storage of ["sessionStorage", "localStorage"]) attempt(() => window[storage].setItem(KEPT, name));
  $("ask").close();
  if (other) enter();
  field.focus();
});

// The dashboard ---------------------------------------------------------------------------------------------------------------

const SPAN = 60_000; // ms that a chart shows
const HOLE = 5_000; // ms without a number after which the line breaks
const [WIDE, HIGH, RIM] = [300, 60, 4]; // of the drawing

const small = new Intl.NumberFormat([], { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const whole = new Intl.NumberFormat([], { maximumFractionDigits: 0 });

function amount(octets) {
  const kib = octets / 1024;
  return kib < 1 ? `${whole.format(octets)} B` : kib < 1024 ? `${small.format(kib)} KiB` : `${small.format(kib / 1024)} MiB`;
}

// Its two largest units.
function duration(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].filter(([size]) => size <= Math.max(1, seconds)).slice(0, 2);
  return units.map(([size, unit], place) => `${Math.floor((place ? seconds % units[0][0] : seconds) / size)} ${unit}`).join(" ");
}

// The format of a number, and of the ends of its scale where that differs; the minimum height of the scale.
const GAUGES = {
  connections: { format: (n) => whole.format(n), least: 4 },
  messages_per_second: { format: (n) => small.format(n), mark: (n) => whole.format(n), least: 2 },
  cpu_percent: { format: (n) => `${small.format(n)} %`, mark: (n) => `${whole.format(n)} %`, least: 5 },
  memory_kib: { format: (n) => amount(n * 1024), least: 1024, afloat: true },
};

// The range from zero to 1, 2 or 5 times a power of ten; if afloat, around the values.
function scale(least, most, gauge) {
  if (gauge.afloat) {
    const room = Math.max(most - least, gauge.least) / 2;
    return [Math.max(0, least - room), most + room];
  }
  const need = Math.max(most * 1.05, gauge.least);
  const power = 10 ** Math.floor(Math.log10(need));
  return [0, [1, 2, 5, 10].map((step) => step * power).find((step) => step >= need)];
}

let samples = [];

function draw(figure) {
  const { key } = figure.dataset;
  const gauge = GAUGES[key];
  const known = samples.filter((sample) => Number.isFinite(sample[key]));
  if (known.length === 0) return;
  const values = known.map((sample) => sample[key]);
  const [least, most, last] = [Math.min(...values), Math.max(...values), known.at(-1)];
  const [low, high] = scale(least, most, gauge);
  const start = samples.at(-1).at - SPAN;
  const x = ({ at }) => (((at - start) / SPAN) * (WIDE - 2 * RIM)).toFixed(1);
  const y = (sample) => (HIGH - RIM - ((sample[key] - low) / (high - low)) * (HIGH - 2 * RIM)).toFixed(1);

  const runs = [];
  for (const sample of known) {
    const run = runs.at(-1);
    if (run && sample.at - run.at(-1).at <= HOLE) run.push(sample);
    else runs.push([sample]);
  }
  const traces = runs.map((run) => run.map((sample) => `${x(sample)} ${y(sample)}`).join("L"));
  const [area, trace, tip] = figure.querySelectorAll("path");
  trace.setAttribute("d", traces.map((points) => `M${points}`).join(""));
  area.setAttribute("d", runs.map((run, n) => `M${x(run[0])} ${HIGH}L${traces[n]}L${x(run.at(-1))} ${HIGH}Z`).join(""));
  tip.setAttribute("d", `M${x(last)} ${y(last)}h0`);

  const { format, mark = format } = gauge;
  const name = figure.querySelector("figcaption span").textContent;
  figure.querySelector("output").textContent = format(last[key]);
  figure.querySelector("svg").setAttribute("aria-label",
    `${name} in the last minute: now ${format(last[key])}, min ${format(least)}, max ${format(most)}`);
  const [top, bottom] = figure.querySelectorAll(".range span");
  top.textContent = mark(high);
  bottom.textContent = mark(low);
  figure.dataset.points = known.length;
}

const board = new Link({
  address: () => address("/dashboard"),
  silence: PATIENCE,
  onMessage(sample) {
    if (!Number.isFinite(sample?.at)) return;
    if (board.state !== "open") board.ready();
    // Start a new chart if the clock was set back.
    if (samples.length && sample.at < samples.at(-1).at) samples = [];
    samples = [...samples, sample].filter(({ at }) => at >= sample.at - SPAN);
    document.querySelectorAll(".gauge").forEach(draw);
    const rate = small.format(sample.published_per_second);
    $("foot").textContent = `The last minute · ${rate} published/s · up ${duration(sample.uptime_seconds)}`;
  },
  onState({ state, why, seconds }) {
    if (state === "open") chat.link.now();
    document.querySelector(".board").classList.toggle("stale", state !== "open");
    $("board-status").dataset.state = state;
    const words = { open: "live", connecting: "connecting…", waiting: `reconnecting in ${seconds} s`, closed: why || "closed" };
    $("board-status").lastElementChild.textContent = words[state];
  },
});

if (!document.documentElement.hasAttribute("data-alone")) board.open();
enter();
if (chat.name === "") ask();
