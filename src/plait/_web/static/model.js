// What a window knows of the run that it looks at. The server says what has changed; this remembers.

// Lines of the log, and activities that have ended, that are kept here.
const MOST_LINES = 5000;
const MOST_ENDED = 6000;
const OVER = new Set(["succeeded", "reused", "failed", "cancelled", "skipped", "dropped", "joined"]);

export class Model {
  constructor() {
    this.forget();
  }

  forget() {
    this.run = null;
    this.now = 0;
    this.count = 0;
    this.steps = new Map();
    this.activities = new Map();
    this.log = [];
    this.failures = [];
    this.buffers = [];
    this.questions = [];
    this.leftOut = 0;
    this.changedSteps = null; // null: all of them
    this.heard = performance.now();
  }

  take(event, data) {
    if (event === "whole") {
      this.forget();
      this.leftOut = data.left_out ?? 0;
    }
    this.heard = performance.now();
    this.now = data.now ?? this.now;
    this.count = data.count ?? this.count;
    if (data.run) this.run = data.run;
    if (data.buffers) this.buffers = data.buffers;
    if (data.questions) this.questions = data.questions;
    for (const [name, step] of Object.entries(data.steps ?? {})) {
      this.steps.set(name, step);
      this.changedSteps?.add(name);
    }
    for (const [name, one] of Object.entries(data.activities ?? {})) this.activities.set(name, one);
    this.log.push(...(data.log ?? []));
    if (this.log.length > MOST_LINES) this.log.splice(0, this.log.length - MOST_LINES);
    this.failures.push(...(data.failures ?? []));
    this.prune();
  }

  prune() {
    let surplus = this.activities.size - MOST_ENDED - 1000;
    if (surplus <= 0) return;
    surplus += 1000;
    for (const [name, one] of this.activities) {
      if (surplus <= 0) break;
      if (!OVER.has(one.state)) continue;
      this.activities.delete(name);
      this.leftOut += 1;
      surplus -= 1;
    }
  }

  get over() {
    return this.run !== null && ["completed", "failed", "cancelled", "interrupted"].includes(this.run.status);
  }

  // Seconds since the run began. Between two messages of a run that goes on, time goes on too.
  time() {
    if (this.run === null) return 0;
    if (this.run.ended !== null && this.run.ended !== undefined) return this.run.ended;
    if (this.over || this.run.status === "queued") return this.now;
    const since = Date.now() / 1000 - this.run.epoch;
    return Math.max(this.now, this.run.epoch ? since : this.now);
  }

  // The limit of a step's bodies, and of the whole run where that has one.
  limit(step) {
    return this.run?.limits?.[step];
  }

  running() {
    let number = 0;
    for (const step of this.steps.values()) number += step.states.running ?? 0;
    return number;
  }
}
