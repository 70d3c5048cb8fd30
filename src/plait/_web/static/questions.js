// What the run asks of people: a form for each question, which is left alone while somebody fills it in.

import { byId, el, say } from "./dom.js";

const TYPES = { text: "text", integer: "number", number: "number" };

export class Questions {
  // send(question, kind, fields) sends an answer; it throws what is wrong, with `fields`.
  constructor(send) {
    this.part = byId("questions-part");
    this.box = byId("questions");
    this.send = send;
    this.shown = new Map();
    this.sent = null;
    this.leads = false;
  }

  forget() {
    this.show({ questions: [], run: null });
  }

  show(model) {
    const wanted = new Map(model.questions.map((one) => [`${model.run?.id}/${one.id}`, one]));
    for (const [key, { node, told }] of this.shown) {
      if (told === JSON.stringify(wanted.get(key))) continue;
      // Whoever has answered by keys goes on with the next question, or with the run's head.
      const here = document.activeElement;
      if (node.contains(here) || (node === this.sent && here === document.body)) this.leads = true;
      node.remove();
      this.shown.delete(key);
    }
    for (const [key, one] of wanted) {
      if (this.shown.has(key)) continue;
      const node = this.question(one, `question-${this.number = (this.number ?? 0) + 1}`);
      this.shown.set(key, { node, told: JSON.stringify(one) });
      this.box.append(node);
    }
    if (this.leads && [document.body, byId("title")].includes(document.activeElement)) {
      const next = this.box.querySelector("input, textarea, select");
      (next ?? byId("title")).focus();
      this.leads = next === null;
    }
    this.part.hidden = wanted.size === 0;
  }

  question(one, id) {
    const labels = one.forms.map((form) => form.label).join(" or ");
    const fixed = Object.entries(one.fixed).map(([name, value]) => `${name} = ${value}`).join(", ");
    const parts = [
      el("h3", { id }, one.says ?? (one.event ? `${one.step} asks: ${one.event}` : `${one.step} waits for ${labels}`)),
      one.payload ? el("pre", {}, one.payload) : null,
      el("p", { class: "faint" }, `Step ${one.step} waits for ${labels}${fixed ? ` with ${fixed}` : ""}.`),
    ];
    if (one.behind) parts.push(el("p", {}, "Another question waits for the same, and comes first."));
    else parts.push(...this.forms(one, id));
    return el("article", { class: "question", "aria-labelledby": id }, ...parts);
  }

  forms(one, id) {
    const forms = one.forms.map((form, place) => formOf(form, `${id}-${place}`,
      (fields, node) => {
        this.sent = node.closest("article");
        return this.send(one.id, form.kind, fields);
      }));
    return choice(one.forms, forms, "Answer with");
  }
}

// Events for an app, of which each may begin runs.
export class Sends {
  constructor(send) {
    this.part = byId("sends-part");
    this.box = byId("sends");
    this.send = send;
    this.told = "[]";
  }

  show(events) {
    this.part.hidden = events.length === 0;
    const told = JSON.stringify(events);
    if (told === this.told) return;
    this.told = told;
    const forms = events.map((form, place) => formOf(form, `send-${place}`,
      (fields) => this.send(form.kind, fields), true));
    const named = events.length === 1 ? [el("p", {}, "Event ", el("strong", {}, events[0].label))] : [];
    this.box.replaceChildren(...named, ...choice(events, forms, "Event"));
  }
}

// Several forms, of which one is shown; of one there is nothing to choose.
function choice(events, forms, text) {
  if (forms.length < 2) return forms;
  const kinds = el("select", {}, ...events.map((form, place) => el("option", { value: place }, form.label)));
  const choose = () => forms.forEach((form, place) => { form.hidden = String(place) !== kinds.value; });
  kinds.addEventListener("change", choose);
  choose();
  return [el("p", {}, el("label", {}, `${text} `, kinds)), ...forms];
}

// A form; `send` is given its fields, and throws what is wrong. One that stays may be sent again.
function formOf(form, id, send, stays = false) {
  const fields = form.fields.map((field) => fieldOf(field, `${id}-${field.name}`));
  if (form.free !== undefined) {
    const label = fields.length ? "Other fields, as JSON" : stays ? "What it carries, as JSON" : "The answer, as JSON";
    fields.push(fieldOf({ name: "", label, asks: "json", default: form.free }, `${id}-free`));
  }
  const button = el("button", { type: "submit", class: "main" }, "Send");
  const wrong = el("p", { class: "bad", role: "alert" });
  const node = el("form", { novalidate: true, autocomplete: "off" },
    ...fields.map((field) => field.row), el("p", {}, button), wrong);
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    for (const field of fields) field.complain("");
    say(wrong, "");
    const values = read(fields);
    if (values === null) return;
    button.disabled = true;
    try {
      await send(values, node);
      say(button, stays ? "Send again" : "Sent");
      button.disabled = !stays;
    } catch (error) {
      button.disabled = false;
      const found = fields.filter((field) => error.fields?.[field.name] !== undefined);
      for (const field of found) field.complain(error.fields[field.name]);
      if (found.length) found[0].input.focus();
      const others = Object.keys(error.fields ?? {}).length > found.length;
      if (!found.length || others) say(wrong, error.message);
    }
  });
  return node;
}

// The values that were filled in; null: one of them is no JSON, and that is said beside it.
function read(fields) {
  const values = {};
  for (const field of fields) {
    const told = field.value();
    if (told.wrong) {
      field.complain(told.wrong);
      field.input.focus();
      return null;
    }
    if (field.name === "") Object.assign(values, told.value);
    else if (told.value !== undefined) values[field.name] = told.value;
  }
  return values;
}

function fieldOf(field, id) {
  const wrong = el("span", { class: "bad", id: `${id}-wrong` });
  const input = control(field, id);
  input.setAttribute("aria-describedby", wrong.id);
  if (field.required && field.asks !== "check") input.setAttribute("aria-required", "true");
  const label = el("label", { for: id }, field.label ?? field.name,
    field.required === false ? el("span", { class: "faint" }, " (optional)") : "");
  const row = field.asks === "check"
    ? el("p", { class: "field" }, input, " ", label, " ", wrong)
    : el("p", { class: "field" }, label, input, wrong);
  return {
    name: field.name, row, input,
    complain(text) {
      say(wrong, text);
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    },
    value: () => valueOf(field, input),
  };
}

function control(field, id) {
  if (field.asks === "check") return el("input", { id, type: "checkbox", checked: field.default === true });
  if (field.asks === "choice") {
    const none = !field.required || field.optional ? [el("option", { value: "" }, "–")] : [];
    return el("select", { id }, ...none, ...field.options.map((one) =>
      el("option", { value: one, selected: one === field.default }, one)));
  }
  if (field.asks === "json") {
    const area = el("textarea", { id, rows: 3, spellcheck: "false" });
    area.value = field.default ?? "";
    return area;
  }
  const input = el("input", {
    id, type: field.secret ? "password" : TYPES[field.asks], step: field.asks === "number" ? "any" : null,
  });
  input.value = field.default ?? "";
  return input;
}

// What is in a control: a value, nothing, or what is wrong with it.
function valueOf(field, input) {
  if (field.asks === "check") return { value: input.checked };
  const text = input.value;
  if (field.asks === "text") return text === "" && !field.required ? {} : { value: text };
  // Browsers hold back what they cannot read as a number.
  if (text === "" && input.validity.badInput) return { wrong: "must be a number" };
  if (text.trim() === "") return field.optional && field.required ? { value: null } : {};
  if (field.asks === "choice") return { value: text };
  try {
    const value = JSON.parse(text);
    const open = field.name === "";
    if (open && (value === null || typeof value !== "object" || Array.isArray(value))) {
      return { wrong: 'must be a JSON object, such as {"response": "yes"}' };
    }
    return { value };
  } catch (error) {
    return { wrong: `is no JSON: ${error.message}` };
  }
}
