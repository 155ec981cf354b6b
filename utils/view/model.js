// What the page knows of a sequence: its frames, the objects found in them, and what a person has decided about each.
const UNREVIEWED = 0, ACCEPTED = 1, REJECTED = 2, GONE = 3;
const STATES = ["unreviewed", "accepted", "rejected"];
const HIT_DISTANCE = 3;  // px between centres, as of utils.metrics.detection
const round = value => Math.round(value * 100) / 100;

class Pictures {
  // The frames as pictures: text in blocks of the page, decoded when they are needed; the last ones are kept.
  constructor(sequence, perBlock) {
    Object.assign(this, { sequence, perBlock, blocks: new Map(), decoded: new Map() });
  }
  text(index) {
    const number = Math.floor(index / this.perBlock);
    if (!this.blocks.has(number)) {
      const block = document.getElementById(`pictures-${this.sequence}-${number}`);
      this.blocks.set(number, block ? block.textContent.trim().split("\n") : []);
      if (this.blocks.size > 4) this.blocks.delete(this.blocks.keys().next().value);
    }
    return this.blocks.get(number)[index % this.perBlock];
  }
  get(index) {
    if (!this.decoded.has(index)) {
      const text = this.text(index), picture = new Image();
      if (text) picture.src = `data:image/webp;base64,${text}`;
      this.decoded.set(index, text ? picture.decode().then(() => picture, () => null) : Promise.resolve(null));
      if (this.decoded.size > 60) this.decoded.delete(this.decoded.keys().next().value);
    }
    return this.decoded.get(index);
  }
}

class Sequence {
  constructor(data) {
    this.about = data;
    this.numbers = data.numbers;
    this.length = data.numbers.length;
    [this.width, this.height] = data.size;
    this.pictures = new Pictures(data.index, data.per_block);
    for (const name of ["x", "y", "w", "h", "score", "category", "outline", "match"]) this[name] = data.objects[name];
    this.count = this.x.length;                       // of the objects that were found; those added come behind
    this.frame = []; this.track = []; this.state = []; this.added = []; this.first = [];
    this.byFrame = []; this.byTrack = []; this.labels = []; this.shown = new Uint8Array(0);
    const indices = new Map();
    let at = 0;
    data.objects.counts.forEach((count, frame) => {
      this.byFrame.push([]);
      for (let n = 0; n < count; n++, at++) this.place(at, frame, data.objects.track[at], indices);
    });
    this.matched = [...this.match];                   // by the boxes as they were found
    this.truth = data.truth ? this.openTruth(data.truth) : null;
    this.undone = [];
    this.changes = 0; this.saved = 0;                 // the number of changes, now and when labels were last saved
    this.complete = false;
    this.filter(-1, 1);
  }
  place(at, frame, label, indices) {
    // A single object is a track of its own without a number.
    let track = label === null ? undefined : indices.get(label);
    if (track === undefined) {
      track = this.labels.push(label) - 1;
      this.byTrack.push([]);
      if (label !== null) indices.set(label, track);
    }
    this.frame[at] = frame; this.track[at] = track; this.state[at] = UNREVIEWED; this.added[at] = false;
    this.first[at] = this.box(at);
    this.byFrame[frame].push(at);
    this.byTrack[track].push(at);
  }
  openTruth(truth) {
    let at = 0;
    const byFrame = truth.counts.map(count => Array.from({ length: count }, () => at++));
    return { ...truth, byFrame };
  }
  // Of a box that was moved or added: the target of its class and frame whose centre is nearest, and less than 3 px away.
  matchNow(at) {
    if (!this.truth || !(this.added[at] || this.moved(at))) return this.matched[at] ?? -1;
    let best = -1, least = HIT_DISTANCE;
    this.truth.byFrame[this.frame[at]].forEach((one, n) => {
      const { x, y, w, h, category } = this.truth;
      const away = Math.hypot(x[one] + w[one] / 2 - this.x[at] - this.w[at] / 2, y[one] + h[one] / 2 - this.y[at] - this.h[at] / 2);
      if (category[one] === this.category[at] && away < least) { best = n; least = away; }
    });
    return best;
  }
  box(at) { return [this.x[at], this.y[at], this.w[at], this.h[at]]; }
  setBox(at, [x, y, w, h]) { [this.x[at], this.y[at], this.w[at], this.h[at]] = [round(x), round(y), round(w), round(h)]; }
  moved(at) { return !this.added[at] && this.box(at).some((value, index) => value !== this.first[at][index]); }
  stateName(at) {
    if (this.added[at]) return "added";
    return this.state[at] === ACCEPTED && this.moved(at) ? "moved" : STATES[this.state[at]];
  }
  get unsaved() { return this.changes !== this.saved; }
  within(box) {  // shifted into the frame, as a box that is moved is
    const w = Math.min(Math.max(box[2], 1), this.width), h = Math.min(Math.max(box[3], 1), this.height);
    return [Math.min(Math.max(box[0], 0), this.width - w), Math.min(Math.max(box[1], 0), this.height - h), w, h];
  }
  cut([x, y, w, h]) {  // at the border of the frame, as a box that is drawn or pulled at is
    const span = (start, length, side) => {
      const low = Math.min(Math.max(start, 0), side - 1);
      return [low, Math.max(Math.min(start + length, side) - low, 1)];
    };
    const [left, width] = span(x, w, this.width), [top, height] = span(y, h, this.height);
    return [left, top, width, height];
  }
  meets([x, y, w, h]) { return x < this.width && y < this.height && x + w > 0 && y + h > 0; }

  // Which objects are shown: those that exceed the score whose track has so many of them; what was decided always is.
  filter(score, frames) {
    this.least = { score, frames };
    const total = this.x.length, counts = new Int32Array(this.labels.length);
    if (this.shown.length < total) this.shown = new Uint8Array(total + 256);
    for (let at = 0; at < this.count; at++) if (this.score[at] > score) counts[this.track[at]]++;
    for (let at = 0; at < total; at++) {
      const state = this.state[at];
      this.shown[at] = state === GONE ? 0 : state !== UNREVIEWED || this.added[at] ? 1 :
        this.score[at] > score && counts[this.track[at]] >= frames ? 1 : 0;
    }
    return this.summary();
  }
  summary() {
    const tracks = new Set(), sum = { objects: 0, tracks: 0, single: 0, accepted: 0, rejected: 0, open: 0 };
    for (let at = 0; at < this.x.length; at++) {
      if (!this.shown[at]) continue;
      if (this.state[at] === REJECTED) { sum.rejected++; continue; }
      sum.objects++;
      if (this.state[at] === ACCEPTED) sum.accepted++; else sum.open++;
      tracks.add(this.track[at]);
    }
    for (const track of tracks) if (this.labels[track] === null) sum.single++; else sum.tracks++;
    if (this.truth) {
      const found = new Set();
      let wrong = 0;
      for (let at = 0; at < this.x.length; at++) {
        if (!this.stands(at)) continue;
        if (this.match[at] >= 0) found.add(`${this.frame[at]} ${this.match[at]}`); else wrong++;
      }
      Object.assign(sum, { targets: this.truth.x.length, found: found.size, wrong });
    }
    return sum;
  }
  stands(at) { return this.shown[at] === 1 && this.state[at] !== REJECTED; }
  foundIn(frame) {  // the true targets of a frame that something shown has found
    return new Set(this.byFrame[frame].filter(at => this.stands(at)).map(at => this.match[at]));
  }
  mistakes(frame) {
    if (!this.truth) return 0;
    const found = this.foundIn(frame), own = this.byFrame[frame].filter(at => this.stands(at));
    return own.filter(at => this.match[at] < 0).length + this.truth.byFrame[frame].filter((_, n) => !found.has(n)).length;
  }
  // Tracks in which something is shown, by their first frame: {track, first, last, state}.
  tracksShown() {
    const result = [];
    this.byTrack.forEach((own, track) => {
      const seen = own.filter(at => this.shown[at]);
      if (!seen.length) return;
      const states = new Set(seen.map(at => this.state[at]));
      result.push({
        track, first: this.frame[seen[0]], last: this.frame[seen[seen.length - 1]], count: seen.length,
        state: states.size === 1 ? this.state[seen[0]] : UNREVIEWED, added: this.added[seen[0]],
        wrong: this.truth ? seen.filter(at => this.match[at] < 0).length > seen.length / 2 : null,
      });
    });
    return result.sort((a, b) => a.first - b.first || a.track - b.track);
  }

  // Every change goes through here, so that it can be undone as a whole.
  change(indices, edit) {
    const before = indices.map(at => [at, this.state[at], this.box(at)]);
    indices.forEach(edit);
    for (const at of indices) this.match[at] = this.matchNow(at);
    this.undone.push(before);
    this.changes++;
  }
  undo() {
    const before = this.undone.pop();
    if (!before) return null;
    for (const [at, state, box] of before) { this.state[at] = state; this.setBox(at, box); this.match[at] = this.matchNow(at); }
    this.changes++;
    return before.map(([at]) => at);
  }
  decide(indices, state) {
    const own = indices.filter(at => this.state[at] !== GONE && this.state[at] !== state &&
      !(this.added[at] && state === UNREVIEWED));
    if (own.length) this.change(own, at => {
      this.state[at] = this.added[at] && state === REJECTED ? GONE : state;
      if (state === UNREVIEWED) this.setBox(at, this.first[at]);
    });
    return own.length;
  }
  move(at, box) {
    this.change([at], () => { this.setBox(at, this.within(box)); this.state[at] = ACCEPTED; });
  }
  resize(at, box) {
    this.change([at], () => { this.setBox(at, this.cut(box)); this.state[at] = ACCEPTED; });
  }
  append(frame, box, track, category) {
    const at = this.x.length;
    this.setBox(at, this.cut(box));
    this.score[at] = null; this.category[at] = category; this.outline[at] = ""; this.match[at] = -1;
    this.frame[at] = frame; this.track[at] = track; this.state[at] = GONE; this.added[at] = true;
    this.first[at] = this.box(at);
    this.byFrame[frame].push(at);
    const own = this.byTrack[track];
    own.push(at);
    own.sort((a, b) => this.frame[a] - this.frame[b]);
    return at;
  }
  newTrack() {
    const label = 1 + this.labels.reduce((most, own) => Math.max(most, own || 0), 0);
    this.byTrack.push([]);
    return this.labels.push(label) - 1;
  }
  live(track) { return this.byTrack[track].filter(at => this.state[at] !== GONE); }
  // A box that a person draws; of an added track the frames between its boxes are filled along straight lines. A track
  // that has a box in the frame already takes no other one: that is a track of its own.
  add(frame, box, category, track = null, fill = true) {
    const free = track !== null && this.live(track).every(at => this.frame[at] !== frame);
    const own = free ? track : this.newTrack(), live = this.live(own);
    const fresh = [this.append(frame, box, own, category)], target = this.box(fresh[0]);
    const before = live.filter(at => this.frame[at] < frame).pop();
    const after = live.find(at => this.frame[at] > frame);
    for (const other of fill ? [before, after] : []) {
      if (other === undefined) continue;
      const start = this.frame[other], step = Math.sign(frame - start);
      for (let now = start + step; now !== frame; now += step) {
        const share = (this.numbers[now] - this.numbers[start]) / (this.numbers[frame] - this.numbers[start]);
        const between = this.box(other).map((value, n) => value + share * (target[n] - value));
        fresh.push(this.append(now, between, own, category));
      }
    }
    this.change(fresh, at => { this.state[at] = ACCEPTED; });
    return fresh[0];
  }

  // What labels.json holds; see docs/view.md.
  toLabels() {
    const frames = this.byFrame.map((own, frame) => ({
      number: this.numbers[frame],
      name: this.about.names ? this.about.names[frame] : undefined,
      boxes: own.filter(at => this.state[at] !== GONE).map(at => ({
        box: this.box(at), class: this.about.classes[this.category[at]], track: this.labels[this.track[at]] ?? undefined,
        state: this.stateName(at),
        from: this.moved(at) ? this.first[at] : undefined, score: this.score[at] ?? undefined,
      })),
    }));
    return {
      made_by: "python -m utils.view", format: 1, source: this.about.source, sequence: this.about.name,
      size: [this.width, this.height], classes: this.about.classes, complete: this.complete, frames,
    };
  }
  // Takes up what toLabels gave; returns how many boxes of predictions are not among these predictions.
  takeLabels(labels) {
    if (labels?.made_by !== "python -m utils.view" || labels.format !== 1 || labels.sequence !== this.about.name)
      throw new Error(`these are no labels of ${this.about.name}`);
    const frames = new Map(this.numbers.map((number, index) => [number, index])), tracks = new Map();
    const fresh = [], decided = [], same = (box, other) => box.every((value, n) => Math.abs(value - other[n]) < 0.011);
    const living = (frame, box) => this.byFrame[frame].find(at => this.added[at] && this.state[at] !== GONE && same(box, this.box(at)));
    let lost = 0;
    for (const { number, boxes } of labels.frames) {  // tracks that were added here already go on
      for (const { box, state, track } of boxes) {
        const at = state === "added" && frames.has(number) ? living(frames.get(number), box) : undefined;
        if (at !== undefined && !tracks.has(track)) tracks.set(track, this.track[at]);
      }
    }
    for (const { number, boxes } of labels.frames) {
      const frame = frames.get(number);
      if (frame === undefined) { lost += boxes.length; continue; }
      const waiting = this.byFrame[frame].filter(at => !this.added[at]);
      for (const { box, from, state, track, class: name } of boxes) {
        if (state === "added") {
          if (living(frame, box) !== undefined) continue;
          if (!tracks.has(track)) tracks.set(track, this.newTrack());
          const there = this.live(tracks.get(track)).find(at => this.frame[at] === frame);
          if (there !== undefined) { decided.push([there, ACCEPTED, box]); continue; }
          const category = Math.max(0, this.about.classes.indexOf(name));
          fresh.push(this.append(frame, box, tracks.get(track), category));
          continue;
        }
        const place = waiting.findIndex(at => same(from ?? box, this.first[at]));
        if (place < 0) { lost++; continue; }
        const [at] = waiting.splice(place, 1);
        if (state !== "unreviewed") decided.push([at, state === "rejected" ? REJECTED : ACCEPTED, box]);
      }
    }
    const chosen = new Map(decided.map(([at, ...rest]) => [at, rest]));
    this.change([...chosen.keys(), ...fresh], at => {
      if (!chosen.has(at)) { this.state[at] = ACCEPTED; return; }
      const [state, box] = chosen.get(at);
      this.state[at] = state;
      this.setBox(at, box);
    });
    this.complete = labels.complete === true;
    return lost;
  }
}
