// The graph: places come from the server, states from the run. One box is a tab stop; arrow keys move on.

import { SIGNS, svg } from "./dom.js";

const LINE = 16;

export class Graph {
  constructor(box, choose) {
    this.box = box;
    this.choose = choose;
    this.nodes = new Map();
    this.picture = null;
  }

  draw(picture) {
    if (JSON.stringify(picture) === JSON.stringify(this.picture)) return;
    // A picture that grows keeps its place, and whoever is in it by keys keeps theirs.
    const focused = this.at(document.activeElement);
    const { scrollLeft, scrollTop } = this.box;
    this.picture = picture;
    this.nodes.clear();
    this.box.replaceChildren();
    if (!picture?.boxes) return;
    this.fill(picture);
    this.box.scrollLeft = scrollLeft;
    this.box.scrollTop = scrollTop;
    if (focused !== null) this.focus(focused);
  }

  // The name of the box that an element is in.
  at(element) {
    for (const [name, found] of this.nodes) if (found.node === element) return name;
    return null;
  }

  // Puts the keys on a box; false: there is none of that name.
  focus(name) {
    const found = this.nodes.get(name);
    if (!found) return false;
    for (const { node } of this.nodes.values()) node.setAttribute("tabindex", "-1");
    found.node.setAttribute("tabindex", "0");
    found.node.focus();
    return true;
  }

  fill(picture) {
    const wide = Math.ceil(picture.width);
    const high = Math.ceil(picture.height);
    const root = svg("svg", {
      class: "graph", width: wide, height: high, viewBox: `0 0 ${wide} ${high}`,
      role: "group",
      "aria-label": `Graph of ${picture.title}: ${picture.around ?? ""} ${picture.boxes.length} boxes`,
    });
    for (const cable of picture.cables) root.append(drawLine(cable));
    for (const cable of picture.cables) root.append(...drawLabels(cable));
    picture.boxes.forEach((one, place) => root.append(this.drawBox(one, place)));
    root.addEventListener("keydown", (event) => this.move(event));
    this.box.append(root);
  }

  drawBox(one, place) {
    const top = one.y - one.height / 2;
    const rounded = ["start", "stop"].includes(one.shape) ? one.height / 2 : 8;
    const texts = [one.label, ...one.marks];
    const first = one.y - ((texts.length - 1) * LINE) / 2;
    const lines = texts.map((text, row) =>
      svg("text", { class: row ? "mark" : "label", x: one.x, y: first + row * LINE }, text));
    const sign = svg("text", { class: "sign", x: one.x - one.width / 2 + 9, y: top + 10 }, "");
    const count = svg("text", { class: "count", x: one.x + 8, y: top - 5 }, "");
    const node = svg("g", {
      class: `box ${one.shape}`, tabindex: place ? -1 : 0, role: "button", "aria-label": one.full,
      "data-at": one.name === this.picture.around ? "here" : null,
    },
    svg("title", {}, one.full),
    svg("rect", {
      x: one.x - one.width / 2, y: top, width: one.width, height: one.height, rx: rounded,
    }), ...lines, sign, count);
    node.addEventListener("click", () => this.choose(one.name));
    this.nodes.set(one.name, { node, sign, count, one, shown: "" });
    return node;
  }

  move(event) {
    const names = [...this.nodes.keys()];
    const here = names.indexOf(this.at(event.target.closest("g.box")));
    if (here < 0) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(names[here]);
      return;
    }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.focus(names[(here + step + names.length) % names.length]);
  }

  show(model) {
    for (const [name, found] of this.nodes) {
      const step = model.steps.get(name);
      const state = step ? step.state : this.outside(found.one, model);
      const limit = model.limit(name);
      const running = step?.states.running ?? 0;
      const counts = step ? told(step, running, limit) : "";
      const shown = `${state}|${counts}`;
      if (shown === found.shown) continue;
      found.shown = shown;
      found.node.setAttribute("class", `box ${found.one.shape} is-${state}`);
      found.sign.textContent = step && state !== "pending" ? SIGNS[state] ?? "" : "";
      found.count.textContent = counts;
      const words = step ? `${found.one.full}: ${state} ${counts}`.trim() : found.one.full;
      found.node.setAttribute("aria-label", words);
      found.node.firstChild.textContent = words;
    }
  }

  outside(one, model) {
    if (model.run === null) return "pending";
    if (one.shape === "start") return "succeeded";
    // Of a plan the box is the stop event, which a run that failed has not come to.
    const badly = this.picture.of === "records" ? { failed: "failed", cancelled: "cancelled" } : {};
    if (one.shape === "stop") return { completed: "succeeded", ...badly }[model.run.status] ?? "pending";
    return "pending";
  }
}

// "2/4 · 3 queued · 17 done": what people look for, and nothing that is 0. A step that runs but once
// says all of it by its state.
function told(step, running, limit) {
  const done = (step.states.succeeded ?? 0) + (step.states.reused ?? 0);
  const total = Object.values(step.states).reduce((sum, one) => sum + one, 0);
  const parts = [];
  if (running && (limit ?? 0) > 1) parts.push(`${running}/${limit}`);
  if (step.states.queued) parts.push(`${step.states.queued} queued`);
  if (total > 1 && done) parts.push(`${done} done`);
  if (total > 1 && step.states.failed) parts.push(`${step.states.failed} failed`);
  return parts.join(" · ");
}

function drawLine(cable) {
  const points = cable.ways.at(-1);
  const path = cable.ways.map((way) =>
    way.map(([x, y], place) => `${place ? "L" : "M"}${x} ${y}`).join("")).join("");
  const [x2, y2] = points.at(-1);
  const [x1, y1] = points.at(-2) ?? [x2, y2 - 1];
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const wing = (side) => {
    const turned = angle + Math.PI + side * 0.42;
    return `${x2 + 9 * Math.cos(turned)} ${y2 + 9 * Math.sin(turned)}`;
  };
  return svg("g", { class: cable.dashed ? "cable dashed" : "cable", "aria-hidden": "true" },
    svg("path", { d: path }),
    svg("path", { class: "head", d: `M${x2} ${y2}L${wing(1)}L${wing(-1)}Z` }));
}

function drawLabels(cable) {
  const [x, y] = cable.at;
  const top = y - ((cable.labels.length - 1) * 14) / 2;
  return cable.labels.map((label, row) =>
    svg("text", { class: "on-cable", x, y: top + row * 14, "aria-hidden": "true" }, label));
}
