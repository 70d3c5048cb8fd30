// The timeline: one row a worker, a bar for each time that a body held it. It grows with the run.

import { el, say, seconds } from "./dom.js";

const ROW = 22;
const BAR = 16;
const AXIS = 24;
const MOST_ROWS = 120;
const COLOURS = ["running", "waiting", "retrying", "succeeded", "reused", "failed", "cancelled"];

export class Timeline {
  constructor(box, about, choose) {
    this.box = box;
    this.about = about;
    this.choose = choose;
    this.canvas = el("canvas", { role: "img", "aria-label": "Timeline" });
    this.tip = el("p", { class: "tip", hidden: true });
    box.append(this.canvas, this.tip);
    this.bars = [];
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => { this.colours = null; this.show(this.model); });
    this.canvas.addEventListener("click", (event) => {
      const bar = this.at(event);
      if (bar) this.choose(bar.id);
    });
    this.canvas.addEventListener("mousemove", (event) => this.hover(event));
    this.canvas.addEventListener("mouseleave", () => { this.tip.hidden = true; });
    new ResizeObserver(() => this.model && this.show(this.model)).observe(box);
  }

  read() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    this.colours = Object.fromEntries(COLOURS.map((name) => [name, read(`--${name}`)]));
    this.colours.ink = read("--ink");
    this.colours.faint = read("--faint");
    this.colours.grid = read("--rule");
    this.colours.paper = read("--paper");
    this.colours.text = read("--on-bar");
    this.font = style.getPropertyValue("--font") || "sans-serif";
  }

  show(model) {
    this.model = model;
    this.canvas.hidden = !model || model.run === null;
    if (this.canvas.hidden) {
      say(this.about, "Nothing has begun yet.");
      return;
    }
    if (!this.colours) this.read();
    const { rows, left } = placed(model);
    const end = Math.max(model.time(), 0.001);
    const wide = Math.max(this.box.clientWidth - 2, 320);
    const label = Math.min(180, Math.max(70, ...rows.map((row) => row.label.length * 7 + 14)));
    const high = AXIS + Math.max(rows.length, 1) * ROW + 6;
    const scale = window.devicePixelRatio || 1;
    const canvas = this.canvas;
    if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(high * scale)) {
      canvas.width = Math.round(wide * scale);
      canvas.height = Math.round(high * scale);
      canvas.style.width = `${wide}px`;
      canvas.style.height = `${high}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, wide, high);
    pen.font = `12px ${this.font}`;
    pen.textBaseline = "middle";
    const x = (at) => label + (at / end) * (wide - label - 8);
    this.axis(pen, end, x, high, wide);
    this.bars = [];
    rows.forEach((row, place) => {
      const y = AXIS + place * ROW;
      pen.fillStyle = this.colours.faint;
      pen.fillText(cut(pen, row.label, label - 10), 4, y + ROW / 2);
      for (const bar of row.bars) this.bar(pen, bar, y, x, end);
    });
    const bars = rows.reduce((sum, row) => sum + row.bars.length, 0);
    const more = left ? `; ${left} more workers are not drawn` : "";
    this.canvas.setAttribute("aria-label",
      `Timeline of ${seconds(end)}: ${bars} bars of ${rows.length} workers. The table of steps has it in words.`);
    say(this.about, rows.length
      ? `${rows.length} ${rows.length === 1 ? "worker" : "workers"}, ${seconds(model.time())}${more}` : "Nothing has begun yet.");
  }

  axis(pen, end, x, high, wide) {
    const step = ticks(end, (x(end) - x(0)) / 80);
    pen.strokeStyle = this.colours.grid;
    pen.fillStyle = this.colours.faint;
    pen.lineWidth = 1;
    for (let at = 0; at <= end; at += step) {
      const place = Math.round(x(at)) + 0.5;
      pen.beginPath();
      pen.moveTo(place, AXIS - 6);
      pen.lineTo(place, high);
      pen.stroke();
      const text = seconds(at);
      if (place + 3 + pen.measureText(text).width < wide) pen.fillText(text, place + 3, 9);
    }
  }

  bar(pen, bar, y, x, end) {
    const left = x(bar.began);
    const right = Math.max(x(bar.ended ?? end), left + 2);
    const top = y + (ROW - BAR) / 2;
    pen.fillStyle = this.colours[bar.state] ?? this.colours.running;
    pen.beginPath();
    pen.roundRect(left, top, right - left, BAR, 3);
    pen.fill();
    if (bar.ended === undefined) {
      // What goes on is open on the right.
      pen.fillStyle = this.colours.paper;
      for (let line = 0; line < 3; line += 1) pen.fillRect(right - 3 - line * 4, top, 1, BAR);
    }
    if (right - left > 34) {
      pen.fillStyle = this.colours.text;
      pen.fillText(cut(pen, bar.label, right - left - 10), left + 5, y + ROW / 2 + 0.5);
    }
    this.bars.push({ ...bar, left, right, top, bottom: top + BAR });
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return this.bars.findLast((bar) =>
      x >= bar.left - 2 && x <= bar.right + 2 && y >= bar.top - 3 && y <= bar.bottom + 3);
  }

  hover(event) {
    const bar = this.at(event);
    this.tip.hidden = !bar;
    this.canvas.classList.toggle("over", Boolean(bar));
    if (!bar) return;
    const took = bar.ended === undefined ? "running" : seconds(bar.ended - bar.began);
    say(this.tip, `${bar.label}: ${bar.state}, ${took}, from ${seconds(bar.began) || "0"}`);
    const box = this.box.getBoundingClientRect();
    this.tip.style.left = `${Math.min(event.clientX - box.left + 12, box.width - 200)}px`;
    this.tip.style.top = `${event.clientY - box.top + 14}px`;
  }
}

// Rows: the workers of each step; of a run with one limit for all of it, the run's workers.
function placed(model) {
  const together = model.limit("") !== undefined;
  const rows = new Map();
  for (const activity of model.activities.values()) {
    for (const attempt of activity.attempts ?? []) {
      for (const stretch of attempt.stretches ?? [{ began: attempt.began, ended: attempt.ended }]) {
        const worker = stretch.worker ?? null;
        const key = together ? `worker ${(worker ?? 0) + 1}` : rowName(activity, worker, model);
        let row = rows.get(key);
        if (!row) rows.set(key, row = { label: key, step: activity.name, worker, bars: [] });
        row.bars.push({
          id: activity.id, label: activity.label ?? activity.name, state: barState(activity, attempt),
          began: stretch.began, ended: stretch.ended,
        });
      }
    }
  }
  const order = [...model.steps.keys()];
  const sorted = [...rows.values()].sort((one, other) =>
    (together ? 0 : order.indexOf(one.step) - order.indexOf(other.step))
    || (one.worker ?? 0) - (other.worker ?? 0));
  return { rows: sorted.slice(0, MOST_ROWS), left: Math.max(0, sorted.length - MOST_ROWS) };
}

function rowName(activity, worker, model) {
  if (worker === null) return activity.task ? `${activity.task} ${activity.name}` : activity.name;
  const limit = model.limit(activity.name) ?? 1;
  return limit > 1 ? `${activity.name} ${worker + 1}` : activity.name;
}

function barState(activity, attempt) {
  if (attempt.how) return attempt.how === "interrupted" ? "cancelled" : attempt.how;
  return activity.state === "waiting" ? "waiting" : "running";
}

function cut(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let most = text.length;
  while (most > 1 && pen.measureText(`${text.slice(0, most)}…`).width > room) most -= 1;
  return most > 1 ? `${text.slice(0, most)}…` : "";
}

function ticks(end, room) {
  const rough = end / Math.max(1, Math.min(8, Math.floor(room)));
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
}
