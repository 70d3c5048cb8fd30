// Making elements. Text is always text: nothing here, or anywhere else, reads markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((one) => one !== null && one !== undefined));
  return node;
}

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

export const byId = (id) => document.getElementById(id);

// Sets a text only where it is another one: screen readers and selections are left alone.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Puts in what was made anew, if it is another; whoever is in it by keys stays at what is called the same.
// True: they could not.
export function renew(node, fresh, stops) {
  if (node.isEqualNode(fresh)) return false;
  const here = document.activeElement;
  const inside = here !== node && node.contains(here);
  const called = inside ? here.getAttribute("href") ?? here.textContent : null;
  node.replaceChildren(...fresh.childNodes);
  if (!inside) return false;
  const same = [...node.querySelectorAll(stops)]
    .find((one) => (one.getAttribute("href") ?? one.textContent) === called);
  same?.focus();
  return same === undefined;
}

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value === 0) return "0";
  if (value < 0.00995) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(2)} s`;
  const whole = Math.floor(value);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function clock(unix) {
  const at = new Date(unix * 1000);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.toLocaleDateString()} `;
  return day + at.toLocaleTimeString();
}

// What went wrong: a long text is folded, for it would push away what stands below.
export function wrong(text) {
  if (text.length <= 300) return el("span", { class: "bad" }, text);
  return el("details", { class: "folded" }, el("summary", { class: "bad" }, `${text.slice(0, 200)}…`),
    el("pre", {}, text));
}

// A sign for each state, so that nobody has to tell them by their colours.
export const SIGNS = {
  pending: "○", queued: "◔", running: "▶", waiting: "‖", retrying: "↻", succeeded: "✓",
  reused: "✓", failed: "✗", cancelled: "⊘", skipped: "–", dropped: "–", joined: "⤵",
  completed: "✓", idle: "‖", ending: "…", held: "‖", created: "○", interrupted: "!",
};

export function badge(state) {
  return el("span", { class: `badge ${state}` }, `${SIGNS[state] ?? "•"} ${state}`);
}
