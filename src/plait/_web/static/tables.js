// The tables: steps with their limits, the log with its payloads, buffers, and failures with their stories.

import { badge, byId, el, say, seconds, SIGNS, wrong } from "./dom.js";

const ROWS = 200;
const LINES = 300;
const RANK = ["running", "retrying", "waiting", "failed", "queued", "cancelled", "succeeded", "reused",
  "skipped", "dropped", "pending"];

export class Steps {
  constructor(choose) {
    this.body = byId("steps").tBodies[0];
    this.choose = choose;
    this.rows = new Map();
    this.most = ROWS;
    this.filter = byId("steps-filter");
    this.state = byId("steps-state");
    this.more = byId("steps-more");
    for (const name of RANK) this.state.append(el("option", { value: name }, name));
    const again = () => this.model && this.show(this.model);
    this.filter.addEventListener("input", again);
    this.state.addEventListener("change", again);
    this.more.addEventListener("click", () => { this.most += 5 * ROWS; again(); });
  }

  forget() {
    this.rows.clear();
    this.body.replaceChildren();
    this.most = ROWS;
  }

  show(model) {
    this.model = model;
    const wanted = this.filter.value.trim().toLowerCase();
    const state = this.state.value;
    let names = [...model.steps].filter(([name, step]) =>
      (!wanted || name.toLowerCase().includes(wanted)) && (!state || step.state === state));
    const found = names.length;
    if (found > this.most) {
      // Of many steps those that are alive come first; of few each keeps its place.
      names = names.map(([name, step], place) => ({ name, step, place }))
        .sort((one, other) => RANK.indexOf(one.step.state) - RANK.indexOf(other.step.state)
          || one.place - other.place)
        .slice(0, this.most).map(({ name, step }) => [name, step]);
    }
    const shown = new Set();
    let before = null;
    for (const [name, step] of names) {
      const row = this.row(name);
      this.fill(row, name, step, model);
      shown.add(name);
      const place = before === null ? this.body.firstChild : before.nextSibling;
      if (row.tr !== place) this.body.insertBefore(row.tr, place);
      before = row.tr;
    }
    for (const [name, row] of this.rows) {
      if (!shown.has(name)) {
        row.tr.remove();
        this.rows.delete(name);
      }
    }
    this.more.hidden = found <= this.most;
    byId("steps").hidden = found === 0;
    const cut = found > this.most ? `, ${this.most} of them shown` : "";
    say(byId("steps-count"), model.steps.size ? `${found} of ${model.steps.size} steps${cut}` : "No step is known yet.");
  }

  row(name) {
    let row = this.rows.get(name);
    if (row) return row;
    const open = el("button", { type: "button", class: "link" }, name);
    open.addEventListener("click", () => this.choose(name));
    const cells = Array.from({ length: 8 }, () => el("td"));
    for (const place of [1, 2, 3, 4, 5, 6]) cells[place].className = "number";
    row = { tr: el("tr", {}, el("th", { scope: "row" }, open), ...cells), cells, told: "" };
    this.rows.set(name, row);
    return row;
  }

  fill(row, name, step, model) {
    const limit = model.limit(name);
    const told = JSON.stringify([step, limit]);
    const [state, running, queued, done, failed, attempts, time, notes] = row.cells;
    if (step.began !== undefined) {
      const end = step.state === "running" ? model.time() : step.ended ?? model.now;
      say(time, seconds(Math.max(0, end - step.began)));
    }
    if (told === row.told) return;
    row.told = told;
    row.tr.className = `is-${step.state}`;
    state.replaceChildren(badge(step.state));
    const number = step.states.running ?? 0;
    running.replaceChildren(...meter(number, limit));
    say(queued, count(step.states.queued));
    say(done, count((step.states.succeeded ?? 0) + (step.states.reused ?? 0)));
    say(failed, count(step.states.failed));
    say(attempts, count(step.attempts));
    // Three lines of it: all of it is in the failures, and in the details.
    const text = step.notes ?? step.reason ?? "";
    notes.replaceChildren(...(text ? [el("div", { class: "notes", title: text }, text)] : []));
  }
}

function count(number) {
  return number ? String(number) : "";
}

// How many bodies run, of how many that may: as a bar, and in numbers.
function meter(number, limit) {
  if (limit === undefined) return [String(number || "")];
  const bar = el("meter", { min: 0, max: limit, value: number, "aria-hidden": "true" });
  return [el("span", {}, `${number}/${limit}`), bar];
}

export class Log {
  constructor(choose) {
    this.body = byId("log").tBodies[0];
    this.box = byId("log-box");
    this.filter = byId("log-filter");
    this.choose = choose;
    this.last = 0;
    this.filter.addEventListener("input", () => this.redraw());
    // Who has scrolled up reads: nothing moves there. A line that wraps is no scrolling.
    this.follows = true;
    this.box.addEventListener("scroll", () => {
      this.follows = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 40;
    });
    new ResizeObserver(() => {
      if (this.follows) this.box.scrollTop = this.box.scrollHeight;
    }).observe(this.body);
  }

  redraw() {
    this.body.replaceChildren();
    this.last = 0;
    if (this.model) this.show(this.model);
  }

  show(model) {
    this.model = model;
    const wanted = this.filter.value.trim().toLowerCase();
    const fits = (line) => !wanted
      || (line.step ?? "").toLowerCase().includes(wanted) || (line.id ?? "").toLowerCase().includes(wanted);
    const lines = [];
    for (let place = model.log.length - 1; place >= 0 && lines.length < LINES; place -= 1) {
      if (model.log[place].n <= this.last) break;
      if (fits(model.log[place])) lines.push(model.log[place]);
    }
    for (const line of lines.reverse()) this.body.append(this.line(line));
    this.last = model.log.at(-1)?.n ?? 0;
    while (this.body.rows.length > LINES) this.body.deleteRow(0);
    if (this.follows) this.box.scrollTop = this.box.scrollHeight;
    byId("log").hidden = this.body.rows.length === 0;
    say(byId("log-count"), model.count ? `${this.body.rows.length} of ${model.count} records` : "Nothing has happened yet.");
  }

  line(line) {
    const where = line.id && this.model.activities.has(line.id) ? this.link(line.id) : line.step ?? "";
    const what = el("span", { class: `what ${kind(line.what)}` }, line.what);
    return el("tr", {},
      el("td", { class: "number" }, String(line.n)),
      el("td", { class: "number" }, seconds(line.at) || "0"),
      el("td", {}, what), el("td", {}, where), el("td", { class: "event" }, carried(line)));
  }

  link(id) {
    const button = el("button", { type: "button", class: "link" }, this.model.activities.get(id).label ?? id);
    button.addEventListener("click", () => this.choose(id));
    return button;
  }
}

function kind(what) {
  if (what.includes("fail") || what.includes("held")) return "bad";
  if (what.includes("retry") || what.includes("cancel")) return "warn";
  return "";
}

// An event with its payload: a short one in the line, a long one behind a click.
function carried(line) {
  if (line.error) return wrong(line.error);
  if (!line.event) return "";
  const text = (line.payload ?? "").replace(/\s*\n\s*/g, " ");
  if (text === "{}" || text === "null" || text === "") return line.event;
  if (text.length <= 70) return el("span", {}, line.event, " ", el("code", {}, text));
  return el("details", {}, el("summary", {}, line.event, " ", el("code", {}, `${text.slice(0, 60)}…`)),
    el("pre", {}, line.payload));
}

export function showBuffers(model) {
  const part = byId("buffers-part");
  part.hidden = model.buffers.length === 0;
  const told = JSON.stringify(model.buffers);
  if (part.dataset.told === told) return;
  part.dataset.told = told;
  byId("buffers").replaceChildren(...model.buffers.map((one) => {
    const kinds = Object.entries(one.need).map(([name, need]) =>
      `${name} ${Math.min(one.have[name] ?? 0, need)} of ${need}`);
    const which = one.key ? ` for ${one.key}` : "";
    const total = Object.values(one.need).reduce((sum, need) => sum + need, 0);
    const have = Object.entries(one.need).reduce((sum, [name, need]) => sum + Math.min(one.have[name] ?? 0, need), 0);
    return el("li", {}, el("strong", {}, one.step), `${which}: `, el("span", { class: "of" }, one.text),
      " ", el("meter", { min: 0, max: total, value: have, "aria-hidden": "true" }),
      kinds.length > 1 ? el("span", { class: "faint" }, ` ${kinds.join(", ")}`) : el("span", { class: "faint" }, ` ${Object.keys(one.need)[0]}`));
  }));
}

export class Failures {
  constructor(choose) {
    this.part = byId("failures-part");
    this.box = byId("failures");
    this.choose = choose;
    this.shown = 0;
  }

  forget() {
    this.box.replaceChildren();
    this.shown = 0;
  }

  show(model) {
    const ended = model.failures.filter((one) => one.final);
    this.part.hidden = ended.length === 0;
    for (const one of ended.slice(this.shown)) this.box.append(this.one(one, model));
    this.shown = ended.length;
  }

  one(failure, model) {
    const activity = model.activities.get(failure.id);
    const attempts = activity?.attempts?.length ?? 0;
    const more = attempts > 1 ? `, after ${attempts} attempts` : "";
    const handled = failure.handled ? ", and was handled" : "";
    const head = el("div", {}, el("strong", {}, `${SIGNS.failed} ${failure.step ?? failure.id ?? ""}`),
      ` failed at ${seconds(failure.at) || "0"}${more}${handled}: `, wrong(failure.said));
    const open = el("button", { type: "button" }, "How it came to this");
    open.addEventListener("click", () => this.choose(failure.id));
    const story = failure.story
      ? el("details", {}, el("summary", {}, "All that is known of it"), el("pre", {}, failure.story)) : null;
    return el("article", { class: "failure" }, head, story, failure.id ? open : null);
  }
}
