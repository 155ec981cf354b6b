// What a page does when it is told to, and what it says.
const find = name => document.getElementById(name);
const say = text => { find("status").textContent = text; };
const announce = text => { find("announcement").textContent = text; };  // for those who do not see what is shown anyway
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

const SCORE_STEP = 1e-4;

class Page {
  constructor() {
    this.sequences = new Map();
    this.timer = 0; this.token = null; this.perTrack = true;
    this.stage = new Stage(find("stage"), find("closeup"), {
      select: at => this.select(at), move: (at, box) => this.edit(() => this.sequence.move(at, box), "moved"),
      resize: (at, box) => this.edit(() => this.sequence.resize(at, box), "box changed"),
      add: box => this.addBox(box), changed: () => this.showZoom(),
    });
    this.timeline = new Timeline(find("timeline"), (frame, track) => {
      this.stop();
      if (track === null) this.go(frame); else this.toTrack(track, frame);
    });
    connectInputs(this);
    this.open(find("sequence").value);
    this.connect();
  }
  get sequence() { return this.stage.sequence; }
  get at() { return this.stage.frame; }

  open(id) {
    this.stop();
    const waiting = this.unsaved();
    say(waiting.length ? `not saved yet: ${waiting.join(", ")}` : "");
    if (!this.sequences.has(id)) this.sequences.set(id, new Sequence(JSON.parse(find(id).textContent)));
    const sequence = this.sequences.get(id), { about } = sequence;
    this.stage.open(sequence);
    find("position").max = sequence.length - 1;
    find("class").replaceChildren(...about.classes.map((name, n) => new Option(name, n)));
    find("class-field").hidden = about.classes.length < 2;
    find("complete").checked = sequence.complete;
    if (find("sequence").length > 1)
      find("save-note").textContent = `labels.json holds one sequence, the one that is shown: ${about.name}.`;
    this.scores = sequence.score.slice(0, sequence.count).filter(value => value !== null);
    const lowest = this.scores.length ? this.scores.reduce((a, b) => Math.min(a, b)) : 0;
    // What is shown exceeds the least score: that lies below the lowest one, or below the highest one at the other end.
    this.lowest = Math.max(lowest - SCORE_STEP, about.least_score || -SCORE_STEP);
    this.highest = Math.max(this.lowest, this.scores.length ? this.scores.reduce((a, b) => Math.max(a, b)) - SCORE_STEP : 1);
    document.body.classList.toggle("truth", sequence.truth !== null);
    find("problems").replaceChildren(...(about.problems ?? []).map(([frame, text]) => {
      const line = document.createElement("li"), jump = document.createElement("button");
      jump.textContent = `frame ${sequence.numbers[frame]}`;
      jump.addEventListener("click", () => { this.stop(); this.go(frame); });
      line.append(jump, ` ${text}`);
      return line;
    }));
    find("problem-panel").hidden = !about.problems?.length;
    find("sensitivity").value = 100;
    this.setSensitivity(100);
    this.go(0);
  }

  // Where the slider stands decides both the least score (in steps of its logit) and how many frames a track must have.
  setSensitivity(value) {
    const logit = share => Math.log(share / (1 - share)), clip = share => Math.min(Math.max(share, 1e-4), 1 - 1e-4);
    const [low, high] = [logit(clip(this.lowest)), logit(clip(this.highest))], share = 1 - value / 100;
    const score = value >= 100 ? Math.max(Math.floor(1000 * this.lowest) / 1000, this.sequence.about.least_score || -1) : 1 / (1 + Math.exp(-(low + share * (high - low))));
    this.setLeast(Math.min(score, this.highest), 1 + Math.round(share * 14));
  }
  setLeast(score, frames) {
    this.least = { score, frames };
    find("least-score").value = Math.max(0, score).toFixed(3); find("least-frames").value = frames;
    this.refresh();
  }
  refresh() {
    const { sequence } = this, sum = sequence.filter(this.least.score, this.least.frames);
    const rate = (sum.objects / sequence.length).toFixed(2);
    find("counts").textContent = `${plural(sum.objects, "box").replace(/boxs$/, "boxes")}, ${rate} a frame, in ` +
      `${plural(sum.tracks, "track")}${sum.single ? ` and ${sum.single.toLocaleString("en")} single` : ""}`;
    find("decided").textContent = `${sum.accepted.toLocaleString("en")} accepted, ${sum.rejected.toLocaleString("en")} ` +
      `rejected, ${sum.open.toLocaleString("en")} open`;
    find("expected").textContent = this.expectation(sum);
    find("sensitivity").setAttribute("aria-valuetext", `score above ${this.least.score.toFixed(3)}, tracks of ` +
      `${plural(this.least.frames, "frame")}: ${find("counts").textContent}`);
    this.tracks = sequence.tracksShown();
    const marks = (sequence.about.problems ?? []).map(([frame]) => frame);
    this.timeline.open(sequence, this.tracks, marks);
    this.timeline.show(this.at, this.track());
    this.stage.draw();
    this.describe();
  }
  expectation(sum) {
    if (sum.targets !== undefined)
      return `${sum.found} of ${plural(sum.targets, "true target")} found, ${(sum.wrong / this.sequence.length).toFixed(3)} false a frame`;
    const expected = this.sequence.about.expected_false;
    if (expected === null) return "";
    const all = this.least.score <= this.lowest && this.least.frames <= 1;
    return `false alarms expected: ${all ? "" : "at most "}${Number(expected.toPrecision(2))} a frame`;
  }

  async go(frame) {
    const { sequence } = this, last = sequence.length - 1;
    frame = Math.min(last, Math.max(0, frame));
    const shown = this.stage.show(frame);
    find("position").value = frame;
    find("position").setAttribute("aria-valuetext", `frame ${sequence.numbers[frame]}`);
    const own = sequence.byFrame[frame].filter(at => sequence.stands(at));
    find("where").textContent = `frame ${sequence.numbers[frame]} · ${frame + 1} of ${sequence.length} · ${own.length} here`;
    this.timeline.show(frame, this.track());
    this.describe();
    await shown;
    for (let next = frame + 1; next <= Math.min(last, frame + 4); next++) sequence.pictures.get(next);
  }
  track() { return this.stage.selected === null ? null : this.sequence.track[this.stage.selected]; }
  select(at) {
    this.stage.selected = at;
    this.timeline.show(this.at, this.track());
    this.stage.draw();
    this.describe();
  }
  describe() {
    const { sequence } = this, at = this.stage.selected, panel = find("chosen");
    const none = at === null || sequence.state[at] === GONE;
    for (const name of ["accept", "reject", "reset"]) find(name).disabled = none;
    find("undo").disabled = !sequence.undone.length;
    this.offerJoining();
    if (none) { panel.textContent = "Nothing chosen: click a box, or press n for the next track."; return; }
    const label = sequence.labels[sequence.track[at]], score = sequence.score[at], box = sequence.box(at);
    const own = sequence.byTrack[sequence.track[at]].filter(one => sequence.state[one] !== GONE);
    const state = sequence.stateName(at);
    panel.textContent = [
      label === null ? "single box" : `track ${label}, ${plural(own.length, "box").replace(/boxs$/, "boxes")} from frame ` +
        `${sequence.numbers[sequence.frame[own[0]]]} to ${sequence.numbers[sequence.frame[own[own.length - 1]]]}`,
      score === null ? null : `score ${score.toFixed(3)}`, `x ${box[0]}, y ${box[1]}, ${box[2]} × ${box[3]} px`, state,
    ].filter(Boolean).join(" · ");
  }
  // Follows the chosen track into the frame that is shown.
  keepTrack() {
    const track = this.track();
    if (track === null) return;
    const here = this.sequence.byTrack[track].find(at => this.sequence.frame[at] === this.at && this.sequence.shown[at]);
    if (here !== undefined) this.stage.selected = here;
  }
  step(by) { this.stop(); this.stage.frame = Math.min(this.sequence.length - 1, Math.max(0, this.at + by)); this.keepTrack(); this.go(this.at); }
  toTrack(track, frame = null) {
    const { sequence } = this, own = sequence.byTrack[track].filter(at => sequence.shown[at]);
    if (!own.length) return;
    const near = frame === null ? own[0] : own.reduce((best, at) =>
      Math.abs(sequence.frame[at] - frame) < Math.abs(sequence.frame[best] - frame) ? at : best);
    this.stage.selected = near;
    this.go(sequence.frame[near]);
  }
  nextTrack(by, open = false) {
    this.stop();
    const list = open ? this.tracks.filter(one => one.state === UNREVIEWED || one.track === this.track()) : this.tracks;
    if (!list.length || (open && list.every(one => one.track === this.track()))) { say(open ? "nothing is left to decide" : "no track is shown"); return; }
    const here = list.findIndex(one => one.track === this.track());
    let next;
    if (here >= 0) next = (here + by + list.length) % list.length;
    else {
      const after = list.findIndex(one => one.first >= this.at);
      next = by > 0 ? (after < 0 ? 0 : after) : ((after < 0 ? list.length : after) - 1 + list.length) % list.length;
    }
    this.toTrack(list[next].track);
    announce(find("chosen").textContent);
  }
  nextWhere(test, none) {
    this.stop();
    const { length } = this.sequence;
    for (let n = 1; n <= length; n++) if (test((this.at + n) % length)) { this.go((this.at + n) % length); return; }
    say(none);
  }
  nextObject() {
    const own = this.sequence.byFrame[this.at].filter(at => this.sequence.shown[at]);
    if (!own.length) { say("nothing is shown in this frame"); return; }
    this.select(own[(own.indexOf(this.stage.selected) + 1) % own.length]);
    announce(find("chosen").textContent);
  }

  unsaved() { return [...this.sequences.values()].filter(one => one.unsaved).map(one => one.about.name); }
  edit(change, done) {
    const result = change();
    this.refresh();
    this.go(this.at);
    say(`${done}${this.sequence.unsaved ? ", not saved yet" : ""}`);
    return result;
  }
  decide(state) {
    const at = this.stage.selected, { sequence } = this;
    if (at === null) { say("nothing is chosen"); return; }
    const indices = this.perTrack ? sequence.byTrack[sequence.track[at]] : [at];
    if (this.perTrack ? !indices.some(one => sequence.shown[one]) : !this.visible(at)) {
      say(this.perTrack ? "nothing of that track is shown: choose another" : "choose a box of this frame first");
      return;
    }
    this.edit(() => sequence.decide(indices, state), `${this.perTrack ? "track" : "box"} ${STATES[state]}`);
    if (sequence.state[at] === GONE) this.stage.selected = null;
    if (find("advance").checked && this.perTrack && state !== UNREVIEWED) this.nextTrack(1, true);
    this.describe();
  }
  decideAll(shown) {
    const { sequence } = this, all = [];
    for (let at = 0; at < sequence.count; at++)
      if (sequence.state[at] === UNREVIEWED && Boolean(sequence.shown[at]) === shown) all.push(at);
    this.edit(() => sequence.decide(all, shown ? ACCEPTED : REJECTED),
      `${plural(all.length, "box").replace(/boxs$/, "boxes")} ${shown ? "accepted" : "rejected"}`);
  }
  // The added track that boxes drawn from now on belong to; null where that was not asked for.
  joined() { return find("join").checked ? this.track() : null; }
  addBox(box) {
    const { sequence } = this, track = this.joined();
    if (!sequence.meets(box)) { say("nothing added: that is outside of the frame"); return; }
    const name = own => `track ${sequence.labels[own]}`;
    const at = sequence.add(this.at, box, +find("class").value, track, find("fill").checked), own = sequence.track[at];
    this.select(at);
    this.edit(() => null, own === track ? `box added to ${name(own)}` : `box added as ${name(own)}` +
      (track === null ? "; j before the next box of the same target joins them" : `, as ${name(track)} has one in this frame`));
  }
  toggleJoining() {
    const box = find("join");
    if (box.disabled) { say("choose a box that was added first"); return; }
    box.checked = !box.checked;
    say(box.checked ? `the next boxes belong to ${find("join-track").textContent}` : "the next box is a track of its own");
  }
  // Which boxes are joined is asked for anew for each track.
  offerJoining() {
    const { sequence } = this, at = this.stage.selected, possible = at !== null && sequence.added[at] && sequence.state[at] !== GONE;
    const track = possible ? sequence.track[at] : null, box = find("join");
    if (track === null || track !== this.offered) box.checked = false;
    this.offered = track;
    box.disabled = !possible;
    find("join-track").textContent = possible ? `track ${sequence.labels[track]}` : "the chosen added track";
  }
  addHere() {  // by keyboard: at the chosen box, or in the middle of what is shown
    const at = this.stage.selected, [x, y, w, h] = at === null ? [...this.stage.centre, 0, 0] : this.sequence.box(at);
    this.addBox(this.stage.boxAround([x + w / 2, y + h / 2]));
  }
  visible(at) { return at !== null && this.sequence.frame[at] === this.at && this.sequence.shown[at] === 1; }
  nudge(dx, dy, size) {
    const at = this.stage.selected;
    if (!this.visible(at)) { say("choose a box of this frame first"); return; }
    const [x, y, w, h] = this.sequence.box(at);
    this.edit(() => size ? this.sequence.resize(at, [x, y, w + dx, h + dy]) : this.sequence.move(at, [x + dx, y + dy, w, h]),
      size ? "box changed" : "box moved");
    this.select(at);
  }
  undo() {
    const back = this.sequence.undo();
    if (!back) { say("nothing to undo"); return; }
    if (this.stage.selected !== null && this.sequence.state[this.stage.selected] === GONE) this.stage.selected = null;
    this.edit(() => null, `undone (${plural(back.length, "box").replace(/boxs$/, "boxes")})`);
  }

  play() {
    if (this.timer) { this.stop(); return; }
    find("play").textContent = "Stop"; find("play").setAttribute("aria-pressed", "true");
    this.timer = 1;
    const pace = 1000 / (this.sequence.about.fps || 25) / +find("speed").value, run = this.run = {};
    const tick = async () => {
      if (this.run !== run || !this.timer) return;
      const began = performance.now();
      this.stage.frame = (this.at + 1) % this.sequence.length;
      this.keepTrack();
      await this.go(this.at);
      if (this.run !== run) return;  // stopped meanwhile
      this.timer = setTimeout(tick, Math.max(0, pace - (performance.now() - began)));
    };
    tick();
  }
  stop() {
    clearTimeout(this.timer);
    this.timer = 0; this.run = null;
    find("play").textContent = "Play"; find("play").setAttribute("aria-pressed", "false");
  }
  setLevels() {
    const low = +find("low").value, high = Math.max(low + 1, +find("high").value);
    Object.assign(this.stage, { low, high, inverted: find("inverted").checked });
    this.stage.level();
    this.stage.draw();
  }
  autoLevels(fit) {
    [find("low").value, find("high").value] = fit ? this.stage.histogramRange() : [0, 255];
    this.setLevels();
  }
  showZoom() {
    find("zoom").textContent = `${Math.round(100 * this.stage.zoom)} %`;
    find("follow").setAttribute("aria-pressed", String(this.stage.follow));
    find("adding").setAttribute("aria-pressed", String(this.stage.adding));
    this.stage.canvas.classList.toggle("adding", this.stage.adding);
    this.stage.canvas.classList.toggle("held", this.stage.adding || this.stage.zoom > 1);
  }
  toggleFollow() {
    const { stage } = this;
    stage.follow = !stage.follow;
    if (stage.follow) {
      if (stage.selected === null) stage.selected = stage.subject();
      stage.zoom = Math.max(stage.zoom, 6);
    } else stage.zoom = 1;
    stage.draw();
    this.showZoom();
  }
  toggleAdding() { this.stage.adding = !this.stage.adding; this.showZoom(); say(this.stage.adding ? "draw a box, or click where one belongs" : ""); }

  // Saving: into the folder where `python -m utils.view` shows the page, else as a download.
  async connect() {
    if (!location.protocol.startsWith("http")) return;
    try {
      const answer = await fetch("session");
      if (!answer.ok) return;
      const { token, labels, problem } = await answer.json();
      this.token = token;
      find("save").textContent = "Save labels.json";
      find("save-note").textContent = "Saved into the folder that this page is from.";
      if (problem) {
        say(`NOT opened: ${problem}`);
        find("save-note").textContent = `What is saved there cannot be opened, and nothing is saved over it: ${problem}`;
      }
      if (labels) this.take(labels, "labels.json of this folder opened");
    } catch (error) { say(`the server does not answer: ${error.message}`); }
  }
  take(labels, done) {
    const { sequence } = this, fresh = sequence.changes === 0;
    try {
      const lost = sequence.takeLabels(labels);
      if (fresh) sequence.saved = sequence.changes;
      find("complete").checked = sequence.complete;
      this.edit(() => null, lost ? `${done}; ${lost} boxes in it belong to other predictions and are left out` : done);
    } catch (error) { say(error.message); }
  }
  async save() {
    let done = `labels.json of ${this.sequence.about.name} downloaded`;
    const { sequence } = this, { changes } = sequence, text = JSON.stringify(sequence.toLabels()).replaceAll('{"number"', '\n{"number"') + "\n";
    if (this.token) {
      try {
        const headers = { "Content-Type": "application/json", "X-Token": this.token };
        const answer = await fetch("labels.json", { method: "POST", headers, body: text });
        if (!answer.ok) throw new Error(await answer.text());
        done = `saved in ${await answer.text()}`;
      } catch (error) { say(`NOT saved: ${error.message}`); return; }
    } else {
      const link = document.createElement("a"), address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.href = address; link.download = "labels.json";
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
    }
    sequence.saved = changes;
    const waiting = this.unsaved();
    say(done + (waiting.length ? `; not saved yet: ${waiting.join(", ")}` : ""));
  }
}
window.page = new Page();
