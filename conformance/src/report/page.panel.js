// The report's page, its other half: the panel of a case, with what went over the wire.

function route() {
  const panel = byId("panel");
  const [, key, id] = /^#(.*)\/([^/]+)$/.exec(location.hash) || [];
  const agent = id && agents.find((each) => encodeURIComponent(each.key) === key || each.key === decode(key));
  const one = agent && cases.find((each) => each.id === id);
  if (!one || !agent.entries.has(one.index)) {
    if (panel.open) panel.close();
    return;
  }
  current = { agent, one };
  drawPanel(agent, one, agent.entries.get(one.index));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function go(agent, one) {
  replaceHash(hashOf(agent, one));
  route();
}

function replaceHash(hash) {
  try { history.replaceState(null, "", hash || location.pathname + location.search); } catch { location.replace(hash || "#"); }
}

function closed() {
  if (!current) return;
  const { agent, one } = current;
  current = null;
  if (/\/[^/]+$/.test(location.hash)) replaceHash("");
  const cell = one.family.rows?.get(one)?.cells[visibleAgents().indexOf(agent) + 1]?.querySelector("a");
  cell?.focus();
}

// The case before or after, among those that the table shows.
function neighbour(step) {
  const { agent, one } = current;
  const list = (shown.includes(one) ? shown : cases).filter((each) => agent.entries.has(each.index));
  return list[list.indexOf(one) + step];
}

function drawPanel(agent, one, found) {
  const step = (text, label, by) => el("button", { type: "button", id: `step${by}`, "aria-label": label, title: label, disabled: !neighbour(by), on: { click: () => walk(by) } }, text);
  const kept = document.activeElement?.id;
  byId("panel").replaceChildren(
    el("div", { class: "bar-top" },
      el("div", { class: "tools" },
        el("span", { class: "at" }, `${one.family.number} ${one.family.title}`),
        step("←", "The case before", -1), step("→", "The case after", 1),
        el("button", { type: "button", id: "close", on: { click: () => byId("panel").close() } }, "Close")),
      el("h2", { id: "panel-title" }, el("span", null, one.id), el("small", null, el("bdi", null, agent.label), ` (${agent.role})`, one.classic ? ", classic case" : ", new case")),
      el("nav", { class: "pills", "aria-label": "The same case of other agents" }, agents.map((other) => pill(other, one, other === agent)))),
    el("div", { class: "body" },
      el("div", { class: `verdict v${found.worst}` }, el("strong", null, sentence(found.says)),
        el("p", null, el("span", null, "Behaviour: ", glyph(found.behavior), " ", plainWord(found.behavior)), el("span", null, "Close: ", glyph(found.close), " ", plainWord(found.close)))),
      el("h3", null, "What the suite does"), el("p", null, one.does),
      el("h3", null, "What the peer should do"), el("p", null, one.expects),
      el("h3", null, "The rule"), el("p", { class: "rule" }, ruleText(one.rule)),
      el("p", null, one.words[agent.role] === "none" ? "The RFC says nothing that a verdict could stand on." : `The verdict stands on ${one.words[agent.role]}.`),
      one.freedom ? [el("h3", null, "Why the verdict is informational"), el("p", null, one.freedom)] : null,
      facts(found),
      el("h3", null, "On the wire"),
      el("p", null, "Times count from the connection. Payloads are shown unmasked, and only their first 64 octets are kept."),
      transcript(agent, one, found.log)));
  byId("panel").querySelector(".pills [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  byId(kept)?.focus();
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function pill(other, one, isCurrent) {
  const found = other.entries.get(one.index);
  if (!found || agents.length < 2) return null;
  const act = (event) => { event.preventDefault(); go(other, one); };
  return el("a", { class: `v${found.worst}`, href: hashOf(other, one), "aria-current": isCurrent && "true", title: plainWord(found.worst), on: { click: act } },
    glyph(found.worst), el("span", null, el("bdi", null, other.label), ` ${other.role}`));
}

function walk(step) {
  const next = neighbour(step);
  if (next) go(current.agent, next);
}

// The rule, with its place as a link to the text.
function ruleText(rule) {
  const [, before, text, number, section, after] = /^(.*?)(RFC (\d+)(?: (\d+(?:\.\d+)*))?)(.*)$/s.exec(rule) || [];
  if (!text) return [rule];
  const href = `https://www.rfc-editor.org/rfc/rfc${number}${section ? `#section-${section}` : ""}`;
  return [before, el("a", { href, rel: "noreferrer" }, text), after];
}

function facts({ micros, trips, local, remote, reason, clean, totals }) {
  const [sent, received, sentFrames, receivedFrames] = totals;
  const code = (value) => (value === null ? "no code" : String(value));
  const list = [
    ["Duration", duration(micros)],
    ["Round trips", trips && `${duration(trips[1])} (median); ${duration(trips[0])} to ${duration(trips[2])}`],
    ["Close code of the suite", code(local)],
    ["Close code of the peer", code(remote) + (reason ? `: “${reason}”` : "")],
    ["Close frames both ways", clean ? "yes" : "no"],
    ["Sent to the peer", `${many(sent, "octet")}${frames(sentFrames)}`],
    ["Received from the peer", `${many(received, "octet")}${frames(receivedFrames)}`],
  ];
  return el("dl", { class: "ours" }, list.filter(([, value]) => value).map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))));
}

function frames(counts) {
  const parts = Object.entries(counts).map(([code, count]) => `${count.toLocaleString("en")} ${OPCODES[code] || `opcode ${code}`}`);
  return parts.length ? `; frames: ${parts.join(", ")}` : "";
}

function transcript(agent, one, [leftOut, skipped, skippedAt, flat]) {
  const lines = [];
  let time = 0;
  for (let at = 0; at < flat.length; at += 2) {
    time += flat[at];
    lines.push(wireLine(time, data.lines[flat[at + 1]]));
  }
  if (!lines.length) return el("p", null, "Nothing was recorded.");
  if (leftOut) {
    const lastIsNote = data.lines[flat[flat.length - 1]][1] === 3;
    lines.splice(lines.length - (lastIsNote ? 1 : 0), 0, el("li", { class: "gap" }, `${many(leftOut, "more line was", "more lines were")} left out`));
  }
  if (skipped) lines.splice(skippedAt, 0, el("li", { class: "gap" }, `${many(skipped, "line")} of this good case ${skipped === 1 ? "is" : "are"} not on this page`));
  const file = data.linked && `${agent.stem}_case_${one.id.replaceAll(".", "_")}.json`;
  return [el("ol", { class: "log" }, lines), file ? el("p", null, el("a", { href: file }, "This case as JSON")) : null];
}

function wireLine(time, [who, kind, text, header, payload, length]) {
  const words = text === null ? "" : data.strings[text];
  const octets = payload === null ? [] : (data.strings[payload].match(/../g) || []);
  const head = (says) => el("div", { class: "line" },
    el("span", { class: "time" }, `${(time / 1000).toFixed(3)} ms`),
    el("span", { class: "who" }, who ? "← peer" : "→ suite"),
    el("span", { class: "says" }, says));
  const bodies = [
    () => [head(`${words}, ${many(length, "octet")}`), headerOctets(header), payloadOctets(octets, length, words)],
    () => [head("HTTP"), el("pre", null, httpText(words))],
    () => [head(many(length, "octet")), payloadOctets(octets, length, "")],
    () => [head(words)],
  ];
  return el("li", { class: `${who ? "peer" : "suite"}${kind === 3 ? " note" : ""}` }, bodies[kind]());
}

function headerOctets(hex) {
  const octets = hex.match(/../g) || [];
  const [first, second] = octets.map((octet) => parseInt(octet, 16));
  const more = { 126: 2, 127: 8 }[second & 127] || 0;
  const part = (list, caption) => (list.length ? el("span", null, el("code", null, list.join(" ")), el("small", null, caption)) : null);
  const length = more ? BigInt(`0x${octets.slice(2, 2 + more).join("") || 0}`) : second & 127;
  return el("div", { class: "hex" },
    part(octets.slice(0, 1), `FIN ${first >> 7}, RSV ${(first >> 4) & 7}, opcode ${first & 15}`),
    part(octets.slice(1, 2 + more), `MASK ${second >> 7}, length ${length}`),
    part(octets.slice(2 + more), "masking key"));
}

function payloadOctets(octets, length, words) {
  if (!octets.length) return null;
  const groups = [];
  for (let at = 0; at < octets.length; at += 8) groups.push(el("span", null, octets.slice(at, at + 8).join(" ")));
  const rest = length - octets.length;
  if (rest > 0) groups.push(el("span", { class: "more" }, `… ${many(rest, "more octet")}`));
  const skip = words.startsWith("CLOSE") ? 2 : 0;
  const bytes = Uint8Array.from(octets.slice(skip), (octet) => parseInt(octet, 16));
  const [label, text] = asText(bytes, rest > 0);
  return el("dl", { class: "pay" },
    el("dt", null, "payload"), el("dd", { class: "octets" }, groups),
    bytes.length ? [el("dt", null, skip ? "reason" : label), el("dd", null, text)] : null);
}

function asText(bytes, cut) {
  const dots = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "·");
  try {
    return ["UTF-8", dots(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: cut }))];
  } catch {
    return ["ASCII", [...bytes].map((octet) => (octet > 31 && octet < 127 ? String.fromCharCode(octet) : "·")).join("")];
  }
}

// Line ends are shown: which they are is what some cases are about.
function httpText(text) {
  const marks = { "\r\n": " ↵\n", "\n": " \\n\n", "\r": " \\r" };
  return text.split(/(\r\n|\n|\r)/).map((part) => (marks[part] ? el("span", { class: "eol" }, marks[part]) : part));
}
