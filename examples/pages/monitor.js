// The state of all nodes. Each publishes its metrics once a second at /dashboard/nodes. Counters are absolute, so rates are right
// even if reports in between are lost.
"use strict";

const SPAN = 60; // seconds that a chart shows
const GONE = 5_000; // ms of silence after which a node is gone
const FORGET = 300_000; // ms after which it is not shown any more
const SILENCE = 8_000; // ms without any report after which the connection is given up
const [WIDE, HIGH, RIM] = [240, 44, 3]; // of a drawing

const whole = new Intl.NumberFormat([], { maximumFractionDigits: 0 });
const small = new Intl.NumberFormat([], { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const short = new Intl.NumberFormat([], { notation: "compact", maximumSignificantDigits: 3 });

const count = (n) => (n < 100_000 ? whole.format(n) : short.format(n));
const rate = (n) => (n === 0 ? "0" : n < 99.95 ? small.format(n) : count(n));
const seconds = (s) => {
  const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const at = Math.max(0, units.findIndex(([size]) => s >= size));
  return units.slice(s < 1 ? 3 : at, s < 1 ? 4 : at + 2).map(([size, unit], n) => `${Math.floor((n ? s % units[at][0] : s) / size)}${unit}`).join(" ");
};
function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; n >= 1024 && at < units.length - 1; at += 1) n /= 1024;
  return `${at === 0 || n >= 99.95 ? whole.format(n) : small.format(n)} ${units[at]}`;
}

// The nodes -------------------------------------------------------------------------------------------------------------------

const nodes = new Map(); // by name: the last two reports of a run, and when the last came

function hear(report) {
  const known = nodes.get(report.node);
  const goes_on = known && known.now.run === report.run;
  if (goes_on && report.at <= known.now.at) return;
  nodes.set(report.node, { before: goes_on ? known.now : undefined, now: report, heard: performance.now() });
}

const is_gone = (node) => performance.now() - node.heard > GONE;
const sum = (values) => values.reduce((a, b) => a + b, 0);

// Rate of a counter.
const per_second = (of) => ({ before, now }) => (before ? Math.max(0, ((of(now) ?? 0) - (of(before) ?? 0)) / ((now.at - before.at) / 1000)) : 0);
const as_is = (of) => ({ now }) => of(now) ?? 0;

const dropped = ({ dropped: { newest, oldest, conflated, aged, unfit, flooded } }) => newest + oldest + conflated + aged + unfit + flooded;
const rates = {
  received: per_second((n) => n.received),
  sent: per_second((n) => n.sent),
  put: per_second((n) => n.put),
  fan_out: per_second((n) => n.fan_out),
  dropped: per_second(dropped),
};

// Mean number of channels per publication in the last second.
const breadth = (all) => {
  const put = sum(all.map(rates.put));
  return put > 0 ? sum(all.map(rates.fan_out)) / put : 0;
};

// The tiles and rows ---------------------------------------------------------------------------------------------------------

// Each: key, name, value computed from the present nodes, format, minimum height of the scale.
const TILES = [
  ["connections", "Connections", (all) => sum(all.map((n) => n.now.connections)), count, 4],
  ["received", "Messages in", (all) => sum(all.map(rates.received)), rate, 2, "/s"],
  ["sent", "Messages out", (all) => sum(all.map(rates.sent)), rate, 2, "/s"],
  ["fan_out", "Fan-out", breadth, rate, 2, "each"],
  ["queue", "Queued", (all) => sum(all.map((n) => n.now.waiting_bytes)), bytes, 1024],
  ["dropped", "Dropped", (all) => sum(all.map(rates.dropped)), rate, 2, "/s"],
];

const number = (name, of, format = count, mood) => ({ name, each: as_is(of), all: (all) => sum(all.map(as_is(of))), format, mood });
const speed = (name, of, format = rate) => ({ name, each: of, all: (all) => sum(all.map(of)), format });
const word = (name, of, worst) => ({ name, each: ({ now }) => of(now), all: (all) => worst.find((one) => all.some(({ now }) => of(now) === one)) ?? "–", word: true });
const alarm = (n) => (n > 0 ? "bad" : "");
const notice = (n) => (n > 0 ? "warn" : "");

const CODES = {
  1000: "normal", 1001: "going away", 1002: "protocol", 1003: "unsupported", 1005: "no code", 1006: "lost", 1007: "invalid",
  1008: "policy", 1009: "too big", 1010: "extension", 1011: "internal", 1012: "restart", 1013: "try again", 1014: "bad gateway",
  "3xxx": "libraries", "4xxx": "applications",
};

const PANELS = [
  [
    ["nodes", "Nodes", "", [
      word("State", (n) => n.status, ["draining", "degraded", "up"]),
      word("Backplane", (n) => n.backplane, ["down", "up", "alone"]),
      { name: "Uptime", each: ({ now }) => now.uptime, all: (all) => Math.max(...all.map(({ now }) => now.uptime)), format: seconds },
      speed("CPU", ({ before, now }) => (before && now.cpu_seconds !== null ? ((now.cpu_seconds - before.cpu_seconds) / ((now.at - before.at) / 1000)) * 100 : 0), (n) => `${small.format(n)} %`),
      number("Memory", (n) => n.memory, bytes),
    ]],
    ["connections", "Connections", "", [
      number("In", (n) => n.connections),
      number("WebSockets open", (n) => n.websockets),
      number("Accepted", (n) => n.accepted),
      number("Refused", (n) => n.refused, count, notice),
      number("Handshakes failed", (n) => n.failed),
      number("Handlers failed", (n) => n.handlers_failed, count, alarm),
    ]],
    ["messages", "Messages", "a second", [
      speed("Received", rates.received),
      speed("Sent", rates.sent),
      speed("Bytes in", per_second((n) => n.bytes_received), bytes),
      speed("Bytes out", per_second((n) => n.bytes_sent), bytes),
      speed("Published", per_second((n) => n.published)),
      speed("Queued for channels", rates.fan_out),
      { name: "Fan-out, mean", each: (node) => breadth([node]), all: breadth, format: rate },
      { name: "Fan-out, largest", each: ({ now }) => now.largest_fan_out, all: (all) => Math.max(...all.map(({ now }) => now.largest_fan_out)), format: count },
    ]],
    ["hub", "Hub", "", [
      number("Groups", (n) => n.groups),
      number("Channels", (n) => n.channels),
      number("Messages queued", (n) => n.waiting),
      number("Bytes queued", (n) => n.waiting_bytes, bytes),
      number("History, bytes", (n) => n.history_bytes, bytes),
      number("Gaps", (n) => n.gaps, count, alarm),
      number("Backplane went down", (n) => n.downs, count, notice),
    ]],
  ],
  [
    ["drops", "Dropped", "since the start", [
      number("Newest, no room", (n) => n.dropped.newest, count, notice),
      number("Oldest, to make room", (n) => n.dropped.oldest, count, notice),
      number("Superseded by key", (n) => n.dropped.conflated),
      number("Waited too long", (n) => n.dropped.aged, count, notice),
      number("Wrong kind", (n) => n.dropped.unfit, count, notice),
      number("Expired", (n) => n.dropped.expired),
      number("Queued at close", (n) => n.dropped.discarded),
      number("Sent too fast", (n) => n.dropped.flooded, count, notice),
      number("Closed as too slow", (n) => n.dropped.slow, count, notice),
    ]],
    ["codes", "Closed", "since the start", Object.entries(CODES).map(([code, what]) => ({
      ...number(code, (n) => n.closed[code], count, code === "1011" ? alarm : undefined), aside: what,
    }))],
  ],
];

function element(tag, fields = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...inside);
  return made;
}

// The rows are there from the start, so that nothing moves when values arrive.
const rows = [];
const heads = [];

function build() {
  for (const [key, name] of TILES) {
    const tile = element("figure", { className: "tile" });
    tile.dataset.key = key;
    tile.innerHTML = `<figcaption>${name}</figcaption><output data-testid="${key}">–</output>
      <svg viewBox="0 0 ${WIDE} ${HIGH}" preserveAspectRatio="none" role="img" aria-label="${name}"><path class="area"/><path class="trace"/></svg>
      <p class="range">${SPAN} s</p>`;
    document.getElementById("tiles").append(tile);
  }
  for (const column of PANELS) {
    const panels = column.map(([key, name, aside, list]) => {
      const head = element("tr", {}, element("th", { scope: "col" }, element("span", { className: "soft", textContent: "" })), element("th", { scope: "col", textContent: "Total" }));
      heads.push(head);
      const body = element("tbody", {}, ...list.map((row) => {
        const label = element("th", { scope: "row", textContent: row.name });
        if (row.aside) label.append(element("span", { className: "soft", textContent: ` ${row.aside}` }));
        const line = element("tr", {}, label, element("td", { className: "sum", textContent: "–" }));
        rows.push({ ...row, line });
        return line;
      }));
      const caption = element("caption", { textContent: name }, element("span", { className: "soft", textContent: aside }));
      const panel = element("div", { className: "panel", tabIndex: 0 }, element("table", { id: key }, caption, element("thead", {}, head), body));
      panel.setAttribute("role", "region");
      panel.setAttribute("aria-label", `${name} ${aside}`.trim());
      return panel;
    });
    document.getElementById("panels").append(element("div", { className: "column" }, ...panels));
  }
}

// One cell per node after the total; a single one before any node is known.
function widen(line, nodes, tag, scope) {
  const want = Math.max(1, nodes);
  while (line.children.length > want + 2) line.lastElementChild.remove();
  while (line.children.length < want + 2) line.append(element(tag, scope ? { scope } : {}));
}

const MOODS = { down: "bad", degraded: "bad", draining: "warn" };

function fill(cell, row, value, gone, base) {
  const text = gone ? (row.name === "State" ? "gone" : "–") : row.word ? value : row.format(value);
  if (cell.textContent !== text) cell.textContent = text;
  const mood = row.word ? MOODS[value] ?? "" : row.mood?.(value) || (value === 0 ? "zero" : "");
  const className = gone ? (row.name === "State" ? "bad" : "gone") : [base, mood].filter(Boolean).join(" ");
  if (cell.className !== className) cell.className = className;
}

function show() {
  for (const [name, node] of nodes) if (performance.now() - node.heard > FORGET) nodes.delete(name);
  const names = [...nodes.keys()].sort();
  const here = names.map((name) => nodes.get(name)).filter((node) => !is_gone(node));
  document.documentElement.style.setProperty("--nodes", Math.max(1, names.length));
  for (const head of heads) {
    widen(head, names.length, "th", "col");
    names.forEach((name, n) => {
      const cell = head.children[n + 2];
      if (cell.textContent !== name) Object.assign(cell, { textContent: name, title: name });
      cell.className = is_gone(nodes.get(name)) ? "gone" : "";
    });
  }
  for (const row of rows) {
    widen(row.line, names.length, "td");
    const all = row.line.children[1];
    if (here.length) fill(all, row, row.all(here), false, "sum");
    names.forEach((name, n) => fill(row.line.children[n + 2], row, row.each(nodes.get(name)), is_gone(nodes.get(name)), ""));
  }
  const gone = names.length - here.length;
  const said = `${here.length} ${here.length === 1 ? "node" : "nodes"}${gone ? `, ${gone} gone` : ""}`;
  const place = document.getElementById("count");
  if (names.length && place.textContent !== said) place.textContent = said;
}

// The charts ------------------------------------------------------------------------------------------------------------------

const history = []; // of each second: when, and the number of each tile

// 1, 2 or 5 times a power of ten.
function ceiling(most, least) {
  const need = Math.max(most * 1.05, least);
  const power = 10 ** Math.floor(Math.log10(need));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= need);
}

function tick() {
  const here = [...nodes.values()].filter((node) => !is_gone(node));
  const now = performance.now() / 1000;
  if (here.length) history.push({ at: now, values: Object.fromEntries(TILES.map(([key, , of]) => [key, of(here)])) });
  while (history.length && history[0].at < now - SPAN) history.shift();
  for (const [key, name, , format, least, unit] of TILES) {
    const tile = document.querySelector(`.tile[data-key="${key}"]`);
    const values = history.map(({ values }) => values[key]);
    tile.dataset.points = values.length;
    if (!values.length) continue;
    const [last, most] = [values.at(-1), Math.max(...values)];
    const high = ceiling(most, least);
    const points = history.map(({ at, values }) => {
      const [x, y] = [WIDE - ((now - at) / SPAN) * WIDE, HIGH - RIM - (values[key] / high) * (HIGH - 2 * RIM)];
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    const [area, trace] = tile.querySelectorAll("path");
    trace.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M${points[0].split(" ")[0]} ${HIGH}L${points.join("L")}L${WIDE} ${HIGH}Z`);
    const out = tile.querySelector("output");
    out.textContent = format(last);
    if (unit) out.append(element("small", { textContent: unit === "each" ? " each" : unit }));
    tile.querySelector(".range").textContent = `max ${format(most)} in ${SPAN} s`;
    tile.querySelector("svg").setAttribute("aria-label", `${name} in the last minute: now ${format(last)}, max ${format(most)}`);
  }
  show();
}

// The connection --------------------------------------------------------------------------------------------------------------

let wait = 500;
let silence;

function say(state, text) {
  document.documentElement.dataset.state = state;
  const place = document.getElementById("status");
  if (place.textContent !== text) place.textContent = text;
}

function listen() {
  const url = new URL("dashboard/nodes", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  const patience = () => {
    clearTimeout(silence);
    silence = setTimeout(() => { socket.onclose(); socket.close(); }, SILENCE);
  };
  patience();
  socket.onmessage = ({ data }) => {
    wait = 500;
    patience();
    say("open", "live");
    hear(JSON.parse(data));
  };
  socket.onclose = () => {
    socket.onclose = socket.onmessage = null;
    clearTimeout(silence);
    say("waiting", "not connected, trying again…");
    setTimeout(listen, wait * (0.5 + Math.random() / 2));
    wait = Math.min(wait * 2, 10_000);
  };
}

build();
show();
listen();
setInterval(tick, 1000);
