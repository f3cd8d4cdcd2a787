// The report's page: reads the data that stands in it, and draws tables and the panel of a case when they are asked for.
// All that a peer may have chosen goes into the page as text, never as markup.
const data = JSON.parse(byId("data").textContent);

// In the order of the suite's verdicts, the best first: glyph, name, meaning.
const VERDICTS = [
  ["✓", "OK", "As it should be."],
  ["i", "Informa\u00adtional", "The RFC leaves it open: what the peer did is told, not judged."],
  ["≈", "Non-strict", "Not forbidden by the RFC, but later or laxer than it could be."],
  ["≠", "Wrong code", "Failed the connection with a code that means something else."],
  ["○", "Unimple\u00admented", "The peer declined the extension that the case is about."],
  ["!", "Unclean", "The closing handshake was not completed."],
  ["◁", "Failed by client", "The server did not end TCP after the closing handshake: the client had to."],
  ["✗", "Failed", "Not as it must be: it violates a MUST."],
];
const OPCODES = { 0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong" };
const MOST_OPEN_ROWS = 60;

const families = new Map(data.families.map(([number, title]) => [number, { number, title, cases: [] }]));
const cases = data.cases.map(([id, does, expects, rule, freedom, role, server, client], index) => {
  const family = families.get(Number(id.split(".")[0]));
  const one = { index, id, does, expects, role, family, words: { server, client }, rule: data.strings[rule], freedom: freedom === null ? "" : data.strings[freedom] };
  one.hay = [id, does, expects, one.rule, one.freedom].join("\n").toLowerCase();
  one.classic = family.number < 20;
  family.cases.push(one);
  return one;
});
const agents = data.agents.map((agent, index) => {
  const entries = new Map(agent.entries.map((row) => [row[0], entry(row)]));
  return { ...agent, index, entries, label: agent.name || "(no name)" };
});

const filter = { text: "", family: "", agent: "", set: "", verdicts: new Set() };
const opened = new Map(); // What the reader opened and closed, by family.
let shown = cases; // The cases that pass the filter.
let current = null; // What the panel shows.
let column = 1; // The column of the table that the arrow keys keep to.

function entry([at, behavior, close, says, micros, trips, ends, totals, log]) {
  const [local, remote, reason, clean] = ends;
  return { at, behavior, close, worst: Math.max(behavior, close), says: data.strings[says], micros, trips, local, remote, clean, totals, log,
    reason: reason === null ? null : data.strings[reason] };
}

// Small tools

function byId(id) { return document.getElementById(id); }

function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const many = (count, one, more = one + "s") => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
const isGood = (verdict) => verdict < 2;
const word = (verdict) => VERDICTS[verdict][1];
const plainWord = (verdict) => word(verdict).replace("\u00ad", "");
const glyph = (verdict) => el("span", { class: "glyph", "aria-hidden": "true" }, VERDICTS[verdict][0]);
const badge = (verdict) => el("span", { class: `badge v${verdict}` }, glyph(verdict), plainWord(verdict));
const hashOf = (agent, one) => `#${encodeURIComponent(agent.key)}/${one.id}`;
const visibleAgents = () => (filter.agent === "" ? agents : [agents[Number(filter.agent)]]);

// Rounded down: only all is 100 %.
function percent(part, whole) {
  return `${whole ? (Math.floor((part / whole) * 1000) / 10).toFixed(1).replace(".0", "") : 0} %`;
}

function duration(micros) {
  if (micros < 1000) return `${micros} µs`;
  if (micros < 1e6) return `${(micros / 1000).toFixed(micros < 1e4 ? 2 : 1)} ms`;
  return `${(micros / 1e6).toFixed(2)} s`;
}

function countVerdicts(agent, list) {
  const counts = VERDICTS.map(() => 0);
  for (const one of list) {
    const found = agent.entries.get(one.index);
    if (found) counts[found.worst] += 1;
  }
  const run = counts.reduce((sum, count) => sum + count, 0);
  return { counts, run, good: counts[0] + counts[1] };
}

function bar(counts) {
  const parts = counts.map((count, verdict) => {
    if (!count) return null;
    const part = el("i", { class: `v${verdict}`, title: `${plainWord(verdict)}: ${count}` });
    part.style.flexGrow = count;
    return part;
  });
  return el("div", { class: "bar", "aria-hidden": "true" }, parts);
}

// Head and agents

function drawHead() {
  const all = agents.map((agent) => countVerdicts(agent, cases));
  const run = all.reduce((sum, one) => sum + one.run, 0);
  const good = all.reduce((sum, one) => sum + one.good, 0);
  byId("lead").replaceChildren(
    `${many(agents.length, "agent")}, ${many(cases.length, "case")}: `,
    el("b", null, `${good.toLocaleString("en")} of ${many(run, "result")}`),
    " are OK or informational.",
  );
  const made = new Date(data.made).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" });
  const part = cases.length < data.total ? `${cases.length} of the suite’s ${data.total} cases` : `All ${data.total} cases of the suite`;
  byId("facts").append(
    el("li", null, el("time", { datetime: data.made }, `${made} UTC`)),
    el("li", null, part),
    el("li", null, `wsconform ${data.version}`),
    el("li", null, `Seed ${data.seed}`),
    data.quick ? el("li", { class: "warn" }, "Quick run: long cases were cut short") : "",
  );
  byId("agents").append(...agents.map((agent) => agentCard(agent, all[agent.index])));
  byId("legend").append(...VERDICTS.map(([, , meaning], verdict) => el("div", null, el("dt", null, badge(verdict)), el("dd", null, meaning))));
}

function agentCard(agent, { counts, run, good }) {
  const buttons = counts.map((count, verdict) => count ? el("button", {
    type: "button", class: `v${verdict}`, title: `${percent(count, run)}: show them`,
    on: { click: () => showOnly(agent, verdict) },
  }, glyph(verdict), `${count} ${plainWord(verdict)}`) : null);
  return el("article", { class: "agent" },
    el("header", null,
      el("h3", null, el("bdi", null, agent.label), " ", el("span", { class: "role" }, agent.role)),
      el("span", { class: "rate" }, percent(good, run))),
    bar(counts),
    el("p", { class: "sum" }, `${good} of ${many(run, "case")} OK or informational`),
    agent.notes.map((note) => el("p", { class: "sum" }, sentence(note))),
    el("div", { class: "counts" }, buttons));
}

function showOnly(agent, verdict) {
  resetFilters();
  byId("agent").value = filter.agent = agents.length > 1 ? String(agent.index) : "";
  filter.verdicts.add(verdict);
  drawTable();
  byId("h-results").scrollIntoView();
}

// Filters

function drawFilters() {
  const option = (value, text) => el("option", { value }, text);
  byId("family").append(option("", "All families"), ...[...families.values()].map((one) => option(one.number, `${one.number} ${one.title}`)));
  byId("agent").append(option("", "All agents"), ...agents.map((one) => option(one.index, `${one.label} (${one.role})`)));
  byId("verdicts").append(...VERDICTS.map((_, verdict) => el("button", {
    type: "button", class: `v${verdict}`, "aria-pressed": "false", on: { click: () => toggleVerdict(verdict) },
  }, glyph(verdict), el("span", null, plainWord(verdict)), el("span", { class: "number" }))));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("find").addEventListener("input", () => { filter.text = byId("find").value.trim().toLowerCase(); update(); });
  byId("family").addEventListener("change", () => { filter.family = byId("family").value; update(); });
  byId("set").addEventListener("change", () => { filter.set = byId("set").value; update(); });
  byId("agent").addEventListener("change", () => { filter.agent = byId("agent").value; drawTable(); });
  byId("reset").addEventListener("click", () => { resetFilters(); drawTable(); });
  byId("expand").addEventListener("click", () => openAll(true));
  byId("collapse").addEventListener("click", () => openAll(false));
}

function toggleVerdict(verdict) {
  if (!filter.verdicts.delete(verdict)) filter.verdicts.add(verdict);
  update();
}

function resetFilters() {
  Object.assign(filter, { text: "", family: "", agent: "", set: "", verdicts: new Set() });
  for (const id of ["find", "family", "agent", "set"]) byId(id).value = "";
  opened.clear();
}

const isFiltered = () => Boolean(filter.text || filter.family || filter.set || filter.verdicts.size);

// Whether a case passes all of the filter but its verdicts.
function passes(one) {
  if (filter.family && one.family.number !== Number(filter.family)) return false;
  if (filter.set && one.classic !== (filter.set === "classic")) return false;
  if (filter.text && !filter.text.split(/\s+/).every((part) => one.hay.includes(part))) return false;
  return visibleAgents().some((agent) => agent.entries.has(one.index));
}

function update() {
  const before = cases.filter(passes);
  const totals = VERDICTS.map(() => 0);
  for (const agent of visibleAgents()) {
    countVerdicts(agent, before).counts.forEach((count, verdict) => { totals[verdict] += count; });
  }
  shown = before.filter((one) => !filter.verdicts.size
    || visibleAgents().some((agent) => filter.verdicts.has(agent.entries.get(one.index)?.worst)));
  [...byId("verdicts").children].forEach((button, verdict) => {
    const on = filter.verdicts.has(verdict);
    button.setAttribute("aria-pressed", String(on));
    button.querySelector(".number").textContent = totals[verdict];
    button.hidden = !totals[verdict] && !on;
  });
  byId("shown").textContent = shown.length === cases.length ? many(cases.length, "case") : `${shown.length} of ${many(cases.length, "case")}`;
  byId("reset").hidden = !isFiltered() && filter.agent === "";
  byId("nothing").hidden = shown.length > 0;
  byId("scroll").hidden = !shown.length;
  updateTable();
}

// Matrix. The rows of a family are made when it is first opened.

function drawTable() {
  const list = visibleAgents();
  const table = byId("matrix");
  table.className = list.length === 1 ? "alone few" : list.length <= 4 ? "few" : list.length > 5 ? "many" : "";
  table.style.setProperty("--count", list.length);
  table.replaceChildren(
    el("colgroup", null, el("col"), list.map(() => el("col", { class: "a" }))),
    el("thead", null, el("tr", null,
      el("th", { scope: "col" }, "Case"),
      list.map((agent) => el("th", { scope: "col", title: `${agent.label} (${agent.role})` },
        el("div", { class: "up" }, el("b", null, el("bdi", null, agent.label)), el("span", { class: "role" }, agent.role)))))),
    ...[...families.values()].map((family) => {
      family.rows = null;
      family.body = el("tbody", null, el("tr", { class: "fam" }));
      return family.body;
    }),
  );
  update();
}

function updateTable() {
  const passing = new Set(shown);
  for (const family of families.values()) {
    const list = family.cases.filter((one) => passing.has(one));
    family.body.hidden = !list.length;
    if (!list.length) continue;
    const open = isOpen(family);
    drawFamily(family, list, open);
    if (open && !family.rows) {
      family.rows = new Map(family.cases.map((one) => [one, caseRow(one)]));
      family.body.append(...family.rows.values());
    }
    family.rows?.forEach((row, one) => { row.hidden = !open || !passing.has(one); });
  }
  const first = byId("matrix").querySelector("tr:not([hidden]) .cell");
  if (first && !byId("matrix").querySelector("tr:not([hidden]) .cell[tabindex='0']")) first.tabIndex = 0;
  fit();
}

function isOpen(family) {
  return opened.get(family.number) ?? (isFiltered() || families.size === 1 || startsOpen.has(family.number));
}

// At the start those families are open in which something is not good, unless that is most of the page.
const startsOpen = (() => {
  const bad = [...families.values()].filter((family) => agents.some((agent) => {
    const { run, good } = countVerdicts(agent, family.cases);
    return good < run;
  }));
  const rows = bad.reduce((sum, family) => sum + family.cases.length, 0);
  return new Set(rows <= MOST_OPEN_ROWS ? bad.map((family) => family.number) : []);
})();

function drawFamily(family, list, open) {
  const button = el("button", { type: "button", "aria-expanded": String(open), on: { click: () => toggleFamily(family) } },
    el("span", { class: "turn", "aria-hidden": "true" }), el("span", { class: "no" }, String(family.number)),
    el("b", null, family.title), el("small", null, list.length === family.cases.length ? many(list.length, "case") : `${list.length} of ${many(family.cases.length, "case")}`));
  const hadFocus = family.body.firstChild.contains(document.activeElement);
  family.body.firstChild.replaceChildren(
    el("th", { scope: "rowgroup" }, button),
    ...visibleAgents().map((agent) => familyCell(countVerdicts(agent, list))));
  if (hadFocus) button.focus();
}

function familyCell({ counts, run, good }) {
  if (!run) return el("td", null, el("span", { class: "none" }, "–"));
  const label = counts.map((count, verdict) => (count ? `${count} ${plainWord(verdict)}` : "")).filter(Boolean).join(", ");
  return el("td", { title: label }, el("div", null,
    el("p", null, el("b", null, String(good)), el("span", { class: "of" }, ` of ${run}`)), bar(counts)));
}

function toggleFamily(family) {
  opened.set(family.number, !isOpen(family));
  updateTable();
}

function openAll(open) {
  for (const number of families.keys()) opened.set(number, open);
  updateTable();
}

function caseRow(one) {
  return el("tr", { class: "row" },
    el("th", { scope: "row" }, el("div", null, el("span", { class: "id" }, one.id), el("span", { class: "does", title: one.does }, one.does))),
    visibleAgents().map((agent) => el("td", null, caseCell(agent, one))));
}

function caseCell(agent, one) {
  const found = agent.entries.get(one.index);
  if (!found) return el("span", { class: "none", title: notRun(agent, one) }, "–");
  const { behavior, close, worst, remote } = found;
  const text = behavior === worst ? word(worst) : `Close: ${word(worst).toLowerCase()}`;
  const label = `${agent.label} (${agent.role}), case ${one.id}: behaviour ${plainWord(behavior)}, close ${plainWord(close)}`;
  return el("a", { class: `cell v${worst}${text.length > 6 ? " long" : ""}`, href: hashOf(agent, one), tabindex: "-1", "aria-label": label, title: found.says },
    glyph(worst), el("span", { class: "word" }, text), el("span", { class: "code" }, remote === null ? "" : String(remote)));
}

const notRun = (agent, one) => (one.role && one.role !== agent.role ? `For ${one.role}s only` : "Not run");

// A table that is too wide scrolls in its own box; otherwise its head sticks to the window.
function fit() {
  const [box, table] = [byId("scroll"), byId("matrix")];
  table.style.removeProperty("--head");
  box.classList.remove("wide");
  box.classList.toggle("wide", table.offsetWidth > box.clientWidth + 1);
  table.style.setProperty("--head", `${table.tHead.offsetHeight}px`);
}

function moveFocus(event) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const from = event.target.closest("td, th");
  if (!steps[event.key] || !from || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const [down, right] = steps[event.key];
  const rows = [...byId("matrix").querySelectorAll("tbody:not([hidden]) > tr:not([hidden])")];
  const row = rows[rows.indexOf(from.parentElement) + down];
  if (right) column = Math.max(1, from.cellIndex + right);
  const target = row?.cells[right ? from.cellIndex + right : column]?.querySelector("a, button") ?? (down ? row?.querySelector("a, button") : null);
  target?.focus();
  target?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function keepOneStop(event) {
  if (!event.target.matches(".cell")) return;
  byId("matrix").querySelectorAll(".cell[tabindex='0']").forEach((cell) => { cell.tabIndex = -1; });
  event.target.tabIndex = 0;
  column = event.target.closest("td").cellIndex;
}

// The whole page

function pickTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("wsconform-theme", root.dataset.theme); } catch { /* It is kept for this visit only. */ }
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (byId("panel").open) {
    if (event.key === "ArrowLeft") walk(-1);
    if (event.key === "ArrowRight") walk(1);
  } else if (event.key === "/" && !event.target.matches("input, select")) {
    event.preventDefault();
    byId("find").focus();
  }
}

function start() {
  try {
    const theme = localStorage.getItem("wsconform-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch { /* The system's theme it is. */ }
  drawHead();
  drawFilters();
  drawTable();
  byId("theme").addEventListener("click", pickTheme);
  byId("matrix").addEventListener("keydown", moveFocus);
  byId("matrix").addEventListener("focusin", keepOneStop);
  byId("panel").addEventListener("close", closed);
  byId("panel").addEventListener("click", (event) => { if (event.target === byId("panel")) byId("panel").close(); });
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", route);
  addEventListener("resize", fit);
  route();
}
