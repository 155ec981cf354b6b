"use strict";
// The viewer of frames: data lies in one JSON block for each sequence and is read when that sequence is chosen.
(() => {
  const root = document.getElementById("viewer");
  if (!root) return;
  document.documentElement.classList.add("scripts");
  const find = name => root.querySelector(`[data-is="${name}"]`);
  const sequence = find("sequence"), slider = find("slider"), where = find("where"), play = find("play");
  const panels = [...root.querySelectorAll(".panel")], marks = find("marks");
  const kinds = ["false", "hit", "truth"], read = new Map();
  let frames = [], at = 0, timer = 0;

  const path = ([x, y, w, h, , , runs]) => {
    if (!runs) return `M${x} ${y}h${w}v${h}h${-w}z`;
    let result = "", place = 0;
    runs.split(",").map(Number).forEach((length, index) => {
      while (index % 2 && length) {
        const column = place % w, part = Math.min(length, w - column);
        result += `M${x + column} ${y + (place - column) / w}h${part}v1h${-part}z`;
        place += part;
        length -= part;
      }
      place += length;
    });
    return result;
  };
  const mark = (part, kind, gap, filled) => {
    const [x, y, w, h, , score] = part;
    const title = score ? `<title>score ${(score / 1000).toFixed(3)}</title>` : "";
    return (filled ? `<path class="pixels ${kind}" d="${path(part)}"/>` : "") +
      `<rect class="mark ${kind}" x="${x - gap}" y="${y - gap}" width="${w + 2 * gap}" height="${h + 2 * gap}">` +
      `${title}</rect>`;
  };

  const show = () => {
    const frame = frames[at], gap = Math.max(2, frame.w / 90);
    panels.forEach(panel => {
      if (panel.classList.contains("off")) return;
      const picture = panel.querySelector("img"), drawing = panel.querySelector("svg");
      picture.src = frame.p;
      drawing.setAttribute("viewBox", `0 0 ${frame.w} ${frame.h}`);
      const method = panel.dataset.method, count = panel.querySelector("h3 span");
      let content = "";
      if (method === undefined) {
        content = frame.t.map(part => mark(part, "truth", gap, marks.checked)).join("");
        count.textContent = `${frame.t.length} target${frame.t.length === 1 ? "" : "s"}`;
      } else {
        const [missed, parts] = frame.m[method];
        content = missed.map(index => mark(frame.t[index], "missed", 2 * gap, false)).join("") +
          parts.map(part => mark(part, kinds[part[4]], gap, marks.checked)).join("");
        const wrong = parts.filter(part => part[4] === 0).length;
        count.textContent = `${frame.t.length - missed.length} of ${frame.t.length} found, ${wrong} false`;
      }
      drawing.innerHTML = content;
    });
    slider.value = at;
    where.textContent = `frame ${frame.n} (${at + 1} of ${frames.length})`;
  };
  const go = index => { at = Math.max(0, Math.min(frames.length - 1, index)); show(); };
  const open = () => {
    const id = sequence.value;
    if (!read.has(id)) read.set(id, JSON.parse(document.getElementById(id).textContent));
    frames = read.get(id);
    slider.max = frames.length - 1;
    go(0);
  };
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
  const visible = () => panels.filter(panel => panel.dataset.method !== undefined && !panel.classList.contains("off"))
    .map(panel => +panel.dataset.method);
  const wrong = frame => visible().some(method => frame.m[method][0].length ||
    frame.m[method][1].some(part => part[4] === 0));

  sequence.addEventListener("change", () => { stop(); open(); });
  slider.addEventListener("input", () => { stop(); go(+slider.value); });
  marks.addEventListener("change", show);
  find("back").addEventListener("click", () => { stop(); go(at - 1); });
  find("on").addEventListener("click", () => { stop(); go(at + 1); });
  find("next").addEventListener("click", () => {
    stop();
    const order = frames.map((_, index) => (at + 1 + index) % frames.length);
    const found = order.find(index => wrong(frames[index]));
    if (found !== undefined) go(found);
  });
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    play.textContent = "Stop";
    timer = setInterval(() => go((at + 1) % frames.length), 120);
  });
  root.querySelectorAll("[data-toggles]").forEach(box => box.addEventListener("change", () => {
    panels.find(panel => panel.dataset.method === box.dataset.toggles).classList.toggle("off", !box.checked);
    show();
  }));
  document.addEventListener("keydown", event => {
    if (["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { stop(); go(at + step); event.preventDefault(); }
  });
  open();
})();
