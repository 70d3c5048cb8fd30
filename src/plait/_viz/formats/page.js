// Moves pictures: drag, arrow keys, buttons, Ctrl and wheel. Without it they can be scrolled.
"use strict";
for (const frame of document.querySelectorAll(".frame")) {
  const stage = frame.querySelector(".stage"), svg = stage.querySelector("svg");
  const full = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  let x = 0, y = 0, scale = 1, fitted = true, held = null;
  const show = () => svg.setAttribute("viewBox",
    [x, y, stage.clientWidth / scale, stage.clientHeight / scale].join(" "));
  const fit = () => {
    scale = Math.min(stage.clientWidth / full.width, stage.clientHeight / full.height, 1);
    x = (full.width - stage.clientWidth / scale) / 2;
    y = (full.height - stage.clientHeight / scale) / 2;
    fitted = true;
    show();
  };
  const zoom = (by, atX, atY) => {
    const next = Math.min(Math.max(scale * by, 0.05), 8);
    x += atX / scale - atX / next;
    y += atY / scale - atY / next;
    scale = next;
    fitted = false;
    show();
  };
  const middle = (by) => zoom(by, stage.clientWidth / 2, stage.clientHeight / 2);
  const move = (right, down) => { x += right / scale; y += down / scale; fitted = false; show(); };
  const keys = {
    "+": () => middle(1.25), "=": () => middle(1.25), "-": () => middle(0.8), "0": fit,
    ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0),
    ArrowUp: () => move(0, -60), ArrowDown: () => move(0, 60),
  };
  stage.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page is scrolled, as everywhere
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = [event.clientX, event.clientY];
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("held");
  });
  stage.addEventListener("pointermove", (event) => {
    if (!held) return;
    move(held[0] - event.clientX, held[1] - event.clientY);
    held = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"])
    stage.addEventListener(end, () => { held = null; stage.classList.remove("held"); });
  // What a node is connected with stands out while the pointer is on it.
  const nodes = new Map([...svg.querySelectorAll(".node")].map((node) => [node.dataset.name, node]));
  const cables = [...svg.querySelectorAll(".cable")];
  for (const [name, node] of nodes) {
    node.addEventListener("pointerenter", () => {
      if (held) return;
      node.classList.add("lit");
      for (const cable of cables) {
        if (cable.dataset.from !== name && cable.dataset.to !== name) continue;
        cable.classList.add("lit");
        for (const end of [cable.dataset.from, cable.dataset.to]) nodes.get(end)?.classList.add("lit");
      }
      stage.classList.add("picked");
    });
    node.addEventListener("pointerleave", () => {
      stage.classList.remove("picked");
      for (const lit of svg.querySelectorAll(".lit")) lit.classList.remove("lit");
    });
  }
  for (const button of frame.querySelectorAll("button"))
    button.addEventListener("click", () => keys[button.dataset.key]());
  frame.querySelector(".tools").hidden = false;
  stage.classList.add("moves");
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  new ResizeObserver(() => { if (fitted) fit(); else show(); }).observe(stage);
  fit();
}
