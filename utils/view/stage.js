// The canvas on which a frame and what is in it are drawn, in any part and size, and where boxes are moved and added.
const COLOURS = {
  open: "#3cc8eb", accepted: "#6ee787", rejected: "#ff8a70", added: "#c9a6ff", hit: "#3cc8eb", wrong: "#ff5028",
  missed: "#fa5afa", truth: "#faeb50",
};
const TAIL = 25, MOST_LABELS = 25, LEAST_SIDE = 5, DEFAULT_SIDE = 9;

// The border of a component's pixels, of the runs off, on, off … through its box.
function outlineOf(x, y, w, h, runs) {
  const on = new Set(), path = new Path2D();
  let place = 0;
  runs.split(",").map(Number).forEach((length, index) => {
    for (let n = 0; n < length; n++, place++) if (index % 2) on.add(place);
  });
  const has = (column, row) => column >= 0 && column < w && row >= 0 && row < h && on.has(row * w + column);
  for (const pixel of on) {
    const column = pixel % w, row = (pixel - column) / w, left = x + column, top = y + row;
    for (const [there, x1, y1, x2, y2] of [
      [has(column, row - 1), 0, 0, 1, 0], [has(column, row + 1), 0, 1, 1, 1],
      [has(column - 1, row), 0, 0, 0, 1], [has(column + 1, row), 1, 0, 1, 1],
    ]) if (!there) { path.moveTo(left + x1, top + y1); path.lineTo(left + x2, top + y2); }
  }
  return path;
}

class Stage {
  // `on` are functions: select(at), move(at, box), resize(at, box), add(box), changed().
  constructor(canvas, closeup, on) {
    Object.assign(this, { canvas, closeup, on, low: 0, high: 255, inverted: false, outlines: true, tails: true });
    this.levelled = document.createElement("canvas");
    this.pen = canvas.getContext("2d");
    this.frame = 0; this.selected = null; this.adding = false; this.follow = false; this.drag = null; this.picture = null;
    this.zoom = 1; this.centre = [0, 0];
    canvas.addEventListener("pointerdown", event => this.press(event));
    canvas.addEventListener("pointermove", event => this.pull(event));
    canvas.addEventListener("pointerup", event => this.release(event));
    canvas.addEventListener("pointercancel", () => { this.drag = null; this.draw(); });
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, this.place(event));
    }, { passive: false });
    new ResizeObserver(() => this.resize()).observe(canvas);
  }
  open(sequence) {
    this.sequence = sequence; this.selected = null; this.drag = null; this.picture = null;
    this.zoom = 1; this.centre = [sequence.width / 2, sequence.height / 2];
    this.canvas.style.aspectRatio = `${sequence.width} / ${sequence.height}`;
    this.canvas.style.setProperty("--aspect", sequence.width / sequence.height);
    this.resize();
  }
  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas, ratio = window.devicePixelRatio || 1;
    if (!width || !this.sequence) return;
    this.canvas.width = Math.round(width * ratio); this.canvas.height = Math.round(height * ratio);
    this.draw();
  }
  async show(frame) {
    this.frame = frame;
    const sequence = this.sequence, picture = await sequence.pictures.get(frame);
    if (sequence !== this.sequence || frame !== this.frame) return false;  // a later frame was asked for meanwhile
    this.picture = picture;
    this.level();
    this.draw();
    return true;
  }
  // The picture in the levels asked for: below `low` black, above `high` white, or the other way round.
  level() {
    const { picture, levelled } = this;
    if (!picture) return;
    levelled.width = picture.naturalWidth; levelled.height = picture.naturalHeight;
    const pen = levelled.getContext("2d", { willReadFrequently: true });
    pen.drawImage(picture, 0, 0);
    if (this.low === 0 && this.high === 255 && !this.inverted) return;
    const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => {
      const grey = 255 * (value - this.low) / Math.max(1, this.high - this.low);
      return this.inverted ? 255 - grey : grey;
    });
    const pixels = pen.getImageData(0, 0, levelled.width, levelled.height), data = pixels.data;
    for (let n = 0; n < data.length; n += 4) data[n] = data[n + 1] = data[n + 2] = table[data[n]];
    pen.putImageData(pixels, 0, 0);
  }
  histogramRange() {  // levels between which nearly all pixels of the picture lie
    if (!this.picture) return [0, 255];
    const { naturalWidth: width, naturalHeight: height } = this.picture;
    const pen = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    pen.drawImage(this.picture, 0, 0);
    const data = pen.getImageData(0, 0, width, height).data, values = new Uint32Array(256);
    for (let n = 0; n < data.length; n += 4) values[data[n]]++;
    const level = share => { let sum = 0, n = 0; while (n < 255 && (sum += values[n]) < share * width * height) n++; return n; };
    const low = level(0.005);
    return [low, Math.max(low + 8, level(0.9995))];
  }

  // Pixels of the canvas for one of the frame, and where the frame's left upper corner is.
  view() {
    const { width, height } = this.canvas, { sequence } = this;
    if (this.follow && this.selected !== null) {
      const own = sequence.byTrack[sequence.track[this.selected]].filter(at => sequence.state[at] !== GONE);
      const near = own.reduce((best, at) =>
        Math.abs(sequence.frame[at] - this.frame) < Math.abs(sequence.frame[best] - this.frame) ? at : best, this.selected);
      const [x, y, w, h] = sequence.box(near);
      this.centre = [x + w / 2, y + h / 2];
    }
    const scale = Math.min(width / sequence.width, height / sequence.height) * this.zoom;
    const start = (centre, size, whole) => size * scale <= whole ? (whole - size * scale) / 2 :
      Math.min(0, Math.max(whole - size * scale, whole / 2 - centre * scale));
    return { scale, left: start(this.centre[0], sequence.width, width), top: start(this.centre[1], sequence.height, height) };
  }
  place(event) {
    const box = this.canvas.getBoundingClientRect(), { scale, left, top } = this.view();
    const ratio = this.canvas.width / box.width;
    return [((event.clientX - box.left) * ratio - left) / scale, ((event.clientY - box.top) * ratio - top) / scale];
  }
  perPixel() { return this.canvas.width / Math.max(1, this.canvas.clientWidth) / this.view().scale; }  // of the screen
  zoomBy(factor, about = this.centre) {
    const before = this.zoom;
    this.zoom = Math.min(24, Math.max(1, this.zoom * factor));
    const share = 1 - before / this.zoom;
    this.centre = this.centre.map((value, n) => value + (about[n] - value) * share);
    this.draw();
    this.on.changed();
  }
  fit() { this.zoom = 1; this.follow = false; this.draw(); this.on.changed(); }
  kind(at) {
    const { sequence } = this;
    if (sequence.added[at]) return "added";
    if (sequence.state[at] === ACCEPTED) return "accepted";
    if (sequence.state[at] === REJECTED) return "rejected";
    return sequence.truth ? (sequence.match[at] < 0 ? "wrong" : "hit") : "open";
  }

  draw() {
    const { pen, sequence, canvas } = this;
    if (!sequence || !canvas.width) return;
    const view = this.view(), unit = window.devicePixelRatio || 1;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingEnabled = false;
    if (this.picture)
      pen.drawImage(this.levelled, view.left, view.top, sequence.width * view.scale, sequence.height * view.scale);
    const own = sequence.byFrame[this.frame].filter(at => sequence.shown[at]);
    if (this.tails) this.drawTails(own, view, unit);
    if (sequence.truth) this.drawTruth(view, unit);
    const surest = own.filter(at => sequence.state[at] !== REJECTED)
      .sort((a, b) => (sequence.score[b] ?? 2) - (sequence.score[a] ?? 2)).slice(0, MOST_LABELS);
    const named = new Set(surest);
    for (const at of own) this.drawObject(at, view, unit, named.has(at));
    if (this.drag?.box) this.frameBox(this.drag.box, view, unit, COLOURS.added, [4, 3]);
    this.drawCloseup(unit);
  }
  frameBox([x, y, w, h], view, unit, colour, dash = [], gap = 2, thick = 1.5) {
    const { pen } = this, { scale, left, top } = view;
    const corners = [left + x * scale - gap * unit, top + y * scale - gap * unit, w * scale + 2 * gap * unit, h * scale + 2 * gap * unit];
    pen.setLineDash(dash.map(value => value * unit));
    pen.strokeStyle = "rgba(0, 0, 0, .75)"; pen.lineWidth = (thick + 1.8) * unit;
    pen.strokeRect(...corners);
    pen.strokeStyle = colour; pen.lineWidth = thick * unit;
    pen.strokeRect(...corners);
    pen.setLineDash([]);
    return corners;
  }
  drawObject(at, view, unit, named) {
    const { pen, sequence } = this, box = sequence.box(at), kind = this.kind(at), chosen = at === this.selected;
    const colour = COLOURS[kind], faint = kind === "rejected";
    pen.globalAlpha = faint && !chosen ? 0.6 : 1;
    if (this.outlines && sequence.outline[at] && !sequence.moved(at)) {
      pen.save();
      pen.translate(view.left, view.top);
      pen.scale(view.scale, view.scale);
      pen.strokeStyle = colour; pen.lineWidth = 1.2 * unit / view.scale;
      const [x, y, w, h] = box.map(Math.round);
      pen.stroke(outlineOf(x, y, w, h, sequence.outline[at]));
      pen.restore();
    }
    const corners = this.frameBox(box, view, unit, chosen ? "#fff" : colour, faint ? [3, 3] : [], chosen ? 4 : 2, chosen ? 2 : 1.5);
    if (chosen) {
      this.frameBox(box, view, unit, colour, [], 1.5, 1.5);
      pen.fillStyle = "#fff";
      const [x, y, w, h] = corners, side = 5 * unit;
      for (const [px, py] of [[x, y], [x + w, y], [x, y + h], [x + w, y + h]]) pen.fillRect(px - side / 2, py - side / 2, side, side);
    }
    if (faint) {
      pen.beginPath();
      pen.moveTo(corners[0], corners[1]); pen.lineTo(corners[0] + corners[2], corners[1] + corners[3]);
      pen.strokeStyle = colour; pen.lineWidth = 1.2 * unit; pen.stroke();
    }
    if (named || chosen) {
      const label = sequence.labels[sequence.track[at]], score = sequence.score[at];
      this.write([label === null ? "" : `#${label}`, score === null ? "" : score.toFixed(2)].filter(Boolean).join(" "),
        corners[0] + corners[2] + 3 * unit, corners[1] + 4 * unit, colour, unit);
    }
    pen.globalAlpha = 1;
  }
  write(text, x, y, colour, unit) {
    const { pen } = this;
    pen.font = `600 ${11 * unit}px system-ui, sans-serif`;
    const width = pen.measureText(text).width;
    x = Math.min(x, this.canvas.width - width - 3 * unit); y = Math.max(y, 10 * unit);
    pen.strokeStyle = "rgba(0, 0, 0, .85)"; pen.lineWidth = 3 * unit; pen.lineJoin = "round";
    pen.strokeText(text, x, y);
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }
  drawTails(own, view, unit) {
    const { pen, sequence } = this;
    for (const at of own) {
      if (sequence.state[at] === REJECTED) continue;
      const points = sequence.byTrack[sequence.track[at]].filter(one => sequence.shown[one] &&
        sequence.frame[one] <= this.frame && sequence.frame[one] > this.frame - TAIL);
      if (points.length < 2) continue;
      pen.beginPath();
      points.forEach((one, n) => {
        const [x, y, w, h] = sequence.box(one);
        pen[n ? "lineTo" : "moveTo"](view.left + (x + w / 2) * view.scale, view.top + (y + h / 2) * view.scale);
      });
      pen.strokeStyle = COLOURS[this.kind(at)]; pen.globalAlpha = 0.55; pen.lineWidth = 1.3 * unit;
      pen.stroke();
      pen.globalAlpha = 1;
    }
  }
  drawTruth(view, unit) {
    const { sequence } = this, { truth } = sequence, found = sequence.foundIn(this.frame);
    truth.byFrame[this.frame].forEach((at, n) => {
      const box = [truth.x[at], truth.y[at], truth.w[at], truth.h[at]];
      if (found.has(n)) this.frameBox(box, view, unit, COLOURS.truth, [2, 3], 5, 1.2);
      else this.frameBox(box, view, unit, COLOURS.missed, [], 7, 1.8);
    });
  }
  drawCloseup(unit) {
    const { closeup, sequence } = this, pen = closeup.getContext("2d"), side = Math.round(closeup.clientWidth * unit);
    if (!side) return;
    closeup.width = closeup.height = side;
    pen.fillStyle = "#000"; pen.fillRect(0, 0, side, side);
    const at = this.subject();
    if (at === null || !this.picture) return;
    const [x, y, w, h] = sequence.box(at), part = Math.max(24, 2.2 * Math.max(w, h)), scale = side / part;
    const left = x + w / 2 - part / 2, top = y + h / 2 - part / 2;
    const share = this.levelled.width / sequence.width;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.levelled, left * share, top * share, part * share, part * share, 0, 0, side, side);
    pen.strokeStyle = COLOURS[this.kind(at)]; pen.lineWidth = 1.5 * unit;
    pen.strokeRect((x - left) * scale, (y - top) * scale, w * scale, h * scale);
  }
  subject() {  // what is shown enlarged: what is chosen, if it is in this frame, else the surest of the frame
    const { sequence } = this;
    if (this.selected !== null && sequence.frame[this.selected] === this.frame) return this.selected;
    const own = sequence.byFrame[this.frame].filter(at => sequence.stands(at));
    return own.reduce((best, at) => best === null || (sequence.score[at] ?? 2) > (sequence.score[best] ?? 2) ? at : best, null);
  }

  hit([x, y]) {
    const { sequence } = this, near = 8 * this.perPixel();
    let best = null, least = Infinity;
    for (const at of sequence.byFrame[this.frame]) {
      if (!sequence.shown[at]) continue;
      const [left, top, w, h] = sequence.box(at);
      const away = Math.hypot(Math.max(left - x, 0, x - left - w), Math.max(top - y, 0, y - top - h));
      const rank = away + 0.001 * Math.hypot(left + w / 2 - x, top + h / 2 - y) - (at === this.selected ? 0.01 : 0);
      if (away <= near && rank < least) { best = at; least = rank; }
    }
    return best;
  }
  corner(at, [x, y]) {  // the corner of the chosen box that is taken hold of, as which of its sides move
    const [left, top, w, h] = this.sequence.box(at), near = 7 * this.perPixel();
    const across = [left, left + w].findIndex(value => Math.abs(value - x) < near);
    const down = [top, top + h].findIndex(value => Math.abs(value - y) < near);
    return across < 0 || down < 0 || Math.min(w, h) < 2 * near ? null : [across, down];
  }
  press(event) {
    if (event.button) return;
    const start = this.place(event);
    this.canvas.setPointerCapture(event.pointerId);
    if (this.adding) { this.drag = { mode: "add", start }; return; }
    const corner = this.selected !== null && this.sequence.shown[this.selected] &&
      this.sequence.frame[this.selected] === this.frame ? this.corner(this.selected, start) : null;
    const at = corner ? this.selected : this.hit(start);
    if (at !== this.selected || at === null) this.on.select(at);
    this.drag = at === null ? { mode: "pan", start, centre: [...this.centre] } :
      { mode: corner ? "size" : "move", start, corner, at, from: this.sequence.box(at), far: false };
  }
  pull(event) {
    const { drag } = this;
    if (!drag) return;
    const now = this.place(event), [dx, dy] = now.map((value, n) => value - drag.start[n]);
    if (drag.mode === "pan") {
      if (this.zoom > 1 && !this.follow) { this.centre = this.centre.map((value, n) => value - [dx, dy][n]); this.draw(); }
      return;
    }
    if (!drag.far && Math.hypot(dx, dy) < 4 * this.perPixel()) return;
    drag.far = true;
    if (drag.mode === "add") {
      drag.box = this.sequence.cut([Math.min(now[0], drag.start[0]), Math.min(now[1], drag.start[1]), Math.abs(dx), Math.abs(dy)]);
    } else if (drag.mode === "move") {
      drag.box = [drag.from[0] + dx, drag.from[1] + dy, drag.from[2], drag.from[3]];
    } else {
      const [x, y, w, h] = drag.from, [right, low] = drag.corner;
      const sides = [right ? x : x + dx, low ? y : y + dy, right ? x + w + dx : x + w, low ? y + h + dy : y + h];
      drag.box = this.sequence.cut([Math.min(sides[0], sides[2]), Math.min(sides[1], sides[3]), Math.abs(sides[2] - sides[0]),
        Math.abs(sides[3] - sides[1])]);
    }
    this.draw();
  }
  release(event) {
    const { drag } = this;
    this.drag = null;
    if (!drag) return;
    if (drag.mode === "add") {
      const small = !drag.box || Math.max(drag.box[2], drag.box[3]) < 2;
      this.on.add(small ? this.boxAround(this.place(event)) : drag.box);
    } else if (drag.box) this.on[drag.mode === "size" ? "resize" : "move"](drag.at, drag.box);
    this.draw();
  }
  boxAround([x, y]) {
    const { sequence } = this, own = sequence.byFrame[this.frame].filter(at => sequence.stands(at));
    const at = this.selected ?? own[0], side = at === undefined || at === null ? DEFAULT_SIDE :
      Math.max(LEAST_SIDE, Math.round(Math.max(sequence.w[at], sequence.h[at])));
    return [x - side / 2, y - side / 2, side, side];
  }
}
