// One activity: what it was given and by whom, its attempts and waits, and what came of it.

import { badge, byId, el, renew, say, seconds, wrong } from "./dom.js";

const MOST = 30;

export class Details {
  constructor(choose, back) {
    this.aside = byId("details");
    this.body = byId("details-body");
    this.choose = choose;
    this.back = back;
    this.name = null;
    byId("details-close").addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.aside.hidden) this.close();
    });
  }

  // Opens what is called so: an activity, or the step of that name.
  open(name, model) {
    this.before ??= document.activeElement;
    this.name = name;
    this.told = "";
    this.aside.hidden = false;
    this.show(model);
    byId("details-close").focus();
  }

  close() {
    this.aside.hidden = true;
    const { before, name } = this;
    this.name = null;
    this.before = null;
    // What was chosen may have been drawn anew since.
    if (before?.isConnected) before.focus();
    else this.back(name);
  }

  show(model) {
    if (this.name === null) return;
    const activity = model.activities.get(this.name);
    const told = JSON.stringify(activity ?? model.steps.get(this.name) ?? null) + model.count;
    if (told === this.told) return;
    this.told = told;
    say(byId("details-head"), activity?.label ?? this.name);
    const fresh = this.body.cloneNode(false);
    fresh.append(...(activity ? this.activity(activity, model) : this.step(model)));
    if (renew(this.body, fresh, "button")) byId("details-close").focus();
  }

  step(model) {
    const step = model.steps.get(this.name);
    if (!step) return [el("p", {}, "Nothing of that name has run yet.")];
    const all = [...model.activities.values()].filter((one) => one.name === this.name);
    const limit = model.limit(this.name);
    const parts = [el("p", {}, badge(step.state), limit === undefined ? "" : ` at most ${limit} at once`)];
    if (step.notes && all.length !== 1) parts.push(el("div", {}, wrong(step.notes)));
    if (step.reason) parts.push(el("p", {}, `Why: ${step.reason}`));
    if (all.length === 1) return [...parts, ...this.activity(all[0], model)];
    parts.push(el("h3", {}, `${all.length} deliveries`), this.list(all.slice(-MOST).reverse()));
    if (all.length > MOST) parts.push(el("p", { class: "faint" }, `The latest ${MOST} are shown.`));
    return parts;
  }

  activity(one, model) {
    const parts = [el("p", {}, badge(one.state), one.given ? ` given ${one.given}` : "")];
    if (one.error) parts.push(el("div", {}, wrong(one.error)));
    if (one.reason) parts.push(el("p", {}, `Why: ${one.reason}`));
    const causes = (one.causes ?? []).map((cause) => this.cause(cause, model));
    if (causes.length) parts.push(el("h3", {}, "Caused by"), el("ul", {}, ...causes));
    if (one.attempts?.length) {
      parts.push(el("h3", {}, "Attempts"), el("ol", {}, ...one.attempts.map((each) => el("li", {},
        `${each.how ?? "running"}, began at ${seconds(each.began) || "0"}`,
        each.ended === undefined ? "" : `, took ${seconds(each.ended - each.began)}`,
        // What the last one failed with stands above.
        each.error && each.error !== one.error ? el("div", {}, wrong(each.error)) : ""))));
    }
    const waits = (one.pauses ?? []).filter((each) => each.kind !== "queue");
    if (waits.length) {
      parts.push(el("h3", {}, "Waits"), el("ul", {}, ...waits.map((each) => el("li", {},
        `${each.kind} ${each.of ?? ""} from ${seconds(each.began) || "0"}`,
        each.ended === undefined ? ", not over" : `, ${seconds(each.ended - each.began)}`))));
    }
    const led = [...model.activities.values()].filter((other) =>
      (other.causes ?? []).some((cause) => cause.source === one.id));
    if (led.length) parts.push(el("h3", {}, "Led to"), this.list(led.slice(0, MOST)));
    const failure = model.failures.findLast((each) => each.id === one.id && each.story);
    if (failure) parts.push(el("h3", {}, "What is known of the failure"), el("pre", {}, failure.story));
    const lines = model.log.filter((line) => line.id === one.id && line.payload);
    for (const line of lines.slice(-MOST)) {
      parts.push(el("h3", {}, `${line.what}: ${line.event ?? ""}`), el("pre", {}, line.payload));
    }
    return parts;
  }

  cause(cause, model) {
    const other = model.activities.get(cause.source);
    const how = `${cause.how}${cause.event ? ` ${cause.event}` : ""}`;
    return el("li", {}, other ? this.link(other) : cause.source.replace(/[()]/g, ""), ` (${how})`);
  }

  list(activities) {
    return el("ul", {}, ...activities.map((one) => el("li", {}, this.link(one), " ", badge(one.state))));
  }

  link(one) {
    const button = el("button", { type: "button", class: "link" }, one.label ?? one.id);
    button.addEventListener("click", () => this.choose(one.id));
    return button;
  }
}
