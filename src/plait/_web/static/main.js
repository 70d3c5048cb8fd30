// The page: one window on one run. What it shows comes from the server; what is asked for goes there.

import { badge, byId, clock, el, renew, say, seconds, SIGNS } from "./dom.js";
import { Details } from "./details.js";
import { Feed, press } from "./feed.js";
import { Graph } from "./graph.js";
import { Model } from "./model.js";
import { Picture } from "./picture.js";
import { Questions, Sends } from "./questions.js";
import { Failures, Log, showBuffers, Steps } from "./tables.js";
import { Timeline } from "./timeline.js";

const model = new Model();
const details = new Details(choose, (name) => graph.focus(model.activities.get(name)?.name ?? name));
const graph = new Graph(byId("graph"), choose);
const picture = new Picture(graph, byId("graph-about"), draw);
const timeline = new Timeline(byId("timeline"), byId("timeline-about"), choose);
const steps = new Steps(choose);
const log = new Log(choose);
const failures = new Failures(choose);
const questions = new Questions((question, kind, fields) =>
  press("answer", { run: model.run.id, question, kind, fields }));

const sends = new Sends((kind, fields) => press("send", { kind, fields }));

let board = { runs: [], can_run: false, picture: null, title: "" };
let feed = null;
let pinned = new URLSearchParams(location.hash.slice(1)).get("run");
let due = false;
let announced = "";
let stand = "open";
let pressing = false;

function choose(name) {
  if (!name) return;
  details.open(name, model);
  picture.centre(model.activities.get(name)?.name ?? name);
}

// ---------------------------------------------------------------- what comes from the server

function look(run) {
  feed?.close();
  model.forget();
  steps.forget();
  failures.forget();
  log.redraw();
  picture.forget();
  if (!byId("details").hidden) details.close();
  feed = new Feed(run, {
    remote: board.remote,
    hear(event, data) {
      if (event === "board") takeBoard(data);
      else if (event === "trouble") trouble(data.error);
      else {
        if (event === "whole") {
          steps.forget();
          failures.forget();
          log.redraw();
        }
        model.take(event, data);
        draw();
      }
    },
    stand(state, text) {
      stand = state;
      say(byId("line"), text);
      byId("line").className = `line ${state}`;
      draw();
    },
  });
}

function takeBoard(data) {
  const before = board.runs[0]?.id;
  board = { ...board, ...data };
  trouble(data.journal);
  sends.show(board.sends ?? []);
  const newest = board.runs[0]?.id;
  // A window that is pinned to no run follows the newest.
  if (pinned === null && newest !== undefined && newest !== (feed?.run || model.run?.id)) look(newest);
  else if (before !== newest) draw();
  showRuns();
  draw();
}

function trouble(text) {
  const box = byId("trouble");
  box.hidden = !text;
  say(box, text ?? "");
}

// ---------------------------------------------------------------- what is shown

function draw() {
  if (due) return;
  due = true;
  // Ten times a second is as much as anybody can read; hidden windows are drawn when they are seen.
  setTimeout(() => requestAnimationFrame(() => {
    due = false;
    show();
  }), 100);
}

function show() {
  showHead();
  picture.show(model);
  graph.show(model);
  timeline.show(model);
  questions.show(model);
  showBuffers(model);
  failures.show(model);
  steps.show(model);
  log.show(model);
  details.show(model);
}

function showHead() {
  const run = model.run;
  const listed = board.runs.find((one) => one.id === (run?.id ?? pinned));
  const status = listed?.error && (run === null || run.status === "queued") ? "failed" : run?.status;
  say(byId("title"), run?.target || board.title || "No run yet");
  document.title = run ? `${model.questions.length ? "?" : SIGNS[status] ?? ""} ${run.target} – plait` : "plait";
  const state = byId("state");
  if (state.dataset.state !== status) {
    state.dataset.state = status ?? "";
    state.replaceWith(Object.assign(badge(status ?? "queued"), { id: "state" }));
    byId("state").dataset.state = status ?? "";
  }
  say(byId("facts"), run ? facts(run) : "");
  // Nobody is there any more who could be asked; or not now.
  const there = stand !== "ended" && stand !== "refused";
  for (const name of ["run", "cancel", "retry", "resume"]) byId(name).disabled = pressing || stand === "lost";
  byId("run").hidden = !(board.can_run && there);
  byId("run").textContent = board.runs.length ? "Run again" : "Run";
  byId("cancel").hidden = !(run?.cancellable && !model.over && there && stand !== "gone");
  byId("resume").hidden = !(listed?.resumable && there);
  byId("retry").hidden = !(listed?.retryable && there);
  if (listed?.error && model.failures.length === 0) trouble(listed.error);
  byId("result-part").hidden = run?.result === undefined;
  say(byId("result"), run?.result ?? "");
  const news = run ? `${run.target}: ${status}` : "";
  const asked = model.questions.map((one) => `${one.step} asks ${one.says ?? one.event ?? "for an answer"}`);
  const text = [news, ...asked, ...(model.failures.length ? [model.failures.at(-1).said] : [])].join(", ");
  if (text !== announced) {
    announced = text;
    say(byId("said"), text);
  }
}

function facts(run) {
  const parts = [`run ${run.id}`];
  if (run.epoch) parts.push(`began ${clock(run.epoch)}`, seconds(model.time()));
  const running = model.running();
  const limit = run.limits?.[""];
  if (!model.over) parts.push(limit === undefined ? `${running} running` : `${running} of ${limit} workers busy`);
  if (run.outcome) parts.push(run.outcome);
  if (run.unreadable) parts.push(`${run.unreadable} records cannot be read`);
  if (run.misses) parts.push("what happened before anybody looked is shown in part");
  if (model.leftOut) parts.push(`${model.leftOut} older activities are not shown`);
  return parts.join(" · ");
}

function showRuns() {
  const list = byId("runs");
  const fresh = list.cloneNode(false);
  fresh.append(...board.runs.map((one) => {
    const here = one.id === (pinned ?? feed?.run) || one.id === model.run?.id;
    const link = el("a", { href: `#run=${encodeURIComponent(one.id)}`, "aria-current": here ? "true" : null },
      el("span", { class: "id" }, one.id), " ", badge(one.state),
      el("span", { class: "faint" }, ` ${one.target}, ${clock(one.started)}`));
    return el("li", {}, link);
  }));
  renew(list, fresh, "a");
  const none = board.runs.length ? "" : "There is no run yet.";
  say(byId("runs-more"), board.more ? `and ${board.more} older ones` : none);
}

// ---------------------------------------------------------------- what people do

async function pressed(button, deed, fields) {
  pressing = true;
  button.disabled = true;
  try {
    const found = await press(deed, fields);
    trouble("");
    if (found.run) {
      pinned = null;
      history.replaceState(null, "", location.pathname);
      look(found.run);
    }
  } catch (error) {
    trouble(error.message);
  } finally {
    pressing = false;
    button.disabled = false;
  }
}

byId("run").addEventListener("click", (event) => pressed(event.currentTarget, "run", {}));
byId("cancel").addEventListener("click", (event) => pressed(event.currentTarget, "cancel", { run: model.run.id }));
byId("retry").addEventListener("click", (event) => pressed(event.currentTarget, "retry", { run: model.run.id }));
byId("resume").addEventListener("click", (event) => pressed(event.currentTarget, "resume", { run: model.run.id }));

window.addEventListener("hashchange", () => {
  pinned = new URLSearchParams(location.hash.slice(1)).get("run");
  look(pinned ?? board.runs[0]?.id ?? "");
  showRuns();
});

// While something runs, its bars and times grow between two messages.
setInterval(() => {
  if (model.run !== null && !model.over && stand === "open" && !document.hidden) draw();
}, 250);

async function begin() {
  const answer = await fetch("api/board");
  const found = await answer.json();
  if (!answer.ok) {
    trouble(found.error);
    setTimeout(begin, 1000);
    return;
  }
  trouble("");
  board.remote = found.remote;
  takeBoard(found);
  if (feed === null) look(pinned ?? "");
  if (model.run === null) picture.forget(found.picture);
}

begin().catch((error) => {
  say(byId("line"), `The server does not answer: ${error.message}`);
});
