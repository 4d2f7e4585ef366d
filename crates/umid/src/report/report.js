"use strict";
// The report's table, tooltips and downloads. All text from the data goes into the page as
// text nodes, never as markup. The table's state is kept in the address' fragment.
(() => {
const byId = (id) => document.getElementById(id);
const source = byId("umid-data").textContent;
const data = JSON.parse(source);
const { alpha, false_discovery_rate: rate, min_votes: minVotes, restarts } = data.run.parameters;
const PRINTED_ROWS = 500;
const NAME_LENGTH = data.run.parameters.redact ? 16 : 80;
data.rows.forEach((row, index) => { row.index = index; });

// Numbers

const percent = (x) => `${+(x * 100).toFixed(3)}\u00a0%`;
const number = (x, decimals) => x.toFixed(decimals).replace("-", "\u2212");
const probability = (p) => (p > 0 && p < 0.0001 ? "<\u00a00.0001" : p.toFixed(4));
const words = (name) => name.replace(/[_-]/g, " ");
const capital = (string) => string.charAt(0).toUpperCase() + string.slice(1);
const count = (n) => n.toLocaleString("en-US");

// As many decimals as show three or four digits of a column's largest value.
function decimalsFor(values) {
  let largest = 0;
  for (const value of values) if (value !== null) largest = Math.max(largest, Math.abs(value));
  if (largest === 0) return 0;
  return Math.min(8, Math.max(0, 3 - Math.floor(Math.log10(largest)) - (largest >= 1 ? 1 : 0)));
}

// Elements

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
const missing = (reason) => element("span", { class: "missing", title: reason }, "\u2013");
// Direction controls can make a text read as another; they are shown as U+FFFD.
const text = (string) => element("bdi", {}, string.replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd"));
const short = (string, most) => (string.length > most ? string.slice(0, most) + "\u2026" : string);

// Verdicts

const passesRate = (row) => row.q !== null && row.q <= rate;
const strength = (row) => (passesRate(row) ? 2 : row.detected ? 1 : 0);
const VERDICTS = ["not detected", "\u25c7 detected (level)", "\u25c6 detected (FDR)"];
const verdict = (row) => (row.p === null ? "no verdict" : VERDICTS[strength(row)]);
const paperVerdict = (paper) => `${paper.votes} of ${paper.of}, ${paper.member ? "voted member" : "not detected"}`;
const noPaper = restarts === 0
  ? "this run was made without inversions" : "this name was not put to the vote";
const noSignal = (row) => ["this signal could not be computed for this name", ...(row.warnings ?? [])].join("; ");

// Columns: `value` sorts, `cell` shows. `when` says at which widths a column is left out.

const decimals = data.signals.map((_, i) => decimalsFor(data.rows.map((row) => row.signals[i])));
const scoreDecimals = decimalsFor(data.rows.map((row) => row.score));
const numeric = (head, when, value, show, reason, title) => ({
  head, title, value, class: `number ${when}`,
  cell: (row) => (value(row) === null ? missing(reason(row)) : show(value(row))),
});
const columns = [
  { key: "name", head: data.run.parameters.redact ? "Name (hash)" : "Name", class: "", value: (row) => row.text },
  { key: "id", head: "Id", class: "id medium", value: (row) => row.id, cell: (row) => text(short(row.id, 40)) },
  { key: "p", ...numeric("p-value", "", (row) => row.p, probability, () => "no p-value was computed",
    "Chance of a score this high for a name that the model has not seen") },
  { key: "q", ...numeric("q-value", "", (row) => row.q, probability, () => "no false discovery rate was computed",
    "Smallest false discovery rate at which this name is detected") },
  { key: "verdict", head: "Calibrated", title: `Verdict that carries the error rate: at FDR ${percent(rate)} across the run, or at level ${percent(alpha)} a name only`, class: "verdict calibrated", value: strength,
    cell: verdict, descending: true },
  ...(data.has_truth ? [{ key: "truth", head: "Truth", class: "truth medium", value: (row) => (row.truth === undefined ? null : +row.truth), descending: true,
    cell: (row) => (row.truth === undefined ? missing("nothing is known of this name") : row.truth ? "member" : "non-member") }] : []),
  ...(data.has_paper ? [
    { key: "paper", head: "Paper\u2019s vote", title: "Detectors that find the name unlike gibberish; no error rate comes with it",
      class: "verdict medium", value: (row) => row.paper?.votes ?? null, descending: true,
      cell: (row) => (row.paper ? paperVerdict(row.paper) : missing(noPaper)) },
  ] : []),
  ...data.key_signals.map((i) => ({ key: `signal.${data.signals[i]}`, ...numeric(capital(words(data.signals[i])), "wide",
    (row) => row.signals[i], (x) => number(x, decimals[i]), noSignal) })),
];

// State

const state = { sort: "p", dir: 1, find: "", show: "all", size: 50, page: 0 };
const open = new Set();
const filters = {
  all: ["all names", () => true],
  ...(data.has_q_values && { fdr: [`detected at FDR ${percent(rate)}`, passesRate] }),
  level: [`detected at level ${percent(alpha)}`, (row) => row.detected],
  negative: ["not detected", (row) => row.p !== null && strength(row) === 0],
  ...(data.has_paper && {
    paper: [`voted member (${minVotes} votes or more)`, (row) => row.paper?.member === true],
    differ: ["readings differ", (row) => row.paper !== null && row.p !== null && row.paper.member !== (strength(row) > 0)],
  }),
  ...(data.has_truth && data.has_q_values && { wrong: ["verdict is wrong (FDR)", (row) => row.truth !== undefined && row.truth !== passesRate(row)] }),
  ...(data.rows.some((row) => row.warnings) && { warned: ["with a warning", (row) => !!row.warnings] }),
};

function readAddress() {
  if (!location.hash.includes("=")) return;
  const given = new URLSearchParams(location.hash.slice(1));
  if (columns.some((column) => column.key === given.get("sort"))) state.sort = given.get("sort");
  state.dir = given.get("dir") === "desc" ? -1 : 1;
  state.find = given.get("find") ?? "";
  if (Object.hasOwn(filters, given.get("show") ?? "")) state.show = given.get("show");
  if ([25, 50, 100, 250].includes(+given.get("size"))) state.size = +given.get("size");
  state.page = Math.max(0, (parseInt(given.get("page"), 10) || 1) - 1);
}

function writeAddress() {
  const kept = new URLSearchParams({ sort: state.sort, dir: state.dir > 0 ? "asc" : "desc" });
  if (state.find) kept.set("find", state.find);
  if (state.show !== "all") kept.set("show", state.show);
  if (state.size !== 50) kept.set("size", state.size);
  if (state.page) kept.set("page", state.page + 1);
  try { history.replaceState(null, "", `#${kept}`); } catch { /* an embedded page may forbid it */ }
}

// Rows that are shown, in order

const collator = new Intl.Collator("en", { numeric: true });
function selected() {
  const wanted = state.find.trim().toLowerCase();
  const passes = filters[state.show][1];
  const rows = data.rows.filter((row) => passes(row) && (wanted === ""
    || row.text.toLowerCase().includes(wanted) || row.id.toLowerCase().includes(wanted)));
  const { value } = columns.find((column) => column.key === state.sort);
  // A missing value comes last in both directions; equal values stay in the order of p-values.
  return rows.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return state.dir * (typeof a === "string" ? collator.compare(a, b) : a - b);
  });
}

// Drawing

const [head, body] = [byId("names").tHead, byId("names").tBodies[0]];

function drawHead() {
  head.replaceChildren(element("tr", {}, ...columns.map((column) => {
    const sorted = column.key === state.sort;
    const button = element("button", { type: "button", title: column.title }, column.head);
    button.addEventListener("click", () => {
      state.dir = sorted ? -state.dir : column.descending ? -1 : 1;
      state.sort = column.key;
      state.page = 0;
      draw();
      head.querySelector("[aria-sort=ascending] button, [aria-sort=descending] button").focus();
    });
    const order = sorted ? (state.dir > 0 ? "ascending" : "descending") : "none";
    return element("th", { scope: "col", class: column.class, "aria-sort": order }, button);
  })));
}

function nameCell(row) {
  const expanded = open.has(row);
  const toggle = element("button", { type: "button", class: "open-row", "aria-expanded": expanded,
    "aria-label": `Details of ${short(row.text, 80)}` }, expanded ? "\u2212" : "+");
  toggle.addEventListener("click", () => {
    if (!open.delete(row)) open.add(row);
    drawBody();
    body.querySelector(`[data-row="${row.index}"] .open-row`)?.focus();
  });
  const cell = element("th", { scope: "row" }, toggle, text(short(row.text, NAME_LENGTH)));
  if (row.warnings) {
    cell.append(" ", element("span", { class: "flag", title: row.warnings.join("\n"), role: "img",
      "aria-label": "has a warning" }, "\u26a0\ufe0e"));
  }
  return cell;
}

function values(entries) {
  return element("dl", { class: "values" }, ...entries.map(([name, value, used]) =>
    element("div", { class: used ? "used" : undefined }, element("dt", {}, name), element("dd", {}, value))));
}

function details(row) {
  const cell = element("td", { colspan: columns.length });
  const known = [["id", text(row.id)], ["score", row.score === null ? missing("no score was computed") : number(row.score, scoreDecimals)]];
  if (row.truth !== undefined) known.push(["truth", row.truth ? "member" : "non-member"]);
  if (row.text.length > NAME_LENGTH) cell.append(element("p", {}, text(row.text)));
  for (const warning of row.warnings ?? []) cell.append(element("p", {}, `\u26a0\ufe0e ${warning}`));
  cell.append(values(known), element("p", { class: "muted" }, "Signals; those marked \u2022 entered the score"),
    values(data.signals.map((name, i) => {
      const value = row.signals[i];
      const used = row.used.includes(i);
      return [(used ? "\u2022 " : "") + words(name), value === null ? missing(noSignal(row)) : number(value, decimals[i]), used];
    })));
  if (row.paper) {
    cell.append(element("p", { class: "muted" }, `Paper reading, detectors that find it unlike gibberish: ${paperVerdict(row.paper)}`),
      values(data.detectors.map((name, i) => {
        const [flag, score] = [row.paper.flags[i], row.paper.scores[i]];
        if (flag === null) return [words(name), missing("this detector did not vote")];
        return [words(name), `${flag ? "anomalous" : "usual"}${score === null ? "" : ` (${number(score, 3)})`}`];
      })));
  }
  return element("tr", { class: "details" }, cell);
}

let rows = [];
function drawBody(first = state.page * state.size, most = state.size) {
  const shown = rows.slice(first, first + most);
  const made = [];
  for (const row of shown) {
    made.push(element("tr", { class: ["", "level", "fdr"][strength(row)], "data-row": row.index },
      ...columns.map((column) => (column.key === "name" ? nameCell(row)
        : element("td", { class: column.class + (column.key === "verdict" && !strength(row) ? " none" : "") }, column.cell(row))))));
    if (open.has(row)) made.push(details(row));
  }
  if (!made.length) {
    const why = data.rows.length ? "No name matches. Clear the search, or show all names." : "No name has been answered yet.";
    made.push(element("tr", {}, element("td", { class: "empty", colspan: columns.length }, why)));
  }
  body.replaceChildren(...made);
  byId("position").textContent = shown.length
    ? `${count(first + 1)}\u2013${count(first + shown.length)} of ${count(rows.length)}` : "0 of 0";
  byId("previous").disabled = first === 0;
  byId("next").disabled = first + shown.length >= rows.length;
}

function draw() {
  rows = selected();
  state.page = Math.max(0, Math.min(state.page, Math.ceil(rows.length / state.size) - 1));
  const column = columns.find((one) => one.key === state.sort);
  byId("names-caption").replaceChildren(
    `${count(rows.length)} of ${count(data.rows.length)} names, by ${column.head}, ${state.dir > 0 ? "ascending" : "descending"}.`,
    element("span", { class: "screen" }, " A heading sorts; + opens a row\u2019s details with all signals."));
  drawHead();
  drawBody();
  writeAddress();
}

// Controls

function change(name, value) {
  state[name] = value;
  state.page = 0;
  draw();
}
for (const [key, [label]] of Object.entries(filters)) byId("show").append(element("option", { value: key }, label));
readAddress();
byId("find").value = state.find;
byId("show").value = state.show;
byId("size").value = state.size;
byId("find").addEventListener("input", (event) => change("find", event.target.value));
byId("show").addEventListener("change", (event) => change("show", event.target.value));
byId("size").addEventListener("change", (event) => change("size", +event.target.value));
byId("previous").addEventListener("click", () => { state.page -= 1; drawBody(); writeAddress(); });
byId("next").addEventListener("click", () => { state.page += 1; drawBody(); writeAddress(); });
byId("table-app").hidden = false;
draw();
addEventListener("beforeprint", () => drawBody(0, PRINTED_ROWS));
addEventListener("afterprint", () => drawBody());

// Downloads

function save(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
function csv() {
  const signals = data.signals;
  const lines = [["id", "text", "p_value", "q_value", "score", "detected", "votes", "paper_member", ...signals]];
  for (const row of rows) {
    lines.push([row.id, row.text, row.p, row.q, row.score, row.detected, row.paper?.votes, row.paper?.member, ...row.signals]);
  }
  return lines.map((line) => line.map((value) => quoted(String(value ?? ""))).join(",")).join("\r\n") + "\r\n";
}
byId("save-csv").addEventListener("click", () => save("umid-names.csv", "text/csv", csv()));
// The text as it is embedded: a parsed copy would lose the last digits of a large seed.
byId("save-json").addEventListener("click", () => save("umid-report.json", "application/json", source));

// Tooltip of the scatter

const plot = byId("scatter");
if (plot) {
  const axis = (name) => plot.dataset[name].split(" ").map(Number);
  const place = ([low, high, from, to], value) => from + (value - low) / (high - low) * (to - from);
  const [xAxis, yAxis] = [axis("x"), axis("y")];
  const [xSignal, ySignal] = ["xSignal", "ySignal"].map((key) => data.signals.indexOf(plot.dataset[key]));
  const points = data.rows
    .filter((row) => row.signals[xSignal] != null && row.signals[ySignal] != null)
    .map((row) => ({ row, x: place(xAxis, row.signals[xSignal]), y: place(yAxis, row.signals[ySignal]) }));
  const [tip, ring] = [byId("scatter-tip"), byId("scatter-ring")];
  const REACH = 14;

  function nearest(event) {
    const box = plot.getBoundingClientRect();
    const scale = plot.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = null;
    let least = REACH * REACH;
    for (const point of points) {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best && { ...best, scale, width: box.width };
  }
  function hide() {
    tip.hidden = true;
    ring.setAttribute("visibility", "hidden");
  }
  plot.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    if (!found) return hide();
    const { row, x, y, scale, width } = found;
    tip.replaceChildren(element("b", {}, text(short(row.text, 80))), element("span", {}, verdict(row)),
      ...[xSignal, ySignal].map((i) => element("span", { class: "muted" }, `${words(data.signals[i])} ${number(row.signals[i], decimals[i])}`)),
      element("span", { class: "muted" }, row.p === null ? "no p-value" : `p ${probability(row.p)}`));
    tip.hidden = false;
    tip.style.left = `${Math.max(0, Math.min(x / scale + 14, width - tip.offsetWidth))}px`;
    tip.style.top = `${y / scale + 16}px`;
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", "visible");
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("click", (event) => {
    const found = nearest(event);
    if (!found) return;
    byId("find").value = found.row.id;
    open.add(found.row);
    change("find", found.row.id);
    byId("queries").scrollIntoView();
  });
}
})();
