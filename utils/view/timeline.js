// The time line: every track as a bar from its first frame to its last, single objects as ticks below, and the frame.
const BAR = 7, LANE = 10, MOST_LANES = 18;

class Timeline {
  constructor(canvas, on) {
    Object.assign(this, { canvas, on, tracks: [], lanes: [], marks: [], at: 0, selected: null });
    this.store = document.createElement("canvas");
    canvas.addEventListener("pointerdown", event => { this.held = true; canvas.setPointerCapture(event.pointerId); this.seek(event, true); });
    canvas.addEventListener("pointermove", event => { if (this.held) this.seek(event, false); });
    canvas.addEventListener("pointerup", () => { this.held = false; });
    new ResizeObserver(() => this.layout()).observe(canvas.parentElement);
  }
  // `tracks` as Sequence.tracksShown gives them; `marks` are frames with a line about them.
  open(sequence, tracks, marks) {
    this.sequence = sequence; this.marks = marks;
    this.tracks = tracks.filter(one => sequence.labels[one.track] !== null);
    this.single = tracks.filter(one => sequence.labels[one.track] === null);
    const ends = [];
    this.lanes = this.tracks.map(one => {
      let lane = ends.findIndex(end => end < one.first - 1);
      if (lane < 0) lane = ends.length < MOST_LANES ? ends.length : ends.indexOf(Math.min(...ends));
      ends[lane] = one.last;
      return lane;
    });
    this.count = ends.length;
    this.layout();
  }
  layout() {
    if (!this.sequence) return;
    const unit = window.devicePixelRatio || 1, width = this.canvas.parentElement.clientWidth;
    const height = Math.max(2, this.count) * LANE + (this.single.length ? 10 : 0) + 22;
    this.canvas.style.height = `${height}px`;
    for (const one of [this.canvas, this.store]) { one.width = Math.round(width * unit); one.height = Math.round(height * unit); }
    this.paint(unit);
    this.draw();
  }
  x(frame) { return (frame + 0.5) / this.sequence.length * this.store.width; }
  colour(one) {
    if (one.added) return COLOURS.added;
    if (one.state === ACCEPTED) return COLOURS.accepted;
    if (one.state === REJECTED) return COLOURS.rejected;
    return one.wrong === null ? COLOURS.open : one.wrong ? COLOURS.wrong : COLOURS.hit;
  }
  paint(unit) {
    const { store, sequence } = this, pen = store.getContext("2d");
    pen.fillStyle = "#10161a"; pen.fillRect(0, 0, store.width, store.height);
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4].find(value =>
      value / sequence.length * store.width >= 56 * unit) || 1e5;
    pen.font = `${10 * unit}px system-ui, sans-serif`;
    for (let frame = 0; frame < sequence.length; frame += step) {
      pen.fillStyle = "#2c363d"; pen.fillRect(this.x(frame), 0, unit, store.height);
      pen.fillStyle = "#a9b6bf"; pen.fillText(String(sequence.numbers[frame]), this.x(frame) + 3 * unit, 11 * unit);
    }
    const top = 17 * unit;
    this.tracks.forEach((one, n) => {
      const left = this.x(one.first - 0.5), width = Math.max(2 * unit, this.x(one.last + 0.5) - left);
      pen.globalAlpha = one.state === REJECTED ? 0.5 : 1;
      pen.fillStyle = this.colour(one);
      pen.fillRect(left, top + this.lanes[n] * LANE * unit, width, BAR * unit);
    });
    pen.globalAlpha = 1;
    for (const one of this.single) {
      pen.fillStyle = this.colour(one);
      pen.fillRect(this.x(one.first) - 0.5 * unit, top + this.count * LANE * unit, 1.2 * unit, 6 * unit);
    }
    pen.fillStyle = COLOURS.missed;
    for (const frame of this.marks) pen.fillRect(this.x(frame) - unit, 0, 2 * unit, 4 * unit);
  }
  draw() {
    if (!this.sequence) return;
    const pen = this.canvas.getContext("2d"), unit = window.devicePixelRatio || 1;
    pen.drawImage(this.store, 0, 0);
    const chosen = this.tracks.findIndex(one => one.track === this.selected);
    if (chosen >= 0) {
      const { first, last } = this.tracks[chosen], left = this.x(first - 0.5);
      pen.strokeStyle = "#fff"; pen.lineWidth = 1.5 * unit;
      pen.strokeRect(left - unit, (16 + this.lanes[chosen] * LANE) * unit, Math.max(2 * unit, this.x(last + 0.5) - left) + 2 * unit, (BAR + 2) * unit);
    }
    pen.fillStyle = "#fff";
    pen.fillRect(this.x(this.at) - 0.75 * unit, 0, 1.5 * unit, this.canvas.height);
  }
  show(frame, selected) { this.at = frame; this.selected = selected; this.draw(); }
  seek(event, press) {
    const box = this.canvas.getBoundingClientRect(), unit = this.canvas.width / box.width;
    const share = (event.clientX - box.left) / box.width, length = this.sequence.length;
    const frame = Math.min(length - 1, Math.max(0, Math.floor(share * length)));
    const lane = Math.floor(((event.clientY - box.top) - 16) / LANE);
    const slack = 3 * unit / this.canvas.width * length;
    const one = press ? this.tracks.find((track, n) => this.lanes[n] === lane && frame >= track.first - slack && frame <= track.last + slack) : null;
    this.on(one ? Math.min(one.last, Math.max(one.first, frame)) : frame, one ? one.track : null);
  }
}
