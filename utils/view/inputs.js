// What the buttons, sliders and keys of a page do.
function connectInputs(page) {
  const on = (name, event, act) => find(name).addEventListener(event, act);
  on("sequence", "change", event => page.open(event.target.value));
  on("sensitivity", "input", event => page.setSensitivity(+event.target.value));
  on("least-score", "change", event => page.setLeast(Math.min(1, Math.max(0, +event.target.value || 0)), page.least.frames));
  on("least-frames", "change", event => page.setLeast(page.least.score, Math.max(1, Math.round(+event.target.value) || 1)));
  on("position", "input", event => { page.stop(); page.stage.frame = +event.target.value; page.keepTrack(); page.go(page.at); });
  const clicks = {
    play: () => page.play(), back: () => page.step(-1), on: () => page.step(1), previous: () => page.nextTrack(-1),
    next: () => page.nextTrack(1), accept: () => page.decide(ACCEPTED), reject: () => page.decide(REJECTED),
    reset: () => page.decide(UNREVIEWED), undo: () => page.undo(), adding: () => page.toggleAdding(),
    "accept-shown": () => page.decideAll(true), "reject-hidden": () => page.decideAll(false), save: () => page.save(),
    follow: () => page.toggleFollow(), closer: () => page.stage.zoomBy(1.5), farther: () => page.stage.zoomBy(1 / 1.5),
    fit: () => page.stage.fit(), auto: () => page.autoLevels(true), plain: () => page.autoLevels(false),
    mistake: () => page.nextWhere(frame => page.sequence.mistakes(frame) > 0, "no frame with a mistake is left"),
  };
  for (const [name, act] of Object.entries(clicks)) on(name, "click", act);
  for (const name of ["low", "high", "inverted"]) on(name, "input", () => page.setLevels());
  for (const name of ["outlines", "tails"]) on(name, "change", event => { page.stage[name] = event.target.checked; page.stage.draw(); });
  for (const input of document.getElementsByName("scope"))
    input.addEventListener("change", () => { page.perTrack = find("scope-track").checked; });
  on("complete", "change", event => { page.sequence.complete = event.target.checked; page.sequence.changes++; });
  on("file", "change", async event => {
    const [file] = event.target.files;
    if (!file) return;
    try { page.take(JSON.parse(await file.text()), `${file.name} opened`); } catch (error) { say(`${file.name}: ${error.message}`); }
    event.target.value = "";
  });
  document.addEventListener("keydown", event => takeKey(page, event));
  window.addEventListener("beforeunload", event => { if (page.unsaved().length) event.preventDefault(); });
}

function takeKey(page, event) {
  const { target, key } = event, kind = target.type;
  if (event.altKey || event.metaKey || target.tagName === "SELECT" || ["number", "text", "file"].includes(kind)) return;
  if (event.ctrlKey && key.startsWith("Arrow") === false && !["z", "s"].includes(key)) return;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (arrows && kind === "range") return;  // which they move
  if ([" ", "Enter"].includes(key) && ["BUTTON", "SUMMARY", "INPUT"].includes(target.tagName)) return;
  if (["Home", "End", "PageUp", "PageDown"].includes(key) && kind === "range") return;
  const click = name => { find(name).checked = !find(name).checked; find(name).dispatchEvent(new Event("change")); find(name).dispatchEvent(new Event("input")); };
  let act = null;
  if (event.ctrlKey && key === "z") act = () => page.undo();
  else if (event.ctrlKey && key === "s") act = () => page.save();
  else if (arrows && event.shiftKey) act = () => page.nudge(...arrows, event.ctrlKey);
  else if (arrows && arrows[0]) act = () => page.step(arrows[0]);
  else if (!event.ctrlKey) act = {
    " ": () => page.play(), Home: () => page.step(-Infinity), End: () => page.step(Infinity),
    PageUp: () => page.step(-10), PageDown: () => page.step(10), n: () => page.nextTrack(1), p: () => page.nextTrack(-1),
    o: () => page.nextObject(), y: () => page.decide(ACCEPTED), x: () => page.decide(REJECTED), r: () => page.decide(UNREVIEWED),
    u: () => page.undo(), a: () => page.addHere(), d: () => page.toggleAdding(), z: () => page.toggleFollow(),
    "+": () => page.stage.zoomBy(1.5), "-": () => page.stage.zoomBy(1 / 1.5), 0: () => page.stage.fit(),
    "[": () => slide(page, -2), "]": () => slide(page, 2), i: () => click("inverted"), c: () => page.autoLevels(true),
    b: () => { find(page.perTrack ? "scope-box" : "scope-track").click(); say(`decisions are for one ${page.perTrack ? "track" : "box"}`); },
    j: () => page.toggleJoining(),
    m: () => find("mistake").click(), s: () => page.save(),
    Escape: () => { if (page.stage.adding) page.toggleAdding(); else page.select(null); },
    "?": () => { find("help").open = !find("help").open; find("help").querySelector("summary").focus(); },
  }[key];
  if (!act) return;
  event.preventDefault();
  act();
}

function slide(page, by) {
  const slider = find("sensitivity");
  slider.value = +slider.value + by;
  page.setSensitivity(+slider.value);
  announce(find("counts").textContent);
}
